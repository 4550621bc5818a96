//! What one object is to one policy: all that is kept of one without findings.

use std::cmp::Reverse;
use std::sync::Arc;

use super::finding::Place;
use crate::crd::Severity;
use crate::policy::{Grant, Judgement, Outcome, RuleVerdict, Verdict};
use crate::resource::ObjectKey;

/// A finding on an object: where it stands but for the key, and what it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) severity: Severity,
    pub(super) outcome: Outcome,
    rule: Arc<str>,
}

impl Mark {
    pub(super) fn place(&self, key: &ObjectKey) -> Place {
        Place { severity: Reverse(self.severity), key: key.clone(), rule: Arc::clone(&self.rule) }
    }
}

/// What one object is to one policy.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Excluded,
    Passed,
    Skipped,
    /// Skipped, since some of its defects are reported at its controller.
    Owned,
    /// With its findings.
    Failed(Box<[Mark]>),
    Errored(Box<[Mark]>),
    /// Of an object that exceptions fit: what it is, and what they do for it. Few are, and others pay nothing for it.
    Granted(Box<(Self, Box<[Grant]>)>),
}

impl Standing {
    pub(super) fn of(judgement: &Judgement) -> Option<Self> {
        let standing = Self::by_outcome(judgement)?;
        let Judgement::Judged(Verdict { grants, .. }) = judgement else { return Some(standing) };
        if grants.is_empty() {
            return Some(standing);
        }
        Some(Self::Granted(Box::new((standing, grants.as_slice().into()))))
    }

    fn by_outcome(judgement: &Judgement) -> Option<Self> {
        let verdict = match judgement {
            Judgement::NotTaken => return None,
            Judgement::Excluded { .. } => return Some(Self::Excluded),
            Judgement::Judged(verdict) => verdict,
        };
        let failing = verdict.rules.iter().filter(|rule| is_found(rule));
        let mark = |rule: &RuleVerdict| Mark {
            severity: rule.severity,
            outcome: rule.outcome,
            rule: Arc::clone(&rule.rule),
        };
        let places = || failing.map(mark).collect();
        Some(match verdict.outcome {
            Outcome::Pass => Self::Passed,
            Outcome::Skip if verdict.rules.iter().any(|rule| rule.owned) => Self::Owned,
            Outcome::Skip => Self::Skipped,
            Outcome::Fail => Self::Failed(places()),
            Outcome::Error => Self::Errored(places()),
        })
    }

    /// Where the finding of a rule stands, if there is one.
    pub(super) fn place(&self, key: &ObjectKey, rule: &str) -> Option<Place> {
        let found = self.places().iter().find(|mark| *mark.rule == *rule)?;
        Some(found.place(key))
    }

    pub(super) fn places(&self) -> &[Mark] {
        match self {
            Self::Excluded | Self::Passed | Self::Skipped | Self::Owned => &[],
            Self::Failed(places) | Self::Errored(places) => places,
            Self::Granted(granted) => granted.0.places(),
        }
    }

    /// What the policy says of the object; `None` where it leaves it out.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        Some(match self {
            Self::Excluded => return None,
            Self::Passed => Outcome::Pass,
            Self::Skipped | Self::Owned => Outcome::Skip,
            Self::Failed(_) => Outcome::Fail,
            Self::Errored(_) => Outcome::Error,
            Self::Granted(granted) => return granted.0.outcome(),
        })
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        size_of_val(self.places()) + size_of_val(self.grants())
    }

    pub(super) fn grants(&self) -> &[Grant] {
        match self {
            Self::Granted(granted) => &granted.1,
            _ => &[],
        }
    }

    /// Whether all that keeps it from passing is an exception.
    pub(super) fn is_excepted(&self) -> bool {
        matches!(self, Self::Granted(granted)
            if granted.0 == Self::Skipped && granted.1.iter().any(|grant| grant.needed))
    }
}

/// Whether a rule's verdict makes a finding.
pub(super) fn is_found(rule: &RuleVerdict) -> bool {
    matches!(rule.outcome, Outcome::Fail | Outcome::Error)
}
