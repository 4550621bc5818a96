//! The three consents: each is named where it is missing, and told from a fix that was tried.

use std::time::Duration;

use crate::enforce::{config_map, deployment, fix, grant_fixes, object, on_config_maps, on_deployments};
use crate::harness::ControlPlane;
use crate::release::Cluster;
use crate::world::{Policy, QUICK, World, namespace};

/// A policy that wants this owner on Deployments.
fn owner(name: &str, mode: &str, owner: &str) -> String {
    let rule =
        format!("path: $.metadata.annotations.owner, assert: {{equals: {owner}}}, fix: {{set: {owner}}}");
    on_deployments(name, mode, ", namespaces: [shop]", &rule)
}

const CURE: &str = r#"{apiGroups: ["apps"], resources: ["deployments"], verbs: ["get", "patch"]}"#;

#[tokio::test]
async fn with_the_rights_that_the_chart_grants_by_default_a_plan_says_what_it_would_change() {
    let (cluster, _) = Cluster::install(&[]).await;
    let kubectl = cluster.plane.kubectl();
    for object in [namespace("shop"), deployment("web"), owner("plans", "Plan", "team-a")] {
        kubectl.apply(&object).await.unwrap();
    }
    let _operator = cluster.operator().await;
    let is = |outcome: &'static str| move |policy: &Policy| fix(policy, "outcome") == outcome;
    let told = cluster.until("plans", "the change is worked out", is("NotVerified")).await;
    assert_eq!((fix(&told, "path"), fix(&told, "to")), ("metadata.annotations.owner", "team-a"));
    assert!(fix(&told, "message").contains("cannot get resource"), "{told:?}");
    assert_eq!(told.reason("Enforcing"), "Plan");
    assert!(told.message("Enforcing").contains(CURE), "{told:?}");

    // Without --allow-enforce it plans, and says which other consent is missing.
    kubectl.apply(&owner("enforces", "Enforce", "team-b")).await.unwrap();
    for policy in ["plans", "enforces"] {
        let what = format!("{policy} is told of the other");
        let wants = if policy == "plans" { "Conflict" } else { "NotVerified" };
        cluster.until(policy, &what, is(wants)).await;
    }
    let named = |policy: &Policy| {
        policy.reason("Enforcing") == "NotAllowed" && policy.message("Enforcing").contains(CURE)
    };
    cluster.until("enforces", "both consents are named", named).await;
    cluster.kubectl(&["delete", "wpol", "enforces"]).await.unwrap();

    kubectl.apply(&grant_fixes("apps", "deployments")).await.unwrap();
    let planned = cluster.until("plans", "it is tried out", is("Planned")).await;
    assert!(!planned.message("Enforcing").contains(CURE), "{planned:?}");
}

#[tokio::test]
async fn a_right_that_is_missing_or_given_is_told_without_any_fix() {
    let plane = ControlPlane::start().await.unwrap();
    let world = World::start(&plane, &[QUICK, &["--allow-enforce"]].concat()).await.unwrap();
    world.apply(&namespace("shop")).await.unwrap();
    world.apply(&config_map("right", "{a: good}")).await.unwrap();
    let rule = "rules: [{name: r, path: $.data.a, assert: {equals: good}, fix: {set: good}}]";
    world.apply(&on_config_maps("right", "right", rule)).await.unwrap();
    let until = async |what: &str, reason: &'static str| {
        world.until("right", what, |policy| policy.reason("Enforcing") == reason).await.unwrap()
    };
    let forbidden = until("nothing fails, and a right is missing", "Forbidden").await;
    assert!(forbidden.message("Enforcing").contains(r#"resources: ["configmaps"]"#), "{forbidden:?}");

    world.apply(&grant_fixes("", "configmaps")).await.unwrap();
    until("it is there", "Enforcing").await;
    let take = ["delete", "clusterrolebinding", "fix-configmaps."];
    world.plane.kubectl().run(&take).await.unwrap();
    until("it is gone", "Forbidden").await;
    world.apply(&config_map("right", "{a: bad}")).await.unwrap();
    let told =
        world.until("right", "it cannot be fixed", |policy| fix(policy, "outcome") == "NotVerified").await;
    assert_eq!((fix(told.as_ref().unwrap(), "from"), fix(told.as_ref().unwrap(), "to")), ("bad", "good"));
    world.apply(&config_map("right", "{a: good}")).await.unwrap();
    world.apply(&grant_fixes("", "configmaps")).await.unwrap();
    until("it is there again, and nothing was fixed", "Enforcing").await;
    let writes = world.requests("", "configmaps").unwrap();
    assert_eq!(writes.iter().filter(|request| request.verb == "patch").count(), 0);
}

#[tokio::test]
async fn policies_that_see_an_object_in_different_versions_do_not_undo_each_other() {
    let plane = ControlPlane::start().await.unwrap();
    let world = World::start(&plane, &[QUICK, &["--allow-enforce"]].concat()).await.unwrap();
    world.apply(&namespace("shop")).await.unwrap();
    world.grant("autoscaling", "horizontalpodautoscalers").await.unwrap();
    world.apply(&grant_fixes("autoscaling", "horizontalpodautoscalers")).await.unwrap();
    let policy = |version: &str, team: &str| {
        format!(
            "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {{name: scaler-{version}}}
spec:
  mode: Enforce
  targets: [{{group: autoscaling, version: {version}, resources: [horizontalpodautoscalers]}}]
  rules: [{{name: r, path: $.metadata.annotations.team, assert: {{equals: {team}}}, fix: {{set: {team}}}}}]
"
        )
    };
    let scaler = "
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: shop}
spec: {maxReplicas: 2, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}
";
    world.apply(scaler).await.unwrap();
    world.apply(&policy("v1", "a")).await.unwrap();
    world.until("scaler-v1", "it is written", |policy| policy.count("passed") == 1).await.unwrap();
    world.apply(&policy("v2", "b")).await.unwrap();
    let told = |policy: &Policy| fix(policy, "outcome") == "Conflict";
    let told = world.until("scaler-v2", "the other is named", told).await.unwrap();
    assert!(fix(&told, "message").contains("the policy scaler-v1 wants something else"), "{told:?}");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let scaler = object(&world, &["hpa", "web"]).await;
    assert_eq!(scaler["metadata"]["annotations"]["team"], "a");
    let requests = world.requests("autoscaling", "horizontalpodautoscalers").unwrap();
    assert_eq!(requests.iter().filter(|request| request.verb == "patch").count(), 1);
}
