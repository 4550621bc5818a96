//! The task that brings statuses to the server: soon after a change, seldom when changes do not end, never without one.
//!
//! What bounds it: one pace for each policy, and [`MAX_WRITES`] writes under way.

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
use super::schedule::Schedule;
use super::status::{View, render};
use crate::crd::status::MAX_VIOLATIONS;
use crate::crd::{TargetState, WatchPolicyStatus};
use crate::leader::{Leadership, Permit};
use crate::ledger::Ledger;
use crate::metrics::{Metrics, ReportWrite};
use crate::observe::board::{Board, TargetReport};
use crate::observe::statuses::Statuses;
use crate::policy::{Contradiction, PolicyEntry, PolicySet, contradictions};
use crate::resource::GroupResource;

/// Writes under way at once.
const MAX_WRITES: usize = 8;
/// How long one write may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the last writes together may take at the end.
const FLUSH: Duration = Duration::from_secs(6);

/// How long to wait at least, and at most, for what time alone changes.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
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

/// Where the policies, their targets and their statuses are read.
pub struct Sources {
    /// The policies.
    pub set: watch::Receiver<Arc<PolicySet>>,
    /// Their targets.
    pub board: watch::Receiver<Arc<Board>>,
    /// What the server holds.
    pub statuses: Arc<Statuses>,
}

/// How long the ledger is not looked at again: a list of many objects changes it for each of them.
const CALM: Duration = Duration::from_millis(20);

