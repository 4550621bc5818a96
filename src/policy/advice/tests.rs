//! What is said of policies that are all right, and what is not.

use crate::policy::tests::cases::{compiled, now, parse};

use super::advise;

/// The fields and words of what is said of a policy with this rule; the policy itself has no fault.
fn said(rule: &str, more: &str) -> Vec<(String, String)> {
    let spec = format!("targets: [{{resources: [pods]}}]\nrules: [{{name: r, {rule}}}]\n{more}");
    compiled(&spec);
    advise(&parse(&spec), now()).into_iter().map(|advice| (advice.field, advice.words)).collect()
}

/// Judges a table of rules; each is told about one field, in words that hold these.
fn check(rows: &[(&str, &str, &str)]) {
    for (rule, field, words) in rows {
        let said = said(rule, "");
        let [(told, why)] = &said[..] else { panic!("{rule}: {said:?}") };
        assert_eq!(told, &format!("spec.rules[0].{field}"), "{rule}");
        assert!(why.contains(words), "{rule}: {why}");
    }
}

/// Rules of which nothing is to be said.
fn check_silent(rules: &[&str]) {
    for rule in rules {
        assert_eq!(said(rule, ""), [], "{rule}");
    }
}

#[test]
fn a_false_that_may_be_left_out_is_better_said_as_not_true() {
    check(&[
        ("path: $podSpec.hostNetwork, assert: {equals: false}", "assert.equals", "`notEquals: true`"),
        (
            "when: [{path: $podSpec.hostPID, assert: {equals: false}}], forbid: true",
            "when[0].assert.equals",
            "`whenAbsent: Fail`",
        ),
        (
            "anyOf: [{path: $.a, assert: {exists: true}}, {allOf: [{path: $.a, assert: {exists: true}}, {path: $.b, \
             assert: {equals: false}}]}]",
            "anyOf[1].allOf[1].assert.equals",
            "left out",
        ),
    ]);
    check_silent(&[
        "path: $podSpec.hostNetwork, assert: {notEquals: true}",
        "path: $podSpec.hostNetwork, whenAbsent: Fail, assert: {equals: false}",
        "path: $podSpec.hostNetwork, default: false, assert: {equals: false}",
        "path: $podSpec.automountServiceAccountToken, assert: {equals: false}",
        "path: $podSpec.hostNetwork, quantifier: None, assert: {equals: false}",
        "path: $podSpec.hostNetwork, assert: {equals: true}",
    ]);
}

#[test]
fn a_default_need_not_be_written() {
    check(&[
        ("path: $.a, whenAbsent: Fail, assert: {equals: 1}", "whenAbsent", "default"),
        ("path: $.a, whenAbsent: Pass, assert: {notEquals: 1}", "whenAbsent", "default"),
        ("path: $.a, whenAbsent: Pass, quantifier: None, assert: {equals: 1}", "whenAbsent", "default"),
    ]);
    check_silent(&[
        "path: $.a, whenAbsent: Pass, assert: {equals: 1}",
        "path: $.a, whenAbsent: Fail, assert: {notEquals: 1}",
    ]);
}

