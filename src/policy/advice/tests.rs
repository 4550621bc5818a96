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
        "path: $podSpec.hostUsers, assert: {equals: false}",
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

#[test]
fn an_array_has_no_members() {
    check(&[
        ("path: '$containers[*].env.value', assert: {notEquals: x}", "path", "`$containers[*].env[*]`"),
        ("path: $podSpec.volumes.hostPath, assert: {exists: false}", "path", "`$podSpec.volumes[*]`"),
        (
            "forEach: $containers, path: $.a, fallbacks: [$.ports.hostPort], assert: {notEquals: 1}",
            "fallbacks[0]",
            "`$.ports[*]`",
        ),
        (
            "forEach: '$containers.*.env', path: $.value, assert: {notLike: 'x*'}",
            "forEach",
            "`$containers[*].env[*]`",
        ),
        ("forEach: '$containers[*].env.a', forbid: true", "forEach", "`$containers[*].env`"),
    ]);
    check_silent(&[
        "path: '$containers[*].env[*].value', assert: {notEquals: x}",
        "path: '$containers[*].env[0].value', assert: {notEquals: x}",
        "path: '$containers[*].ports', assert: {exists: false}",
        "path: $.spec.ports.http, assert: {notEquals: 1}",
        "path: $.spec.env.value, assert: {notEquals: x}",
        "forEach: $podSpec.volumes, path: $.name, assert: {notLike: 'x*'}",
        "forEach: '$containers[*].env', path: '$[*].value', assert: {notLike: 'x*'}",
        "forEach: '$containers[*].env[*]', path: $.value, assert: {notLike: 'x*'}",
        "forEach: '$containers[*].resources', path: $.limits, assert: {exists: true}",
    ]);
}

#[test]
fn one_place_is_always_unique() {
    check(&[("path: $podSpec.volumes, assert: {unique: true}", "assert.unique", "`$podSpec.volumes[*]`")]);
    check_silent(&[
        "path: '$podSpec.volumes[*].name', assert: {unique: true}",
        "path: $.data, measure: Keys, assert: {unique: true}",
    ]);
}

#[test]
fn a_glob_is_not_equal_to_what_it_fits() {
    check(&[
        ("path: $.a, assert: {notEquals: '*:latest'}", "assert.notEquals", "`notLike`"),
        ("path: $.a, assert: {notIn: [a, 'b*']}", "assert.notIn", "\"b*\""),
        ("path: $.a, assert: {equals: 'b*'}", "assert.equals", "`like`"),
    ]);
    check_silent(&[
        "path: $.a, assert: {notEquals: '*'}",
        "path: '$.rules[*].resources[*]', assert: {notIn: ['*', 'pods/*']}",
        "path: $.a, assert: {notLike: '*:latest'}",
    ]);
}

#[test]
fn what_a_measure_never_gives_is_never_equal() {
    check(&[
        ("path: '$.a[*]', measure: Count, assert: {equals: '2'}", "assert.equals", "is a number"),
        ("path: $.a, measure: Length, assert: {notIn: [1, a]}", "assert.notIn", "\"a\""),
        ("path: $.a, measure: Length, assert: {matches: '[0-9]'}", "assert.matches", "Error each time"),
        ("path: $.a, measure: ImageTag, assert: {notEquals: 1}", "assert.notEquals", "is a string"),
        ("path: $.a, assert: {type: integer, notMatches: '[0-9]'}", "assert.type", "`notMatches`"),
    ]);
    check_silent(&[
        "path: '$.a[*]', measure: Count, assert: {equals: 2}",
        "path: $.a, measure: ImageTag, assert: {notEquals: '1'}",
        "path: $.a, assert: {type: string, notMatches: '[0-9]'}",
    ]);
}

