//! The CRD on a real API server: what it takes, and in which words it refuses.

use anyhow::Result;

use crate::harness::kubectl::Kubectl;
use crate::harness::{ControlPlane, Operator, eventually};
use crate::world::DEADLINE;

const EXAMPLE: &str = include_str!("../../src/crd/example.yaml");

/// A plane that serves WatchPolicy.
async fn plane() -> Result<&'static ControlPlane> {
    let plane = ControlPlane::shared().await?;
    Operator::install(plane).await?;
    Ok(plane)
}

/// What a user is told who creates this; nothing is left behind.
async fn try_create(kubectl: &Kubectl, manifest: &str) -> Result<String> {
    kubectl.run_with(&["create", "--dry-run=server", "-f", "-"], manifest).await
}

/// A policy of one rule with this body, and whatever else belongs into the spec, each in YAML's flow form.
fn policy(name: &str, target: &str, rule: &str, rest: &str) -> String {
    format!(
        "{{apiVersion: watchpolicy.io/v1alpha1, kind: WatchPolicy, metadata: {{name: {name}}}, \
         spec: {{targets: [{{{target}}}], rules: [{{name: one, {rule}}}]{rest}}}}}"
    )
}

const PODS: &str = "resources: [pods]";
const CHECK: &str = "path: $.a, assert: {exists: true}";

#[tokio::test]
async fn the_contracts_example_is_accepted_and_gets_its_defaults() {
    let kubectl = plane().await.unwrap().kubectl();
    kubectl.run_with(&["apply", "--dry-run=server", "-f", "-"], EXAMPLE).await.unwrap();

    let args = ["create", "--dry-run=server", "-f", "-", "-o", "jsonpath={.spec}"];
    let stored =
        kubectl.run_with(&args, &policy("smallest", PODS, CHECK, ", enforcement: {}")).await.unwrap();
    let stored: serde_json::Value = serde_json::from_str(&stored).unwrap();
    let expected = serde_json::json!({
        "mode": "Audit",
        "severity": "medium",
        "suspend": false,
        "ownedObjects": "Skip",
        "systemNamespaces": "Exclude",
        "targets": [{"group": "", "resources": ["pods"]}],
        "rules": [{"name": "one", "path": "$.a", "assert": {"exists": true}}],
        "enforcement": {"onConflict": "Overwrite", "onDelete": "Keep", "maxPerMinute": 60},
    });
    assert_eq!(stored, expected);
}

/// Each manifest is refused in these words.
async fn all_refused(cases: &[(String, &str)]) {
    let kubectl = plane().await.unwrap().kubectl();
    for (manifest, words) in cases {
        let refusal = try_create(&kubectl, manifest).await.expect_err(words).to_string();
        assert!(refusal.contains(words), "wanted {words:?}, got {refusal}");
    }
}

