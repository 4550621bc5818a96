//! The task that brings statuses to the server: soon after a change, seldom when changes do not end, never without one.
//!
//! What bounds it: one [`Pace`] for each policy, and [`MAX_WRITES`] writes under way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::conditions::Writes;
use super::events::{Announcement, Announcer, changes};
use super::finalizer;
use super::pace::Pace;
use super::patch::{StatusPatch, StatusStore, WriteFault};
use super::status::{View, render};
use crate::crd::TargetState;
use crate::crd::WatchPolicyStatus;
use crate::crd::status::MAX_VIOLATIONS;
use crate::leader::{Leadership, Permit};
use crate::ledger::Ledger;
use crate::metrics::{Metrics, ReportWrite};
use crate::observe::board::{Board, TargetReport};
use crate::policy::{PolicyEntry, PolicySet};
use crate::resource::GroupResource;

/// Writes under way at once.
const MAX_WRITES: usize = 8;
/// How long one write may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the last writes together may take at the end.
const FLUSH: Duration = Duration::from_secs(6);

/// How long to wait at most for what time alone changes.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// How soon is looked again at a policy that takes back what it wrote.
const SOON: Duration = Duration::from_secs(1);

/// On how many objects the policy of a name has left something that it takes back.
pub type Left = Arc<dyn Fn(&str) -> u64 + Send + Sync>;

/// What the writer is told once.
#[derive(Clone)]
pub struct Settings {
    /// The shortest time between two writes of one policy.
    pub interval: Duration,
    /// Whether the operator was started with `--allow-enforce`.
    pub allow_enforce: bool,
    /// What policies that end have left.
    pub left: Left,
}

/// Where the policies and their targets are read.
struct Sources {
    set: watch::Receiver<Arc<PolicySet>>,
    board: watch::Receiver<Arc<Board>>,
}

/// Writes the status of every policy. It also keeps the ledger to the policies that run: only they have verdicts.
pub struct StatusWriter<S> {
    store: Arc<S>,
    ledger: Arc<Ledger>,
    metrics: Arc<Metrics>,
    settings: Settings,
    leadership: Leadership,
    announcer: Announcer,
    /// As it was when policies were last marked by it.
    stopped: bool,
    paces: BTreeMap<Arc<str>, Pace>,
    /// The board as it was when policies were last marked by it.
    board: Arc<Board>,
    /// The set of policies that was met last.
    revision: u64,
    writes: JoinSet<Write>,
}

/// A write that ended: what was sent, what it changes that is worth telling, and what became of it.
struct Write {
    patch: StatusPatch,
    news: Vec<Announcement>,
    result: Result<(), WriteFault>,
}

impl<S: StatusStore> StatusWriter<S> {
    /// A writer that waits between two writes of one policy, and for leadership.
    pub fn new(
        store: S,
        ledger: Arc<Ledger>,
        metrics: Arc<Metrics>,
        settings: Settings,
        leadership: Leadership,
    ) -> Self {
        Self {
            store: Arc::new(store),
            ledger,
            metrics,
            settings,
            stopped: leadership.stopped(),
            leadership,
            announcer: Announcer::silent(),
            paces: BTreeMap::new(),
            board: Arc::default(),
            revision: 0,
            writes: JoinSet::new(),
        }
    }

    /// The same, that tells what the statuses change.
    #[must_use]
    pub fn announcing(self, announcer: Announcer) -> Self {
        Self { announcer, ..self }
    }

