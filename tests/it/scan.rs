//! `watchpolicy scan` of a real cluster, with rights of a real API server.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Result;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::fields::COLORED;
use crate::harness::{ControlPlane, Operator, eventually};
use crate::world::{DEADLINE, namespace};

/// What a scan says.
struct Told {
    exit: i32,
    out: String,
    err: String,
}

impl Told {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }

    /// `kind namespace/name result`, with `owned` where it is left to a controller, of one policy.
    fn results(&self, policy: &str) -> Vec<String> {
        let results = self.json();
        let entries = results["results"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let shown = entries.filter(|entry| entry["policy"] == policy).map(|entry| {
            let (object, owned) = (&entry["object"], entry["rules"][0]["owned"] == true);
            // Who makes Pods gives them names that nobody knows.
            let name = text(&object["name"]).split('-').next().unwrap().to_owned();
            let owned = if owned { " owned" } else { "" };
            format!("{} {name} {}{owned}", text(&object["kind"]), text(&entry["result"]))
        });
        shown.collect()
    }
}

async fn scan(kubeconfig: &Path, args: &[&str], policies: &str) -> Result<Told> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_watchpolicy"));
    command.arg("scan").arg("--kubeconfig").arg(kubeconfig).args(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    if let Some(mut pipe) = child.stdin.take() {
        tokio::io::AsyncWriteExt::write_all(&mut pipe, policies.as_bytes()).await?;
    }
    let output = child.wait_with_output().await?;
    Ok(Told {
        exit: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout)?,
        err: String::from_utf8(output.stderr)?,
    })
}

/// A control plane that knows the kind, and a kubeconfig of a ServiceAccount of a namespace of its own.
async fn prepare(name: &str, rules: &str, role: &str) -> Result<(&'static ControlPlane, PathBuf)> {
    let plane = ControlPlane::shared().await?;
    Operator::install(plane).await?;
    let account = format!(
        "{}
---
{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: scanner, namespace: {name}}}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {role}
metadata: {{name: {name}, namespace: {name}}}
rules: {rules}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {role}Binding
metadata: {{name: {name}, namespace: {name}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: {role}, name: {name}}}
subjects: [{{kind: ServiceAccount, name: scanner, namespace: {name}}}]
",
        namespace(name)
    );
    plane.kubectl().apply(&account).await?;
    Ok((plane, plane.access().service_account_kubeconfig(name, "scanner").await?))
}

fn deployment(name: &str, namespace: &str) -> String {
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{containers: [{{name: a, image: registry.example.com/a:1}}]}}
"
    )
}

const LIMITED: &str = "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {name: limited}
spec:
  targets:
  - resources: [pods]
    namespaceSelector: {matchLabels: {scanned: 'yes'}}
  - group: apps
    resources: [deployments]
    namespaceSelector: {matchLabels: {scanned: 'yes'}}
  rules:
  - {name: memory, path: '$containers[*].resources.limits.memory', assert: {exists: true}}
---
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {name: owned-namespaces}
spec:
  targets: [{resources: [namespaces], names: [scan-*]}]
  rules: [{name: owner, path: $.metadata.annotations.owner, assert: {exists: true}, severity: low}]
";

const READS_ALL: &str = "[{apiGroups: ['', apps], resources: [pods, namespaces, deployments, replicasets], \
                         verbs: [get, list]}]";

