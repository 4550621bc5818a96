//! What a policy reads is all that it needs.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::jsonpath::{Document, Projection};
use crate::policy::{CompiledPolicy, Judgement, Subject};
use crate::resource::GroupResource;

use super::cases::{compiled, decode, everything, now};

/// Policies that read in every way there is.
pub(super) fn policies() -> Vec<CompiledPolicy> {
    let target = "targets: [{group: apps, resources: [deployments], labelSelector: {matchExpressions: \
                  [{key: team, operator: NotIn, values: [c]}]}}]";
    [
        "rules: [{name: r, path: $.spec.a, assert: {exists: true}}]",
        "rules: [{name: r, path: $.spec, assert: {equals: {a: b}}}]",
        "rules: [{name: r, path: '$.spec[*]', assert: {notEquals: a}, message: '{$.metadata.name} {$.status.a}'}]",
        "rules: [{name: r, path: '$.spec.*.a', fallbacks: [$.status.a, '$.status.*'], assert: {matches: '[ab]'}}]",
        "rules: [{name: r, path: $.spec.template.spec.a, default: a, quantifier: Any, assert: {in: [a, 1]}}]",
        "match: [{path: $.status.a, assert: {notEquals: a}}]\nrules: [{name: r, path: $, assert: {exists: true}}]",
        "rules: [{name: r, forEach: $containers, when: [{path: $.a, assert: {exists: true}}], path: $.b, \
         fallbacks: [$podSpec.a], assert: {equals: a}, message: '{$.b} {$object.kind}'}]",
        "rules: [{name: r, forEach: $.spec, path: $object.status.a, assert: {exists: true}}]",
        "rules: [{name: r, forEach: '$.spec.*', path: $pod.metadata.a, assert: {exists: false}}]",
        "rules: [{name: r, path: '$containers[*].a', quantifier: None, assert: {equals: 1}}, \
         {name: s, path: '$containers[0]', assert: {exists: true}}, {name: t, path: $.kind, assert: {equals: Kind}}]",
        "rules: [{name: r, forEach: $containers, allOf: [{path: $.a, assert: {type: string, search: a}}, \
         {path: $podSpec.a, assert: {like: '?'}}], message: '{$.name}'}, {name: s, forEach: '$.spec.*', forbid: true}]",
        "rules: [{name: r, anyOf: [{path: $.spec.a, assert: {contains: a}}, {allOf: [{path: $.status.a, \
         ignoreCase: true, assert: {notContains: [A, b]}}, {path: '$.status.*', assert: {unique: true}}]}]}]",
        "rules: [{name: r, path: '$.spec.*', measure: Length, assert: {inRanges: ['1-2']}}, {name: s, path: $.spec, \
         measure: Keys, assert: {notEqualsPath: $.status.name}}, {name: t, path: '$containers[*].a', measure: Count, \
         assert: {atMost: 1}}]",
        "rules: [{name: r, forEach: '$.status[*]', path: $.a, as: Number, assert: {inPath: '$object.spec.*', above: 0}}, \
         {name: s, path: '$containers[*].image', measure: ImageTag, assert: {equalsPath: $pod.metadata.a}}]",
        "rules: [{name: r, path: '$.spec[\"a\"][*].b', assert: {equals: a}, message: '{container}'}, {name: s, \
         forEach: $containers, path: $object.status.a, fallbacks: [$.a], assert: {type: string}, message: '{container}'}]",
        "rules: [{name: r, path: $podSpec.a.b, assert: {equals: a}, message: '{container}'}, {name: s, \
         forEach: '$.status.*', forbid: true, message: '{container}'}, {name: t, path: '$containers[*].a.b', \
         measure: Keys, assert: {exists: true}, message: '{container}'}]",
        "rules: [{name: r, path: '$.spec..a', assert: {equals: a}, message: '{container}'}, {name: s, \
         path: \"$containers[?@.name=='a'].b\", assert: {equals: a}, message: '{container}'}]",
        "rules: [{name: r, path: $.status.a, measure: Age, assert: {atMost: 1h}}, {name: s, forEach: $.status, \
         when: [{path: $, assert: {type: object}}], path: $.a, assert: {notInPath: $object.spec.a, inCidr: 1.0.0.0/8}}]",
    ]
    .iter()
    .map(|rest| compiled(&format!("{target}\n{rest}")))
    .collect()
}

fn value() -> impl Strategy<Value = Value> {
    let leaf =
        prop_oneof![Just(json!(null)), Just(json!("a")), Just(json!("b")), Just(json!(1)), Just(json!(true))];
    let names = prop_oneof![Just("a"), Just("b"), Just("name"), Just("containers"), Just("initContainers")];
    leaf.prop_recursive(3, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::vec((names.clone(), inner), 0..4).prop_map(|members| members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    })
}

/// A list of containers, or something else in its place.
fn containers() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::collection::vec(value(), 0..3).prop_map(Value::Array),
        value().prop_map(|value| json!({"a": value}))
    ]
}

prop_compose! {
    pub(super) fn object()(
        spec in value(),
        status in value(),
        pod in value(),
        containers in containers(),
        inits in containers(),
        team in prop::option::of("[abc]"),
        is_workload in any::<bool>(),
    ) -> Value {
        let workload = json!({"template": {"metadata": pod, "spec": {"a": spec, "containers": containers,
            "initContainers": inits}}, "a": spec});
        let mut metadata = json!({"name": "n", "namespace": "default", "uid": "1"});
        if let Some(team) = team {
            metadata["labels"] = json!({"team": team});
        }
        json!({"metadata": metadata, "spec": if is_workload { workload } else { spec }, "status": status})
    }
}

fn judge(policy: &CompiledPolicy, document: &Document) -> Judgement {
    let resource = GroupResource::new("apps", "deployments");
    let roots = policy.roots(&resource);
    policy.judge(&Subject {
        resource: &resource,
        kind: "Deployment",
        roots: &roots,
        document,
        namespace: None,
        now: now(),
    })
}

proptest! {
    #[test]
    fn judging_what_a_policy_reads_equals_judging_the_whole_object(object in object()) {
        let raw = object.to_string();
        let resource = GroupResource::new("apps", "deployments");
        let whole = decode(&raw, &everything());
        for (index, policy) in policies().iter().enumerate() {
            let mut projection = Projection::default();
            policy.read(&resource, &policy.roots(&resource), &mut projection);
            let part = decode(&raw, &projection);
            prop_assert_eq!(judge(policy, &part), judge(policy, &whole), "policy {}", index);
        }
    }
}

#[test]
fn the_policies_of_the_property_meet_every_outcome() {
    let raw = json!({"metadata": {"name": "n", "namespace": "default"}, "spec": {"a": 1, "template": {"spec":
        {"containers": [{"a": "x", "b": "c"}]}}}, "status": {"a": 7}})
    .to_string();
    let outcomes: Vec<String> = policies()
        .iter()
        .map(|policy| format!("{:?}", judge(policy, &decode(&raw, &everything()))))
        .collect();
    for outcome in ["outcome: Pass", "outcome: Fail", "outcome: Error"] {
        assert!(outcomes.iter().any(|shown| shown.contains(outcome)), "{outcome}: {outcomes:#?}");
    }
}
