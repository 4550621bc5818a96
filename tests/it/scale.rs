//! What a large cluster costs: its kinds, its large objects, its policies. A small share is a test; the whole is
//! `make soak`, whose numbers are in docs/performance.md.

use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::harness::{ControlPlane, Operator, eventually};
use crate::world::{World, crd, grant, install, namespace, series};

/// How much of each there is.
struct Scale {
    kinds: usize,
    large: usize,
    policies: usize,
    /// Objects that fail each of these policies.
    failing: usize,
    deadline: Duration,
}

const SHARE: Scale =
    Scale { kinds: 10, large: 12, policies: 20, failing: 10, deadline: Duration::from_secs(60) };
const FULL: Scale =
    Scale { kinds: 200, large: 250, policies: 1000, failing: 100, deadline: Duration::from_secs(600) };

/// Bytes of a large object; the API server takes little more.
const LARGE: usize = 900_000;
/// What the operator may take, whatever is in the cluster: the limit that the chart gives it.
const MOST_MEMORY: u64 = 512 << 20;
/// What a status may be, as the API server sends and stores it.
const MOST_STATUS: usize = 64 << 10;
/// What `/metrics` may be: so much, and so much for each policy.
const MOST_PAGE: (usize, usize) = (64 << 10, 1200);
const GROUP: &str = "scale.example.com";
const MIB: u64 = 1 << 20;

#[tokio::test]
async fn a_small_cluster_is_followed_within_bounds() {
    follow(&SHARE).await;
}

#[tokio::test]
#[ignore = "takes minutes: make soak"]
async fn a_large_cluster_is_followed_within_bounds() {
    follow(&FULL).await;
}

async fn follow(scale: &Scale) {
    let plane = ControlPlane::start().await.unwrap();
    plane.kubectl().apply(&namespace("scale")).await.unwrap();
    many_kinds(&plane, scale).await;
    large_objects(&plane, scale).await;
    many_policies(&plane, scale).await;
}

/// An operator for one measurement, with the usual settings.
async fn operator(plane: &ControlPlane) -> World<'_> {
    let kubeconfig = install(plane).await.unwrap();
    let operator = Operator::start(plane, &kubeconfig, &[]).await.unwrap();
    operator.wait_until_ready().await.unwrap();
    World { plane, operator }
}

/// The end of one measurement: what the next one measures is its own.
async fn end(world: World<'_>, policies: &str) {
    let World { plane, operator } = world;
    let delete = ["delete", "wpol", "-l", &format!("scale={policies}")];
    plane.kubectl().run(&delete).await.unwrap();
    assert_eq!(operator.stop(Duration::from_secs(60)).await.unwrap(), 0);
}

fn policy(name: &str, of: &str, target: &str, rule: &str) -> String {
    format!(
        "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {{name: {name}, labels: {{scale: {of}}}}}
spec:
  targets: [{{{target}}}]
  rules: [{{name: rule, {rule}}}]
"
    )
}

/// One policy of all kinds of a group, met by an operator that starts.
async fn many_kinds(plane: &ControlPlane, scale: &Scale) {
    let kinds: Vec<String> = (0..scale.kinds).map(|n| format!("Kind{n:03}")).collect();
    let crds: Vec<_> =
        kinds.iter().map(|kind| crd(GROUP, &format!("{}s", kind.to_lowercase()), kind)).collect();
    plane.kubectl().apply(&crds.join("---\n")).await.unwrap();
    let wait = ["wait", "--for=condition=Established", "--timeout=600s", "crd", "--all"];
    plane.kubectl().run(&wait).await.unwrap();
    let object = |kind: &String| {
        format!(
            "{{apiVersion: {GROUP}/v1, kind: {kind}, metadata: {{name: one, namespace: scale}}, spec: {{size: 1}}}}"
        )
    };
    let objects: Vec<_> = kinds.iter().map(object).collect();
    let apply = async || plane.kubectl().apply(&objects.join("\n---\n")).await;
    eventually(scale.deadline, "all kinds are served", apply).await.unwrap();
    install(plane).await.unwrap();
    plane.kubectl().apply(&grant(GROUP, "*")).await.unwrap();
    let all = policy(
        "kinds",
        "kinds",
        &format!("group: {GROUP}, resources: ['*']"),
        "path: $.spec.size, assert: {equals: 2}",
    );
    plane.kubectl().apply(&all).await.unwrap();

    let start = Instant::now();
    let world = operator(plane).await;
    let ready = start.elapsed();
    let count = i64::try_from(scale.kinds).unwrap();
    world
        .until("kinds", "every kind is judged", |p| p.is_ready() && p.count("failed") == count)
        .await
        .unwrap();
    let (judged, memory) = (start.elapsed(), world.operator.memory().await.unwrap());
    let sockets = world.operator.sockets().await.unwrap();
    println!(
        "{count} kinds: ready {ready:.1?} after the start, all judged and in status after {judged:.1?}; {sockets} sockets, {} MiB",
        memory / MIB
    );
    // One for each open watch, and some that wait for another request.
    assert!(sockets <= scale.kinds + 64, "{sockets} sockets for {count} kinds");
    assert!(memory < MOST_MEMORY);
    end(world, "kinds").await;
}