    /// Writes until told to stop, and then what is still to be written.
    pub async fn run(
        mut self,
        set: watch::Receiver<Arc<PolicySet>>,
        board: watch::Receiver<Arc<Board>>,
        stop: CancellationToken,
    ) {
        let ledger = Arc::clone(&self.ledger);
        let mut sources = Sources { set, board };
        let mut leadership = self.leadership.clone();
        self.follow_set(&mut sources);
        self.follow_board(&mut sources);
        loop {
            let due = self.next_due();
            tokio::select! {
                () = stop.cancelled() => break,
                Ok(()) = sources.set.changed() => self.follow_set(&mut sources),
                Ok(()) = sources.board.changed() => self.follow_board(&mut sources),
                policies = ledger.changed() => self.follow_ledger(&policies, &sources),
                () = leadership.changed() => self.follow_leadership(),
                Some(Ok(write)) = self.writes.join_next() => self.written(write),
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
            self.write_due();
        }
        if timeout(FLUSH, self.flush(&mut sources)).await.is_err() {
            warn!("the last statuses were not all written in time");
        }
    }

    /// Meets the policies that there are now.
    fn follow_set(&mut self, sources: &mut Sources) {
        let set = Arc::clone(&sources.set.borrow_and_update());
        let now = Instant::now();
        let gone: Vec<_> =
            self.paces.keys().filter(|name| !set.entries.contains_key(*name)).cloned().collect();
        for name in gone {
            self.paces.remove(&name);
        }
        let runs = |policy: &str| set.entries.get(policy).is_some_and(|entry| entry.running().is_some());
        self.ledger.retain_policies(runs);
        self.ledger.retain_obstacles(|policy| set.entries.contains_key(policy));
        if std::mem::replace(&mut self.revision, set.revision) != set.revision {
            // What is still to be taken back where a policy has no target any more is denied again.
            self.ledger.retain_denied(|policy, resource| may_write(&set, policy, resource));
        }
        for entry in set.entries.values() {
            self.meet(entry, now);
        }
    }

    /// A policy that is new, or may have changed.
    fn meet(&mut self, entry: &Arc<PolicyEntry>, now: Instant) {
        let known = self.paces.get_mut(&entry.name);
        let same = known.as_ref().is_some_and(|pace| pace.entry.uid == entry.uid);
        if let (Some(_), false) = (&known, same) {
            // Another policy has the name now; the verdicts are those of the one before.
            self.ledger.withdraw(&entry.name);
        }
        let shown = known.as_ref().filter(|_| same).and_then(|pace| pace.entry.stored.clone());
        if let Some(stored) = &entry.stored
            && shown.as_ref() != Some(stored)
        {
            if !same {
                self.ledger.seed_first_seen(&entry.name, stored);
            }
            if self.leadership.permit().is_err() {
                // Written by the leader, from what it saw first; this replica may be the next one.
                self.ledger.adopt_first_seen(&entry.name, stored);
            }
        }
        if let (Some(pace), true) = (known, same) {
            return pace.meet(entry, now);
        }
        self.paces.insert(Arc::clone(&entry.name), Pace::new(Arc::clone(entry), now));
    }

    /// Marks the policies of which a target changed.
    fn follow_board(&mut self, sources: &mut Sources) {
        let board = Arc::clone(&sources.board.borrow_and_update());
        let now = Instant::now();
        for (name, pace) in &mut self.paces {
            if board.policies.get(name) != self.board.policies.get(name) {
                pace.mark(now);
            }
        }
        self.board = board;
    }

    /// Marks all policies when writes are stopped, or go on.
    fn follow_leadership(&mut self) {
        let stopped = self.leadership.stopped();
        if std::mem::replace(&mut self.stopped, stopped) != stopped {
            let now = Instant::now();
            self.paces.values_mut().for_each(|pace| pace.mark(now));
        }
    }

    fn follow_ledger(&mut self, policies: &BTreeSet<Arc<str>>, sources: &Sources) {
        // Whoever judged knew at most this set.
        let set = Arc::clone(&sources.set.borrow());
        let now = Instant::now();
        for name in policies {
            let running = set.entries.get(name).is_some_and(|entry| entry.running().is_some());
            if !running {
                // A worker was still at it when the policy went.
                self.ledger.withdraw(name);
            }
            if let Some(pace) = self.paces.get_mut(name) {
                pace.mark(now);
            }
        }
    }

    fn next_due(&self) -> Option<Instant> {
        if self.writes.len() >= MAX_WRITES || self.leadership.permit().is_err() {
            return None;
        }
        self.paces.values().filter_map(Pace::due).min()
    }

    /// Starts the writes that are due, as many as there is room for.
    fn write_due(&mut self) {
        let now = Instant::now();
        let mut due: Vec<_> = self
            .paces
            .iter()
            .filter_map(|(name, pace)| {
                pace.due().filter(|due| *due <= now).map(|due| (due, Arc::clone(name)))
            })
            .collect();
        due.sort_unstable();
        for (_, name) in due {
            // Without a permit, what is due stays due.
            let Ok(permit) = self.leadership.permit() else { break };
            if self.writes.len() >= MAX_WRITES {
                break;
            }
            self.write(&name, permit);
        }
    }

    /// Starts a write if the status differs from the stored one.
    fn write(&mut self, name: &Arc<str>, permit: Permit) {
        let Some(pace) = self.paces.get_mut(name) else { return };
        pace.taken();
        let targets = self.board.policies.get(name).map(AsRef::as_ref);
        if pace.waits_for(targets, Instant::now()) {
            return;
        }
        let page = self.ledger.page(name, &stale(targets), MAX_VIOLATIONS);
        let now = Timestamp::now();
        let end = pace.entry.running().and_then(|policy| policy.next_end(now));
        let Settings { allow_enforce: allowed, left, .. } = &self.settings;
        let left = finalizer::ends(&pace.entry).then(|| left(name));
        let soon = left.map(|_| SOON);
        pace.look_again(
            end.map(|end| until(now, end)).into_iter().chain(soon).min().map(|wait| Instant::now() + wait),
        );
        let previous = pace.believed.as_deref();
        let writes = Writes { allowed: *allowed, stopped: self.leadership.stopped(), left };
        let view = View { entry: &pace.entry, targets, page: &page, previous, writes };
        let status = render(&view, now);
        if previous.is_some_and(|previous| says_the_same(previous, &status)) {
            return;
        }
        let news = changes(&pace.entry, previous, &status);
        let uid = Arc::clone(&pace.entry.uid);
        pace.sent(Instant::now(), self.settings.interval);
        let patch = StatusPatch { name: Arc::clone(name), uid, status: Arc::new(status) };
        let store = Arc::clone(&self.store);
        self.writes.spawn(async move {
            let late = || WriteFault::Failed(format!("no answer within {WRITE_TIMEOUT:?}"));
            let stored = timeout(WRITE_TIMEOUT, store.store(&patch, &permit)).await;
            Write { patch, news, result: stored.unwrap_or_else(|_elapsed| Err(late())) }
        });
    }

    /// A write ended.
    fn written(&mut self, write: Write) {
        let Write { patch, news, result } = write;
        let policy = &*patch.name;
        self.metrics.report_write(match &result {
            Ok(()) => ReportWrite::Written,
            Err(WriteFault::Gone) => ReportWrite::Gone,
            Err(WriteFault::Lost(_) | WriteFault::Failed(_)) => ReportWrite::Failed,
        });
        let Some(pace) = self.paces.get_mut(&patch.name).filter(|pace| pace.entry.uid == patch.uid) else {
            return;
        };
        match result {
            Ok(()) => {
                debug!(policy, "status written");
                news.into_iter().for_each(|announcement| self.announcer.tell(announcement));
                pace.stored(Arc::clone(&patch.status));
            }
            Err(WriteFault::Gone) => {
                debug!(policy, "the policy is gone, or will be shown anew");
                pace.failed(Instant::now());
            }
            Err(WriteFault::Lost(_)) => {
                debug!(policy, "leadership was lost before the status was written");
                pace.interrupted(Instant::now());
            }
            Err(WriteFault::Failed(error)) => {
                warn!(policy, error, "cannot write the status; it is tried again");
                pace.failed(Instant::now());
            }
        }
    }

    /// Writes what is still to be written; a failure is not tried again.
    async fn flush(&mut self, sources: &mut Sources) {
        self.follow_set(sources);
        self.follow_board(sources);
        let now = Instant::now();
        self.paces.values_mut().for_each(|pace| pace.hurry(now));
        self.write_due();
        while let Some(done) = self.writes.join_next().await {
            if let Ok(write) = done {
                self.written(write);
            }
            self.write_due();
        }
    }
}

/// Whether something of a resource is a policy's to write, its own finalizer among that.
fn may_write(set: &PolicySet, policy: &str, resource: &GroupResource) -> bool {
    let Some(entry) = set.entries.get(policy) else { return false };
    &*resource.group == "watchpolicy.io" || entry.watching().is_some_and(|policy| policy.targets(resource))
}

/// The resources whose verdicts may be out of date.
fn stale(targets: Option<&[TargetReport]>) -> Vec<GroupResource> {
    let lost = |report: &&TargetReport| match report.state {
        TargetState::Degraded => !report.limited,
        state => state == TargetState::Forbidden,
    };
    let name = |report: &TargetReport| GroupResource::new(report.group.clone(), report.resource.clone());
    targets.unwrap_or_default().iter().filter(lost).map(name).collect()
}

/// How long to wait for an instant. Long waits are cut: meanwhile the wall clock may be set.
fn until(now: Timestamp, instant: Timestamp) -> Duration {
    Duration::try_from(instant.duration_since(now)).unwrap_or_default().min(LONGEST_WAIT)
}

/// Whether nothing changed but the time of the last change.
fn says_the_same(stored: &WatchPolicyStatus, new: &WatchPolicyStatus) -> bool {
    let new = WatchPolicyStatus { last_evaluated: stored.last_evaluated.clone(), ..new.clone() };
    *stored == new
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
