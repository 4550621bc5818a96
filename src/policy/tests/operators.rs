//! What the contract says of each operator: of the values it is for, of others, of nothing and of nothing to judge.

use crate::policy::Outcome::{self, Error, Fail, Pass};

use super::cases::{check, one_rule, verdict};

/// Judges `$.a` of a table of assertion, object and outcome.
fn judge(rows: &[(&str, &str, Outcome)]) {
    for (assertion, object, expected) in rows {
        let rule = format!("path: $.a, assert: {{{assertion}}}");
        check(&[("", &rule, object, *expected)]);
    }
}

/// Judges `$.a` by an assertion that is read by `as`.
fn judge_as(scale: &str, rows: &[(&str, &str, Outcome)]) {
    for (assertion, value, expected) in rows {
        let rule = format!("path: $.a, as: {scale}, assert: {{{assertion}}}");
        check(&[(scale, &rule, &format!("{{a: {value}}}"), *expected)]);
    }
}

#[test]
fn every_operator_says_what_nothing_and_the_wrong_type_are() {
    // Of nothing, of an object, of no element of an array, with a value that suits a string.
    for (assertion, nothing, of_object, of_no_element) in [
        ("search: x", Fail, Error, Pass),
        ("notSearch: x", Pass, Error, Pass),
        ("like: x", Fail, Error, Pass),
        ("notLike: x", Pass, Error, Pass),
        ("contains: x", Fail, Error, Pass),
        ("notContains: x", Pass, Error, Pass),
        ("inCidr: 10.0.0.0/8", Fail, Error, Pass),
        ("notInCidr: 10.0.0.0/8", Pass, Error, Pass),
        ("inRanges: ['1-2']", Fail, Error, Pass),
        ("atLeast: 1", Fail, Error, Pass),
        ("atMost: 1", Fail, Error, Pass),
        ("above: 1", Fail, Error, Pass),
        ("below: 1", Fail, Error, Pass),
        ("type: string", Fail, Fail, Pass),
        ("unique: true", Pass, Pass, Pass),
        ("equalsPath: $.other", Fail, Fail, Pass),
        ("notEqualsPath: $.other", Pass, Pass, Pass),
        ("inPath: $.other", Fail, Fail, Pass),
        ("notInPath: $.other", Pass, Pass, Pass),
    ] {
        judge(&[
            (assertion, "{}", nothing),
            (assertion, "{a: null}", nothing),
            (assertion, "{a: {b: 1}}", of_object),
        ]);
        let each = format!("path: '$.a[*]', assert: {{{assertion}}}");
        check(&[("nothing to judge", &each, "{a: []}", of_no_element)]);
        let of_null = verdict(&one_rule(&each), "{a: [null]}").outcome;
        let expected = if of_object == Error { Error } else { of_object };
        assert_eq!(of_null, expected, "{assertion} of null");
    }
}

#[test]
fn patterns_search_and_globs_fit() {
    judge(&[
        ("search: 'b+'", "{a: xbby}", Pass),
        ("search: [z, 'b+']", "{a: xbby}", Pass),
        ("search: 'b+'", "{a: xy}", Fail),
        ("notSearch: [z, 'b+']", "{a: xbby}", Fail),
        ("notSearch: [z, 'b+']", "{a: xy}", Pass),
        ("like: 'web-*'", "{a: web-1}", Pass),
        ("like: [x, 'web-?']", "{a: web-12}", Fail),
        ("notLike: ['sandbox-*']", "{a: sandbox-1}", Fail),
        ("notLike: ['sandbox-*']", "{a: web}", Pass),
    ]);
}

#[test]
fn strings_include_and_arrays_have_what_they_contain() {
    judge(&[
        ("contains: b", "{a: abc}", Pass),
        ("contains: x", "{a: abc}", Fail),
        ("contains: [a, c]", "{a: abc}", Pass),
        ("contains: [a, x]", "{a: abc}", Fail),
        ("notContains: [x, z]", "{a: abc}", Pass),
        ("notContains: [x, c]", "{a: abc}", Fail),
        ("contains: ALL", "{a: [ALL]}", Pass),
        ("contains: AL", "{a: [ALL]}", Fail),
        ("contains: [1, {x: 1}]", "{a: [{x: 1, z: null}, 1.0]}", Pass),
        ("contains: ALL", "{a: []}", Fail),
        ("notContains: ALL", "{a: []}", Pass),
        ("notContains: [NET_RAW, SYS_ADMIN]", "{a: [SYS_ADMIN]}", Fail),
        ("contains: 1", "{a: a1}", Error),
        ("notContains: [x, 1]", "{a: abc}", Error),
    ]);
}

