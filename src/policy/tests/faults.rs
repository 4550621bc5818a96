//! What is refused, where and in which words.

use crate::policy::FaultReason::{Invalid, TargetNotAllowed};
use crate::policy::{FaultReason, Faults, compile};

use super::cases::{CONFIG_MAPS, DEPLOYMENTS, compiled, parse, settings};

const RULES: &str = "rules: [{name: r, path: $.a, assert: {exists: true}}]";

fn faults(spec: &str) -> Faults {
    compile(&parse(spec), &settings()).expect_err(spec)
}

/// Each spec has exactly this fault.
fn check<F: AsRef<str>>(rows: &[(String, FaultReason, F, &str)]) {
    for (spec, reason, field, message) in rows {
        let field = field.as_ref();
        let faults = faults(spec);
        let found: Vec<_> = faults.iter().collect();
        let [fault] = &*found else { panic!("{spec}\n{faults}") };
        assert_eq!((fault.reason, fault.field.as_str()), (*reason, field), "{spec}: {fault}");
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

fn refined(refinements: &str, assert: &str) -> String {
    rule(&format!("path: $.a, {refinements}, assert: {{{assert}}}"))
}

/// The field of an operator.
fn at(operator: &str) -> String {
    format!("spec.rules[0].assert.{operator}")
}

fn spec(rest: &str) -> String {
    format!("{CONFIG_MAPS}\n{rest}\n{RULES}")
}

#[test]
fn all_patterns_of_a_policy_together_have_a_limit_and_the_first_too_many_is_named() {
    // Some 150 KiB each, once compiled.
    let large = "assert: {matches: '\\p{L}{10}'}";
    let rules: Vec<_> = (0..64).map(|index| format!("{{name: r{index}, path: $.a, {large}}}")).collect();
    let faults = faults(&format!("{CONFIG_MAPS}\nrules: [{}]", rules.join(", ")));
    assert_eq!(faults.iter().count(), 1, "{faults}");
    assert!(
        faults
            .to_string()
            .contains(").assert.matches: with this the patterns of the policy need more than 8 MiB")
    );
    let small = "assert: {matches: '[a-z-]+@corp[.]com'}";
    let rules: Vec<_> = (0..64).map(|index| format!("{{name: r{index}, path: $.a, {small}}}")).collect();
    compiled(&format!("{CONFIG_MAPS}\nrules: [{}]", rules.join(", ")));
}

#[test]
fn a_default_makes_no_sense_where_nothing_should_be() {
    let both = rule("path: $.a, default: 1, assert: {exists: false}");
    check(&[(both, Invalid, "spec.rules[0].default", "which is what `exists: false` wants")]);
}

#[test]
fn an_exception_says_what_it_covers_and_why_and_names_rules_that_there_are() {
    let exception = |exception: &str| spec(&format!("exceptions: [{{name: e, {exception}}}]"));
    let list = |exceptions: &str| spec(&format!("exceptions: [{exceptions}]"));
    check(&[
        (
            exception("reason: x"),
            Invalid,
            "spec.exceptions[0]",
            "does not say what it covers; add namespaces",
        ),
        (exception("reason: ' ', names: [a]"), Invalid, "spec.exceptions[0].reason", "says why"),
        (
            exception("reason: x, names: [a], rules: [r, s]"),
            Invalid,
            "spec.exceptions[0].rules[1]",
            "no rule is named `s`; name rules of this policy",
        ),
        (
            exception("reason: x, names: [a], until: 2027-03-31"),
            Invalid,
            "spec.exceptions[0].until",
            "`2027-03-31` is not a time in RFC 3339",
        ),
        (
            exception("reason: x, labelSelector: {matchLabels: {-a: b}}"),
            Invalid,
            "spec.exceptions[0].labelSelector.matchLabels",
            "is not a label key",
        ),
        (
            list("{name: e, reason: x, names: [a]}, {name: e, reason: x, names: [b]}"),
            Invalid,
            "spec.exceptions[1].name",
            "`e` is already the name of an exception",
        ),
        (list("{name: '', reason: x, names: [a]}"), Invalid, "spec.exceptions[0].name", "has a name"),
    ]);
    let meant = spec("exceptions: [{name: e, reason: x, names: [a], rules: [onwer]}]")
        .replace("name: r,", "name: owner,");
    assert!(faults(&meant).to_string().ends_with("no rule is named `onwer`; did you mean `owner`?"));
}

#[test]
fn a_rule_has_one_body() {
    let two = "[{path: $.a, assert: {exists: true}}, {path: $.b, assert: {exists: true}}]";
    let one = "[{path: $.a, assert: {exists: true}}]";
    check(&[
        (rule("severity: low"), Invalid, "spec.rules[0]", "demands nothing yet"),
        (
            rule(&format!("path: $.a, assert: {{exists: true}}, allOf: {two}")),
            Invalid,
            "spec.rules[0]",
            "has one body",
        ),
        (rule(&format!("forbid: true, anyOf: {two}")), Invalid, "spec.rules[0]", "has one body"),
        (rule(&format!("measure: Keys, allOf: {two}")), Invalid, "spec.rules[0]", "has one body"),
        (rule(&format!("allOf: {one}")), Invalid, "spec.rules[0].allOf", "has 1 entries"),
        (rule(&format!("anyOf: {one}")), Invalid, "spec.rules[0].anyOf", "has 1 entries"),
        (
            rule(&format!("anyOf: [{{allOf: {two}}}, {{}}]")),
            Invalid,
            "spec.rules[0].anyOf[1]",
            "demands nothing yet",
        ),
        (
            rule(&format!("anyOf: [{{allOf: {two}}}, {{allOf: {one}}}]")),
            Invalid,
            "spec.rules[0].anyOf[1].allOf",
            "has 1 entries",
        ),
    ]);
}

#[test]
fn operands_that_no_value_could_be_compared_with_are_refused() {
    check(&[
        (assertion("search: '^a'"), Invalid, at("search"), "use `matches` for the whole value"),
        (assertion("notSearch: [a, '(']"), Invalid, at("notSearch[1]"), "ends within a group"),
        (assertion("like: 5"), Invalid, at("like"), "quote it"),
        (assertion("contains: null"), Invalid, at("contains"), "null counts as absent"),
        (assertion("notContains: [a, null]"), Invalid, at("notContains[1]"), "null counts as absent"),
        (assertion("contains: []"), Invalid, at("contains"), "has 0 entries"),
        (assertion("inCidr: 10.0.0.0/33"), Invalid, at("inCidr"), "`10.0.0.0/33` is not a CIDR block"),
        (assertion("notInCidr: [10.0.0.0/8, x]"), Invalid, at("notInCidr[1]"), "`x` is not a CIDR block"),
        (assertion("inRanges: ['6-5']"), Invalid, at("inRanges[0]"), "with the lesser one first"),
        (assertion("inRanges: [1, 'a-b']"), Invalid, at("inRanges[1]"), "`a-b` is not a number"),
        (assertion("atLeast: 512Mi"), Invalid, at("atLeast"), "`as: Quantity`"),
        (assertion("below: true"), Invalid, at("below"), "true is not a number"),
        (assertion("unique: false"), Invalid, at("unique"), "is true or left out"),
        (assertion("equalsPath: '$.a['"), Invalid, at("equalsPath"), "at character"),
        (refined("as: Quantity", "atMost: lots"), Invalid, at("atMost"), "is not a Kubernetes quantity"),
        (refined("as: Duration", "atMost: 5"), Invalid, at("atMost"), "is not a duration"),
        (refined("as: Version", "above: '1.2'"), Invalid, at("above"), "is not a version of three numbers"),
        (refined("as: Time", "above: '2027-01-01'"), Invalid, at("above"), "is not a time in RFC 3339"),
        (refined("as: Percent", "above: 5"), Invalid, at("above"), "is not a percentage"),
        (refined("as: Quantity", "in: [1Gi, x]"), Invalid, at("in[1]"), "is not a Kubernetes quantity"),
    ]);
}

#[test]
fn refinements_that_say_nothing_or_contradict_are_refused() {
    check(&[
        (
            refined("as: Number", "like: x"),
            Invalid,
            "spec.rules[0].as".to_owned(),
            "there is none; leave it out",
        ),
        (
            refined("ignoreCase: true", "atLeast: 1"),
            Invalid,
            "spec.rules[0].ignoreCase".to_owned(),
            "leave it out",
        ),
        (refined("measure: Age", "equals: 1h"), Invalid, at("equals"), "compare it by atLeast"),
        (refined("measure: Until", "atLeast: 1"), Invalid, at("atLeast"), "1 is not a duration"),
        (
            refined("measure: Age, as: Time", "atLeast: 1h"),
            Invalid,
            "spec.rules[0].as".to_owned(),
            "a duration anyway",
        ),
        (
            refined("measure: Count, default: 1", "equals: 1"),
            Invalid,
            "spec.rules[0].default".to_owned(),
            "never absent",
        ),
        (
            refined("measure: Count, fallbacks: [$.b]", "equals: 1"),
            Invalid,
            "spec.rules[0].fallbacks".to_owned(),
            "never absent",
        ),
        (
            refined("measure: Count, whenAbsent: Pass", "equals: 1"),
            Invalid,
            "spec.rules[0].whenAbsent".to_owned(),
            "never absent",
        ),
        (
            refined("quantifier: Any", "unique: true"),
            Invalid,
            "spec.rules[0].quantifier".to_owned(),
            "all values together",
        ),
    ]);
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
            rule("path: $namespace.labels, assert: {exists: true}"),
            Invalid,
            "spec.rules[0].path",
            "write `$namespace.metadata.labels`",
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
        "{DEPLOYMENTS}\nrules:\n- {{name: a, path: '$.a[', assert: {{equals: null, matches: '^x'}}}}\n\
         - {{name: b, path: $.a, fix: {{set: null}}, assert: {{atLeast: x}}, message: '{{nope}}'}}"
    ));
    let fields: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
    let expected = [
        "spec.rules[0].path",
        "spec.rules[0].assert.equals",
        "spec.rules[0].assert.matches",
        "spec.rules[1].message",
        "spec.rules[1].fix.set",
        "spec.rules[1].assert.atLeast",
    ];
    assert_eq!(fields, expected);
    assert_eq!(faults.to_string().lines().count(), expected.len());
    assert_eq!(faults.reason(), Invalid);
}

#[test]
fn the_examples_have_no_fault() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    let files = std::fs::read_dir(folder).expect("examples").map(|entry| entry.expect("an entry").path());
    let yaml: Vec<_> = files.filter(|path| path.extension().is_some_and(|kind| kind == "yaml")).collect();
    assert!(yaml.len() > 3, "{yaml:?}");
    for path in yaml {
        let text = std::fs::read_to_string(&path).expect("a file");
        let policy = serde_saphyr::from_str(&text).expect("a policy");
        compile(&policy, &settings()).unwrap_or_else(|faults| panic!("{}: {faults}", path.display()));
    }
}

#[test]
fn a_star_stands_alone_and_not_for_the_core_group_nor_for_one_place_of_pods() {
    let field = "spec.targets[0].resources[0]";
    check(&[
        (target("resources: ['*']"), Invalid, field, "core group"),
        (target("group: apps, resources: ['*', deployments]"), Invalid, field, "leave the others out"),
        (
            target("group: apps, resources: ['*'], pod: $.spec.template"),
            Invalid,
            "spec.targets[0].pod",
            "their own entry",
        ),
        (target("group: openreports.io, resources: ['*']"), TargetNotAllowed, field, "never be a target"),
    ]);
}
