use serde_json::{Value, json};

use super::*;
use crate::crd::WatchPolicy;
use crate::policy::{Settings, compile};

/// A policy on ConfigMaps with these rules.
fn policy(rules: &Value) -> CompiledPolicy {
    let object = json!({
        "apiVersion": "watchpolicy.io/v1alpha1", "kind": "WatchPolicy", "metadata": {"name": "owners"},
        "spec": {"targets": [{"resources": ["configmaps", "pods"]}], "rules": rules},
    });
    compile(&serde_json::from_value::<WatchPolicy>(object).unwrap(), &Settings::default()).unwrap()
}

fn sets(name: &str, path: &str) -> Value {
    json!({"name": name, "path": path, "assert": {"equals": "x"}, "fix": {"set": "x"}})
}

fn entry(manager: &str, fields: &Value) -> Value {
    json!({"manager": manager, "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields})
}

fn fields_of_ours() -> Value {
    json!({
        "f:data": {"f:mode": {}},
        "f:metadata": {"f:annotations": {".": {}, "f:corp.io/owner": {}}, "f:labels": {"f:team": {}, "f:tier": {}}},
    })
}

fn object(entries: &Value) -> Value {
    json!({
        "metadata": {
            "uid": "u", "labels": {"team": "x", "tier": "x", "app": "web"}, "annotations": {"corp.io/owner": "x"},
            "managedFields": entries,
        },
        "data": {"mode": "x"},
    })
}

/// The object after a policy with these rules lets go of it; `None` where it has nothing to do.
fn after(object: &Value, rules: Option<&Value>, take_back: bool) -> Option<Value> {
    let written = rules.map(|rules| policy(rules).writes(&GroupResource::new("", "configmaps")));
    let (written, fences) = (written.unwrap_or_default(), Fences::default());
    let policies = ["owners".into()];
    let release = Release { policies: &policies, written: &written, take_back, fences: &fences };
    let object = Tree::from(object);
    let patch = release.as_patch("u", object.node())?;
    Some(serde_json::to_value(patch.apply(object.node()).unwrap()).unwrap())
}

#[test]
fn who_ended_takes_back_labels_and_annotations_and_leaves_other_fields() {
    let kubectl = entry("kubectl", &json!({"f:metadata": {"f:labels": {"f:app": {}}}}));
    let before = object(&json!([kubectl, entry("watchpolicy/owners", &fields_of_ours())]));
    let released = after(&before, None, true).unwrap();
    assert_eq!(released["metadata"]["labels"], json!({"app": "web"}));
    assert_eq!(released["metadata"]["annotations"], json!({}));
    assert_eq!(released["data"], json!({"mode": "x"}));
    assert_eq!(released["metadata"]["managedFields"], json!([kubectl]), "no ghost of a manager");

    let kept = after(&before, None, false).unwrap();
    assert_eq!(kept["metadata"]["managedFields"], json!([kubectl]));
    assert_eq!(
        (&kept["metadata"]["labels"], &kept["data"]),
        (&before["metadata"]["labels"], &before["data"])
    );
    assert_eq!(after(&released, None, true), None, "once");
}

#[test]
fn what_somebody_else_owns_as_well_stays() {
    let applied = json!({"manager": "argocd", "operation": "Apply", "fieldsV1": {"f:metadata": {"f:labels": {"f:team": {}}}}});
    let before = object(&json!([applied, entry("watchpolicy/owners", &fields_of_ours())]));
    let released = after(&before, None, true).unwrap();
    assert_eq!(released["metadata"]["labels"], json!({"app": "web", "team": "x"}));
}

#[test]
fn where_nobody_else_owns_anything_the_list_is_reset_and_not_emptied() {
    let before = object(&json!([entry("watchpolicy/owners", &fields_of_ours())]));
    assert_eq!(after(&before, None, false).unwrap()["metadata"]["managedFields"], json!([{}]));
}

#[test]
fn entries_of_others_of_status_and_of_applies_are_let_be() {
    let mut status = entry("watchpolicy/owners", &fields_of_ours());
    status["subresource"] = "status".into();
    let mut applied = entry("watchpolicy/owners", &fields_of_ours());
    applied["operation"] = "Apply".into();
    for other in [
        entry("watchpolicy/owners-two", &fields_of_ours()),
        entry("owners", &fields_of_ours()),
        status,
        applied,
    ] {
        assert_eq!(after(&object(&json!([other])), None, true), None, "{other}");
    }
}

#[test]
fn who_lost_a_rule_gives_back_what_that_rule_set_and_no_more() {
    let before =
        object(&json!([entry("kubectl", &json!({})), entry("watchpolicy/owners", &fields_of_ours())]));
    let rules = json!([sets("team", "$.metadata.labels.team"), sets("mode", "$.data.mode")]);
    let released = after(&before, Some(&rules), true).unwrap();
    assert_eq!(released["metadata"]["labels"], json!({"app": "web", "team": "x"}));
    assert_eq!(released["metadata"]["annotations"], json!({}));
    let left = json!({"f:data": {"f:mode": {}}, "f:metadata": {"f:labels": {"f:team": {}}}});
    assert_eq!(released["metadata"]["managedFields"][1]["fieldsV1"], left);
}

#[test]
fn who_has_all_its_rules_lets_go_of_nothing() {
    let before = object(&json!([entry("watchpolicy/owners", &fields_of_ours())]));
    let exact = json!([
        sets("team", "$.metadata.labels.team"),
        sets("tier", "$.metadata.labels['tier']"),
        sets("mode", "$.data.mode"),
        sets("owner", "$.metadata.annotations['corp.io/owner']"),
    ]);
    let any = json!([
        sets("labels", "$.metadata.labels.*"),
        sets("rest", "$.metadata.annotations.*"),
        sets("data", "$.data.*")
    ]);
    for rules in [exact, any] {
        assert_eq!(after(&before, Some(&rules), true), None, "{rules}");
        let written = policy(&rules).writes(&GroupResource::new("", "configmaps"));
        assert!(!lets_go(&fields_of_ours().to_string(), &written));
    }
    assert!(lets_go(&fields_of_ours().to_string(), &Projection::default()));
    assert!(
        lets_go("", &policy(&json!([sets("a", "$.a")])).writes(&GroupResource::new("", "pods"))),
        "unknown"
    );
}

#[test]
fn what_a_rule_may_write_in_elements_is_its_own() {
    let rules = json!([{
        "name": "pull", "forEach": "$containers", "path": "$.imagePullPolicy", "assert": {"equals": "Always"},
        "fix": {"set": "Always"},
    }]);
    let written = policy(&rules).writes(&GroupResource::new("", "pods"));
    let fields =
        |field: &str| json!({"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {field: {}}}}}).to_string();
    assert!(!lets_go(&fields("f:imagePullPolicy"), &written));
    assert!(lets_go(&fields("f:image"), &written));
    assert!(
        policy(&json!([sets("a", "$.a")])).writes(&GroupResource::new("", "secrets"))
            == Projection::default()
    );
}

#[test]
fn a_label_behind_a_fence_is_not_taken_back() {
    let fields = json!({"f:metadata": {"f:labels": {"f:pod-security.kubernetes.io/enforce": {}}}});
    let mut before = object(&json!([entry("kubectl", &json!({})), entry("watchpolicy/owners", &fields)]));
    before["metadata"]["labels"] = json!({"pod-security.kubernetes.io/enforce": "restricted"});
    let released = after(&before, None, true).unwrap();
    assert_eq!(released["metadata"]["labels"], before["metadata"]["labels"]);
    assert_eq!(released["metadata"]["managedFields"].as_array().unwrap().len(), 1);
}