#[test]
fn a_type_is_judged_first_and_ends_it() {
    judge(&[
        ("type: string", "{a: '1'}", Pass),
        ("type: string", "{a: 1}", Fail),
        ("type: number", "{a: 1.5}", Pass),
        ("type: integer", "{a: 1}", Pass),
        ("type: integer", "{a: 1.0}", Pass),
        ("type: integer", "{a: 1.5}", Fail),
        ("type: integer", "{a: '1'}", Fail),
        ("type: boolean", "{a: true}", Pass),
        ("type: array", "{a: []}", Pass),
        ("type: object", "{a: {}}", Pass),
        ("type: object", "{a: []}", Fail),
        ("type: 'null'", "{a: null}", Fail),
        ("type: string, matches: x", "{a: 1}", Fail),
        ("type: string, matches: x", "{a: x}", Pass),
        ("type: integer, atLeast: 1", "{a: lots}", Fail),
    ]);
    check(&[
        ("only an element can be null", "path: '$.a[*]', assert: {type: 'null'}", "{a: [null]}", Pass),
        (
            "it guards",
            "path: '$.a[*]', quantifier: None, assert: {type: string, matches: x}",
            "{a: [1, v]}",
            Pass,
        ),
    ]);
}

#[test]
fn unique_values_are_there_once() {
    check(&[
        ("all differ", "path: '$.a[*]', assert: {unique: true}", "{a: [1, 2, '1']}", Pass),
        ("two are equal", "path: '$.a[*]', assert: {unique: true}", "{a: [1, 2, 1.0]}", Fail),
        (
            "objects in any order",
            "path: '$.a[*]', assert: {unique: true}",
            "{a: [{x: 1, z: 2}, {z: 2, x: 1}]}",
            Fail,
        ),
        (
            "absent ones do not count",
            "path: '$.a[*].b', assert: {unique: true}",
            "{a: [{b: 1}, {}, {}, {b: null}]}",
            Pass,
        ),
        (
            "nor does what stands in for them",
            "path: '$.a[*].b', default: 1, assert: {unique: true}",
            "{a: [{}, {}]}",
            Pass,
        ),
        ("none", "path: '$.a[*]', assert: {unique: true}", "{}", Pass),
        ("with another operator", "path: '$.a[*]', assert: {unique: true, below: 3}", "{a: [1, 3]}", Fail),
    ]);
    let verdict =
        verdict(&one_rule("path: '$.a[*].p', assert: {unique: true}"), "{a: [{p: 80}, {p: 81}, {p: 80}]}");
    let messages: Vec<&str> = verdict.nodes.iter().map(|node| &*node.message).collect();
    assert_eq!(
        messages,
        ["a[0].p is 80, wanted no other equal value", "a[2].p is 80, wanted no other equal value"]
    );
}

#[test]
fn case_may_be_ignored_in_the_text_of_values() {
    let rows = [
        ("equals: Yes", "yes", Pass),
        ("notEquals: Yes", "yES", Fail),
        ("equals: {x: [Yes]}", "{x: [yes]}", Pass),
        ("equals: {X: v}", "{x: v}", Fail),
        ("in: [a, B]", "b", Pass),
        ("notIn: [a, B]", "A", Fail),
        ("matches: '[a-c]+'", "ABC", Pass),
        ("notMatches: '[a-c]+'", "ABC", Fail),
        ("search: b", "ABC", Pass),
        ("notSearch: x", "ABC", Pass),
        ("like: 'web-*'", "WEB-1", Pass),
        ("notLike: 'web-*'", "Web-1", Fail),
        ("contains: b", "ABC", Pass),
        ("notContains: [B]", "[b]", Fail),
        ("contains: all", "[ALL]", Pass),
    ];
    for (assertion, value, expected) in rows {
        let rule = format!("path: $.a, ignoreCase: true, assert: {{{assertion}}}");
        check(&[("", &rule, &format!("{{a: {value}}}"), expected)]);
    }
}

