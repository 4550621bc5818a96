//! What the contract says of checks, rules and results, row by row.

use crate::jsonpath::Projection;
use crate::policy::Outcome::{Error, Fail, Pass, Skip};
use crate::policy::{CompiledPolicy, Judgement, NODES_PER_RULE, Subject};
use crate::resource::GroupResource;

use super::cases::{CONFIG_MAPS, check, compiled, decode, judge_on, now, one_rule, verdict, verdict_on};

#[test]
fn operators_judge_one_value() {
    check(&[
        ("1 equals 1.0", "path: $.a, assert: {equals: 1}", "{a: 1.0}", Pass),
        ("80 is not \"80\"", "path: $.a, assert: {equals: 80}", "{a: '80'}", Fail),
        (
            "integers keep 64 bits",
            "path: $.a, assert: {equals: 9007199254740993}",
            "{a: 9007199254740992}",
            Fail,
        ),
        (
            "objects are equal in any order",
            "path: $.a, assert: {equals: {x: 1, z: 2}}",
            "{a: {z: 2, x: 1}}",
            Pass,
        ),
        (
            "null in an object counts as absent",
            "path: $.a, assert: {equals: {x: 1}}",
            "{a: {x: 1, z: null}}",
            Pass,
        ),
        ("a member more is not equal", "path: $.a, assert: {equals: {x: 1}}", "{a: {x: 1, z: 2}}", Fail),
        ("arrays have an order", "path: $.a, assert: {equals: [1, 2]}", "{a: [2, 1]}", Fail),
        ("null is an element of arrays", "path: $.a, assert: {equals: [1]}", "{a: [1, null]}", Fail),
        ("notEquals", "path: $.a, assert: {notEquals: 1}", "{a: 2}", Pass),
        ("notEquals", "path: $.a, assert: {notEquals: 1}", "{a: 1}", Fail),
        ("in", "path: $.a, assert: {in: [1, b]}", "{a: b}", Pass),
        ("in", "path: $.a, assert: {in: [1, b]}", "{a: c}", Fail),
        ("notIn", "path: $.a, assert: {notIn: [1, b]}", "{a: c}", Pass),
        ("notIn", "path: $.a, assert: {notIn: [1, b]}", "{a: 1}", Fail),
        ("matches is whole", "path: $.a, assert: {matches: 'b+'}", "{a: abb}", Fail),
        ("a list of patterns: any of them", "path: $.a, assert: {matches: [x, 'b+']}", "{a: bb}", Pass),
        ("notMatches: none of them", "path: $.a, assert: {notMatches: [x, 'b+']}", "{a: bb}", Fail),
        ("notMatches", "path: $.a, assert: {notMatches: x}", "{a: z}", Pass),
        ("matches on a number is an Error", "path: $.a, assert: {matches: '1'}", "{a: 1}", Error),
        ("notMatches on a number is an Error", "path: $.a, assert: {notMatches: '1'}", "{a: 2}", Error),
        ("all operators must hold", "path: $.a, assert: {notEquals: a, in: [a, b]}", "{a: b}", Pass),
        ("all operators must hold", "path: $.a, assert: {notEquals: a, in: [a, b]}", "{a: a}", Fail),
        ("one no and one error is an Error", "path: $.a, assert: {equals: 2, matches: x}", "{a: 1}", Error),
    ]);
}

