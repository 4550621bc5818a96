//! Alerts, dashboard and metrics, judged by Prometheus' own tool.

use std::path::Path;

use anyhow::{Result, bail};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::harness::child::Folder;
use crate::harness::helm::CHART;
use crate::harness::{Helm, eventually, tools};
use crate::release::Cluster;
use crate::world::{DEADLINE, Policy, series, shared};

/// promtool in a folder, with what goes to its standard input.
async fn promtool(folder: &Path, args: &[&str], input: &str) -> Result<String> {
    let mut command = Command::new(tools::promtool().await?.join("promtool"));
    command.args(args).current_dir(folder).kill_on_drop(true);
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.stderr(std::process::Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).await?;
    }
    let output = child.wait_with_output().await?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    if output.status.success() { Ok(said) } else { bail!("promtool {args:?}: {said}") }
}

/// The rules that the chart renders, with these values.
async fn rules(folder: &Path, values: &[&str]) -> Value {
    let helm = Helm::offline(folder).await.unwrap();
    let only = ["-s", "templates/prometheusrule.yaml", "--set", "monitoring.rules.enabled=true"];
    let rendered =
        helm.run(&[&["template", "watchpolicy", CHART], &only[..], values].concat()).await.unwrap();
    let rule: Value = serde_saphyr::from_str(&rendered).unwrap();
    rule["spec"].clone()
}

#[tokio::test]
async fn each_alert_fires_when_it_should_and_is_silent_when_it_should_not() {
    let folder = Folder::new("watchpolicy-alerts").unwrap();
    let rules = rules(folder.path(), &[]).await;
    std::fs::write(folder.path().join("alerts.yaml"), rules.to_string()).unwrap();
    std::fs::write(folder.path().join("test.yaml"), include_str!("../promtool/alerts_test.yaml")).unwrap();
    promtool(folder.path(), &["check", "rules", "--lint-fatal", "alerts.yaml"], "").await.unwrap();
    promtool(folder.path(), &["test", "rules", "test.yaml"], "").await.unwrap();
    // Each of them is in the tests, firing.
    let tests: Value = serde_saphyr::from_str(include_str!("../promtool/alerts_test.yaml")).unwrap();
    let fired: Vec<_> = tests["tests"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|test| test["alert_rule_test"].as_array().unwrap())
        .filter(|test| test.get("exp_alerts").is_some())
        .map(|test| test["alertname"].as_str().unwrap())
        .collect();
    for rule in rules["groups"][0]["rules"].as_array().unwrap() {
        let alert = rule["alert"].as_str().unwrap();
        assert!(fired.contains(&alert), "{alert} is not seen to fire in tests/promtool/alerts_test.yaml");
    }
}

#[tokio::test]
async fn each_alert_can_be_left_out_and_its_runbook_is_where_the_values_say() {
    let folder = Folder::new("watchpolicy-rules").unwrap();
    let rules_of = |spec: &Value| spec["groups"][0]["rules"].as_array().unwrap().clone();
    let names = |spec: &Value| -> Vec<_> {
        rules_of(spec).iter().map(|rule| rule["alert"].as_str().unwrap().to_owned()).collect()
    };
    let mut all = names(&rules(folder.path(), &[]).await);
    let kept = all.remove(0);
    let disabled = format!("monitoring.rules.disabled={{{}}}", all.join(","));
    assert_eq!(names(&rules(folder.path(), &["--set", &disabled]).await), [kept]);

    // What looks like a mark of the chart's own is none.
    let runbooks = "https://wiki.example.com/PLEASE/runbooks";
    let set = format!("monitoring.rules.runbooks={runbooks}");
    for rule in rules_of(&rules(folder.path(), &["--set", &set]).await) {
        let runbook = rule["annotations"]["runbook_url"].as_str().unwrap();
        assert!(runbook.starts_with(&format!("{runbooks}#watchpolicy")), "{runbook}");
    }
}

#[tokio::test]
async fn a_page_with_the_most_awkward_name_that_kubernetes_allows_passes_the_linter_of_prometheus() {
    let world = shared().await.unwrap();
    let name = format!("0-0.{}.z", "a-1".repeat(19));
    let policy = format!(
        "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {{name: {name}}}
spec:
  targets: [{{resources: [namespaces], names: [default]}}]
  rules: [{{name: team, path: $.metadata.labels.team, assert: {{exists: true}}}}]
"
    );
    world.apply(&policy).await.unwrap();
    world.until(&name, "it is judged", |p| p.is_ready() && p.count("failed") == 1).await.unwrap();
    let page = world.operator.metrics().await.unwrap();
    assert!(page.contains(&format!("policy=\"{name}\"")));
    let folder = Folder::new("watchpolicy-lint").unwrap();
    promtool(folder.path(), &["check", "metrics"], &page).await.unwrap();
}

/// The rights to what its policy targets, and to nothing beside.
const TARGETS_ALONE: &str = r#"rbac.targets={"presets": [], "read": [{"apiGroups": [""], "resources": ["pods"]},
    {"apiGroups": ["apps"], "resources": ["deployments"]}]}"#;

const PODS: &str = "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {name: pods}
spec:
  targets: [{resources: [pods]}, {group: apps, resources: [deployments]}]
  rules: [{name: team, path: $.metadata.labels.team, assert: {exists: true}}]
";

/// What an alert on a right that no target lacks is about, and where its runbook finds the rule.
#[tokio::test]
async fn a_right_that_is_missing_beside_the_targets_is_in_the_message_of_one_that_is_synced() {
    let (cluster, _) = Cluster::install(&["--set-json", TARGETS_ALONE]).await;
    let operator = cluster.operator().await;
    cluster.plane.kubectl().apply(PODS).await.unwrap();
    let forbidden = async || {
        let labels = [("group", "apps"), ("resource", "replicasets"), ("state", "Forbidden")];
        series(&operator.metrics().await.unwrap(), "watchpolicy_informers", &labels).unwrap()
    };
    let lacks = |policy: &Policy| policy.is_ready() && !policy.target_message("pods").is_empty();
    let told = cluster.until("pods", "its targets are synced, and a right is missing", lacks).await;
    assert_eq!((told.target("pods"), told.target("deployments")), ("Synced", "Synced"));
    let told = told.target_message("pods");
    assert!(told.contains("reported beside it: the operator may not list replicasets.apps"), "{told}");
    assert_eq!(forbidden().await, Some(1.0));

    let rule = told.split_once("): ").unwrap().1;
    let role = format!(
        "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: given, labels: {{rbac.watchpolicy.io/aggregate-to-operator: 'true'}}}}
rules: [{rule}]
"
    );
    cluster.plane.kubectl().apply(&role).await.unwrap();
    let heals = async || forbidden().await.is_none().then_some(());
    eventually(DEADLINE, "with the rule pasted nothing is forbidden", heals).await.unwrap();
    assert_eq!(operator.stop(DEADLINE).await.unwrap(), 0);
}
