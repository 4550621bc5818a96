//! From YAML to policies, documents and verdicts.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::crd::{WatchPolicy, WatchPolicySpec};
use crate::jsonpath::{Document, Path, Projection, Roots, TypeMeta};
use crate::policy::{CompiledPolicy, Judgement, Outcome, RuleVerdict, Settings, Subject, Verdict, compile};
use crate::resource::GroupResource;

pub(in crate::policy) const CONFIG_MAPS: &str = "targets: [{resources: [configmaps]}]";
pub(in crate::policy) const DEPLOYMENTS: &str = "targets: [{group: apps, resources: [deployments]}]";

pub(in crate::policy) fn settings() -> Settings {
    Settings {
        system_namespaces: Box::new(["kube-system".into()]),
        allow_system_namespaces: false,
        ..Settings::default()
    }
}

pub(in crate::policy) fn parse(spec: &str) -> WatchPolicy {
    let spec: WatchPolicySpec =
        serde_saphyr::from_str(spec).unwrap_or_else(|error| panic!("{error}\n{spec}"));
    WatchPolicy::new("policy", spec)
}

pub(in crate::policy) fn compiled(spec: &str) -> CompiledPolicy {
    compile(&parse(spec), &settings()).unwrap_or_else(|faults| panic!("{faults}\n{spec}"))
}

/// A policy on ConfigMaps with one rule, given as a flow mapping without its braces.
pub(in crate::policy) fn one_rule(rule: &str) -> CompiledPolicy {
    compiled(&format!("{CONFIG_MAPS}\nrules: [{{name: rule, {rule}}}]"))
}

pub(in crate::policy) fn everything() -> Projection {
    let mut projection = Projection::default();
    projection.read(&Path::parse("$").expect("a path"), &Roots::default(), None);
    projection.read_labels();
    projection
}

/// An object in YAML, without the metadata that all objects have unless it says some itself.
pub(in crate::policy) fn json(yaml: &str) -> Value {
    let mut object: Value = serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    let metadata = &mut object["metadata"];
    for (member, value) in [("name", "object"), ("namespace", "default"), ("uid", "1")] {
        if metadata[member].is_null() {
            metadata[member] = value.into();
        }
    }
    object
}

pub(in crate::policy) fn decode(object: &str, projection: &Projection) -> Document {
    let types = TypeMeta { api_version: "v1".into(), kind: "Kind".into() };
    Document::decode(object, projection, &types).expect("an object")
}

/// When the tests judge: 2026-06-15T12:00:00Z.
pub(in crate::policy) fn now() -> Timestamp {
    "2026-06-15T12:00:00Z".parse().expect("a time")
}

pub(in crate::policy) fn judge_on(
    policy: &CompiledPolicy,
    group: &str,
    plural: &str,
    object: &str,
) -> Judgement {
    judge_at(policy, (group, plural), object, now())
}

pub(in crate::policy) fn judge_at(
    policy: &CompiledPolicy,
    (group, plural): (&str, &str),
    object: &str,
    now: Timestamp,
) -> Judgement {
    let resource = GroupResource::new(group, plural);
    let roots = policy.roots(&resource);
    let mut projection = Projection::default();
    policy.read(&resource, &roots, &mut projection);
    let document = decode(&json(object).to_string(), &projection);
    policy.judge(&Subject {
        resource: &resource,
        kind: "Kind",
        roots: &roots,
        document: &document,
        namespace: None,
        now,
    })
}

pub(in crate::policy) fn verdict_on(
    policy: &CompiledPolicy,
    group: &str,
    plural: &str,
    object: &str,
) -> Verdict {
    match judge_on(policy, group, plural, object) {
        Judgement::Judged(verdict) => verdict,
        other => panic!("{other:?}: {object}"),
    }
}

/// What the only rule of a policy on ConfigMaps says.
pub(in crate::policy) fn verdict(policy: &CompiledPolicy, object: &str) -> RuleVerdict {
    verdict_on(policy, "", "configmaps", object).rules.remove(0)
}

/// Judges a table of rule, object and outcome; each row says the sentence of the contract that it shows.
pub(in crate::policy) fn check(rows: &[(&str, &str, &str, Outcome)]) {
    for (sentence, rule, object, expected) in rows {
        let verdict = verdict(&one_rule(rule), object);
        assert_eq!(verdict.outcome, *expected, "{sentence}: {rule} on {object}: {verdict:?}");
        let is_explained =
            matches!(verdict.outcome, Outcome::Pass | Outcome::Skip) == verdict.nodes.is_empty();
        assert!(is_explained, "{sentence}: nodes are of failures only, and of each: {verdict:?}");
    }
}

pub(in crate::policy) fn names(texts: &[&str]) -> Vec<Arc<str>> {
    texts.iter().map(|text| (*text).into()).collect()
}