/// Makes ConfigMaps, several at a time.
async fn make(plane: &ControlPlane, prefix: &str, (count, bytes): (usize, usize)) {
    let maps: Api<ConfigMap> = Api::namespaced(plane.access().admin().await.unwrap(), "scale");
    let make = |n: usize| {
        let maps = maps.clone();
        async move {
            let metadata = ObjectMeta { name: Some(format!("{prefix}-{n:04}")), ..ObjectMeta::default() };
            let data = Some([("text".to_owned(), "x".repeat(bytes))].into());
            let map = ConfigMap { metadata, data, ..ConfigMap::default() };
            maps.create(&PostParams::default(), &map).await.unwrap();
        }
    };
    futures::stream::iter(0..count).for_each_concurrent(8, make).await;
}

/// Objects as large as the API server takes them, of which a rule reads everything: what anybody can make who may
/// make ConfigMaps.
async fn large_objects(plane: &ControlPlane, scale: &Scale) {
    make(plane, "large", (scale.large, LARGE)).await;
    let world = operator(plane).await;
    let idle = world.operator.memory().await.unwrap();
    let target = "resources: [configmaps], names: ['large-*']";
    let start = Instant::now();
    world
        .apply(&policy("large", "large", target, "path: $.data.text, assert: {equals: small}"))
        .await
        .unwrap();
    let count = i64::try_from(scale.large).unwrap();
    // Too much of each is read to be kept.
    world.until("large", "each is an error", |p| p.is_ready() && p.count("errored") == count).await.unwrap();
    let (memory, peak) =
        (world.operator.memory().await.unwrap(), world.operator.peak_memory().await.unwrap());
    println!(
        "{count} objects of {LARGE} bytes: told after {:.1?}; {} MiB before, {} at most, {} after",
        start.elapsed(),
        idle / MIB,
        peak / MIB,
        memory / MIB
    );
    assert!(peak < MOST_MEMORY, "{peak}");
    end(world, "large").await;
    plane.kubectl().run(&["delete", "configmaps", "-n", "scale", "--all", "--wait=false"]).await.unwrap();
}

