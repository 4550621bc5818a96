//! The main job, from `kubectl apply` to the violation, as a user meets it: one test for each promise.

use std::time::{Duration, Instant};

use crate::harness::eventually;
use crate::world::{DEADLINE, crd, series, shared};

/// A Deployment in a namespace of its own, with or without the annotation that policies here ask for.
fn deployment(namespace: &str, name: &str, annotations: &str, replicas: u32) -> String {
    format!(
        "
apiVersion: v1
kind: Namespace
metadata: {{name: {namespace}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {namespace}, annotations: {{{annotations}}}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{containers: [{{name: web, image: 'ghcr.io/shop/{name}:1'}}]}}
"
    )
}

fn policy(name: &str, target: &str, rules: &str) -> String {
    format!(
        "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {{name: {name}}}
spec:
  targets: [{target}]
  rules: {rules}
"
    )
}

fn widget(group: &str, namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "
apiVersion: {group}/v1
kind: Widget
metadata: {{name: {name}, namespace: {namespace}}}
spec: {spec}
"
    )
}

const OWNER: &str = "[{name: owner, path: \"$.metadata.annotations['corp.io/owner']\", assert: {matches: '[a-z]+@corp[.]com'}}]";

fn in_namespace(namespace: &str) -> String {
    format!("{{group: apps, resources: [deployments], namespaces: [{namespace}]}}")
}

#[tokio::test]
async fn an_object_made_bad_by_an_edit_shows_up_in_status_and_on_the_metrics_page() {
    let world = shared().await.unwrap();
    world.apply(&deployment("edit", "shop", "corp.io/owner: 'team@corp.com'", 1)).await.unwrap();
    world.apply(&policy("edit-owner", &in_namespace("edit"), OWNER)).await.unwrap();
    let good = world.until("edit-owner", "the good object passes", |p| p.is_ready() && p.count("passed") == 1);
    assert_eq!(good.await.unwrap().violations(), Vec::<String>::new());

    let edit = ["annotate", "-n", "edit", "deployment/shop", "corp.io/owner=nobody", "--overwrite"];
    world.plane.kubectl().run(&edit).await.unwrap();
    let start = Instant::now();
    let bad = world.until("edit-owner", "the violation is listed", |p| p.count("failed") == 1).await.unwrap();
    println!("from the edit to its violation in status, as kubectl sees it: {:?}", start.elapsed());
    let violations = bad.violations();
    assert_eq!(violations.len(), 1, "{violations:?}");
    assert!(violations[0].starts_with("edit/shop owner: "), "{violations:?}");
    assert!(violations[0].contains("nobody"), "{violations:?}");
    assert_eq!(bad.0["status"]["violations"][0]["path"], "metadata.annotations['corp.io/owner']");

    let page = world.operator.metrics().await.unwrap();
    let labels = [("policy", "edit-owner"), ("severity", "medium")];
    assert_eq!(series(&page, "watchpolicy_violations", &labels).unwrap(), Some(1.0));
    let labels = [("policy", "edit-owner"), ("result", "Fail")];
    assert_eq!(series(&page, "watchpolicy_objects", &labels).unwrap(), Some(1.0));

    world.plane.kubectl().run(&["annotate", "-n", "edit", "deployment/shop", "corp.io/owner-"]).await.unwrap();
    let absent = world
        .until("edit-owner", "absence is told apart from a wrong value", |p| {
            p.violations().iter().any(|violation| violation.contains("is not set"))
        })
        .await
        .unwrap();
    assert_eq!(absent.count("violations"), 1);

    world.delete(&["-n", "edit", "deployment/shop"]).await.unwrap();
    world.until("edit-owner", "a deleted object has no verdict", |p| p.count("matched") == 0).await.unwrap();
}

#[tokio::test]
async fn kubectl_get_shows_the_columns_of_the_contract() {
    let world = shared().await.unwrap();
    world.apply(&deployment("columns", "shop", "", 1)).await.unwrap();
    world.apply(&policy("columns-owner", &in_namespace("columns"), OWNER)).await.unwrap();
    world.until("columns-owner", "one violation", |p| p.count("violations") == 1).await.unwrap();
    let table = world.plane.kubectl().run(&["get", "wpol", "columns-owner"]).await.unwrap();
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(lines.next().unwrap(), ["NAME", "MODE", "READY", "TARGETS", "VIOLATIONS", "AGE"]);
    assert_eq!(lines.next().unwrap()[..5], ["columns-owner", "Audit", "True", "1/1", "1"]);
}

#[tokio::test]
async fn ten_policies_on_one_resource_open_one_watch() {
    let world = shared().await.unwrap();
    let group = "ten.example.com";
    world.grant(group, "widgets").await.unwrap();
    world.install_crd(group, "widgets", "Widget").await.unwrap();
    let target = format!("{{group: {group}, resources: [widgets]}}");
    let manifests: Vec<_> = (0..10)
        .map(|n| policy(&format!("ten-{n}"), &target, &format!("[{{name: size, path: $.spec.size{n}, assert: {{exists: true}}}}]")))
        .collect();
    world.apply(&manifests.join("---")).await.unwrap();
    for n in 0..10 {
        world.until(&format!("ten-{n}"), "each policy is synced", |p| p.is_ready()).await.unwrap();
    }
    let one = async || match world.open_watches("widgets.ten") {
        _ => (open(world, group).unwrap() == 1).then_some(()),
    };
    eventually(DEADLINE, "one watch is left open", one).await.unwrap();
}

fn open(world: &crate::world::World<'_>, group: &str) -> anyhow::Result<usize> {
    Ok(world.requests("widgets")?.iter().filter(|r| r.group == group && r.is_watch() && r.open).count())
}
