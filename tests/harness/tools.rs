//! Where etcd, kube-apiserver, kube-controller-manager and kubectl are.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Result, ensure};
use tokio::process::Command;

/// Finds the tools or builds them, which the first time takes minutes: the progress goes to standard error.
pub(crate) async fn find() -> Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/controlplane/tools.sh");
    let output = Command::new("bash").arg(script).stderr(Stdio::inherit()).output().await?;
    ensure!(output.status.success(), "the control plane's tools cannot be had, see above");
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}