#[tokio::test]
async fn a_cluster_is_judged_by_policies_of_files_and_nothing_but_lists_is_asked_for() {
    let (plane, kubeconfig) = prepare("scan-all", READS_ALL, "ClusterRole").await.unwrap();
    let kubectl = plane.kubectl();
    kubectl.run(&["label", "namespace", "scan-all", "scanned=yes"]).await.unwrap();
    kubectl.apply(&deployment("web", "scan-all")).await.unwrap();
    let pods = ["get", "pods", "-n", "scan-all", "-l", "app=web", "-o", "name"];
    let is_there = async || {
        let pods = kubectl.run(&pods).await.map_err(|error| error.to_string())?;
        if pods.is_empty() { Err("no Pod".to_owned()) } else { Ok(()) }
    };
    eventually(DEADLINE, "the Deployment has a Pod", is_there).await.unwrap();

    let told = scan(&kubeconfig, &["-p", "-", "--format", "json"], LIMITED).await.unwrap();
    assert_eq!((told.exit, &*told.err), (1, ""), "{}", told.out);
    assert_eq!(told.results("limited"), ["Deployment web Fail", "Pod web Skip owned"]);
    let first = &told.json()["results"][0];
    assert_eq!(first["object"]["apiVersion"], "apps/v1");
    assert_eq!((&first["file"], &first["document"]), (&Value::Null, &Value::Null), "it is in no file");

    let narrow = ["-p", "-", "-n", "scan-all", "--format", "json"];
    let told = scan(&kubeconfig, &narrow, LIMITED).await.unwrap();
    assert_eq!(told.results("limited"), ["Deployment web Fail", "Pod web Skip owned"]);
    assert_eq!(told.results("owned-namespaces"), ["Namespace scan Fail"], "and no other Namespace");

    let table = ["-p", "-", "-n", "scan-all", "--fail-on", "high"];
    let told = scan(&kubeconfig, &table, LIMITED).await.unwrap();
    assert_eq!(told.exit, 0, "{}", told.err);
    assert!(told.out.starts_with("RESULT   SEVERITY   POLICY"), "{}", told.out);
    assert!(!told.out.contains("FILE") && told.out.contains("Deployment scan-all/web"), "{}", told.out);

    let user = "system:serviceaccount:scan-all:scanner";
    let verbs: Vec<_> = plane.requests(|of| of == user).unwrap();
    assert!(!verbs.is_empty());
    let changes: Vec<_> = verbs.iter().filter(|request| !["get", "list"].contains(&&*request.verb)).collect();
    assert!(changes.is_empty(), "{changes:#?}");
}

#[tokio::test]
async fn what_may_not_be_listed_or_is_not_served_is_named_with_its_cure_and_the_rest_goes_on() {
    let rules = "[{apiGroups: [apps], resources: [deployments], verbs: [list]}]";
    let (plane, kubeconfig) = prepare("scan-part", rules, "Role").await.unwrap();
    plane.kubectl().apply(&deployment("web", "scan-part")).await.unwrap();
    let policy = "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {name: part}
spec:
  targets:
  - {resources: [pods]}
  - {group: apps, resources: [deployments, deploymentz]}
  rules: [{name: team, path: $.metadata.labels.team, assert: {exists: true}}]
";
    let narrow = ["-p", "-", "-n", "scan-part", "--format", "json"];
    let told = scan(&kubeconfig, &narrow, policy).await.unwrap();
    assert_eq!(
        (told.exit, told.results("part")),
        (2, vec!["Deployment web Fail".to_owned()]),
        "{}",
        told.err
    );
    for words in [
        "you may not list pods in namespace scan-part: none of them is judged by part; be allowed to (apiGroups: \
         [\"\"], resources: [pods], verbs: [list])",
        "the cluster serves no deploymentz.apps: did you mean deployments?",
    ] {
        assert!(told.err.contains(words), "{words}: {}", told.err);
    }
    let everywhere = scan(&kubeconfig, &["-p", "-"], policy).await.unwrap();
    assert_eq!(everywhere.exit, 2);
    assert!(
        everywhere.err.contains("you may not list deployments.apps in all namespaces"),
        "{}",
        everywhere.err
    );

    let own = scan(&kubeconfig, &["-n", "scan-part"], "").await.unwrap();
    assert_eq!((own.exit, &*own.out), (2, ""));
    assert!(own.err.contains("you may not list watchpolicies.watchpolicy.io"), "{}", own.err);
}

