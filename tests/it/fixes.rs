//! Fixes on what is busy, hostile, immutable, or not what it seems, against a real API server.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use crate::enforce::{config_map, deployment, fix, grant_fixes, object, on_config_maps};
use crate::harness::{ControlPlane, Request};
use crate::world::{Policy, QUICK, World, namespace};

/// Fifty times a second.
const BUSY: Duration = Duration::from_millis(20);

async fn world(plane: &ControlPlane) -> World<'_> {
    let world =
        World::start(plane, &[QUICK, &["--allow-enforce", "--write-qps", "100"]].concat()).await.unwrap();
    world.apply(&namespace("shop")).await.unwrap();
    world.apply(&grant_fixes("apps", "deployments")).await.unwrap();
    world.apply(&grant_fixes("", "configmaps")).await.unwrap();
    world.apply(&grant_fixes("", "pods")).await.unwrap();
    world
}

fn on_deployments(name: &str, rule: &str) -> String {
    format!(
        "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {{name: {name}}}
spec:
  mode: Enforce
  targets: [{{group: apps, resources: [deployments], names: ['{name}*']}}]
  rules: [{rule}]
"
    )
}

/// How many patches of a ConfigMap were sent within a minute of the first, whatever was answered.
fn sent_in_the_first_minute(world: &World<'_>, name: &str) -> usize {
    let mut requests = world.requests("", "configmaps").unwrap();
    requests.retain(|request| request.verb == "patch" && request.name == name);
    let Some(first) = requests.iter().map(|request| request.at).min() else { return 0 };
    requests.iter().filter(|request| request.at.duration_since(first).as_secs() < 60).count()
}

/// What the operator patched and was not refused, by the object's name.
fn patched(world: &World<'_>, resource: &str, prefix: &str) -> usize {
    let group = if resource == "deployments" { "apps" } else { "" };
    let requests = world.requests(group, resource).unwrap().into_iter();
    let is_ours = |request: &Request| {
        request.verb == "patch" && request.code == 200 && request.name.starts_with(prefix)
    };
    requests.filter(is_ours).count()
}

#[tokio::test]
async fn every_fix_lands_on_an_object_whose_status_changes_all_the_time() {
    let plane = ControlPlane::start().await.unwrap();
    let world = world(&plane).await;
    let deployments: Api<Deployment> = Api::namespaced(plane.access().admin().await.unwrap(), "shop");
    let owner = "{name: owner, path: $.metadata.annotations.owner, assert: {equals: us}, fix: {set: us}}";
    world
        .apply(&(0..5).map(|n| deployment(&format!("busy-{n}"))).collect::<Vec<_>>().join("---"))
        .await
        .unwrap();
    let (mut tick, mut writes) = (interval(BUSY / 5), 0u32);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let fixed = async {
        world.apply(&on_deployments("busy", owner)).await.unwrap();
        let all = |policy: &Policy| policy.count("passed") == 5;
        world.until("busy", "all are fixed", all).await.unwrap();
    };
    let start = Instant::now();
    tokio::pin!(fixed);
    loop {
        tokio::select! {
            () = &mut fixed => break,
            _ = tick.tick() => {
                writes += 1;
                let status = json!({"status": {"observedGeneration": writes}});
                let name = format!("busy-{}", writes % 5);
                deployments.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
            }
        }
    }
    println!(
        "{writes} status changes of 5 objects in {:?}, {} fixes",
        start.elapsed(),
        patched(&world, "deployments", "busy")
    );
    assert_eq!(patched(&world, "deployments", "busy"), 5, "one write each");
}

#[tokio::test]
async fn who_breaks_a_rule_fifty_times_a_second_is_soon_left_alone() {
    let plane = ControlPlane::start().await.unwrap();
    let world = world(&plane).await;
    world.apply(&config_map("hostile", "{a: x}")).await.unwrap();
    let rule = "rules: [{name: r, path: $.data.a, assert: {equals: good}, fix: {set: good}}]";
    let maps: Api<ConfigMap> = Api::namespaced(plane.access().admin().await.unwrap(), "shop");
    let mut tick = interval(BUSY);
    let contested = async {
        world.apply(&on_config_maps("hostile", "hostile", rule)).await.unwrap();
        let is_told = |policy: &Policy| fix(policy, "outcome") == "Contested";
        world.until("hostile", "the contest is told", is_told).await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
    };
    tokio::pin!(contested);
    let mut writes = 0u32;
    loop {
        tokio::select! {
            () = &mut contested => break,
            _ = tick.tick() => {
                writes += 1;
                let data = json!({"data": {"a": format!("bad {writes}")}});
                maps.patch("hostile", &PatchParams::default(), &Patch::Merge(data)).await.unwrap();
            }
        }
    }
    let (ours, taken) =
        (sent_in_the_first_minute(&world, "hostile"), patched(&world, "configmaps", "hostile"));
    println!("{writes} hostile writes, {ours} patches of ours in the first minute, {taken} taken in all");
    assert!((1..=10).contains(&ours), "{ours} patches");
}

