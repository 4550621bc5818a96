//! Following many Pods, beside the usual way: the operator as it is built, and a `kube::runtime` watcher with its
//! reflector, each a process of its own before the same server: `make bench`. `cargo test` runs a small share.
//!
//! Each is measured at the first list, while Pods change of which rules read little, and at a new list after a 410.

#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a benchmark prints, and meets nothing unexpected that it should survive"
)]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ApiResource, DynamicObject};
use kube::{Api, Client};
use kube_runtime::{WatchStreamExt, reflector, watcher};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use child::Folder;
use pods::Pods;
use process::{Process, Sample};

#[allow(dead_code, reason = "the harness is shared with the tests; this needs a part of it")]
#[path = "../../tests/harness/child.rs"]
mod child;
mod pods;
#[path = "../../tests/harness/ports.rs"]
mod ports;
mod process;

const POD: &str = include_str!("../../src/jsonpath/testdata/pod.json");
/// What makes this program the usual way instead of the driver; the server's address follows.
const REFLECT: &str = "--reflect=";
/// Whatever takes longer has failed.
const DEADLINE: Duration = Duration::from_secs(120);

/// How much is done.
struct Load {
    pods: usize,
    per_second: u32,
    churn: Duration,
    /// Whether times and sizes mean something.
    measures: bool,
}

const FULL: Load = Load { pods: 20_000, per_second: 200, churn: Duration::from_secs(60), measures: true };
const SHARE: Load = Load { pods: 200, per_second: 100, churn: Duration::from_secs(2), measures: false };

/// What a client took.
struct Taken {
    idle: Sample,
    synced: Sample,
    churned: Sample,
    relisted: Sample,
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    if let Some(url) = args.iter().find_map(|arg| arg.strip_prefix(REFLECT)) {
        return runtime.block_on(reflect(url));
    }
    // As test programs do: a word without dashes chooses by name.
    let (flags, words): (Vec<&String>, Vec<&String>) = args.iter().partition(|arg| arg.starts_with('-'));
    if flags.iter().any(|flag| *flag == "--list")
        || !words.is_empty() && !words.iter().any(|word| "informer".contains(&***word))
    {
        return Ok(());
    }
    let load = if flags.iter().any(|flag| *flag == "--bench") { FULL } else { SHARE };
    runtime.block_on(compare(&load))
}

/// The usual way. Kinds are known when it runs, as they are to an operator of any kind: hence `DynamicObject`.
async fn reflect(url: &str) -> Result<()> {
    let client = Client::try_from(kube::Config::new(url.parse()?))?;
    let resource = ApiResource::erase::<Pod>(&());
    let writer = reflector::store::Writer::<DynamicObject>::new(resource.clone());
    let reader = writer.as_reader();
    let pods = Api::<DynamicObject>::all_with(client, &resource);
    let mut events = watcher(pods, watcher::Config::default()).default_backoff().reflect(writer).boxed();
    loop {
        match events.try_next().await {
            Ok(Some(watcher::Event::InitDone)) => println!("holds {}", reader.len()),
            Ok(Some(_)) => {}
            Ok(None) => bail!("the watch has ended for good"),
            Err(error) => println!("{error}"),
        }
    }
}

async fn compare(load: &Load) -> Result<()> {
    let folder = Folder::new("watchpolicy-bench")?;
    let mut tasks = JoinSet::new();
    let (pods, url) = Pods::serve((POD, load.pods), policy(), &mut tasks).await?;
    println!("{} Pods of {} bytes", load.pods, pods.size());

    let mut usual = Command::new(std::env::current_exe()?);
    usual.arg(format!("{REFLECT}{url}"));
    let usual = Process::start("reflector", folder.path(), &usual)?;
    let theirs = follow(&pods, &usual, load).await?.0;
    let said = usual.said()?;
    ensure!(said.matches(&format!("holds {}\n", load.pods)).count() == 2, "the reflector said: {said}");
    drop(usual);

    let port = ports::free()?;
    let operator = Process::start("watchpolicy", folder.path(), &operator(folder.path(), &url, port)?)?;
    let (ours, changes) = follow(&pods, &operator, load).await?;
    check(port, load, changes).await.with_context(|| operator.said().unwrap_or_default())?;
    drop(operator);

    if load.measures {
        show(load, changes, &ours, &theirs);
    }
    Ok(())
}

/// Every image, an annotation, `hostNetwork` and a label, as in the other benchmark.
fn policy() -> Value {
    json!({
        "apiVersion": "watchpolicy.io/v1alpha1",
        "kind": "WatchPolicy",
        "metadata": {"name": "bench", "uid": "bench", "generation": 1, "resourceVersion": "1"},
        "spec": {
            "targets": [{"resources": ["pods"]}],
            "rules": [
                {"name": "image", "path": "$containers[*].image", "assert": {"exists": true}},
                {"name": "owner", "path": "$.metadata.annotations['corp.io/owner']", "assert": {"exists": true}},
                {"name": "host", "path": "$podSpec.hostNetwork", "default": false, "assert": {"equals": false}},
                {"name": "team", "path": "$pod.metadata.labels.team", "assert": {"equals": "payments"}},
            ],
        },
    })
}

