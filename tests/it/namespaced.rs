//! A release that is allowed a few namespaces only: what works there, and what is said of the rest.

use serde_json::Value;
use tokio::process::Command;

use crate::enforce::{deployment, fix, on_deployments};
use crate::harness::operator::{INSTALL, USER};
use crate::harness::{ControlPlane, Helm, eventually};
use crate::release::{Cluster, between};
use crate::world::{DEADLINE, Policy, namespace};

/// Fixes may write there too.
const VALUES: &str = "enforcement.enabled=true,rbac.targets.namespaces={shop},rbac.targets.write[0].apiGroups={apps},\
                      rbac.targets.write[0].resources={deployments}";

/// A policy that wants an annotation on the Deployments of a target.
fn wants(name: &str, mode: &str, target: &str) -> String {
    let rule = format!("path: $.metadata.annotations.{name}, assert: {{exists: true}}, fix: {{set: a}}");
    on_deployments(name, mode, target, &rule)
}

const IN_SHOP: &str = ", namespaces: [shop]";

/// A control plane with two namespaces, and the operator allowed one of them.
async fn cluster() -> (Cluster, String) {
    let plane = ControlPlane::start().await.unwrap();
    let helm = Helm::with(plane.access().admin_kubeconfig()).await.unwrap();
    let install = [INSTALL, &["--set", VALUES]].concat();
    let refused = helm.run(&install).await.expect_err("there is no namespace").to_string();
    assert!(
        refused.contains("rbac.targets.namespaces has shop, and there is no such namespace"),
        "{refused}"
    );
    for name in ["shop", "other"] {
        plane.kubectl().apply(&namespace(name)).await.unwrap();
        plane.kubectl().apply(&deployment("web").replace("shop", name)).await.unwrap();
    }
    Cluster::install_in(plane, &["--set", VALUES]).await
}

impl Cluster {
    async fn apply(&self, manifest: &str) {
        self.plane.kubectl().apply(manifest).await.unwrap();
    }

    /// Waits until a policy's Deployments may not be looked at; gives what is told of them.
    async fn forbidden(&self, policy: &str) -> String {
        let is_forbidden = |policy: &Policy| policy.target("deployments") == "Forbidden";
        let told = self.until(policy, "its target is refused", is_forbidden).await;
        assert_eq!(told.reason("Ready"), "Forbidden");
        told.target_message("deployments")
    }

    async fn annotation(&self, namespace: &str, name: &str) -> Value {
        self.json(&["-n", namespace, "deployment/web"]).await["metadata"]["annotations"][name].clone()
    }
}

#[tokio::test]
async fn a_policy_works_where_the_operator_is_allowed_and_is_told_elsewhere_what_to_do() {
    let (cluster, notes) = cluster().await;
    let _operator = cluster.operator().await;
    let first = between(&notes, "<<'EOF'\n", "EOF\n");
    assert!(first.contains("namespaces: [shop]"), "{first}");
    cluster.apply(first).await;
    let judged = |policy: &Policy| policy.is_ready() && policy.count("failed") == 1;
    cluster.until("memory-is-limited", "the first policy just works", judged).await;

    cluster.apply(&wants("planned", "Plan", IN_SHOP)).await;
    let planned = |policy: &Policy| fix(policy, "outcome") == "Planned";
    cluster.until("planned", "the fix is tried out", planned).await;
    cluster.apply(&wants("enforced", "Enforce", IN_SHOP)).await;
    let fixed = |policy: &Policy| policy.count("passed") == 1 && policy.reason("Enforcing") == "Enforcing";
    cluster.until("enforced", "the fix is written", fixed).await;
    assert_eq!(
        (cluster.annotation("shop", "enforced").await, cluster.annotation("shop", "planned").await),
        ("a".into(), Value::Null)
    );

    let sets = wants("sets", "Plan", IN_SHOP).replace("deployments", "statefulsets");
    cluster.apply(&sets).await;
    let told =
        "the operator lacks the right to fix statefulsets.apps in the namespace shop; add to its Role there";
    let named = |policy: &Policy| policy.message("Enforcing").contains(told);
    cluster.until("sets", "the missing right is named for the namespace", named).await;

    everywhere(&cluster).await;
    elsewhere(&cluster).await;
    more_kinds(&cluster).await;
    nothing_of_its_own_is_refused(&cluster);

    cluster.upgrade(&["--set", "rbac.targets.namespaces=null"]).await;
    let both = |policy: &Policy| policy.is_ready() && policy.count("matched") == 2;
    cluster.until("elsewhere", "it is allowed everywhere", |policy: &Policy| policy.is_ready()).await;
    cluster.apply(&wants("everywhere", "Audit", "")).await;
    cluster.until("everywhere", "and sees all", both).await;
}

