//! Every fenced block of the pages is held to what is so: policies lint clean, commands are understood and print what
//! is shown, values are the chart's. A block that nobody can check here is listed with the reason.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use clap::Parser;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::ClusterRole;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use watchpolicy::cli::Cli;
use watchpolicy::report::Listing;

use super::blocks::{self, Block, read, root};
use super::shell;

/// Blocks that cannot be checked: page, first line, and why.
const UNCHECKED: &[(&str, &str, &str)] =
    &[("docs/gitops.md", "# In the ConfigMap argocd-cm.", "a program in Lua for Argo CD to run")];

/// Output that only a cluster could print: page, first line, and what holds it instead.
const TOLD_BY_A_CLUSTER: &[(&str, &str, &str)] = &[
    (
        "README.md",
        "NAME                      MODE    READY   TARGETS   VIOLATIONS   AGE",
        "the columns are checked",
    ),
    (
        "README.md",
        "shop/checkout metadata.annotations['corp.io/owner']: owner is nobody, wanted an address at corp.com",
        "eval says so",
    ),
];

/// Pages whose commands are run on a cluster as they stand, in order, and their output compared: by `tests/it/recipes.rs`
/// and `tests/it/walks.rs`.
const RUN_ON_A_CLUSTER: [&str; 3] = ["docs/enforcement.md", "docs/quick-start.md", "docs/rbac.md"];

/// Commands of others, whose words nobody checks here; those of kubectl and helm are checked by the tests that have them.
const OTHERS: [&str; 9] = ["kubectl", "helm", "curl", "jq", "git", "cargo", "grep", "sed", "sha256sum"];

/// What BuildKit itself knows.
const BUILT_IN: [&str; 1] = ["SOURCE_DATE_EPOCH"];

/// Folders of the project that commands name.
const FOLDERS: [&str; 3] = ["charts/", "examples/", "policies/"];

/// Commands of ours that ask a cluster, or run until they are stopped.
const ONLINE: [&str; 3] = ["run", "scan", "violations"];

/// What the pages speak of and do not show.
const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      containers:
      - {name: web, image: nginx, resources: {limits: {memory: 64Mi}}}
      - {name: proxy, image: envoy}
";

struct Folder(PathBuf);

