//! What became of what a fixer wanted, or sent: noted where people read it, and remembered so that it is not sent again and
//! again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::mend::{Ready, UNHELD};
use super::{BUSY, Fixer, Next, Order};
use crate::crd::{FixStatus, Mode, OnDelete};
use crate::enforce::case::Case;
use crate::enforce::contest::Fate;
use crate::enforce::proposal::Proposal;
use crate::enforce::refusal::Refusal;
use crate::enforce::rest::Fixes;
use crate::jsonpath::{Document, TypeMeta};
use crate::metrics::Remediation;
use crate::policy::{CompiledPolicy, Outcome};
use crate::resource::{GroupResource, ObjectKey, log_object};

pub(super) const THROTTLED: &str = "the budget of writes is used up for now (maxPerMinute, or --write-qps)";
const CHANGES: &str =
    "what the policies read of the object changes again and again; it is looked at anew within a minute";

impl Fixer {
    /// What became of the same patch when it was sent lately, if that stands, and what brings the key back then.
    pub(super) fn stands(&self, key: &ObjectKey, order: Order<'_>) -> Option<Next> {
        let policy = &order.proposal.fixing.policy.name;
        let sent = self.fingerprint(order);
        let mut memory = self.memory.lock();
        let (fixes, wait) = memory.rests.of(key, policy, sent, Instant::now())?;
        memory.looks.tell(key, policy, &fixes);
        drop(memory);
        self.parts.ledger.note_fixes(policy, key, fixes, (self.clock)());
        Some(wait.map_or(Next::Done, Next::After))
    }

    /// Pays for a patch; where a budget is used up, gives how long to wait.
    pub(super) fn unpaid(&self, key: &ObjectKey, proposal: &Proposal) -> Option<Duration> {
        let policy = &proposal.fixing.policy;
        let most = policy.enforcement.max_per_minute;
        let paid = self.memory.lock().budgets.pay(&policy.name, most, Instant::now());
        paid.err().inspect(|_wait| self.note_throttled(key, proposal))
    }

    /// How long to wait before a patch can be paid for; nothing is paid.
    pub(super) fn unaffordable(&self, key: &ObjectKey, proposal: &Proposal) -> Option<Duration> {
        let policy = &proposal.fixing.policy;
        let most = policy.enforcement.max_per_minute;
        let wait = self.memory.lock().budgets.wait(&policy.name, most, Instant::now());
        wait.inspect(|_wait| self.note_throttled(key, proposal))
    }

    fn note_throttled(&self, key: &ObjectKey, proposal: &Proposal) {
        self.memory.lock().looks.end(key);
        self.note(key, proposal, proposal.fixes(Remediation::Throttled, Some(THROTTLED)));
    }

    /// What is remembered of what was sent.
    fn fingerprint(&self, order: Order<'_>) -> u64 {
        self.hasher.hash_one((serde_json::to_string(order.patch).unwrap_or_default(), order.dry_run))
    }

    /// The server took a patch; its answer is judged.
    pub(super) fn taken(
        &self,
        key: &ObjectKey,
        types: &TypeMeta,
        order: Order<'_>,
        after: &Document,
    ) -> Next {
        let Order { proposal, dry_run, .. } = order;
        let policy = &proposal.fixing.policy.name;
        let fresh = self.fresh(key, types, after, (self.clock)());
        let fixes = proposal.fixes_after(fresh, dry_run);
        if !dry_run {
            let rules: BTreeSet<_> = proposal.wanted().map(|(rule, _)| &**rule).collect();
            let rules = rules.into_iter().collect::<Vec<_>>().join(",");
            log_object!(info, key, policy = &**policy, rules, "an object was written");
            self.look_for_own_entry(key, proposal, after);
        }
        let holds = |rule: Option<&str>| {
            let is_fixed = |(of, fix): &(Arc<str>, FixStatus)| {
                rule.is_none_or(|rule| **of == *rule) && fix.outcome == Remediation::Fixed.as_str()
            };
            if fixes.iter().any(is_fixed) { Fate::Held } else { Fate::Vain }
        };
        self.note_sent(key, order, holds);
        self.settle(key, order, fixes)
    }

