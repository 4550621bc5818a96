//! What the log never holds, at any level.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::ensure;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use crate::enforce::{fix, grant_fixes};
use crate::events::{event, events};
use crate::harness::{Operator, eventually, tools};
use crate::release::Cluster;
use crate::world::{DEADLINE, QUICK, grant, install, namespace, shared};

/// The members of a JSON object, in order; two of one name are two.
struct Members(Vec<String>);

impl<'de> serde::Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Members;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut names = Vec::new();
                while let Some((name, _)) = map.next_entry::<String, IgnoredAny>()? {
                    names.push(name);
                }
                Ok(Members(names))
            }
        }
        deserializer.deserialize_map(Names)
    }
}

/// Each canary as it is written, and as the server stores it in a Secret.
const CANARIES: [&str; 3] = ["canary-in-a-secret", "Y2FuYXJ5LWluLWEtc2VjcmV0", "canary-in-an-env"];

fn has_no_canary(text: &str) {
    for canary in CANARIES {
        let line = text.lines().find(|line| line.contains(canary));
        assert_eq!(line, None);
    }
}

/// What holds of each line of a log at the lowest level.
fn is_clean(log: &str) {
    assert!(log.contains("\"level\":\"TRACE\""), "the level is the lowest");
    has_no_canary(log);
    for line in log.lines() {
        let Members(names) = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let different: BTreeSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len(), "{line}");
        names_things_by_their_parts(&serde_json::from_str(line).unwrap());
    }
}

/// Lines of ours, that is: other targets have fields of their own.
fn names_things_by_their_parts(line: &Value) {
    if !line["target"].as_str().unwrap().starts_with("watchpolicy") {
        return;
    }
    for whole in ["key", "object", "place"] {
        assert_eq!(line[whole], Value::Null, "{line}");
    }
    if let Some(resource) = line["resource"].as_str() {
        assert!(!resource.contains('.') && line["group"].is_string(), "{line}");
    }
}

/// A Secret whose value fails a rule that quotes it, and a ConfigMap for comparison.
const OBJECTS: &str = "
apiVersion: v1
kind: Secret
metadata: {name: canary, namespace: logs}
stringData: {token: canary-in-a-secret}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: shown, namespace: logs}
data: {token: shown-in-a-config-map}
";

const POLICY: &str = "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {name: logs}
spec:
  targets: [{resources: [secrets, configmaps], namespaces: [logs], names: [canary, shown]}]
  rules:
  - name: token
    path: $.data.token
    assert: {equals: another}
    message: 'the token is {actual}, wanted {expected}'
";

#[tokio::test]
async fn at_the_lowest_level_no_value_of_a_secret_is_logged_and_each_line_has_each_key_once() {
    // The other replica leads; this one follows, projects and judges the same.
    let world = shared().await.unwrap();
    world.apply(&grant("", "secrets")).await.unwrap();
    world.apply(&namespace("logs")).await.unwrap();
    world.apply(OBJECTS).await.unwrap();
    let kubeconfig = install(world.plane).await.unwrap();
    let loud = [QUICK, &["--log-level", "trace", "--log-verdicts"]].concat();
    let operator = Operator::start(world.plane, &kubeconfig, &loud).await.unwrap();
    operator.wait_until_ready().await.unwrap();
    world.apply(POLICY).await.unwrap();
    let judged =
        world.until("logs", "both are judged", |p| p.is_ready() && p.count("failed") == 2).await.unwrap();
    assert!(judged.violations().iter().any(|violation| violation.contains("<redacted>")), "{judged:?}");
    world.plane.kubectl().run(&["delete", "-n", "logs", "secret/canary"]).await.unwrap();
    world.until("logs", "the deletion is seen", |p| p.count("failed") == 1).await.unwrap();

    let log = operator.log().unwrap();
    assert_eq!(operator.stop(DEADLINE).await.unwrap(), 0);
    is_clean(&log);
    assert!(log.contains("\"result\":\"Fail\""), "verdicts are told");
}