#[test]
fn absence_is_judged_as_the_check_says() {
    check(&[
        ("a positive operator fails", "path: $.a, assert: {equals: 1}", "{}", Fail),
        ("only negative operators pass", "path: $.a, assert: {notEquals: 1, notIn: [2]}", "{}", Pass),
        ("one positive operator is enough to fail", "path: $.a, assert: {notEquals: 1, in: [2]}", "{}", Fail),
        ("quantifier None passes", "path: $.a, quantifier: None, assert: {equals: 1}", "{}", Pass),
        ("whenAbsent: Pass", "path: $.a, whenAbsent: Pass, assert: {equals: 1}", "{}", Pass),
        ("whenAbsent: Fail", "path: $.a, whenAbsent: Fail, assert: {notEquals: 1}", "{}", Fail),
        (
            "whenAbsent: Fail with None",
            "path: $.a, quantifier: None, whenAbsent: Fail, assert: {equals: 1}",
            "{}",
            Fail,
        ),
        ("a null member is absent", "path: $.a, assert: {equals: 1}", "{a: null}", Fail),
        ("a null member is absent", "path: $.a, assert: {notEquals: 1}", "{a: null}", Pass),
        ("a missing parent is absent", "path: $.a.b.c, assert: {notEquals: 1}", "{}", Pass),
        ("a value is due in each place", "path: '$.a[*].b', assert: {equals: 1}", "{a: [{b: 1}, {}]}", Fail),
        (
            "nothing is due where the head finds nothing",
            "path: '$.a[*].b', assert: {equals: 1}",
            "{a: []}",
            Pass,
        ),
        ("nothing is due where the head is absent", "path: '$.a[*].b', assert: {equals: 1}", "{}", Pass),
        (
            "nothing is due, whatever whenAbsent says",
            "path: '$.a[*].b', whenAbsent: Fail, assert: {equals: 1}",
            "{a: []}",
            Pass,
        ),
        (
            "with Any it fails, whatever whenAbsent says",
            "path: '$.a[*].b', quantifier: Any, whenAbsent: Pass, assert: {equals: 1}",
            "{a: []}",
            Fail,
        ),
        ("without a tail nothing is due", "path: '$.a[*]', assert: {equals: 1}", "{}", Pass),
        ("an array element may be null", "path: '$.a[*]', assert: {notEquals: 1}", "{a: [null]}", Pass),
        ("null is no string", "path: '$.a[*]', assert: {matches: x}", "{a: [null]}", Error),
    ]);
}

#[test]
fn exists_says_itself_what_absence_means() {
    check(&[
        ("true", "path: $.a, assert: {exists: true}", "{a: 0}", Pass),
        ("true", "path: $.a, assert: {exists: true}", "{}", Fail),
        ("null counts as absent", "path: $.a, assert: {exists: true}", "{a: null}", Fail),
        ("false", "path: $.a, assert: {exists: false}", "{a: 0}", Fail),
        ("false", "path: $.a, assert: {exists: false}", "{}", Pass),
        ("due in every place", "path: '$.a[*].b', assert: {exists: true}", "{a: [{b: 1}, {}]}", Fail),
        ("no place, nothing due", "path: '$.a[*].b', assert: {exists: true}", "{a: []}", Pass),
        (
            "without a tail, nothing found fails true",
            "path: '$.a[*]', assert: {exists: true}",
            "{a: []}",
            Fail,
        ),
        (
            "without a tail, nothing found passes false",
            "path: '$.a[*]', assert: {exists: false}",
            "{a: []}",
            Pass,
        ),
        ("without a tail, something found", "path: '$.a[*]', assert: {exists: true}", "{a: [1]}", Pass),
        (
            "Any: one of the places",
            "path: '$.a[*].b', quantifier: Any, assert: {exists: true}",
            "{a: [{}, {b: 1}]}",
            Pass,
        ),
        (
            "None: not one of them",
            "path: '$.a[*].b', quantifier: None, assert: {exists: true}",
            "{a: [{}, {}]}",
            Pass,
        ),
        (
            "None: not one of them",
            "path: '$.a[*].b', quantifier: None, assert: {exists: true}",
            "{a: [{b: 1}]}",
            Fail,
        ),
        ("None: nothing found", "path: '$.a[*]', quantifier: None, assert: {exists: true}", "{}", Pass),
        ("with another operator", "path: $.a, assert: {exists: true, notEquals: 1}", "{}", Fail),
        ("with another operator", "path: $.a, assert: {exists: true, notEquals: 1}", "{a: 2}", Pass),
        ("a default does not count as existing", "path: $.a, default: 1, assert: {exists: true}", "{}", Fail),
        (
            "what a fallback finds counts as existing",
            "path: $.a, fallbacks: [$.b], assert: {exists: true}",
            "{b: 1}",
            Pass,
        ),
    ]);
}

