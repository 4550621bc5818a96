//! The fixer: takes keys of objects on which rules with fixes fail, reads the object afresh, judges it again, and has
//! what still fails changed, or tried out. Only the leader fixes.

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
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::budget::Budgets;
use super::case::{Case, cases};
use super::contest::{Contests, Ground};
use super::denials::Denials;
use super::gate::{Gate, Intent, Target};
use super::leftovers::Leftovers;
use super::namespaces::Namespaces;
use super::proposal::{Fresh, Proposal, hold_back_conflicts};
use super::refusal::Refusal;
use super::rest::Rests;
use super::versions::hold_back_across;
use crate::jsonpath::{Document, Tree, TypeMeta};
use crate::leader::{Leadership, Permit};
use crate::ledger::Ledger;
use crate::metrics::{Metrics, Priority, Remediation};
use crate::policy::{CompiledPolicy, Patch, PolicySet};
use crate::queue::Queue;
use crate::resource::{Gvr, ObjectKey, ObjectName};
use crate::store::Store;

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
    denials: Denials,
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
    patch: &'o Patch,
    dry_run: bool,
}

fn ground(policy: &CompiledPolicy, key: &ObjectKey, rule: &Arc<str>) -> Ground {
    let CompiledPolicy { uid, generation, .. } = policy;
    Ground { policy: Arc::clone(uid), generation: *generation, key: key.clone(), rule: Arc::clone(rule) }
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
            denials: Denials::default(),
            unheld: BTreeSet::new(),
        };
        Self { parts, gate, settings, clock, memory: Mutex::new(memory), hasher: RandomState::new() }
    }

    /// Works until the queue is shut down and drained.
    pub async fn run(self: Arc<Self>) {
        let queue = Arc::clone(&self.parts.queue);
        while let Some(claim) = queue.get().await {
            match self.mend(claim.key()).await {
                Next::Retry => drop(queue.retry(claim.key())),
                Next::Done => queue.forget(claim.key()),
                Next::After(wait) => {
                    queue.forget(claim.key());
                    queue.add_after(claim.key().clone(), claim.priority(), wait);
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
                    self.parts.queue.add(key, Priority::PolicyChange);
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
            queue.add(key, Priority::PolicyChange);
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

    async fn mend_case(&self, key: &ObjectKey, mut case: Case, permit: &Permit) -> Next {
        let failing = self.failing(key, &case);
        if failing.is_empty() {
            let mut memory = self.memory.lock();
            case.fixing.iter().for_each(|fixing| memory.rests.end(key, &fixing.policy.name));
            return Next::Done;
        }
        // Before anything is read: a long queue that has to wait asks the server for nothing.
        let denied = self.memory.lock().denials.of(key, Instant::now());
        if let Some((words, wait)) = denied {
            return self.not_verified(key, &case, &words, wait);
        }
        if self.unheld(key, &failing) {
            return Next::Done;
        }
        if let Some(wait) = self.throttled(key, &failing) {
            return Next::After(wait);
        }
        case.is_ending = self.is_in_ending_namespace(key).await;
        let target = Target { resource: &case.resource, object: &key.object, types: &case.types };
        for _ in 0..READS {
            let document = match self.gate.read(target).await {
                Ok(document) => document,
                Err(refusal) => return self.unread(key, &case, &refusal),
            };
            if document.id.uid != case.uid {
                return Next::Done;
            }
            match self.mend_document(key, &case, document, permit).await {
                Some(next) => return next,
                None => debug!(%key, "the object changed before it was fixed; it is read again"),
            }
        }
        Next::Retry
    }

    /// Whether the object's Namespace is being deleted: as a watch of Namespaces says, or else as it is read now and then.
    /// Where it may not be read, nothing says so.
    async fn is_in_ending_namespace(&self, key: &ObjectKey) -> bool {
        let Some(namespace) = &key.object.namespace else { return false };
        let known = self.parts.store.is_ending(namespace);
        let known = known.or_else(|| self.memory.lock().namespaces.is_ending(namespace, Instant::now()));
        if let Some(known) = known {
            return known;
        }
        let resource = Gvr::new("", "v1", "namespaces");
        let object = ObjectName { namespace: None, name: Arc::clone(namespace) };
        let types = TypeMeta { api_version: "v1".into(), kind: "Namespace".into() };
        let found = self.gate.read(Target { resource: &resource, object: &object, types: &types }).await;
        let is_ending = found.is_ok_and(|found| found.deleting.is_some());
        self.memory.lock().namespaces.note(namespace, is_ending, Instant::now());
        is_ending
    }

    /// The object could not be read.
    fn unread(&self, key: &ObjectKey, case: &Case, refusal: &Refusal) -> Next {
        match refusal {
            Refusal::Gone | Refusal::Lost => Next::Done,
            Refusal::Busy(wait) => Next::After((*wait).max(BUSY)),
            Refusal::Denied(words) => {
                let wait = self.memory.lock().denials.note(key, words, Instant::now());
                self.not_verified(key, case, words, wait)
            }
            Refusal::Changed | Refusal::Refused(_) | Refusal::Failed(_) => Next::Retry,
        }
    }

    /// Mends what fails of the object as it was read; `None` where it changed meanwhile.
    async fn mend_document(
        &self,
        key: &ObjectKey,
        case: &Case,
        mut document: Arc<Document>,
        permit: &Permit,
    ) -> Option<Next> {
        let mut next = Next::Done;
        for mut proposal in self.proposals(key, case, &document, (self.clock)()) {
            let Ok(object) = document.root.as_ref().map(Tree::node) else { break };
            let dry_run = proposal.only_plans(self.settings.allow);
            if let Some((outcome, why)) = self.held_back(key, case, &document) {
                proposal.hold_back(|_| Some((outcome, why.into())));
            }
            if !dry_run {
                match self.may_write(&proposal.fixing.policy.name) {
                    Ready::Yes => next = next.and(self.leave_contested(key, &mut proposal, object)),
                    Ready::Soon => {
                        proposal.hold_back(|_| Some((Remediation::Waiting, UNHELD.into())));
                    }
                    Ready::Ended => continue,
                }
            }
            if proposal.changes.is_empty() {
                self.note(key, &proposal, proposal.fixes(Remediation::Impossible, None));
                continue;
            }
            let patch = proposal.as_patch(&document, object);
            let order = Order { proposal: &proposal, patch: &patch, dry_run };
            if let Some(wait) = self.waits(key, order) {
                next = next.and(Next::After(wait));
                continue;
            }
            let target = Target { resource: &case.resource, object: &key.object, types: &case.types };
            let intent = Intent { policy: &proposal.fixing.policy.name, patch: &patch, dry_run };
            match self.gate.swap(target, intent, permit).await {
                Ok(after) => {
                    next = next.and(self.taken(key, &case.types, order, &after));
                    if !dry_run {
                        document = after;
                    }
                }
                Err(Refusal::Changed) => return None,
                Err(refusal) => next = next.and(self.refused(key, order, refusal)),
            }
        }
        Some(next)
    }

    fn fresh<'f>(
        &'f self,
        key: &'f ObjectKey,
        types: &'f TypeMeta,
        document: &'f Document,
        now: Timestamp,
    ) -> Fresh<'f> {
        let relatives = &*self.parts.store;
        Fresh { resource: &key.resource, kind: &types.kind, document, now, relatives }
    }

    /// What the policies want of the object, without what they want differently.
    fn proposals(&self, key: &ObjectKey, case: &Case, document: &Document, now: Timestamp) -> Vec<Proposal> {
        let fresh = self.fresh(key, &case.types, document, now);
        let mut proposals: Vec<_> = case.fixing.iter().map(|fixing| Proposal::new(fixing, fresh)).collect();
        let object = document.root.as_ref().map(Tree::node);
        if let (Ok(object), true) = (object, proposals.len() > 1) {
            let after = |proposal: &Proposal| {
                let after = proposal.as_patch(document, object).apply(object)?;
                self.gate.document(after.node(), &case.types)
            };
            hold_back_conflicts(&mut proposals, fresh, after);
        }
        hold_back_across(&mut proposals, fresh, &case.elsewhere);
        for proposal in &mut proposals {
            if let Ok(object) = object {
                proposal.yield_to_owners(object);
            }
        }
        let mut memory = self.memory.lock();
        proposals.retain(|proposal| {
            if proposal.is_empty() {
                memory.rests.end(key, &proposal.fixing.policy.name);
            }
            !proposal.is_empty()
        });
        proposals
    }

    /// Why nothing of the object is fixed now, whoever wants it.
    fn held_back(
        &self,
        key: &ObjectKey,
        case: &Case,
        document: &Document,
    ) -> Option<(Remediation, &'static str)> {
        let own = &self.settings.namespace;
        let is_namespace = key.resource.group.is_empty() && &*key.resource.resource == "namespaces";
        if key.object.namespace.as_ref() == Some(own) || (is_namespace && key.object.name == *own) {
            return Some((Remediation::NotAllowed, "nothing in the operator's own namespace is fixed"));
        }
        if document.deleting.is_some() {
            return Some((Remediation::Deleting, "the object is being deleted"));
        }
        if case.is_ending {
            return Some((Remediation::Deleting, "the object's Namespace is being deleted"));
        }
        let stopped =
            "writes are stopped for the whole operator, by the annotation watchpolicy.io/writes of its Lease";
        self.parts.leadership.stopped().then_some((Remediation::Stopped, stopped))
    }

    /// Whether a policy, as it is now, may write: what it writes must be found again when it ends. Who has to wait is
    /// remembered before it is looked at again, so that its finalizer cannot come in between unseen.
    fn may_write(&self, policy: &Arc<str>) -> Ready {
        match self.readiness(policy) {
            Ready::Soon => {
                self.memory.lock().unheld.insert(Arc::clone(policy));
                self.readiness(policy)
            }
            ready => ready,
        }
    }

    fn readiness(&self, policy: &str) -> Ready {
        let set = self.parts.set.borrow();
        match set.entries.get(policy).filter(|entry| entry.enforcing().is_some()) {
            None => Ready::Ended,
            Some(entry) if entry.takes_back() && !entry.is_held() => Ready::Soon,
            Some(_) => Ready::Yes,
        }
    }
}

/// Whether a policy may write.
enum Ready {
    Yes,
    /// Once its finalizer is there.
    Soon,
    /// It is gone, or enforces no more.
    Ended,
}

const UNHELD: &str =
    "the policy has no finalizer yet, without which nothing could be taken back when it is deleted";

#[cfg(test)]
#[path = "fixer_tests.rs"]
mod tests;
