//! What becomes of what was written when a policy, or a rule, ends.

use std::time::Duration;

use serde_json::Value;

use crate::enforce::{annotate_lease, deployment, grant_fixes, object};
use crate::harness::{ControlPlane, Operator, eventually};
use crate::world::{DEADLINE, Policy, QUICK, World, install, namespace, role};

/// As the chart gives it with `enforcement.enabled`.
const HOLDS: &str = "{apiGroups: [watchpolicy.io], resources: [watchpolicies], verbs: [patch]}";

const OWNER: &str = "{name: owner, path: \"$.metadata.annotations['corp.io/owner']\", assert: {exists: true}, fix: {set: us}}";
const TEAM: &str = "{name: team, path: $.metadata.labels.team, assert: {exists: true}, fix: {set: us}}";
const PAUSED: &str = "{name: paused, path: $.spec.paused, assert: {equals: true}, fix: {set: true}}";

fn policy(mode: &str, on_delete: &str, rules: &[&str]) -> String {
    format!(
        "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {{name: owners}}
spec:
  mode: {mode}
  targets: [{{group: apps, resources: [deployments], labelSelector: {{matchExpressions: [{{key: ours, operator: DoesNotExist}}]}}}}]
  rules: [{}]
  enforcement: {{onDelete: {on_delete}}}
",
        rules.join(", ")
    )
}

/// Keeps Deployments watched, whatever becomes of the other policy.
const WATCHES: &str = "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {name: watches}
spec:
  targets: [{group: apps, resources: [deployments]}]
  rules: [{name: replicas, path: $.spec.replicas, assert: {exists: true}}]
";

fn managers(object: &Value) -> Vec<&str> {
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    let ours = entries.iter().filter_map(|entry| entry["manager"].as_str());
    ours.filter(|manager| manager.starts_with("watchpolicy/")).collect()
}

fn owner(object: &Value) -> &Value {
    &object["metadata"]["annotations"]["corp.io/owner"]
}

/// Waits until the Deployment is as wanted.
async fn until(world: &World<'_>, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let look = async || {
        let web = object(world, &["deployment", "web", "--show-managed-fields"]).await;
        if wanted(&web) { Ok(web) } else { Err(format!("{:#}", web["metadata"])) }
    };
    eventually(DEADLINE, what, look).await.unwrap()
}

fn is_written(object: &Value) -> bool {
    owner(object) == "us" && object["metadata"]["labels"]["team"] == "us" && object["spec"]["paused"] == true
}

async fn is_gone(world: &World<'_>, policy: &str) {
    let look = async || match world.plane.kubectl().run(&["get", "wpol", policy, "-o", "json"]).await {
        Ok(found) => Err(format!("{:#}", serde_json::from_str::<Value>(&found).unwrap()["status"])),
        Err(error) if format!("{error:#}").contains("NotFound") => Ok(()),
        Err(error) => Err(format!("{error:#}")),
    };
    eventually(DEADLINE, "the policy is gone", look).await.unwrap();
}

async fn delete_policy(world: &World<'_>) {
    world.plane.kubectl().run(&["delete", "wpol", "owners", "--wait=false"]).await.unwrap();
}

#[tokio::test]
async fn what_a_policy_set_and_still_owns_is_taken_back_when_it_ends_or_kept() {
    let plane = ControlPlane::start().await.unwrap();
    let world = World::start(&plane, &[QUICK, &["--allow-enforce"]].concat()).await.unwrap();
    world.apply(&namespace("shop")).await.unwrap();
    world.apply(&grant_fixes("apps", "deployments")).await.unwrap();
    world.apply(&deployment("web")).await.unwrap();
    let all = [OWNER, TEAM, PAUSED];

    world.apply(&policy("Enforce", "Release", &all)).await.unwrap();
    let held = world
        .until("owners", "a right is missing", |policy| policy.reason("Enforcing") == "Forbidden")
        .await
        .unwrap();
    assert!(
        held.message("Enforcing").contains("resources: [\"watchpolicies\"], verbs: [\"patch\"]"),
        "{held:?}"
    );
    assert_eq!(
        managers(&object(&world, &["deployment", "web", "--show-managed-fields"]).await),
        [""; 0],
        "not before"
    );
    world.apply(&role("holds-policies", None, HOLDS)).await.unwrap();
    until(&world, "all is written", is_written).await;
    let enforced =
        world.until("owners", "enforced", |policy| policy.condition("Enforcing") == "True").await.unwrap();
    assert_eq!(enforced.0["metadata"]["finalizers"][0], "watchpolicy.io/release");

    // A rule goes: what it set goes, and nothing else.
    world.apply(&policy("Enforce", "Release", &[OWNER, PAUSED])).await.unwrap();
    let web = until(&world, "the label goes", |web| web["metadata"]["labels"]["team"].is_null()).await;
    assert_eq!((owner(&web), managers(&web).len()), (&"us".into(), 1));
    world.apply(&policy("Enforce", "Release", &all)).await.unwrap();
    until(&world, "all is written", is_written).await;

    who_does_not_enforce_any_more_takes_back_what_it_still_owns(&world, &all).await;
    deleted_policies_wait_until_they_are_done(&world, &all).await;
    policies_that_go_meanwhile_are_cleaned_up_after(world, &all).await;
}