/// One policy each, since each has its own outcome.
#[tokio::test]
async fn what_the_server_makes_of_a_fix_is_what_is_told() {
    let plane = ControlPlane::start().await.unwrap();
    let world = world(&plane).await;
    let outcome = async |policy: &str, wanted: &str| {
        let what = format!("{policy} is {wanted}");
        world.until(policy, &what, |policy| fix(policy, "outcome") == wanted).await.unwrap()
    };

    let selects =
        deployment("atomic").replace("spec: {containers", "spec: {nodeSelector: {disk: ssd}, containers");
    world.apply(&selects).await.unwrap();
    let zone = "{name: zone, path: $podSpec.nodeSelector.zone, assert: {equals: a}, fix: {set: a}}";
    world.apply(&on_deployments("atomic", zone)).await.unwrap();
    world.until("atomic", "it passes", |policy| policy.count("passed") == 1).await.unwrap();
    let atomic = object(&world, &["deployment", "atomic"]).await;
    assert_eq!(
        atomic["spec"]["template"]["spec"]["nodeSelector"],
        json!({"disk": "ssd", "zone": "a"}),
        "siblings stay"
    );

    world.apply(&deployment("exact")).await.unwrap();
    world.apply(&deployment("normal")).await.unwrap();
    let cpu = |assert: &str| {
        format!(
            "{{name: cpu, forEach: $containers, path: $.resources.requests.cpu, {assert}, fix: {{set: 1000m}}}}"
        )
    };
    world.apply(&on_deployments("exact", &cpu("assert: {equals: 1000m}"))).await.unwrap();
    world.apply(&on_deployments("normal", &cpu("as: Quantity, assert: {equals: 1000m}"))).await.unwrap();
    outcome("exact", "Ineffective").await;
    world.until("normal", "it passes", |policy| policy.count("passed") == 1).await.unwrap();

    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: fixed, namespace: shop}, spec: {containers: [{name: a, image: nginx}]}}";
    let accounts = "{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: shop}}";
    world.apply(accounts).await.unwrap();
    world.apply(pod).await.unwrap();
    let host = "rules: [{name: host, path: $.spec.hostNetwork, assert: {equals: true}, fix: {set: true}}]";
    world.apply(&on_config_maps("immutable", "fixed", host).replace("configmaps", "pods")).await.unwrap();
    let refused = outcome("immutable", "Refused").await;
    assert!(fix(&refused, "message").contains("spec"), "{refused:?}");

    let ends = config_map("ends", "{a: x}")
        .replace("namespace: shop", "namespace: shop, finalizers: [test.io/wait]");
    world.apply(&ends).await.unwrap();
    world.plane.kubectl().run(&["delete", "configmap", "-n", "shop", "ends", "--wait=false"]).await.unwrap();
    let rule = "rules: [{name: r, path: $.data.a, assert: {equals: good}, fix: {set: good}}]";
    world.apply(&on_config_maps("ends", "ends", rule)).await.unwrap();
    outcome("ends", "Deleting").await;
    assert_eq!(patched(&world, "configmaps", "ends"), 0);
    numbers_are_tested_as_the_server_writes_them(&world).await;
}

async fn numbers_are_tested_as_the_server_writes_them(world: &World<'_>) {
    world.install_crd("fixes.example.com", "widgets", "Widget").await.unwrap();
    world.grant("fixes.example.com", "widgets").await.unwrap();
    world.apply(&grant_fixes("fixes.example.com", "widgets")).await.unwrap();
    for (name, number) in [("large", "1e21"), ("small", "1.5e-7"), ("whole", "2.0"), ("plain", "0.25")] {
        let widget = json!({
            "apiVersion": "fixes.example.com/v1", "kind": "Widget", "metadata": {"name": name, "namespace": "shop"},
            "spec": {"number": "NUMBER"},
        });
        world.apply(&widget.to_string().replace("\"NUMBER\"", number)).await.unwrap();
    }
    let policy = "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {name: numbers}
spec:
  mode: Enforce
  targets: [{group: fixes.example.com, resources: [widgets]}]
  rules: [{name: number, path: $.spec.number, assert: {equals: 3}, fix: {set: 3}}]
";
    world.apply(policy).await.unwrap();
    world.until("numbers", "all are fixed", |policy| policy.count("passed") == 4).await.unwrap();
}
