//! Promises that need a control plane of their own: its end, its load, its past.

use std::path::Path;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};

use crate::harness::operator::USER;
use crate::harness::{ControlPlane, Operator, eventually};
use crate::world::{DEADLINE, Policy, QUICK, World, install, namespace};

const TEAM: &str = "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {name: team}
spec:
  targets: [{resources: [configmaps], names: ['map-*', one-more]}]
  match: [{path: $.metadata.namespace, assert: {equals: load}}]
  rules: [{name: team, path: $.metadata.labels.team, assert: {exists: true}}]
";

/// Makes ConfigMaps without the label, several at a time.
async fn make(plane: &ControlPlane, count: usize) {
    let client = plane.access().admin().await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(client, "load");
    let make = |n: usize| {
        let maps = maps.clone();
        async move {
            let metadata = ObjectMeta { name: Some(format!("map-{n:05}")), ..ObjectMeta::default() };
            let data = Some([("text".to_owned(), "x".repeat(2000))].into());
            let map = ConfigMap { metadata, data, ..ConfigMap::default() };
            maps.create(&PostParams::default(), &map).await.unwrap();
        }
    };
    use futures::StreamExt;
    futures::stream::iter(0..count).for_each_concurrent(16, make).await;
}

#[tokio::test]
async fn five_thousand_objects_are_listed_in_pages_and_judged() {
    let plane = ControlPlane::start().await.unwrap();
    plane.kubectl().apply(&namespace("load")).await.unwrap();
    make(&plane, 5000).await;
    let world = World::start(&plane, QUICK).await.unwrap();
    let idle = world.operator.memory().await.unwrap();
    let start = Instant::now();
    world.apply(TEAM).await.unwrap();
    let all =
        world.until("team", "all are judged", |p| p.is_ready() && p.count("failed") == 5000).await.unwrap();
    let took = start.elapsed();
    assert_eq!(all.violations().len(), 20);
    assert_eq!(all.0["status"]["violationsTruncated"], 4980);
    let requests = world.requests("", "configmaps").unwrap();
    let pages: Vec<_> = requests.iter().filter(|request| request.verb == "list").collect();
    assert!(pages.len() >= 10, "{pages:#?}");
    assert!(pages.iter().all(|page| page.uri.contains("limit=500")), "{pages:#?}");
    let all_requests = plane.requests(|user| user == USER).unwrap().len();
    println!(
        "5,000 objects: judged and in status after {took:?}; memory {} MiB idle, {} MiB with them; {all_requests} requests since the start",
        idle >> 20,
        world.operator.memory().await.unwrap() >> 20,
    );
    let label = ["label", "-n", "load", "configmap/map-00000", "team=shop"];
    plane.kubectl().run(&label).await.unwrap();
    world
        .until("team", "an edit is followed", |p| p.count("failed") == 4999 && p.count("passed") == 1)
        .await
        .unwrap();
}

/// An operator beside a control plane that a test may hurt.
async fn start(plane: &ControlPlane, kubeconfig: &Path) -> Operator {
    let operator = Operator::start(plane, kubeconfig, QUICK).await.unwrap();
    operator.wait_until_ready().await.unwrap();
    operator
}

async fn until(plane: &ControlPlane, what: &str, wanted: impl Fn(&Policy) -> bool) -> Policy {
    let look = async || {
        let text = plane
            .kubectl()
            .run(&["get", "wpol", "team", "-o", "json"])
            .await
            .map_err(|e| format!("{e:#}"))?;
        let policy = Policy(serde_json::from_str(&text).map_err(|error| error.to_string())?);
        if wanted(&policy) { Ok(policy) } else { Err(format!("{:#}", policy.0["status"])) }
    };
    eventually(DEADLINE, what, look).await.unwrap()
}

#[tokio::test]
async fn an_api_server_killed_and_started_again_is_followed_without_loss() {
    killed(3).await;
}

#[tokio::test]
#[ignore = "takes minutes: make soak"]
async fn an_api_server_killed_twenty_times_is_followed_without_loss() {
    killed(20).await;
}

