//! What is refused, where and in which words.

use crate::policy::FaultReason::{Invalid, TargetNotAllowed, Unsupported};
use crate::policy::{FaultReason, Faults, compile};

use super::cases::{CONFIG_MAPS, DEPLOYMENTS, compiled, parse, settings};

const RULES: &str = "rules: [{name: r, path: $.a, assert: {exists: true}}]";

fn faults(spec: &str) -> Faults {
    compile(&parse(spec), &settings()).expect_err(spec)
}

/// Each spec has exactly this fault.
fn check(rows: &[(String, FaultReason, &str, &str)]) {
    for (spec, reason, field, message) in rows {
        let faults = faults(spec);
        let found: Vec<_> = faults.iter().collect();
        let [fault] = &*found else { panic!("{spec}\n{faults}") };
        assert_eq!((fault.reason, fault.field.as_str()), (*reason, *field), "{spec}: {fault}");
        assert!(fault.message.contains(message), "{spec}: {fault}");
    }
}

fn rule(rule: &str) -> String {
    format!("{CONFIG_MAPS}\nrules: [{{name: r, {rule}}}]")
}

fn assertion(assert: &str) -> String {
    rule(&format!("path: $.a, assert: {{{assert}}}"))
}

fn target(target: &str) -> String {
    format!("targets: [{{{target}}}]\n{RULES}")
}

fn spec(rest: &str) -> String {
    format!("{CONFIG_MAPS}\n{rest}\n{RULES}")
}

#[test]
fn what_this_version_does_not_have_is_refused_by_its_name() {
    let later = |spec: String, field: &'static str, named: &'static str| (spec, Unsupported, field, named);
    check(&[
        later(spec("mode: Plan"), "spec.mode", "mode Plan"),
        later(spec("mode: Enforce"), "spec.mode", "mode Enforce"),
        later(spec("exceptions: [{name: a, reason: b, names: [c]}]"), "spec.exceptions", "`exceptions`"),
        later(spec("enforcement: {maxPerMinute: 5}"), "spec.enforcement", "`enforcement`"),
        later(spec("ownedObjects: Skip"), "spec.ownedObjects", "`ownedObjects: Skip`"),
        later(target("group: apps, resources: ['*']"), "spec.targets[0].resources[0]", "`*`"),
        later(
            target("resources: [pods], namespaceSelector: {}"),
            "spec.targets[0].namespaceSelector",
            "namespaceSelector",
        ),
        later(
            target("resources: [pods], fieldSelector: a=b"),
            "spec.targets[0].fieldSelector",
            "fieldSelector",
        ),
        later(rule("path: $.a, assert: {exists: true}, fix: {set: 1}"), "spec.rules[0].fix", "`fix`"),
        later(rule("forbid: true"), "spec.rules[0].forbid", "`forbid`"),
        later(
            rule("allOf: [{path: $.a, assert: {exists: true}}, {path: $.b, assert: {exists: true}}]"),
            "spec.rules[0].allOf",
            "`allOf`",
        ),
        later(
            rule("anyOf: [{path: $.a, assert: {exists: true}}, {path: $.b, assert: {exists: true}}]"),
            "spec.rules[0].anyOf",
            "`anyOf`",
        ),
        later(
            rule("path: $.a, measure: Length, assert: {equals: 1}"),
            "spec.rules[0].measure",
            "`measure: Length`",
        ),
        later(rule("path: $.a, as: Quantity, assert: {equals: 1}"), "spec.rules[0].as", "`as`"),
        later(
            rule("path: $.a, ignoreCase: true, assert: {equals: a}"),
            "spec.rules[0].ignoreCase",
            "`ignoreCase`",
        ),
        later(
            rule("path: $.a, assert: {exists: true}, message: '{container}'"),
            "spec.rules[0].message",
            "`{container}`",
        ),
    ]);
}

#[test]
fn operators_that_this_version_does_not_have_are_refused_by_their_name() {
    for (operator, operand) in [
        ("search", "a"),
        ("notSearch", "a"),
        ("like", "a"),
        ("notLike", "[a]"),
        ("contains", "a"),
        ("notContains", "a"),
        ("inCidr", "10.0.0.0/8"),
        ("notInCidr", "10.0.0.0/8"),
        ("inRanges", "['1-2']"),
        ("atLeast", "1"),
        ("atMost", "1"),
        ("above", "1"),
        ("below", "1"),
        ("type", "string"),
        ("unique", "true"),
        ("equalsPath", "$.b"),
        ("notEqualsPath", "$.b"),
        ("inPath", "$.b"),
        ("notInPath", "$.b"),
    ] {
        let field = format!("spec.rules[0].assert.{operator}");
        check(&[(assertion(&format!("{operator}: {operand}")), Unsupported, &field, operator)]);
    }
}

