//! What is worth telling of the difference between two statuses of a policy; pure.

use super::announcement::{Announcement, Happening};
use crate::crd::{TargetState, TargetStatus, WatchPolicyStatus};
use crate::policy::PolicyEntry;

/// Targets that are named in one note; more are counted.
const NAMED: usize = 3;

/// What changed from the stored status to the one that takes its place.
pub(in super::super) fn changes(
    entry: &PolicyEntry,
    before: Option<&WatchPolicyStatus>,
    after: &WatchPolicyStatus,
) -> Vec<Announcement> {
    let all =
        validity(before, after).into_iter().chain(targets(before, after)).chain(enforcing(before, after));
    all.map(|(what, note)| Announcement::on_policy(entry, what, note)).collect()
}

type Told = (Happening, String);

/// Status, reason and message of a condition.
fn condition<'s>(status: &'s WatchPolicyStatus, kind: &str) -> Option<(&'s str, &'s str, &'s str)> {
    let found = status.conditions.iter().find(|condition| condition.type_ == kind)?;
    Some((&found.status, &found.reason, &found.message))
}

fn validity(before: Option<&WatchPolicyStatus>, after: &WatchPolicyStatus) -> Option<Told> {
    let before = before.and_then(|before| condition(before, "Validated"));
    match (before, condition(after, "Validated")?) {
        (Some(("False", _, old)), ("False", _, new)) if old == new => None,
        (_, ("False", reason, message)) => {
            let faults = message.replace('\n', "; ");
            Some((Happening::warning("Invalid", "Validate"), format!("{reason}: {faults}")))
        }
        (Some(("False", ..)), (_, _, message)) => {
            Some((Happening::normal("Valid", "Validate"), message.to_owned()))
        }
        _ => None,
    }
}

fn targets(before: Option<&WatchPolicyStatus>, after: &WatchPolicyStatus) -> Vec<Told> {
    let before = before.map(|before| &*before.targets).unwrap_or_default();
    let was = |target: &TargetStatus| {
        let same = |old: &&TargetStatus| old.group == target.group && old.resource == target.resource;
        before.iter().find(same).map(|old| old.state)
    };
    let told = [
        (TargetState::Forbidden, Happening::warning("TargetForbidden", "Watch")),
        (TargetState::Degraded, Happening::warning("TargetDegraded", "Watch")),
        (TargetState::Synced, Happening::normal("TargetSynced", "Watch")),
    ];
    let of_state = |(state, what): (TargetState, Happening)| {
        let turned = |target: &&TargetStatus| {
            let was = was(target);
            // That a new policy's targets become synced is what everybody expects.
            let is_news = was.is_some() || state != TargetState::Synced;
            target.state == state && was != Some(state) && is_news
        };
        let turned: Vec<_> = after.targets.iter().filter(turned).collect();
        (!turned.is_empty()).then(|| (what, named(&turned)))
    };
    told.into_iter().filter_map(of_state).collect()
}

/// The targets by name, and the first one's words.
fn named(targets: &[&TargetStatus]) -> String {
    let name = |target: &&TargetStatus| {
        crate::resource::GroupResource::new(target.group.as_str(), target.resource.as_str()).to_string()
    };
    let mut note = targets.iter().take(NAMED).map(name).collect::<Vec<_>>().join(", ");
    if targets.len() > NAMED {
        note.push_str(&format!(" and {} more", targets.len() - NAMED));
    }
    let words =
        targets.first().and_then(|target| target.message.as_deref()).filter(|words| !words.is_empty());
    note.extend(words.map(|words| format!(": {words}")));
    note
}

