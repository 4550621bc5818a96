//! The chart as text: what Helm makes of values, and what it refuses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::child::Folder;
use crate::harness::helm::CHART;
use crate::harness::operator::{INSTALL, NAMESPACE};
use crate::harness::{ControlPlane, Helm};
use crate::world::namespace;

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

#[tokio::test]
async fn the_api_server_takes_every_object_that_a_file_of_values_renders_without_dropping_a_field() {
    let (helm, _folder) = helm().await;
    let kubectl = ControlPlane::shared().await.unwrap().kubectl();
    for name in ["tried", "shop", "web"] {
        kubectl.apply(&namespace(name)).await.unwrap();
    }
    let dry_run = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict"];
    let dry_run = [&dry_run[..], &["-f", "-"]].concat();
    for (name, path) in files_of_values() {
        let args =
            ["template", "tried", CHART, "--namespace", "tried", "--values", &path.display().to_string()];
        let mut objects = objects(&helm.run(&args).await.unwrap());
        // The kinds of the Prometheus operator are not there.
        objects
            .retain(|object| !object["apiVersion"].as_str().unwrap().starts_with("monitoring.coreos.com/"));
        let manifests: Vec<_> = objects.iter().map(Value::to_string).collect();
        let told = kubectl.run_with(&dry_run, &manifests.join("\n---\n")).await;
        let told = told.unwrap_or_else(|error| panic!("{name}: {error:#}"));
        assert_eq!(told.lines().count(), objects.len(), "{name}: {told}");
    }
}

#[tokio::test]
async fn values_that_are_not_known_or_not_of_their_type_are_refused_by_name() {
    let (helm, _folder) = helm().await;
    let cases = [
        ("replicaCuont=2", "replicaCuont"),
        ("image.tga=1", "tga"),
        ("rbac.targets.raed=", "raed"),
        ("rbac.targets.presets={workload}", "'workloads', 'services', 'namespaces'"),
        ("rbac.targets.presets={services,services}", "presets"),
        ("rbac.targets.namespaces={Shop}", "namespaces"),
        ("rbac.targets.namespaces={shop,shop}", "namespaces"),
        ("enforcement.enabled=yes", "enabled"),
        ("enforcement.writeQps=0", "writeQps"),
        ("enforcement.allowFixOf={Secrets}", "allowFixOf"),
        ("rbac.targets.write[0].resources={pods}", "apiGroups"),
        ("rbac.targets.write[0].verbs={delete}", "verbs"),
        ("rbac.targets.write[0].verbs={list,watch}", "verbs"),
        ("replicaCount=two", "replicaCount"),
        ("image.digest=latest", "digest"),
        ("image.repository=corp/watchpolicy:1", "repository"),
        ("log.format=xml", "format"),
        ("leaderElection.leaseDuration=15", "leaseDuration"),
        ("metrics.service.port=0", "port"),
        ("monitoring.rules.enable=true", "enable"),
        ("reports.results=Everything", "results"),
        ("reports.qps=0", "qps"),
        ("events.onResource=true", "onResource"),
        ("networkPolicy.apiServerPorts={}", "apiServerPorts"),
        ("rbac.targets.read[0].resources={pods}", "apiGroups"),
        ("rbac.targets.read[0].verbs={get}", "verbs"),
        ("rbac.targets.read[0].apiGroups={core}", "apiGroups"),
        ("rbac.targets.read[0].apiGroups={apps/v1}", "apiGroups"),
        ("rbac.targets.read[0].resources={Pods}", "resources"),
        ("image.registry=registry.example.com:5000 #", "registry"),
        ("serviceAccount.name=a: b", "serviceAccount"),
        ("priorityClassName=x\n      hostPID: true", "priorityClassName"),
        ("podDisruptionBudget.minAvailable=200%", "minAvailable"),
        ("podDisruptionBudget.maxUnavailable=00%", "maxUnavailable"),
        ("log=null", "log"),
        ("leaderElection=null", "leaderElection"),
        ("leaderElection.leaseDuration=null", "leaseDuration"),
        ("replicaCount=null", "replicaCount"),
    ];
    for (value, named) in cases {
        let error = render(&helm, &["--set", value]).await.expect_err(value).to_string();
        assert!(error.contains("schema") && error.contains(named), "{value}: {error}");
    }
}

