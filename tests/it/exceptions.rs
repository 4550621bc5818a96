//! Exceptions, from `kubectl apply` to the status that says what they do.

use jiff::{SignedDuration, Timestamp};

use crate::world::{Policy, shared};

const OBJECTS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: excepted}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: legacy, namespace: excepted}
spec:
  replicas: 0
  selector: {matchLabels: {app: legacy}}
  template:
    metadata: {labels: {app: legacy}}
    spec: {containers: [{name: web, image: 'ghcr.io/old/web:1'}, {name: mesh, image: 'istio/proxyv2:1'}]}
";

/// Rules that the Deployment breaks, and exceptions from them, of which one ends.
fn policy(until: &str) -> String {
    format!(
        "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {{name: excepted}}
spec:
  targets: [{{group: apps, resources: [deployments], namespaces: [excepted]}}]
  rules:
  - {{name: owner, path: $.metadata.labels.owner, assert: {{exists: true}}}}
  - {{name: registry, forEach: $containers, path: $.image, assert: {{like: 'ghcr.io/*'}}}}
  exceptions:
  - {{name: legacy, reason: moves soon, names: ['leg*'], rules: [owner], until: '{until}'}}
  - {{name: mesh, reason: the mesh injects it, images: ['*/istio/proxyv2:*']}}
  - {{name: nobody, reason: none left, names: [gone]}}
"
    )
}

/// What status says of each exception: name, used, needless, expired.
fn exceptions(policy: &Policy) -> Vec<String> {
    let exceptions = policy.0["status"]["exceptions"].as_array().cloned().unwrap_or_default();
    let shown = |of: &serde_json::Value| {
        format!("{} {} {} {}", of["name"], of["used"], of["needless"], of["expired"]).replace('"', "")
    };
    exceptions.iter().map(shown).collect()
}

#[tokio::test]
async fn what_exceptions_cover_is_counted_until_they_end_on_their_instant() {
    let world = shared().await.unwrap();
    world.apply(OBJECTS).await.unwrap();
    world.apply(&policy("2999-01-01T00:00:00Z")).await.unwrap();
    let wanted = ["legacy 1 0 false", "mesh 1 0 false", "nobody 0 0 false"];
    let excepted = world
        .until("excepted", "both rules are excepted", |p| p.is_ready() && exceptions(p) == wanted)
        .await
        .unwrap();
    assert_eq!((excepted.violations().len(), excepted.count("passed")), (0, 1));

    let end = Timestamp::now() + SignedDuration::from_secs(3);
    world.apply(&policy(&end.to_string())).await.unwrap();
    let wanted = ["legacy 0 0 true", "mesh 1 0 false", "nobody 0 0 false"];
    let ended = world
        .until("excepted", "the exception has ended", |p| p.count("failed") == 1 && exceptions(p) == wanted)
        .await
        .unwrap();
    assert!(ended.violations()[0].starts_with("excepted/legacy owner: "), "{:?}", ended.violations());
}
