//! Very many violations put right: each by one write, of one field, beside a client that does nothing else. A small
//! share is a test; the whole is `make soak`, whose numbers are in docs/performance.md.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use http::header::CONTENT_TYPE;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::enforce::grant_fixes;
use crate::harness::operator::{NAMESPACE, SERVICE_ACCOUNT, USER};
use crate::harness::{ControlPlane, eventually};
use crate::world::{Policy, World, namespace};

/// As many requests at a time as the operator has under way.
const AT_A_TIME: usize = 4;
const OWNER: &str = "nobody@corp.com";

const OWNERS: &str = "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {name: owners}
spec:
  mode: Enforce
  targets: [{resources: [configmaps], namespaces: [bulk], names: ['map-*']}]
  rules:
  - name: owner
    path: $.metadata.annotations['corp.io/owner']
    assert: {equals: nobody@corp.com}
    fix: {set: nobody@corp.com}
  enforcement: {maxPerMinute: 6000}
";

/// A ConfigMap with more in it than the field that is wrong.
fn config_map(number: usize) -> ConfigMap {
    let object = json!({
        "metadata": {
            "name": format!("map-{number}"),
            "labels": {"team": "a"},
            "annotations": {"corp.io/owner": "somebody", "note": "kept"},
        },
        "data": {"key": "x".repeat(1000)},
    });
    serde_json::from_value(object).unwrap()
}

async fn make(api: &Api<ConfigMap>, count: usize) {
    let make = |number| async move { api.create(&PostParams::default(), &config_map(number)).await.unwrap() };
    stream::iter(0..count).map(make).buffer_unordered(16).for_each(|_| async {}).await;
}

/// What a fix is, and nothing around it: one object read, and patched as the operator does it.
async fn fix(client: &Client, number: usize) {
    let path = format!("/api/v1/namespaces/bare/configmaps/map-{number}");
    let read: Value = client.request(http::Request::get(&path).body(Vec::new()).unwrap()).await.unwrap();
    let place = "/metadata/annotations/corp.io~1owner";
    let patch = json!([
        {"op": "test", "path": "/metadata/uid", "value": read["metadata"]["uid"]},
        {"op": "test", "path": place, "value": "somebody"},
        {"op": "replace", "path": place, "value": OWNER},
    ]);
    let request = http::Request::patch(format!("{path}?fieldManager=bare"))
        .header(CONTENT_TYPE, "application/json-patch+json")
        .body(patch.to_string().into_bytes())
        .unwrap();
    client.request::<Value>(request).await.unwrap();
}

/// Fixes a range of objects; gives how many in a second.
async fn fix_bare(client: &Client, numbers: std::ops::Range<usize>) -> f64 {
    let (start, count) = (Instant::now(), numbers.len());
    stream::iter(numbers).map(|number| fix(client, number)).buffer_unordered(AT_A_TIME).count().await;
    rate(count, start.elapsed())
}

fn rate(count: usize, time: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap()) / time.as_secs_f64()
}

/// How often each object was patched by the operator, and how many fixes that is in a second.
fn patches(world: &World<'_>) -> (BTreeMap<String, usize>, f64) {
    let requests = world.plane.requests(|user| user == USER).unwrap();
    let of_objects: Vec<_> =
        requests.iter().filter(|request| request.namespace == "bulk" && !request.name.is_empty()).collect();
    let mut patches = BTreeMap::<_, usize>::new();
    for request in of_objects.iter().filter(|request| request.verb == "patch") {
        *patches.entry(request.name.clone()).or_default() += 1;
    }
    let times = || of_objects.iter().map(|request| request.at);
    let time = times().max().unwrap().duration_since(times().min().unwrap());
    let rate = rate(patches.len(), time.try_into().unwrap());
    (patches, rate)
}

/// The fields that a manager owns, as the server tells them.
fn owned(object: &ConfigMap, manager: &str) -> Value {
    let entries = object.metadata.managed_fields.iter().flatten();
    let of = entries.filter(|entry| entry.manager.as_deref() == Some(manager));
    of.map(|entry| entry.fields_v1.as_ref().unwrap().0.clone()).collect()
}

#[tokio::test]
async fn many_violations_are_put_right_by_one_write_each_and_nothing_else_is_written() {
    put_right(300).await;
}

#[tokio::test]
#[ignore = "takes minutes: make soak"]
async fn very_many_violations_are_put_right_by_one_write_each_and_nothing_else_is_written() {
    put_right(5000).await;
}

async fn put_right(fixes: usize) {
    let plane = ControlPlane::start().await.unwrap();
    let world = World::start(&plane, &["--allow-enforce", "--write-qps", "100000"]).await.unwrap();
    for name in ["bulk", "bare"] {
        world.apply(&namespace(name)).await.unwrap();
    }
    world.apply(&grant_fixes("", "configmaps")).await.unwrap();
    let admin = plane.access().admin().await.unwrap();
    let [bulk, bare] = ["bulk", "bare"].map(|name| Api::<ConfigMap>::namespaced(admin.clone(), name));
    make(&bulk, fixes).await;
    make(&bare, fixes).await;
    let client = plane.access().service_account(NAMESPACE, SERVICE_ACCOUNT).await.unwrap();
    eventually(Duration::from_secs(60), "the right to fix has arrived", async || {
        let path = "/api/v1/namespaces/bare/configmaps/map-0";
        client.request_text(http::Request::get(path).body(Vec::new()).unwrap()).await
    })
    .await
    .unwrap();

    // Half before and half after, so that what else the machine does weighs on both alike.
    let before = fix_bare(&client, 0..fixes / 2).await;
    world.apply(OWNERS).await.unwrap();
    // Seldom: looking weighs on the fixes alone.
    let passed = i64::try_from(fixes).unwrap();
    let done = async || {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let policy = Policy(world.policy("owners").await.map_err(|error| error.to_string())?);
        if policy.count("passed") == passed { Ok(()) } else { Err(policy.0["status"]["summary"].to_string()) }
    };
    eventually(Duration::from_secs(600), "all is put right", done).await.unwrap();
    let after = fix_bare(&client, fixes / 2..fixes).await;

    let (patches, rate) = patches(&world);
    let others = |(name, count): (&String, &usize)| (*count != 1).then(|| format!("{name}: {count}"));
    assert_eq!(patches.iter().filter_map(others).collect::<Vec<_>>(), [""; 0]);
    let maps = bulk.list(&ListParams::default()).await.unwrap().items;
    let maps = maps.iter().filter(|map| map.metadata.name.as_deref() != Some("kube-root-ca.crt"));
    assert_eq!((patches.len(), maps.inspect(|map| look_at(map)).count()), (fixes, fixes));
    let bare = before.midpoint(after);
    println!(
        "{fixes} fixes: {rate:.0} a second; a bare client {bare:.0} ({before:.0}, {after:.0}); {:.2}",
        rate / bare
    );
}

/// A ConfigMap that was put right.
fn look_at(map: &ConfigMap) {
    let annotations = map.metadata.annotations.as_ref().unwrap();
    assert_eq!((&*annotations["corp.io/owner"], &*annotations["note"]), (OWNER, "kept"));
    let ours = json!([{"f:metadata": {"f:annotations": {"f:corp.io/owner": {}}}}]);
    assert_eq!(owned(map, "watchpolicy/owners"), ours);
}
