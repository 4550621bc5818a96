//! What the contract says of exceptions.

use crate::crd::WatchPolicy;
use crate::jsonpath::{Document, TypeMeta};
use crate::policy::Outcome::{Error, Fail, Pass, Skip};
use crate::policy::{CompiledPolicy, Judgement, Outcome, Subject, Verdict};
use crate::resource::GroupResource;

use super::cases::{DEPLOYMENTS, compiled, json, judge_at, now, verdict_on};

const OWNER: &str = "{name: owner, path: $.spec.owner, assert: {matches: '[a-z]+'}}";
const TIER: &str = "{name: tier, path: $.spec.tier, assert: {equals: 1}}";
const REGISTRY: &str = "{name: registry, forEach: $containers, path: $.image, assert: {like: 'ok/*'}}";

/// A policy with these rules and exceptions, each exception without its reason.
fn policy(rules: &str, exceptions: &str) -> CompiledPolicy {
    let exceptions = exceptions.replace("{name:", "{reason: agreed, name:");
    compiled(&format!("{DEPLOYMENTS}\nrules: [{rules}]\nexceptions: [{exceptions}]"))
}

fn judge(policy: &CompiledPolicy, object: &str) -> Verdict {
    verdict_on(policy, "apps", "deployments", object)
}

/// The outcome of each rule, and what is excepted of it as `exception` or `exception at path`.
fn shown(verdict: &Verdict) -> Vec<(Outcome, Vec<String>)> {
    let excepted = |excepted: &crate::policy::Excepted| match &excepted.path {
        Some(path) => format!("{} at {path}", excepted.exception),
        None => excepted.exception.to_string(),
    };
    let rule =
        |rule: &crate::policy::RuleVerdict| (rule.outcome, rule.excepted.iter().map(excepted).collect());
    verdict.rules.iter().map(rule).collect()
}

/// The exceptions that fit, and whether they are needed.
fn grants(verdict: &Verdict) -> Vec<(&str, bool)> {
    verdict.grants.iter().map(|grant| (&*grant.exception, grant.needed)).collect()
}

fn with_images(images: &[&str]) -> String {
    let containers: Vec<_> = images.iter().map(|image| format!("{{name: c, image: '{image}'}}")).collect();
    format!("{{spec: {{template: {{spec: {{containers: [{}]}}}}}}}}", containers.join(", "))
}

#[test]
fn what_an_exception_covers_is_skipped_with_its_name() {
    let policy = policy(&format!("{OWNER}, {TIER}"), "{name: old, names: ['obj*'], rules: [owner]}");
    for (object, owner, tier) in [
        ("{spec: {owner: '1', tier: 1}}", Skip, Pass),
        ("{spec: {owner: 1, tier: 2}}", Skip, Fail),
        ("{spec: {owner: a, tier: 2}}", Pass, Fail),
        ("{metadata: {name: other}, spec: {owner: '1', tier: 1}}", Fail, Pass),
        ("{metadata: {name: other}, spec: {owner: 1, tier: 1}}", Error, Pass),
    ] {
        let verdict = judge(&policy, object);
        let excepted = if owner == Skip { vec!["old".to_owned()] } else { Vec::new() };
        assert_eq!(shown(&verdict), [(owner, excepted), (tier, Vec::new())], "{object}");
        assert!(verdict.rules.iter().all(|rule| rule.outcome != Skip || rule.nodes.is_empty()), "{object}");
    }
}