async fn after<T>(calm: Instant, news: impl Future<Output = T>) -> T {
    sleep_until(calm).await;
    news.await
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
    schedule: Schedule,
    /// The board as it was when policies were last marked by it.
    board: Arc<Board>,
    /// The set of policies that was met last.
    revision: u64,
    /// What in it cannot be mended beside another policy.
    contradictions: BTreeMap<Arc<str>, Contradiction>,
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
            schedule: Schedule::default(),
            board: Arc::default(),
            revision: 0,
            contradictions: BTreeMap::new(),
            writes: JoinSet::new(),
        }
    }

    /// The same, that tells what the statuses change.
    #[must_use]
    pub fn announcing(self, announcer: Announcer) -> Self {
        Self { announcer, ..self }
    }

    /// Writes until told to stop, and then what is still to be written.
    pub async fn run(mut self, mut sources: Sources, stop: CancellationToken) {
        let (ledger, statuses) = (Arc::clone(&self.ledger), Arc::clone(&sources.statuses));
        let mut leadership = self.leadership.clone();
        self.follow_set(&mut sources);
        self.follow_board(&mut sources);
        let mut calm = Instant::now();
        loop {
            let due = self.next_due();
            tokio::select! {
                () = stop.cancelled() => break,
                Ok(()) = sources.set.changed() => self.follow_set(&mut sources),
                Ok(()) = sources.board.changed() => self.follow_board(&mut sources),
                policies = after(calm, ledger.changed()) => {
                    calm = Instant::now() + CALM;
                    self.follow_ledger(&policies, &sources);
                }
                policies = statuses.changed() => self.follow_statuses(&policies, &statuses),
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
        let is_gone = |name: &&Arc<str>| !set.entries.contains_key(*name);
        let gone: Vec<_> = self.schedule.iter().map(|(name, _)| name).filter(is_gone).cloned().collect();
        for name in gone {
            self.schedule.take(&name);
        }
        let runs = |policy: &str| set.entries.get(policy).is_some_and(|entry| entry.running().is_some());
        self.ledger.retain_policies(runs);
        self.ledger.retain_obstacles(|policy| set.entries.contains_key(policy));
        let is_news = std::mem::replace(&mut self.revision, set.revision) != set.revision;
        if is_news {
            // What is still to be taken back where a policy has no target any more is denied again.
            self.ledger.retain_denied(|policy, resource| may_write(&set, policy, resource));
        }
        for entry in set.entries.values() {
            self.meet(entry, &sources.statuses, now);
        }
        if is_news {
            self.compare(&set, now);
        }
    }

    /// Marks the policies that contradict others, or do not any more.
    fn compare(&mut self, set: &PolicySet, now: Instant) {
        let found = contradictions(set.running().map(AsRef::as_ref));
        let before = std::mem::replace(&mut self.contradictions, found);
        let now_or_before: BTreeSet<_> = before.keys().chain(self.contradictions.keys()).collect();
        for name in
            now_or_before.into_iter().filter(|name| before.get(*name) != self.contradictions.get(*name))
        {
            self.schedule.change(name, |pace| pace.mark(now));
        }
    }

    /// A policy that is new, or may have changed.
    fn meet(&mut self, entry: &Arc<PolicyEntry>, statuses: &Statuses, now: Instant) {
        let known = self.schedule.get(&entry.name);
        if known.is_some_and(|pace| Arc::ptr_eq(&pace.entry, entry)) {
            return;
        }
        if known.is_some_and(|pace| pace.entry.uid == entry.uid) {
            return self.schedule.change(&entry.name, |pace| pace.meet(entry, now));
        }
        if known.is_some() {
            // Another policy has the name now; the verdicts are those of the one before.
            self.schedule.take(&entry.name);
            self.ledger.withdraw(&entry.name);
            self.ledger.forget_untracked(&entry.name);
        }
        let shown = statuses.of(&entry.name).filter(|shown| shown.uid == entry.uid);
        let stored = shown.and_then(|shown| shown.status);
        if let Some(stored) = &stored {
            self.ledger.seed_first_seen(&entry.name, stored);
            self.adopt(&entry.name, stored);
        }
        self.schedule.put(Pace::new(Arc::clone(entry), stored, now));
    }

    /// What a follower is shown was written by the leader, from what it saw first; this replica may be the next one.
    fn adopt(&self, policy: &str, stored: &WatchPolicyStatus) {
        if self.leadership.permit().is_err() {
            self.ledger.adopt_first_seen(policy, stored);
        }
    }

    /// Meets the statuses of these policies.
    fn follow_statuses(&mut self, policies: &BTreeSet<Arc<str>>, statuses: &Statuses) {
        let now = Instant::now();
        for name in policies {
            let (Some(pace), Some(shown)) = (self.schedule.get(name), statuses.of(name)) else { continue };
            // Of another policy of that name, the set is about to tell.
            if pace.entry.uid != shown.uid {
                continue;
            }
            if let Some(stored) = &shown.status {
                self.adopt(name, stored);
            }
            self.schedule.change(name, |pace| pace.shown(shown.status, now));
        }
    }

    /// Marks the policies of which a target changed.
    fn follow_board(&mut self, sources: &mut Sources) {
        let board = Arc::clone(&sources.board.borrow_and_update());
        let now = Instant::now();
        let changed = |name: &&Arc<str>| board.policies.get(*name) != self.board.policies.get(*name);
        let changed: Vec<_> = self.schedule.iter().map(|(name, _)| name).filter(changed).cloned().collect();
        for name in changed {
            self.schedule.change(&name, |pace| pace.mark(now));
        }
        self.board = board;
    }

    /// Marks all policies when writes are stopped, or go on.
    fn follow_leadership(&mut self) {
        let stopped = self.leadership.stopped();
        if std::mem::replace(&mut self.stopped, stopped) != stopped {
            let now = Instant::now();
            self.schedule.change_all(|pace| pace.mark(now));
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
            self.schedule.change(name, |pace| pace.mark(now));
        }
    }

    fn next_due(&self) -> Option<Instant> {
        if self.writes.len() >= MAX_WRITES || self.leadership.permit().is_err() {
            return None;
        }
        self.schedule.next()
    }

    /// Starts the writes that are due, as many as there is room for. Whoever was looked at is not due any more.
    fn write_due(&mut self) {
        let now = Instant::now();
        while self.writes.len() < MAX_WRITES
            && let Some(name) = self.schedule.due(now)
        {
            // Without a permit, what is due stays due.
            let Ok(permit) = self.leadership.permit() else { break };
            let Some(mut pace) = self.schedule.take(&name) else { break };
            let update = self.look(&mut pace);
            self.schedule.put(pace);
            if let Some((patch, news)) = update {
                self.send((patch, news), permit);
            }
        }
    }

    /// What is to be written, and what of it is worth telling, if the status differs from the stored one.
    fn look(&self, pace: &mut Pace) -> Option<(StatusPatch, Vec<Announcement>)> {
        pace.taken();
        let name = Arc::clone(&pace.entry.name);
        let targets = self.board.policies.get(&name).map(AsRef::as_ref);
        if pace.waits_for(targets, Instant::now()) {
            return None;
        }
        let page = self.ledger.page(&name, &stale(targets), MAX_VIOLATIONS);
        let now = Timestamp::now();
        let end = pace.entry.running().and_then(|policy| policy.next_end(now));
        let Settings { allow_enforce: allowed, left, interval } = &self.settings;
        let left = finalizer::ends(&pace.entry).then(|| left(&name));
        let soon = left.map(|_| SOON);
        let again = end.map(|end| until(now, end)).into_iter().chain(soon).min();
        pace.look_again(again.map(|wait| Instant::now() + wait));
        let previous = pace.believed.as_deref();
        let (stopped, contradiction) = (self.leadership.stopped(), self.contradictions.get(&name));
        let writes = Writes { allowed: *allowed, stopped, left, contradiction };
        let view = View { entry: &pace.entry, targets, page: &page, previous, writes };
        let status = render(&view, now);
        if previous.is_some_and(|previous| says_the_same(previous, &status)) {
            return None;
        }
        let news = changes(&pace.entry, previous, &status);
        let uid = Arc::clone(&pace.entry.uid);
        pace.sent(Instant::now(), *interval);
        Some((StatusPatch { name, uid, status: Arc::new(status) }, news))
    }

    fn send(&mut self, (patch, news): (StatusPatch, Vec<Announcement>), permit: Permit) {
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
        if self.schedule.get(policy).is_none_or(|pace| pace.entry.uid != patch.uid) {
            return;
        }
        let now = Instant::now();
        match result {
            Ok(()) => {
                debug!(policy, "status written");
                news.into_iter().for_each(|announcement| self.announcer.tell(announcement));
                self.schedule.change(policy, |pace| pace.stored(Arc::clone(&patch.status)));
            }
            Err(WriteFault::Gone) => {
                debug!(policy, "the policy is gone, or will be shown anew");
                self.schedule.change(policy, |pace| pace.failed(now));
            }
            Err(WriteFault::Lost(_)) => {
                debug!(policy, "leadership was lost before the status was written");
                self.schedule.change(policy, |pace| pace.interrupted(now));
            }
            Err(WriteFault::Failed(error)) => {
                warn!(policy, error, "cannot write the status; it is tried again");
                self.schedule.change(policy, |pace| pace.failed(now));
            }
        }
    }

    /// Writes what is still to be written; a failure is not tried again.
    async fn flush(&mut self, sources: &mut Sources) {
        self.follow_set(sources);
        self.follow_board(sources);
        let now = Instant::now();
        self.schedule.change_all(|pace| pace.hurry(now));
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

/// How long to wait for an instant: never no time at all, or there would be no end of looking. Long waits are cut:
/// meanwhile the wall clock may be set.
fn until(now: Timestamp, instant: Timestamp) -> Duration {
    let wait = Duration::try_from(instant.duration_since(now)).unwrap_or_default();
    wait.clamp(SHORTEST_WAIT, LONGEST_WAIT)
}

/// Whether nothing changed but the time of the last change.
fn says_the_same(stored: &WatchPolicyStatus, new: &WatchPolicyStatus) -> bool {
    let new = WatchPolicyStatus { last_evaluated: stored.last_evaluated.clone(), ..new.clone() };
    *stored == new
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
