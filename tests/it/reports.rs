//! What is told beside objects: Events on them, and the reports of OpenReports' own definitions.

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::events::{event, events};
use crate::harness::operator::USER;
use crate::harness::{Request, eventually, tools};
use crate::release::Cluster;
use crate::world::{DEADLINE, Policy};

const NAMES: &str = "reports.openreports.io,clusterreports.openreports.io";

const POLICY: &str = "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {name: owners}
spec:
  category: Ownership
  severity: high
  targets:
  - {group: apps, resources: [deployments], namespaces: [told]}
  - {resources: [namespaces], names: [told]}
  rules: [{name: owner, path: $.metadata.labels.owner, assert: {exists: true}}]
";

const OBJECTS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: told}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: told, labels: {owner: team}}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: a, image: nginx}]}
";

impl Cluster {
    async fn reports(&self) -> Result<Vec<Value>> {
        let text = self.kubectl(&["get", NAMES, "-A", "-o", "json"]).await?;
        let mut list: Value = serde_json::from_str(&text)?;
        Ok(std::mem::take(list["items"].as_array_mut().unwrap()))
    }

    async fn until_reports(&self, what: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let look = async || {
            let reports = self.reports().await?;
            ensure!(wanted(&reports), "{reports:#?}");
            anyhow::Ok(reports)
        };
        eventually(DEADLINE, what, look).await.unwrap()
    }

    async fn label(&self, what: &[&str]) {
        self.kubectl(&[&["label", "--overwrite"], what].concat()).await.unwrap();
    }

    /// What the operator wrote of reports.
    fn report_writes(&self) -> Vec<Request> {
        let mut requests = self.plane.requests(|user| user == USER).unwrap();
        requests.retain(|request| request.group == "openreports.io" && request.verb != "list");
        requests
    }
}

/// The report whose object is of a kind.
fn of_kind<'r>(reports: &'r [Value], kind: &str) -> &'r Value {
    reports.iter().find(|report| report["scope"]["kind"] == kind).expect(kind)
}

#[tokio::test]
async fn what_befalls_an_object_is_told_beside_it() {
    let (cluster, _) = Cluster::install(&["--set", "events.onResources=true"]).await;
    let operator = cluster.operator().await;
    cluster.plane.kubectl().apply(OBJECTS).await.unwrap();
    cluster.plane.kubectl().apply(POLICY).await.unwrap();
    cluster.until("owners", "both are judged", |p| p.is_ready() && p.count("matched") == 2).await;
    event(&cluster.plane, "default", "told", "ViolationBegan").await;

    cluster.label(&["-n", "told", "deployment/web", "owner-"]).await;
    let began = event(&cluster.plane, "told", "web", "ViolationBegan").await;
    assert!(began["note"].as_str().unwrap().starts_with("policy owners, rule owner: "), "{began:#}");
    assert_eq!(began["regarding"]["apiVersion"], "apps/v1");
    for owner in ["owner=a", "owner-", "owner=b"] {
        let before = cluster.until("owners", "it is judged", Policy::is_ready).await.count("failed");
        cluster.label(&["-n", "told", "deployment/web", owner]).await;
        cluster.until("owners", "it is judged again", |p| p.count("failed") != before).await;
    }
    let series = async || {
        let events = events(&cluster.plane, "told", "web").await?;
        let count = |reason: &str| {
            let of_reason: Vec<_> = events.iter().filter(|event| event["reason"] == reason).collect();
            of_reason.iter().map(|event| event["series"]["count"].clone()).collect::<Vec<_>>()
        };
        let counts = (count("ViolationBegan"), count("ViolationEnded"));
        ensure!(counts == (vec![2.into()], vec![2.into()]), "{events:#?}");
        anyhow::Ok(())
    };
    eventually(DEADLINE, "the same again is a series and no second event", series).await.unwrap();

    let log = operator.log().unwrap();
    assert_eq!(log.matches("does not serve openreports.io").count(), 1, "{log}");
    assert_eq!(cluster.report_writes().len(), 0);
}

#[tokio::test]
async fn reports_begin_when_their_definitions_come_and_go_with_what_they_report() {
    let (cluster, _) = Cluster::install(&[]).await;
    let operator = cluster.operator().await;
    cluster.plane.kubectl().apply(OBJECTS).await.unwrap();
    cluster.plane.kubectl().apply(POLICY).await.unwrap();
    cluster.label(&["-n", "told", "deployment/web", "owner-"]).await;
    cluster.until("owners", "both fail", |p| p.is_ready() && p.count("failed") == 2).await;

    let definitions = tools::openreports().await.unwrap().display().to_string();
    cluster.kubectl(&["apply", "-f", &definitions]).await.unwrap();
    let reports = cluster.until_reports("both have a report", |reports| reports.len() == 2).await;
    let deployment = cluster.json(&["-n", "told", "deployment/web"]).await;
    let (report, of_namespace) = (of_kind(&reports, "Deployment"), of_kind(&reports, "Namespace"));
    assert_eq!(of_namespace["kind"], "ClusterReport");
    assert_eq!(report["metadata"]["namespace"], "told");
    assert_eq!(report["metadata"]["ownerReferences"][0]["uid"], deployment["metadata"]["uid"]);
    let result = &report["results"][0];
    for (field, value) in [
        ("policy", "owners"),
        ("rule", "owner"),
        ("category", "Ownership"),
        ("severity", "high"),
        ("result", "fail"),
    ] {
        assert_eq!(result[field], value, "{report:#}");
    }
    let table =
        cluster.kubectl(&["get", "reports.openreports.io", "-n", "told", "-o", "wide"]).await.unwrap();
    assert!(table.contains("Deployment   web"), "{table}");

    // Another leader finds them as they should be, and what is nobody's any more goes.
    let written = cluster.report_writes().len();
    assert_eq!(operator.stop(DEADLINE).await.unwrap(), 0);
    cluster.label(&["namespace", "told", "owner=team"]).await;
    let _operator = cluster.operator().await;
    let left = cluster.until_reports("the mended one has none", |reports| reports.len() == 1).await;
    assert_eq!(
        of_kind(&left, "Deployment")["metadata"]["resourceVersion"],
        report["metadata"]["resourceVersion"]
    );
    let since: Vec<_> = cluster.report_writes().drain(written..).map(|request| request.verb).collect();
    assert_eq!(since, ["delete"]);

    cluster.kubectl(&["delete", "wpol", "owners"]).await.unwrap();
    cluster.until_reports("they go with their policy", |reports| reports.is_empty()).await;
    let refused: Vec<_> = cluster.report_writes().into_iter().filter(|request| request.code >= 400).collect();
    assert!(refused.is_empty(), "{refused:#?}");
}
