//! What the formats show of one judging.

use quick_junit::{NonSuccessKind, Report, TestCaseStatus};
use serde_json::{Value, json};
use serde_sarif::sarif::{ResultLevel, Sarif};

use super::{FORMATS, Folder, Told, policy, yaml};

#[test]
fn a_table_has_a_row_for_each_place_that_is_wrong() {
    let folder = Folder::of_replicas("table");
    assert_eq!(
        folder.run("eval -p replicas.yaml -r good.yaml -r bad.yaml").out,
        "RESULT   SEVERITY   POLICY     RULE   OBJECT                   FILE         MESSAGE
Fail     medium     replicas   two    Deployment default/bad   bad.yaml:1   spec.replicas is 1, wanted at least 2

1 passed, 1 failed, 0 errors, 0 skipped; 1 violation
"
    );
}

#[test]
fn json_and_yaml_have_the_documented_shape() {
    let folder = Folder::of_replicas("shape");
    let line = "eval -p replicas.yaml -r bad.yaml";
    let node = json!({
        "path": "spec.replicas",
        "actual": "1",
        "expected": "at least 2",
        "message": "spec.replicas is 1, wanted at least 2",
    });
    let wanted = json!({
        "results": [{
            "policy": "replicas",
            "object": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "default", "name": "bad"},
            "file": "bad.yaml",
            "document": 1,
            "result": "Fail",
            "rules": [{"rule": "two", "severity": "medium", "result": "Fail", "nodes": [node]}],
        }],
        "summary": {"pass": 0, "fail": 1, "error": 0, "skip": 0, "violations": 1},
        "troubles": [],
    });
    assert_eq!(folder.json(line), wanted);
    assert_eq!(yaml(&folder.run(&format!("{line} --format yaml")).out), wanted);
}

#[test]
fn what_cannot_be_used_is_listed_by_json_and_yaml_of_every_command() {
    let folder = Folder::of_replicas("troubles");
    folder.write("twice.yaml", "a: 1\nb: 2\na: 3\n");
    folder.write("twice.test.yaml", "policies: []\nexpect: []\nexpect: []\n");
    let twice = |file: &str, line: u64, key: &str| json!([{"file": file, "line": line, "message": format!("the key `{key}` is there twice; keep one of them")}]);
    for line in [
        "eval -p replicas.yaml -r good.yaml -r twice.yaml",
        "eval -p replicas.yaml -p twice.yaml -r good.yaml",
        "lint replicas.yaml twice.yaml",
    ] {
        let told = folder.run(&format!("{line} --format json"));
        let json: Value = serde_json::from_str(&told.out).unwrap();
        assert_eq!((told.exit, &json["troubles"]), (2, &twice("twice.yaml", 3, "a")), "{line}");
        assert_eq!(yaml(&folder.run(&format!("{line} --format yaml")).out), json);
    }
    assert_eq!(folder.json("lint replicas.yaml")["troubles"], json!([]));
    let suites = folder.json("test twice.test.yaml");
    assert_eq!(suites["troubles"], json!([]));
    assert_eq!(suites["suites"][0]["troubles"][0]["file"], "twice.test.yaml", "{suites:#}");
    let missing = folder.json("lint nowhere.yaml replicas.yaml");
    assert_eq!(missing["troubles"][0]["file"], "nowhere.yaml");
    assert!(missing["troubles"][0].get("line").is_none(), "{missing:#}");
}

#[test]
fn junit_counts_its_cases_and_says_what_became_of_each() {
    let folder = Folder::of_replicas("junit");
    let told = folder.run("eval -p replicas.yaml -r good.yaml -r bad.yaml -r odd.yaml --format junit");
    let report = Report::deserialize_from_str(&told.out).unwrap();
    assert_eq!((report.tests, report.failures, report.errors), (3, 1, 1), "{}", told.out);
    let [suite] = report.test_suites.as_slice() else { panic!("{}", told.out) };
    assert_eq!((suite.name.as_str(), suite.tests, suite.failures, suite.errors), ("replicas", 3, 1, 1));
    let became = suite.test_cases.iter().map(|case| match &case.status {
        TestCaseStatus::Success { .. } => "passed",
        TestCaseStatus::NonSuccess { kind: NonSuccessKind::Failure, .. } => "failed",
        TestCaseStatus::NonSuccess { .. } => "erred",
        TestCaseStatus::Skipped { .. } => "skipped",
    });
    assert_eq!(became.collect::<Vec<_>>(), ["passed", "failed", "erred"]);
    // What Jenkins and GitLab show: the class, the name, the message, and the text below it.
    let failed = &suite.test_cases[1];
    assert_eq!(failed.classname.as_ref().map(|name| name.as_str()), Some("replicas"));
    assert_eq!(failed.name.as_str(), "two on Deployment default/bad (bad.yaml:1)");
    let TestCaseStatus::NonSuccess { message, description, .. } = &failed.status else { panic!("it failed") };
    for text in [message, description] {
        let text = text.as_ref().unwrap().as_str();
        assert_eq!(text, "spec.replicas: spec.replicas is 1, wanted at least 2");
    }
}

