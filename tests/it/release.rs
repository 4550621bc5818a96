//! The chart in a cluster: installed, used, upgraded and removed, with the rights that it grants and no others.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::harness::helm::CHART;
use crate::harness::operator::{INSTALL, NAMESPACE, SERVICE_ACCOUNT, USER};
use crate::harness::{ControlPlane, Helm, Operator, Request, eventually};
use crate::rights::{Verb, verbs};
use crate::violations::violations_as;
use crate::world::{DEADLINE, Policy, QUICK, crd, namespace, shared};

/// A control plane with a release in it.
pub(crate) struct Cluster {
    pub(crate) plane: ControlPlane,
    pub(crate) helm: Helm,
}

impl Cluster {
    pub(crate) async fn install(args: &[&str]) -> (Self, String) {
        Self::install_in(ControlPlane::start().await.unwrap(), args).await
    }

    /// The same in a control plane that is there.
    pub(crate) async fn install_in(plane: ControlPlane, args: &[&str]) -> (Self, String) {
        let cluster = Self::bare(plane).await;
        let notes = cluster.helm.run(&[INSTALL, args].concat()).await.unwrap();
        (cluster, notes)
    }

    /// A control plane in which nothing is installed yet.
    pub(crate) async fn bare(plane: ControlPlane) -> Self {
        let helm = Helm::with(plane.access().admin_kubeconfig()).await.unwrap();
        Self { plane, helm }
    }

    pub(crate) async fn kubectl(&self, args: &[&str]) -> anyhow::Result<String> {
        self.plane.kubectl().run(args).await
    }

    pub(crate) async fn upgrade(&self, args: &[&str]) {
        let upgrade =
            ["upgrade", "watchpolicy", CHART, "--namespace", NAMESPACE, "--reset-then-reuse-values"];
        self.helm.run(&[&upgrade, args].concat()).await.unwrap();
    }

    pub(crate) async fn json(&self, args: &[&str]) -> Value {
        let text = self.kubectl(&[&["get", "-o", "json"], args].concat()).await.unwrap();
        serde_json::from_str(&text).unwrap()
    }

    async fn kubeconfig(&self) -> PathBuf {
        let access = self.plane.access();
        access.service_account_kubeconfig(NAMESPACE, SERVICE_ACCOUNT).await.unwrap()
    }

    /// The operator with the arguments that its pods would have.
    pub(crate) async fn operator(&self) -> Operator {
        let deployment = self.json(&["-n", NAMESPACE, "deployment/watchpolicy"]).await;
        let args = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
        let args: Vec<&str> = args.as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
        let ["run", of_chart @ ..] = &args[..] else { panic!("{args:?}") };
        let (kubeconfig, args) = (self.kubeconfig().await, [of_chart, QUICK].concat());
        let operator = Operator::start(&self.plane, &kubeconfig, &args).await.unwrap();
        operator.wait_until_ready().await.unwrap();
        operator
    }

    pub(crate) async fn until(&self, name: &str, what: &str, wanted: impl Fn(&Policy) -> bool) -> Policy {
        let look = async || {
            let text = self.kubectl(&["get", "wpol", name, "-o", "json"]).await.map_err(|e| e.to_string())?;
            let policy = Policy(serde_json::from_str(&text).map_err(|error| error.to_string())?);
            if wanted(&policy) { Ok(policy) } else { Err(format!("{:#}", policy.0["status"])) }
        };
        eventually(DEADLINE, what, look).await.unwrap()
    }
}

/// What stands between two lines of a text.
pub(crate) fn between<'t>(text: &'t str, start: &str, end: &str) -> &'t str {
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("no {start:?} in {text}"));
    rest.split_once(end).unwrap_or_else(|| panic!("no {end:?} in {rest}")).0
}

#[tokio::test]
async fn a_new_user_gets_from_install_to_uninstall_by_what_the_notes_say() {
    let (cluster, notes) = Cluster::install(&[]).await;
    let _operator = cluster.operator().await;

    // A first policy just works.
    cluster.kubectl(&["create", "deployment", "web", "--image=web"]).await.unwrap();
    let first = between(&notes, "<<'EOF'\n", "EOF\n");
    cluster.plane.kubectl().apply(first).await.unwrap();
    let found =
        cluster.until("memory-is-limited", "it is judged", |p| p.is_ready() && p.count("failed") == 1).await;
    assert!(found.violations()[0].starts_with("default/web memory-limit"), "{:?}", found.violations());

    // A CRD that the chart may not read, cured by the role of the notes.
    cluster
        .plane
        .kubectl()
        .apply(&crd("databases.example.com", "postgresclusters", "PostgresCluster"))
        .await
        .unwrap();
    let policy = "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {name: databases}
spec:
  targets: [{group: databases.example.com, resources: [postgresclusters]}]
  rules: [{name: size, path: $.spec.size, assert: {exists: true}}]
";
    cluster.plane.kubectl().apply(policy).await.unwrap();
    let refused = cluster
        .until("databases", "its target is refused", |p| p.target("postgresclusters") == "Forbidden")
        .await;
    let message = refused.target_message("postgresclusters");
    assert!(message.contains("databases.example.com") && message.contains("list"), "{message}");
    let (_, more) = notes.split_once("EOF\n").unwrap();
    cluster.plane.kubectl().apply(between(more, "<<'EOF'\n", "EOF\n")).await.unwrap();
    cluster.until("databases", "the pasted rule cures it", Policy::is_ready).await;

    upgraded(&cluster).await;
    removed_and_installed_again(&cluster).await;
}