#[tokio::test]
async fn a_rule_that_cannot_be_meant_is_refused_with_words_to_act_on() {
    let rule = |body: &str| policy("bad", PODS, body, "");
    let and = |more: &str| policy("bad", PODS, &format!("{CHECK}, {more}"), "");
    all_refused(&[
        (and("forbid: true"), "a rule has one body: keep one of path with assert, allOf, anyOf and forbid"),
        (rule("message: none"), "the rule demands nothing yet: add path and assert, allOf, anyOf, or forbid"),
        (rule("path: $.a"), "path says where to look: add assert"),
        (rule("assert: {exists: true}"), "assert says what must be true: add path"),
        (rule("path: $.a, assert: {}"), "spec.rules[0].assert in body should have at least 1 properties"),
        (
            rule("path: $.a, assert: {type: text}"),
            r#"assert.type: Unsupported value: "text": supported values"#,
        ),
        (rule("forbid: false"), "forbid is true or left out"),
        (and("fix: {setFrom: $.b, remove: true}"), "a fix is one change: keep one of set, setFrom, remove"),
        (and("fix: {}"), "spec.rules[0].fix in body should have at least 1 properties"),
        (and("measure: Count, fallbacks: [$.b]"), "remove fallbacks"),
        (
            rule(&format!("measure: Length, allOf: [{{{CHECK}}}, {{{CHECK}}}]")),
            "belong beside a path: move them to its check",
        ),
        (rule(&format!("allOf: [{{{CHECK}}}]")), "spec.rules[0].allOf in body should have at least 2 items"),
        (
            rule(&format!("allOf: [{{{CHECK}}}, {{path: $.b}}]")),
            "spec.rules[0].allOf[1].assert: Required value",
        ),
        (
            rule(&format!("anyOf: [{{{CHECK}}}, {{{CHECK}, allOf: [{{{CHECK}}}, {{{CHECK}}}]}}]")),
            "spec.rules[0].anyOf[1]: Invalid value: a branch is one thing: either path with assert, or allOf",
        ),
        (and("pathh: $.a"), r#"unknown field "spec.rules[0].pathh""#),
    ])
    .await;
}

#[tokio::test]
async fn a_policy_that_cannot_be_meant_is_refused_with_words_to_act_on() {
    let spec = |rest: &str| policy("bad", PODS, CHECK, rest);
    let target = |target: &str| policy("bad", target, CHECK, "");
    let rules = |name: &str| policy("bad", PODS, &format!("{CHECK}}}, {{name: {name}, {CHECK}"), "");
    let many: String = (0..64).map(|n| format!("}}, {{name: r{n}, {CHECK}")).collect();
    all_refused(&[
        (
            spec(", mode: audit"),
            r#"spec.mode: Unsupported value: "audit": supported values: "Audit", "Plan""#,
        ),
        (spec(", severity: fatal"), r#"spec.severity: Unsupported value: "fatal": supported values: "info""#),
        (
            policy("bad", PODS, &format!("{CHECK}{many}"), ""),
            "spec.rules: Too many: 65: must have at most 64",
        ),
        (rules("one"), r#"spec.rules[1]: Duplicate value: {"name":"one"}"#),
        (rules("a b"), "a name has only letters, digits, '-', '_' and '.'"),
        (target("resources: ['*', pods], group: apps"), "remove the other names, or '*'"),
        (target("resources: ['*']"), "'*' cannot be used with the core group: list its resources by name"),
        (
            target(&format!("{PODS}, labelSelector: {{matchExpressions: [{{key: a, operator: In}}]}}")),
            "In and NotIn need values, Exists and DoesNotExist take none",
        ),
        (spec(", exceptions: [{name: e, reason: r}]"), "add namespaces, names, labelSelector or images"),
        (
            spec(", exceptions: [{name: e, reason: r, names: [x], until: tomorrow}]"),
            "spec.exceptions[0].until in body must be of type date-time",
        ),
        (spec(", enforcement: {maxPerMinute: 0}"), "should be greater than or equal to 1"),
        (
            policy(&"n".repeat(64), PODS, CHECK, ""),
            "the name must have at most 63 characters, since it becomes part of a field manager's name",
        ),
    ])
    .await;
}

#[tokio::test]
async fn the_longest_name_and_the_most_rules_are_accepted() {
    let kubectl = plane().await.unwrap().kubectl();
    let many: String = (0..63).map(|n| format!("}}, {{name: r{n}, {CHECK}")).collect();
    let largest = policy(&"n".repeat(63), PODS, &format!("{CHECK}{many}"), "");
    try_create(&kubectl, &largest).await.unwrap();
}

#[tokio::test]
async fn values_of_any_json_reach_the_compiler_as_they_were_written() {
    let kubectl = plane().await.unwrap().kubectl();
    let body = "path: $.a, assert: {equals: null, in: [1, null, {a: 0.5}], matches: [one, two], search: z}, fix: {set: null}";
    let args = ["create", "--dry-run=server", "-f", "-", "-o", "jsonpath={.spec.rules}"];
    let stored = kubectl.run_with(&args, &policy("free", PODS, body, "")).await.unwrap();
    let stored: serde_json::Value = serde_json::from_str(&stored).unwrap();
    let written = serde_json::json!([{
        "name": "one",
        "path": "$.a",
        "assert": {"equals": null, "in": [1, null, {"a": 0.5}], "matches": ["one", "two"], "search": "z"},
        "fix": {"set": null},
    }]);
    assert_eq!(stored, written);
}

#[tokio::test]
async fn kubectl_shows_the_columns_of_the_contract() {
    let kubectl = plane().await.unwrap().kubectl();
    let name = "columns-of-the-contract";
    kubectl.apply(&policy(name, PODS, CHECK, ", suspend: true")).await.unwrap();
    let status = r#"{"status": {"targetsSummary": "2/3", "reason": "Suspended", "lastEvaluated": "2026-01-01T00:00:00Z",
        "summary": {"excluded": 0, "matched": 2, "passed": 0, "failed": 2, "errored": 0, "skipped": 0, "owned": 0,
            "excepted": 0, "stale": 0, "violations": 7},
        "conditions": [{"type": "Ready", "status": "True", "reason": "Suspended", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}"#;
    let patch = ["patch", "wpol", name, "--subresource=status", "--type=merge", "-p", status];
    // The operator of other tests writes the status of every policy, and may do so in between.
    let look = async || {
        kubectl.run(&patch).await.ok()?;
        let shown = kubectl.run(&["get", "wpol", name, "-o", "wide"]).await.ok()?;
        shown.contains(" 2/3 ").then_some(shown)
    };
    let shown = eventually(DEADLINE, "the status that was written is shown", look).await.unwrap();
    kubectl.run(&["delete", "wpol", name]).await.unwrap();

    let lines: Vec<Vec<_>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    let columns =
        ["NAME", "MODE", "READY", "TARGETS", "VIOLATIONS", "AGE", "SEVERITY", "REASON", "LAST-EVALUATED"];
    assert_eq!(lines[0], columns);
    assert_eq!(lines[1][1..5], ["Audit", "True", "2/3", "7"]);
    assert_eq!(lines[1][6..8], ["medium", "Suspended"]);
}
