//! The offline commands as they are called: what goes in by files and standard input, what comes out on stdout and
//! stderr in each format, and the exit status.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected should stop there and then"
)]

mod formats;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use quick_junit::Report;
use serde_json::{Value, json};

const FORMATS: [&str; 6] = ["table", "json", "yaml", "junit", "sarif", "github"];

const REPLICAS: &str = "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {name: replicas}
spec:
  targets: [{group: apps, resources: [deployments]}]
  rules: [{name: two, path: $.spec.replicas, assert: {atLeast: 2}}]
";
const GOOD: &str = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: good}, spec: {replicas: 3}}";
const BAD: &str = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: bad}, spec: {replicas: 1}}";
/// Whether it has enough replicas cannot be told.
const ODD: &str = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: odd}, spec: {replicas: many}}";

/// A folder of files, in which commands are run.
struct Folder(PathBuf);

/// What a command says.
struct Told {
    exit: i32,
    out: String,
    err: String,
}

impl Folder {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli").join(name);
        drop(std::fs::remove_dir_all(&path));
        std::fs::create_dir_all(&path).unwrap();
        let folder = Self(path);
        files.iter().for_each(|(name, text)| folder.write(name, text));
        folder
    }

    /// With the policy and an object for each exit status.
    fn of_replicas(name: &str) -> Self {
        let files = [("replicas.yaml", REPLICAS), ("good.yaml", GOOD), ("bad.yaml", BAD), ("odd.yaml", ODD)];
        Self::new(name, &files)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    /// Runs the words of a command line.
    fn run(&self, line: &str) -> Told {
        self.run_with(&line.split(' ').collect::<Vec<_>>(), "")
    }

    fn run_with(&self, args: &[&str], input: &str) -> Told {
        let mut command = Command::new(env!("CARGO_BIN_EXE_watchpolicy"));
        command.args(args).current_dir(&self.0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that reads none of it may have ended.
        drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Told { exit: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.run(&format!("{line} --format json")).out).unwrap()
    }
}

fn policy(name: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: watchpolicy.io/v1alpha1, kind: WatchPolicy, metadata: {{name: {name}}}, spec: {spec}}}"
    )
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

#[test]
fn the_exit_status_of_eval_is_the_same_in_every_format() {
    let folder = Folder::of_replicas("eval-exit");
    for format in FORMATS {
        for (resources, exit) in [
            ("-r good.yaml", 0),
            ("-r bad.yaml", 1),
            ("-r bad.yaml --fail-on medium", 1),
            ("-r bad.yaml --fail-on high", 0),
            ("-r bad.yaml -r odd.yaml", 2),
            ("-r odd.yaml --fail-on critical", 2),
            ("-r nowhere.yaml", 2),
            ("-r replicas.yaml", 0),
        ] {
            let told = folder.run(&format!("eval -p replicas.yaml {resources} --format {format}"));
            assert_eq!(told.exit, exit, "{format} {resources}: {}{}", told.out, told.err);
        }
    }
    assert_eq!(folder.run("eval -p good.yaml -r good.yaml").exit, 2, "there is no policy");
    assert_eq!(folder.run("eval -p replicas.yaml").exit, 2, "a flag is missing");
}

#[test]
fn nothing_that_was_judged_and_what_cannot_be_read_do_not_look_like_all_being_well() {
    let folder = Folder::of_replicas("nothing");
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: a}}";
    folder.write("pod.yaml", pod);
    let told = folder.run("eval -p replicas.yaml -r pod.yaml");
    let wanted = "nothing was judged: no policy takes any of the objects (1 in all)";
    assert!(told.exit == 0 && told.err.contains(wanted), "{}", told.err);
    let told = folder.run("eval -p replicas.yaml -r good.yaml -r nowhere.yaml");
    assert!(told.out.ends_with("0 violations; incomplete: 1 problem is told on stderr\n"), "{}", told.out);
    assert!(!told.err.contains("nothing was judged"), "{}", told.err);
}

