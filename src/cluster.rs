//! How the API server is reached.

use std::path::Path;

use anyhow::Context;

/// Reads a kubeconfig file, or what kubectl would read, in-cluster configuration included.
///
/// # Errors
/// When there is none, or it cannot be used.
pub async fn find(kubeconfig: Option<&Path>, context: Option<&str>) -> anyhow::Result<kube::Config> {
    let options = kube::config::KubeConfigOptions {
        context: context.map(str::to_owned),
        ..kube::config::KubeConfigOptions::default()
    };
    let mut config = match kubeconfig {
        Some(path) => {
            let kubeconfig = kube::config::Kubeconfig::read_from(path)
                .with_context(|| format!("cannot read the kubeconfig {}", path.display()))?;
            kube::Config::from_custom_kubeconfig(kubeconfig, &options)
                .await
                .with_context(|| format!("the kubeconfig {} cannot be used", path.display()))?
        }
        None if context.is_some() => {
            kube::Config::from_kubeconfig(&options).await.context("the kubeconfig cannot be used")?
        }
        None => kube::Config::infer()
            .await
            .context("no kubeconfig and no in-cluster configuration was found; give --kubeconfig")?,
    };
    // Hidden retries would keep the server's words from whoever asks, for a minute and more.
    config.default_retry = false;
    Ok(config)
}