#[test]
fn numbers_have_an_order_and_other_json_has_none() {
    judge(&[
        ("atLeast: 2", "{a: 2}", Pass),
        ("atLeast: 2", "{a: 1}", Fail),
        ("atMost: 2", "{a: 2.0}", Pass),
        ("atMost: 2", "{a: 2.5}", Fail),
        ("above: 2", "{a: 2}", Fail),
        ("above: 9007199254740992", "{a: 9007199254740993}", Pass),
        ("below: 2", "{a: -1}", Pass),
        ("below: 2", "{a: 2}", Fail),
        ("atLeast: 1, atMost: 5", "{a: 3}", Pass),
        ("atLeast: 2", "{a: '3'}", Error),
        ("atLeast: 2", "{a: true}", Error),
        ("inRanges: ['0', '5000-6000', 7]", "{a: 0}", Pass),
        ("inRanges: ['0', '5000-6000', 7]", "{a: 6000}", Pass),
        ("inRanges: ['0', '5000-6000', 7]", "{a: 7}", Pass),
        ("inRanges: ['0', '5000-6000', 7]", "{a: 4999}", Fail),
        ("inRanges: ['-5--1']", "{a: -3}", Pass),
        ("inRanges: ['1e-3']", "{a: 0.001}", Pass),
        ("inRanges: ['1-2']", "{a: '1'}", Error),
    ]);
}

#[test]
fn comparisons_read_both_sides_as_they_are_told() {
    judge_as(
        "Number",
        &[
            ("atLeast: 2", "'10'", Pass),
            ("atLeast: '2'", "10", Pass),
            ("equals: 1", "'1.0'", Pass),
            ("atLeast: 2", "lots", Error),
            ("atLeast: 2", "[3]", Error),
        ],
    );
    judge_as(
        "Quantity",
        &[
            ("atLeast: 512Mi", "1Gi", Pass),
            ("below: 1Gi", "1024Mi", Fail),
            ("equals: 1Gi", "1024Mi", Pass),
            ("notEquals: 1Gi", "1024Mi", Fail),
            ("in: [500m, 1]", "'0.5'", Pass),
            ("notIn: [500m]", "1", Pass),
            ("atMost: 2", "1500m", Pass),
            ("atMost: 2", "3", Fail),
            ("inRanges: ['100m-2', 4]", "500m", Pass),
            ("inRanges: ['100m-2', 4]", "4000m", Pass),
            ("inRanges: ['100m-2', 4]", "3", Fail),
            ("atLeast: 1", "lots", Error),
            ("atLeast: 1", "true", Error),
        ],
    );
    judge_as(
        "Duration",
        &[
            ("atMost: 1h", "90m", Fail),
            ("atMost: 90m", "1h30m", Pass),
            ("above: 1d", "25h", Pass),
            ("atMost: 1h", "60", Error),
            ("atMost: 1h", "'60'", Error),
        ],
    );
}

#[test]
fn versions_times_and_percentages_have_their_own_order() {
    judge_as(
        "Version",
        &[
            ("atLeast: 1.9.0", "v1.10.0", Pass),
            ("below: 2.0.0", "2.0.0-rc.1", Pass),
            ("equals: v1.2.3", "1.2.3+build", Pass),
            ("inRanges: ['1.0.0-2.0.0']", "1.5.0", Pass),
            ("inRanges: ['1.0.0-2.0.0']", "2.0.1", Fail),
            ("atLeast: 1.9.0", "'1.10'", Error),
            ("atLeast: 1.9.0", "latest", Error),
        ],
    );
    judge_as(
        "Time",
        &[
            ("below: '2027-01-01T00:00:00Z'", "'2026-12-31T23:00:00-02:00'", Fail),
            ("below: '2027-01-01T00:00:00Z'", "'2026-12-31T23:00:00Z'", Pass),
            ("inRanges: ['2026-01-01T00:00:00Z-2026-12-31T00:00:00Z']", "'2026-06-01T00:00:00Z'", Pass),
            ("below: '2027-01-01T00:00:00Z'", "tomorrow", Error),
        ],
    );
    judge_as(
        "Percent",
        &[
            ("atMost: 25%", "9%", Pass),
            ("atMost: 25%", "26%", Fail),
            ("atMost: 25%", "1", Error),
            ("atMost: 25%", "'1'", Error),
        ],
    );
}

