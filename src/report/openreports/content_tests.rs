use std::cmp::Reverse;

use serde_json::{Value, json};

use super::*;
use crate::crd::{FixStatus, Severity};
use crate::report::cases::{at, node};
use crate::resource::{GroupResource, ObjectName};

fn key(namespace: Option<&str>) -> ObjectKey {
    let object = ObjectName { namespace: namespace.map(Arc::from), name: "web".into() };
    ObjectKey { resource: GroupResource::new("apps", "deployments"), object }
}

fn identity() -> Identity {
    Identity { api_version: "apps/v1".into(), kind: "Deployment".into(), uid: "u-1".into() }
}

fn found(policy: &str, rule: &str, severity: Severity, second: i64) -> (Arc<str>, Found, Arc<Finding>) {
    let Identity { api_version, kind, uid } = identity();
    let finding = Finding {
        api_version,
        kind,
        uid,
        outcome: policy::Outcome::Fail,
        first_seen: at(second),
        nodes: [node("spec.a"), node("spec.b")].into(),
        fix: Some(FixStatus { outcome: "Planned".into(), ..FixStatus::default() }),
    };
    let place = Found { severity: Reverse(severity), key: key(Some("shop")), rule: rule.into() };
    (policy.into(), place, Arc::new(finding))
}

fn content(
    key: &ObjectKey,
    found: &[(Arc<str>, Found, Arc<Finding>)],
    others: &[(Arc<str>, policy::Outcome)],
) -> Option<Content> {
    let identity = identity();
    let findings =
        Findings { key, identity: &identity, found, others, filter: &[Outcome::Fail, Outcome::Error] };
    findings.content(|policy| (policy == "owners").then(|| "Ownership".into())).transpose().unwrap()
}

fn json(content: &Content) -> Value {
    serde_json::from_slice(&content.json).unwrap()
}

#[test]
fn a_report_is_the_objects_own_and_lists_what_fails_worst_first() {
    let found = [found("owners", "owner", Severity::Low, 7), found("images", "registry", Severity::High, 8)];
    let content = content(&key(Some("shop")), &found, &[]).unwrap();
    let report = json(&content);
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u-1"});
    assert_eq!(report["kind"], "Report");
    assert_eq!(report["metadata"]["name"], "watchpolicy-u-1");
    assert_eq!(report["metadata"]["namespace"], "shop");
    assert_eq!(report["metadata"]["labels"]["app.kubernetes.io/managed-by"], "watchpolicy");
    assert_eq!(report["metadata"]["ownerReferences"], json!([object]));
    assert_eq!(report["metadata"]["annotations"]["watchpolicy.io/resource"], "deployments.apps");
    assert_eq!(report["scope"]["uid"], "u-1");
    assert_eq!(report["summary"], json!({"pass": 0, "fail": 2, "warn": 0, "error": 0, "skip": 0}));
    let first = json!({
        "source": "watchpolicy", "policy": "images", "rule": "registry", "severity": "high", "result": "fail",
        "scored": true, "message": "spec.a", "timestamp": {"seconds": 1_800_000_008, "nanos": 0},
        "properties": {"path": "spec.a, spec.b", "fix": "Planned"},
    });
    assert_eq!(report["results"][0], first);
    assert_eq!(report["results"][1]["category"], "Ownership");
}

#[test]
fn the_report_on_a_cluster_scoped_object_is_a_cluster_report() {
    let report = json(&content(&key(None), &[found("owners", "owner", Severity::Low, 0)], &[]).unwrap());
    assert_eq!(report["kind"], "ClusterReport");
    assert_eq!(report["metadata"].get("namespace"), None);
}

#[test]
fn where_nothing_is_to_be_reported_there_is_no_report() {
    assert!(content(&key(None), &[], &[]).is_none());
    let others = [("owners".into(), policy::Outcome::Pass), ("images".into(), policy::Outcome::Skip)];
    let report = json(&content(&key(None), &[], &others).unwrap());
    assert_eq!(report["summary"], json!({"pass": 1, "fail": 0, "warn": 0, "error": 0, "skip": 1}));
    assert_eq!(report["results"][0].get("rule"), None);
}

#[test]
fn the_digest_tells_what_is_said_and_not_since_when() {
    let digest = |severity, second| {
        let content = content(&key(None), &[found("owners", "owner", severity, second)], &[]).unwrap();
        let annotation = json(&content)["metadata"]["annotations"][DIGEST].as_str().unwrap().to_owned();
        assert_eq!(parsed(&annotation), Some(content.digest));
        content.digest
    };
    assert_eq!(digest(Severity::Low, 1), digest(Severity::Low, 2));
    assert_ne!(digest(Severity::Low, 1), digest(Severity::High, 1));
    for unreadable in ["", "zz", "00", &"g".repeat(32), &"é".repeat(16)] {
        assert_eq!(parsed(unreadable), None);
    }
}

#[test]
fn a_report_has_a_bound_and_its_summary_counts_what_is_left_out() {
    let found: Vec<_> =
        (0..150).map(|n| found("owners", &format!("rule-{n:03}"), Severity::Low, n)).collect();
    let report = json(&content(&key(None), &found, &[]).unwrap());
    assert_eq!(report["results"].as_array().unwrap().len(), MAX_RESULTS);
    assert_eq!(report["summary"]["fail"], 150);
    assert_eq!(report["configuration"]["limits"]["maxResults"], MAX_RESULTS);
}

#[test]
fn whatever_a_uid_is_the_name_is_one_that_the_server_takes() {
    let name = |uid: &str| Place::of(&key(None), uid).name;
    assert_eq!(&*name("0c5e-41"), "watchpolicy-0c5e-41");
    for odd in ["", "A", "../x", "a-", "a b", &"u".repeat(300)] {
        let name = name(odd);
        assert_eq!(name.len(), "watchpolicy-".len() + 32, "{odd}");
    }
    assert_ne!(name("A"), name("B"));
}
