use serde_json::{Value, json};

use super::*;
use crate::crd::WatchPolicy;
use crate::jsonpath::{Projection, TypeMeta};
use crate::policy::{Relative, Settings, Write, compile};

struct Nobody;

impl Relatives for Nobody {
    fn find(&self, _: &CompiledPolicy, _: &str, _: Option<&str>) -> Option<Relative> {
        None
    }
}

/// What is told of a fix in the pod template of a workload, planned by the whole object, and by what a watch shows of it.
fn told(resource: &GroupResource, spec: &Value) -> [Option<String>; 2] {
    let policy = json!({
        "apiVersion": "watchpolicy.io/v1alpha1",
        "kind": "WatchPolicy",
        "metadata": {"name": "p"},
        "spec": {
            "mode": "Plan",
            "targets": [{"group": &*resource.group, "resources": [&*resource.resource]}],
            "rules": [{"name": "r", "path": "$podSpec.hostname", "assert": {"equals": "a"}, "fix": {"set": "a"}}],
        },
    });
    let policy: WatchPolicy = serde_json::from_value(policy).unwrap();
    let policy = Arc::new(compile(&policy, &Settings::default()).unwrap());
    let roots = Arc::new(policy.roots(resource));
    let types = TypeMeta { api_version: "apps/v1".into(), kind: "Workload".into() };
    let mut read = Projection::default();
    policy.read(resource, &roots, &mut read);
    let mut whole = Projection::default();
    crate::jsonpath::Path::parse("$").iter().for_each(|object| whole.read(object, &Roots::default(), None));
    let decode = |hostname: &str, projection: &Projection| {
        let mut object = json!({"metadata": {"name": "w", "uid": "u"}, "spec": spec});
        let template = json!({"spec": {"hostname": hostname}});
        let at = if spec.get("jobTemplate").is_some() { "/spec/jobTemplate/spec" } else { "/spec" };
        object.pointer_mut(at).unwrap()["template"] = template;
        Arc::new(Document::decode(&object.to_string(), projection, &types).unwrap())
    };
    let known = decode("b", &read);
    let fixing = Fixing { policy, roots, namespace: None, known: Arc::clone(&known) };
    let fresh = |document| Fresh {
        resource,
        kind: "Workload",
        document,
        now: Timestamp::UNIX_EPOCH,
        relatives: &Nobody,
    };
    let (before, after) = (decode("b", &whole), decode("a", &whole));
    let planned = Proposal::new(&fixing, fresh(&before)).fixes_after(fresh(&after), true);
    let unverified = Proposal::new(&fixing, fresh(&known)).fixes(Remediation::NotVerified, None);
    let outcomes = [&planned, &unverified].map(|fixes| &*fixes[0].1.outcome);
    assert_eq!(outcomes, ["Planned", "NotVerified"]);
    [planned, unverified].map(|fixes| fixes[0].1.message.clone())
}

#[test]
fn pods_are_said_to_be_replaced_where_they_are() {
    let told = |group: &str, resource: &str, spec: Value| told(&GroupResource::new(group, resource), &spec);
    let rolls = Some(ROLLS.to_owned());
    assert_eq!(told("apps", "deployments", json!({})), [rolls.clone(), rolls.clone()]);
    for resource in ["statefulsets", "daemonsets"] {
        // What a watch shows says nothing of the update strategy.
        let may_roll = Some(MAY_ROLL.to_owned());
        let with = |strategy| told("apps", resource, json!({"updateStrategy": {"type": strategy}}));
        assert_eq!(with("RollingUpdate"), [rolls.clone(), may_roll.clone()]);
        assert_eq!(with("OnDelete"), [None, may_roll]);
    }
    assert_eq!(told("apps", "replicasets", json!({})), [None, None]);
    assert_eq!(told("batch", "cronjobs", json!({"jobTemplate": {"spec": {}}})), [None, None]);
}

fn mend(path: &str) -> Mend {
    let change = Change { place: Pointer::default(), judged: None, write: Write::Remove, source: None };
    Mend { rule: "r".into(), path: path.into(), from: None, to: None, change: Ok(change) }
}

#[test]
fn a_place_that_was_not_mended_speaks_for_its_rule_and_the_others_are_counted() {
    let (one, two) = (mend("a"), mend("b"));
    let told = |mend, outcome, why: Option<&str>| Told { mend, outcome, why: why.map(Box::from) };
    let mended = told(&one, Remediation::Fixed, None);
    let refused = told(&two, Remediation::NotAllowed, Some("no fix writes it"));
    let fix = in_one(&[mended, refused]).unwrap();
    assert_eq!((fix.outcome.as_str(), fix.path.as_deref()), ("NotAllowed", Some("b")));
    assert_eq!(fix.message.as_deref(), Some("no fix writes it; its 2 places: Fixed 1, NotAllowed 1"));
    let alike = [told(&one, Remediation::Fixed, None), told(&two, Remediation::Fixed, None)];
    assert_eq!(in_one(&alike).unwrap().message, None);
}