/// A policy on all namespaces: what it is told cures it.
async fn everywhere(cluster: &Cluster) {
    cluster.apply(&wants("everywhere", "Enforce", "")).await;
    let told = cluster.forbidden("everywhere").await;
    let words = "in all namespaces; give it by a ClusterRole, bound to its ServiceAccount";
    assert!(told.contains(words), "{told}");
    cluster.until("enforced", "who names namespaces goes on", Policy::is_ready).await;
    cluster.apply(&wants("everywhere", "Audit", IN_SHOP)).await;
    cluster
        .until("everywhere", "it names namespaces", |policy| {
            policy.is_ready() && policy.count("matched") == 1
        })
        .await;
}

/// A policy on a namespace that the operator is not allowed.
async fn elsewhere(cluster: &Cluster) {
    cluster.apply(&wants("elsewhere", "Enforce", ", namespaces: [shop, other]")).await;
    let told = cluster.forbidden("elsewhere").await;
    assert!(told.contains("in namespace other; give it by a Role there"), "{told}");
    let written = async || {
        let written = cluster.annotation("shop", "elsewhere").await;
        (written == "a").then_some(())
    };
    eventually(DEADLINE, "where it is allowed it goes on", written).await.unwrap();
    assert_eq!(cluster.annotation("other", "elsewhere").await, Value::Null);
}

/// Further kinds: a labelled ClusterRole counts in the namespaces too, and Namespaces want a ClusterRoleBinding.
async fn more_kinds(cluster: &Cluster) {
    let policy = "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {name: maps}
spec:
  targets: [{resources: [configmaps], namespaces: [shop], namespaceSelector: {matchLabels: {tier: gold}}}]
  rules: [{name: r, path: $.metadata.labels.team, assert: {exists: true}}]
";
    cluster.apply(policy).await;
    let told =
        |words: &'static str| move |policy: &Policy| policy.target_message("configmaps").contains(words);
    cluster.until("maps", "a kind more is refused", told("may not list configmaps in namespace shop")).await;
    let role = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: test-maps, labels: {rbac.watchpolicy.io/aggregate-to-operator: 'true'}}
rules: [{apiGroups: [''], resources: [configmaps, namespaces], verbs: [list, watch]}]
";
    cluster.apply(role).await;
    let namespaces = "may not list namespaces; give it by a ClusterRole, bound to its ServiceAccount";
    cluster.until("maps", "the label allows no Namespaces", told(namespaces)).await;
    let file = cluster.plane.folder().join("maps.yaml");
    std::fs::write(&file, policy).unwrap();
    let mut rbac = Command::new(env!("CARGO_BIN_EXE_watchpolicy"));
    let roles = rbac.args(["rbac", "--namespaced", "-p"]).arg(file).output().await.unwrap();
    cluster.apply(&String::from_utf8(roles.stdout).unwrap()).await;
    cluster.until("maps", "the roles that the command prints do", Policy::is_ready).await;
}

/// The operator's own business is not narrowed, and whether a Namespace is being deleted can be read where fixes write.
fn nothing_of_its_own_is_refused(cluster: &Cluster) {
    let requests = cluster.plane.requests(|user| user == USER).unwrap();
    let own = [
        "watchpolicy.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "coordination.k8s.io",
        "events.k8s.io",
    ];
    let refused: Vec<_> =
        requests.iter().filter(|request| own.contains(&&*request.group) && request.code == 403).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    let read: Vec<_> =
        requests.iter().filter(|request| request.resource == "namespaces" && request.verb == "get").collect();
    assert!(
        !read.is_empty() && read.iter().all(|request| request.name == "shop" && request.code == 200),
        "{read:#?}"
    );
}