#[test]
fn fallbacks_then_the_default_stand_in_for_what_is_absent() {
    check(&[
        (
            "the place itself goes first",
            "path: $.a, fallbacks: [$.b], assert: {equals: 1}",
            "{a: 1, b: 2}",
            Pass,
        ),
        ("then the fallback", "path: $.a, fallbacks: [$.b], assert: {equals: 2}", "{b: 2}", Pass),
        ("in order", "path: $.a, fallbacks: [$.b, $.c], assert: {equals: 2}", "{b: 2, c: 3}", Pass),
        (
            "a null fallback is passed over",
            "path: $.a, fallbacks: [$.b, $.c], assert: {equals: 3}",
            "{b: null, c: 3}",
            Pass,
        ),
        (
            "all that a fallback finds is judged",
            "path: $.a, fallbacks: ['$.b[*]'], assert: {equals: 1}",
            "{b: [1, 2]}",
            Fail,
        ),
        (
            "nothing is due within a fallback",
            "path: $.a, fallbacks: ['$.b[*].c'], assert: {equals: 1}",
            "{b: [{c: 1}, {}]}",
            Pass,
        ),
        (
            "for each place",
            "path: '$.a[*].b', fallbacks: [$.d], assert: {equals: 1}",
            "{a: [{b: 1}, {}], d: 2}",
            Fail,
        ),
        ("then the default", "path: $.a, fallbacks: [$.b], default: 3, assert: {equals: 3}", "{}", Pass),
        ("a default is judged", "path: $.a, default: 3, assert: {equals: 4}", "{}", Fail),
        ("a default is not needed", "path: $.a, default: 3, assert: {equals: 4}", "{a: 4}", Pass),
        ("a default makes absence no pass", "path: $.a, default: 3, assert: {notEquals: 3}", "{}", Fail),
        ("nothing is due, no default", "path: '$.a[*].b', default: 3, assert: {equals: 4}", "{a: []}", Pass),
    ]);
}

#[test]
fn quantifiers_count_the_values() {
    check(&[
        ("All", "path: '$.a[*]', assert: {equals: 1}", "{a: [1, 1]}", Pass),
        ("All", "path: '$.a[*]', assert: {equals: 1}", "{a: [1, 2]}", Fail),
        ("Any", "path: '$.a[*]', quantifier: Any, assert: {equals: 1}", "{a: [2, 1]}", Pass),
        ("Any", "path: '$.a[*]', quantifier: Any, assert: {equals: 1}", "{a: [2, 3]}", Fail),
        ("None", "path: '$.a[*]', quantifier: None, assert: {equals: 1}", "{a: [2, 3]}", Pass),
        ("None", "path: '$.a[*]', quantifier: None, assert: {equals: 1}", "{a: [2, 1]}", Fail),
        (
            "one Fail and one Error in All is Error",
            "path: '$.a[*]', assert: {matches: x}",
            "{a: [z, 1]}",
            Error,
        ),
        (
            "one sure value decides Any",
            "path: '$.a[*]', quantifier: Any, assert: {matches: x}",
            "{a: [1, x]}",
            Pass,
        ),
        ("else Any errs", "path: '$.a[*]', quantifier: Any, assert: {matches: x}", "{a: [1, z]}", Error),
        (
            "one sure value decides None",
            "path: '$.a[*]', quantifier: None, assert: {matches: x}",
            "{a: [1, x]}",
            Fail,
        ),
        ("else None errs", "path: '$.a[*]', quantifier: None, assert: {matches: x}", "{a: [1, z]}", Error),
    ]);
}

#[test]
fn for_each_judges_each_element_and_when_filters_them() {
    check(&[
        ("no element: Pass", "forEach: $.a, path: $.b, assert: {exists: true}", "{a: []}", Pass),
        ("nothing there: Pass", "forEach: $.a, path: $.b, assert: {exists: true}", "{}", Pass),
        (
            "goes over the elements of one array",
            "forEach: $.a, path: $.b, assert: {equals: 1}",
            "{a: [{b: 1}, {b: 2}]}",
            Fail,
        ),
        (
            "or over what is found",
            "forEach: '$.a[*]', path: $.b, assert: {equals: 1}",
            "{a: [{b: 1}, {b: 1}]}",
            Pass,
        ),
        (
            "$object is the object",
            "forEach: $.a, path: $object.b, assert: {equals: 1}",
            "{a: [{}], b: 1}",
            Pass,
        ),
        (
            "all filtered out by when: Skip",
            "forEach: $.a, when: [{path: $.b, assert: {equals: 1}}], path: $.c, assert: {exists: true}",
            "{a: [{b: 2}]}",
            Skip,
        ),
        (
            "one is not: Pass",
            "forEach: $.a, when: [{path: $.b, assert: {equals: 1}}], path: $.c, assert: {exists: true}",
            "{a: [{b: 2}, {b: 1, c: 1}]}",
            Pass,
        ),
        (
            "one element errs, one fails: Error",
            "forEach: $.a, path: $.b, assert: {matches: x}",
            "{a: [{b: z}, {b: 1}]}",
            Error,
        ),
    ]);
}