async fn upgraded(cluster: &Cluster) {
    cluster.upgrade(&["--set", "replicaCount=3"]).await;
    let deployment = cluster.json(&["-n", NAMESPACE, "deployment/watchpolicy"]).await;
    assert_eq!(deployment["spec"]["replicas"], 3);
    let budget = cluster.json(&["-n", NAMESPACE, "pdb/watchpolicy"]).await;
    assert_eq!(budget["spec"]["maxUnavailable"], 1);
    cluster.until("memory-is-limited", "the operator still works", Policy::is_ready).await;
}

async fn removed_and_installed_again(cluster: &Cluster) {
    let uninstall = ["uninstall", "watchpolicy", "-n", NAMESPACE, "--wait", "--timeout", "60s"];
    cluster.helm.run(&uninstall).await.unwrap();
    let policies = cluster.json(&["wpol"]).await;
    assert_eq!(policies["items"].as_array().unwrap().len(), 2, "{policies:#}");
    let left =
        ["get", "clusterrole,clusterrolebinding,role,rolebinding,sa,svc,deploy,pdb", "-A", "-o", "name"];
    let left =
        cluster.kubectl(&[&left[..], &["-l", "app.kubernetes.io/instance=watchpolicy"]].concat()).await;
    assert_eq!(left.unwrap().trim(), "");

    cluster.helm.run(INSTALL).await.unwrap();
    cluster.kubectl(&["delete", "wpol", "--all", "--timeout=60s"]).await.unwrap();
    cluster.upgrade(&["--set", "crds.keep=false"]).await;
    cluster.helm.run(&uninstall).await.unwrap();
    let gone = async || {
        let found = cluster.kubectl(&["get", "crd", "-o", "name"]).await?;
        anyhow::ensure!(!found.contains("watchpolicies"), "{found}");
        anyhow::Ok(())
    };
    eventually(DEADLINE, "without crds.keep the CRD goes too", gone).await.unwrap();
}

#[tokio::test]
async fn what_would_lose_policies_or_make_two_writers_is_refused_before_anything_is_touched() {
    let (cluster, _) = Cluster::install(&["--set", "crds.keep=false"]).await;
    let refused = async |args: &[&str], words: &str| {
        let error = cluster.helm.run(args).await.expect_err(words).to_string();
        assert!(error.contains(words), "{args:?}: {error}");
    };
    let upgrade =
        ["upgrade", "watchpolicy", CHART, "--namespace", NAMESPACE, "--reset-then-reuse-values", "--set"];
    let upgrade = |values| [&upgrade[..], &[values]].concat();
    refused(&upgrade("crds.enabled=false"), "Leave crds.keep=true").await;
    refused(&upgrade("crds.enabled=false,crds.keep=true"), "First upgrade with crds.enabled=true").await;
    cluster.upgrade(&["--set", "crds.keep=true"]).await;
    cluster.upgrade(&["--set", "crds.enabled=false"]).await;
    cluster.kubectl(&["get", "crd", "watchpolicies.watchpolicy.io"]).await.unwrap();

    let second = [
        "install",
        "other",
        CHART,
        "--namespace",
        "other",
        "--create-namespace",
        "--set",
        "crds.enabled=false",
    ];
    refused(&second, "is of another release of WatchPolicy, watchpolicy").await;

    cluster.upgrade(&["--set", "replicaCount=1,leaderElection.enabled=false"]).await;
    refused(&upgrade("leaderElection.enabled=true"), "First upgrade with replicaCount=0").await;
    cluster.upgrade(&["--set", "leaderElection.enabled=true,replicaCount=0"]).await;
    cluster.upgrade(&["--set", "replicaCount=2"]).await;
}

