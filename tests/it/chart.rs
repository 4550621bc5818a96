//! The chart as text: what Helm makes of values.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::child::Folder;
use crate::harness::helm::CHART;
use crate::harness::kubectl::Kubectl;
use crate::harness::operator::{INSTALL, NAMESPACE};
use crate::harness::{ControlPlane, Helm, eventually, tools};
use crate::world::{DEADLINE, namespace};

/// Helm without a cluster, and the folder that it keeps things in.
pub(crate) async fn helm() -> (Helm, Folder) {
    let folder = Folder::new("watchpolicy-helm").unwrap();
    (Helm::offline(folder.path()).await.unwrap(), folder)
}

pub(crate) async fn render(helm: &Helm, args: &[&str]) -> anyhow::Result<String> {
    helm.run(&[&["template", "watchpolicy", CHART, "--namespace", NAMESPACE], args].concat()).await
}

/// The objects of a rendered chart.
pub(crate) fn objects(rendered: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(rendered).unwrap()
}

/// The files of values under `ci/`, by their names without ending.
fn files_of_values() -> BTreeMap<String, PathBuf> {
    let named = |path: PathBuf| {
        let name = path.file_name()?.to_str()?.strip_suffix("-values.yaml")?.to_owned();
        Some((name, path))
    };
    let files = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(CHART).join("ci")).unwrap();
    let found: BTreeMap<_, _> = files.filter_map(|entry| named(entry.unwrap().path())).collect();
    assert!(found.len() >= 5, "{found:?}");
    found
}

#[tokio::test]
async fn the_linter_finds_no_fault_with_any_file_of_values() {
    let (helm, _folder) = helm().await;
    for path in files_of_values().values() {
        helm.run(&["lint", "--strict", CHART, "--values", &path.display().to_string()]).await.unwrap();
    }
}

/// All but the definition's schema, which is the file in `files/` and is long.
fn without_schema(rendered: &str) -> String {
    let mut kept = String::new();
    for document in rendered.split_inclusive("\n---\n") {
        match document.split_once("\nspec:\n") {
            Some((head, _)) if document.contains("kind: CustomResourceDefinition") => {
                kept.push_str(head);
                kept.push_str("\n---\n");
            }
            _ => kept.push_str(document),
        }
    }
    kept
}

#[tokio::test]
async fn each_file_of_values_renders_what_its_snapshot_holds() {
    let (helm, _folder) = helm().await;
    let update = std::env::var_os("UPDATE_SNAPSHOTS").is_some();
    let mut other = Vec::new();
    for (name, path) in files_of_values() {
        let rendered = render(&helm, &["--values", &path.display().to_string()]).await.unwrap();
        let rendered = without_schema(&rendered);
        let snapshot = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/snapshots/{name}.yaml"));
        if std::fs::read_to_string(&snapshot).is_ok_and(|held| held == rendered) {
            continue;
        }
        if update {
            std::fs::write(&snapshot, rendered).unwrap();
        } else {
            other.push(name);
        }
    }
    assert!(
        other.is_empty(),
        "the chart renders {other:?} otherwise than tests/snapshots has it: run `make snapshots` and read \
         `git diff tests/snapshots`"
    );
}

/// Makes the kinds of the Prometheus operator that the chart renders be served.
async fn serve_monitoring(kubectl: &Kubectl) {
    const KINDS: [&str; 3] = ["servicemonitors", "podmonitors", "prometheusrules"];
    let folder = tools::prometheus_operator().await.unwrap();
    for kind in KINDS {
        let definition = folder.join(format!("monitoring.coreos.com_{kind}.yaml")).display().to_string();
        kubectl.run(&["apply", "--server-side", "-f", &definition]).await.unwrap();
    }
    let served = async || kubectl.run(&["get", &KINDS.join(",")]).await;
    eventually(DEADLINE, "the kinds are served", served).await.unwrap();
}

#[tokio::test]
async fn the_api_server_takes_every_object_that_a_file_of_values_renders_without_dropping_a_field() {
    let (helm, _folder) = helm().await;
    let kubectl = ControlPlane::shared().await.unwrap().kubectl();
    for name in ["tried", "shop", "web"] {
        kubectl.apply(&namespace(name)).await.unwrap();
    }
    serve_monitoring(&kubectl).await;
    let mut kinds = BTreeSet::new();
    let dry_run = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict"];
    let dry_run = [&dry_run[..], &["-f", "-"]].concat();
    for (name, path) in files_of_values() {
        let args =
            ["template", "tried", CHART, "--namespace", "tried", "--values", &path.display().to_string()];
        let objects = objects(&helm.run(&args).await.unwrap());
        kinds.extend(objects.iter().map(|object| object["kind"].as_str().unwrap().to_owned()));
        let manifests: Vec<_> = objects.iter().map(Value::to_string).collect();
        let told = kubectl.run_with(&dry_run, &manifests.join("\n---\n")).await;
        let told = told.unwrap_or_else(|error| panic!("{name}: {error:#}"));
        assert_eq!(told.lines().count(), objects.len(), "{name}: {told}");
    }
    for kind in ["ServiceMonitor", "PodMonitor", "PrometheusRule"] {
        assert!(kinds.contains(kind), "no file of values has a {kind}");
    }
}