impl Folder {
    /// As a reader has it who follows a page.
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("docs").join(name);
        drop(std::fs::remove_dir_all(&path));
        for folder in ["manifests", "rendered-manifests"] {
            std::fs::create_dir_all(path.join(folder)).unwrap();
            std::fs::write(path.join(folder).join("web.yaml"), WEB).unwrap();
        }
        std::os::unix::fs::symlink(root().join("policies"), path.join("policies")).unwrap();
        std::os::unix::fs::symlink(root().join("policies/images"), path.join("tests")).unwrap();
        let folder = Self(path);
        folder.write("web.yaml", "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}}");
        folder
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    fn run(&self, args: &[&str], input: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_watchpolicy"));
        command.args(args).current_dir(&self.0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that reads none of it may have ended.
        drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
        child.wait_with_output().unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_slice(&self.run(args, "").stdout).unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn yaml(block: &impl std::fmt::Display, text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{block}: {error}"))
}

#[test]
fn every_block_of_the_pages_is_checked_or_listed_with_a_reason() {
    let mut listed = BTreeSet::new();
    let mut wrong = Vec::new();
    for (index, block) in blocks::all().into_iter().enumerate() {
        let first = block.text.lines().next().unwrap_or_default();
        if let Some(entry) = UNCHECKED.iter().find(|(page, line, _)| *page == block.page && *line == first) {
            assert!(listed.insert(entry), "{block}: two blocks begin like one that is listed");
            continue;
        }
        let folder = Folder::new(&format!("block-{index}"));
        // Checkers say by a panic what is wrong; the other blocks go on.
        if std::panic::catch_unwind(|| check(&block, &folder)).is_err() {
            wrong.push(block.to_string());
        }
    }
    assert!(wrong.is_empty(), "what is wrong with them stands above: {wrong:?}");
    assert_eq!(listed.len(), UNCHECKED.len(), "a block that is listed is gone: {listed:?} is left");
}

fn check(block: &Block, folder: &Folder) {
    match &*block.language {
        "yaml" => check_yaml(block, &block.text, folder),
        "json" => check_json(block, folder),
        "console" => check_console(block, folder),
        other => {
            panic!("{block}: nobody checks `{other}` here: add a check, or list the block with a reason")
        }
    }
}

fn check_yaml(block: &Block, text: &str, folder: &Folder) {
    let value = yaml(block, text);
    let has = |name: &str| value.get(name).is_some();
    match value["kind"].as_str() {
        Some("WatchPolicy") => lint(block, &value, folder),
        Some("NetworkPolicy") => keeps_all::<NetworkPolicy>(block, &value),
        Some("ClusterRole") => keeps_all::<ClusterRole>(block, &value),
        Some(other) => panic!("{block}: nobody checks a {other} here: add a check"),
        None if has("policies") && has("expect") => check_suite(block, text, folder),
        None if has("spec") => lint(block, &completed(&value), folder),
        None => {
            let schema: Value = serde_json::from_str(&read("charts/watchpolicy/values.schema.json")).unwrap();
            are_values(block, &schema, &value, "");
        }
    }
}

/// What a page shows a part of, with what else a policy must have.
fn completed(part: &Value) -> Value {
    let mut policy = json!({
        "apiVersion": "watchpolicy.io/v1alpha1",
        "kind": "WatchPolicy",
        "metadata": {"name": "shown-in-part"},
        "spec": {
            "targets": [{"group": "apps", "resources": ["deployments"]}],
            "rules": [{"name": "one", "path": "$.metadata.labels.team", "assert": {"exists": true}}],
        },
    });
    for (name, value) in part["spec"].as_object().unwrap() {
        policy["spec"][name] = value.clone();
    }
    policy
}

fn lint(block: &Block, policy: &Value, folder: &Folder) {
    folder.write("policy.yaml", &policy.to_string());
    let output = folder.run(&["lint", "policy.yaml"], "");
    assert_eq!(text(&output.stdout), "1 policy, no fault\n", "{block}: {}", text(&output.stderr));
}

/// Nothing is lost on the way through the type that Kubernetes has for it: no field is misspelt.
fn keeps_all<T: DeserializeOwned + Serialize>(block: &Block, value: &Value) {
    let read: T = serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{block}: {error}"));
    assert_eq!(serde_json::to_value(read).unwrap(), *value, "{block}");
}

/// The policies and objects that the suite names are not shown: what it expects of them may not hold.
fn check_suite(block: &Block, suite: &str, folder: &Folder) {
    let owner = "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {name: owner}
spec: {targets: [{resources: [pods]}], rules: [{name: owner, path: $.metadata.labels.owner, assert: {exists: true}}]}
";
    folder.write("owner.yaml", owner);
    folder.write("objects.yaml", "{apiVersion: v1, kind: Pod, metadata: {name: other, labels: {owner: a}}}");
    folder.write("shown.test.yaml", suite);
    let told = folder.json(&["test", "shown.test.yaml", "--format", "json"]);
    assert_eq!(told["suites"][0]["troubles"], json!([]), "{block}");
    let wanted = yaml(block, suite)["expect"].as_array().unwrap().len();
    assert!(told["suites"][0]["expectations"].as_array().unwrap().len() >= wanted, "{block}: {told:#}");
}

/// Whether the chart's schema, which refuses what it does not know, has all these values.
fn are_values(block: &Block, schema: &Value, value: &Value, path: &str) {
    for element in value.as_array().into_iter().flatten() {
        are_values(block, &schema["items"], element, path);
    }
    for (name, below) in value.as_object().into_iter().flatten() {
        let known = &schema["properties"][name];
        let is_open = schema["additionalProperties"] != json!(false) && schema["properties"].is_null();
        assert!(known.is_object() || is_open, "{block}: the chart has no value {path}{name}");
        are_values(block, known, below, &format!("{path}{name}."));
    }
}

fn check_json(block: &Block, folder: &Folder) {
    let shown: Value = serde_json::from_str(&block.text).unwrap_or_else(|error| panic!("{block}: {error}"));
    if shown.get("violations").is_some() {
        let listing: Listing = serde_json::from_value(shown.clone()).unwrap();
        assert_eq!(serde_json::to_value(listing).unwrap(), shown, "{block}");
    } else if shown.get("results").is_some() {
        folder.write("owner.yaml", &readme_policy());
        let told = folder.json(&["eval", "-p", "owner.yaml", "-r", "web.yaml", "--format", "json"]);
        assert_eq!(told, shown, "{block}: eval prints otherwise");
    } else {
        panic!("{block}: nobody checks this JSON: add a check, or list the block with a reason");
    }
}

/// The policy that the README begins with.
fn readme_policy() -> String {
    let is_it = |block: &Block| block.page == "README.md" && block.language == "yaml";
    blocks::all().into_iter().find(is_it).unwrap().text
}

fn check_console(block: &Block, folder: &Folder) {
    for line in shell::lines(block) {
        if let Some(input) = &line.input {
            check_yaml(block, input, folder);
        }
        let mut told = None;
        for (index, command) in line.commands.iter().enumerate() {
            let words: Vec<&str> = command.iter().map(String::as_str).collect();
            for path in words.iter().filter(|word| FOLDERS.iter().any(|folder| word.starts_with(folder))) {
                assert!(root().join(path).exists(), "{block}: there is no {path}");
            }
            match words.as_slice() {
                ["watchpolicy", args @ ..] => {
                    let input = if index > 0 { WEB } else { line.input.as_deref().unwrap_or_default() };
                    told = check_ours(block, args, input, folder);
                }
                ["helm", rest @ ..] => check_values(block, rest),
                ["docker", rest @ ..] => check_build(block, rest),
                ["make", target] => {
                    let makefile = read("Makefile");
                    assert!(makefile.contains(&format!("\n{target}:")), "{block}: no target {target}");
                }
                [name, ..] => assert!(OTHERS.contains(name), "{block}: nobody checks {name} here"),
                [] => {}
            }
        }
        if line.told.is_empty() || RUN_ON_A_CLUSTER.contains(&&*block.page) {
            continue;
        }
        let first = line.told.lines().next().unwrap();
        let listed = TOLD_BY_A_CLUSTER.iter().any(|(page, told, _)| *page == block.page && *told == first);
        match told {
            Some(told) => assert_eq!(told, line.told, "{block}: it prints otherwise"),
            None => assert!(listed, "{block}: nobody can tell whether this is printed: {first}"),
        }
    }
}

/// What a command of ours prints; where it is the last of a pipe, its input is the Deployment `web`. Nothing, if it needs
/// a cluster.
fn check_ours(block: &Block, args: &[&str], input: &str, folder: &Folder) -> Option<String> {
    if let Err(error) = Cli::try_parse_from([&["watchpolicy"], args].concat()) {
        assert!(error.exit_code() == 0, "{block}: {error}");
    }
    if ONLINE.contains(&args[0]) {
        return None;
    }
    let output = folder.run(args, input);
    // Violations are no fault of the page.
    let expected = if args[0] == "eval" { 0..=1 } else { 0..=0 };
    let code = output.status.code().unwrap();
    assert!(expected.contains(&code), "{block}: {args:?} exits with {code}: {}", text(&output.stderr));
    Some(text(&output.stdout))
}

fn check_values(block: &Block, args: &[&str]) {
    let schema: Value = serde_json::from_str(&read("charts/watchpolicy/values.schema.json")).unwrap();
    let set = args.windows(2).filter(|pair| pair[0] == "--set");
    for (name, value) in set.filter_map(|pair| pair[1].split_once('=')) {
        let value = name.rsplit('.').fold(json!(value), |below, name| json!({name: below}));
        are_values(block, &schema, &value, "");
    }
}

fn check_build(block: &Block, args: &[&str]) {
    let dockerfile = read("Dockerfile");
    let given = args.windows(2).filter(|pair| pair[0] == "--build-arg");
    for name in given.filter_map(|pair| pair[1].split('=').next()).filter(|name| !BUILT_IN.contains(name)) {
        assert!(dockerfile.contains(&format!("ARG {name}=")), "{block}: the Dockerfile has no ARG {name}");
    }
}

#[test]
fn output_that_only_a_cluster_could_print_is_still_there_where_it_is_listed() {
    for (page, line, reason) in TOLD_BY_A_CLUSTER {
        let blocks = blocks::all();
        let told = blocks.iter().filter(|block| block.page == *page && block.language == "console");
        let shows = |block: &&Block| block.text.lines().any(|told| told == *line);
        assert_eq!(
            told.filter(shows).count(),
            1,
            "{page} does not show {line:?} ({reason}): take it off the list"
        );
    }
}

#[test]
fn the_columns_that_are_shown_are_those_of_the_definition() {
    let crd = yaml(&"crds/watchpolicy.yaml", &read("crds/watchpolicy.yaml"));
    let columns = crd["spec"]["versions"][0]["additionalPrinterColumns"].as_array().unwrap();
    let narrow = columns.iter().filter(|column| column["priority"].as_i64().unwrap_or_default() == 0);
    let names: Vec<_> = narrow.map(|column| column["name"].as_str().unwrap().to_uppercase()).collect();
    let shown: Vec<_> = TOLD_BY_A_CLUSTER[0].1.split_whitespace().skip(1).collect();
    assert_eq!(names, shown);
}

#[test]
fn the_violation_that_the_readme_shows_is_one() {
    let folder = Folder::new("readme-violation");
    folder.write("owner.yaml", &readme_policy());
    let checkout = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: checkout, namespace: shop, annotations: \
                    {corp.io/owner: nobody}}}";
    folder.write("checkout.yaml", checkout);
    let told = folder.json(&["eval", "-p", "owner.yaml", "-r", "checkout.yaml", "--format", "json"]);
    let node = &told["results"][0]["rules"][0]["nodes"][0];
    let line =
        format!("shop/checkout {}: {}", node["path"].as_str().unwrap(), node["message"].as_str().unwrap());
    assert_eq!(line, TOLD_BY_A_CLUSTER[1].1);
}