#[tokio::test]
async fn values_that_cannot_work_are_refused_with_a_way_out() {
    let (helm, _folder) = helm().await;
    let cases = [
        ("rbac.targets.defaults=true", "has become rbac.targets.presets=[workloads, services, namespaces]"),
        ("rbac.targets.defaults=false", "has become rbac.targets.presets=[]. Set that"),
        (
            "rbac.targets.namespaces={shop},rbac.targets.read[0].apiGroups={storage.k8s.io},\
             rbac.targets.read[0].resources={storageclasses}",
            "rbac.targets.read has storageclasses, which are in no namespace",
        ),
        (
            "rbac.targets.namespaces={shop},rbac.targets.write[0].apiGroups={storage.k8s.io},\
             rbac.targets.write[0].resources={storageclasses}",
            "rbac.targets.write has storageclasses, which are in no namespace",
        ),
        ("leaderElection.enabled=false", "all of them would write. Set leaderElection.enabled=true"),
        ("leaderElection.renewDeadline=15s", "a leader must stop before others may take over"),
        ("leaderElection.retryPeriod=6s", "retryPeriod at most half of renewDeadline"),
        ("leaderElection.leaseDuration=301s", "which is 300s at most"),
        ("monitoring.serviceMonitor.enabled=true,metrics.service.enabled=false", "use monitoring.podMonitor"),
        ("monitoring.serviceMonitor.enabled=true,monitoring.podMonitor.enabled=true", "Choose one"),
        ("extraArgs={--metrics-auth}", "Use the value metrics.auth"),
        ("extraArgs={--reports=All}", "Use the value reports.results"),
        ("events.enabled=false,events.onResources=true", "no events are written then"),
        ("serviceAccount.create=false", "Name the ServiceAccount that is there"),
        ("podDisruptionBudget.minAvailable=2", "no node that runs one could be drained"),
        ("podDisruptionBudget.minAvailable=100%", "no node that runs one could be drained"),
        ("podDisruptionBudget.minAvailable=51%", "no node that runs one could be drained"),
        ("podDisruptionBudget.maxUnavailable=0", "no node that runs one could be drained"),
        ("podDisruptionBudget.minAvailable=1,podDisruptionBudget.maxUnavailable=1", "Set the other to null"),
        ("extraArgs={--log-level=debug}", "Use the value log.level"),
        ("extraArgs={--lease-duration,20s}", "Use the value leaderElection.leaseDuration"),
        ("extraArgs={--namespace,default}", "the operator works from the release's namespace"),
        ("extraArgs={--listen=[::]:8081}", "Write --listen=ADDRESS:8080"),
        ("extraEnv[0].name=POD_NAME", "which the chart sets from the pod"),
        ("extraEnv[0].name=A,extraEnv[1].name=A", "extraEnv has A twice"),
        ("extraEnv[0].name=WATCHPOLICY_LEASE_NAME", "Use the value fullnameOverride"),
        ("extraEnv[0].name=WATCHPOLICY_IDENTITY", "which each pod has of its own"),
        ("extraEnv[0].name=WATCHPOLICY_LISTEN", "Write --listen=ADDRESS:8080"),
        ("crds.enabled=false,crds.keep=false", "with it every policy. Leave crds.keep=true"),
        (r"podLabels.helm\.sh/chart=mine", "podLabels has helm.sh/chart"),
        (r"metrics.service.labels.helm\.sh/chart=mine", "metrics.service.labels has helm.sh/chart"),
        (r"podAnnotations.kubectl\.kubernetes\.io/default-container=mine", "there is one container"),
    ];
    for (value, words) in cases {
        let error = render(&helm, &["--set", value]).await.expect_err(value).to_string();
        assert!(error.contains(words), "{value}: {error}");
    }
}