/// Kills the API server again and again, and changes something each time before the operator has found it again.
async fn killed(times: usize) {
    let mut plane = ControlPlane::start().await.unwrap();
    plane.kubectl().apply(&namespace("load")).await.unwrap();
    make(&plane, 3).await;
    let kubeconfig = install(&plane).await.unwrap();
    let operator = start(&plane, &kubeconfig).await;
    plane.kubectl().apply(TEAM).await.unwrap();
    until(&plane, "three violations", |p| p.count("failed") == 3).await;
    let sockets = operator.sockets().await.unwrap();
    for time in 0..times {
        plane.kill_apiserver().await.unwrap();
        let degraded = async || {
            operator.metrics().await.is_ok_and(|page| page.contains("state=\"Degraded\"")).then_some(())
        };
        eventually(DEADLINE, "the target is degraded", degraded).await.unwrap();
        assert_eq!(operator.get("/livez").await.unwrap().0, 200);
        plane.restart_apiserver().await.unwrap();
        let goes = time % 2 == 0;
        let [object, label] = if goes { ["delete", "team=shop"] } else { ["create", "team-"] };
        plane.kubectl().run(&[object, "-n", "load", "configmap", "map-00000"]).await.unwrap();
        plane.kubectl().run(&["label", "-n", "load", "configmap/map-00001", label]).await.unwrap();
        let (failed, passed) = if goes { (1, 1) } else { (3, 0) };
        let right = |p: &Policy| {
            p.is_ready() && (p.count("failed"), p.count("passed"), p.count("stale")) == (failed, passed, 0)
        };
        until(&plane, "what happened meanwhile and after is known", right).await;
    }
    let calm = async || match operator.sockets().await {
        Ok(now) if now <= sockets + 2 => Ok(()),
        now => Err(format!("{now:?}, {sockets} before")),
    };
    eventually(DEADLINE, "no connection is left over", calm).await.unwrap();
}

#[tokio::test]
async fn a_restarted_operator_keeps_when_violations_were_first_seen_and_ends_with_zero() {
    let plane = ControlPlane::start().await.unwrap();
    plane.kubectl().apply(&namespace("load")).await.unwrap();
    make(&plane, 2).await;
    let kubeconfig = install(&plane).await.unwrap();
    let operator = start(&plane, &kubeconfig).await;
    plane.kubectl().apply(TEAM).await.unwrap();
    let before = until(&plane, "two violations", |p| p.count("failed") == 2).await;
    let code = operator.stop(Duration::from_secs(30)).await.unwrap();
    assert_eq!(code, 0);
    // Times in status have whole seconds: what is seen anew would be seen later than this.
    let seen: jiff::Timestamp =
        before.0["status"]["violations"][0]["firstSeen"].as_str().unwrap().parse().unwrap();
    let later = async || (jiff::Timestamp::now().as_second() > seen.as_second() + 1).then_some(());
    eventually(DEADLINE, "two seconds later", later).await.unwrap();
    make_one_more(&plane).await;

    let operator = Operator::start(&plane, &kubeconfig, QUICK).await.unwrap();
    let after = until(&plane, "the third one is seen", |p| p.count("failed") == 3).await;
    for violation in before.0["status"]["violations"].as_array().unwrap() {
        let same = after.0["status"]["violations"]
            .as_array()
            .unwrap()
            .iter()
            .find(|v| v["object"] == violation["object"]);
        assert_eq!(same.unwrap()["firstSeen"], violation["firstSeen"]);
    }
    assert_eq!(operator.stop(Duration::from_secs(30)).await.unwrap(), 0);
}

async fn make_one_more(plane: &ControlPlane) {
    plane.kubectl().run(&["create", "configmap", "-n", "load", "one-more"]).await.unwrap();
}

#[tokio::test]
async fn a_policy_that_was_stored_by_another_version_of_the_crd_is_reported_and_hides_no_other() {
    let plane = ControlPlane::start().await.unwrap();
    plane.kubectl().apply(&namespace("load")).await.unwrap();
    make(&plane, 1).await;
    let kubeconfig = install(&plane).await.unwrap();
    // A CRD of another version, that takes what this one does not.
    let schema = r#"[{"op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema", "value": {
        "type": "object", "x-kubernetes-preserve-unknown-fields": true}}]"#;
    let crd = ["patch", "crd", "watchpolicies.watchpolicy.io", "--type=json", "-p", schema];
    plane.kubectl().run(&crd).await.unwrap();
    let other = r#"
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {name: from-the-future}
spec: {rules: everything is fine}
"#;
    let stored = async || plane.kubectl().apply(other).await;
    eventually(DEADLINE, "the other version is served", stored).await.unwrap();

    let _operator = start(&plane, &kubeconfig).await;
    plane.kubectl().apply(TEAM).await.unwrap();
    until(&plane, "others go on", |p| p.count("failed") == 1).await;
    let look = async || {
        let text = plane
            .kubectl()
            .run(&["get", "wpol", "from-the-future", "-o", "json"])
            .await
            .map_err(|e| format!("{e:#}"))?;
        let policy = Policy(serde_json::from_str(&text).map_err(|error| error.to_string())?);
        if policy.reason("Validated") == "Unreadable" {
            Ok(policy)
        } else {
            Err(format!("{:#}", policy.0["status"]))
        }
    };
    let reported = eventually(DEADLINE, "it is reported", look).await.unwrap();
    assert_eq!((reported.condition("Ready"), reported.condition("Stalled")), ("False", "True"));
}
