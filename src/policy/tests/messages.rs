//! What people read.

use super::cases::{compiled, one_rule, verdict, verdict_on};

fn message(rule: &str, object: &str) -> String {
    let verdict = verdict(&one_rule(rule), object);
    assert!(!verdict.nodes.is_empty(), "{verdict:?}");
    verdict.nodes[0].message.to_string()
}

#[test]
fn a_message_is_written_from_the_rule() {
    for (rule, object, expected) in [
        (
            "path: $.spec.replicas, assert: {equals: 2}",
            "{spec: {replicas: 1}}",
            "spec.replicas is 1, wanted 2",
        ),
        ("path: $.a, assert: {equals: 80}", "{a: '80'}", "a is \"80\", wanted 80"),
        ("path: $.a, assert: {equals: 'true'}", "{a: true}", "a is true, wanted \"true\""),
        ("path: $.a, assert: {notEquals: b}", "{a: b}", "a is b, wanted not b"),
        ("path: $.a, assert: {in: [b, c]}", "{a: d}", "a is d, wanted one of b, c"),
        ("path: $.a, assert: {notIn: [b, c]}", "{a: b}", "a is b, wanted none of b, c"),
        ("path: $.a, assert: {matches: 'b+'}", "{a: d}", "a is d, wanted a whole match of b+"),
        ("path: $.a, assert: {notMatches: [b, c]}", "{a: c}", "a is c, wanted no whole match of b, c"),
        ("path: $.a, assert: {exists: false}", "{a: {b: [1, x]}}", "a is {\"b\":[1,\"x\"]}, wanted no value"),
        ("path: $.a, assert: {exists: true}", "{}", "a is not set, wanted a value"),
        (
            "path: \"$.metadata.annotations['corp.io/owner']\", assert: {matches: x}",
            "{}",
            "metadata.annotations['corp.io/owner'] is not set, wanted a whole match of x; if that is fine: whenAbsent: Pass",
        ),
        ("path: $.a, default: 1, assert: {equals: 2}", "{}", "a is not set, which stands for 1, wanted 2"),
        (
            "path: '$.a[*]', quantifier: Any, assert: {equals: 2}",
            "{a: [1]}",
            "a[0] is 1, wanted at least one to be 2",
        ),
        (
            "path: '$.a[*]', quantifier: Any, assert: {equals: 2}",
            "{}",
            "$.a[*] finds nothing, wanted at least one to be 2",
        ),
        (
            "path: '$.a[*]', quantifier: None, assert: {equals: 1}",
            "{a: [1]}",
            "a[0] is 1, wanted none to be 1",
        ),
        ("path: $.a, fallbacks: [$.b], assert: {equals: 1}", "{b: 2}", "b is 2, wanted 1"),
        ("path: $.a, assert: {equals: b}", "{a: \"c\\nd\"}", "a is \"c\\nd\", wanted b"),
    ] {
        assert_eq!(message(rule, object), expected, "{rule} on {object}");
    }
}

#[test]
fn placeholders_are_filled_in() {
    let rule = "path: $.a, assert: {equals: 1}, message: \
                \"{{x} {actual}/{expected}/{path}/{rule}/{policy}/{$.b['c}']}/{.d}/{$.e}\"";
    let object = "{a: 2, b: {'c}': found}, d: 3}";
    assert_eq!(message(rule, object), "{x} 2/1/a/rule/policy/found/3/not set");
}

#[test]
fn a_container_is_the_one_that_the_place_is_in_or_else_the_nearest_that_has_a_name() {
    let pod = "{spec: {name: 7, containers: [{name: web, env: [{name: KEY, valueFrom: {secretKeyRef: {name: \
               secret}}}], x: {y: 1}}, {x: {}}], initContainers: \
               [{name: init}], ref: {name: other}, ports: [{name: http}]}, metadata: {name: pod}}";
    for (rule, names) in [
        ("path: '$containers[*].image', assert: {exists: true}", &["web", "not set", "init"][..]),
        ("path: '$.spec.containers[0].x.y', assert: {equals: 2}", &["web"]),
        ("path: '$containers[0].env[*].value', assert: {exists: true}", &["web"]),
        ("path: '$containers[*].env[*].valueFrom.secretKeyRef', assert: {exists: false}", &["web"]),
        ("forEach: '$containers[*].env', path: $.valueFrom.secretKeyRef.name, assert: {equals: x}", &["web"]),
        ("path: $.spec.ref, assert: {exists: false}", &["not set"]),
        ("path: $.spec.ref.name, assert: {equals: x}", &["other"]),
        ("forEach: $.spec.ref, path: $.u, assert: {exists: true}", &["other"]),
        ("path: '$.spec.ports[*]', assert: {exists: false}", &["http"]),
        (
            "path: '$containers[*].u', fallbacks: [$podSpec.containers], assert: {type: string}",
            &["web", "not set", "init"],
        ),
        ("forEach: $containers, forbid: true", &["web", "not set", "init"]),
        ("forEach: $containers, path: $podSpec.u, assert: {exists: true}", &["web", "not set", "init"]),
        (
            "forEach: $containers, path: '$.u[*]', quantifier: Any, assert: {equals: 1}",
            &["web", "not set", "init"],
        ),
        ("path: $.metadata.labels.team, assert: {exists: true}", &["pod"]),
        ("path: $.spec.u, assert: {exists: true}", &["not set"]),
    ] {
        let policy = compiled(&format!(
            "targets: [{{resources: [pods]}}]\nrules: [{{name: r, {rule}, message: '{{container}}'}}]"
        ));
        let verdict = verdict_on(&policy, "", "pods", pod).rules.remove(0);
        let messages: Vec<&str> = verdict.nodes.iter().map(|node| &*node.message).collect();
        assert_eq!(messages, names, "{rule}");
    }
}