#[test]
fn several_documents_lists_and_standard_input_are_read() {
    let folder = Folder::of_replicas("inputs");
    let input =
        format!("{GOOD}\n---\n{{apiVersion: v1, kind: List, items: [{BAD}, {GOOD}]}}\n---\n\n---\n{BAD}\n");
    let line = ["eval", "-p", "replicas.yaml", "-r", "-", "--format", "json"];
    let results: Value = serde_json::from_str(&folder.run_with(&line, &input).out).unwrap();
    let entries = results["results"].as_array().unwrap().iter();
    let places =
        entries.map(|entry| (entry["document"].as_u64().unwrap(), entry["result"].as_str().unwrap()));
    assert_eq!(places.collect::<Vec<_>>(), [(1, "Pass"), (2, "Fail"), (2, "Pass"), (3, "Fail")]);
    assert_eq!(results["results"][0]["file"], "-");
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_the_others_go_on() {
    let folder = Folder::new(
        "broken",
        &[("a.yaml", BAD), ("b.yaml", "kind: Pod\nmetadata: {name: [\n"), ("c.yaml", GOOD)],
    );
    folder.write("policy.txt", REPLICAS);
    let told = folder.run("eval -p policy.txt -r . --format json");
    assert_eq!(told.exit, 2);
    assert!(told.err.contains("b.yaml:"), "{}", told.err);
    let results: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(results["summary"], json!({"pass": 1, "fail": 1, "error": 0, "skip": 0, "violations": 1}));
}

#[test]
fn standard_input_is_read_for_one_input_alone() {
    let folder = Folder::of_replicas("once");
    for line in
        ["eval -p - -r -", "eval -p replicas.yaml -r - -r -", "lint - -", "rbac -p - -p replicas.yaml -p -"]
    {
        let told = folder.run_with(&line.split(' ').collect::<Vec<_>>(), REPLICAS);
        assert_eq!(
            (told.exit, told.err.contains("standard input can be read once")),
            (2, true),
            "{line}: {}",
            told.err
        );
    }
}

#[test]
fn what_an_object_shares_with_its_controller_is_reported_there() {
    let policy = policy(
        "images",
        "{targets: [{resources: [pods]}, {group: apps, resources: [deployments]}], rules: [{name: ours, path: \
         '$containers[*].image', assert: {like: 'corp/*'}}]}",
    );
    let object = |group: &str, kind: &str, uid: &str, of: &str, pod: &str| {
        format!(
            "{{apiVersion: {group}v1, kind: {kind}, metadata: {{name: {uid}, uid: {uid}, ownerReferences: [{{uid: {of}, \
             controller: true}}]}}, spec: {pod}}}\n---\n"
        )
    };
    let spec = "{containers: [{name: a, image: nginx}]}";
    let template = format!("{{template: {{spec: {spec}}}}}");
    // The owned one comes first: the order of the files does not matter.
    let objects = object("", "Pod", "p", "r", spec)
        + &object("apps/", "ReplicaSet", "r", "d", &template)
        + &object("apps/", "Deployment", "d", "none", &template)
        + &object("", "Pod", "forged", "nobody", spec);
    let folder = Folder::new("owned", &[("policy.yaml", &policy), ("objects.yaml", &objects)]);
    let results = folder.json("eval -p policy.yaml -r objects.yaml");
    let told = |at: usize| {
        let entry = &results["results"][at];
        (entry["object"]["name"].clone(), entry["result"].clone(), entry["rules"][0]["owned"].clone())
    };
    assert_eq!(told(0), (json!("p"), json!("Skip"), json!(true)));
    assert_eq!(told(1), (json!("d"), json!("Fail"), Value::Null));
    assert_eq!(told(2), (json!("forged"), json!("Fail"), Value::Null));
}

#[test]
fn a_namespace_that_is_read_and_not_known_is_told_once() {
    let selects = policy(
        "selects",
        "{targets: [{resources: [pods], namespaceSelector: {matchLabels: {team: a}}}], rules: [{name: a, forbid: true}]}",
    );
    let pods = "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: shop}}\n---\n\
                {apiVersion: v1, kind: Pod, metadata: {name: b, namespace: shop}}\n";
    let namespace = "{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: a}}}";
    let files = [
        ("selects.yaml", &*selects),
        ("replicas.yaml", REPLICAS),
        ("pods.yaml", pods),
        ("shop.yaml", namespace),
    ];
    let folder = Folder::new("namespaces", &files);
    let told = folder.run("eval -p selects.yaml -r pods.yaml");
    assert_eq!(
        (told.exit, told.err.matches("namespace shop is not among the objects").count()),
        (0, 1),
        "{}",
        told.err
    );
    let told = folder.run("eval -p selects.yaml -r pods.yaml -r shop.yaml");
    assert_eq!((told.exit, &*told.err), (1, ""), "it is known");
    let told = folder.run("eval -p replicas.yaml -r pods.yaml");
    assert!(!told.err.contains("namespace shop"), "nobody reads it: {}", told.err);
}

#[test]
fn a_suite_passes_fails_or_is_not_there_in_every_format() {
    let folder = Folder::of_replicas("suites");
    let suite = |result: &str| {
        format!(
            "{{policies: [replicas.yaml], resources: [bad.yaml], expect: [{{object: bad, result: {result}}}]}}"
        )
    };
    folder.write("good.test.yaml", &suite("Fail"));
    folder.write("bad.test.yaml", &suite("Pass"));
    for format in FORMATS {
        for (paths, exit) in
            [("good.test.yaml", 0), ("bad.test.yaml", 1), (".", 1), ("good.test.yaml nowhere.test.yaml", 2)]
        {
            let told = folder.run(&format!("test {paths} --format {format}"));
            assert_eq!(told.exit, exit, "{format} {paths}: {}{}", told.out, told.err);
        }
    }
    let none = Folder::of_replicas("no-suites").run("test .");
    assert_eq!(none.exit, 2);
    assert!(none.err.contains("there is no suite"), "{}", none.err);
    let report = folder.run("test . --format junit").out;
    let report = Report::deserialize_from_str(&report).unwrap();
    assert_eq!((report.tests, report.failures, report.test_suites.len()), (2, 1, 2));
    let told = folder.json("test .");
    assert_eq!(told["summary"]["suites"], json!({"passed": 1, "failed": 1}));
    assert_eq!(
        told["suites"][0]["expectations"][0]["broken"].as_str().unwrap().lines().next(),
        Some("wanted Pass, got Fail")
    );
}

#[test]
fn lint_tells_all_mistakes_at_once_and_enough_to_mend_them() {
    let mut text = policy(
        "many",
        "{mode: audit, targets: [{group: apps, resources: [deployments]}], rules: [\
         {name: a, path: $.spec.replicas, assert: {atleast: 2}}, \
         {name: b, path: $containers.image, assert: {exists: true}}, \
         {name: c, path: '$.metadata.labels[', assert: {exists: true}}, \
         {name: d, path: $.metadata.labels.team, assert: {matches: '^[a-z]+'}}]}",
    );
    let folder = Folder::new("lint", &[("many.yaml", &text)]);
    let mistakes = [
        ("spec.mode", "did you mean Audit?", "audit", "Audit"),
        ("spec.rules[0].assert.atleast", "did you mean `atLeast`?", "atleast", "atLeast"),
        ("spec.rules[1].path", "write `$containers[*].image`", "$containers.image", "'$containers[*].image'"),
        ("spec.rules[2].path", "at character 17: `[` without its `]`", "labels[", "labels[*]"),
        ("spec.rules[3].assert.matches", "leave `^` out", "'^[a-z]+'", "'[a-z]+'"),
    ];
    let faults = folder.json("lint many.yaml");
    for (field, words, _, _) in mistakes {
        let is_told =
            |fault: &Value| fault["field"] == field && fault["message"].as_str().unwrap().contains(words);
        assert!(faults["faults"].as_array().unwrap().iter().any(is_told), "{field}: {faults:#}");
    }
    for (field, _, wrong, right) in mistakes {
        for format in FORMATS {
            let told = folder.run(&format!("lint many.yaml --format {format}"));
            assert_eq!((told.exit, told.out.contains(field)), (1, true), "{format}: {}", told.out);
        }
        text = text.replacen(wrong, right, 1);
        folder.write("many.yaml", &text);
    }
    let told = folder.run("lint many.yaml");
    assert_eq!((told.exit, &*told.out), (0, "1 policy, no fault\n"));
    let told = folder.run("lint nowhere.yaml");
    assert_eq!((told.exit, &*told.out), (2, "no policy was looked at: 1 input that cannot be used\n"));
    let told = folder.run("lint many.yaml nowhere.yaml");
    assert_eq!(
        (told.exit, &*told.out),
        (2, "1 policy, no fault; not looked at: 1 input that cannot be used\n")
    );
}

#[test]
fn rbac_prints_the_least_role() {
    let folder = Folder::of_replicas("rbac");
    let told = folder.run("rbac -p replicas.yaml");
    let role = yaml(&told.out);
    assert!(
        told.err.contains("replaces what another run gave under the name watchpolicy-targets"),
        "{}",
        told.err
    );
    assert_eq!(
        folder.run("rbac -p replicas.yaml --name replicas").err,
        "",
        "who has a name of its own replaces nothing"
    );
    assert_eq!(
        (&role["apiVersion"], &role["kind"]),
        (&json!("rbac.authorization.k8s.io/v1"), &json!("ClusterRole"))
    );
    let rule = json!({"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["list", "watch"]});
    assert_eq!(role["rules"], json!([rule]));
    folder.write("bad-policy.yaml", &policy("bad", "{targets: [{resources: [pods]}], rules: []}"));
    let told = folder.run("rbac -p bad-policy.yaml");
    assert_eq!((told.exit, &*told.out), (2, ""), "{}", told.err);
    let resting = "{suspend: true, targets: [{resources: [pods]}], rules: [{name: a, path: $.a, assert: {exists: true}}]}";
    folder.write("resting.yaml", &policy("resting", resting));
    let told = folder.run("rbac -p resting.yaml");
    assert!(told.exit == 0 && told.err.contains("policy resting is suspended"), "{}", told.err);
    assert!(!told.err.contains("replaces"), "nothing is given: {}", told.err);
}

#[test]
fn every_shell_gets_a_script_and_bash_accepts_its_own() {
    let folder = Folder::new("completion", &[]);
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let told = folder.run(&format!("completion {shell}"));
        assert!(told.exit == 0 && told.out.contains("watchpolicy"), "{shell}");
        folder.write(shell, &told.out);
    }
    let checked = Command::new("bash").arg("-n").arg(folder.0.join("bash")).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    assert_eq!(folder.run("completion tcsh").exit, 2);
}

#[test]
fn query_prints_what_a_path_finds() {
    let folder = Folder::of_replicas("query");
    let input = r#"{"a": [1, {"b": 2}]}"#;
    let told = folder.run_with(&["query", "$..b"], input);
    assert_eq!((told.exit, &*told.out), (0, "$['a'][1]['b']  2\n"));
    let found = json!({"nodes": [{"path": "$['spec']['replicas']", "value": 1}]});
    assert_eq!(folder.json("query $.spec.replicas bad.yaml"), found);
    assert_eq!(yaml(&folder.run("query $.spec.replicas bad.yaml --format yaml").out), found);
    let told = folder.run("query $.spec.nothing bad.yaml");
    assert_eq!((told.exit, &*told.out), (0, ""));
    assert!(told.err.contains("`$.spec.nothing` finds nothing in 1 document"), "{}", told.err);
    let told = folder.run("query $[ bad.yaml");
    assert_eq!(told.exit, 2);
    assert!(told.err.contains("at character 1: `[` without its `]`"), "{}", told.err);
    assert_eq!(folder.run("query $.a nowhere.yaml").exit, 2);
}

#[test]
fn the_definition_is_one() {
    let told = Folder::new("crd", &[]).run("crd");
    let definition = yaml(&told.out);
    assert_eq!((told.exit, &definition["kind"]), (0, &json!("CustomResourceDefinition")));
}
