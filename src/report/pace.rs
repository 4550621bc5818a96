//! When the status of one policy is due.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::crd::{TargetState, WatchPolicyStatus};
use crate::observe::board::TargetReport;
use crate::policy::PolicyEntry;

/// From the first change of a quiet time to its write: long enough to take the rest of a burst along.
const QUIET: Duration = Duration::from_millis(200);
/// For so long the status of an earlier run stands while the targets are listed anew.
const RESTART: Duration = Duration::from_secs(60);
/// For so long the first status of a new policy or an edit waits for the targets: a page without verdicts would take
/// the place of the one that people wait for.
const FIRST_PAGE: Duration = Duration::from_secs(1);
/// The waits after failed writes.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(30) };

/// The pace of one policy.
pub(super) struct Pace {
    /// The policy as its watch showed it last.
    pub(super) entry: Arc<PolicyEntry>,
    /// The status that the server is taken to hold: what was shown last, or written after.
    pub(super) believed: Option<Arc<WatchPolicyStatus>>,
    /// A write is under way; the next waits for its end.
    in_flight: bool,
    due: Option<Instant>,
    /// When time alone changes what the status says.
    again: Option<Instant>,
    not_before: Option<Instant>,
    failures: u32,
    /// While the targets are not known, the status is left as it is until then.
    waits_until: Option<Instant>,
}

impl Pace {
    /// Of a policy that is met for the first time, with the status that it has.
    pub(super) fn new(
        entry: Arc<PolicyEntry>,
        believed: Option<Arc<WatchPolicyStatus>>,
        now: Instant,
    ) -> Self {
        let current =
            believed.as_ref().and_then(|status| status.observed_generation) == Some(entry.generation);
        Self {
            entry,
            believed,
            in_flight: false,
            due: Some(now + QUIET),
            again: None,
            not_before: None,
            failures: 0,
            waits_until: Some(now + if current { RESTART } else { FIRST_PAGE }),
        }
    }

    /// The policy may have changed.
    pub(super) fn meet(&mut self, entry: &Arc<PolicyEntry>, now: Instant) {
        if Arc::ptr_eq(&self.entry, entry) {
            return;
        }
        if self.entry.generation != entry.generation {
            self.waits_until = Some(now + FIRST_PAGE);
        }
        self.entry = Arc::clone(entry);
        self.mark(now);
    }

    /// The watch shows another status than before: the one that was written, or somebody else's.
    pub(super) fn shown(&mut self, status: Option<Arc<WatchPolicyStatus>>, now: Instant) {
        if self.believed != status {
            self.believed = status;
            self.mark(now);
        }
    }

    /// Whether to wait once more, because the targets are not known yet.
    pub(super) fn waits_for(&mut self, targets: Option<&[TargetReport]>, now: Instant) -> bool {
        let unknown =
            |report: &TargetReport| matches!(report.state, TargetState::Resolving | TargetState::Listing);
        let known = targets.is_some_and(|targets| !targets.iter().any(unknown));
        let waits =
            self.entry.running().is_some() && !known && self.waits_until.is_some_and(|until| now < until);
        if waits {
            self.due = Some(now + QUIET);
        } else {
            self.waits_until = None;
        }
        waits
    }

    /// Something changed.
    pub(super) fn mark(&mut self, now: Instant) {
        if self.due.is_none() {
            let soon = now + QUIET;
            self.due = Some(self.not_before.map_or(soon, |not_before| soon.max(not_before)));
        }
    }

    /// Due at once: the process ends.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.due = Some(now);
    }

    /// When to write, unless a write is under way.
    pub(super) fn due(&self) -> Option<Instant> {
        let again = self.again.map(|again| self.not_before.map_or(again, |not_before| again.max(not_before)));
        if self.in_flight { None } else { self.due.into_iter().chain(again).min() }
    }

    /// What the status says is to be looked at again then, though nothing changes.
    pub(super) fn look_again(&mut self, at: Option<Instant>) {
        self.again = at;
    }

    /// It is being looked at now.
    pub(super) fn taken(&mut self) {
        self.due = None;
        self.again = None;
    }

    /// A write was sent.
    pub(super) fn sent(&mut self, now: Instant, interval: Duration) {
        self.in_flight = true;
        self.not_before = Some(now + interval);
    }

    /// A write was stored.
    pub(super) fn stored(&mut self, status: Arc<WatchPolicyStatus>) {
        self.in_flight = false;
        self.failures = 0;
        self.believed = Some(status);
    }

    /// A write was cut off: whoever leads next has it to do.
    pub(super) fn interrupted(&mut self, now: Instant) {
        self.in_flight = false;
        self.due = Some(now);
    }

    /// A write failed and is to be tried again.
    pub(super) fn failed(&mut self, now: Instant) {
        self.in_flight = false;
        self.failures = self.failures.saturating_add(1);
        let again = now + BACKOFF.wait(self.failures);
        self.not_before = Some(self.not_before.map_or(again, |not_before| again.max(not_before)));
        self.due = self.not_before;
    }
}