#[test]
fn some_resources_can_never_be_targets() {
    for target_of in [
        "group: watchpolicy.io, resources: [watchpolicies]",
        "group: coordination.k8s.io, resources: [leases]",
        "resources: [events]",
        "group: events.k8s.io, resources: [events]",
        "group: openreports.io, resources: [reports]",
        "group: wgpolicyk8s.io, resources: [policyreports]",
    ] {
        check(&[(
            target(target_of),
            TargetNotAllowed,
            "spec.targets[0].resources[0]",
            "can never be a target",
        )]);
    }
}

#[test]
fn targets_say_one_thing_about_a_resource() {
    let two = |a: &str, b: &str| format!("targets: [{{{a}}}, {{{b}}}]\n{RULES}");
    check(&[
        (
            two(
                "group: apps, resources: [deployments], version: v1",
                "group: apps, resources: [deployments]",
            ),
            Invalid,
            "spec.targets[1].version",
            "deployments.apps is targeted in two versions",
        ),
        (
            two("group: a.b, resources: [c], pod: $.d", "group: a.b, resources: [c], pod: $.e"),
            Invalid,
            "spec.targets[1].pod",
            "disagree on where the pod of c.a.b is",
        ),
        (
            target("resources: [pods], pod: $.spec"),
            Invalid,
            "spec.targets[0].pod",
            "the pod of pods is known",
        ),
        (
            target("group: a.b, resources: [c], pod: '$.d[0]'"),
            Invalid,
            "spec.targets[0].pod",
            "a path of names",
        ),
        (
            target("group: a.b, resources: [c], pod: $podSpec"),
            Invalid,
            "spec.targets[0].pod",
            "a path of names",
        ),
    ]);
}

#[test]
fn names_that_the_api_server_cannot_have_are_refused() {
    check(&[
        (
            target("resources: [Pods]"),
            Invalid,
            "spec.targets[0].resources[0]",
            "`Pods` is not the plural name",
        ),
        (target("resources: ['pods/log']"), Invalid, "spec.targets[0].resources[0]", "`pods/log` is not"),
        (
            target("group: '../x', resources: [a]"),
            Invalid,
            "spec.targets[0].group",
            "`../x` is not an API group",
        ),
        (
            target("resources: [pods], version: 'v1/x'"),
            Invalid,
            "spec.targets[0].version",
            "`v1/x` is not a version",
        ),
        (
            target("resources: [pods], namespaces: ['a*']"),
            Invalid,
            "spec.targets[0].namespaces[0]",
            "globs are for",
        ),
        (
            target("resources: [pods], labelSelector: {matchExpressions: [{key: a, operator: In}]}"),
            Invalid,
            "spec.targets[0].labelSelector.matchExpressions[0].values",
            "In needs values",
        ),
    ]);
}

#[test]
fn values_that_no_object_can_hold_are_refused() {
    check(&[
        (assertion("equals: null"), Invalid, "spec.rules[0].assert.equals", "type: \"null\""),
        (assertion("notEquals: null"), Invalid, "spec.rules[0].assert.notEquals", "type: \"null\""),
        (assertion("in: [1, null]"), Invalid, "spec.rules[0].assert.in[1]", "type: \"null\""),
        (assertion("equals: {a: null}"), Invalid, "spec.rules[0].assert.equals", "leave the member `a` out"),
        (assertion("equals: 9223372036854775808"), Invalid, "spec.rules[0].assert.equals", "over 63 bits"),
        (
            rule("path: $.a, default: null, assert: {equals: 1}"),
            Invalid,
            "spec.rules[0].default",
            "leave `default` out",
        ),
        (
            assertion(&format!("equals: {}", "x".repeat(17_000))),
            Invalid,
            "spec.rules[0].assert.equals",
            "is over 16384 bytes",
        ),
    ]);
    compiled(&assertion("equals: 9223372036854775807"));
}

