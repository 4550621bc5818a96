use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::crd::{FixStatus, WatchPolicy};
use crate::jsonpath::{Document, Projection, TypeMeta};
use crate::metrics::Remediation;
use crate::policy::{Judgement, Relative, Relatives, Settings, compile};
use crate::resource::GroupResource;

struct Nobody;

impl Relatives for Nobody {
    fn find(&self, _: &crate::policy::CompiledPolicy, _: &str, _: Option<&str>) -> Option<Relative> {
        None
    }
}

fn scalers() -> GroupResource {
    GroupResource::new("autoscaling", "horizontalpodautoscalers")
}

/// A policy that wants this of a scaler with these annotations, as its watch shows it.
fn fixing(name: &str, mode: &str, (path, value): (&str, &str), annotations: &Value) -> Fixing {
    let object = json!({
        "apiVersion": "watchpolicy.io/v1alpha1",
        "kind": "WatchPolicy",
        "metadata": {"name": name},
        "spec": {
            "mode": mode,
            "targets": [{"group": "autoscaling", "resources": ["horizontalpodautoscalers"]}],
            "rules": [{"name": "r", "path": path, "assert": {"equals": value}, "fix": {"set": value}}],
        },
    });
    let policy: WatchPolicy = serde_json::from_value(object).unwrap();
    let policy = Arc::new(compile(&policy, &Settings::default()).unwrap());
    let roots = Arc::new(policy.roots(&scalers()));
    let mut projection = Projection::default();
    policy.read(&scalers(), &roots, &mut projection);
    let types = TypeMeta { api_version: "autoscaling/v2".into(), kind: "HorizontalPodAutoscaler".into() };
    let scaler =
        json!({"metadata": {"name": "s", "uid": "u", "annotations": annotations}, "spec": {"x": "0"}});
    let known = Arc::new(Document::decode(&scaler.to_string(), &projection, &types).unwrap());
    Fixing { policy, roots, namespace: None, known }
}

/// What becomes of a policy's fix beside those that see the object in another version.
fn outcome(one: &Fixing, elsewhere: &[Fixing]) -> FixStatus {
    let resource = scalers();
    let fresh = Fresh {
        resource: &resource,
        kind: "HorizontalPodAutoscaler",
        document: &one.known,
        now: jiff::Timestamp::UNIX_EPOCH,
        relatives: &Nobody,
    };
    assert!(matches!(one.policy.judge(&fresh.subject(one)), Judgement::Judged(_)));
    let mut proposals = [Proposal::new(one, fresh)];
    hold_back_across(&mut proposals, fresh, elsewhere);
    proposals[0].fixes(Remediation::Fixed, None).remove(0).1
}

const TEAM: &str = "$.metadata.annotations.team";

#[test]
fn what_two_versions_want_differently_of_metadata_is_written_by_neither() {
    let scaler = json!({});
    let one = fixing("one", "Enforce", (TEAM, "a"), &scaler);
    let other = fixing("other", "Enforce", (TEAM, "b"), &scaler);
    for (one, other) in [(&one, &other), (&other, &one)] {
        let fix = outcome(one, std::slice::from_ref(other));
        let words = format!("the policy {} wants something else there", other.policy.name);
        assert_eq!((&*fix.outcome, fix.message), ("Conflict", Some(words)));
    }
}

#[test]
fn what_another_version_would_undo_is_not_written() {
    let scaler = json!({"team": "a"});
    let satisfied = fixing("satisfied", "Enforce", (TEAM, "a"), &scaler);
    let other = fixing("other", "Enforce", (TEAM, "b"), &scaler);
    assert_eq!(outcome(&other, &[satisfied]).outcome, "Conflict");
}

#[test]
fn what_agrees_is_elsewhere_or_is_only_planned_holds_nothing_back() {
    let scaler = json!({});
    let one = fixing("one", "Enforce", (TEAM, "a"), &scaler);
    let agrees = fixing("agrees", "Enforce", (TEAM, "a"), &scaler);
    let beside = fixing("beside", "Enforce", ("$.metadata.annotations.owner", "b"), &scaler);
    let plans = fixing("plans", "Plan", (TEAM, "b"), &scaler);
    assert_eq!(outcome(&one, &[agrees, beside, plans]).outcome, "Fixed");
    // Where it stands in one version says nothing of another.
    let one = fixing("one", "Enforce", ("$.spec.x", "1"), &scaler);
    let other = fixing("other", "Enforce", ("$.spec.x", "2"), &scaler);
    assert_eq!(outcome(&one, &[other]).outcome, "Fixed");
}