#[tokio::test]
async fn what_is_odd_and_works_is_let_through() {
    let (helm, _folder) = helm().await;
    for value in [
        "podDisruptionBudget.minAvailable=50%",
        "podDisruptionBudget.maxUnavailable=1%",
        "extraArgs={--listen=[::]:8080}",
        "nodeSelector=null",
        "rbac.targets.defaults=null",
        "rbac.targets.namespaces={shop},rbac.targets.read[0].apiGroups={example.com},\
         rbac.targets.read[0].resources={nodes}",
        "rbac.targets.read[0].apiGroups={apps},rbac.targets.read[0].resources={pods},\
         rbac.targets.read[0].verbs={list,watch}",
    ] {
        render(&helm, &["--set", value]).await.expect(value);
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
async fn the_notes_warn_of_each_part_that_is_switched_off() {
    let (helm, _folder) = helm().await;
    let image = "image.registry=registry.example.com";
    let cases: &[(&str, &[&str])] = &[
        ("image.tag=", &["the image is watchpolicy:"]),
        (image, &[]),
        ("crds.enabled=false", &["crds.enabled"]),
        ("crds.keep=false", &["crds.keep"]),
        ("rbac.create=false", &["rbac.create"]),
        ("rbac.aggregate=false", &["rbac.aggregate"]),
        ("rbac.targets.presets=null", &["rbac.targets.presets is empty"]),
        ("rbac.targets.namespaces={shop}", &[]),
        ("rbac.targets.read[0].apiGroups={},rbac.targets.read[0].resources={secrets}", &["has Secrets"]),
        (
            "rbac.targets.write[0].apiGroups={},rbac.targets.write[0].resources={secrets}",
            &["write has Secrets"],
        ),
        ("rbac.targets.write[0].apiGroups={},rbac.targets.write[0].resources={configmaps}", &[]),
        (
            "rbac.targets.write[0].apiGroups={apps},rbac.targets.write[0].resources={*}",
            &["more than is named"],
        ),
        (
            "rbac.targets.write[0].apiGroups={*},rbac.targets.write[0].resources={*}",
            &["everything, its own rights among it", "write has Secrets"],
        ),
        ("metrics.auth=true", &["metrics.auth"]),
        ("serviceAccount.automount=false", &["serviceAccount.automount"]),
        ("replicaCount=0", &["replicaCount is 0"]),
        ("replicaCount=1", &["replicaCount is 1"]),
        ("replicaCount=1,leaderElection.enabled=false", &["replicaCount is 1", "leaderElection.enabled"]),
        ("podDisruptionBudget.enabled=false", &["podDisruptionBudget.enabled"]),
        ("metrics.service.enabled=false", &["`watchpolicy violations` has no Service to go through"]),
        ("metrics.service.enabled=false,violations.enabled=false", &["port 8080."]),
    ];
    for (value, expected) in cases {
        let value = if value.starts_with("image") { (*value).to_owned() } else { format!("{image},{value}") };
        let value = value.replace("apiGroups={}", "apiGroups[0]=");
        let printed =
            helm.run(&[INSTALL, &["--dry-run=client", "--set", &value][..]].concat()).await.unwrap();
        let (_, notes) = printed.split_once("\nNOTES:\n").unwrap();
        let warnings: Vec<_> = notes.split("WARNING: ").skip(1).collect();
        assert_eq!(warnings.len(), expected.len(), "{value}: {warnings:#?}");
        for (warning, words) in warnings.iter().zip(*expected) {
            assert!(warning.contains(words), "{value}: {warning}");
        }
    }
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