#[test]
fn all_that_an_exception_gives_must_fit() {
    for (exception, metadata, fits) in [
        ("namespaces: ['bill*']", "{namespace: billing}", true),
        ("namespaces: ['bill*']", "{}", false),
        ("names: [a, 'web-?']", "{name: web-1}", true),
        ("names: [a, 'web-?']", "{name: web-10}", false),
        ("labelSelector: {matchLabels: {a: b}}", "{labels: {a: b}}", true),
        ("labelSelector: {matchLabels: {a: b}}", "{labels: {a: c}}", false),
        ("labelSelector: {matchExpressions: [{key: a, operator: DoesNotExist}]}", "{}", true),
        ("namespaces: [default], names: [x]", "{name: x}", true),
        ("namespaces: [default], names: [x]", "{name: other}", false),
        ("namespaces: [other], names: [x]", "{name: x}", false),
        ("namespaces: ['*']", "{namespace: ''}", false),
    ] {
        let policy = policy(OWNER, &format!("{{name: e, {exception}}}"));
        let verdict = judge(&policy, &format!("{{metadata: {metadata}}}"));
        assert_eq!(verdict.outcome == Skip, fits, "{exception} on {metadata}: {verdict:?}");
    }
}

#[test]
fn namespaces_never_fit_a_cluster_scoped_object() {
    let spec = "targets: [{resources: [namespaces]}]\nrules: [{name: r, path: $.a, assert: {exists: true}}]\n\
                exceptions: [{name: e, reason: x, namespaces: ['*']}]";
    let resource = GroupResource::new("", "namespaces");
    let policy = compiled(spec);
    let raw = r#"{"metadata":{"name":"shop","uid":"1"}}"#;
    let types = TypeMeta { api_version: "v1".into(), kind: "Namespace".into() };
    let document = Document::decode(raw, &super::cases::everything(), &types).expect("an object");
    let roots = policy.roots(&resource);
    let subject = Subject {
        resource: &resource,
        kind: "Namespace",
        roots: &roots,
        document: &document,
        namespace: None,
        now: now(),
    };
    let Judgement::Judged(verdict) = policy.judge(&subject) else { panic!("taken") };
    assert_eq!((verdict.outcome, verdict.grants.len()), (Fail, 0));
}

#[test]
fn an_exception_ends_on_its_instant_and_the_object_is_judged_again_then() {
    let policy = policy(OWNER, "{name: e, names: ['*'], until: '2026-06-15T12:00:01.5Z'}");
    let end = "2026-06-15T12:00:01.5Z".parse().expect("a time");
    let judge = |object, now| match judge_at(&policy, ("apps", "deployments"), object, now) {
        Judgement::Judged(verdict) => (verdict.outcome, verdict.again),
        other => panic!("{other:?}"),
    };
    assert_eq!(judge("{}", now()), (Skip, Some(end)));
    assert_eq!(judge("{spec: {owner: a}}", now()), (Pass, Some(end)), "what it says of its use changes too");
    assert_eq!(judge("{}", end), (Fail, None));
    assert_eq!(policy.next_end(now()), Some(end));
    assert_eq!(policy.next_end(end), None);
}

#[test]
fn an_exception_covers_what_cannot_be_told() {
    let guarded = format!("{OWNER}]\nmatch: [{{path: $.spec.a, assert: {{matches: x}}}}");
    let policy = policy(&guarded, "{name: e, names: [object]}");
    let verdict = judge(&policy, "{spec: {a: 1}}");
    assert_eq!(shown(&verdict), [(Skip, vec!["e".to_owned()])]);
    let verdict = judge(&policy, "{metadata: {name: other}, spec: {a: 1}}");
    assert_eq!(verdict.outcome, Error);
}

#[test]
fn an_object_that_cannot_be_read_is_excepted_by_its_name_and_not_by_labels_that_nobody_knows() {
    let none = "{matchExpressions: [{key: a, operator: DoesNotExist}]}";
    for (exception, outcome) in
        [("names: [web]", Skip), (&*format!("labelSelector: {none}"), Error), ("images: ['*']", Error)]
    {
        let policy = policy(OWNER, &format!("{{name: e, {exception}}}"));
        let resource = GroupResource::new("apps", "deployments");
        let roots = policy.roots(&resource);
        let mut document =
            super::cases::decode(&json("{metadata: {name: web}}").to_string(), &super::cases::everything());
        document.root = Err("too deep".into());
        let subject = Subject {
            resource: &resource,
            kind: "Deployment",
            roots: &roots,
            document: &document,
            namespace: None,
            now: now(),
        };
        let Judgement::Judged(verdict) = policy.judge(&subject) else { panic!("taken") };
        assert_eq!(verdict.outcome, outcome, "{exception}");
    }
}

