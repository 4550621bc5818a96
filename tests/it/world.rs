//! One control plane with one operator, shared by the tests that disturb neither.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::harness::operator::USER;
use crate::harness::{ControlPlane, Operator, Request, eventually};

/// Limits for a busy machine, not measurements.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
/// Every real wait is shortened, so that the tests are not long.
pub(crate) const QUICK: &[&str] = &[
    "--access-check",
    "1s",
    "--watch-linger",
    "3s",
    "--status-interval",
    "300ms",
    "--relist-backoff-max",
    "1s",
];

/// A control plane and the operator in it.
pub(crate) struct World<'p> {
    pub(crate) plane: &'p ControlPlane,
    pub(crate) operator: Operator,
}

static SHARED: OnceCell<World<'static>> = OnceCell::const_new();

/// The shared world. Tests keep apart by the names of their policies, namespaces and API groups.
pub(crate) async fn shared() -> Result<&'static World<'static>> {
    SHARED.get_or_try_init(async || World::start(ControlPlane::shared().await?, QUICK).await).await
}

/// Reads a WatchPolicy. Not by kubectl: what is looked at many times a second should not start a process for it.
async fn read(admin: &kube::Client, name: &str) -> Result<Value> {
    let path = format!("/apis/watchpolicy.io/v1alpha1/watchpolicies/{name}");
    Ok(admin.request(http::Request::get(path).body(Vec::new())?).await?)
}

impl<'p> World<'p> {
    /// Installs and starts an operator in a control plane.
    pub(crate) async fn start(plane: &'p ControlPlane, args: &[&str]) -> Result<Self> {
        let kubeconfig = install(plane).await?;
        let operator = Operator::start(plane, &kubeconfig, args).await?;
        operator.wait_until_ready().await?;
        Ok(Self { plane, operator })
    }

    /// `kubectl apply`.
    pub(crate) async fn apply(&self, manifests: &str) -> Result<()> {
        self.plane.kubectl().apply(manifests).await.map(drop)
    }

    /// `kubectl delete`, waiting for the end.
    pub(crate) async fn delete(&self, what: &[&str]) -> Result<()> {
        self.plane.kubectl().run(&[&["delete"], what].concat()).await.map(drop)
    }

    /// A WatchPolicy as the server has it.
    pub(crate) async fn policy(&self, name: &str) -> Result<Value> {
        read(&self.plane.access().admin().await?, name).await
    }

    /// Waits until a policy's status is as `wanted` says, and gives the policy.
    pub(crate) async fn until(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&Policy) -> bool,
    ) -> Result<Policy> {
        let admin = self.plane.access().admin().await?;
        eventually(DEADLINE, what, async || {
            let policy = Policy(read(&admin, name).await.map_err(|error| format!("{error:#}"))?);
            if wanted(&policy) { Ok(policy) } else { Err(format!("{:#}", policy.0["status"])) }
        })
        .await
    }

    /// What the operator asked of the API server about a resource.
    pub(crate) fn requests(&self, group: &str, resource: &str) -> Result<Vec<Request>> {
        let mut requests = self.plane.requests(|user| user == USER)?;
        requests.retain(|request| request.group == group && request.resource == resource);
        Ok(requests)
    }

    /// How many watches of a resource are open.
    pub(crate) fn open_watches(&self, group: &str, resource: &str) -> Result<usize> {
        Ok(self
            .requests(group, resource)?
            .iter()
            .filter(|request| request.is_watch() && request.open)
            .count())
    }

    /// How many lists of a resource were asked for and answered.
    pub(crate) fn lists(&self, group: &str, resource: &str) -> Result<usize> {
        let is_list = |request: &&Request| request.verb == "list" && request.code == 200;
        Ok(self.requests(group, resource)?.iter().filter(is_list).count())
    }

    /// Installs a CRD of a group, with a free `spec`, and waits until it is established.
    pub(crate) async fn install_crd(&self, group: &str, plural: &str, kind: &str) -> Result<()> {
        self.define(&format!("{plural}.{group}"), &crd(group, plural, kind)).await
    }

    /// Installs a CRD as it is written, and waits until it is established.
    pub(crate) async fn define(&self, name: &str, definition: &str) -> Result<()> {
        self.apply(definition).await?;
        let wait = ["wait", "--for=condition=Established", "--timeout=60s", "crd", name];
        self.plane.kubectl().run(&wait).await.map(drop)
    }

    /// Lets the operator read a resource.
    pub(crate) async fn grant(&self, group: &str, plural: &str) -> Result<()> {
        self.apply(&grant(group, plural)).await
    }
}

/// Installs the operator, and lets it read ConfigMaps, of which tests make many.
pub(crate) async fn install(plane: &ControlPlane) -> Result<PathBuf> {
    let kubeconfig = Operator::install(plane).await?;
    plane.kubectl().apply(&grant("", "configmaps")).await?;
    Ok(kubeconfig)
}

/// A Namespace.
pub(crate) fn namespace(name: &str) -> String {
    format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}")
}