#[test]
fn when_decides_whether_a_rule_applies() {
    check(&[
        (
            "it holds",
            "when: [{path: $.a, assert: {equals: 1}}], path: $.b, assert: {exists: true}",
            "{a: 1}",
            Fail,
        ),
        (
            "it does not",
            "when: [{path: $.a, assert: {equals: 1}}], path: $.b, assert: {exists: true}",
            "{a: 2}",
            Skip,
        ),
        (
            "an erring when errs",
            "when: [{path: $.a, assert: {matches: x}}], path: $.b, assert: {exists: true}",
            "{a: 2, b: 1}",
            Error,
        ),
        (
            "one sure no decides",
            "when: [{path: $.a, assert: {matches: x}}, {path: $.b, assert: {exists: false}}], path: $.b, assert: {equals: 2}",
            "{a: 2, b: 1}",
            Skip,
        ),
        (
            "also among the values of one check",
            "when: [{path: '$.a[*]', assert: {matches: x}}], path: $.b, assert: {equals: 2}",
            "{a: [1, z]}",
            Skip,
        ),
    ]);
}

#[test]
fn an_erring_guard_reports_what_could_not_be_told_and_nothing_that_was_decided() {
    let policy = one_rule(
        "when: [{path: '$.a[*]', quantifier: Any, assert: {matches: x}}, {path: $.b, assert: {matches: x}}], \
         path: $.c, assert: {exists: true}",
    );
    let verdict = verdict(&policy, "{a: [1, x], b: 2}");
    let paths: Vec<_> = verdict.nodes.iter().map(|node| &*node.path).collect();
    assert_eq!((verdict.outcome, paths), (Error, vec!["b"]));
}

#[test]
fn match_leaves_objects_out() {
    let policy = compiled(&format!(
        "{CONFIG_MAPS}\nmatch: [{{path: $.data.tier, assert: {{matches: 'prod.*'}}}}]\nrules: \
         [{{name: one, path: $.data.owner, assert: {{exists: true}}}}, \
          {{name: two, path: $.data.owner, assert: {{exists: false}}}}]"
    ));
    let judge = |object| judge_on(&policy, "", "configmaps", object);
    assert_eq!(judge("{data: {tier: sandbox}}"), Judgement::Excluded { again: None });
    assert_eq!(judge("{data: {}}"), Judgement::Excluded { again: None });
    let verdict = verdict_on(&policy, "", "configmaps", "{data: {tier: prod-1}}");
    assert_eq!(verdict.outcome, Fail);
    assert_eq!(verdict.rules.iter().map(|rule| rule.outcome).collect::<Vec<_>>(), [Fail, Pass]);
    let verdict = verdict_on(&policy, "", "configmaps", "{data: {tier: 1}}");
    assert_eq!(verdict.rules.iter().map(|rule| rule.outcome).collect::<Vec<_>>(), [Error, Error]);
    assert!(
        verdict.rules[0].nodes[0].message.starts_with("cannot tell whether `match` holds: data.tier is 1")
    );
}

#[test]
fn an_object_errs_before_it_fails_and_fails_before_it_passes() {
    let rule = |name: &str, rule: &str| format!("- {{name: {name}, {rule}}}\n");
    let err = rule("err", "path: $.a, assert: {matches: x}");
    let fail = rule("fail", "path: $.a, assert: {atLeast: 2}");
    let pass = rule("pass", "path: $.a, assert: {equals: 1}");
    let skip = rule("skip", "when: [{path: $.a, assert: {equals: 2}}], path: $.a, assert: {equals: 2}");
    for (rules, expected) in [
        (vec![&skip, &pass, &fail, &err], Error),
        (vec![&skip, &pass, &fail], Fail),
        (vec![&skip, &pass], Pass),
        (vec![&skip], Skip),
    ] {
        let rules: String = rules.into_iter().map(String::as_str).collect();
        let policy = compiled(&format!("{CONFIG_MAPS}\nrules:\n{rules}"));
        assert_eq!(verdict_on(&policy, "", "configmaps", "{a: 1}").outcome, expected, "{rules}");
    }
}

