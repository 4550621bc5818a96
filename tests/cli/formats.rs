//! What the formats show of one judging.

use quick_junit::{NonSuccessKind, Report, TestCaseStatus};
use serde_json::{Value, json};

use super::{EVAL_FORMATS, Folder, TEST_FORMATS, Told, policy, yaml};

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
    });
    assert_eq!(folder.json(line), wanted);
    assert_eq!(yaml(&folder.run(&format!("{line} --format yaml")).out), wanted);
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
    let evals = EVAL_FORMATS.map(|format| format!("eval -p policy.yaml -r secret.yaml --format {format}"));
    let tests = TEST_FORMATS.map(|format| format!("test a.test.yaml --format {format}"));
    for line in evals.iter().chain(&tests) {
        let Told { exit, out, err } = folder.run(line);
        assert_eq!(exit, 1, "{line}: {out}{err}");
        let shown = format!("{out}{err}");
        assert!(shown.contains("redacted"), "{line}: {shown}");
        assert!(!shown.contains("aHVudGVyMg") && !shown.contains("hunter"), "{line}: {shown}");
    }
}
