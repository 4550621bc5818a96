//! Policies, targets and verdicts that the tests of this room share.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::{View, Writes, render};
use crate::crd::{Exception, Mode, Severity, TargetState, WatchPolicy, WatchPolicyStatus};
use crate::ledger::{Judged, Ledger, Page, Said};
use crate::observe::board::TargetReport;
use crate::policy::{
    Judgement, NodeVerdict, Outcome, PolicyEntry, PolicyState, RuleVerdict, Settings, Verdict, compile,
};
use crate::resource::{GroupResource, ObjectKey, ObjectName};

/// A moment, so many seconds after the tests' beginning of time.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

/// Of the policies here, and of the programs that judge by them.
pub(super) const GENERATION: i64 = 3;

/// A policy on Deployments whose one rule has this path.
fn policy(name: &str, path: &str, suspend: bool) -> WatchPolicy {
    let object: Value = json!({
        "apiVersion": "watchpolicy.io/v1alpha1",
        "kind": "WatchPolicy",
        "metadata": {"name": name, "uid": format!("uid-of-{name}"), "generation": GENERATION},
        "spec": {
            "suspend": suspend,
            "targets": [{"group": "apps", "resources": ["deployments"]}],
            "rules": [{"name": "owner", "path": path, "assert": {"exists": true}}],
        },
    });
    serde_json::from_value(object).unwrap()
}

fn compiled(name: &str, path: &str, suspend: bool) -> PolicyState {
    let settings =
        Settings { system_namespaces: Box::default(), allow_system_namespaces: false, ..Settings::default() };
    match compile(&policy(name, path, suspend), &settings) {
        Ok(compiled) => PolicyState::Compiled(Arc::new(compiled)),
        Err(faults) => PolicyState::Invalid(Arc::new(faults)),
    }
}

fn entry_of(name: &str, state: PolicyState) -> PolicyEntry {
    let uid = format!("uid-of-{name}").into();
    PolicyEntry {
        name: name.into(),
        uid,
        generation: GENERATION,
        mode: Some(Mode::Audit),
        on_delete: None,
        deleting: false,
        finalizers: Box::default(),
        state,
    }
}

/// A policy that runs.
pub(super) fn running(name: &str) -> PolicyEntry {
    entry_of(name, compiled(name, "$.metadata.labels.owner", false))
}

/// A policy that runs, and plans a fix.
pub(super) fn planning(name: &str) -> PolicyEntry {
    mending(name, Mode::Plan)
}

/// A policy that enforces a value of one label.
pub(super) fn setting(name: &str, value: &str) -> PolicyEntry {
    let mut policy = policy(name, "$.metadata.labels.owner", false);
    policy.spec.mode = Mode::Enforce;
    policy.spec.rules[0].fix = serde_json::from_value(json!({"set": value})).unwrap();
    entry_of(name, PolicyState::Compiled(Arc::new(compile(&policy, &Settings::default()).unwrap())))
}

/// A policy that runs, and has a fix.
pub(super) fn mending(name: &str, mode: Mode) -> PolicyEntry {
    let mut policy = policy(name, "$.metadata.labels.owner", false);
    policy.spec.mode = mode;
    policy.spec.rules[0].fix = serde_json::from_value(json!({"set": "nobody"})).unwrap();
    entry_of(name, PolicyState::Compiled(Arc::new(compile(&policy, &Settings::default()).unwrap())))
}

/// A policy with these exceptions, by name and end.
pub(super) fn excepting(exceptions: &[(&str, Option<&str>)]) -> PolicyEntry {
    let mut policy = policy("p", "$.metadata.labels.owner", false);
    let exception = |(name, until): &(&str, Option<&str>)| Exception {
        name: (*name).into(),
        reason: "agreed".into(),
        names: vec!["*".into()],
        until: until.map(str::to_owned),
        ..Exception::default()
    };
    policy.spec.exceptions = exceptions.iter().map(exception).collect();
    entry_of("p", PolicyState::Compiled(Arc::new(compile(&policy, &Settings::default()).unwrap())))
}

/// A policy that is suspended.
pub(super) fn suspended(name: &str) -> PolicyEntry {
    entry_of(name, compiled(name, "$.metadata.labels.owner", true))
}

/// A policy whose path cannot be compiled.
pub(super) fn invalid(name: &str) -> PolicyEntry {
    entry_of(name, compiled(name, "$.metadata.labels[", false))
}

/// A policy that somebody deleted, and that is still there.
pub(super) fn deleted(name: &str) -> PolicyEntry {
    let mut policy = policy(name, "$.metadata.labels.owner", false);
    policy.metadata.deletion_timestamp = Some(Time(at(0)));
    let state = PolicyState::Compiled(Arc::new(compile(&policy, &Settings::default()).unwrap()));
    PolicyEntry { deleting: true, ..entry_of(name, state) }
}

/// A policy that cannot be decoded.
pub(super) fn unreadable(name: &str) -> PolicyEntry {
    entry_of(name, PolicyState::Unreadable("missing field `rules`".into()))
}

/// A target in the group `apps`.
pub(super) fn target(resource: &str, state: TargetState) -> TargetReport {
    TargetReport {
        group: "apps".into(),
        resource: resource.into(),
        version: Some("v1".into()),
        state,
        limited: false,
        mismatched: false,
        generation: GENERATION,
        since: at(0),
        message: None,
    }
}

/// A node that fails.
pub(super) fn node(text: &str) -> NodeVerdict {
    let text = |()| text.into();
    NodeVerdict { path: text(()), actual: text(()), expected: text(()), message: text(()) }
}

/// A verdict on a rule, with these failing nodes; without any it passes.
pub(super) fn verdict(nodes: Vec<NodeVerdict>) -> Judgement {
    let outcome = if nodes.is_empty() { Outcome::Pass } else { Outcome::Fail };
    let rule = RuleVerdict {
        rule: "owner".into(),
        severity: Severity::Medium,
        outcome,
        nodes,
        more: 0,
        excepted: Vec::new(),
        owned: false,
    };
    Judgement::Judged(Verdict { outcome, rules: vec![rule], grants: Vec::new(), again: None })
}

/// Enters a verdict on a Deployment.
pub(super) fn enter(ledger: &Ledger, policy: &str, object: &str, judgement: Judgement, now: Timestamp) {
    let object = ObjectName { namespace: Some("shop".into()), name: object.into() };
    let uid: Arc<str> = object.name.clone();
    let key = ObjectKey { resource: GroupResource::new("apps", "deployments"), object };
    let (api_version, kind) = (&"apps/v1".into(), &"Deployment".into());
    let said = vec![Said { policy: policy.into(), api_version, kind, judgement }];
    ledger.enter(Judged { key: &key, uid: &uid, listed: false, said }, now);
}

/// The status of a policy with these targets and no verdicts.
pub(super) fn status(entry: &PolicyEntry, targets: Option<&[TargetReport]>) -> WatchPolicyStatus {
    render(&View { entry, targets, page: &Page::default(), previous: None, writes: Writes::default() }, at(0))
}
