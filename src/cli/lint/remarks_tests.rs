//! What the API server would refuse is told offline too: by the schema's bounds, or by the compiler in place of CEL.

use std::sync::Arc;

use super::*;
use crate::cli::input::files::Text;
use crate::cli::input::policies;

const PODS: &str = "resources: [pods]";
const CHECK: &str = "path: $.a, assert: {exists: true}";

fn policy(name: &str, target: &str, rule: &str, rest: &str) -> String {
    format!(
        "{{apiVersion: watchpolicy.io/v1alpha1, kind: WatchPolicy, metadata: {{name: {name}}}, \
         spec: {{targets: [{{{target}}}], rules: [{{name: one, {rule}}}]{rest}}}}}"
    )
}

fn told(text: &str) -> Vec<String> {
    let mut troubles = Vec::new();
    let drafts = policies::drafts(&[Text { file: Arc::from("file"), text: text.into() }], &mut troubles);
    assert_eq!((drafts.is_empty(), troubles.as_slice()), (false, &[][..]), "{text}");
    let remarks = all(&drafts, schema().unwrap(), "2026-06-15T12:00:00Z".parse().unwrap());
    let shown = |remark: &Remark| {
        let kind = if remark.is_fault() { "" } else { "warning: " };
        format!("{kind}{}: {}", remark.field, remark.message)
    };
    remarks.iter().map(shown).collect()
}

fn check(cases: &[(String, &str)]) {
    for (text, words) in cases {
        let told = told(text);
        assert!(told.iter().any(|told| told.contains(words)), "wanted {words:?} of {text}, got {told:#?}");
    }
}

#[test]
fn a_good_policy_has_no_fault() {
    assert_eq!(told(&policy("good", PODS, CHECK, "")), [""; 0]);
}

#[test]
fn what_the_server_refuses_of_a_rule_is_told() {
    let rule = |body: &str| policy("bad", PODS, body, "");
    let and = |more: &str| policy("bad", PODS, &format!("{CHECK}, {more}"), "");
    check(&[
        (and("forbid: true"), "spec.rules[0]"),
        (rule("message: none"), "spec.rules[0]"),
        (rule("path: $.a"), "spec.rules[0]"),
        (rule("assert: {exists: true}"), "spec.rules[0]"),
        (rule("path: $.a, assert: {}"), "spec.rules[0].assert: has 0 members, wanted at least 1"),
        (rule("path: $.a, assert: {type: text}"), "assert.type: "),
        (rule("forbid: false"), "spec.rules[0]: demands nothing yet"),
        (and("fix: {}"), "spec.rules[0].fix: has 0 members"),
        (and("measure: Count, fallbacks: [$.b]"), "fallbacks"),
        (rule(&format!("measure: Length, allOf: [{{{CHECK}}}, {{{CHECK}}}]")), "spec.rules[0]: has one body"),
        (rule(&format!("allOf: [{{{CHECK}}}]")), "spec.rules[0].allOf: has 1 entries, wanted at least 2"),
        (rule(&format!("allOf: [{{{CHECK}}}, {{path: $.b}}]")), "spec.rules[0].allOf[1].assert: is missing"),
        (
            rule(&format!("anyOf: [{{{CHECK}}}, {{{CHECK}, allOf: [{{{CHECK}}}, {{{CHECK}}}]}}]")),
            "spec.rules[0].anyOf[1]",
        ),
        (and("pathh: $.a"), "spec.rules[0].pathh: there is no field `pathh`; did you mean `path`?"),
    ]);
}

#[test]
fn what_the_server_refuses_of_a_policy_is_told() {
    let spec = |rest: &str| policy("bad", PODS, CHECK, rest);
    let target = |target: &str| policy("bad", target, CHECK, "");
    let rules = |name: &str| policy("bad", PODS, &format!("{CHECK}}}, {{name: {name}, {CHECK}"), "");
    let many: String = (0..64).map(|n| format!("}}, {{name: r{n}, {CHECK}")).collect();
    check(&[
        (spec(", mode: audit"), "spec.mode: \"audit\" is not known here; did you mean Audit?"),
        (spec(", severity: fatal"), "spec.severity: \"fatal\" is not one of info"),
        (policy("bad", PODS, &format!("{CHECK}{many}"), ""), "spec.rules: has 65 entries, wanted at most 64"),
        (rules("one"), "spec.rules[1].name"),
        (rules("a b"), "spec.rules[1].name"),
        (target("resources: ['*', pods], group: apps"), "spec.targets[0].resources"),
        (target("resources: ['*']"), "spec.targets[0].resources"),
        (
            target(&format!("{PODS}, labelSelector: {{matchExpressions: [{{key: a, operator: In}}]}}")),
            "In needs values",
        ),
        (
            spec(", exceptions: [{name: e, reason: r, names: [x], until: tomorrow}]"),
            "spec.exceptions[0].until: ",
        ),
        (spec(", enforcement: {maxPerMinute: 0}"), "spec.enforcement.maxPerMinute: is 0, wanted at least 1"),
        (policy(&"n".repeat(64), PODS, CHECK, ""), "metadata.name: "),
    ]);
}

