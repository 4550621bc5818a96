//! The fixer: takes keys of objects on which rules with fixes fail, reads the object afresh, judges it again, and has
//! what still fails changed, or tried out. Only the leader fixes.

mod contested;
mod edition;
mod mend;
mod outcome;
mod release;
mod rights;
mod unverified;

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::budget::Budgets;
use super::case::cases;
use super::contest::Contests;
use super::denials::Denials;
use super::gate::Gate;
use super::leftovers::Leftovers;
use super::looks::Looks;
use super::namespaces::Namespaces;
use super::proposal::Proposal;
use super::recorder::{Places, Recorder};
use super::rest::Rests;
use crate::jsonpath::Document;
use crate::leader::{Leadership, Permit};
use crate::ledger::Ledger;
use crate::metrics::{Metrics, Priority};
use crate::policy::{Patch, PolicySet};
use crate::queue::{Queue, Retry};
use crate::resource::{ObjectKey, log_object};
use crate::store::Store;

use edition::Editions;
use mend::Ready;
pub use rights::{Consents, Rights};

/// How often an object that changes under our hands is read again at once.
const READS: usize = 3;
/// The wait where the server asks for one and says no time.
const BUSY: Duration = Duration::from_secs(1);

/// What the operator lets fixes do.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether policies in mode Enforce write; else they plan.
    pub allow: bool,
    /// The operator's own namespace, in which nothing is ever fixed.
    pub namespace: Arc<str>,
    /// Requests of all policies in a second.
    pub per_second: NonZeroU32,
}

/// What a fixer works with. One value serves all fixers.
pub struct Parts {
    /// Where keys come from.
    pub queue: Arc<Queue<ObjectKey>>,
    /// Which policies concern an object.
    pub store: Arc<Store>,
    /// Where outcomes go.
    pub ledger: Arc<Ledger>,
    /// Counts outcomes.
    pub metrics: Arc<Metrics>,
    /// Who may write.
    pub leadership: Leadership,
    /// Which policies there are.
    pub set: watch::Receiver<Arc<PolicySet>>,
    /// What those that ended have left.
    pub leftovers: Arc<Leftovers>,
    /// Where is told which places are to be watched for that.
    pub looked_through: watch::Sender<Places>,
}

/// Fixes objects.
pub struct Fixer {
    parts: Parts,
    gate: Gate,
    settings: Settings,
    clock: fn() -> Timestamp,
    memory: Mutex<Memory>,
    recorder: Recorder,
    hasher: RandomState,
}

/// What is remembered of what was sent. Its parts say what bounds them.
struct Memory {
    budgets: Budgets,
    contests: Contests,
    looks: Looks,
    rests: Rests,
    /// Of what was to be let go of.
    kept: Rests,
    namespaces: Namespaces,
    denials: Denials,
    editions: Editions,
    /// Policies whose finalizer something waits for.
    unheld: BTreeSet<Arc<str>>,
}

/// What is to become of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    /// Nothing, until it comes again.
    Done,
    /// It comes back after so long.
    After(Duration),
    /// It is tried again, later each time.
    Retry,
}

impl Next {
    /// Of two, what brings the key back.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::After(one), Self::After(other)) => Self::After(one.min(other)),
            (one, other) => one.max(other),
        }
    }
}

/// A patch that is to be sent.
#[derive(Clone, Copy)]
struct Order<'o> {
    proposal: &'o Proposal,
    /// The object that was judged.
    document: &'o Document,
    patch: &'o Patch,
    dry_run: bool,
}

/// Puts a key back that failed.
fn put_back(queue: &Queue<ObjectKey>, key: &ObjectKey) {
    let Retry { failures, delay, parks, parked: _ } = queue.retry(key);
    if parks {
        log_object!(
            warn,
            key,
            failures,
            ?delay,
            "parked: it failed too often, and is tried again only at the longest delay"
        );
    }
}