/// Whether the policy writes. One that is suspended or not valid says nothing of it, and does not.
fn enforcing(before: Option<&WatchPolicyStatus>, after: &WatchPolicyStatus) -> Option<Told> {
    let writes = |status| condition(status, "Enforcing").filter(|(status, ..)| *status == "True").is_some();
    match (before.is_some_and(writes), writes(after)) {
        (false, true) => Some((
            Happening::normal("EnforcementStarted", "Enforce"),
            "fixes are written from now on".to_owned(),
        )),
        (true, false) => {
            let (_, reason, message) = condition(after, "Enforcing")
                .or_else(|| condition(after, "Ready"))
                .unwrap_or(("", "Unknown", "nothing more is known"));
            let what = match reason {
                "Forbidden" | "Stopped" => Happening::warning("EnforcementStopped", "Enforce"),
                _ => Happening::normal("EnforcementStopped", "Enforce"),
            };
            Some((what, format!("{reason}: {message}")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::super::cases::running;
    use super::*;

    fn status(conditions: &[(&str, &str, &str)], targets: &[(&str, &str)]) -> WatchPolicyStatus {
        let condition = |(kind, status, reason): &(&str, &str, &str)| {
            json!({"type": kind, "status": status, "reason": reason, "message": format!("words of {reason}"),
                "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        let target = |(resource, state): &(&str, &str)| json!({"group": "apps", "resource": resource, "state": state, "message": format!("words of {state}")});
        let conditions: Vec<Value> = conditions.iter().map(condition).collect();
        let targets: Vec<Value> = targets.iter().map(target).collect();
        serde_json::from_value(json!({"conditions": conditions, "targets": targets})).unwrap()
    }

    fn told(before: Option<&WatchPolicyStatus>, after: &WatchPolicyStatus) -> Vec<(&'static str, String)> {
        let told = changes(&running("p"), before, after).into_iter();
        told.map(|announcement| (announcement.what.reason, announcement.note)).collect()
    }

    fn one(reason: &'static str, note: &str) -> Vec<(&'static str, String)> {
        vec![(reason, note.to_owned())]
    }

    #[test]
    fn a_policy_is_told_invalid_when_it_becomes_so_and_valid_only_after_that() {
        let valid = status(&[("Validated", "True", "Valid")], &[]);
        let invalid = status(&[("Validated", "False", "InvalidPath")], &[]);
        assert_eq!(told(None, &valid), []);
        let words = "InvalidPath: words of InvalidPath";
        assert_eq!(told(None, &invalid), one("Invalid", words));
        assert_eq!(told(Some(&valid), &invalid), one("Invalid", words));
        assert_eq!(told(Some(&invalid), &invalid), []);
        assert_eq!(told(Some(&invalid), &valid), one("Valid", "words of Valid"));
    }

    #[test]
    fn targets_are_told_when_they_turn_and_many_in_one_note() {
        let at = |state: &str| {
            status(
                &[],
                &[("deployments", state), ("statefulsets", state), ("daemonsets", state), ("x", state)],
            )
        };
        let note = "deployments.apps, statefulsets.apps, daemonsets.apps and 1 more: words of ";
        assert_eq!(told(None, &at("Forbidden")), one("TargetForbidden", &format!("{note}Forbidden")));
        assert_eq!(told(None, &at("Synced")), []);
        for (before, after, reason) in [
            ("Synced", "Degraded", Some("TargetDegraded")),
            ("Degraded", "Synced", Some("TargetSynced")),
            ("Forbidden", "Synced", Some("TargetSynced")),
            ("Synced", "Synced", None),
            ("Forbidden", "Listing", None),
            ("Absent", "Absent", None),
        ] {
            let expected: Vec<_> =
                reason.map(|reason| (reason, format!("{note}{after}"))).into_iter().collect();
            assert_eq!(told(Some(&at(before)), &at(after)), expected, "{before} {after}");
        }
    }

    #[test]
    fn enforcement_that_stops_says_why_and_for_whatever_reason() {
        let on = status(&[("Enforcing", "True", "Enforcing")], &[]);
        assert_eq!(told(None, &on), one("EnforcementStarted", "fixes are written from now on"));
        for (after, note) in [
            (status(&[("Enforcing", "False", "Stopped")], &[]), "Stopped: words of Stopped"),
            (status(&[("Ready", "True", "Suspended")], &[]), "Suspended: words of Suspended"),
            (status(&[], &[]), "Unknown: nothing more is known"),
        ] {
            assert_eq!(told(Some(&on), &after), one("EnforcementStopped", note));
        }
        let off = status(&[("Enforcing", "False", "Audit")], &[]);
        assert_eq!(told(None, &off), []);
        assert_eq!(told(Some(&off), &off), []);
    }
}
