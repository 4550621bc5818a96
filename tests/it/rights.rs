//! The rights that the chart grants, as text: which verbs on what, and where.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use regex::Regex;
use serde_json::Value;

use crate::chart::{helm, objects, render};
use crate::harness::{ControlPlane, Helm};
use crate::snippets::blocks::read;

/// A group, a resource or resource/subresource, a verb, and the one name that it is granted for; empty for all.
pub(crate) type Verb = (String, String, String, String);

/// What the rules of a role grant.
pub(crate) fn verbs(role: &Value) -> impl Iterator<Item = Verb> + '_ {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    role["rules"].as_array().into_iter().flatten().flat_map(move |rule| {
        let (groups, resources, verbs) =
            (texts(&rule["apiGroups"]), texts(&rule["resources"]), texts(&rule["verbs"]));
        let mut names = texts(&rule["resourceNames"]);
        if names.is_empty() {
            names.push(String::new());
        }
        let mut all = Vec::new();
        for group in &groups {
            for resource in &resources {
                for name in &names {
                    let granted =
                        |verb: &String| (group.clone(), resource.clone(), verb.clone(), name.clone());
                    all.extend(verbs.iter().map(granted));
                }
            }
        }
        all
    })
}

/// What a rendered role of this name grants; nothing where there is none.
fn granted(objects: &[Value], name: &str) -> BTreeSet<Verb> {
    let is_role = |object: &&Value| object["kind"] == "ClusterRole" && object["metadata"]["name"] == name;
    objects.iter().find(is_role).map(|role| verbs(role).collect()).unwrap_or_default()
}

