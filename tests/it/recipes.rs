//! The recipes of docs/rbac.md, run from the first line to the last by a shell, as a reader would who has a new release.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Result, ensure};
use tokio::process::Command;

use crate::harness::child::Folder;
use crate::harness::helm::CHART;
use crate::harness::operator::INSTALL;
use crate::harness::{ControlPlane, Helm, eventually};
use crate::snippets::blocks::{Block, of_page, read};
use crate::snippets::shell;
use crate::world::{DEADLINE, crd, namespace};

const PAGE: &str = "docs/rbac.md";
/// Where the page puts values.
const VALUES: &str = "rights.yaml";

/// The custom kinds that the page speaks of: group, plural name and kind.
const KINDS: [(&str, &str, &str); 3] = [
    ("databases.example.com", "postgresclusters", "PostgresCluster"),
    ("caches.example.com", "redisclusters", "RedisCluster"),
    ("openreports.io", "reports", "Report"),
];

/// Who follows the page: with the tools on the path, in a folder that has what the commands name.
struct Reader {
    plane: ControlPlane,
    helm: Helm,
    path: OsString,
    folder: Folder,
}

impl Reader {
    async fn new() -> Self {
        let plane = ControlPlane::start().await.unwrap();
        for name in ["shop", "monitoring"] {
            plane.kubectl().apply(&namespace(name)).await.unwrap();
        }
        // kubectl asks about no kind that is not there.
        for (group, plural, kind) in KINDS {
            plane.kubectl().apply(&crd(group, plural, kind)).await.unwrap();
        }
        let established = ["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"];
        plane.kubectl().run(&established).await.unwrap();
        let helm = Helm::with(plane.access().admin_kubeconfig()).await.unwrap();
        helm.run(INSTALL).await.unwrap();
        let folder = Folder::new("watchpolicy-recipes").unwrap();
        for name in ["charts", "policies"] {
            let named = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
            std::os::unix::fs::symlink(named, folder.path().join(name)).unwrap();
        }
        std::fs::write(folder.path().join(VALUES), "{}").unwrap();
        let kubectl = plane.kubectl();
        let programs = [kubectl.program(), helm.program(), Path::new(env!("CARGO_BIN_EXE_watchpolicy"))];
        let tools = programs.map(|program| program.parent().unwrap().to_owned());
        let system = std::env::var_os("PATH").unwrap();
        let path = std::env::join_paths(tools.into_iter().chain(std::env::split_paths(&system))).unwrap();
        Self { plane, helm, path, folder }
    }

    /// Runs a command line; gives whether it succeeded, and what it printed to both ends.
    async fn run(&self, script: &str) -> Result<(bool, String, String)> {
        let home = self.folder.path();
        let mut command = Command::new("bash");
        command
            .args(["-euo", "pipefail", "-c", script])
            .current_dir(home)
            .env("PATH", &self.path)
            .env("HOME", home);
        command.env("KUBECONFIG", self.plane.access().admin_kubeconfig());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HELM_")) {
            command.env_remove(name);
        }
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
        let (told, words) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
        Ok((output.status.success(), told, words))
    }

    /// Runs what must succeed.
    async fn follow(&self, script: &str) {
        let (success, _, words) = self.run(script).await.unwrap();
        assert!(success, "{script}: {words}");
    }

    /// Asks until the answer is the one that is shown: the API server takes new rights over one by one. A no is no success.
    async fn ask(&self, question: &str, shown: &str) {
        let look = async || {
            let (_, told, words) = self.run(question).await?;
            ensure!(told == shown, "{told}{words}");
            Ok(())
        };
        eventually(DEADLINE, question, look).await.unwrap();
    }

    /// The release as it was installed, whatever the recipe before has changed of it.
    async fn reset(&self) {
        let upgrade =
            ["upgrade", "watchpolicy", CHART, "--namespace", "watchpolicy-system", "--reset-values"];
        self.helm.run(&upgrade).await.unwrap();
    }
}

/// How many recipes a page has begun before a line.
fn recipe(page: &str, line: usize) -> usize {
    page.lines().take(line).filter(|line| line.starts_with("## ")).count()
}

/// The one command of the page that takes values over.
fn upgrade(blocks: &[Block]) -> String {
    let console = blocks.iter().filter(|block| block.language == "console");
    let mut found = console.flat_map(shell::lines).filter(|line| line.commands[0][0] == "helm");
    let upgrade = found.next().unwrap().script;
    assert!(upgrade.contains(VALUES) && found.next().is_none(), "{upgrade}");
    upgrade
}

#[tokio::test]
async fn each_recipe_for_rights_brings_what_its_questions_show() {
    let (reader, page, blocks) = (Reader::new().await, read(PAGE), of_page(PAGE));
    let upgrade = upgrade(&blocks);
    let (mut last, mut asked, mut changed) = (0, 0, false);
    for block in &blocks {
        let recipe = recipe(&page, block.line);
        if recipe != last && std::mem::take(&mut changed) {
            reader.reset().await;
        }
        last = recipe;
        if block.language == "yaml" && block.text.contains("\nkind: ") {
            reader.plane.kubectl().apply(&block.text).await.unwrap();
        } else if block.language == "yaml" {
            std::fs::write(reader.folder.path().join(VALUES), &block.text).unwrap();
            reader.follow(&upgrade).await;
            changed = true;
        } else {
            for line in shell::lines(block) {
                if line.told.is_empty() {
                    reader.follow(&line.script).await;
                } else {
                    reader.ask(&line.script, &line.told).await;
                    asked += 1;
                }
            }
        }
    }
    assert!(last >= 10 && asked > last, "{asked} questions in {last} recipes");
}
