//! kubectl, as a user would call it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// kubectl with a kubeconfig file and a discovery cache of its own.
#[derive(Clone, Debug)]
pub(crate) struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    cache: PathBuf,
}

impl Kubectl {
    /// The kubectl among `tools`, as the user of a kubeconfig file.
    pub(crate) fn new(tools: &Path, kubeconfig: &Path) -> Self {
        let (program, cache) = (tools.join("kubectl"), kubeconfig.with_extension("cache"));
        Self { program, kubeconfig: kubeconfig.to_owned(), cache }
    }

    /// Where the program is.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Runs it and gives what it printed; the error is what it said when it failed.
    pub(crate) async fn run(&self, args: &[&str]) -> Result<String> {
        self.run_with(args, "").await
    }

    /// `kubectl apply` of some manifests.
    pub(crate) async fn apply(&self, manifests: &str) -> Result<String> {
        self.run_with(&["apply", "-f", "-"], manifests).await
    }

    /// Runs it with something on its standard input.
    pub(crate) async fn run_with(&self, args: &[&str], stdin: &str) -> Result<String> {
        let mut child = Command::new(&self.program)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .arg("--cache-dir")
            .arg(&self.cache)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        if let Some(mut pipe) = child.stdin.take() {
            pipe.write_all(stdin.as_bytes()).await?;
        }
        let output = child.wait_with_output().await?;
        if !output.status.success() {
            bail!("kubectl {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}