#[test]
fn junit_of_lint_has_a_case_for_each_policy() {
    let folder = Folder::of_replicas("junit-lint");
    folder.write("bad-policy.yaml", &policy("bad", "{targets: [{resources: [pods]}], rules: []}"));
    let told = folder.run("lint replicas.yaml bad-policy.yaml --format junit");
    let report = Report::deserialize_from_str(&told.out).unwrap();
    assert_eq!((told.exit, report.tests, report.failures), (1, 2, 1), "{}", told.out);
}

#[test]
fn sarif_has_what_github_needs() {
    let folder = Folder::of_replicas("sarif");
    let told = folder.run("eval -p replicas.yaml -r bad.yaml -r odd.yaml --format sarif");
    let log: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(log["version"], "2.1.0");
    assert!(log["$schema"].as_str().unwrap().contains("sarif-2.1.0"));
    let run = &log["runs"][0];
    let driver = &run["tool"]["driver"];
    assert_eq!(driver["name"], "watchpolicy");
    for text in ["shortDescription", "fullDescription", "help"] {
        assert!(driver["rules"][0][text]["text"].is_string(), "{text}: {driver}");
    }
    let results = run["results"].as_array().unwrap();
    for (result, (file, level)) in results.iter().zip([("bad.yaml", "warning"), ("odd.yaml", "error")]) {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(driver["rules"][index]["id"], result["ruleId"]);
        assert!(result["message"]["text"].as_str().is_some_and(|text| !text.is_empty()));
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!((&result["level"], &place["artifactLocation"]["uri"]), (&json!(level), &json!(file)));
        assert_eq!(place["region"]["startLine"], 1);
    }
    assert_eq!(results.len(), 2);
    assert_eq!(run["invocations"][0]["executionSuccessful"], false, "one could not be judged");
}

/// As a reader made from the schema of OASIS understands it.
fn read(told: &Told) -> Sarif {
    serde_json::from_str(&told.out).unwrap_or_else(|error| panic!("{error}: {}", told.out))
}

#[test]
fn sarif_is_read_back_by_a_reader_made_from_its_schema() {
    let folder = Folder::of_replicas("sarif-reader");
    folder.write("bad-policy.yaml", &policy("bad", "{targets: [{resources: [pods]}], rules: []}"));
    folder.write("broken.yaml", "a: [");
    for (line, results) in [
        ("eval -p replicas.yaml -r good.yaml", 0),
        ("eval -p replicas.yaml -r bad.yaml -r odd.yaml -r broken.yaml", 3),
        ("lint replicas.yaml", 0),
        ("lint bad-policy.yaml broken.yaml", 2),
    ] {
        let log = read(&folder.run(&format!("{line} --format sarif")));
        let run = &log.runs[0];
        assert_eq!(run.results.as_ref().map(Vec::len), Some(results), "{line}: {log:#?}");
        assert_eq!(run.tool.driver.name, "watchpolicy");
    }
}

/// Two policies in one file: what is wrong stands on lines 9 and 13 of it, and on 27 in a list.
const LINED: &str = "# A comment.
---
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {name: lined}
spec:
  targets:
  - group: apps
    resource: [deployments]
  rules:
  - name: a
    path: $.spec.replicas
    assert: {atleast: 2}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: other}}
- apiVersion: watchpolicy.io/v1alpha1
  kind: WatchPolicy
  metadata: {name: listed}
  spec:
    targets: [{resources: [pods]}]
    rules:
    - name: a
      forbid: true
    - path: '$.a['
      name: b
      assert: {exists: true}
