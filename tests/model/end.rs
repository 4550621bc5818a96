//! What a run comes to, without what differs from run to run.

use serde_json::{Value, json};

use crate::api::State;
use crate::cluster::KINDS;
use crate::editions::Edition;
use crate::fields;

/// The objects, who owns what of them, what the policies' statuses say, and which kinds the Lease names; without what
/// follows from when exactly a policy was seen to end, or to go on.
pub(crate) fn end(state: &State) -> Value {
    let editions = &state.law.editions;
    let open = editions.open(&state.law.others);
    let objects = state.cluster.judged().map(|object| {
        let is_read = |at: &str| {
            ["/metadata/labels/", "/metadata/annotations/", "/data/"]
                .iter()
                .any(|place| at.starts_with(place))
        };
        let mut values = fields::leaves(object);
        values.retain(|at, _| is_read(at) && !open.contains(at));
        let mut owned = fields::owned(object);
        for (manager, of_manager) in &mut owned {
            of_manager.retain(|at| !open.contains(at) && !editions.may_lack(manager, at));
        }
        owned.retain(|_, of_manager| !of_manager.is_empty());
        json!({"name": object["metadata"]["name"], "values": values, "owned": owned})
    });
    let policies = state.cluster.list("watchpolicies").map(|policy| {
        let (name, finalizers) = (&policy["metadata"]["name"], &policy["metadata"]["finalizers"]);
        let status = &policy["status"];
        let status = match editions.is_open(name.as_str().unwrap(), &state.law.others) {
            true => json!({"observedGeneration": status["observedGeneration"]}),
            false => without_times(status),
        };
        json!({"name": name, "finalizers": finalizers, "status": status})
    });
    let (objects, policies): (Vec<_>, Vec<_>) = (objects.collect(), policies.collect());
    json!({"objects": objects, "policies": policies, "record": record(state)})
}

/// The kinds that the Lease names, and to which no policy writes. Whether one to which policies write is named depends on
/// when they were last seen to begin, where nothing is left.
fn record(state: &State) -> Vec<&str> {
    let writes = |kind: &str| {
        state.cluster.list("watchpolicies").any(|policy| {
            let spec = &policy["spec"];
            spec["mode"] == "Enforce" && spec["suspend"] != true && spec["targets"][0]["resources"][0] == kind
        })
    };
    state.record().split(',').filter(|kind| !kind.is_empty() && !writes(kind)).collect()
}

/// What is there of policies that do not want it: fields in their entries, and finalizers; and where something is left
/// that the Lease does not name.
pub(crate) fn ghosts(state: &State) -> Vec<String> {
    let wants = |manager: &str, at: &str| state.law.editions.last(manager).is_some_and(|last| last.wants(at));
    let of_object = |object: &Value| {
        let ours =
            fields::owned(object).into_iter().filter(|(manager, _)| manager.starts_with("watchpolicy/"));
        let fields = ours.flat_map(|(manager, owned)| owned.into_iter().map(move |at| (manager.clone(), at)));
        fields.filter(|(manager, at)| !wants(manager, at)).collect::<Vec<_>>()
    };
    let fields = state.cluster.judged().flat_map(of_object);
    let fields = fields.map(|(manager, at)| format!("{at} is left to {manager}"));
    let holds = |policy: &&Value| {
        let edition = Edition::of(policy);
        edition.is_held && !edition.is_to_be_held()
    };
    let held = state.cluster.list("watchpolicies").filter(holds);
    let held = held.map(|policy| format!("a finalizer is left to {}", policy["metadata"]["name"]));
    let is_ours =
        |object: &Value| fields::owned(object).keys().any(|manager| manager.starts_with("watchpolicy/"));
    let is_named = |kind: &str| state.record().split(',').any(|named| named == kind);
    let unnamed = KINDS.iter().filter(|(kind, _)| !is_named(kind) && state.cluster.list(kind).any(is_ours));
    let unnamed = unnamed.map(|(kind, _)| format!("the Lease does not name {kind}"));
    fields.chain(held).chain(unnamed).collect()
}

/// A status without when things happened, and without uids.
fn without_times(status: &Value) -> Value {
    const TIMES: [&str; 5] = ["lastTransitionTime", "lastEvaluated", "firstSeen", "since", "uid"];
    match status {
        Value::Object(members) => {
            let members = members.iter().filter(|(name, _)| !TIMES.contains(&name.as_str()));
            Value::Object(members.map(|(name, value)| (name.clone(), without_times(value))).collect())
        }
        Value::Array(elements) => elements.iter().map(without_times).collect(),
        other => other.clone(),
    }
}

/// What one has and the other has not.
pub(crate) fn difference(wanted: &Value, found: &Value) -> String {
    let (wanted, found) = (fields::leaves(&with_indices(wanted)), fields::leaves(&with_indices(found)));
    let all: std::collections::BTreeSet<_> = wanted.keys().chain(found.keys()).collect();
    let differs = all.into_iter().filter(|at| wanted.get(*at) != found.get(*at));
    let said = differs.map(|at| format!("{at}: {:?} and not {:?}", found.get(at), wanted.get(at)));
    said.collect::<Vec<_>>().join("; ")
}

/// Arrays as objects, so that each element is a field.
fn with_indices(value: &Value) -> Value {
    match value {
        Value::Array(elements) => {
            let members =
                elements.iter().enumerate().map(|(at, value)| (at.to_string(), with_indices(value)));
            Value::Object(members.collect())
        }
        Value::Object(members) => {
            Value::Object(members.iter().map(|(name, value)| (name.clone(), with_indices(value))).collect())
        }
        other => other.clone(),
    }
}