/// Secrets that a policy plans to change, or changes, or that refuse it, and a container with a value of its own.
const WRITTEN: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: logs}
---
apiVersion: v1
kind: Secret
metadata: {name: planned, namespace: logs}
stringData: {token: canary-in-a-secret}
---
apiVersion: v1
kind: Secret
metadata: {name: written, namespace: logs}
stringData: {token: canary-in-a-secret}
---
apiVersion: v1
kind: Secret
metadata: {name: refused, namespace: logs}
immutable: true
stringData: {token: canary-in-a-secret}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: env, namespace: logs}
spec:
  replicas: 0
  selector: {matchLabels: {app: env}}
  template:
    metadata: {labels: {app: env}}
    spec: {containers: [{name: a, image: nginx, env: [{name: TOKEN, value: canary-in-an-env}]}]}
";

/// A policy on one object. That of a Secret demands what is no canary, in the form in which Secrets are stored.
fn fixes(name: &str, mode: &str, target: &str, rule: &str) -> String {
    format!(
        "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {{name: {name}}}
spec:
  mode: {mode}
  targets: [{{{target}, namespaces: [logs], names: [{name}]}}]
  rules:
  - {{name: token, {rule}, message: 'it is {{actual}}, wanted {{expected}}'}}
"
    )
}

#[tokio::test]
async fn what_a_leader_writes_about_a_secret_and_to_it_is_in_no_log_event_report_or_status() {
    let sets = ["log.level=trace", "extraArgs={--log-verdicts}", "events.onResources=true"];
    let enforces = ["enforcement.enabled=true", "enforcement.allowFixOf={secrets}"];
    let args: Vec<_> = sets.iter().chain(&enforces).flat_map(|value| ["--set", *value]).collect();
    let (cluster, _) = Cluster::install(&args).await;
    let definitions = tools::openreports().await.unwrap().display().to_string();
    cluster.kubectl(&["apply", "-f", &definitions]).await.unwrap();
    let rights = [grant("", "secrets"), grant_fixes("", "secrets"), grant_fixes("apps", "deployments")];
    cluster.plane.kubectl().apply(&rights.join("\n---\n")).await.unwrap();
    cluster.plane.kubectl().apply(WRITTEN).await.unwrap();
    let operator = cluster.operator().await;

    let secrets = "resources: [secrets]";
    let token = "path: $.data.token, assert: {equals: YW5vdGhlcg==}, fix: {set: YW5vdGhlcg==}";
    let env = "forEach: $containers, path: \"$.env[?@.name=='TOKEN'].value\", assert: {equals: another}, fix: {set: another}";
    for policy in [
        fixes("planned", "Plan", secrets, token),
        fixes("refused", "Enforce", secrets, token),
        fixes("written", "Enforce", secrets, token),
        fixes("env", "Plan", "group: apps, resources: [deployments]", env),
    ] {
        cluster.plane.kubectl().apply(&policy).await.unwrap();
    }
    for (policy, outcome) in [("planned", "Planned"), ("refused", "Refused"), ("env", "Planned")] {
        let status = cluster.until(policy, "its fix is told", |p| fix(p, "outcome") == outcome).await;
        assert!(status.violations()[0].contains("<redacted>"), "{status:?}");
        event(&cluster.plane, "logs", policy, "ViolationBegan").await;
    }
    cluster.until("written", "it is written", |p| p.count("passed") == 1).await;
    event(&cluster.plane, "default", "refused", "FixRefused").await;
    let ended = async || {
        let told = events(&cluster.plane, "logs", "written").await?;
        ensure!(told.len() == 2, "{told:?}");
        anyhow::Ok(())
    };
    eventually(DEADLINE, "its end is told", ended).await.unwrap();
    let reports = async || {
        let reports = cluster.kubectl(&["get", "reports.openreports.io", "-n", "logs", "-o", "yaml"]).await?;
        ensure!(reports.matches("result: fail").count() == 3, "{reports}");
        anyhow::Ok(reports)
    };
    has_no_canary(&eventually(DEADLINE, "what fails is reported", reports).await.unwrap());
    has_no_canary(&cluster.kubectl(&["get", "wpol,events", "-A", "-o", "yaml"]).await.unwrap());

    let log = operator.log().unwrap();
    assert_eq!(operator.stop(DEADLINE).await.unwrap(), 0);
    is_clean(&log);
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let written: Vec<_> = lines.filter(|line| line["message"] == "an object was written").collect();
    assert_eq!(written.len(), 1, "{written:?}");
    for (field, value) in [
        ("policy", "written"),
        ("rules", "token"),
        ("group", ""),
        ("resource", "secrets"),
        ("namespace", "logs"),
        ("name", "written"),
    ] {
        assert_eq!(written[0][field], value, "{written:?}");
    }
}