#[tokio::test]
async fn names_that_look_like_numbers_or_have_dots_are_rendered_as_names() {
    let (helm, _folder) = helm().await;
    let numbers = "serviceAccount.name=123,priorityClassName=123,image.tag=1,nameOverride=1";
    let args = ["template", "my.release", CHART, "--namespace", "123", "--set-string", numbers];
    let rendered = helm.run(&args).await.unwrap();
    for object in objects(&rendered) {
        let name = object["metadata"]["name"].as_str().expect("a name is text");
        assert!(!name.starts_with("my.") && object["metadata"]["labels"].is_object(), "{name}");
        // Events about what has no namespace are in `default`.
        let namespaces = ["123", "default"];
        assert!(object["metadata"]["namespace"].as_str().is_none_or(|own| namespaces.contains(&own)));
        let account = object.pointer("/spec/template/spec/serviceAccountName");
        assert!(account.is_none_or(|account| account == "123"), "{account:?}");
    }
    let error = helm.run(&["template", "123", CHART]).await.unwrap_err().to_string();
    assert!(error.contains("Set fullnameOverride"), "{error}");
}

#[tokio::test]
async fn the_selector_of_the_pods_is_the_same_whatever_the_names_are() {
    let (helm, _folder) = helm().await;
    let selector = async |args: &[&str]| {
        let rendered = render(&helm, args).await.unwrap();
        let deployment =
            objects(&rendered).into_iter().find(|object| object["kind"] == "Deployment").unwrap();
        deployment["spec"]["selector"].clone()
    };
    assert_eq!(selector(&[]).await, selector(&["--set", "nameOverride=watch"]).await);
}

#[tokio::test]
async fn an_umbrella_chart_may_hold_it_under_a_condition_and_with_global_values() {
    let (helm, folder) = helm().await;
    let umbrella = folder.path().join("umbrella");
    std::fs::create_dir_all(umbrella.join("charts")).unwrap();
    let chart = "{apiVersion: v2, name: platform, version: 1.0.0, dependencies: \
                 [{name: watchpolicy, version: '*', condition: watchpolicy.enabled}]}";
    std::fs::write(umbrella.join("Chart.yaml"), chart).unwrap();
    let values = "{global: {region: north}, watchpolicy: {enabled: true, replicaCount: 3}}";
    std::fs::write(umbrella.join("values.yaml"), values).unwrap();
    let charts = umbrella.join("charts").display().to_string();
    helm.run(&["package", CHART, "--destination", &charts]).await.unwrap();

    let umbrella = umbrella.display().to_string();
    let rendered = helm.run(&["template", "platform", &umbrella]).await.unwrap();
    let deployment = objects(&rendered).into_iter().find(|object| object["kind"] == "Deployment").unwrap();
    assert_eq!(deployment["metadata"]["name"], "platform-watchpolicy");
    assert_eq!(deployment["spec"]["replicas"], 3);
    let off = ["template", "platform", &umbrella, "--set", "watchpolicy.enabled=false"];
    assert_eq!(helm.run(&off).await.unwrap().trim(), "");
}

#[tokio::test]
async fn its_pods_pass_the_restricted_pod_security_standard() {
    let (helm, _folder) = helm().await;
    let plane = ControlPlane::shared().await.unwrap();
    let kubectl = plane.kubectl();
    let namespace = r#"{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "restricted",
        "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}"#;
    kubectl.apply(namespace).await.unwrap();
    let dry_run = ["create", "--dry-run=server", "--namespace", "restricted", "-f", "-"];
    let refused = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "plain"},
        "spec": {"containers": [{"name": "plain", "image": "plain"}]}}"#;
    let error = kubectl.run_with(&dry_run, refused).await.expect_err("nothing is enforced").to_string();
    assert!(error.contains("PodSecurity"), "{error}");

    let rendered = render(&helm, &["--namespace", "restricted"]).await.unwrap();
    let mut tried = Vec::new();
    for object in objects(&rendered) {
        let pod = match object["kind"].as_str().unwrap() {
            "Pod" => object,
            "Deployment" => {
                let template = &object["spec"]["template"];
                serde_json::json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "operator",
                    "labels": template["metadata"]["labels"]}, "spec": template["spec"]})
            }
            _ => continue,
        };
        kubectl.run_with(&dry_run, &pod.to_string()).await.unwrap();
        let [container] = &pod["spec"]["containers"].as_array().unwrap()[..] else { panic!("{pod:#}") };
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        assert_eq!(pod["spec"]["volumes"], Value::Null);
        tried.push(pod["metadata"]["name"].as_str().unwrap().to_owned());
    }
    assert_eq!(tried, ["operator", "watchpolicy-test"]);
}

#[test]
fn readme_and_guide_install_the_chart_as_the_tests_do() {
    let command = format!("helm {}", INSTALL.join(" "));
    for (path, text) in [
        ("README.md", include_str!("../../README.md")),
        ("docs/install.md", include_str!("../../docs/install.md")),
    ] {
        assert!(text.contains(&command), "{path} has no `{command}`");
    }
}