async fn who_does_not_enforce_any_more_takes_back_what_it_still_owns(world: &World<'_>, all: &[&str]) {
    // Somebody takes the annotation over, and an object is not selected any more.
    world.plane.kubectl().run(&["label", "deployment", "-n", "shop", "web", "ours=no"]).await.unwrap();
    world
        .plane
        .kubectl()
        .run(&["annotate", "--overwrite", "deployment", "-n", "shop", "web", "corp.io/owner=me"])
        .await
        .unwrap();
    world.apply(&policy("Audit", "Release", all)).await.unwrap();
    let web = until(world, "the entry goes", |web| managers(web).is_empty()).await;
    assert_eq!(
        (owner(&web), &web["metadata"]["labels"]["team"], &web["spec"]["paused"]),
        (&"me".into(), &Value::Null, &true.into())
    );
    let audited = |policy: &Policy| {
        policy.reason("Enforcing") == "Audit" && policy.0["metadata"]["finalizers"].is_null()
    };
    world.until("owners", "audited", audited).await.unwrap();
    world.plane.kubectl().run(&["label", "deployment", "-n", "shop", "web", "ours-"]).await.unwrap();
    world
        .plane
        .kubectl()
        .run(&["annotate", "deployment", "-n", "shop", "web", "corp.io/owner-"])
        .await
        .unwrap();
    world
        .plane
        .kubectl()
        .run(&["patch", "deployment", "-n", "shop", "web", "-p", r#"{"spec":{"paused":false}}"#])
        .await
        .unwrap();
}

/// Deletes the policy while writes are stopped, and then while a right is missing.
async fn deleted_policies_wait_until_they_are_done(world: &World<'_>, all: &[&str]) {
    world.apply(&policy("Enforce", "Release", all)).await.unwrap();
    until(world, "all is written", is_written).await;
    annotate_lease(world, "watchpolicy.io/writes=stopped").await;
    world.until("owners", "stopped", |policy| policy.reason("Enforcing") == "Stopped").await.unwrap();
    delete_policy(world).await;
    let releasing =
        |policy: &Policy| policy.message("Enforcing").contains("1 object is left; writes are stopped");
    let waits = world.until("owners", "it waits", releasing).await.unwrap();
    assert_eq!((waits.reason("Enforcing"), waits.reason("Ready")), ("Releasing", "Deleting"));
    world.plane.kubectl().run(&["delete", "clusterrolebinding", "fix-deployments.apps"]).await.unwrap();
    annotate_lease(world, "watchpolicy.io/writes-").await;
    let cure = r#"{apiGroups: ["apps"], resources: ["deployments"], verbs: ["get", "patch"]}"#;
    world
        .until("owners", "a right is missing", |policy| policy.message("Enforcing").contains(cure))
        .await
        .unwrap();
    world.apply(&grant_fixes("apps", "deployments")).await.unwrap();
    is_gone(world, "owners").await;
    let web = object(world, &["deployment", "web", "--show-managed-fields"]).await;
    assert_eq!((owner(&web), managers(&web).len(), &web["spec"]["paused"]), (&Value::Null, 0, &true.into()));
}

/// `Keep`, with and without an operator; and `Release` without.
async fn policies_that_go_meanwhile_are_cleaned_up_after(mut world: World<'_>, all: &[&str]) {
    world.apply(&policy("Enforce", "Keep", all)).await.unwrap();
    until(&world, "all is written", is_written).await;
    world.delete(&["wpol", "owners"]).await.unwrap();
    let web = until(&world, "the entry goes", |web| managers(web).is_empty()).await;
    assert!(is_written(&web), "values stay: {web:#}");

    world.apply(WATCHES).await.unwrap();
    for on_delete in ["Keep", "Release"] {
        world
            .plane
            .kubectl()
            .run(&["annotate", "deployment", "-n", "shop", "web", "corp.io/owner-"])
            .await
            .unwrap();
        world.apply(&policy("Enforce", on_delete, all)).await.unwrap();
        until(&world, "all is written", |web| managers(web).len() == 1).await;
        let World { plane, operator } = world;
        assert_eq!(operator.stop(Duration::from_secs(30)).await.unwrap(), 0);
        plane.kubectl().run(&["delete", "wpol", "owners", "--wait=false"]).await.unwrap();
        let kubeconfig = install(plane).await.unwrap();
        let args = [QUICK, &["--allow-enforce"]].concat();
        let operator = Operator::start(plane, &kubeconfig, &args).await.unwrap();
        world = World { plane, operator };
        is_gone(&world, "owners").await;
        let web = until(&world, "the entry goes", |web| managers(web).is_empty()).await;
        assert_eq!(owner(&web).is_null(), on_delete == "Release", "{on_delete}");
    }
}

#[tokio::test]
async fn a_kind_that_is_gone_holds_no_policy() {
    let plane = ControlPlane::start().await.unwrap();
    let world = World::start(&plane, &[QUICK, &["--allow-enforce"]].concat()).await.unwrap();
    world.apply(&namespace("shop")).await.unwrap();
    world.apply(&role("holds-policies", None, HOLDS)).await.unwrap();
    let group = "ends.example.com";
    world.install_crd(group, "widgets", "Widget").await.unwrap();
    world.grant(group, "widgets").await.unwrap();
    world.apply(&grant_fixes(group, "widgets")).await.unwrap();
    world
        .apply(
            "{apiVersion: ends.example.com/v1, kind: Widget, metadata: {name: w, namespace: shop}, spec: {}}",
        )
        .await
        .unwrap();
    let on_widgets = policy("Enforce", "Release", &[TEAM])
        .replace("{group: apps, resources: [deployments]", "{group: ends.example.com, resources: [widgets]");
    world.apply(&on_widgets).await.unwrap();
    world.until("owners", "written", |policy| policy.count("passed") == 1).await.unwrap();
    world.delete(&["crd", "widgets.ends.example.com"]).await.unwrap();
    delete_policy(&world).await;
    is_gone(&world, "owners").await;
}

/// An annotation of the operator's Lease.
async fn noted(plane: &ControlPlane, annotation: &str) -> Value {
    let args = ["get", "lease", "-n", "watchpolicy-system", "watchpolicy", "-o", "json"];
    let lease: Value = serde_json::from_str(&plane.kubectl().run(&args).await.unwrap()).unwrap();
    lease["metadata"]["annotations"][annotation].clone()
}

#[tokio::test]
async fn what_a_policy_left_that_went_meanwhile_is_found_though_none_names_its_kind() {
    let plane = ControlPlane::start().await.unwrap();
    let args = [QUICK, &["--allow-enforce"]].concat();
    let world = World::start(&plane, &args).await.unwrap();
    world.apply(&namespace("shop")).await.unwrap();
    world.apply(&grant_fixes("apps", "deployments")).await.unwrap();
    world.apply(&deployment("web")).await.unwrap();
    world.apply(&policy("Enforce", "Keep", &[OWNER, TEAM, PAUSED])).await.unwrap();
    until(&world, "all is written", is_written).await;
    annotate_lease(&world, "note=theirs").await;
    assert_eq!(noted(&plane, "watchpolicy.io/wrote-to").await, "deployments.apps");

    let World { operator, .. } = world;
    assert_eq!(operator.stop(Duration::from_secs(30)).await.unwrap(), 0);
    plane.kubectl().run(&["delete", "wpol", "owners"]).await.unwrap();
    let operator = Operator::start(&plane, &install(&plane).await.unwrap(), &args).await.unwrap();
    let world = World { plane: &plane, operator };
    let web = until(&world, "the entry goes", |web| managers(web).is_empty()).await;
    assert!(is_written(&web), "values stay: {web:#}");
    let is_done = async || {
        let named = noted(&plane, "watchpolicy.io/wrote-to").await;
        let open = world.open_watches("apps", "deployments").unwrap();
        if named.is_null() && open == 0 { Ok(()) } else { Err(format!("{named}, {open} watches")) }
    };
    eventually(DEADLINE * 3, "the kind is neither named nor watched", is_done).await.unwrap();
    assert_eq!(noted(&plane, "note").await, "theirs", "what others keep in the Lease is theirs");
}