#[test]
fn images_exempt_containers_and_the_others_decide() {
    let policy = policy(REGISTRY, "{name: mesh, images: ['*/istio/proxyv2:*']}");
    let at = |index: usize| format!("mesh at spec.template.spec.containers[{index}]");
    for (images, outcome, excepted) in [
        (vec!["ok/a", "istio/proxyv2:1"], Pass, vec![at(1)]),
        (vec!["istio/proxyv2:1", "gcr.io/istio/proxyv2:1"], Skip, vec![at(0), at(1)]),
        (vec!["istio/proxyv2:1", "bad"], Fail, vec![at(0)]),
        (vec!["istio/proxyv2"], Skip, vec![at(0)]),
        (vec!["xistio/proxyv2"], Fail, vec![]),
        (vec!["ok/a"], Pass, vec![]),
    ] {
        let verdict = judge(&policy, &with_images(&images));
        assert_eq!(shown(&verdict), [(outcome, excepted)], "{images:?}");
    }
}

#[test]
fn only_what_fails_outside_the_exempted_containers_is_reported() {
    let check = "{name: r, path: '$containers[*].image', assert: {like: 'ok/*'}}";
    for rule in [REGISTRY, check] {
        let verdict = judge(&policy(rule, "{name: e, images: [old]}"), &with_images(&["old", "bad", "old"]));
        let paths: Vec<_> = verdict.rules[0].nodes.iter().map(|node| &*node.path).collect();
        assert_eq!(paths, ["spec.template.spec.containers[1].image"], "{rule}");
        assert_eq!(verdict.rules[0].excepted.len(), 2, "{rule}");
    }
}

#[test]
fn exempted_containers_are_as_if_they_were_not_there_for_every_form_of_a_rule() {
    for (rule, images, outcome) in [
        ("path: '$containers[*].image', assert: {like: 'ok/*'}", ["old", "ok/a"], Pass),
        ("path: '$containers[*].image', assert: {like: 'ok/*'}", ["old", "old"], Skip),
        ("path: '$containers[*].image', assert: {like: 'ok/*'}", ["old", "bad"], Fail),
        ("path: '$containers[*].image', quantifier: None, assert: {like: 'o*'}", ["old", "bad"], Pass),
        ("path: '$containers[*].image', quantifier: None, assert: {like: 'o*'}", ["old", "ok/a"], Fail),
        ("path: '$containers[*].image', quantifier: Any, assert: {like: 'ok/*'}", ["old", "old"], Skip),
        ("path: '$containers[*].image', quantifier: Any, assert: {like: 'ok/*'}", ["old", "bad"], Fail),
        ("path: '$containers[*]', measure: Count, assert: {atMost: 1}", ["old", "bad"], Pass),
        ("path: '$containers[*]', measure: Count, assert: {atMost: 0}", ["old", "bad"], Fail),
        ("path: '$containers[*].image', assert: {unique: true}", ["old", "old"], Skip),
        ("path: '$.spec.template.spec.containers[*].image', assert: {like: 'ok/*'}", ["old", "ok/a"], Pass),
        ("path: '$containers[0].ports', assert: {exists: true}", ["old", "ok/a"], Skip),
        ("forEach: $containers, forbid: true", ["old", "old"], Skip),
        ("forEach: $containers, forbid: true", ["old", "ok/a"], Fail),
        ("forEach: $containers, path: $object.spec.owner, assert: {exists: true}", ["old", "old"], Skip),
        ("path: $.spec.owner, assert: {exists: true}", ["old", "old"], Fail),
        ("path: $podSpec.hostNetwork, assert: {exists: true}", ["old", "old"], Fail),
        (
            "forEach: $containers, when: [{path: $.name, assert: {atMost: 1}}], forbid: true",
            ["old", "old"],
            Skip,
        ),
        (
            "allOf: [{path: $.metadata.name, assert: {exists: true}}, \
             {path: '$containers[*].image', assert: {like: 'ok/*'}}]",
            ["old", "old"],
            Pass,
        ),
        (
            "anyOf: [{path: $.spec.owner, assert: {exists: true}}, \
             {path: '$containers[*].image', assert: {like: 'ok/*'}}]",
            ["old", "ok/a"],
            Pass,
        ),
    ] {
        let policy = policy(&format!("{{name: r, {rule}}}"), "{name: e, images: [old]}");
        let verdict = judge(&policy, &with_images(&images));
        assert_eq!(verdict.outcome, outcome, "{rule} on {images:?}: {verdict:?}");
    }
}

