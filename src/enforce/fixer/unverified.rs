//! Fixes of objects that may not be read: worked out from what the watch shows, and tried out by nobody.

use std::sync::Arc;
use std::time::Duration;

use super::outcome::untried;
use super::{Fixer, Next};
use crate::enforce::case::Case;
use crate::enforce::proposal::{Fixing, Proposal, after, hold_back_conflicts};
use crate::enforce::rest::Fixes;
use crate::enforce::versions::hold_back_across;
use crate::ledger::{Finding, Place};
use crate::metrics::{Priority, Remediation};
use crate::resource::{GroupResource, ObjectKey};

impl Fixer {
    /// Tells what would be changed, as far as the watch shows. The object is looked at again after `wait`.
    pub(super) fn not_verified(&self, key: &ObjectKey, case: &Case, words: &str, wait: Duration) -> Next {
        for mut proposal in self.known_proposals(key, case) {
            let (policy, known) = (Arc::clone(&proposal.fixing.policy), Arc::clone(&proposal.fixing.known));
            self.deny(&policy.name, &key.resource, words);
            if let Some((outcome, why)) = self.held_back(key, case, &known) {
                proposal.hold_back(|_| Some((outcome, why.into())));
            }
            self.note_news(
                &policy.name,
                key,
                proposal.fixes(Remediation::NotVerified, Some(&untried(words))),
            );
        }
        Next::After(wait)
    }

    /// The right to fix a resource is there again: what rests for want of it is looked at now.
    pub(super) fn granted(&self, policy: &str, resource: &GroupResource) {
        let mut memory = self.memory.lock();
        memory.denials.end(resource);
        memory.contests.end_denied(resource);
        memory.rests.end_unverified(policy, resource);
        drop(memory);
        let failing = self.parts.ledger.failing(policy).into_iter();
        for key in failing.filter(|key| key.resource == *resource) {
            self.parts.queue.add(&key, Priority::PolicyChange);
        }
    }

    /// What the policies want of the object as their watches show it.
    fn known_proposals(&self, key: &ObjectKey, case: &Case) -> Vec<Proposal> {
        let (now, types) = ((self.clock)(), &case.types);
        let proposal = |fixing: &Fixing| Proposal::new(fixing, self.fresh(key, types, &fixing.known, now));
        let mut proposals: Vec<_> = case.fixing.iter().map(proposal).collect();
        // While two watches show the object, none of them has what all policies read.
        if let Some(known) = case.known() {
            let fresh = self.fresh(key, types, known, now);
            let then = |proposal: &Proposal| {
                let object = known.root.as_ref().ok()?.node();
                after(known, &proposal.as_patch(known, object))
            };
            hold_back_conflicts(&mut proposals, fresh, then);
            hold_back_across(&mut proposals, fresh, &case.elsewhere);
        }
        proposals.retain(|proposal| !proposal.is_empty());
        proposals
    }

    /// Counts and notes what is not noted yet.
    fn note_news(&self, policy: &str, key: &ObjectKey, mut fixes: Fixes) {
        let noted = self.parts.ledger.findings_on(key);
        fixes.retain(|(rule, fix)| {
            let is_it = |(name, place, finding): &(Arc<str>, Place, Arc<Finding>)| {
                **name == *policy && place.rule == *rule && finding.fix.as_ref() == Some(fix)
            };
            !noted.iter().any(is_it)
        });
        if !fixes.is_empty() {
            self.note_all(policy, key, fixes);
        }
    }
}
