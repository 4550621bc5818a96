//! One thing to be told.

use std::sync::Arc;

use crate::ledger::{Finding, News, Turn};
use crate::metrics::Remediation;
use crate::policy::{Outcome, PolicyEntry};
use crate::resource::ObjectKey;

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Subject {
    pub(super) api_version: Arc<str>,
    pub(super) kind: Arc<str>,
    pub(super) namespace: Option<Arc<str>>,
    pub(super) name: Arc<str>,
    pub(super) uid: Arc<str>,
}

impl Subject {
    fn policy(name: &Arc<str>, uid: &Arc<str>) -> Self {
        let (name, uid) = (Arc::clone(name), Arc::clone(uid));
        Self {
            api_version: "watchpolicy.io/v1alpha1".into(),
            kind: "WatchPolicy".into(),
            namespace: None,
            name,
            uid,
        }
    }

    fn object(key: &ObjectKey, finding: &Finding) -> Self {
        Self {
            api_version: Arc::clone(&finding.api_version),
            kind: Arc::clone(&finding.kind),
            namespace: key.object.namespace.clone(),
            name: Arc::clone(&key.object.name),
            uid: Arc::clone(&finding.uid),
        }
    }
}

/// Whether somebody should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Weight {
    Normal,
    Warning,
}

/// What happened, in one word of a closed set, and what the operator was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Happening {
    pub(super) weight: Weight,
    pub(super) reason: &'static str,
    pub(super) action: &'static str,
}

impl Happening {
    pub(super) const fn normal(reason: &'static str, action: &'static str) -> Self {
        Self { weight: Weight::Normal, reason, action }
    }

    pub(super) const fn warning(reason: &'static str, action: &'static str) -> Self {
        Self { weight: Weight::Warning, reason, action }
    }
}

/// Something to be told. Two that are equal are one, told twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::report) struct Announcement {
    /// Whose budget pays for it.
    pub(super) policy: Arc<str>,
    pub(super) regarding: Subject,
    pub(super) related: Option<Subject>,
    pub(super) what: Happening,
    pub(super) note: String,
}

impl Announcement {
    /// About a policy.
    pub(super) fn on_policy(entry: &PolicyEntry, what: Happening, note: impl Into<String>) -> Self {
        Self {
            policy: Arc::clone(&entry.name),
            regarding: Subject::policy(&entry.name, &entry.uid),
            related: None,
            what,
            note: note.into(),
        }
    }

    /// What news of the ledger say: of a fix that rests on the policy, and on the object where that is wanted.
    pub(super) fn of_news(news: &News, entry: &PolicyEntry, on_resources: bool) -> Vec<Self> {
        let mut told = Vec::new();
        told.extend(resting_fix(news, entry));
        if on_resources {
            told.extend(on_object(news));
        }
        told
    }
}

/// What became of a fix that is not tried again soon.
fn resting_fix(news: &News, entry: &PolicyEntry) -> Option<Announcement> {
    let fix = news.finding.fix.as_ref().filter(|_| news.turn == Turn::Fix)?;
    let is = |outcome: Remediation| fix.outcome == outcome.as_str();
    let reason = if is(Remediation::Contested) {
        "FixContested"
    } else if is(Remediation::Refused) {
        "FixRefused"
    } else if is(Remediation::Ineffective) {
        "FixIneffective"
    } else {
        return None;
    };
    let key = &news.place.key;
    let why = fix.message.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
    let note = format!("{key}, rule {}{why}", news.place.rule);
    let announcement = Announcement::on_policy(entry, Happening::warning(reason, "Fix"), note);
    Some(Announcement { related: Some(Subject::object(key, &news.finding)), ..announcement })
}

fn on_object(news: &News) -> Option<Announcement> {
    let News { policy, place, finding, turn } = news;
    let is_fixed = finding.fix.as_ref().is_some_and(|fix| fix.outcome == Remediation::Fixed.as_str());
    let words = finding.nodes.first().map(|node| node.message.trim_end()).unwrap_or_default();
    let (what, words) = match turn {
        Turn::Began if finding.outcome == Outcome::Error => {
            (Happening::warning("CannotBeJudged", "Judge"), words)
        }
        Turn::Began => (Happening::warning("ViolationBegan", "Judge"), words),
        // Told when the fix was.
        Turn::Ended if is_fixed => return None,
        Turn::Ended => (Happening::normal("ViolationEnded", "Judge"), "does not fail any more"),
        Turn::Fix if is_fixed => (Happening::normal("Fixed", "Fix"), "was fixed"),
        Turn::Fix => return None,
    };
    Some(Announcement {
        policy: Arc::clone(policy),
        regarding: Subject::object(&place.key, finding),
        related: None,
        what,
        note: format!("policy {policy}, rule {}: {words}", place.rule),
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::cases::{at, node, running};
    use super::*;
    use crate::crd::{FixStatus, Severity};
    use crate::ledger::Place;
    use crate::resource::{GroupResource, ObjectName};

    fn news(turn: Turn, outcome: Outcome, fix: Option<&str>) -> News {
        let object = ObjectName { namespace: Some("shop".into()), name: "web".into() };
        let key = ObjectKey { resource: GroupResource::new("apps", "deployments"), object };
        let finding = Finding {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            uid: "u-1".into(),
            outcome,
            first_seen: at(0),
            nodes: [node("spec.replicas is 1")].into(),
            fix: fix.map(|outcome| FixStatus { outcome: outcome.into(), ..FixStatus::default() }),
        };
        let place = Place { severity: std::cmp::Reverse(Severity::High), key, rule: "owner".into() };
        News { policy: "p".into(), place, finding: Arc::new(finding), turn }
    }

    /// The reasons told of these news, with the kind that each is about.
    fn told(news: &News, on_resources: bool) -> Vec<(&'static str, String)> {
        let told = Announcement::of_news(news, &running("p"), on_resources);
        told.into_iter().map(|one| (one.what.reason, one.regarding.kind.to_string())).collect()
    }

    #[test]
    fn fixes_that_rest_are_told_on_the_policy_and_others_are_not() {
        for (outcome, reason) in [
            ("Contested", Some("FixContested")),
            ("Refused", Some("FixRefused")),
            ("Ineffective", Some("FixIneffective")),
            ("Planned", None),
            ("Throttled", None),
            ("Fixed", None),
        ] {
            let told = told(&news(Turn::Fix, Outcome::Fail, Some(outcome)), false);
            let expected: Vec<_> =
                reason.map(|reason| (reason, "WatchPolicy".to_owned())).into_iter().collect();
            assert_eq!(told, expected, "{outcome}");
        }
    }

    #[test]
    fn objects_have_events_only_where_they_are_asked_for() {
        let deployment = |reason| vec![(reason, "Deployment".to_owned())];
        for (news, expected) in [
            (news(Turn::Began, Outcome::Fail, None), deployment("ViolationBegan")),
            (news(Turn::Began, Outcome::Error, None), deployment("CannotBeJudged")),
            (news(Turn::Ended, Outcome::Fail, None), deployment("ViolationEnded")),
            (news(Turn::Fix, Outcome::Fail, Some("Fixed")), deployment("Fixed")),
            (news(Turn::Ended, Outcome::Fail, Some("Fixed")), vec![]),
        ] {
            assert_eq!(told(&news, true), expected, "{news:?}");
            assert_eq!(told(&news, false), [], "{news:?}");
        }
    }
}