#[test]
fn operators_that_never_hold_together_or_say_nothing_beside_each_other_are_named() {
    check(&[
        ("path: $.a, assert: {above: 5, below: 3}", "assert.above", "`below: 3`"),
        ("path: $.a, assert: {above: 5, atMost: 5}", "assert.above", "`atMost: 5`"),
        (
            "path: $.a, as: Quantity, assert: {atLeast: 1Gi, atMost: 512Mi}",
            "assert.atLeast",
            "`atMost: 512Mi`",
        ),
        ("path: $.a, measure: Age, assert: {above: 2d, below: 24h}", "assert.above", "`below: 24h`"),
        ("path: $.a, assert: {above: 5, atLeast: 3}", "assert.above", "leave one of them out"),
        ("path: $.a, assert: {equals: a, notEquals: a}", "assert.notEquals", "never hold together"),
        ("path: $.a, assert: {equals: a, notEquals: b}", "assert.notEquals", "says nothing"),
        ("path: $.a, assert: {in: [ab, ac], like: 'a*'}", "assert.like", "says nothing"),
        ("path: $.a, quantifier: None, assert: {in: [1, 2], above: 2}", "assert.above", "always passes"),
        ("path: $.a, assert: {equals: 1, type: string}", "assert.type", "never hold together"),
        (
            "path: $.a, ignoreCase: true, assert: {equals: A, notIn: [a]}",
            "assert.notIn",
            "never hold together",
        ),
        ("path: $.a, assert: {exists: false, equals: 1}", "assert.exists", "say nothing"),
    ]);
    check_silent(&[
        "path: $.a, assert: {above: 3, below: 5}",
        "path: $.a, assert: {atLeast: 5, atMost: 5}",
        "path: $.a, as: Quantity, assert: {atLeast: 512Mi, atMost: 1Gi}",
        "path: $.a, assert: {equals: 1, type: integer}",
        "path: $.a, assert: {in: [a, b], exists: true}",
        "path: $.a, assert: {in: [a, b], notEquals: b}",
        "path: $.a, assert: {notEquals: a, notIn: [b]}",
        "path: $.a, assert: {equals: 1, notEqualsPath: $.b}",
    ]);
}

#[test]
fn a_fix_that_its_own_check_fails_mends_nothing() {
    check(&[
        ("path: $.a, assert: {equals: 1}, fix: {set: 2}", "fix.set", "this value"),
        ("path: $.a, assert: {exists: true}, fix: {remove: true}", "fix.remove", "where nothing is"),
        ("path: $.a, assert: {atLeast: 2}, fix: {remove: true}", "fix.remove", "Ineffective"),
        ("path: $.a, default: 1, assert: {atLeast: 2}, fix: {remove: true}", "fix.remove", "Ineffective"),
        (
            "path: $.a, measure: ImageTag, assert: {notEquals: latest}, fix: {set: nginx}",
            "fix.set",
            "this value",
        ),
        ("path: $.a, quantifier: None, assert: {equals: 1}, fix: {set: 1}", "fix.set", "this value"),
        (
            "allOf: [{path: $.a, assert: {atLeast: 1}}, {path: $.a, assert: {atMost: 3}}], fix: {set: 4}",
            "fix.set",
            "this value",
        ),
    ]);
    check_silent(&[
        "path: $.a, assert: {equals: 1}, fix: {set: 1}",
        "path: $.a, assert: {notEquals: 1}, fix: {remove: true}",
        "path: '$.a[*]', assert: {equals: 1}, fix: {remove: true}",
        "path: $.a, default: 3, assert: {atLeast: 2}, fix: {remove: true}",
        "path: $.a, fallbacks: [$.b], assert: {equals: 1}, fix: {remove: true}",
        "path: $.a, assert: {equalsPath: $.b}, fix: {set: 1}",
        "path: $.a, assert: {equals: 1}, fix: {setFrom: $.b}",
        "anyOf: [{path: $.a, assert: {equals: 1}}, {path: $.a, assert: {equals: 2}}], fix: {set: 2}",
        "forEach: '$.a[?@.x]', forbid: true, fix: {remove: true}",
    ]);
}

