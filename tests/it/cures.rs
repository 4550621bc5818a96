//! What status says of a missing right, taken by its word: the rule is cut out of the message and pasted as it is.

use crate::harness::eventually;
use crate::release::{Cluster, between};
use crate::world::{DEADLINE, Policy, crd, namespace, role};

/// A role with the rule of a message, bound to the operator: in each of these namespaces, or for the whole cluster.
fn pasted(name: &str, message: &str, namespaces: &[&str]) -> String {
    let rule = format!("{{apiGroups{}}}", between(message, "{apiGroups", "}"));
    match namespaces {
        [] => role(name, None, &rule),
        namespaces => {
            let roles: Vec<_> =
                namespaces.iter().map(|namespace| role(name, Some(namespace), &rule)).collect();
            roles.join("---")
        }
    }
}

fn policy(name: &str, target: &str) -> String {
    format!(
        "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {{name: {name}}}
spec:
  mode: Enforce
  targets: [{{group: {name}.example.com, resources: [widgets]{target}}}]
  rules: [{{name: size, path: $.spec.size, assert: {{equals: 2}}, fix: {{set: 2}}}}]
"
    )
}

/// A kind of its own for a policy, with an object that fails in both namespaces.
async fn prepare(cluster: &Cluster, name: &str) {
    let group = format!("{name}.example.com");
    let kubectl = cluster.plane.kubectl();
    kubectl.apply(&crd(&group, "widgets", "Widget")).await.unwrap();
    let established = ["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"];
    kubectl.run(&established).await.unwrap();
    let widget = |namespace: &str| {
        format!(
            "{{apiVersion: {group}/v1, kind: Widget, metadata: {{name: w, namespace: {namespace}}}, spec: {{size: 1}}}}"
        )
    };
    let both = [widget("shop"), widget("other")].join("\n---\n");
    eventually(DEADLINE, "the kind is served", async || kubectl.apply(&both).await).await.unwrap();
}

impl Cluster {
    /// Waits until the policy's target is forbidden in these words, and gives all of them.
    async fn refused(&self, policy: &str, words: &str) -> String {
        let is_told = |policy: &Policy| {
            policy.target("widgets") == "Forbidden" && policy.target_message("widgets").contains(words)
        };
        self.until(policy, "its target is forbidden", is_told).await.target_message("widgets")
    }

    /// Waits until the policy may not write, in these words, and gives all of them.
    async fn may_not_fix(&self, policy: &str, words: &str) -> String {
        let is_told = |policy: &Policy| {
            policy.reason("Enforcing") == "Forbidden" && policy.message("Enforcing").contains(words)
        };
        self.until(policy, "it may not fix", is_told).await.message("Enforcing").to_owned()
    }

    async fn paste(&self, name: &str, message: &str, namespaces: &[&str]) {
        self.plane.kubectl().apply(&pasted(name, message, namespaces)).await.unwrap();
    }

    async fn until_mended(&self, policy: &str) {
        let mended = |policy: &Policy| {
            policy.target("widgets") == "Synced"
                && policy.condition("Enforcing") == "True"
                && policy.count("passed") == 2
        };
        self.until(policy, "all is mended", mended).await;
    }
}

#[tokio::test]
async fn each_right_that_status_says_is_missing_is_given_by_pasting_what_it_says() {
    let sets = ["rbac.targets.presets={workloads}", "enforcement.enabled=true"];
    let args: Vec<_> = sets.iter().flat_map(|value| ["--set", *value]).collect();
    let (cluster, _) = Cluster::install(&args).await;
    for name in ["shop", "other"] {
        let labelled = namespace(name).replace("}}", ", labels: {tier: gold}}}");
        cluster.plane.kubectl().apply(&labelled).await.unwrap();
    }
    prepare(&cluster, "everywhere").await;
    prepare(&cluster, "somewhere").await;
    let _operator = cluster.operator().await;

    cluster.plane.kubectl().apply(&policy("everywhere", "")).await.unwrap();
    let told = cluster.refused("everywhere", "in all namespaces").await;
    cluster.paste("read-everywhere", &told, &[]).await;
    let told = cluster.may_not_fix("everywhere", "add to its ClusterRole").await;
    cluster.paste("fix-everywhere", &told, &[]).await;
    cluster.until_mended("everywhere").await;

    let target = ", namespaces: [shop, other], namespaceSelector: {matchLabels: {tier: gold}}";
    cluster.plane.kubectl().apply(&policy("somewhere", target)).await.unwrap();
    let told = cluster.refused("somewhere", "by a Role in each of them").await;
    cluster.paste("read-somewhere", &told, &["shop", "other"]).await;
    let told = cluster.refused("somewhere", "may not list namespaces").await;
    cluster.paste("read-namespaces", &told, &[]).await;
    for namespace in ["other", "shop"] {
        let words = format!("in the namespace {namespace}; add to its Role there");
        let told = cluster.may_not_fix("somewhere", &words).await;
        cluster.paste("fix-somewhere", &told, &[namespace]).await;
    }
    cluster.until_mended("somewhere").await;
}