#[test]
fn addresses_lie_in_blocks() {
    judge(&[
        ("inCidr: 10.0.0.0/8", "{a: 10.1.2.3}", Pass),
        ("inCidr: [192.168.0.0/16, 10.0.0.0/8]", "{a: 10.1.0.0/16}", Pass),
        ("inCidr: 10.1.0.0/16", "{a: 10.0.0.0/8}", Fail),
        ("inCidr: 10.0.0.0/8", "{a: 11.0.0.1}", Fail),
        ("inCidr: 10.0.0.1", "{a: 10.0.0.1/32}", Pass),
        ("inCidr: 10.0.0.0/8", "{a: '::1'}", Fail),
        ("notInCidr: 10.0.0.0/8", "{a: 11.0.0.1}", Pass),
        ("notInCidr: 10.1.0.0/16", "{a: 10.1.2.3}", Fail),
        ("notInCidr: 10.1.0.0/16", "{a: 0.0.0.0/0}", Fail),
        ("notInCidr: 10.0.0.0/8", "{a: '::ffff:10.1.2.3'}", Fail),
        ("notInCidr: 'fd00::/8'", "{a: 'fd12::1'}", Fail),
        ("inCidr: 10.0.0.0/8", "{a: localhost}", Error),
        ("notInCidr: 10.0.0.0/8", "{a: 10.0.0.999}", Error),
    ]);
}

#[test]
fn values_are_compared_with_other_places_of_the_object() {
    judge(&[
        ("equalsPath: $.b", "{a: 1, b: 1.0}", Pass),
        ("equalsPath: $.b", "{a: 1, b: 2}", Fail),
        ("equalsPath: $.b", "{a: 1}", Fail),
        ("equalsPath: '$.b[*]'", "{a: 1, b: [2, 1]}", Pass),
        ("equalsPath: $.b", "{a: 1, b: [1]}", Fail),
        ("equalsPath: $.b", "{a: [1], b: [1]}", Pass),
        ("notEqualsPath: $.b", "{a: 1, b: 1}", Fail),
        ("notEqualsPath: $.b", "{a: 1, b: 2}", Pass),
        ("notEqualsPath: $.b", "{a: 1}", Pass),
        ("inPath: $.b", "{a: 1, b: [2, 1]}", Pass),
        ("inPath: $.b", "{a: 1, b: 1}", Pass),
        ("inPath: '$.b[*].name'", "{a: x, b: [{name: v}, {name: x}]}", Pass),
        ("inPath: '$.b[*].name'", "{a: z, b: [{name: v}, {name: null}]}", Fail),
        ("inPath: $.b", "{a: 1}", Fail),
        ("notInPath: $.b", "{a: 1, b: [2]}", Pass),
        ("notInPath: $.b", "{a: 2, b: [2]}", Fail),
        ("notInPath: $.b", "{a: 2}", Pass),
        ("equalsPath: $pod.b", "{a: 1}", Error),
        ("notInPath: $pod.b", "{a: 1}", Error),
    ]);
    check(&[
        (
            "each element with its own other place",
            "forEach: $.c, path: $.a, as: Quantity, assert: {equalsPath: $.b}",
            "{c: [{a: 1Gi, b: 1024Mi}, {a: 1, b: 1000m}]}",
            Pass,
        ),
        (
            "an element with a place of the object",
            "forEach: $.c, path: $.name, assert: {inPath: $object.names}",
            "{c: [{name: x}, {name: z}], names: [x, v]}",
            Fail,
        ),
        (
            "one that is equal settles it",
            "path: $.a, as: Quantity, assert: {inPath: $.b}",
            "{a: 1, b: [x, 1]}",
            Pass,
        ),
        (
            "else one that is unreadable errs",
            "path: $.a, as: Quantity, assert: {inPath: $.b}",
            "{a: 2, b: [x, 1]}",
            Error,
        ),
    ]);
}

#[test]
fn many_values_against_many_stay_cheap() {
    let list =
        |from: usize| (from..from + 9_000).map(|value| value.to_string()).collect::<Vec<_>>().join(",");
    let object = format!("{{\"a\": [{}], \"b\": [{}]}}", list(0), list(0));
    let rule = "path: '$.a[*]', assert: {inPath: $.b, unique: true}";
    assert_eq!(verdict(&one_rule(rule), &object).outcome, Pass);
}

