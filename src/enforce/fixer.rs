//! The fixer: takes keys of objects on which rules with fixes fail, reads the object afresh, judges it again, and has
//! what still fails changed, or tried out. Only the leader fixes.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::budget::Budgets;
use super::case::{Case, cases};
use super::contest::{Contests, Ground};
use super::gate::{Gate, Intent, MANAGER, Target};
use super::owner;
use super::proposal::{Fresh, Proposal, hold_back_conflicts};
use super::refusal::Refusal;
use super::rest::{Fixes, Rests};
use crate::jsonpath::{Document, Node, TypeMeta};
use crate::leader::{Leadership, Permit};
use crate::ledger::Ledger;
use crate::metrics::{Metrics, Priority, Remediation};
use crate::policy::{Patch, PolicySet};
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

fn ground(policy: &Arc<str>, key: &ObjectKey, rule: &Arc<str>) -> Ground {
    Ground { policy: Arc::clone(policy), key: key.clone(), rule: Arc::clone(rule) }
}

impl Fixer {
    /// A fixer that has sent nothing yet.
    pub fn new(parts: Parts, gate: Gate, settings: Settings, clock: fn() -> Timestamp) -> Self {
        let budgets = Budgets::new(settings.per_second);
        let memory = Memory { budgets, contests: Contests::default(), rests: Rests::default() };
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

    /// Enqueues all that fails, each time that this replica begins to write: what was found before was nobody's to fix.
    pub async fn sweep(self: Arc<Self>, set: watch::Receiver<Arc<PolicySet>>, stop: CancellationToken) {
        let mut leadership = self.parts.leadership.clone();
        let mut writes = false;
        loop {
            let now = leadership.permit().is_ok() && !leadership.stopped();
            if now && !std::mem::replace(&mut writes, now) {
                let policies = Arc::clone(&set.borrow());
                for policy in policies.running().filter(|policy| policy.mends()) {
                    self.parts
                        .ledger
                        .failing(&policy.name)
                        .into_iter()
                        .for_each(|key| self.parts.queue.add(key, Priority::PolicyChange));
                }
            }
            writes = now;
            if stop.run_until_cancelled(leadership.changed()).await.is_none() {
                return;
            }
        }
    }

    async fn mend(&self, key: &ObjectKey) -> Next {
        let (Ok(permit), cases) = (self.parts.leadership.permit(), cases(key, &self.parts.store)) else {
            return Next::Done;
        };
        if cases.is_empty() {
            self.memory.lock().rests.forget(key);
        }
        let mut next = Next::Done;
        for case in cases {
            next = next.and(self.mend_case(key, &case, &permit).await);
        }
        next
    }

    async fn mend_case(&self, key: &ObjectKey, case: &Case, permit: &Permit) -> Next {
        let target = Target { resource: &case.resource, object: &key.object, types: &case.types };
        for _ in 0..READS {
            let document = match self.gate.read(target).await {
                Ok(document) => document,
                Err(refusal) => return self.unread(key, case, &refusal),
            };
            if document.id.uid != case.uid {
                return Next::Done;
            }
            match self.mend_document(key, case, document, permit).await {
                Some(next) => return next,
                None => debug!(%key, "the object changed before it was fixed; it is read again"),
            }
        }
        Next::Retry
    }

    /// The object could not be read.
    fn unread(&self, key: &ObjectKey, case: &Case, refusal: &Refusal) -> Next {
        if let Refusal::Denied(words) = refusal {
            for fixing in &case.fixing {
                self.deny(&fixing.policy.name, key, words);
            }
        }
        match refusal {
            Refusal::Gone | Refusal::Lost => Next::Done,
            Refusal::Busy(wait) => Next::After((*wait).max(BUSY)),
            Refusal::Changed | Refusal::Denied(_) | Refusal::Refused(_) | Refusal::Failed(_) => Next::Retry,
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
            let Ok(object) = &document.root else { break };
            let dry_run = proposal.only_plans(self.settings.allow);
            if let Some((outcome, why)) = self.held_back(key, &document) {
                proposal.hold_back(|_| Some((outcome, why.into())));
            }
            if !dry_run {
                next = next.and(self.leave_contested(key, &mut proposal, object));
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

    /// How long to wait before a patch may be sent: because the same was sent lately, and its outcome stands; or because
    /// a budget is used up.
    fn waits(&self, key: &ObjectKey, order: Order<'_>) -> Option<Duration> {
        let policy = &order.proposal.fixing.policy;
        let now = Instant::now();
        let mut memory = self.memory.lock();
        if let Some((fixes, wait)) = memory.rests.of(key, &policy.name, self.fingerprint(order), now) {
            drop(memory);
            self.parts.ledger.note_fixes(&policy.name, key, fixes, (self.clock)());
            return Some(wait);
        }
        let wait = memory.budgets.pay(&policy.name, policy.enforcement.max_per_minute, now).err()?;
        drop(memory);
        self.note(key, order.proposal, order.proposal.fixes(Remediation::Throttled, Some(THROTTLED)));
        Some(wait)
    }

    /// What is remembered of what was sent.
    fn fingerprint(&self, order: Order<'_>) -> u64 {
        self.hasher.hash_one((serde_json::to_string(order.patch).unwrap_or_default(), order.dry_run))
    }

    /// The server took a patch; its answer is judged.
    fn taken(&self, key: &ObjectKey, types: &TypeMeta, order: Order<'_>, after: &Document) -> Next {
        let Order { proposal, dry_run, .. } = order;
        let policy = &proposal.fixing.policy.name;
        self.parts.ledger.note_denied(policy, None);
        let fresh = self.fresh(key, types, after, (self.clock)());
        let fixes = proposal.fixes_after(fresh, dry_run);
        if !dry_run {
            info!(policy = &**policy, object = %key, "an object was written");
            let mut memory = self.memory.lock();
            for rule in proposal.rules() {
                memory.contests.fixed(ground(policy, key, rule), Instant::now());
            }
        }
        self.settle(key, order, fixes)
    }

    /// The server did not take a patch.
    fn refused(&self, key: &ObjectKey, order: Order<'_>, refusal: Refusal) -> Next {
        let proposal = order.proposal;
        let waiting = |words: &str| {
            self.note(key, proposal, proposal.fixes(Remediation::Waiting, Some(words)));
        };
        match refusal {
            Refusal::Gone | Refusal::Lost => Next::Done,
            Refusal::Changed => Next::Retry,
            Refusal::Busy(wait) => {
                waiting("the server asks to wait");
                Next::After(wait.max(BUSY))
            }
            Refusal::Failed(words) => {
                waiting(&words);
                Next::Retry
            }
            Refusal::Denied(words) => {
                self.deny(&proposal.fixing.policy.name, key, &words);
                self.settle(key, order, proposal.fixes(Remediation::NotVerified, Some(&words)))
            }
            Refusal::Refused(words) => {
                self.settle(key, order, proposal.fixes(Remediation::Refused, Some(&words)))
            }
        }
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
        if let (Ok(object), true) = (&document.root, proposals.len() > 1) {
            let after = |proposal: &Proposal| {
                let after = proposal.as_patch(document, object).apply(object)?;
                self.gate.document(&after, &case.types)
            };
            hold_back_conflicts(&mut proposals, fresh, after);
        }
        for proposal in &mut proposals {
            if let Ok(object) = &document.root {
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
    fn held_back(&self, key: &ObjectKey, document: &Document) -> Option<(Remediation, &'static str)> {
        let own = &self.settings.namespace;
        let is_namespace = key.resource.group.is_empty() && &*key.resource.resource == "namespaces";
        if key.object.namespace.as_ref() == Some(own) || (is_namespace && key.object.name == *own) {
            return Some((Remediation::NotAllowed, "nothing in the operator's own namespace is fixed"));
        }
        if document.deleting.is_some() {
            return Some((Remediation::Deleting, "the object is being deleted"));
        }
        let stopped =
            "writes are stopped for the whole operator, by the annotation watchpolicy.io/writes of its Lease";
        self.parts.leadership.stopped().then_some((Remediation::Stopped, stopped))
    }

    /// Holds back what somebody else writes again and again.
    fn leave_contested(&self, key: &ObjectKey, proposal: &mut Proposal, object: &Node) -> Next {
        let policy = Arc::clone(&proposal.fixing.policy.name);
        let own = format!("{MANAGER}{policy}");
        let now = Instant::now();
        let wait = std::cell::Cell::new(Next::Done);
        let mut memory = self.memory.lock();
        let contests = std::cell::RefCell::new(&mut memory.contests);
        proposal.hold_back_of(|rule, change| {
            let left = contests.borrow_mut().enter(&ground(&policy, key, rule), now).err()?;
            wait.set(wait.get().and(Next::After(left)));
            let by = owner::of(object, &change.place, &own).or_else(|| owner::last(object, &own));
            let by = by.unwrap_or("somebody else");
            let why = format!(
                "{by} writes the field again and again; it is left alone for a while, longer each time"
            );
            Some((Remediation::Contested, why.into()))
        });
        wait.get()
    }

    /// Notes the outcome of something that was sent. What did not mend rests.
    fn settle(&self, key: &ObjectKey, order: Order<'_>, fixes: Fixes) -> Next {
        let policy = &order.proposal.fixing.policy.name;
        let mended = fixes.iter().all(|(_, fix)| fix.outcome == Remediation::Fixed.as_str());
        self.note(key, order.proposal, fixes.clone());
        let sent = self.fingerprint(order);
        let mut memory = self.memory.lock();
        if mended {
            memory.rests.end(key, policy);
            return Next::Done;
        }
        Next::After(memory.rests.begin(key, policy, (sent, fixes), Instant::now()))
    }

    fn note(&self, key: &ObjectKey, proposal: &Proposal, fixes: Fixes) {
        let policy = &proposal.fixing.policy.name;
        for (_, fix) in &fixes {
            let outcome = Remediation::ALL.iter().find(|outcome| outcome.as_str() == fix.outcome);
            outcome.into_iter().for_each(|outcome| self.parts.metrics.remediation(policy, *outcome));
        }
        self.parts.ledger.note_fixes(policy, key, fixes, (self.clock)());
    }

    /// Notes a missing right, with the rule that cures it.
    fn deny(&self, policy: &str, key: &ObjectKey, words: &str) {
        let resource = &key.resource;
        let cure = format!(
            "the operator lacks the right to fix {resource}; add to its ClusterRole: {{apiGroups: [\"{}\"], resources: \
             [\"{}\"], verbs: [\"get\", \"patch\"]}}; the server says: {words}",
            resource.group, resource.resource
        );
        self.parts.ledger.note_denied(policy, Some(cure.into()));
    }
}

const THROTTLED: &str = "the budget of writes is used up for now (maxPerMinute, or --write-qps)";

#[cfg(test)]
#[path = "fixer_tests.rs"]
mod tests;
