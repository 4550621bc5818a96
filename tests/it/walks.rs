//! Pages that lead through something, followed from the first command to the last.

use crate::enforce::deployment;
use crate::harness::ControlPlane;
use crate::reader::{Reader, commands_of};
use crate::release::Cluster;
use crate::snippets::blocks::of_page;
use crate::world::{Policy, namespace};

#[tokio::test]
async fn the_quick_start_leads_to_a_violation_and_out_of_it_again() {
    const POLICY: &str = "memory-is-limited";
    let reader = Reader::new(Cluster::bare(ControlPlane::start().await.unwrap()).await);
    let mut operator = None;
    for line in commands_of("docs/quick-start.md") {
        if line.script.contains("rollout status") {
            // There are no nodes: the operator runs as a process in the place of its pods.
            operator = Some(reader.cluster.operator().await);
            continue;
        }
        if line.script.starts_with("cargo install") {
            // It is on the reader's path already.
            continue;
        }
        if line.script.contains("set resources") {
            reader.cluster.until(POLICY, "it is broken", |policy| policy.count("failed") == 1).await;
        }
        reader.follow(&line.script).await;
    }
    assert!(operator.is_some());
    let is_mended = |policy: &Policy| policy.count("failed") == 0 && policy.count("passed") == 1;
    reader.cluster.until(POLICY, "it is mended", is_mended).await;
}

/// The policy that docs/enforcement.md speaks of.
const OWNERS: &str = "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {name: owners}
spec:
  mode: Enforce
  targets: [{group: apps, resources: [deployments]}]
  rules:
  - name: owner
    path: $.metadata.annotations['corp.io/owner']
    assert: {like: '*@corp.com'}
    fix: {set: unowned@corp.com}
  enforcement: {onDelete: Release}
";

#[tokio::test]
async fn the_commands_of_the_page_on_enforcement_stop_show_and_let_go() {
    let write = r#"rbac.targets.write=[{"apiGroups": ["apps"], "resources": ["deployments"]}]"#;
    let args = ["--set", "enforcement.enabled=true", "--set-json", write];
    let (cluster, _) = Cluster::install(&args).await;
    let deployments: Vec<_> = ["a", "b", "c"].map(|name| deployment(&format!("web-{name}"))).to_vec();
    for manifests in [&namespace("shop"), &deployments.join("---"), &OWNERS.to_owned()] {
        cluster.plane.kubectl().apply(manifests).await.unwrap();
    }
    let reader = Reader::new(cluster);
    let _operator = reader.cluster.operator().await;
    let until = async |what: &str, wanted: fn(&Policy) -> bool| {
        reader.cluster.until("owners", what, wanted).await;
    };
    until("all are fixed", |policy| policy.count("passed") == 3).await;
    let lines = commands_of("docs/enforcement.md");
    let [stop, places, left, let_go] = &lines[..] else { panic!("{lines:?}") };

    reader.follow(&stop.script).await;
    until("writes are stopped", |policy| policy.reason("Enforcing") == "Stopped").await;
    // "Take the annotation off to go on."
    reader.follow(&stop.script.replace("writes=stopped", "writes-")).await;
    until("writes go on", |policy| policy.condition("Enforcing") == "True").await;
    assert_eq!(reader.follow(&places.script).await, "deployments.apps");

    reader.cluster.upgrade(&["--set", "rbac.targets.write=null"]).await;
    until("the right is gone", |policy| policy.reason("Enforcing") == "Forbidden").await;
    reader.follow("kubectl delete wpol owners --wait=false").await;
    let shown = left.told.trim_end().strip_suffix("...").unwrap();
    reader.ask(&left.script, |told| told.starts_with(shown)).await;
    reader.follow(&let_go.script).await;
    reader.follow("kubectl wait --for=delete wpol/owners --timeout=60s").await;
}

/// What the library finds nothing wrong with that it takes for severe.
const MANIFEST: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: 'registry.k8s.io/pause:3.10'}]}
";

#[tokio::test]
async fn the_library_is_applied_granted_its_rights_and_adapted_as_its_page_says() {
    const PAGE: &str = "policies/README.md";
    let (cluster, _) = Cluster::install(&[]).await;
    let reader = Reader::new(cluster);
    let _operator = reader.cluster.operator().await;
    reader.write("my-manifests/web.yaml", MANIFEST);
    reader.follow("kubectl apply -k policies/rbac").await;
    let until = async |what: &str, wanted: fn(&Policy) -> bool| {
        reader.cluster.until("nobody-is-cluster-admin", what, wanted).await;
    };
    until("the right is missing", |policy| policy.reason("Ready") == "Forbidden").await;
    for line in commands_of(PAGE) {
        reader.follow(&line.script).await;
    }
    until("the right is given", Policy::is_ready).await;

    let adapted = of_page(PAGE).into_iter().find(|block| block.text.contains("kind: Kustomization")).unwrap();
    reader.write("kustomization.yaml", &adapted.text);
    let built = reader.follow("kubectl kustomize .").await;
    assert!(built.contains("registry.corp.example"), "{built}");
}