#[test]
fn containers_are_judged_at_their_real_places() {
    let policy = compiled(
        "targets: [{group: apps, resources: [deployments]}]\nrules: [{name: r, forEach: $containers, path: $.image, \
         assert: {in: [good]}, message: 'container {$.name} runs {actual}'}]",
    );
    let object = "{spec: {template: {spec: {containers: [{name: a, image: good}], \
                  initContainers: [{name: b, image: bad}]}}}}";
    let verdict = &verdict_on(&policy, "apps", "deployments", object).rules[0];
    assert_eq!(&*verdict.nodes[0].path, "spec.template.spec.initContainers[0].image");
    assert_eq!(&*verdict.nodes[0].message, "container b runs bad");
    assert_eq!(verdict.nodes.len(), 1);
}

#[test]
fn a_container_falls_back_to_its_pod() {
    let policy = compiled(
        "targets: [{resources: [pods]}]\nrules: [{name: r, path: '$containers[*].securityContext.runAsNonRoot', \
         fallbacks: [$podSpec.securityContext.runAsNonRoot], assert: {equals: true}}]",
    );
    let outcome = |object| verdict_on(&policy, "", "pods", object).outcome;
    assert_eq!(outcome("{spec: {containers: [{}], securityContext: {runAsNonRoot: true}}}"), Pass);
    let own = "{spec: {containers: [{securityContext: {runAsNonRoot: false}}], securityContext: {runAsNonRoot: true}}}";
    assert_eq!(outcome(own), Fail);
    assert_eq!(outcome("{spec: {containers: [{}]}}"), Fail);
    assert_eq!(outcome("{spec: {containers: []}}"), Pass);
}

#[test]
fn a_rule_that_needs_a_pod_errs_where_none_is_known_and_says_what_is_missing() {
    let spec = |target: &str| {
        format!(
            "targets: [{{group: example.com, resources: [clusters]{target}}}]\nrules: [{{name: r, \
             path: $pod.metadata.labels.team, assert: {{notEquals: red}}}}]"
        )
    };
    let object = "{spec: {template: {metadata: {labels: {team: red}}}}}";
    let verdict = |spec: &str| verdict_on(&compiled(spec), "example.com", "clusters", object).rules.remove(0);
    let unknown = verdict(&spec(""));
    assert_eq!(unknown.outcome, Error);
    assert!(unknown.nodes[0].message.contains("`pod:`"), "{unknown:?}");
    assert_eq!(verdict(&spec(", pod: $.spec.template")).outcome, Fail);
    assert_eq!(verdict(&spec("").replace("clusters", "'*'")).outcome, Skip, "of all, some have none");
    let lacks = |spec: &str| compiled(spec).lacks_pod(&GroupResource::new("example.com", "clusters"));
    assert!(lacks(&spec("")) && !lacks(&spec(", pod: $.spec.template")));
    assert!(!lacks(&spec("").replace("$pod.", "$.")) && !lacks(&spec("").replace("clusters", "'*'")));
}

#[test]
fn a_match_on_the_pod_skips_what_came_through_a_star_and_has_none() {
    let spec = |resource: &str, also: &str| {
        format!(
            "targets: [{{group: example.com, resources: [{resource}]}}]\n\
             match: [{{path: $podSpec.hostNetwork, assert: {{equals: true}}}}{also}]\n\
             rules: [{{name: r, path: $.spec.size, assert: {{equals: 1}}}}]"
        )
    };
    let judge = |spec: &str| judge_on(&compiled(spec), "example.com", "clusters", "{spec: {size: 2}}");
    let outcome = |spec: &str| match judge(spec) {
        Judgement::Judged(verdict) => Some(verdict.outcome),
        _ => None,
    };
    assert_eq!(outcome(&spec("clusters", "")), Some(Error));
    assert_eq!(outcome(&spec("'*'", "")), Some(Skip));
    let no = ", {path: $.spec.size, assert: {equals: 3}}";
    assert_eq!(outcome(&spec("'*'", no)), None, "another check leaves it out");
    let unsure = ", {path: $.spec.size, assert: {matches: x}}";
    assert_eq!(outcome(&spec("'*'", unsure)), Some(Error), "an error stays one");
    assert!(compiled(&spec("clusters", "")).lacks_pod(&GroupResource::new("example.com", "clusters")));
}

