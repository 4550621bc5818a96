//! Mending one object: it is read afresh, judged again, and what still fails is changed, or tried out, policy by policy.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;

use super::contested::Outrun;
use super::edition::Doubt;
use super::{BUSY, Fixer, Next, Order, READS};
use crate::enforce::case::Case;
use crate::enforce::gate::{Intent, Target};
use crate::enforce::proposal::{Fresh, Proposal, hold_back_conflicts};
use crate::enforce::refusal::Refusal;
use crate::enforce::versions::hold_back_across;
use crate::jsonpath::{Document, Tree, TypeMeta};
use crate::leader::Permit;
use crate::metrics::Remediation;
use crate::policy::Patch;
use crate::resource::{Gvr, ObjectKey, ObjectName, Place, log_object};

impl Fixer {
    pub(super) async fn mend_case(&self, key: &ObjectKey, mut case: Case, permit: &Permit) -> Next {
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
        if let Some(next) = self.doubted(key, &failing) {
            return next;
        }
        if let Some(wait) = self.throttled(key, &failing) {
            return Next::After(wait);
        }
        if let Some(wait) = self.looked_at(key, &failing) {
            return Next::After(wait);
        }
        case.is_ending = self.is_in_ending_namespace(key).await;
        let target = Target { resource: &case.resource, object: &key.object, types: &case.types };
        let mut outrun: Option<Box<Outrun>> = None;
        for _ in 0..READS {
            let read = self.gate.read(target).await;
            if let Some(outrun) = outrun.take() {
                self.note_outrun(key, &outrun, read.as_deref().ok());
            }
            let document = match read {
                Ok(document) => document,
                Err(refusal) => return self.unread(key, &case, &refusal),
            };
            self.memory.lock().looks.read(key, Instant::now());
            if document.id.uid != case.uid {
                return Next::Done;
            }
            match self.mend_document(key, &case, document, permit).await {
                Ok(next) => return next,
                Err(changed) => {
                    log_object!(debug, key, "the object changed before it was fixed; it is read again");
                    outrun = Some(changed);
                }
            }
        }
        outrun.map_or(Next::Retry, |outrun| self.give_way(key, &outrun))
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

    /// Mends what fails of the object as it was read.
    ///
    /// # Errors
    /// The patch that was in vain, where the object changed meanwhile.
    async fn mend_document(
        &self,
        key: &ObjectKey,
        case: &Case,
        mut document: Arc<Document>,
        permit: &Permit,
    ) -> Result<Next, Box<Outrun>> {
        let mut next = Next::Done;
        let mut proposals = self.proposals(key, case, &document, (self.clock)()).into_iter();
        while let Some(proposal) = proposals.next() {
            let (then, after) = self.mend_by(key, case, (&document, proposal), permit).await?;
            next = next.and(then);
            let Some(after) = after else { continue };
            document = after;
            // Places may have moved: what the others want is found anew, in the object as it is now.
            let waiting: Vec<_> = proposals.map(|waiting| Arc::clone(&waiting.fixing.policy.name)).collect();
            if waiting.is_empty() {
                break;
            }
            let mut found = self.proposals(key, case, &document, (self.clock)());
            found.retain(|found| waiting.contains(&found.fixing.policy.name));
            proposals = found.into_iter();
        }
        Ok(next)
    }

    /// Does what one policy wants; gives the object as it is then, if it was written.
    ///
    /// # Errors
    /// As [`Fixer::mend_document`].
    async fn mend_by(
        &self,
        key: &ObjectKey,
        case: &Case,
        (document, mut proposal): (&Arc<Document>, Proposal),
        permit: &Permit,
    ) -> Result<(Next, Option<Arc<Document>>), Box<Outrun>> {
        let (patch, next) = match self.prepare(key, case, document, &mut proposal) {
            Ok(prepared) => prepared,
            Err(next) => return Ok((next, None)),
        };
        // Something is to be sent: the object was not read in vain.
        self.memory.lock().looks.end(key);
        let dry_run = proposal.only_plans(self.settings.allow);
        if !dry_run && let Err((then, why)) = self.prepare_to_write(key, &proposal, permit).await {
            self.note(key, &proposal, proposal.fixes(Remediation::Waiting, Some(&why)));
            return Ok((next.and(then), None));
        }
        // Last: nothing is paid for what is not sent, and nothing is waited for between what was made sure of and the write.
        if let Some(wait) = self.unpaid(key, &proposal) {
            return Ok((next.and(Next::After(wait)), None));
        }
        let order = Order { proposal: &proposal, document, patch: &patch, dry_run };
        let target = Target { resource: &case.resource, object: &key.object, types: &case.types };
        let intent = Intent { policy: &proposal.fixing.policy.name, patch: &patch, dry_run };
        match self.gate.swap(target, intent, permit).await {
            Ok(after) => {
                let next = next.and(self.taken(key, &case.types, order, &after));
                Ok((next, (!dry_run).then_some(after)))
            }
            Err(Refusal::Changed) => {
                Err(Box::new(Outrun { document: Arc::clone(document), dry_run, proposal }))
            }
            Err(refusal) => Ok((next.and(self.refused(key, order, refusal)), None)),
        }
    }

    /// Makes sure that what is written is wanted still, and found again when it is not.
    ///
    /// # Errors
    /// What brings the key back where nothing is to be sent, and why, in words.
    async fn prepare_to_write(
        &self,
        key: &ObjectKey,
        proposal: &Proposal,
        permit: &Permit,
    ) -> Result<(), Doubt> {
        self.confirm(&proposal.fixing.policy).await?;
        match self.recorder.covers(&place(key, proposal), permit).await {
            true => Ok(()),
            false => Err((Next::Retry, UNRECORDED.to_owned())),
        }
    }

    /// What is to be sent for a policy that can pay for it, and what else brings the key back.
    ///
    /// # Errors
    /// What brings the key back, where nothing is to be sent.
    fn prepare(
        &self,
        key: &ObjectKey,
        case: &Case,
        document: &Document,
        proposal: &mut Proposal,
    ) -> Result<(Patch, Next), Next> {
        let Ok(object) = document.root.as_ref().map(Tree::node) else { return Err(Next::Done) };
        let dry_run = proposal.only_plans(self.settings.allow);
        let mut next = Next::Done;
        if let Some((outcome, why)) = self.held_back(key, case, document) {
            proposal.hold_back(|_| Some((outcome, why.into())));
        }
        if !dry_run {
            match self.may_write(&proposal.fixing.policy.name) {
                Ready::Yes => next = self.leave_contested(key, proposal, document),
                Ready::Soon => proposal.hold_back(|_| Some((Remediation::Waiting, UNHELD.into()))),
                Ready::Ended => return Err(Next::Done),
            }
        }
        if proposal.changes.is_empty() {
            self.note(key, proposal, proposal.fixes(Remediation::Impossible, None));
            return Err(next);
        }
        let mut patch = proposal.as_patch(document, object);
        if let Some(stands) = self.stands(key, Order { proposal, document, patch: &patch, dry_run }) {
            return Err(next.and(stands));
        }
        if dry_run {
            next = next.and(self.leave_contested(key, proposal, document));
            if proposal.changes.is_empty() {
                self.note(key, proposal, proposal.fixes(Remediation::Impossible, None));
                return Err(next);
            }
            patch = proposal.as_patch(document, object);
        }
        match self.unaffordable(key, proposal) {
            Some(wait) => Err(next.and(Next::After(wait))),
            None => Ok((patch, next)),
        }
    }

    pub(super) fn fresh<'f>(
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
    pub(super) fn held_back(
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
    pub(super) fn may_write(&self, policy: &Arc<str>) -> Ready {
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
pub(super) enum Ready {
    Yes,
    /// Once its finalizer is there.
    Soon,
    /// It is gone, or enforces no more.
    Ended,
}

pub(super) const UNHELD: &str =
    "the policy has no finalizer yet, without which nothing could be taken back when it is deleted";

const UNRECORDED: &str = "the operator's Lease does not name yet where the fix would write, since it could not be renewed; it \
    is tried again";

/// Where it is found again what a policy writes: in the namespace, if the policy names namespaces.
fn place(key: &ObjectKey, proposal: &Proposal) -> Place {
    let ObjectKey { resource, object } = key;
    let names_some = !proposal.fixing.policy.namespaces(resource).is_empty();
    Place { resource: resource.clone(), namespace: object.namespace.clone().filter(|_| names_some) }
}