fn operator(folder: &Path, url: &str, port: u16) -> Result<Command> {
    let kubeconfig = folder.join("kubeconfig");
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "bench", "cluster": {"server": url}}],
        "users": [{"name": "bench", "user": {}}],
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
        "current-context": "bench",
    });
    std::fs::write(&kubeconfig, config.to_string())?;
    let mut operator = Command::new(env!("CARGO_BIN_EXE_watchpolicy"));
    operator.args(["run", "--leader-elect=false", "--namespace=bench", "--kubeconfig"]).arg(kubeconfig);
    operator.arg(format!("--listen=127.0.0.1:{port}"));
    Ok(operator)
}

/// A client from its start to its second list; also how often Pods changed.
async fn follow(pods: &Pods, client: &Process, load: &Load) -> Result<(Taken, u64)> {
    pods.open(false);
    until("the client asks for Pods", || pods.waiting() == 1).await?;
    let idle = client.settle().await?;
    pods.open(true);
    until("the client watches Pods", || pods.watching() == 1).await?;
    let synced = client.settle().await?;
    let changes = pods.churn(load.per_second, load.churn).await;
    let churned = client.settle().await?;
    client.forget_peak().await?;
    pods.open(false);
    pods.expire();
    until("the client asks for Pods again", || pods.waiting() == 1).await?;
    pods.open(true);
    until("the client watches Pods again", || pods.watching() == 1).await?;
    let relisted = client.settle().await?;
    Ok((Taken { idle, synced, churned, relisted }, changes))
}

async fn until(what: &str, is_so: impl Fn() -> bool) -> Result<()> {
    let start = Instant::now();
    while !is_so() {
        ensure!(start.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// The operator has judged all Pods, and of their changes just those of what rules read.
async fn check(port: u16, load: &Load, changes: u64) -> Result<()> {
    let client = Client::try_from(kube::Config::new(format!("http://127.0.0.1:{port}").parse()?))?;
    let page = client.request_text(http::Request::get("/metrics").body(Vec::new())?).await?;
    let value = |series: &str| {
        let line = page.lines().find_map(|line| line.strip_prefix(series));
        line.and_then(|value| value.trim().parse::<f64>().ok()).unwrap_or_default()
    };
    let read = (changes / pods::ONE_OF) as f64;
    let unchanged = value("watchpolicy_unchanged_total{group=\"\",resource=\"pods\"}");
    let live = value("workqueue_adds_total{controller=\"objects\",name=\"objects\",priority=\"0\"}");
    let passed = value("watchpolicy_objects{policy=\"bench\",result=\"Pass\"}");
    // The second list shows every Pod once more, unchanged.
    let noise = unchanged - load.pods as f64;
    println!(
        "{changes} changes: {noise} of nothing that is read, {live} keys for workers; {passed} Pods pass"
    );
    for (what, is, due) in [
        ("Pods that pass", passed, load.pods as f64),
        ("changes of nothing that is read", noise, changes as f64 - read),
        ("keys for workers", live, read),
    ] {
        ensure!((is - due).abs() < 0.5, "{is} {what}, {due} are due: {page}");
    }
    Ok(())
}

/// What each took, and whether the difference is as large as it should be.
fn show(load: &Load, changes: u64, ours: &Taken, theirs: &Taken) {
    let pods = load.pods as f64;
    let mebibytes = |bytes: f64| bytes / f64::from(1 << 20);
    let verdict = |held: bool| if held { "" } else { ", missed" };
    let row = |what: &str, of: &dyn Fn(&Taken) -> f64, unit: &str, wanted: f64| {
        let (ours, theirs) = (of(ours), of(theirs));
        let ratio = theirs / ours;
        let missed = verdict(ratio >= wanted);
        println!("{what:<24} {ours:>9.2} {theirs:>9.2} {unit:<12} 1/{ratio:<6.1} wanted 1/{wanted}{missed}");
    };
    println!("{:<24} {:>9} {:>9}", "", "ours", "kube");
    row("first list, processor", &|t| (t.synced.cpu - t.idle.cpu) / pods * 1e6, "µs a Pod", 5.0);
    row("changes, processor", &|t| (t.churned.cpu - t.synced.cpu) / changes as f64 * 1e6, "µs a change", 5.0);
    row("new list, processor", &|t| (t.relisted.cpu - t.churned.cpu) / pods * 1e6, "µs a Pod", 5.0);
    // What allocators keep for a while after a list is no part of it.
    row("settled, memory", &|t| (t.churned.memory - t.idle.memory) / pods / 1024.0, "KiB a Pod", 40.0);
    let settled = ours.churned.memory;
    for (what, peak) in [("first list", ours.synced.peak), ("new list", ours.relisted.peak)] {
        let over = mebibytes(peak - settled);
        println!(
            "{what}, peak over settled memory: {over:.1} MiB, wanted 64 at most{}",
            verdict(over <= 64.0)
        );
    }
    for (who, taken) in [("ours", ours), ("kube", theirs)] {
        let memory = [taken.idle, taken.synced, taken.churned, taken.relisted].map(|s| mebibytes(s.memory));
        println!("{who}: {memory:.1?} MiB idle, synced, after changes, after the new list");
    }
}