/// Judges a ConfigMap whose data is nested too deeply to be read.
fn judge_unreadable(policy: &CompiledPolicy, labels: &str) -> Judgement {
    let metadata = format!(r#"{{"name":"n","namespace":"default","uid":"1","labels":{labels}}}"#);
    let data = format!("{}{}", "[".repeat(150), "]".repeat(150));
    let resource = GroupResource::new("", "configmaps");
    let roots = policy.roots(&resource);
    let mut projection = Projection::default();
    policy.read(&resource, &roots, &mut projection);
    let document = decode(&format!(r#"{{"metadata":{metadata},"data":{data}}}"#), &projection);
    policy.judge(&Subject {
        resource: &resource,
        kind: "ConfigMap",
        roots: &roots,
        document: &document,
        namespace: None,
        now: now(),
    })
}

#[test]
fn an_object_that_cannot_be_read_is_an_error_of_every_rule() {
    let policy = one_rule("path: $.data, assert: {exists: false}");
    let Judgement::Judged(verdict) = judge_unreadable(&policy, "{}") else { panic!("not judged") };
    assert_eq!((verdict.outcome, verdict.rules.len()), (Error, 1));
    assert!(verdict.rules[0].nodes[0].message.starts_with("this ConfigMap cannot be read: "), "{verdict:?}");
}

#[test]
fn an_object_that_cannot_be_read_is_out_of_scope_only_if_its_labels_say_so() {
    let policy = compiled(
        "targets: [{resources: [configmaps], labelSelector: {matchLabels: {a: b}}}]\n\
         rules: [{name: r, path: $.data, assert: {exists: true}}]",
    );
    let is_judged = |labels| matches!(judge_unreadable(&policy, labels), Judgement::Judged(_));
    assert!(is_judged(r#"{"a":"b"}"#));
    assert!(!is_judged(r#"{"a":"c"}"#));
    assert!(is_judged("{}"), "labels that are not known hide nothing");
}

#[test]
fn an_evaluation_over_its_budget_is_an_error_that_says_so() {
    let policy = one_rule("path: '$.a[*][*]', assert: {equals: 1}");
    let row = format!("[{}]", vec!["1"; 400].join(","));
    let object = format!("{{\"a\": [{}]}}", vec![row; 400].join(","));
    let verdict = verdict(&policy, &object);
    assert_eq!(verdict.outcome, Error);
    assert!(verdict.nodes[0].message.contains("narrow the path"), "{:?}", verdict.nodes);
}

#[test]
fn many_failing_nodes_are_counted_beyond_the_listed_ones_and_an_error_is_always_listed() {
    let policy = one_rule("path: '$.a[*]', assert: {matches: x}");
    let bad = vec!["z"; NODES_PER_RULE + 9].join(",");
    let failing = verdict(&policy, &format!("{{a: [{bad}]}}"));
    assert_eq!((failing.outcome, failing.nodes.len(), failing.more), (Fail, NODES_PER_RULE, 9));
    let erring = verdict(&policy, &format!("{{a: [{bad}, 7]}}"));
    assert_eq!((erring.outcome, erring.nodes.len(), erring.more), (Error, NODES_PER_RULE, 10));
    assert!(erring.nodes.iter().any(|node| &*node.actual == "7"));
}

#[test]
fn a_rule_has_its_own_severity_or_the_policys() {
    let policy = compiled(&format!(
        "{CONFIG_MAPS}\nseverity: low\nrules: [{{name: own, severity: critical, path: $.a, assert: {{exists: true}}}}, \
         {{name: policys, path: $.a, assert: {{exists: true}}}}]"
    ));
    let verdict = verdict_on(&policy, "", "configmaps", "{}");
    let severities: Vec<_> = verdict.rules.iter().map(|rule| rule.severity).collect();
    assert_eq!(severities, [crate::crd::Severity::Critical, crate::crd::Severity::Low]);
}