#[tokio::test]
async fn custom_objects_are_selected_by_the_fields_of_their_definition_and_by_no_others() {
    let rules = "[{apiGroups: [scan.example.com], resources: [balls], verbs: [list]}, {apiGroups: \
                 [apiextensions.k8s.io], resources: [customresourcedefinitions], verbs: [list]}]";
    let (plane, kubeconfig) = prepare("scan-fields", rules, "ClusterRole").await.unwrap();
    let (_, blind) =
        prepare("scan-blind", &rules.replace("customresourcedefinitions", "none"), "ClusterRole")
            .await
            .unwrap();
    plane.kubectl().apply(&COLORED.replace("fields.example.com", "scan.example.com")).await.unwrap();
    for (name, color) in [("one", "blue"), ("two", "red")] {
        let ball = format!(
            "{{apiVersion: scan.example.com/v1, kind: Ball, metadata: {{name: {name}, namespace: scan-fields}}, \
             spec: {{color: {color}, size: 1}}}}"
        );
        eventually(DEADLINE, "the kind is served", async || plane.kubectl().apply(&ball).await)
            .await
            .unwrap();
    }
    let policy = |selector: &str| {
        format!(
            "{{apiVersion: watchpolicy.io/v1alpha1, kind: WatchPolicy, metadata: {{name: balls}}, spec: {{targets: \
             [{{group: scan.example.com, resources: [balls], fieldSelector: '{selector}'}}], rules: [{{name: size, \
             path: $.spec.size, assert: {{equals: 2}}}}]}}}}"
        )
    };
    let args = ["-p", "-", "--format", "json"];
    let lists = |user: &str| {
        let user = format!("system:serviceaccount:{user}:scanner");
        let mut requests = plane.requests(|of| of == user).unwrap();
        requests.retain(|request| request.resource == "balls");
        requests.iter().map(|request| request.uri.contains("fieldSelector")).collect::<Vec<_>>()
    };
    let told = scan(&kubeconfig, &args, &policy("spec.color=blue")).await.unwrap();
    assert_eq!((told.exit, told.results("balls")), (1, vec!["Ball one Fail".to_owned()]), "{}", told.err);
    assert_eq!((lists("scan-fields"), &*told.err), (vec![true], ""), "the server selects");
    let told = scan(&kubeconfig, &args, &policy("spec.size=1")).await.unwrap();
    let words =
        "balls.v1.scan.example.com cannot be selected by `spec.size`, only by metadata.name, spec.color";
    assert!(told.exit == 2 && told.err.contains(words), "{}: {}", told.exit, told.err);

    let told = scan(&blind, &args, &policy("spec.color=blue")).await.unwrap();
    assert_eq!((told.exit, told.results("balls")), (1, vec!["Ball one Fail".to_owned()]), "{}", told.err);
    assert_eq!(lists("scan-blind"), [false], "selected on our side, to the same result");
    let words = "the definition of balls.scan.example.com cannot be read: the server answered 403";
    assert!(told.err.contains(words), "{}", told.err);
}

#[tokio::test]
async fn without_files_the_policies_of_the_cluster_judge() {
    let (plane, _) = prepare("scan-own", "[]", "Role").await.unwrap();
    let policy = "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {name: scan-own}
spec:
  targets: [{resources: [configmaps], namespaces: [scan-own], names: [scanned-*]}]
  rules: [{name: team, path: $.metadata.labels.team, assert: {exists: true}}]
";
    let map = "{apiVersion: v1, kind: ConfigMap, metadata: {name: scanned-map, namespace: scan-own}}";
    for manifest in [policy, map] {
        plane.kubectl().apply(manifest).await.unwrap();
    }
    let args = ["-n", "scan-own", "--format", "json"];
    let told = scan(plane.access().admin_kubeconfig(), &args, "").await.unwrap();
    // Other tests have policies in the cluster, too, some of them wrong.
    assert_eq!(told.results("scan-own"), ["ConfigMap scanned Fail"], "{}", told.err);
    assert!(told.json()["summary"]["fail"].as_u64() >= Some(1), "{}", json!(told.out));
    let nowhere = scan(plane.access().admin_kubeconfig(), &["-n", "scan-nowhere"], "").await.unwrap();
    assert_eq!(nowhere.exit, 2);
    assert!(nowhere.err.contains("there is no namespace scan-nowhere"), "{}", nowhere.err);
}