";

#[test]
fn lint_names_the_line_of_the_faulty_field_in_every_format() {
    let folder = Folder::new("lines", &[("lined.yaml", LINED)]);
    let places = [
        ("spec.targets[0].resource", 9),
        ("spec.targets[0].resources", 8),
        ("spec.rules[0].assert.atleast", 13),
        ("spec.rules[1].path", 27),
    ];
    let faults = folder.json("lint lined.yaml");
    let table = folder.run("lint lined.yaml").out;
    let github = folder.run("lint lined.yaml --format github").out;
    let log = read(&folder.run("lint lined.yaml --format sarif"));
    let located = log.runs[0].results.iter().flatten().map(|result| {
        let place = &result.locations.as_ref().unwrap()[0];
        let about = place.logical_locations.as_ref().unwrap()[0].fully_qualified_name.clone().unwrap();
        let region = place.physical_location.as_ref().unwrap().region.as_ref().unwrap();
        (about.split_once(' ').unwrap().1.to_owned(), region.start_line.unwrap(), result.level)
    });
    let located: Vec<_> = located.collect();
    for (field, line) in places {
        let is_there = |fault: &Value| fault["field"] == field && fault["line"] == line;
        assert!(faults["faults"].as_array().unwrap().iter().any(is_there), "{field}: {faults:#}");
        assert!(table.contains(&format!("lined.yaml:{line}: l")), "{field}: {table}");
        assert!(github.contains(&format!("::error file=lined.yaml,line={line},")), "{field}: {github}");
        let wanted = (field.to_owned(), line, Some(ResultLevel::Error));
        assert!(located.contains(&wanted), "{field}: {located:?}");
    }
}

#[test]
fn numbers_of_many_digits_are_compared_as_they_are_written() {
    let rules = "{targets: [{resources: [configmaps]}], rules: [{name: exact, path: $.weight, assert: \
                 {equals: 31.245270191439438}}]}";
    let object = |name: &str, weight: &str| {
        format!(
            "{{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {{\"name\": \"{name}\"}}, \"weight\": {weight}}}\n"
        )
    };
    let objects = object("same", "31.245270191439438") + &object("next", "31.245270191439435");
    let folder = Folder::new("digits", &[("policy.yaml", &policy("a", rules)), ("objects.json", &objects)]);
    let results = folder.json("eval -p policy.yaml -r objects.json");
    assert_eq!(results["results"][0]["result"], "Pass");
    assert_eq!(results["results"][1]["result"], "Fail");
}

#[test]
fn github_gets_an_annotation_a_line() {
    let folder = Folder::of_replicas("github");
    assert_eq!(
        folder.run("eval -p replicas.yaml -r bad.yaml --format github").out,
        "::warning file=bad.yaml,line=1,title=replicas/two::Deployment default/bad spec.replicas: spec.replicas is 1, \
         wanted at least 2\n"
    );
}

#[test]
fn the_value_of_a_secret_is_in_no_format() {
    let rules = "{targets: [{resources: [secrets]}], rules: [{name: a, path: $.data.password, assert: {matches: 'x+'}, \
                 message: 'is {actual}, {$.stringData.token}'}]}";
    let secret = "{apiVersion: v1, kind: Secret, metadata: {name: db}, data: {password: aHVudGVyMg==}, \
                  stringData: {token: hunter3}}";
    let suite = "{policies: [policy.yaml], resources: [secret.yaml], expect: [{object: db, result: Pass}]}";
    let folder = Folder::new("secret", &[("policy.yaml", &policy("a", rules)), ("secret.yaml", secret)]);
    folder.write("a.test.yaml", suite);
    let evals = FORMATS.map(|format| format!("eval -p policy.yaml -r secret.yaml --format {format}"));
    let tests = FORMATS.map(|format| format!("test a.test.yaml --format {format}"));
    for line in evals.iter().chain(&tests) {
        let Told { exit, out, err } = folder.run(line);
        assert_eq!(exit, 1, "{line}: {out}{err}");
        let shown = format!("{out}{err}");
        assert!(shown.contains("redacted"), "{line}: {shown}");
        assert!(!shown.contains("aHVudGVyMg") && !shown.contains("hunter"), "{line}: {shown}");
    }
}
