//! The recipes of docs/rbac.md, run from the first line to the last, as a reader would who has a new release.

use crate::harness::ControlPlane;
use crate::harness::helm::CHART;
use crate::reader::{Reader, commands};
use crate::release::Cluster;
use crate::snippets::blocks::{Block, of_page, read};
use crate::snippets::shell;
use crate::world::{crd, namespace};

const PAGE: &str = "docs/rbac.md";
/// Where the page puts values.
const VALUES: &str = "rights.yaml";

/// The custom kinds that the page speaks of: group, plural name and kind.
const KINDS: [(&str, &str, &str); 3] = [
    ("databases.example.com", "postgresclusters", "PostgresCluster"),
    ("caches.example.com", "redisclusters", "RedisCluster"),
    ("openreports.io", "reports", "Report"),
];

/// With a release, and what the page speaks of.
async fn reader() -> Reader {
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
    let (cluster, _notes) = Cluster::install_in(plane, &[]).await;
    let reader = Reader::new(cluster);
    reader.write(VALUES, "{}");
    reader
}

/// The release as it was installed, whatever the recipe before has changed of it.
async fn reset(reader: &Reader) {
    let upgrade = ["upgrade", "watchpolicy", CHART, "--namespace", "watchpolicy-system", "--reset-values"];
    reader.cluster.helm.run(&upgrade).await.unwrap();
}

/// How many recipes a page has begun before a line.
fn recipe(page: &str, line: usize) -> usize {
    page.lines().take(line).filter(|line| line.starts_with("## ")).count()
}

/// The one command of the page that takes values over.
fn upgrade(blocks: &[Block]) -> String {
    let mut found = commands(blocks).filter(|line| line.commands[0][0] == "helm");
    let upgrade = found.next().unwrap().script;
    assert!(upgrade.contains(VALUES) && found.next().is_none(), "{upgrade}");
    upgrade
}

#[tokio::test]
async fn each_recipe_for_rights_brings_what_its_questions_show() {
    let (reader, page, blocks) = (reader().await, read(PAGE), of_page(PAGE));
    let upgrade = upgrade(&blocks);
    let (mut last, mut asked, mut changed) = (0, 0, false);
    for block in &blocks {
        let recipe = recipe(&page, block.line);
        if recipe != last && std::mem::take(&mut changed) {
            reset(&reader).await;
        }
        last = recipe;
        if block.language == "yaml" && block.text.contains("\nkind: ") {
            reader.cluster.plane.kubectl().apply(&block.text).await.unwrap();
        } else if block.language == "yaml" {
            reader.write(VALUES, &block.text);
            reader.follow(&upgrade).await;
            changed = true;
        } else {
            for line in shell::lines(block) {
                if line.told.is_empty() {
                    reader.follow(&line.script).await;
                } else {
                    reader.ask(&line.script, |told| told == line.told).await;
                    asked += 1;
                }
            }
        }
    }
    assert!(last >= 10 && asked > last, "{asked} questions in {last} recipes");
}
