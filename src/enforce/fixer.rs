//! The fixer: takes keys of objects on which rules with fixes fail, reads the object afresh, judges it again, and has
//! what still fails changed, or tried out. Only the leader fixes.

mod mend;
mod outcome;
mod release;
mod rights;

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
use super::contest::{Contests, Ground};
use super::gate::Gate;
use super::leftovers::Leftovers;
use super::namespaces::Namespaces;
use super::proposal::Proposal;
use super::rest::Rests;
use crate::leader::Leadership;
use crate::ledger::Ledger;
use crate::metrics::{Metrics, Priority};
use crate::policy::{CompiledPolicy, Patch, PolicySet};
use crate::queue::Queue;
use crate::resource::ObjectKey;
use crate::store::Store;

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
}

/// Fixes objects.
pub struct Fixer {
    parts: Parts,
    gate: Gate,
    settings: Settings,
    clock: fn() -> Timestamp,
    memory: Mutex<Memory>,
    hasher: RandomState,
}

/// What is remembered of what was sent. Its parts say what bounds them.
struct Memory {
    budgets: Budgets,
    contests: Contests,
    rests: Rests,
    /// Of what was to be let go of.
    kept: Rests,
    namespaces: Namespaces,
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
    patch: &'o Patch,
    dry_run: bool,
}

fn ground(proposal: (&CompiledPolicy, bool), key: &ObjectKey, uid: &Arc<str>, rule: &Arc<str>) -> Ground {
    let (CompiledPolicy { uid: policy, generation, .. }, dry_run) = proposal;
    Ground {
        policy: Arc::clone(policy),
        generation: *generation,
        key: key.clone(),
        uid: Arc::clone(uid),
        rule: Arc::clone(rule),
        dry_run,
    }
}

impl Fixer {
    /// A fixer that has sent nothing yet.
    pub fn new(parts: Parts, gate: Gate, settings: Settings, clock: fn() -> Timestamp) -> Self {
        let budgets = Budgets::new(settings.per_second);
        let memory = Memory {
            budgets,
            contests: Contests::default(),
            rests: Rests::default(),
            kept: Rests::default(),
            namespaces: Namespaces::default(),
        };
        Self { parts, gate, settings, clock, memory: Mutex::new(memory), hasher: RandomState::new() }
    }

    /// Works until the queue is shut down and drained.
    pub async fn run(self: Arc<Self>) {
        let queue = Arc::clone(&self.parts.queue);
        while let Some(claim) = queue.get().await {
            match self.mend(claim.key()).await {
                Next::Retry => drop(queue.retry(claim.key())),
                Next::Done => claim.succeeded(),
                Next::After(wait) => {
                    queue.add_after(claim.key(), claim.priority(), wait);
                    claim.succeeded();
                }
            }
        }
    }

    /// Enqueues all that fails, and all on which something is left, each time that this replica begins to write: what was
    /// found before was nobody's to fix.
    pub async fn sweep(self: Arc<Self>, stop: CancellationToken) {
        let mut leadership = self.parts.leadership.clone();
        let mut writes = false;
        loop {
            let now = leadership.permit().is_ok() && !leadership.stopped();
            if now && !writes {
                self.enqueue_all();
            }
            if writes && !now {
                // What others do meanwhile makes it untrue.
                let mut memory = self.memory.lock();
                (memory.rests, memory.kept) = Default::default();
            }
            writes = now;
            if stop.run_until_cancelled(leadership.changed()).await.is_none() {
                return;
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
        if cases.is_empty() {
            self.memory.lock().rests.forget(key);
        }
        let mut next = Next::Done;
        for case in cases {
            next = next.and(self.mend_case(key, case, &permit).await);
        }
        next.and(self.release(key, &permit).await)
    }
}

#[cfg(test)]
#[path = "fixer_tests.rs"]
mod tests;
