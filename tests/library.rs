//! The policies in `policies/`: each is whole, seen to pass and to fail by its suite, and listed where people look.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected should stop there and then"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn library() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")
}

fn yaml(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

struct Policy {
    folder: String,
    name: String,
    path: PathBuf,
    spec: Value,
}

impl Policy {
    fn read(path: PathBuf) -> Self {
        let folder = path.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let object = yaml(&path);
        assert_eq!(object["kind"], "WatchPolicy", "{}", path.display());
        assert_eq!(object["metadata"]["name"], *name, "a policy is found by its name");
        Self { folder, name, path, spec: object["spec"].clone() }
    }

    fn text(&self, field: &str) -> &str {
        let text = self.spec[field].as_str();
        text.unwrap_or_else(|| panic!("{} has no {field}", self.name))
    }

    fn rules(&self) -> impl Iterator<Item = &Value> {
        self.spec["rules"].as_array().unwrap().iter()
    }

    fn suite(&self) -> Value {
        yaml(&self.path.with_extension("test.yaml"))
    }
}

fn folders() -> Vec<PathBuf> {
    entries(&library()).into_iter().filter(|path| path.is_dir()).collect()
}

fn policies() -> Vec<Policy> {
    let is_policy = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.ends_with(".yaml") && !name.ends_with(".test.yaml") && name != "kustomization.yaml"
    };
    let files = folders().into_iter().flat_map(|folder| entries(&folder)).filter(is_policy);
    let policies: Vec<_> = files.map(Policy::read).collect();
    assert!(policies.len() >= 50, "{} policies", policies.len());
    policies
}

#[test]
fn every_suite_of_the_library_passes() {
    let binary = env!("CARGO_BIN_EXE_watchpolicy");
    let output = Command::new(binary).arg("test").arg(library()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains(&format!("{} suites passed, 0 failed", policies().len())), "{told}");
}

#[test]
fn lint_has_nothing_to_say_of_the_library() {
    let output = Command::new(env!("CARGO_BIN_EXE_watchpolicy")).arg("lint").arg(library()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(told, format!("{} policies, no fault\n", policies().len()));
}

#[test]
fn every_policy_says_what_it_demands_and_why_and_only_reports() {
    let mut names = BTreeSet::new();
    for policy in policies() {
        for field in ["title", "description", "category", "severity"] {
            assert!(!policy.text(field).is_empty(), "{}: {field}", policy.name);
        }
        assert!(policy.spec["mode"].is_null(), "{} leaves the mode to who applies it", policy.name);
        for rule in policy.rules() {
            let message = rule["message"].as_str().unwrap_or_else(|| panic!("{}: {rule}", policy.name));
            assert!(!message.ends_with('.'), "{}: {message}", policy.name);
        }
        assert!(names.insert(policy.name.clone()), "{} is there twice", policy.name);
    }
}

#[test]
fn a_folder_is_a_category() {
    let policies = policies();
    let pairs: BTreeSet<_> =
        policies.iter().map(|policy| (policy.folder.as_str(), policy.text("category"))).collect();
    let categories: BTreeSet<_> = pairs.iter().map(|(_, category)| category).collect();
    assert_eq!((pairs.len(), categories.len()), (folders().len(), folders().len()), "{pairs:?}");
}

#[test]
fn every_rule_is_seen_to_fail_and_every_policy_to_pass() {
    for policy in policies() {
        let suite = policy.suite();
        let expected = suite["expect"].as_array().unwrap();
        let is = |expectation: &Value, result: &str| expectation["result"] == result;
        assert!(expected.iter().any(|expectation| is(expectation, "Pass")), "{} passes nothing", policy.name);
        for rule in policy.rules() {
            let fails = |expectation: &Value| is(expectation, "Fail") && expectation["rule"] == rule["name"];
            assert!(expected.iter().any(fails), "{}: {} fails nothing", policy.name, rule["name"]);
        }
        let own = [policy.path.file_name().unwrap().to_str().unwrap()];
        assert_eq!(suite["policies"], serde_json::json!(own), "{} has a suite of its own", policy.name);
    }
}

#[test]
fn kubectl_applies_a_folder_without_its_suites() {
    let resources = |folder: &Path| yaml(&folder.join("kustomization.yaml"))["resources"].clone();
    let names = |paths: Vec<&Path>| -> Value {
        paths.into_iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect()
    };
    let (folders, policies) = (folders(), policies());
    assert_eq!(resources(&library()), names(folders.iter().map(PathBuf::as_path).collect()));
    for folder in &folders {
        let own = policies.iter().map(|policy| policy.path.as_path()).filter(|path| path.starts_with(folder));
        assert_eq!(resources(folder), names(own.collect()), "{}", folder.display());
    }
}

#[test]
fn the_readme_lists_every_policy_as_it_is() {
    let readme = std::fs::read_to_string(library().join("README.md")).unwrap();
    let listed: BTreeSet<_> = readme.lines().filter(|line| line.contains(".yaml) |")).collect();
    let row = |policy: &Policy| {
        let Policy { folder, name, .. } = policy;
        let [category, title, severity] = ["category", "title", "severity"].map(|field| policy.text(field));
        format!("| {category} | [{name}]({folder}/{name}.yaml) | {title} | {severity} |")
    };
    let policies = policies();
    let rows: Vec<_> = policies.iter().map(row).collect();
    assert_eq!(listed, rows.iter().map(String::as_str).collect());
    assert!(readme.contains(&format!("\n{} policies", policies.len())), "the number of policies");
}
