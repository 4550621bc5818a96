//! What the running watches mean for the targets of a policy.

use std::sync::Arc;

use super::board::TargetReport;
use super::fleet::{Running, Stand};
use super::informer::Phase;
use crate::crd::TargetState;
use crate::policy::demand::{PolicyTarget, WatchSpec};
use crate::resource::Gvr;

/// How one watch stands, in the contract's words.
pub(super) fn state(phase: &Phase) -> TargetState {
    match phase {
        Phase::Listing => TargetState::Listing,
        Phase::Synced => TargetState::Synced,
        Phase::Forbidden { .. } => TargetState::Forbidden,
        Phase::Absent => TargetState::Absent,
        Phase::Degraded(_) | Phase::LimitExceeded(_) => TargetState::Degraded,
    }
}

/// Of several watches of one target, the one that needs attention most speaks for all.
fn urgency(state: TargetState) -> u8 {
    match state {
        TargetState::Synced => 0,
        TargetState::Stopping => 1,
        TargetState::Resolving => 2,
        TargetState::Listing => 3,
        TargetState::Degraded => 4,
        TargetState::Absent => 5,
        TargetState::Forbidden => 6,
    }
}

/// Reports a target that was found, by the watches that serve the policy.
pub(super) fn report<'r>(
    policy: &Arc<str>,
    target: &PolicyTarget,
    found: &Gvr,
    running: impl Iterator<Item = &'r Running>,
) -> TargetReport {
    let running: Vec<_> = running.collect();
    let of_policy: Vec<_> = running
        .iter()
        .copied()
        .filter(|running| {
            running.spec.resource.resource == found.resource && running.spec.program(policy).is_some()
        })
        .collect();
    let generation = |running: &&Running| running.spec.program(policy).map(|(program, _)| program.generation);
    // Nobody is judged by what has shown nothing yet.
    let judging = of_policy.iter().filter(|running| running.has_shown()).filter_map(generation).min();
    let current: Vec<_> = of_policy
        .iter()
        .copied()
        .filter(|running| running.role.is_current() && running.spec.resource == *found)
        .collect();
    let stands = scopes(target, &current);
    let worst = stands.iter().max_by_key(|(_, stand)| urgency(state(&stand.phase)));
    let limited = worst.is_some_and(|(_, stand)| matches!(stand.phase, Phase::LimitExceeded(_)));
    let mut own = match worst {
        None => (TargetState::Resolving, jiff::Timestamp::UNIX_EPOCH, None),
        Some((running, stand)) => (state(&stand.phase), stand.since, message(running, stand, &stands)),
    };
    if target.needs_namespaces {
        let namespaces = namespaces(policy, &running);
        if urgency(namespaces.0) > urgency(own.0) {
            own = namespaces;
        }
    }
    let (state, since, message) = own;
    let message =
        message.or_else(|| if state == TargetState::Synced { remark(target, &running) } else { None });
    TargetReport {
        group: Arc::clone(&target.resource.group),
        resource: Arc::clone(&target.resource.resource),
        version: Some(Arc::clone(&found.version)),
        state,
        limited: limited && state == TargetState::Degraded,
        mismatched: false,
        generation: judging.or_else(|| current.iter().filter_map(generation).min()).unwrap_or_default(),
        since,
        message,
    }
}

/// What whoever wrote the policy should know of a target that is followed.
fn remark(target: &PolicyTarget, running: &[&Running]) -> Option<Arc<str>> {
    let PolicyTarget { resource, lacks_pod, left_out, between, unknown, .. } = target;
    if *lacks_pod {
        let words = format!(
            "where {resource} has its pod is not known: say it by `pod`, or target it in another policy"
        );
        return Some(words.into());
    }
    if !left_out.is_empty() {
        let words = "are left out, since the policy does not say `systemNamespaces: Include`";
        return Some(format!("the system namespaces {} {words}", left_out.join(", ")).into());
    }
    let refused = running.iter().filter(|running| between.contains(&running.spec.resource));
    refused
        .filter_map(|running| match &running.stand.borrow().phase {
            Phase::Forbidden { verb } => {
                Some(cure(&running.spec, verb, running.spec.namespace.as_deref().as_slice()))
            }
            _ => None,
        })
        .map(|cure| format!("objects that a controller made are reported beside it: {cure}").into())
        .next()
        .or_else(|| unknown.clone())
}