    /// Who is to take back what was written finds it by the manager's entry, which the server does not keep on an object
    /// with many of them, or with none.
    fn look_for_own_entry(&self, key: &ObjectKey, proposal: &Proposal, after: &Document) {
        let policy = &proposal.fixing.policy;
        if policy.enforcement.on_delete != OnDelete::Release {
            return;
        }
        let is_tracked = after.owned.iter().any(|owned| *owned.policy == *policy.name);
        self.parts.ledger.note_tracked((&policy.name, policy.generation), key, is_tracked);
        if !is_tracked {
            log_object!(
                warn,
                key,
                policy = &*policy.name,
                "the server keeps no entry of the policy in managedFields: what was written cannot be taken back"
            );
        }
    }

    /// The server did not take a patch.
    pub(super) fn refused(&self, key: &ObjectKey, order: Order<'_>, refusal: Refusal) -> Next {
        let proposal = order.proposal;
        if !order.dry_run && matches!(refusal, Refusal::Lost | Refusal::Busy(_) | Refusal::Failed(_)) {
            self.parts.leftovers.note_unanswered(&proposal.fixing.policy.name);
        }
        let unmade = |outcome: Remediation, words: &str| {
            let words: Arc<str> = words.into();
            self.note_sent(key, order, |_| Fate::Unmade(outcome, Arc::clone(&words)));
            proposal.fixes(outcome, Some(&words))
        };
        match refusal {
            Refusal::Gone | Refusal::Lost | Refusal::Changed => Next::Done,
            Refusal::Busy(wait) => {
                self.note(key, proposal, unmade(Remediation::Waiting, "the server asks to wait"));
                Next::After(wait.max(BUSY))
            }
            Refusal::Failed(words) => {
                let words = format!("it is tried again: {words}");
                self.note(key, proposal, unmade(Remediation::Waiting, &words));
                Next::Retry
            }
            Refusal::Denied(words) => {
                self.deny(&proposal.fixing.policy.name, &key.resource, &words);
                self.settle(key, order, unmade(Remediation::NotVerified, &untried(&words)))
            }
            Refusal::Refused(words) => self.settle(key, order, unmade(Remediation::Refused, &words)),
        }
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
        // The same would be planned again.
        if fixes.iter().all(|(_, fix)| fix.outcome == Remediation::Planned.as_str()) {
            memory.rests.stand(key, policy, (sent, fixes));
            return Next::Done;
        }
        Next::After(memory.rests.begin(key, policy, (sent, fixes), Instant::now()))
    }

    pub(super) fn note(&self, key: &ObjectKey, proposal: &Proposal, fixes: Fixes) {
        let policy = &proposal.fixing.policy.name;
        self.memory.lock().looks.tell(key, policy, &fixes);
        self.note_all(policy, key, fixes);
    }

    pub(super) fn note_all(&self, policy: &str, key: &ObjectKey, fixes: Fixes) {
        for (_, fix) in &fixes {
            let outcome = Remediation::ALL.iter().find(|outcome| outcome.as_str() == fix.outcome);
            outcome.into_iter().for_each(|outcome| self.parts.metrics.remediation(policy, *outcome));
        }
        self.parts.ledger.note_fixes(policy, key, fixes, (self.clock)());
    }

    /// Notes a missing right, with the rule that cures it.
    pub(super) fn deny(&self, policy: &str, resource: &GroupResource, words: &str) {
        let words = format!("{}; the server says: {words}", cure(resource, None));
        self.parts.ledger.note_denied(policy, resource, Some(words.into()));
    }

    /// How long to wait before anything that fails can be paid for: then the object is not even read.
    pub(super) fn throttled(&self, key: &ObjectKey, failing: &[Arc<CompiledPolicy>]) -> Option<Duration> {
        let now = Instant::now();
        let mut memory = self.memory.lock();
        let mut wait = |policy: &Arc<CompiledPolicy>| {
            memory.budgets.wait(&policy.name, policy.enforcement.max_per_minute, now).unwrap_or_default()
        };
        let wait = failing.iter().map(&mut wait).min().filter(|wait| !wait.is_zero())?;
        drop(memory);
        self.note_unread(key, failing, |_, _| unread(Remediation::Throttled, THROTTLED));
        Some(wait)
    }

    /// Whether all that fails waits for finalizers: then the object is not read either, and comes back with them.
    pub(super) fn unheld(&self, key: &ObjectKey, failing: &[Arc<CompiledPolicy>]) -> bool {
        let waits = |policy: &Arc<CompiledPolicy>| {
            self.writes_for(policy) && matches!(self.may_write(&policy.name), Ready::Soon)
        };
        let all = failing.iter().all(waits);
        if all {
            self.note_unread(key, failing, |_, _| unread(Remediation::Waiting, UNHELD));
        }
        all
    }