/// A CRD with a free `spec`.
pub(crate) fn crd(group: &str, plural: &str, kind: &str) -> String {
    let singular = kind.to_lowercase();
    format!(
        "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: {plural}.{group}}}
spec:
  group: {group}
  scope: Namespaced
  names: {{plural: {plural}, singular: {singular}, kind: {kind}}}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {{type: object, x-kubernetes-preserve-unknown-fields: true}}
"
    )
}

/// A ClusterRole for one resource, bound to the operator.
pub(crate) fn grant(group: &str, plural: &str) -> String {
    let rule = format!("{{apiGroups: ['{group}'], resources: ['{plural}'], verbs: [list, watch]}}");
    role(&format!("test-{plural}.{group}"), None, &rule)
}

/// A role of one rule, bound to the operator: in a namespace, or for the whole cluster.
pub(crate) fn role(name: &str, namespace: Option<&str>, rule: &str) -> String {
    let (kind, place) = match namespace {
        Some(namespace) => ("Role", format!(", namespace: {namespace}")),
        None => ("ClusterRole", String::new()),
    };
    format!(
        "
apiVersion: rbac.authorization.k8s.io/v1
kind: {kind}
metadata: {{name: '{name}'{place}}}
rules:
- {rule}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {kind}Binding
metadata: {{name: '{name}'{place}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: {kind}, name: '{name}'}}
subjects:
- {{kind: ServiceAccount, name: watchpolicy, namespace: watchpolicy-system}}
"
    )
}

/// A WatchPolicy as JSON, with what tests ask of it.
#[derive(Debug)]
pub(crate) struct Policy(pub(crate) Value);

impl Policy {
    /// A condition's status: `True`, `False`, or empty where there is none.
    pub(crate) fn condition(&self, kind: &str) -> &str {
        self.find(kind, "status")
    }

    /// A condition's reason.
    pub(crate) fn reason(&self, kind: &str) -> &str {
        self.find(kind, "reason")
    }

    /// A condition's message.
    pub(crate) fn message(&self, kind: &str) -> &str {
        self.find(kind, "message")
    }

    fn find(&self, kind: &str, field: &str) -> &str {
        let conditions = self.0["status"]["conditions"].as_array();
        let found = conditions.into_iter().flatten().find(|condition| condition["type"] == kind);
        found.and_then(|condition| condition[field].as_str()).unwrap_or_default()
    }

    /// A number of the summary.
    pub(crate) fn count(&self, field: &str) -> i64 {
        self.0["status"]["summary"][field].as_i64().unwrap_or_default()
    }

    /// `namespace/name rule: message` of each listed violation.
    pub(crate) fn violations(&self) -> Vec<String> {
        let listed = self.0["status"]["violations"].as_array();
        listed
            .into_iter()
            .flatten()
            .map(|violation| {
                let text = |field: &Value| field.as_str().unwrap_or_default().to_owned();
                let object = &violation["object"];
                let (namespace, name) = (text(&object["namespace"]), text(&object["name"]));
                format!("{namespace}/{name} {}: {}", text(&violation["rule"]), text(&violation["message"]))
            })
            .collect()
    }

    /// The state of a target.
    pub(crate) fn target(&self, resource: &str) -> &str {
        let targets = self.0["status"]["targets"].as_array();
        let found = targets.into_iter().flatten().find(|target| target["resource"] == resource);
        found.and_then(|target| target["state"].as_str()).unwrap_or_default()
    }

    /// The message of a target.
    pub(crate) fn target_message(&self, resource: &str) -> String {
        let targets = self.0["status"]["targets"].as_array();
        let found = targets.into_iter().flatten().find(|target| target["resource"] == resource);
        found.and_then(|target| target["message"].as_str()).unwrap_or_default().to_owned()
    }

    /// Whether the status is of the newest spec, and all targets are synced.
    pub(crate) fn is_ready(&self) -> bool {
        self.0["status"]["observedGeneration"] == self.0["metadata"]["generation"]
            && self.condition("Ready") == "True"
    }
}

/// The value of the one series that has a name and all these labels.
pub(crate) fn series(page: &str, name: &str, labels: &[(&str, &str)]) -> Result<Option<f64>> {
    let lines = page.lines().map(|line| Ok(line.to_owned()));
    let scrape = prometheus_parse::Scrape::parse(lines).context("the page cannot be parsed")?;
    let mut found = scrape.samples.into_iter().filter(|sample| {
        sample.metric == name && labels.iter().all(|(label, value)| sample.labels.get(label) == Some(*value))
    });
    let Some(first) = found.next() else { return Ok(None) };
    ensure!(found.next().is_none(), "{name}{labels:?} stands for several series");
    match first.value {
        prometheus_parse::Value::Counter(value)
        | prometheus_parse::Value::Gauge(value)
        | prometheus_parse::Value::Untyped(value) => Ok(Some(value)),
        other => anyhow::bail!("{name} is no number: {other:?}"),
    }
}
