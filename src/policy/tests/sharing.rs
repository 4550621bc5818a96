//! What policies find together changes no judgement.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::jsonpath::{Document, Roots};
use crate::policy::{CompiledPolicy, Judgement, SharedPaths, Subject};
use crate::resource::GroupResource;

use super::cases::{DEPLOYMENTS, compiled, decode, everything, now};
use super::fixes::Nobody;
use super::projection::{object, policies};

/// Policies that have paths, and beginnings of paths, with each other and with those of the projection's property.
fn sharing() -> Vec<CompiledPolicy> {
    let more = [
        "match: [{path: $.spec.a, assert: {notEquals: a}}]\nrules: [{name: r, path: $.spec.a, assert: {exists: true}}]",
        "rules: [{name: r, path: $.spec.a, assert: {exists: true}}, {name: s, path: $.spec.a, assert: {exists: false}}]",
        "rules: [{name: r, when: [{path: $.spec.a, assert: {equals: b}}], path: $.status.a, assert: {type: string}}]",
        "rules: [{name: r, path: '$.spec[*]', quantifier: Any, assert: {equals: a}}, {name: s, path: '$.spec[*]', \
         measure: Count, assert: {atLeast: 2}}, {name: t, path: '$.spec[*]', assert: {unique: true}}]",
        "rules: [{name: r, forEach: '$containers[*]', path: $.a, fallbacks: [$podSpec.a], assert: {exists: true}}, \
         {name: s, forEach: $containers, when: [{path: $podSpec.a, assert: {exists: true}}], path: $.name, \
         assert: {matches: '[ab]'}}, {name: t, forEach: $containers, forbid: true}]",
        "rules: [{name: r, path: '$.spec[?@.a == \"a\"].b', assert: {equals: b}}, {name: s, \
         path: '$.spec[?@.a == \"a\"].b', whenAbsent: Pass, assert: {equals: a}}]",
        "rules: [{name: r, path: '$containers[*].a', assert: {equals: a}}]\nexceptions: [{name: e, images: ['a*'], \
         until: '2030-01-01T00:00:00Z', reason: tried}]",
        "rules: [{name: r, path: $namespace.metadata.labels.a, assert: {exists: true}}, {name: s, \
         path: $containers, measure: Length, assert: {atLeast: 1}}]",
    ];
    let more = more.map(|rest| compiled(&format!("{DEPLOYMENTS}\n{rest}")));
    policies().into_iter().chain(more).collect()
}

fn judged(policies: &[(CompiledPolicy, Roots)], document: &Document) -> [Vec<Judgement>; 2] {
    let resource = GroupResource::new("apps", "deployments");
    let subject = |roots| Subject {
        resource: &resource,
        kind: "Deployment",
        roots,
        document,
        namespace: None,
        now: now(),
    };
    let alone = policies.iter().map(|(policy, roots)| policy.judge(&subject(roots))).collect();
    let shared = SharedPaths::of(policies.iter().map(|(policy, roots)| (policy, roots)));
    let mut survey = shared.survey(document);
    let together = policies.iter().enumerate().map(|(index, (policy, roots))| {
        let share = survey.as_mut().and_then(|survey| shared.of_policy(index, survey));
        policy.judge_sharing(&subject(roots), share, &Nobody)
    });
    [together.collect(), alone]
}

fn with_roots(policies: Vec<CompiledPolicy>) -> Vec<(CompiledPolicy, Roots)> {
    let resource = GroupResource::new("apps", "deployments");
    let roots = |policy: CompiledPolicy| {
        let roots = policy.roots(&resource);
        (policy, roots)
    };
    policies.into_iter().map(roots).collect()
}

proptest! {
    #[test]
    fn judging_policies_together_equals_judging_each_alone(object in object(), others in 0_usize..4) {
        let mut policies = with_roots(sharing());
        policies.rotate_left(others * 7);
        // The pods of one are elsewhere; the first says where they are for those that share.
        policies[others].1.pod = None;
        let [together, alone] = judged(&policies, &decode(&object.to_string(), &everything()));
        for ((index, together), alone) in together.iter().enumerate().zip(&alone) {
            prop_assert_eq!(together, alone, "policy {}", index);
        }
    }
}

#[test]
fn a_large_object_is_judged_together_as_alone() {
    let rules = [
        // Found at once, though all of the array is more than a rule may look at.
        "rules: [{name: r, path: '$.wide[*]', quantifier: Any, assert: {equals: 0}}]",
        // Twice within the budget, or in pieces beyond it.
        "rules: [{name: r, allOf: [{path: '$.half[*]', quantifier: Any, assert: {equals: 0}}, \
         {path: '$.half[*]', quantifier: Any, assert: {equals: 0}}]}]",
        "rules: [{name: r, allOf: [{path: '$.half[*]', assert: {atLeast: 0}}, {path: '$.half[*]', assert: {atLeast: 0}}]}]",
        "rules: [{name: r, path: '$.half[*]', assert: {atLeast: 0}}]",
        "rules: [{name: r, path: '$.half[?@ == 0]', assert: {equals: 0}}, {name: s, path: $.a, assert: {equals: 1}}]",
    ];
    let policies = rules.map(|rest| compiled(&format!("{DEPLOYMENTS}\n{rest}"))).into();
    let numbers = |count| Value::from_iter(0..count);
    let object = json!({"metadata": {"name": "n", "namespace": "default"}, "wide": numbers(110_000), "half": numbers(60_000), "a": 1});
    let [together, alone] = judged(&with_roots(policies), &decode(&object.to_string(), &everything()));
    assert_eq!(together, alone);
    let outcome = |judgement: &Judgement| match judgement {
        Judgement::Judged(verdict) => verdict.rules.iter().map(|rule| rule.outcome.as_str()).collect(),
        Judgement::NotTaken | Judgement::Excluded { .. } => Vec::new(),
    };
    let outcomes: Vec<_> = together.iter().flat_map(outcome).collect();
    assert_eq!(outcomes, ["Pass", "Pass", "Error", "Pass", "Error", "Pass"]);
}