#[tokio::test]
async fn an_operator_without_its_crd_is_ready_and_starts_to_work_when_the_crd_comes() {
    let (cluster, _) = Cluster::install(&["--set", "crds.enabled=false"]).await;
    let operator = cluster.operator().await;
    cluster.upgrade(&["--set", "crds.enabled=true"]).await;
    cluster.plane.kubectl().apply(&namespace("later")).await.unwrap();
    let policy = "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {name: later}
spec:
  targets: [{resources: [namespaces], names: [later]}]
  rules: [{name: team, path: $.metadata.labels.team, assert: {exists: true}}]
";
    let served = async || cluster.plane.kubectl().apply(policy).await;
    eventually(DEADLINE, "the kind is served", served).await.unwrap();
    cluster.until("later", "it is judged", |p| p.is_ready() && p.count("failed") == 1).await;
    assert_eq!(operator.stop(Duration::from_secs(30)).await.unwrap(), 0);
}

/// What the roles grant of whose namespace, empty for ClusterRoles, and name `wanted` says yes.
async fn granted(wanted: impl Fn(&str, &str) -> bool) -> BTreeSet<Verb> {
    let plane = ControlPlane::shared().await.unwrap();
    let text = plane.kubectl().run(&["get", "clusterroles,roles", "-A", "-o", "json"]).await.unwrap();
    let found: Value = serde_json::from_str(&text).unwrap();
    let is_wanted = |role: &&Value| {
        let text = |field: &str| role["metadata"][field].as_str().unwrap_or_default();
        wanted(text("namespace"), text("name"))
    };
    let roles = found["items"].as_array().unwrap().iter().filter(is_wanted);
    roles.flat_map(|role| verbs(role).collect::<Vec<_>>()).collect()
}

/// What a request needs, where it needs a grant: discovery and questions about one's own rights do not.
fn needed(request: &Request) -> Option<Verb> {
    let asks = request.resource.is_empty() || request.resource == "selfsubjectaccessreviews";
    let resource = match request.subresource.as_str() {
        "" => request.resource.clone(),
        subresource => format!("{}/{subresource}", request.resource),
    };
    (!asks).then(|| (request.group.clone(), resource, request.verb.clone(), request.name.clone()))
}

/// Whether a grant covers what is needed, by the rules of RBAC: one without a name is for all names.
fn covers(grant: &Verb, needed: &Verb) -> bool {
    let same = |granted: &str, needed: &str| granted == "*" || granted == needed;
    let named = grant.3.is_empty() || grant.3 == needed.3;
    named && same(&grant.0, &needed.0) && same(&grant.1, &needed.1) && same(&grant.2, &needed.2)
}

/// The operator's own business, which must never be refused; policies' targets may be.
fn is_own(request: &Request) -> bool {
    let groups = [
        "watchpolicy.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "coordination.k8s.io",
        "events.k8s.io",
        "openreports.io",
    ];
    groups.contains(&request.group.as_str())
}

#[tokio::test]
async fn the_operator_uses_every_verb_that_it_is_granted_and_asks_for_no_other() {
    let world = shared().await.unwrap();
    world.apply(&namespace("verbs")).await.unwrap();
    let policy = "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {name: verbs}
spec:
  targets: [{resources: [namespaces], names: [verbs]}]
  rules: [{name: team, path: $.metadata.labels.team, assert: {exists: true}}]
";
    world.apply(policy).await.unwrap();
    // Who calls, and whether they may, is asked only when somebody calls.
    let answer = violations_as(world, "watchpolicy-violations").await.unwrap();
    assert_eq!(answer.0, 200, "{}", answer.1);
    let requests = || world.plane.requests(|user| user == USER).unwrap();
    let own = granted(|space, name| {
        ["watchpolicy", "watchpolicy-reviews"].contains(&name) && ["", NAMESPACE].contains(&space)
    })
    .await;
    let all_used = async || {
        let used: Vec<_> = requests().iter().filter_map(needed).collect();
        let unused: Vec<_> =
            own.iter().filter(|grant| !used.iter().any(|used| covers(grant, used))).collect();
        if unused.is_empty() { Ok(()) } else { Err(format!("{unused:?}")) }
    };
    eventually(DEADLINE, "every verb that is granted is used", all_used).await.unwrap();

    let mut all = own;
    all.extend(granted(|_, name| ["watchpolicy-read", "watchpolicy-reporting"].contains(&name)).await);
    // What the other tests grant; only they refuse targets, and only in groups of their own.
    let of_tests = |space: &str, name: &str| match space {
        "" => name.starts_with("test-"),
        space => !space.starts_with("kube-"),
    };
    all.extend(granted(of_tests).await);
    let requests = requests();
    let refused: Vec<_> = requests.iter().filter(|request| is_own(request) && request.code == 403).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    let is_of_tests = |request: &Request| request.code == 403 && request.group.ends_with(".example.com");
    let more: BTreeSet<_> = requests
        .iter()
        .filter(|request| !is_of_tests(request))
        .filter_map(needed)
        .filter(|needed| !all.iter().any(|grant| covers(grant, needed)))
        .collect();
    assert!(more.is_empty(), "{more:?}");
}
