//! The main job, as a user meets it: policies, good and bad objects, violations.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures::TryStreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams, WatchEvent, WatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use watchpolicy::crd::WatchPolicy;

use crate::harness::operator::INSTALL;
use crate::harness::{ControlPlane, Operator, eventually};
use crate::{how_to_look_around, section, until_interrupted};

/// A limit for a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);
/// A little more than the pause between two status writes of one policy.
const QUIET: Duration = Duration::from_secs(6);
/// How long an operator may take to end.
const STOP: Duration = Duration::from_secs(30);

/// What the examples break: policy, object, rule.
const EXPECTED: &[(&str, &str, &str)] = &[
    ("containers-are-locked-down", "shop/experiment", "memory-limit"),
    ("containers-are-locked-down", "shop/invoices", "no-host-network"),
    ("containers-are-locked-down", "shop/legacy-cart", "non-root"),
    ("containers-are-locked-down", "shop/search", "not-privileged"),
    ("databases-are-backed-up", "shop/carts", "backup-schedule"),
    ("databases-are-backed-up", "shop/carts", "replicas"),
    ("containers-fit-their-nodes", "shop/checkout", "guaranteed"),
    ("containers-fit-their-nodes", "shop/experiment", "guaranteed"),
    ("containers-fit-their-nodes", "shop/experiment", "memory"),
    ("containers-fit-their-nodes", "shop/legacy-cart", "guaranteed"),
    ("containers-fit-their-nodes", "shop/legacy-cart", "tag"),
    ("containers-fit-their-nodes", "shop/search", "guaranteed"),
    ("images-come-from-our-registry", "shop/legacy-cart", "pinned"),
    ("workloads-have-an-owner", "shop/legacy-cart", "owner"),
    ("workloads-have-an-owner", "shop/search", "owner"),
];

/// The series that a first look is about.
const SERIES: &[&str] = &[
    "watchpolicy_policies{",
    "watchpolicy_violations{",
    "watchpolicy_objects{",
    "watchpolicy_cached_objects{",
    "watchpolicy_cached_bytes{",
    "watchpolicy_unchanged_total{",
];

/// Shows it all, and fails when the expected violations do not appear.
pub(crate) async fn run() -> Result<()> {
    section("Control plane: etcd, kube-apiserver, kube-controller-manager");
    let plane = ControlPlane::start().await?;
    println!("ready");

    section("The chart, and the operator as a process with the token of the chart's ServiceAccount");
    println!("$ helm {}", INSTALL.join(" "));
    let kubeconfig = Operator::install(&plane).await?;
    let operator = Operator::start(&plane, &kubeconfig, &["--log-format", "text"]).await?;
    operator.wait_until_ready().await?;
    println!("ready, its metrics are on http://127.0.0.1:{}/metrics", operator.port());

    match show(&plane, &operator).await {
        Ok(()) => finish(&plane, operator).await,
        Err(error) => {
            println!("\nthe operator's log: {}", operator.last_words());
            Err(error)
        }
    }
}

async fn show(plane: &ControlPlane, operator: &Operator) -> Result<()> {
    section("Policies, and objects: some good, some bad");
    apply(plane, "examples/demo/access.yaml").await?;
    apply(plane, "examples").await?;
    apply(plane, "examples/demo/workloads.yaml").await?;
    section("A custom resource that is installed after its policy");
    apply(plane, "examples/demo/crd.yaml").await?;
    let crd = "crd/postgresclusters.databases.example.com";
    plane.kubectl().run(&["wait", "--for=condition=Established", "--timeout=60s", crd]).await?;
    apply(plane, "examples/demo/databases.yaml").await?;

    section("Violations");
    println!("waiting for the {} that the examples hold ...", EXPECTED.len());
    expected_violations(plane).await?;
    command(plane, &["get", "wpol"]).await?;
    section("One policy's status");
    status(plane, "databases-are-backed-up").await?;
    section("Metrics");
    metrics(operator).await?;
    section("An edit");
    edit(plane).await
}

async fn finish(plane: &ControlPlane, operator: Operator) -> Result<()> {
    if std::env::var("KEEP").is_ok_and(|keep| !keep.is_empty() && keep != "0") {
        section("Look around");
        how_to_look_around(plane).await?;
        println!("  $KUBECTL get wpol -o wide");
        println!(
            "  $KUBECTL -n shop annotate deployment/checkout --overwrite corp.io/owner=payments@corp.com"
        );
        println!("  curl -s http://127.0.0.1:{}/metrics | grep ^watchpolicy_", operator.port());
        until_interrupted().await?;
    }
    section("Stop");
    let code = operator.stop(STOP).await?;
    ensure!(code == 0, "the operator ended with exit code {code}");
    println!("the operator has ended in order; the control plane goes with its data");
    Ok(())
}

