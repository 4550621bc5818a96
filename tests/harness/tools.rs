//! Where etcd, kube-apiserver, kube-controller-manager, kubectl, helm and promtool are, and foreign definitions.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Result, ensure};
use tokio::process::Command;

/// The folder of the control plane's programs and of kubectl.
pub(crate) async fn controlplane() -> Result<PathBuf> {
    find("tests/controlplane/tools.sh").await
}

/// The folder of helm.
pub(crate) async fn helm() -> Result<PathBuf> {
    find("tests/helm/tools.sh").await
}

/// The folder of promtool.
pub(crate) async fn promtool() -> Result<PathBuf> {
    find("tests/promtool/tools.sh").await
}

/// The folder of the definitions of OpenReports.
pub(crate) async fn openreports() -> Result<PathBuf> {
    find("tests/openreports/tools.sh").await
}

/// The folder of the definitions of the Prometheus operator.
pub(crate) async fn prometheus_operator() -> Result<PathBuf> {
    find("tests/prometheusoperator/tools.sh").await
}

/// Finds the tools or builds them, which the first time takes minutes: the progress goes to standard error.
async fn find(script: &str) -> Result<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    let output = Command::new("bash").arg(path).stderr(Stdio::inherit()).output().await?;
    ensure!(output.status.success(), "{script} has failed, see above");
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}