    /// How long an object is not read, since it was lately, again and again, and nothing was to be sent.
    pub(super) fn looked_at(&self, key: &ObjectKey, failing: &[Arc<CompiledPolicy>]) -> Option<Duration> {
        let wait = self.memory.lock().looks.wait(key, Instant::now())?;
        self.note_unread(key, failing, |policy, rule| {
            let memory = self.memory.lock();
            match memory.looks.told(key, policy, rule) {
                // What it would become is not known any more.
                Some(told) => FixStatus { path: None, from: None, to: None, ..told.clone() },
                None => unread(Remediation::Throttled, CHANGES),
            }
        });
        Some(wait)
    }

    /// What brings a key back, where nothing that fails is wanted by a policy that is as it is known here: then the object
    /// is not read either.
    pub(super) fn doubted(&self, key: &ObjectKey, failing: &[Arc<CompiledPolicy>]) -> Option<Next> {
        let doubt = |policy: &Arc<CompiledPolicy>| self.doubt(policy).filter(|_| self.writes_for(policy));
        let doubts: Vec<_> = failing.iter().map(doubt).collect::<Option<_>>()?;
        for (policy, (_, why)) in failing.iter().zip(&doubts) {
            self.note_unread(key, std::slice::from_ref(policy), |_, _| unread(Remediation::Waiting, why));
        }
        doubts.into_iter().map(|(next, _)| next).reduce(Next::and)
    }

    /// Whether fixes of a policy are written, and not only tried out.
    fn writes_for(&self, policy: &CompiledPolicy) -> bool {
        self.settings.allow && policy.mode == Mode::Enforce
    }

    /// Notes why an object is not even read, by policy and rule, where nothing else is known of a fix.
    fn note_unread(
        &self,
        key: &ObjectKey,
        failing: &[Arc<CompiledPolicy>],
        why: impl Fn(&str, &str) -> FixStatus,
    ) {
        for (name, place, finding) in self.parts.ledger.findings_on(key) {
            let fixes = |policy: &Arc<CompiledPolicy>| policy.name == name && policy.fixes(&place.rule);
            if finding.outcome == Outcome::Fail && finding.fix.is_none() && failing.iter().any(fixes) {
                let fix = why(&name, &place.rule);
                self.note_all(&name, key, vec![(place.rule, fix)]);
            }
        }
    }

    /// The policies of a case that do not hold on an object, as far as they were last judged.
    pub(super) fn failing(&self, key: &ObjectKey, case: &Case) -> Vec<Arc<CompiledPolicy>> {
        let outcomes = self.parts.ledger.outcomes_on(key);
        let fails = |policy: &CompiledPolicy| {
            let of_policy = |(name, outcome): &(Arc<str>, Outcome)| {
                *name == policy.name && matches!(outcome, Outcome::Fail | Outcome::Error)
            };
            outcomes.iter().any(of_policy)
        };
        let policies = case.fixing.iter().map(|fixing| &fixing.policy);
        policies.filter(|policy| fails(policy)).cloned().collect()
    }
}

/// What is told where a right is missing; the condition Enforcing has the rule that cures it.
pub(super) fn untried(words: &str) -> String {
    format!("the operator may not try it, see the condition Enforcing: {words}")
}

/// What is told where the object was not read.
fn unread(outcome: Remediation, why: &str) -> FixStatus {
    let (outcome, message) = (outcome.as_str().to_owned(), Some(why.to_owned()));
    FixStatus { outcome, path: None, from: None, to: None, message }
}

/// What is missing to fix a resource, in a namespace or in all, and the rule that cures it.
pub(super) fn cure(resource: &GroupResource, namespace: Option<&str>) -> String {
    let place = namespace.map(|namespace| format!(" in the namespace {namespace}")).unwrap_or_default();
    let role = if namespace.is_some() { "Role there" } else { "ClusterRole" };
    format!(
        "the operator lacks the right to fix {resource}{place}; add to its {role}: {{apiGroups: [\"{}\"], resources: \
         [\"{}\"], verbs: [\"get\", \"patch\"]}}",
        resource.group, resource.resource
    )
}