#[test]
fn what_is_missing_hides_no_other_fault_and_is_told_once() {
    let wrong = "path: '$.a[', assert: {exists: true}";
    for (text, missing) in [
        (policy("bad", "resource: [pods]", wrong, ""), "spec.targets[0].resources"),
        (policy("bad", PODS, wrong, "").replace("name: one, ", ""), "spec.rules[0].name"),
        (policy("bad", PODS, wrong, ", exceptions: [{name: e, names: [x]}]"), "spec.exceptions[0].reason"),
        (policy("bad", PODS, &format!("{wrong}, when: [{{path: $.b}}]"), ""), "spec.rules[0].when[0].assert"),
        (policy("bad", PODS, wrong, "").replace("targets: [{resources: [pods]}], ", ""), "spec.targets"),
    ] {
        let told = told(&text);
        let of_missing: Vec<_> =
            told.iter().filter(|told| told.starts_with(&format!("{missing}: "))).collect();
        assert_eq!(of_missing, [&format!("{missing}: is missing")], "{told:#?}");
        assert!(told.iter().any(|told| told.starts_with("spec.rules[0].path: ")), "{told:#?}");
    }
}

#[test]
fn a_misspelt_enum_hides_no_other_fault() {
    let told = told(&policy("bad", PODS, "path: '$.a[', assert: {exists: true}", ", mode: audit"));
    assert!(told.iter().any(|told| told.starts_with("spec.mode: ")), "{told:?}");
    assert!(told.iter().any(|told| told.starts_with("spec.rules[0].path: ")), "{told:?}");
}

#[test]
fn a_name_that_yaml_reads_as_a_boolean_is_told_and_hides_no_other_fault() {
    let told = told(&policy("on", PODS, "path: '$.a[', assert: {exists: true}", ""));
    assert!(
        told.contains(&"metadata.name: is a boolean, wanted string; put it in quotes".to_owned()),
        "{told:?}"
    );
    assert!(told.iter().any(|told| told.starts_with("spec.rules[0].path: ")), "{told:?}");
}

#[test]
fn a_name_that_two_policies_have_is_told_at_the_second() {
    let one = policy("one", PODS, CHECK, "");
    let told = told(&format!("{one}\n---\n{one}\n"));
    assert_eq!(told, ["metadata.name: there is a policy of this name at file:1 already; rename one"]);
}

#[test]
fn what_is_seldom_meant_is_a_warning_and_no_fault() {
    let told = told(&policy("one", PODS, "path: $podSpec.hostNetwork, assert: {equals: false}", ""));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("warning: spec.rules[0].assert.equals: fails where"), "{told:?}");
}

#[test]
fn namespaces_that_say_nothing_of_what_is_in_none_are_a_warning() {
    let told = |target: &str| told(&policy("one", target, CHECK, ""));
    assert_eq!(
        told("resources: [pods, nodes], namespaces: [a]"),
        [
            "warning: spec.targets[0].namespaces: says nothing of nodes, which are in no namespace: all of them are taken"
        ]
    );
    let of_roles =
        told("group: rbac.authorization.k8s.io, resources: [clusterroles], excludeNamespaces: [a]");
    assert!(of_roles[0].contains("excludeNamespaces: says nothing of clusterroles"), "{of_roles:?}");
    for target in [
        "resources: [namespaces], namespaces: [a]",
        "resources: [pods], namespaces: [a]",
        "resources: [nodes]",
    ] {
        assert_eq!(told(target), [""; 0]);
    }
}

#[test]
fn policies_that_demand_different_values_at_one_place_are_told_of_each_other() {
    let enforcing = |name: &str, value: &str| {
        let rule = format!("path: $.metadata.labels.tier, assert: {{exists: true}}, fix: {{set: {value}}}");
        policy(name, PODS, &rule, ", mode: Enforce")
    };
    let told = told(&[enforcing("a", "one"), enforcing("b", "two")].join("\n---\n"));
    let words: Vec<_> = told.iter().filter(|told| told.contains("wants another value")).collect();
    assert_eq!(words.len(), 2, "{told:#?}");
    assert!(
        words[0].starts_with("warning: spec.rules[0].fix: ") && words[0].contains("the policy b"),
        "{words:?}"
    );
    assert!(words[1].contains("the policy a"), "{words:?}");
}