/// Policies that all objects fail.
async fn many_policies(plane: &ControlPlane, scale: &Scale) {
    make(plane, "map", (scale.failing, 100)).await;
    let world = operator(plane).await;
    let idle = world.operator.memory().await.unwrap();
    let rule = "path: $.metadata.labels.team, assert: {exists: true}";
    let target = "resources: [configmaps], names: ['map-*']";
    let policies: Vec<_> =
        (0..scale.policies).map(|n| policy(&format!("many-{n:04}"), "many", target, rule)).collect();
    let start = Instant::now();
    world.apply(&policies.join("---\n")).await.unwrap();
    let applied = start.elapsed();
    let told = async |failing: usize| {
        let told = async || match statuses(&world).await {
            Ok(all) if all.iter().all(|status| status["summary"]["failed"] == failing) => Ok(all),
            Ok(all) => {
                // To look is more work than what is looked for.
                tokio::time::sleep(Duration::from_secs(1)).await;
                let told = all.iter().filter(|status| status["summary"]["failed"] == failing);
                Err(format!("{} of {}", told.count(), scale.policies))
            }
            Err(error) => Err(format!("{error:#}")),
        };
        eventually(scale.deadline, "all violations are in status", told).await.unwrap()
    };
    let all = told(scale.failing).await;
    let in_status = start.elapsed();
    let largest = sizes(&world, "many").await.into_iter().max().unwrap_or_default();
    assert!(all.len() == scale.policies && largest <= MOST_STATUS, "{} statuses, {largest} bytes", all.len());

    let asked = Instant::now();
    let page = world.operator.metrics().await.unwrap();
    let answered = asked.elapsed();
    let labels = [("policy", "many-0000"), ("severity", "medium")];
    let violations = series(&page, "watchpolicy_violations", &labels).unwrap();
    assert_eq!(violations, Some(scale.failing as f64));
    assert!(page.len() <= MOST_PAGE.0 + MOST_PAGE.1 * scale.policies, "{} bytes", page.len());

    let edit = Instant::now();
    world.plane.kubectl().run(&["label", "-n", "scale", "configmap/map-0000", "team=shop"]).await.unwrap();
    told(scale.failing - 1).await;
    let page = world.operator.metrics().await.unwrap();
    let processor = series(&page, "process_cpu_seconds_total", &[]).unwrap().unwrap_or_default();
    println!(
        "{} policies, {} violations: applied in {applied:.1?}, all in status after {in_status:.1?}, the largest of {largest} bytes; \
         an edit is in all after {:.1?}; {processor:.1} s of the processor; /metrics has {} KiB and takes {answered:.1?}; \
         {} MiB before, {} at most, {} after",
        scale.policies,
        scale.policies * scale.failing,
        edit.elapsed(),
        page.len() >> 10,
        idle / MIB,
        world.operator.peak_memory().await.unwrap() / MIB,
        world.operator.memory().await.unwrap() / MIB,
    );
    assert!(world.operator.peak_memory().await.unwrap() < MOST_MEMORY);
    a_wordy_policy(&world, scale).await;
    end(world, "many").await;
}

/// The status of a policy whose messages are as long as they can be, of what takes six bytes on the wire and one here.
async fn a_wordy_policy(world: &World<'_>, scale: &Scale) {
    let rule = |n| {
        let message = "<".repeat(1000);
        format!(
            "{{name: rule-{n}, path: $.metadata.labels.town, assert: {{exists: true}}, message: '{message}'}}"
        )
    };
    let rules: Vec<_> = (0..2).map(rule).collect();
    let policy = format!(
        "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {{name: wordy, labels: {{scale: wordy}}}}
spec:
  targets: [{{resources: [configmaps], names: ['map-*']}}]
  rules: [{}]
",
        rules.join(", ")
    );
    world.apply(&policy).await.unwrap();
    let count = i64::try_from(scale.failing).unwrap();
    world.until("wordy", "it is judged", |p| p.is_ready() && p.count("failed") == count).await.unwrap();
    let sizes = sizes(world, "wordy").await;
    // More than fits was there to be told: texts were cut.
    assert!(sizes.len() == 1 && sizes[0] > MOST_STATUS / 2 && sizes[0] <= MOST_STATUS, "{sizes:?}");
    world.delete(&["wpol", "wordy"]).await.unwrap();
}

/// The bytes of statuses as the API server sends them.
async fn sizes(world: &World<'_>, of: &str) -> Vec<usize> {
    #[derive(Deserialize)]
    struct List {
        items: Vec<Stored>,
    }
    #[derive(Deserialize)]
    struct Stored {
        status: Box<RawValue>,
    }
    let path = format!("/apis/watchpolicy.io/v1alpha1/watchpolicies?labelSelector=scale%3D{of}");
    let list = world.plane.kubectl().run(&["get", "--raw", &path]).await.unwrap();
    let list: List = serde_json::from_str(&list).unwrap();
    list.items.iter().map(|stored| stored.status.get().len()).collect()
}

async fn statuses(world: &World<'_>) -> anyhow::Result<Vec<Value>> {
    let get = ["get", "wpol", "-l", "scale=many", "-o", "json"];
    let list: Value = serde_json::from_str(&world.plane.kubectl().run(&get).await?)?;
    let items = list["items"].as_array().cloned().unwrap_or_default();
    Ok(items.into_iter().map(|mut item| item["status"].take()).collect())
}