#[test]
fn what_one_type_of_element_has_is_not_due_in_the_others() {
    check(&[
        (
            "path: '$podSpec.volumes[*].hostPath.path', assert: {like: '/var/log/*'}",
            "path",
            "`$podSpec.volumes[?@.hostPath]`",
        ),
        (
            "forEach: $podSpec.volumes, path: $.hostPath.path, assert: {like: '/var/log/*'}",
            "path",
            "`$podSpec.volumes[?@.hostPath]`",
        ),
        (
            "path: '$podSpec.volumes[*].hostPath', assert: {exists: true}",
            "path",
            "`$podSpec.volumes[?@.hostPath]`",
        ),
        (
            "path: '$containers[*].env[*].valueFrom.secretKeyRef.name', assert: {like: 'app-*'}",
            "path",
            "`$containers[*].env[?@.valueFrom]`",
        ),
    ]);
    check_silent(&[
        "path: '$podSpec.volumes[?@.hostPath].hostPath.path', assert: {like: '/var/log/*'}",
        "path: '$podSpec.volumes[*].hostPath.path', whenAbsent: Pass, assert: {like: '/var/log/*'}",
        "path: '$podSpec.volumes[*].hostPath', assert: {exists: false}",
        "path: '$podSpec.volumes[*].hostPath.path', assert: {notLike: '/etc/*'}",
        "path: '$podSpec.volumes[*].name', assert: {like: 'app-*'}",
        "path: '$containers[*].resources.limits.memory', assert: {exists: true}",
        "forEach: $podSpec.volumes, when: [{path: $.hostPath, assert: {exists: true}}], path: $.hostPath.path, \
         assert: {like: '/var/log/*'}",
    ]);
}

#[test]
fn a_whole_match_of_a_part_is_a_search() {
    check(&[
        ("path: $.a, assert: {matches: '.*corp.*'}", "assert.matches", "`search: 'corp'`"),
        ("path: $.a, assert: {notMatches: ['.*a.*', '.*b.*']}", "assert.notMatches", "`notSearch: 'a'`"),
        ("path: $.a, assert: {search: 'corp.*'}", "assert.search", "leave `.*`"),
    ]);
    check_silent(&[
        "path: $.a, assert: {matches: 'corp.*'}",
        "path: $.a, assert: {matches: '.*corp'}",
        "path: $.a, assert: {matches: ['.*a.*', 'b']}",
        "path: $.a, assert: {matches: '.*a|b.*'}",
        r"path: $.a, assert: {matches: '.*a\.*'}",
        "path: $.a, assert: {search: corp}",
    ]);
}

#[test]
fn one_list_of_containers_is_not_all_of_them() {
    check(&[
        (
            "path: '$.spec.containers[*].securityContext.runAsNonRoot', assert: {equals: true}",
            "path",
            "`$containers`",
        ),
        ("forEach: '{.spec.template.spec.containers}', forbid: true", "forEach", "`$podSpec.containers`"),
    ]);
    check_silent(&[
        "path: '$podSpec.containers[*].livenessProbe', assert: {exists: true}",
        "path: $.spec.containersReady, assert: {exists: true}",
    ]);
}

#[test]
fn an_image_is_more_than_its_text() {
    check(&[
        (
            "path: '$containers[*].image', assert: {notLike: '*:latest'}",
            "assert.notLike",
            "`measure: ImageTag`",
        ),
        (
            "forEach: $containers, path: $.image, assert: {like: 'registry.corp.io*'}",
            "assert.like",
            "`registry.corp.io/*`",
        ),
    ]);
    check_silent(&[
        "path: '$containers[*].image', measure: ImageTag, assert: {notEquals: latest}",
        "path: '$containers[*].image', assert: {like: 'registry.corp.io/*'}",
        "path: $.spec.image, assert: {notLike: '*:latest'}",
    ]);
}

#[test]
fn an_exception_that_has_ended_is_named_until_it_is_renewed() {
    let until =
        |time: &str| format!("exceptions: [{{name: old, reason: agreed, names: [x], until: '{time}'}}]");
    let rule = "path: $.a, assert: {exists: true}";
    assert_eq!(said(rule, &until("2026-06-15T12:00:01Z")), []);
    let ended = said(rule, &until("2026-06-15T12:00:00Z"));
    assert!(ended.len() == 1 && ended[0].0 == "spec.exceptions[0].until", "{ended:?}");
}

#[test]
fn advice_names_the_rule_that_it_is_about() {
    let spec = "targets: [{resources: [pods]}]\nrules: [{name: host, path: $.a, assert: {equals: false}}]";
    assert_eq!(advise(&parse(spec), now())[0].owner.as_deref(), Some("host"));
}