#[test]
fn an_exception_by_images_fits_no_kind_without_a_pod() {
    let spec = "targets: [{resources: [configmaps]}]\nrules: [{name: r, path: $.a, assert: {exists: true}}]\n\
                exceptions: [{name: e, reason: x, images: ['*']}]";
    let verdict = verdict_on(&compiled(spec), "", "configmaps", "{spec: {containers: [{image: a}]}}");
    assert_eq!((verdict.outcome, verdict.grants.len()), (Fail, 0));
}

#[test]
fn a_verdict_says_of_each_exception_that_fits_whether_it_is_needed() {
    let exceptions = "{name: by-name, names: [object], rules: [owner]}, {name: other, names: [other]}, \
                      {name: by-image, images: [old]}, {name: also, namespaces: [default], rules: [tier]}";
    let policy = policy(&format!("{OWNER}, {TIER}, {REGISTRY}"), exceptions);
    let object = |owner, images: &[&str]| {
        with_images(images).replacen("{spec: {", &format!("{{spec: {{tier: 1, owner: {owner}, "), 1)
    };
    let verdict = judge(&policy, &object("'1'", &["old", "ok/a"]));
    assert_eq!(verdict.outcome, Pass);
    assert_eq!(grants(&verdict), [("by-name", true), ("by-image", true), ("also", false)]);
    let verdict = judge(&policy, &object("a", &["ok/a"]));
    assert_eq!(grants(&verdict), [("by-name", false), ("also", false)]);
}

#[test]
fn very_many_containers_and_globs_end_within_the_budget_and_are_no_pass() {
    let globs: Vec<_> = (0..64).map(|index| format!("'*{index}*x*y'")).collect();
    let exceptions: Vec<_> =
        (0..32).map(|index| format!("{{name: e{index}, images: [{}]}}", globs.join(", "))).collect();
    let policy = policy(REGISTRY, &exceptions.join(", "));
    let images = vec!["bad".repeat(300); 5_000];
    let images: Vec<_> = images.iter().map(String::as_str).collect();
    let verdict = judge(&policy, &with_images(&images));
    assert!(matches!(verdict.outcome, Fail | Error), "{:?}", verdict.outcome);
}

#[test]
fn the_schema_and_the_compiler_agree_on_a_whole_exception() {
    let spec = format!(
        "{DEPLOYMENTS}\nrules: [{OWNER}]\nexceptions: [{{name: e, reason: x, namespaces: [a], names: [b], \
         labelSelector: {{matchLabels: {{a: b}}}}, images: ['*'], rules: [owner], until: '2027-03-31T00:00:00+02:00'}}]"
    );
    let policy: WatchPolicy = super::cases::parse(&spec);
    assert_eq!(policy.spec.exceptions.len(), 1);
    let compiled = compiled(&spec);
    assert_eq!(compiled.exceptions[0].until, "2027-03-30T22:00:00Z".parse().ok());
}