impl Fixer {
    /// A fixer that has sent nothing yet.
    pub fn new(parts: Parts, gate: Gate, settings: Settings, clock: fn() -> Timestamp) -> Self {
        let budgets = Budgets::new(settings.per_second);
        let memory = Memory {
            budgets,
            contests: Contests::default(),
            looks: Looks::default(),
            rests: Rests::default(),
            kept: Rests::default(),
            namespaces: Namespaces::default(),
            denials: Denials::default(),
            editions: Editions::default(),
            unheld: BTreeSet::new(),
        };
        let Parts { leadership, leftovers, set, looked_through, ledger, .. } = &parts;
        let (leftovers, ledger) = (Arc::clone(leftovers), Arc::clone(ledger));
        let recorder =
            Recorder::new(leadership.clone(), leftovers, set.clone(), looked_through.clone(), ledger);
        let (memory, hasher) = (Mutex::new(memory), RandomState::new());
        Self { parts, gate, settings, clock, memory, recorder, hasher }
    }

    /// Keeps the record of where something may be left of what was written, until told to stop.
    pub async fn record(self: Arc<Self>, stop: CancellationToken) {
        self.recorder.run(stop).await;
    }

    /// Works until the queue is shut down and drained.
    pub async fn run(self: Arc<Self>) {
        let queue = Arc::clone(&self.parts.queue);
        while let Some(claim) = queue.get().await {
            match self.mend(claim.key()).await {
                Next::Retry => put_back(&queue, claim.key()),
                Next::Done => claim.succeeded(),
                Next::After(wait) => {
                    queue.add_after(claim.key(), claim.priority(), wait);
                    claim.succeeded();
                }
            }
        }
    }

    /// Enqueues all that fails, and all on which something is left, each time that this replica begins to write: what was
    /// found before was nobody's to fix. Also what waits for a policy's finalizer, when that comes.
    pub async fn sweep(self: Arc<Self>, stop: CancellationToken) {
        let (mut leadership, mut set) = (self.parts.leadership.clone(), self.parts.set.clone());
        let mut writes: Option<Permit> = None;
        loop {
            let now = leadership.permit().ok().filter(|_| !leadership.stopped());
            // Between two looks another replica may have led.
            let goes_on = now.is_some() && writes.as_ref().is_some_and(|before| before.check().is_ok());
            if writes.is_some() && !goes_on {
                // What others do meanwhile makes it untrue.
                let mut memory = self.memory.lock();
                (memory.rests, memory.kept) = Default::default();
            }
            if now.is_some() && !goes_on {
                self.parts.ledger.forget_stuck();
                self.enqueue_all();
            }
            writes = now;
            tokio::select! {
                () = stop.cancelled() => return,
                () = leadership.changed() => {}
                Ok(()) = set.changed() => self.wake_held(),
            }
        }
    }

    /// Enqueues what waited for finalizers that are there now.
    fn wake_held(&self) {
        let waiting = std::mem::take(&mut self.memory.lock().unheld);
        for policy in &waiting {
            if !matches!(self.may_write(policy), Ready::Soon) {
                for key in self.parts.ledger.failing(policy) {
                    self.parts.queue.add(&key, Priority::PolicyChange);
                }
            }
        }
    }

    fn enqueue_all(&self) {
        let Parts { set, ledger, leftovers, queue, .. } = &self.parts;
        let set = Arc::clone(&set.borrow());
        let mending = set.running().filter(|policy| policy.mends());
        let failing = mending.flat_map(|policy| ledger.failing(&policy.name));
        for key in failing.chain(leftovers.everywhere(&set)) {
            queue.add(&key, Priority::PolicyChange);
        }
    }

    async fn mend(&self, key: &ObjectKey) -> Next {
        let Ok(permit) = self.parts.leadership.permit() else { return Next::Done };
        let cases = cases(key, &self.parts.store);
        let fixing = cases.iter().flat_map(|case| &case.fixing);
        self.memory
            .lock()
            .rests
            .retain(key, |policy| fixing.clone().any(|fixing| *fixing.policy.name == *policy));
        let mut next = Next::Done;
        for case in cases {
            next = next.and(self.mend_case(key, case, &permit).await);
        }
        next.and(self.release(key, &permit).await)
    }
}

#[cfg(test)]
mod budget_tests;
#[cfg(test)]
#[path = "fixer_tests.rs"]
mod tests;
