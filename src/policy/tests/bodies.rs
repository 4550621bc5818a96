//! What the contract says of `allOf`, `anyOf` and `forbid`, row by row.

use crate::policy::Outcome::{Error, Fail, Pass, Skip};

use super::cases::{check, compiled, one_rule, verdict, verdict_on};

const ALL: &str = "allOf: [{path: $.a, assert: {matches: x}}, {path: $.b, assert: {equals: 1}}]";
const ANY: &str = "anyOf: [{path: $.a, assert: {matches: x}}, {path: $.b, assert: {equals: 1}}]";
const NESTED: &str = "anyOf: [{path: $.a, assert: {equals: 1}}, \
                      {allOf: [{path: $.b, assert: {equals: 1}}, {path: $.c, assert: {matches: x}}]}]";

#[test]
fn all_checks_of_all_of_must_hold() {
    check(&[
        ("both hold", ALL, "{a: x, b: 1}", Pass),
        ("one fails", ALL, "{a: x, b: 2}", Fail),
        ("the other fails", ALL, "{a: z, b: 1}", Fail),
        ("one Fail and one Error is Error", ALL, "{a: 1, b: 2}", Error),
        ("in either order", ALL, "{a: z, b: 1}", Fail),
        ("one errs", ALL, "{a: 1, b: 1}", Error),
    ]);
}

#[test]
fn one_branch_of_any_of_is_enough() {
    check(&[
        ("the first", ANY, "{a: x, b: 2}", Pass),
        ("the second", ANY, "{a: z, b: 1}", Pass),
        ("even if another errs", ANY, "{a: 1, b: 1}", Pass),
        ("none", ANY, "{a: z, b: 2}", Fail),
        ("none, and one errs", ANY, "{a: 1, b: 2}", Error),
        ("a branch may be an allOf", NESTED, "{a: 2, b: 1, c: x}", Pass),
        ("of which all must hold", NESTED, "{a: 2, b: 1, c: z}", Fail),
        ("else it errs", NESTED, "{a: 2, b: 1, c: 1}", Error),
        ("beside one that holds", NESTED, "{a: 1, b: 1, c: 1}", Pass),
    ]);
}

#[test]
fn what_is_forbidden_should_not_be_there_at_all() {
    check(&[
        ("the object", "forbid: true", "{}", Fail),
        (
            "unless the rule does not apply",
            "when: [{path: $.a, assert: {exists: true}}], forbid: true",
            "{}",
            Skip,
        ),
        ("each element", "forEach: $.a, forbid: true", "{a: [1]}", Fail),
        ("no element", "forEach: $.a, forbid: true", "{a: []}", Pass),
        (
            "elements of a kind",
            "forEach: $.a, when: [{path: $.b, assert: {equals: 1}}], forbid: true",
            "{a: [{b: 2}]}",
            Skip,
        ),
    ]);
}

/// The paths and messages of a rule's nodes.
fn nodes(rule: &str, object: &str) -> Vec<(String, String)> {
    let nodes = verdict(&one_rule(rule), object).nodes;
    nodes.into_iter().map(|node| (node.path.to_string(), node.message.to_string())).collect()
}

fn expected(nodes: &[(&str, &str)]) -> Vec<(String, String)> {
    nodes.iter().map(|(path, message)| ((*path).to_owned(), (*message).to_owned())).collect()
}

#[test]
fn only_checks_that_do_not_hold_are_reported() {
    let rule =
        "allOf: [{path: '$.a[*]', quantifier: Any, assert: {equals: 1}}, {path: $.b, assert: {equals: 1}}]";
    assert_eq!(nodes(rule, "{a: [2, 1], b: 2}"), expected(&[("b", "b is 2, wanted 1")]));
}

#[test]
fn every_branch_says_why_it_does_not_hold() {
    assert_eq!(
        nodes(NESTED, "{a: 2, b: 1, c: z}"),
        expected(&[
            ("a", "no branch of anyOf holds; in anyOf[0], a is 2, wanted 1"),
            ("c", "no branch of anyOf holds; in anyOf[1], c is z, wanted a whole match of x"),
        ])
    );
}

#[test]
fn a_rule_whose_branches_all_fail_says_its_own_words_once_for_each_element_and_container() {
    let branches = "anyOf: [{path: $.a, assert: {equals: 1}}, {path: '$.b[*]', quantifier: Any, assert: {equals: 1}}, \
                    {path: $.c, assert: {matches: x}}]";
    let said = |more: &str, object: &str| {
        nodes(&format!("{branches}, {more}"), object).into_iter().map(|(_, said)| said).collect::<Vec<_>>()
    };
    assert_eq!(said("message: 'lock it {rule}'", "{a: 2, c: z}"), ["lock it rule"]);
    assert_eq!(
        said("forEach: $.all, message: 'lock {$.n} of {container}'", "{all: [{n: 1}, {n: 2, name: x}]}"),
        ["lock 1 of not set", "lock 2 of x"]
    );
    assert_eq!(
        said("message: '{path} is {actual}'", "{a: 2, c: z}").len(),
        3,
        "each branch says something else"
    );
    let erring = said("message: lock it", "{a: 2, c: 1}");
    assert_eq!(
        (erring.len(), erring[0].as_str()),
        (2, "lock it"),
        "why a branch errs is said beside: {erring:?}"
    );
    let many = format!("{{all: [{}]}}", vec!["{}"; 20].join(", "));
    let verdict = verdict(&one_rule(&format!("{branches}, forEach: $.all, message: lock it")), &many);
    assert_eq!(verdict.nodes.len() + verdict.more, 20);
}

#[test]
fn what_is_forbidden_is_named() {
    assert_eq!(nodes("forbid: true", "{}"), expected(&[("$", "this Kind is there, and should not be")]));
    assert_eq!(
        nodes(
            "forEach: $.a, when: [{path: $.b, assert: {equals: 2}}], forbid: true",
            "{a: [{b: 1}, {b: 2}]}"
        ),
        expected(&[("a[1]", "a[1] is there, and should not be")])
    );
    let own = "forEach: $.a, forbid: true, message: '{path} is {actual}, wanted {expected}: {$.b}'";
    assert_eq!(nodes(own, "{a: [{b: 1}]}"), expected(&[("a[0]", "a[0] is there, wanted nothing there: 1")]));
}

#[test]
fn a_container_may_be_locked_down_by_itself_or_by_its_pod() {
    let policy = compiled(
        "targets: [{resources: [pods]}]\nrules: [{name: r, forEach: $containers, anyOf: [\
         {path: $.securityContext.runAsNonRoot, assert: {equals: true}}, \
         {path: $.securityContext.runAsUser, assert: {above: 0}}, \
         {allOf: [{path: $.securityContext.runAsNonRoot, assert: {exists: false}}, \
         {path: $podSpec.securityContext.runAsNonRoot, assert: {equals: true}}]}]}]",
    );
    let outcome = |spec: &str| verdict_on(&policy, "", "pods", &format!("{{spec: {spec}}}")).outcome;
    assert_eq!(outcome("{containers: [{securityContext: {runAsUser: 1000}}]}"), Pass);
    assert_eq!(outcome("{containers: [{securityContext: {runAsUser: 0}}]}"), Fail);
    assert_eq!(outcome("{containers: [{}], securityContext: {runAsNonRoot: true}}"), Pass);
    let own =
        "{containers: [{securityContext: {runAsNonRoot: false}}], securityContext: {runAsNonRoot: true}}";
    assert_eq!(outcome(own), Fail);
}
