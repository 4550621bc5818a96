//! What the policies want, and how somebody changes it.

use serde_json::{Value, json};

use crate::cluster::KINDS;

/// The policies that there are from the beginning.
pub(crate) const FIRST: [&str; 7] = ["owners", "good", "clean", "tiers", "yields", "fades", LONE];
/// The policy that alone names its kind.
pub(crate) const LONE: &str = "lone";

/// What somebody does with a policy.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Edit {
    /// Makes it, once there is none of its name; what its rule writes is this.
    Make(&'static str),
    Delete,
    Suspend(bool),
    Mode(&'static str),
    OnDelete(&'static str),
    /// Its rule wants another value.
    Want(&'static str),
    /// It has a second rule, or has it no more.
    More,
    Fewer,
}

impl Edit {
    /// Carries it out on what a policy says, where that is all there is to it.
    pub(crate) fn change(self, spec: &mut Value) {
        match self {
            Self::Make(_) | Self::Delete => {}
            Self::Suspend(suspend) => spec["suspend"] = suspend.into(),
            Self::Mode(mode) => spec["mode"] = mode.into(),
            Self::OnDelete(on_delete) => spec["enforcement"]["onDelete"] = on_delete.into(),
            Self::Want(value) => want(&mut spec["rules"][0], value),
            Self::More => spec["rules"].as_array_mut().unwrap().push(rule("more")),
            Self::Fewer => spec["rules"].as_array_mut().unwrap().retain(|rule| rule["name"] != "more"),
        }
    }
}

/// A policy as it is at first.
pub(crate) fn policy(name: &str) -> Value {
    let mode = if name == "tiers" { "Plan" } else { "Enforce" };
    let on_delete = if ["fades", "late"].contains(&name) { "Release" } else { "Keep" };
    let on_conflict = if name == "yields" { "Yield" } else { "Overwrite" };
    let (resource, _) = KINDS[usize::from(name == LONE)];
    json!({
        "apiVersion": "watchpolicy.io/v1alpha1",
        "kind": "WatchPolicy",
        "metadata": {"name": name, "generation": 1},
        "spec": {
            "mode": mode,
            "targets": [{"resources": [resource]}],
            "rules": [rule(name)],
            "enforcement": {"maxPerMinute": 6000, "onConflict": on_conflict, "onDelete": on_delete},
        },
    })
}

/// The same with a rule that wants another value.
pub(crate) fn policy_that_wants(name: &str, value: &str) -> Value {
    let mut policy = policy(name);
    want(&mut policy["spec"]["rules"][0], value);
    policy
}

fn want(rule: &mut Value, value: &str) {
    rule["fix"]["set"] = value.into();
    if let Some(equals) = rule["assert"].get_mut("equals") {
        *equals = value.into();
    }
}

fn rule(name: &str) -> Value {
    let (path, assert, fix) = match name {
        "owners" => (
            "$.metadata.annotations['corp.io/owner']",
            json!({"like": "*@corp.com"}),
            json!({"set": "nobody@corp.com"}),
        ),
        "good" => ("$.data.a", json!({"equals": "good"}), json!({"set": "good"})),
        "clean" => ("$.data.debug", json!({"exists": false}), json!({"remove": true})),
        "tiers" => ("$.metadata.labels.tier", json!({"in": ["gold"]}), json!({"set": "gold"})),
        "yields" => ("$.data.y", json!({"equals": "ours"}), json!({"set": "ours"})),
        "fades" => ("$.metadata.annotations.fades", json!({"exists": true}), json!({"set": "on"})),
        "late" => ("$.metadata.annotations.late", json!({"exists": true}), json!({"set": "on"})),
        "more" => ("$.metadata.annotations.more", json!({"exists": true}), json!({"set": "on"})),
        _ => ("$.metadata.annotations.lone", json!({"exists": true}), json!({"set": "on"})),
    };
    json!({"name": name, "path": path, "assert": assert, "fix": fix})
}
