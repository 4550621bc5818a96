//! A worker: takes keys, judges what the store holds of them by all policies in one pass, and enters the verdicts.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{journal, leftovers};
use crate::jsonpath::{Document, TypeMeta};
use crate::leader::Leadership;
use crate::ledger::{Judged, Ledger, Said};
use crate::metrics::{Metrics, Priority, VerdictResult};
use crate::policy::{CompiledPolicy, Judgement, Outcome, Subject};
use crate::queue::Queue;
use crate::resource::{ObjectKey, ObjectName};
use crate::store::{Store, View};

/// What a worker works with. One value serves all workers.
pub struct Worker {
    /// Where keys come from.
    pub queue: Arc<Queue<ObjectKey>>,
    /// Where documents are read.
    pub store: Arc<Store>,
    /// Where verdicts go.
    pub ledger: Arc<Ledger>,
    /// Where keys go that may be fixed.
    pub fixes: Arc<Queue<ObjectKey>>,
    /// Whether this replica fixes.
    pub leadership: Leadership,
    /// Durations.
    pub metrics: Arc<Metrics>,
    /// The wall clock, by which ages and ends are judged.
    pub clock: fn() -> Timestamp,
    /// Whether verdicts that change are told in the log.
    pub journal: bool,
}

impl Worker {
    /// Works until the queue is shut down and drained.
    pub async fn run(self: Arc<Self>) {
        while let Some(claim) = self.queue.get().await {
            let start = Instant::now();
            self.judge(claim.key(), claim.priority());
            let took = start.elapsed();
            self.metrics.evaluation_seconds().observe(took.as_secs_f64());
            self.metrics.change_to_verdict_seconds().observe((claim.waited() + took).as_secs_f64());
            claim.succeeded();
            // Judging never waits: without this a long queue would keep the thread from everybody else.
            tokio::task::coop::consume_budget().await;
        }
    }

    fn judge(&self, key: &ObjectKey, priority: Priority) {
        let views = self.store.views(key);
        let now = (self.clock)();
        let Some(newest) = views.first() else {
            self.tell(key, &[]);
            return self.ledger.forget(key, now);
        };
        let (said, fails) = judge(key, &views, &self.store, now);
        let is_for_fixers = fails || leftovers::may_be_left(&views, priority);
        self.tell(key, &said);
        let again = said.iter().filter_map(|said| said.judgement.again()).min();
        if let Some(again) = again {
            self.queue.add_after(key, Priority::LiveChange, wait(now, again));
        }
        let judged = Judged {
            key,
            uid: &newest.document.id.uid,
            listed: matches!(priority, Priority::InitialList | Priority::Resync),
            said,
        };
        self.ledger.enter(judged, now);
        // Asked after the entry: whoever begins to lead later finds it there.
        if is_for_fixers && self.leadership.permit().is_ok() {
            self.fixes.add(key, priority);
        }
    }

    /// A key has one worker at a time, so the ledger says what was before until the new verdicts are entered.
    fn tell(&self, key: &ObjectKey, said: &[Said<'_>]) {
        if self.journal {
            journal::tell(key, &journal::before(&self.ledger, key), said);
        }
    }
}

/// Judges by every policy that is served, by the newest document that carries what it reads. A document of another uid
/// is of an object that had the name before. Also says whether a policy that fixes has something to fix.
fn judge<'v>(key: &ObjectKey, views: &'v [View], store: &Store, now: Timestamp) -> (Vec<Said<'v>>, bool) {
    let mut said = Vec::new();
    let mut fails = false;
    let newest = views.first().map(|newest| &newest.document.id.uid);
    // One view has each policy once.
    let mut seen = (views.len() > 1).then(BTreeSet::new);
    for view in views.iter().filter(|view| newest == Some(&view.document.id.uid)) {
        let shared = &view.serving.shared;
        let mut survey = shared.survey(&view.document);
        let serving = view.serving.iter().enumerate();
        let judged_here = |policy: &CompiledPolicy| policy.judges() && view.judges(policy);
        for (index, served) in serving.filter(|(_, served)| judged_here(&served.policy)) {
            let policy = &served.policy;
            if seen.as_ref().is_some_and(|seen| seen.contains(&policy.name)) {
                continue;
            }
            // Before Namespaces were ever known, nothing can be said; they are enqueued with all in them when they are.
            // An older view may be served by a program that does without.
            let Some(namespace) = namespace_of(&key.object, policy, store) else { continue };
            if let Some(seen) = &mut seen {
                seen.insert(&policy.name);
            }
            let subject = Subject {
                resource: &key.resource,
                kind: &view.types.kind,
                roots: &served.roots,
                document: &view.document,
                namespace: namespace.as_deref(),
                now,
            };
            let share = survey.as_mut().and_then(|survey| shared.of_policy(index, survey));
            let judgement = policy.judge_sharing(&subject, share, store);
            if let Judgement::Judged(verdict) = &judgement {
                served.series.evaluated(result(verdict.outcome));
                fails |= policy.mends() && verdict.rules.iter().any(|rule| rule.outcome == Outcome::Fail);
            }
            let TypeMeta { api_version, kind } = &view.types;
            said.push(Said { policy: Arc::clone(&policy.name), api_version, kind, judgement });
        }
    }
    (said, fails)
}

/// The Namespace of an object, if the policy reads it and it is there. `None` while Namespaces are not known at all.
pub(super) fn namespace_of(
    object: &ObjectName,
    policy: &Arc<CompiledPolicy>,
    store: &Store,
) -> Option<Option<Arc<Document>>> {
    match &object.namespace {
        Some(name) if policy.reads_namespaces() => {
            let name = ObjectName { namespace: None, name: Arc::clone(name) };
            Some(store.around(policy)?.get(&name))
        }
        _ => Some(None),
    }
}

/// How long to wait until an instant. Long waits are cut: meanwhile the wall clock may be set, and a machine sleep.
fn wait(now: Timestamp, instant: Timestamp) -> Duration {
    const LONGEST: Duration = Duration::from_secs(3600);
    Duration::try_from(instant.duration_since(now)).unwrap_or_default().min(LONGEST)
}

fn result(outcome: Outcome) -> VerdictResult {
    match outcome {
        Outcome::Pass => VerdictResult::Pass,
        Outcome::Fail => VerdictResult::Fail,
        Outcome::Error => VerdictResult::Error,
        Outcome::Skip => VerdictResult::Skip,
    }
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