#[test]
fn comparisons_over_their_budget_are_an_error_that_comes_soon() {
    let elements = format!("[{}]", vec!["1"; 20_000].join(","));
    let big = "x".repeat(500_000);
    let object = format!("{{\"a\": {elements}, \"b\": {elements}, \"big\": \"{big}\"}}");
    for rule in [
        "forEach: $.a, path: $object.big, assert: {notMatches: '.*z'}",
        "forEach: $.a, path: $object.big, assert: {equalsPath: $object.big}",
        "path: $.big, assert: {like: '*xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxy*'}",
        "forEach: $.a, path: $, assert: {inPath: $object.b}",
        "forEach: $.a, path: $object.b, assert: {contains: 1}",
        "forEach: $.a, path: $object.big, assert: {unique: true}",
        "forEach: $.a, path: '$object.b[*]', assert: {unique: true}",
        "forEach: $.a, when: [{path: '$object.b[*]', assert: {equals: 1}}], path: $, assert: {equals: 1}",
        "forEach: $.a, allOf: [{path: '$object.b[*]', assert: {equals: 1}}, {path: $, assert: {equals: 2}}]",
    ] {
        let verdict = verdict(&one_rule(rule), &object);
        assert_eq!(verdict.outcome, Error, "{rule}");
        assert!(verdict.nodes.iter().any(|node| node.message.contains("limit of steps")), "{rule}");
    }
}

#[test]
fn messages_say_what_each_operator_wants() {
    for (rule, object, expected) in [
        (
            "path: $.spec.replicas, assert: {atLeast: 2}",
            "{spec: {replicas: 1}}",
            "spec.replicas is 1, wanted at least 2",
        ),
        ("path: $.a, assert: {atMost: 2, above: 0}", "{a: 3}", "a is 3, wanted at most 2 and above 0"),
        ("path: $.a, assert: {below: 2}", "{a: 3}", "a is 3, wanted below 2"),
        ("path: $.a, as: Quantity, assert: {atMost: 1Gi}", "{a: 2Gi}", "a is 2Gi, wanted at most 1Gi"),
        ("path: $.a, assert: {search: [x, z]}", "{a: b}", "a is b, wanted a part that matches x, z"),
        ("path: $.a, assert: {notSearch: b}", "{a: abc}", "a is abc, wanted no part that matches b"),
        ("path: $.a, assert: {like: 'x*'}", "{a: b}", "a is b, wanted like x*"),
        ("path: $.a, assert: {notLike: [b, c]}", "{a: b}", "a is b, wanted not like b, c"),
        ("path: $.a, assert: {contains: ALL}", "{a: [x]}", "a is [\"x\"], wanted to contain ALL"),
        ("path: $.a, assert: {notContains: [x, z]}", "{a: x}", "a is x, wanted not to contain x, z"),
        ("path: $.a, assert: {inCidr: 10.1.2.3/8}", "{a: 1.1.1.1}", "a is 1.1.1.1, wanted inside 10.0.0.0/8"),
        (
            "path: $.a, assert: {notInCidr: 1.0.0.0/8}",
            "{a: 1.1.1.1}",
            "a is 1.1.1.1, wanted nothing of 1.0.0.0/8",
        ),
        ("path: $.a, assert: {inRanges: [0, '5-6']}", "{a: 1}", "a is 1, wanted within 0, 5-6"),
        ("path: $.a, assert: {type: string}", "{a: 1}", "a is 1, wanted type string"),
        ("path: $.a, assert: {equalsPath: $.b}", "{a: 1}", "a is 1, wanted the same as $.b"),
        ("path: $.a, assert: {notEqualsPath: $.b}", "{a: 1, b: 1}", "a is 1, wanted not the same as $.b"),
        ("path: $.a, assert: {inPath: $.b}", "{a: 1}", "a is 1, wanted one of those at $.b"),
        ("path: $.a, assert: {notInPath: $.b}", "{a: 1, b: 1}", "a is 1, wanted none of those at $.b"),
        (
            "path: $.a, as: Quantity, assert: {atMost: 1Gi}",
            "{a: lots}",
            "a is lots, which is not a Kubernetes quantity, such as 500m or 1Gi",
        ),
        (
            "path: $.a, as: Quantity, assert: {equalsPath: $.b}",
            "{a: 1Gi, b: lots}",
            "a is 1Gi, and some of what it is compared with is not a Kubernetes quantity, such as 500m or 1Gi",
        ),
    ] {
        let verdict = verdict(&one_rule(rule), object);
        assert_eq!(&*verdict.nodes[0].message, expected, "{rule}");
    }
}