/// How the Namespaces of the policy's objects stand, in words about what they are needed for.
fn namespaces(policy: &Arc<str>, running: &[&Running]) -> (TargetState, jiff::Timestamp, Option<Arc<str>>) {
    let around = |running: &&&Running| running.role.is_current() && running.spec.is_around(policy);
    let Some(found) = running.iter().find(around) else {
        return (TargetState::Resolving, jiff::Timestamp::UNIX_EPOCH, Some(WAITS.into()));
    };
    let stand = found.stand.borrow().clone();
    let state = state(&stand.phase);
    let words = match (state, message(found, &stand, &[])) {
        (TargetState::Synced, _) => None,
        (_, None) => Some(WAITS.into()),
        (_, Some(why)) => Some(format!("{WAITS}: {why}").into()),
    };
    (state, stand.since, words)
}

/// Why a target is not synced though its own watch may be.
const WAITS: &str = "the policy reads the Namespaces of its objects, and these are not known yet";

/// For each place where the policy looks, the watch that sees it best.
fn scopes<'r>(target: &PolicyTarget, current: &[&'r Running]) -> Vec<(&'r Running, Stand)> {
    let best = |namespace: Option<&Arc<str>>| {
        current
            .iter()
            .filter(|running| {
                running.spec.namespace.is_none() || running.spec.namespace.as_ref() == namespace
            })
            .map(|running| (*running, running.stand.borrow().clone()))
            // Of those that are refused, the one that asks for the least.
            .min_by_key(|(running, stand)| (urgency(state(&stand.phase)), running.spec.namespace.is_none()))
    };
    match &target.namespaces {
        None => best(None).into_iter().collect(),
        Some(named) => named.iter().filter_map(|namespace| best(Some(namespace))).collect(),
    }
}

fn message(running: &Running, stand: &Stand, all: &[(&Running, Stand)]) -> Option<Arc<str>> {
    match &stand.phase {
        Phase::Listing | Phase::Synced => None,
        Phase::Degraded(why) | Phase::LimitExceeded(why) => Some(why.as_str().into()),
        Phase::Absent => Some("the server does not serve it at this moment; it is asked again".into()),
        Phase::Forbidden { verb } => {
            let refused = all.iter().filter(|(_, stand)| matches!(stand.phase, Phase::Forbidden { .. }));
            let namespaces: Vec<_> =
                refused.filter_map(|(running, _)| running.spec.namespace.as_deref()).collect();
            Some(cure(&running.spec, verb, &namespaces).into())
        }
    }
}

/// Which right is missing where, and the one way to give it that does in every installation.
fn cure(spec: &WatchSpec, verb: &str, namespaces: &[&str]) -> String {
    let resource = &spec.resource.resource;
    let (place, role) = match namespaces {
        [] if spec.served.namespaced => (" in all namespaces".to_owned(), "ClusterRole"),
        [] => (String::new(), "ClusterRole"),
        [one] => (format!(" in namespace {one}"), "Role there"),
        many => (format!(" in the namespaces {}", many.join(", ")), "Role in each of them"),
    };
    format!(
        "the operator may not {verb} {resource}{place}; give it by a {role}, bound to its ServiceAccount (shorter ways: \
         docs/rbac.md): {{apiGroups: [\"{}\"], resources: [\"{}\"], verbs: [\"list\", \"watch\"]}}",
        resource.group, resource.resource
    )
}
