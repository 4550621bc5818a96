//! How the API server is reached.

use std::path::Path;

use anyhow::Context;

/// Reads a kubeconfig file, or what kubectl would read, in-cluster configuration included. Clients made of it do not try
/// again by themselves: that would take a minute to say less than the server did.
///
/// # Errors
/// When there is none, or it cannot be used.
pub async fn find(kubeconfig: Option<&Path>, context: Option<&str>) -> anyhow::Result<kube::Config> {
    let mut config = read(kubeconfig, context).await?;
    config.default_retry = false;
    Ok(config)
}

async fn read(kubeconfig: Option<&Path>, context: Option<&str>) -> anyhow::Result<kube::Config> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_tried_again_behind_the_back_of_who_asks() {
        let file = std::env::temp_dir().join(format!("kubeconfig-{}", std::process::id()));
        let cluster = "{name: a, cluster: {server: 'http://127.0.0.1:1'}}";
        let text = format!(
            "{{apiVersion: v1, kind: Config, current-context: a, clusters: [{cluster}], \
             contexts: [{{name: a, context: {{cluster: a, user: a}}}}], users: [{{name: a, user: {{}}}}]}}"
        );
        std::fs::write(&file, text).unwrap();
        let config = find(Some(&file), None).await;
        std::fs::remove_file(&file).unwrap();
        assert!(!config.unwrap().default_retry);
    }
}
