//! Events on policies, as the real API server takes and shows them.

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::harness::{ControlPlane, eventually};
use crate::world::{DEADLINE, crd, grant, shared};

/// The events of a namespace that are about an object of this name, by reason.
pub(crate) async fn events(plane: &ControlPlane, namespace: &str, name: &str) -> Result<Vec<Value>> {
    let get = ["get", "events.events.k8s.io", "-n", namespace, "-o", "json"];
    let mut list: Value = serde_json::from_str(&plane.kubectl().run(&get).await?)?;
    let mut events = std::mem::take(list["items"].as_array_mut().unwrap());
    events.retain(|event| event["regarding"]["name"] == name);
    Ok(events)
}

/// Waits for an event of this reason.
pub(crate) async fn event(plane: &ControlPlane, namespace: &str, name: &str, reason: &str) -> Value {
    let look = async || {
        let events = events(plane, namespace, name).await?;
        let reasons: Vec<_> = events.iter().map(|event| event["reason"].to_string()).collect();
        let found = events.into_iter().find(|event| event["reason"] == reason);
        ensure!(found.is_some(), "{reasons:?}");
        anyhow::Ok(found.unwrap())
    };
    eventually(DEADLINE, &format!("{name} has the event {reason}"), look).await.unwrap()
}

fn policy(name: &str, path: &str) -> String {
    format!(
        "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {{name: {name}}}
spec:
  targets: [{{group: {name}.example.com, resources: [widgets]}}]
  rules: [{{name: size, path: '{path}', assert: {{exists: true}}}}]
"
    )
}

#[tokio::test]
async fn a_policy_that_breaks_and_is_mended_has_an_event_of_both() {
    let world = shared().await.unwrap();
    world.apply(&policy("events-broken", "$.spec[")).await.unwrap();
    let broken = event(world.plane, "default", "events-broken", "Invalid").await;
    assert_eq!(broken["type"], "Warning");
    assert!(broken["note"].as_str().unwrap().contains("`[` without its `]`"), "{broken:#}");
    assert_eq!(broken["regarding"]["kind"], "WatchPolicy");
    world.apply(&policy("events-broken", "$.spec.size")).await.unwrap();
    event(world.plane, "default", "events-broken", "Valid").await;
    let described = world.plane.kubectl().run(&["describe", "wpol", "events-broken"]).await.unwrap();
    assert!(described.contains("Invalid") && described.contains("watchpolicy.io/operator"), "{described}");
}

#[tokio::test]
async fn a_target_that_is_forbidden_and_then_allowed_has_an_event_of_both() {
    let world = shared().await.unwrap();
    world.apply(&crd("events-target.example.com", "widgets", "Widget")).await.unwrap();
    world.apply(&policy("events-target", "$.spec.size")).await.unwrap();
    let forbidden = event(world.plane, "default", "events-target", "TargetForbidden").await;
    assert!(
        forbidden["note"].as_str().unwrap().contains("widgets.events-target.example.com: "),
        "{forbidden:#}"
    );
    world.apply(&grant("events-target.example.com", "widgets")).await.unwrap();
    event(world.plane, "default", "events-target", "TargetSynced").await;
}