/// Runs kubectl and shows what a user would see.
async fn command(plane: &ControlPlane, args: &[&str]) -> Result<()> {
    println!("$ kubectl {}", args.join(" "));
    print!("{}", plane.kubectl().run(args).await?);
    Ok(())
}

async fn apply(plane: &ControlPlane, path: &str) -> Result<()> {
    println!("$ kubectl apply -f {path}");
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let full: PathBuf = full.canonicalize().with_context(|| format!("{path} is missing"))?;
    print!("{}", plane.kubectl().run(&["apply", "-f", &full.display().to_string()]).await?);
    Ok(())
}

async fn expected_violations(plane: &ControlPlane) -> Result<()> {
    let policies = Api::<WatchPolicy>::all(plane.access().admin().await?);
    let expected: BTreeSet<String> =
        EXPECTED.iter().map(|(p, o, r)| format!("{p}: {o} breaks {r}")).collect();
    let as_expected = async || {
        let policies = policies.list(&kube::api::ListParams::default()).await?;
        let found: BTreeSet<String> = policies.iter().flat_map(violations).collect();
        if found == expected { Ok(()) } else { Err(difference(&expected, &found)?) }
    };
    eventually(DEADLINE, "the expected violations, and no others, are in status", as_expected).await
}

fn violations(policy: &WatchPolicy) -> impl Iterator<Item = String> {
    let listed = policy.status.iter().flat_map(|status| &status.violations);
    listed.map(|violation| {
        let (object, rule) = (&violation.object, &violation.rule);
        let namespace = object.namespace.as_deref().unwrap_or_default();
        format!("{}: {namespace}/{} breaks {rule}", policy.name_any(), object.name)
    })
}

fn difference(expected: &BTreeSet<String>, found: &BTreeSet<String>) -> Result<anyhow::Error> {
    let mut text = String::new();
    for missing in expected.difference(found) {
        write!(text, "\n  missing: {missing}")?;
    }
    for other in found.difference(expected) {
        write!(text, "\n  not expected: {other}")?;
    }
    Ok(anyhow::Error::msg(text))
}

async fn status(plane: &ControlPlane, policy: &str) -> Result<()> {
    println!("$ kubectl get wpol {policy} -o yaml");
    let yaml = plane.kubectl().run(&["get", "wpol", policy, "-o", "yaml"]).await?;
    let (_, status) = yaml.split_once("\nstatus:\n").context("the policy has no status")?;
    println!("...\nstatus:\n{}", status.trim_end());
    Ok(())
}

async fn metrics(operator: &Operator) -> Result<()> {
    println!(
        "$ curl -s http://127.0.0.1:{}/metrics | grep ^watchpolicy_   # some that are not 0",
        operator.port()
    );
    let page = operator.metrics().await?;
    let told = |line: &&str| !line.ends_with(" 0") && SERIES.iter().any(|series| line.starts_with(series));
    page.lines().filter(told).for_each(|line| println!("{line}"));
    Ok(())
}

/// Makes a good object bad, and tells how long the violation took; the policy is watched, as a controller would.
async fn edit(plane: &ControlPlane) -> Result<()> {
    println!("a status is written at most every 5 s, at once after a quiet time: waiting for one ...");
    tokio::time::sleep(QUIET).await;
    let client = plane.access().admin().await?;
    let policies = Api::<WatchPolicy>::all(client.clone());
    let policy = policies.get("workloads-have-an-owner").await?;
    let version = policy.resource_version().context("the policy has no resourceVersion")?;
    let of_policy = WatchParams::default().fields("metadata.name=workloads-have-an-owner");
    let mut events = Box::pin(policies.watch(&of_policy, &version).await?);

    println!("$ kubectl -n shop annotate deployment/checkout --overwrite corp.io/owner=nobody");
    let patch = json!({"metadata": {"annotations": {"corp.io/owner": "nobody"}}});
    let deployments = Api::<Deployment>::namespaced(client, "shop");
    let start = Instant::now();
    deployments.patch("checkout", &PatchParams::default(), &Patch::Merge(patch)).await?;
    let seen = async {
        while let Some(event) = events.try_next().await? {
            if let WatchEvent::Modified(policy) = event
                && let Some(found) = violations(&policy).find(|text| text.contains("shop/checkout "))
            {
                return Ok(found);
            }
        }
        bail!("the watch of the policy ended")
    };
    let found = tokio::time::timeout(DEADLINE, seen)
        .await
        .with_context(|| format!("the violation was not in status after {DEADLINE:?}"))??;
    println!("{:.2} s later, in status: {found}\n", start.elapsed().as_secs_f64());
    command(plane, &["get", "wpol"]).await
}
