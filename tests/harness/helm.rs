//! helm, as a user would call it, and the chart.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use tokio::process::Command;

use super::tools;

/// helm with folders of its own, with or without a cluster.
#[derive(Clone, Debug)]
pub(crate) struct Helm {
    program: PathBuf,
    home: PathBuf,
    kubeconfig: Option<PathBuf>,
}

impl Helm {
    /// Helm without a cluster; what it keeps goes to a folder, `home`.
    pub(crate) async fn offline(home: &Path) -> Result<Self> {
        Ok(Self { program: tools::helm().await?.join("helm"), home: home.to_owned(), kubeconfig: None })
    }

    /// Helm as the user of a kubeconfig file.
    pub(crate) async fn with(kubeconfig: &Path) -> Result<Self> {
        let mut helm = Self::offline(&kubeconfig.with_extension("helm")).await?;
        helm.kubeconfig = Some(kubeconfig.to_owned());
        Ok(helm)
    }

    /// Where the program is.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Runs it and gives what it printed; the error is what it said when it failed.
    pub(crate) async fn run(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        // What the caller's shell says about a Helm is not about this one.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HELM_")) {
            command.env_remove(name);
        }
        for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(name, self.home.join(name));
        }
        // An empty KUBECONFIG keeps it away from the caller's own cluster.
        command.env("KUBECONFIG", self.kubeconfig.as_deref().unwrap_or(Path::new("")));
        let output = command.args(args).kill_on_drop(true).output().await?;
        if !output.status.success() {
            bail!("helm {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// The folder of the chart, from the project's, where helm is run.
pub(crate) const CHART: &str = "charts/watchpolicy";