#[test]
fn a_star_in_another_version_than_a_name_may_come_to_two_versions() {
    let advice = |named: &str| {
        let spec = format!(
            "targets: [{{group: example.com, resources: ['*'], version: v2}}, {{group: example.com, resources: \
             [foos]{named}}}]\nrules: [{{name: r, path: $.a, assert: {{exists: true}}}}]"
        );
        advise(&parse(&spec), now()).into_iter().map(|advice| advice.field).collect::<Vec<_>>()
    };
    assert_eq!(advice(", version: v1"), ["spec.targets[0].version"]);
    assert_eq!(advice(""), ["spec.targets[0].version"]);
    assert_eq!(advice(", version: v2"), Vec::<String>::new());
}

#[test]
fn labels_and_annotations_are_texts() {
    check(&[
        ("path: $.metadata.labels.a, assert: {equals: true}", "assert.equals", "quotes"),
        ("path: $pod.metadata.annotations.a, assert: {notIn: [x, 1]}", "assert.notIn", "1 never equals"),
    ]);
    check_silent(&[
        "path: $.metadata.labels.a, assert: {equals: 'true'}",
        "path: $.metadata.labels.a, as: Number, assert: {equals: 1}",
        "path: $.metadata.generation, assert: {equals: 1}",
    ]);
}

#[test]
fn a_key_of_labels_that_is_written_like_fields_is_told_how_it_is_written() {
    check(&[
        (
            "path: $.metadata.labels.app.kubernetes.io, assert: {exists: true}",
            "path",
            "`$.metadata.labels['app.kubernetes.io']`",
        ),
        (
            "path: $pod.metadata.annotations.a.b, assert: {exists: true}",
            "path",
            "`$pod.metadata.annotations['a.b']`",
        ),
        ("forEach: $.metadata.labels, path: $, assert: {type: string}", "forEach", "`$.metadata.labels[*]`"),
    ]);
    check_silent(&[
        "path: \"$.metadata.labels['app.kubernetes.io/name']\", assert: {exists: true}",
        "path: '$.metadata.labels[*]', assert: {type: string}",
        "path: $.spec.labels.a.b, assert: {exists: true}",
        "forEach: '$.metadata.labels[*]', path: $, assert: {type: string}",
    ]);
}

#[test]
fn a_slip_in_the_name_of_a_field_of_kubernetes_is_named() {
    check(&[
        ("path: $podSpec.contianers, assert: {exists: true}", "path", "`containers`"),
        ("path: $podSpec.hostnetwork, assert: {notEquals: true}", "path", "`hostNetwork`"),
        (
            "path: '$containers[*].securtyContext.privileged', assert: {notEquals: true}",
            "path",
            "`securityContext`",
        ),
        ("forEach: $containers, path: $.resources.limit.cpu, assert: {exists: true}", "path", "`limits`"),
        ("forEach: $podSpec.volume, path: $.name, assert: {exists: true}", "forEach", "`volumes`"),
        (
            "path: $.spec.hostPID, fallbacks: [$.metdata.name], assert: {notEquals: true}",
            "fallbacks[0]",
            "`metadata`",
        ),
    ]);
    check_silent(&[
        "path: $podSpec.hostNetwork, assert: {notEquals: true}",
        "path: $podSpec.somethingNew, assert: {exists: false}",
        "path: $.status.contianers, assert: {exists: false}",
        "path: $.metadata.labels.nmae, assert: {exists: true}",
        "path: '$..contianers', assert: {exists: false}",
        "path: '$containers[?@.name].image', assert: {notLike: x}",
    ]);
}

#[test]
fn what_one_of_the_targets_may_have_is_no_slip() {
    let said = |targets: &str| {
        let rule = "{name: r, path: $.spec.template.spec.contianers, assert: {exists: false}}";
        let spec = format!("targets: [{targets}]\nrules: [{rule}]");
        advise(&parse(&spec), now()).len()
    };
    let (workloads, other) =
        ("{group: apps, resources: [deployments, daemonsets]}", "{group: a.io, resources: [b]}");
    assert_eq!((said(workloads), said(&format!("{workloads}, {other}"))), (1, 0));
    assert_eq!(
        said(&format!("{workloads}, {{resources: [pods]}}")),
        0,
        "`template` is like nothing that a Pod has"
    );
}