#[test]
fn checks_that_say_nothing_or_two_things_are_refused() {
    check(&[
        (assertion(""), Invalid, "spec.rules[0].assert", "is empty"),
        (rule("path: $.a"), Invalid, "spec.rules[0].assert", "is missing"),
        (rule("assert: {exists: true}"), Invalid, "spec.rules[0].path", "is missing"),
        (
            rule("path: $.a, whenAbsent: Pass, assert: {exists: true}"),
            Invalid,
            "spec.rules[0].whenAbsent",
            "contradicts `exists: true`",
        ),
        (
            rule("path: $.a, whenAbsent: Fail, assert: {exists: false}"),
            Invalid,
            "spec.rules[0].whenAbsent",
            "contradicts `exists: false`",
        ),
        (
            format!(
                "{CONFIG_MAPS}\nrules: [{{name: r, path: $.a, assert: {{exists: true}}}}, {{name: r, path: $.a, assert: {{exists: true}}}}]"
            ),
            Invalid,
            "spec.rules[1].name",
            "already the name",
        ),
    ]);
}

#[test]
fn patterns_and_messages_are_refused_with_the_place() {
    check(&[
        (
            assertion("matches: '^a'"),
            Invalid,
            "spec.rules[0].assert.matches",
            "at character 0: a pattern matches the whole value",
        ),
        (assertion("notMatches: [a, 'b$']"), Invalid, "spec.rules[0].assert.notMatches[1]", "at character 1"),
        (assertion("matches: 5"), Invalid, "spec.rules[0].assert.matches", "quote it"),
        (
            assertion(&format!("matches: [{}]", vec!["a"; 65].join(","))),
            Invalid,
            "spec.rules[0].assert.matches",
            "has 65 entries",
        ),
        (
            rule("path: $.a, assert: {exists: true}, message: 'a {owner}'"),
            Invalid,
            "spec.rules[0].message",
            "at character 2: `{owner}` is not known",
        ),
        (
            rule("path: $.a, assert: {exists: true}, message: 'a {path'"),
            Invalid,
            "spec.rules[0].message",
            "at character 2: `{` has no `}`",
        ),
        (
            rule("path: $.a, assert: {exists: true}, message: '{$.a[*]}'"),
            Invalid,
            "spec.rules[0].message",
            "can find many",
        ),
    ]);
}

#[test]
fn a_path_is_refused_with_its_field_its_position_and_a_suggestion() {
    check(&[
        (
            rule("path: $containers.image, assert: {exists: true}"),
            Invalid,
            "spec.rules[0].path",
            "write `$containers[*].image`",
        ),
        (
            rule("path: $namespace.metadata, assert: {exists: true}"),
            Unsupported,
            "spec.rules[0].path",
            "at character 0",
        ),
        (
            rule("path: $.a, fallbacks: [$.b, 'a b'], assert: {exists: true}"),
            Invalid,
            "spec.rules[0].fallbacks[1]",
            "at character",
        ),
        (
            rule("forEach: '$.a[', path: $.b, assert: {exists: true}"),
            Invalid,
            "spec.rules[0].forEach",
            "at character",
        ),
        (
            rule("when: [{path: '$.a[', assert: {exists: true}}], path: $.b, assert: {exists: true}"),
            Invalid,
            "spec.rules[0].when[0].path",
            "at character",
        ),
        (
            spec("match: [{path: '$.a[', assert: {exists: true}}]"),
            Invalid,
            "spec.match[0].path",
            "at character",
        ),
    ]);
}

#[test]
fn all_faults_are_told_at_once() {
    let faults = faults(&format!(
        "{DEPLOYMENTS}\nmode: Plan\nrules:\n- {{name: a, path: '$.a[', assert: {{equals: null, matches: '^x'}}}}\n\
         - {{name: b, path: $.a, fix: {{remove: true}}, assert: {{like: x}}, message: '{{nope}}'}}"
    ));
    let fields: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
    let expected = [
        "spec.mode",
        "spec.rules[0].path",
        "spec.rules[0].assert.equals",
        "spec.rules[0].assert.matches",
        "spec.rules[1].fix",
        "spec.rules[1].message",
        "spec.rules[1].assert.like",
    ];
    assert_eq!(fields, expected);
    assert_eq!(faults.to_string().lines().count(), expected.len());
    assert_eq!(faults.reason(), Invalid);
}