#[test]
fn an_error_explains_itself_whatever_the_message_says() {
    let text = message("path: $.a, assert: {matches: x}, message: no", "{a: 1}");
    assert!(text.starts_with("a is 1, of type number, and patterns are for strings; "), "{text}");
}

#[test]
fn values_are_cut_at_128_bytes_between_characters() {
    let text = message(
        "path: $.a, assert: {equals: b}, message: '{actual}'",
        &format!("{{a: x{}}}", "é".repeat(100)),
    );
    assert_eq!(text, format!("x{}…", "é".repeat(63)));
}

#[test]
fn nothing_of_a_secret_is_shown() {
    let policy = compiled(
        "targets: [{resources: [secrets]}]\nrules: [{name: r, path: $.data.key, assert: {equals: x}, \
         message: '{actual} {$.data.other} {$.data}'}, {name: s, path: '$.data[*]', assert: {matches: x}}]",
    );
    let verdict = verdict_on(&policy, "", "secrets", "{data: {key: hidden1, other: hidden2, number: 4711}}");
    let shown = format!("{verdict:?}");
    assert!(!shown.contains("hidden") && !shown.contains("4711"), "{shown}");
    assert_eq!(&*verdict.rules[0].nodes[0].message, "<redacted> <redacted> <redacted>");
}

#[test]
fn values_of_environment_variables_are_not_shown_from_wherever_they_are_reached() {
    let object = "{spec: {containers: [{name: c, env: [{name: KEY, value: hidden}]}]}, metadata: {annotations: \
                  {kubectl.kubernetes.io/last-applied-configuration: hidden}}}";
    for (rule, shown) in [
        ("path: '$containers[*].env[*].value', assert: {equals: x}", "<redacted>"),
        ("path: '$containers[*].env[*].name', assert: {equals: x}", "KEY"),
        ("path: '$containers[*].env[*]', assert: {exists: false}", r#"{"name":"KEY","value":"<redacted>"}"#),
        ("path: '$containers[*].env', assert: {exists: false}", r#"[{"name":"KEY","value":"<redacted>"}]"#),
        ("forEach: $containers, path: '$.env[0].value', assert: {equals: x}", "<redacted>"),
        (
            "path: $.metadata.annotations, assert: {exists: false}",
            "last-applied-configuration\":\"<redacted>\"",
        ),
        ("path: $.spec, assert: {exists: false}", r#"{"name":"KEY","value":"<redacted>"}"#),
        ("path: $, assert: {exists: false}", "<redacted>"),
    ] {
        let policy = compiled(&format!("targets: [{{resources: [pods]}}]\nrules: [{{name: r, {rule}}}]"));
        let verdict = verdict_on(&policy, "", "pods", object);
        let node = &verdict.rules[0].nodes[0];
        assert!(
            node.actual.contains(shown) && !format!("{verdict:?}").contains("hidden"),
            "{rule}: {node:?}"
        );
    }
}

#[test]
fn paths_and_messages_stay_short_however_long_a_members_name_is() {
    let long = "k".repeat(900);
    let part = |n| format!("{{{long}{n}: {{{long}: {{x: 1}}}}}}");
    let parts: Vec<_> = (0..40).map(part).collect();
    let rule = "path: '$.parts[*].*.*.x', assert: {equals: 2}, message: '{path} {path}'";
    let failing = verdict(&one_rule(rule), &format!("{{parts: [{}]}}", parts.join(", ")));
    let bytes: usize = failing.nodes.iter().map(|node| node.path.len() + node.message.len()).sum();
    assert!(bytes < 9 * 2 * 1030, "{bytes}");
    assert_eq!(failing.nodes.len() + failing.more, 40);
}
