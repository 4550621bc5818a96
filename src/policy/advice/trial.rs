//! Trying a check out on a value, without an object.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::crd::{Check, Rule, Target, WatchPolicy, WatchPolicySpec};
use crate::jsonpath::{Document, Projection, Roots, TypeMeta};
use crate::resource::GroupResource;

use super::super::{CompiledPolicy, Judgement, Outcome, Settings, Subject, compile};

/// A check of one place. What it says depends on the value there alone.
pub(super) struct Trial {
    policy: CompiledPolicy,
    resource: GroupResource,
    projection: Projection,
}

impl Trial {
    /// The same demand as the check's on one place; nothing where that says nothing by itself.
    pub(super) fn of(check: &Check) -> Option<Self> {
        let resource = GroupResource::new("", "configmaps");
        let check = Check { path: Some("$.value".to_owned()), fallbacks: Vec::new(), ..check.clone() };
        let rule = Rule { name: "trial".to_owned(), check, ..Rule::default() };
        let target = Target { resources: vec![resource.resource.to_string()], ..Target::default() };
        let spec = WatchPolicySpec { targets: vec![target], rules: vec![rule], ..WatchPolicySpec::default() };
        let policy = compile(&WatchPolicy::new("trial", spec), &Settings::default()).ok()?;
        let mut projection = Projection::default();
        policy.read(&resource, &Roots::default(), &mut projection);
        Some(Self { policy, resource, projection })
    }

    /// Whether this value passes; `None` for no value.
    pub(super) fn passes(&self, value: Option<&Value>) -> bool {
        let object = json!({"metadata": {"name": "trial"}, "value": value}).to_string();
        let types = TypeMeta { api_version: "v1".into(), kind: "ConfigMap".into() };
        let Ok(document) = Document::decode(&object, &self.projection, &types) else { return false };
        let subject = Subject {
            resource: &self.resource,
            kind: "ConfigMap",
            roots: &Roots::default(),
            document: &document,
            namespace: None,
            // What depends on the present is not tried.
            now: Timestamp::UNIX_EPOCH,
        };
        matches!(self.policy.judge(&subject), Judgement::Judged(verdict) if verdict.outcome == Outcome::Pass)
    }
}