/// As `kubectl api-resources -o name` prints it.
fn full_name(group: &str, resource: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

/// The resources that a preset lets policies look at, in all namespaces or in some.
async fn of_preset(helm: &Helm, preset: &str, more: &str) -> BTreeSet<String> {
    let value = format!("rbac.targets.presets={{{preset}}}{more}");
    let rendered = render(helm, &["--set", &value]).await.unwrap();
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (group, resource, verb, name) in granted(&objects(&rendered), "watchpolicy-read") {
        assert_eq!(name, "");
        found.entry(full_name(&group, &resource)).or_default().push(verb);
    }
    for (resource, verbs) in &found {
        assert_eq!(verbs[..], ["list", "watch"], "{preset}: {resource}");
    }
    found.into_keys().collect()
}

/// The names that `rbac.targets.presets` may have.
fn presets() -> Vec<String> {
    let schema: Value = serde_json::from_str(&read("charts/watchpolicy/values.schema.json")).unwrap();
    let presets = "/properties/rbac/properties/targets/properties/presets/items/enum";
    serde_json::from_value(schema.pointer(presets).unwrap().clone()).unwrap()
}

/// Groups of CustomResourceDefinitions, which no API server serves by itself.
const OF_OTHERS: [&str; 2] = [".gateway.networking.k8s.io", ".cert-manager.io"];

#[tokio::test]
async fn each_preset_lets_list_and_watch_what_the_api_server_serves_and_in_namespaces_what_lives_there() {
    let (helm, _folder) = helm().await;
    let kubectl = ControlPlane::shared().await.unwrap().kubectl();
    let served = async |namespaced: bool| -> BTreeSet<String> {
        let scope = format!("--namespaced={namespaced}");
        let told = kubectl.run(&["api-resources", "--verbs=list,watch", "-o", "name", &scope]).await.unwrap();
        told.lines().map(str::to_owned).collect()
    };
    let (inside, outside) = (served(true).await, served(false).await);
    for preset in presets() {
        let everywhere = of_preset(&helm, &preset, "").await;
        let in_some = of_preset(&helm, &preset, ",rbac.targets.namespaces={shop}").await;
        assert!(!everywhere.is_empty() && !everywhere.contains("secrets"), "{preset}");
        for resource in &everywhere {
            let bound = if in_some.contains(resource) { &inside } else { &outside };
            let of_others = OF_OTHERS.iter().any(|group| resource.ends_with(group));
            assert!(of_others || bound.contains(resource), "{preset}: {resource} is not served there");
        }
        assert!(in_some.is_subset(&everywhere), "{preset}: {in_some:?}");
    }
}

#[tokio::test]
async fn the_page_on_rights_tells_what_each_preset_stands_for() {
    let (helm, _folder) = helm().await;
    let page = read("docs/rbac.md");
    let word = Regex::new("`([a-z]+)`").unwrap();
    for preset in presets() {
        let begin = format!("| `{preset}` | ");
        let row = page.lines().find(|line| line.starts_with(&begin)).unwrap_or_else(|| panic!("{preset}"));
        let cell = row.split('|').nth(2).unwrap();
        let told: BTreeSet<_> = word.captures_iter(cell).map(|found| found[1].to_owned()).collect();
        let stands_for = of_preset(&helm, &preset, "").await;
        let names = stands_for.iter().map(|name| name.split('.').next().unwrap().to_owned());
        assert_eq!(told, names.collect(), "{preset}");
        let is_default = ["workloads", "services", "namespaces"].contains(&&*preset);
        assert_eq!(row.ends_with("| default |"), is_default, "{preset}");
    }
}

#[tokio::test]
async fn all_presets_together_are_enough_for_the_library() {
    let (helm, _folder) = helm().await;
    let mut allowed = BTreeSet::new();
    for preset in presets() {
        allowed.extend(of_preset(&helm, &preset, "").await);
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_watchpolicy"));
    let output = command.args(["rbac", "-p", "policies"]).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let needed = String::from_utf8(output.unwrap().stdout).unwrap();
    let role = &objects(&needed)[0];
    let needed: BTreeSet<_> = verbs(role).map(|(group, resource, ..)| full_name(&group, &resource)).collect();
    assert!(needed.len() > 10, "{needed:?}");
    let missing: Vec<_> = needed.difference(&allowed).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[tokio::test]
async fn by_default_policies_may_look_at_workloads_and_never_at_secrets() {
    let (helm, _folder) = helm().await;
    let objects = objects(&render(&helm, &[]).await.unwrap());
    let of_targets = granted(&objects, "watchpolicy-read");
    let resources: BTreeSet<_> = of_targets.iter().map(|(_, resource, ..)| resource.as_str()).collect();
    let expected = [
        "cronjobs",
        "daemonsets",
        "deployments",
        "ingresses",
        "jobs",
        "namespaces",
        "pods",
        "replicasets",
        "replicationcontrollers",
        "services",
        "statefulsets",
    ];
    assert_eq!(resources, expected.into());
    assert!(of_targets.iter().all(|(_, _, verb, _)| verb == "list" || verb == "watch"), "{of_targets:?}");
    for object in &objects {
        let kind = object["kind"].as_str().unwrap();
        let secret = |(_, resource, ..): Verb| resource == "*" || resource == "secrets";
        assert!(!verbs(object).any(secret), "{object:#}");
        // What is granted to admin, edit or view is granted by these labels.
        let labels = object["metadata"]["labels"].to_string();
        assert!(!labels.contains("rbac.authorization.k8s.io"), "{kind} {labels}");
    }
}

/// Kind, namespace and role of each binding.
fn bindings(objects: &[Value]) -> BTreeSet<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let bound = objects.iter().filter(|object| object["roleRef"].is_object());
    bound
        .map(|object| {
            let role = text(&object["roleRef"]["name"]);
            (text(&object["kind"]), text(&object["metadata"]["namespace"]), role)
        })
        .collect()
}

#[tokio::test]
async fn with_namespaces_what_policies_look_at_and_change_is_bound_there_and_nowhere_else() {
    let (helm, _folder) = helm().await;
    let values = "charts/watchpolicy/ci/namespaced-values.yaml";
    let objects = objects(&render(&helm, &["--values", values]).await.unwrap());
    let of_targets = ["watchpolicy-aggregated", "watchpolicy-read", "watchpolicy-write"];
    let bindings = bindings(&objects);
    let (of_targets, of_operator): (BTreeSet<_>, BTreeSet<_>) =
        bindings.into_iter().partition(|(_, _, role)| of_targets.contains(&role.as_str()));
    let wanted = ["aggregated", "read", "write"].map(|role| {
        let role = format!("watchpolicy-{role}");
        ["shop", "web"].map(|namespace| ("RoleBinding".to_owned(), namespace.to_owned(), role.clone()))
    });
    assert_eq!(of_targets, wanted.into_iter().flatten().collect());
    let cluster_wide: Vec<_> = of_operator.iter().filter(|(kind, ..)| kind == "ClusterRoleBinding").collect();
    let roles: Vec<_> = cluster_wide.iter().map(|(.., role)| role.as_str()).collect();
    assert_eq!(
        roles,
        ["watchpolicy", "watchpolicy-reporting", "watchpolicy-reviews", "watchpolicy-violations"]
    );
}

#[tokio::test]
async fn who_enforced_before_can_be_left_the_right_to_take_its_finalizer_off() {
    let (helm, _folder) = helm().await;
    let own = async |value: &str| {
        let rendered = render(&helm, &["--set", value]).await.unwrap();
        let roles: Vec<_> =
            objects(&rendered).into_iter().filter(|object| object["kind"] == "ClusterRole").collect();
        roles.iter().flat_map(verbs).any(|verb| verb.1 == "watchpolicies" && verb.2 == "patch")
    };
    assert!(own("enforcement.enabled=true").await);
    assert!(!own("enforcement.enabled=false").await);
    assert!(own("rbac.finalizers=true").await);
}
