//! Who follows a page of the documentation: a shell, with the tools on the path, in a folder that has what commands name.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Result, ensure};
use tokio::process::Command;

use crate::harness::child::Folder;
use crate::harness::eventually;
use crate::release::Cluster;
use crate::snippets::blocks::{Block, of_page};
use crate::snippets::shell::{self, Line};
use crate::world::DEADLINE;

/// All command lines of these blocks, in order.
pub(crate) fn commands(blocks: &[Block]) -> impl Iterator<Item = Line> {
    blocks.iter().filter(|block| block.language == "console").flat_map(shell::lines)
}

/// All command lines of a page, in order.
pub(crate) fn commands_of(page: &str) -> Vec<Line> {
    commands(&of_page(page)).collect()
}

/// A reader, and the cluster that they have.
pub(crate) struct Reader {
    pub(crate) cluster: Cluster,
    path: OsString,
    folder: Folder,
}

impl Reader {
    pub(crate) fn new(cluster: Cluster) -> Self {
        let folder = Folder::new("watchpolicy-reader").unwrap();
        for name in ["charts", "policies"] {
            let named = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
            std::os::unix::fs::symlink(named, folder.path().join(name)).unwrap();
        }
        let kubectl = cluster.plane.kubectl();
        let programs =
            [kubectl.program(), cluster.helm.program(), Path::new(env!("CARGO_BIN_EXE_watchpolicy"))];
        let tools = programs.map(|program| program.parent().unwrap().to_owned());
        let system = std::env::var_os("PATH").unwrap();
        let path = std::env::join_paths(tools.into_iter().chain(std::env::split_paths(&system))).unwrap();
        Self { cluster, path, folder }
    }

    /// Puts a file into the reader's folder.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Runs a command line; gives whether it succeeded, and what it printed to both ends.
    pub(crate) async fn run(&self, script: &str) -> Result<(bool, String, String)> {
        let home = self.folder.path();
        let mut command = Command::new("bash");
        command
            .args(["-euo", "pipefail", "-c", script])
            .current_dir(home)
            .env("PATH", &self.path)
            .env("HOME", home);
        command.env("KUBECONFIG", self.cluster.plane.access().admin_kubeconfig());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HELM_")) {
            command.env_remove(name);
        }
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
        let (told, words) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
        Ok((output.status.success(), told, words))
    }

    /// Runs what must succeed; gives what it prints.
    pub(crate) async fn follow(&self, script: &str) -> String {
        let (success, told, words) = self.run(script).await.unwrap();
        assert!(success, "{script}: {words}");
        told
    }

    /// Asks until the answer is as it should be: the cluster takes a moment to do what it was told. A no is no success.
    pub(crate) async fn ask(&self, question: &str, is_shown: impl Fn(&str) -> bool) {
        let look = async || {
            let (_, told, words) = self.run(question).await?;
            ensure!(is_shown(&told), "{told}{words}");
            Ok(())
        };
        eventually(DEADLINE, question, look).await.unwrap();
    }
}
