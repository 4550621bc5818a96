//! The registry, and the handles that other rooms count through.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry,
    TextEncoder, exponential_buckets,
};

use super::labels::{EventType, Remediation, ReportWrite, VerdictResult, WatchFailure};
use super::queue::QueueSeries;
use super::requests::RequestSeries;
use super::scrape::{self, InformerSample, PolicySample};
use super::work::{Followed, WorkVectors, Workload};
use crate::resource::GroupResource;

// Names and help texts.
const EVALUATIONS: (&str, &str) =
    ("watchpolicy_evaluations_total", "Evaluations of a policy on an object, by result.");
const EVALUATION_SECONDS: (&str, &str) = (
    "watchpolicy_evaluation_duration_seconds",
    "Seconds to judge one object by all policies that concern it.",
);
const CHANGE_TO_VERDICT: (&str, &str) =
    ("watchpolicy_change_to_verdict_seconds", "Seconds from receiving a change to its verdict.");
const WATCH_EVENTS: (&str, &str) =
    ("watchpolicy_watch_events_total", "Watch events received, by target and type.");
const WATCH_ERRORS: (&str, &str) =
    ("watchpolicy_watch_errors_total", "Lists and watches that did not go on, by target and reason.");
const LIST_SECONDS: (&str, &str) =
    ("watchpolicy_list_duration_seconds", "Seconds that a whole list took, all pages.");
const UNCHANGED: (&str, &str) =
    ("watchpolicy_unchanged_total", "Events of objects of which nothing changed that a policy reads.");
const REMEDIATIONS: (&str, &str) =
    ("watchpolicy_remediations_total", "What became of fixes, by policy and outcome.");
const REPORT_WRITES: (&str, &str) =
    ("watchpolicy_report_writes_total", "Writes of policy status and of reports on objects, by outcome.");
const EVENTS_DROPPED: (&str, &str) =
    ("watchpolicy_events_dropped_total", "Events that were not written, for want of room, budget or right.");

/// Every series of the process.
pub struct Metrics {
    registry: Registry,
    work: WorkVectors,
    followed: Mutex<Vec<Followed>>,
    /// Those with series of their own. What is still under way when a policy goes brings none of them back.
    policies: Mutex<BTreeSet<Box<str>>>,
    requests: RequestSeries,
    evaluations: IntCounterVec,
    evaluation_seconds: Histogram,
    change_to_verdict_seconds: Histogram,
    watch_events: IntCounterVec,
    watch_errors: IntCounterVec,
    list_seconds: HistogramVec,
    unchanged: IntCounterVec,
    report_writes: IntCounterVec,
    events_dropped: IntCounter,
    remediations: IntCounterVec,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Makes and registers every series; `version` is the operator's own, for `watchpolicy_build_info`.
    ///
    /// # Errors
    /// When two series have one name or a name is not valid: never, once the tests have passed.
    pub fn new(version: &str) -> prometheus::Result<Arc<Self>> {
        let registry = Registry::new();
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let build = IntGaugeVec::new(
            Opts::new("watchpolicy_build_info", "The version that runs; always 1."),
            &["version"],
        )?;
        build.with_label_values(&[version]).set(1);
        let seconds = exponential_buckets(0.001, 2.0, 15)?;
        let target = &["group", "resource"];
        let metrics = Self {
            work: WorkVectors::new(&registry)?,
            followed: Mutex::default(),
            policies: Mutex::default(),
            requests: RequestSeries::new(&registry)?,
            evaluations: counters(EVALUATIONS, &["policy", "result"])?,
            evaluation_seconds: histogram(EVALUATION_SECONDS, exponential_buckets(1e-6, 4.0, 10)?)?,
            change_to_verdict_seconds: histogram(CHANGE_TO_VERDICT, seconds.clone())?,
            watch_events: counters(WATCH_EVENTS, &["group", "resource", "type"])?,
            watch_errors: counters(WATCH_ERRORS, &["group", "resource", "reason"])?,
            list_seconds: HistogramVec::new(
                HistogramOpts::new(LIST_SECONDS.0, LIST_SECONDS.1).buckets(seconds),
                target,
            )?,
            unchanged: counters(UNCHANGED, target)?,
            report_writes: counters(REPORT_WRITES, &["outcome"])?,
            events_dropped: IntCounter::new(EVENTS_DROPPED.0, EVENTS_DROPPED.1)?,
            remediations: counters(REMEDIATIONS, &["policy", "outcome"])?,
            registry,
        };
        for outcome in ReportWrite::ALL {
            metrics.report_writes.with_label_values(&[outcome.as_str()]);
        }
        metrics.register(build)?;
        Ok(Arc::new(metrics))
    }

    fn register(&self, build: IntGaugeVec) -> prometheus::Result<()> {
        let all: [Box<dyn Collector>; 11] = [
            Box::new(build),
            Box::new(self.evaluations.clone()),
            Box::new(self.evaluation_seconds.clone()),
            Box::new(self.change_to_verdict_seconds.clone()),
            Box::new(self.watch_events.clone()),
            Box::new(self.watch_errors.clone()),
            Box::new(self.list_seconds.clone()),
            Box::new(self.unchanged.clone()),
            Box::new(self.report_writes.clone()),
            Box::new(self.events_dropped.clone()),
            Box::new(self.remediations.clone()),
        ];
        all.into_iter().try_for_each(|collector| self.registry.register(collector))
    }

    /// The series of a work queue, to be given to it when it is made.
    pub fn queue(&self, name: &str) -> QueueSeries {
        self.work.queue(name)
    }

    /// Asks the queue at each scrape what waits and what is in process; call once for each queue, with the number of
    /// its workers. It is not kept alive by this.
    pub fn follow_queue(&self, name: &str, work: Weak<dyn Workload>, workers: usize) {
        self.work.workers(name, workers);
        self.followed.lock().push(Followed::new(name, work));
    }

    /// The series of requests to the API server, for [`super::client`].
    pub fn requests(&self) -> &RequestSeries {
        &self.requests
    }

    /// The counters of one policy; resolve once and keep.
    pub fn policy(&self, policy: &str) -> PolicySeries {
        self.policies.lock().insert(policy.into());
        let of = |result: VerdictResult| self.evaluations.with_label_values(&[policy, result.as_str()]);
        PolicySeries {
            pass: of(VerdictResult::Pass),
            fail: of(VerdictResult::Fail),
            error: of(VerdictResult::Error),
            skip: of(VerdictResult::Skip),
        }
    }

    /// Shows a policy's fixes that come to trouble from 0 on, so that the first one is an increase; for policies that fix.
    pub fn expect_remediations(&self, policy: &str) {
        for outcome in Remediation::TROUBLES {
            self.remediations.with_label_values(&[policy, outcome.as_str()]);
        }
    }

    /// Drops the counters of a policy that is gone.
    pub fn forget_policy(&self, policy: &str) {
        let mut policies = self.policies.lock();
        policies.remove(policy);
        for result in VerdictResult::ALL {
            forget(self.evaluations.remove_label_values(&[policy, result.as_str()]));
        }
        for outcome in Remediation::ALL {
            forget(self.remediations.remove_label_values(&[policy, outcome.as_str()]));
        }
    }

    /// The counters of one target; resolve once and keep.
    pub fn target(&self, target: &GroupResource) -> TargetSeries {
        let labels: &[&str] = &[&target.group, &target.resource];
        let event = |kind: EventType| {
            self.watch_events.with_label_values(&[&*target.group, &*target.resource, kind.as_str()])
        };
        TargetSeries {
            added: event(EventType::Added),
            modified: event(EventType::Modified),
            deleted: event(EventType::Deleted),
            bookmark: event(EventType::Bookmark),
            error: event(EventType::Error),
            unchanged: self.unchanged.with_label_values(labels),
            list_seconds: self.list_seconds.with_label_values(labels),
            failures: self.watch_errors.clone(),
            target: target.clone(),
        }
    }

    /// Drops the series of a target whose last informer has stopped.
    pub fn forget_target(&self, target: &GroupResource) {
        let (group, resource) = (&*target.group, &*target.resource);
        for kind in EventType::ALL {
            forget(self.watch_events.remove_label_values(&[group, resource, kind.as_str()]));
        }
        for failure in WatchFailure::ALL {
            forget(self.watch_errors.remove_label_values(&[group, resource, failure.as_str()]));
        }
        forget(self.unchanged.remove_label_values(&[group, resource]));
        forget(self.list_seconds.remove_label_values(&[group, resource]));
    }

    /// Seconds to judge one object by all its policies.
    pub fn evaluation_seconds(&self) -> &Histogram {
        &self.evaluation_seconds
    }

    /// Seconds from receiving a change to its verdict.
    pub fn change_to_verdict_seconds(&self) -> &Histogram {
        &self.change_to_verdict_seconds
    }

    /// Counts what became of a fix of a rule on an object, as long as the policy is there.
    pub fn remediation(&self, policy: &str, outcome: Remediation) {
        let policies = self.policies.lock();
        if policies.contains(policy) {
            self.remediations.with_label_values(&[policy, outcome.as_str()]).inc();
        }
    }

    /// Counts events that were not written.
    pub fn events_dropped(&self, events: u64) {
        self.events_dropped.inc_by(events);
    }

    /// Counts the write of a status or report.
    pub fn report_write(&self, outcome: ReportWrite) {
        self.report_writes.with_label_values(&[outcome.as_str()]).inc();
    }

    /// Shows the policies that the source tells at each scrape.
    ///
    /// # Errors
    /// When called twice.
    pub fn follow_policies<F>(&self, source: F) -> prometheus::Result<()>
    where
        F: Fn() -> Vec<PolicySample> + Send + Sync + 'static,
    {
        self.registry.register(scrape::policies(source)?)
    }

    /// Shows at each scrape whether this replica leads, under the name that client-go gives it.
    ///
    /// # Errors
    /// When called twice.
    pub fn follow_leadership<F>(&self, name: &str, source: F) -> prometheus::Result<()>
    where
        F: Fn() -> bool + Send + Sync + 'static,
    {
        self.registry.register(scrape::leadership(name, source)?)
    }

    /// Shows the informers that the source tells at each scrape.
    ///
    /// # Errors
    /// When called twice.
    pub fn follow_informers<F>(&self, source: F) -> prometheus::Result<()>
    where
        F: Fn() -> Vec<InformerSample> + Send + Sync + 'static,
    {
        self.registry.register(scrape::informers(source)?)
    }

    /// The page of `/metrics`, in the Prometheus text format 0.0.4.
    ///
    /// # Errors
    /// When a source tells one series twice.
    pub fn page(&self) -> prometheus::Result<String> {
        self.followed.lock().iter().for_each(|queue| queue.refresh(&self.work));
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

fn histogram((name, help): (&str, &str), buckets: Vec<f64>) -> prometheus::Result<Histogram> {
    Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))
}

fn counters((name, help): (&str, &str), labels: &[&str]) -> prometheus::Result<IntCounterVec> {
    IntCounterVec::new(Opts::new(name, help), labels)
}

/// A series that was never counted is not there to be removed.
fn forget(removed: prometheus::Result<()>) {
    removed.unwrap_or_default();
}

/// Counters of one policy.
#[derive(Clone, Debug)]
pub struct PolicySeries {
    pass: IntCounter,
    fail: IntCounter,
    error: IntCounter,
    skip: IntCounter,
}

impl PolicySeries {
    /// Counts an evaluation.
    pub fn evaluated(&self, result: VerdictResult) {
        match result {
            VerdictResult::Pass => self.pass.inc(),
            VerdictResult::Fail => self.fail.inc(),
            VerdictResult::Error => self.error.inc(),
            VerdictResult::Skip => self.skip.inc(),
        }
    }
}

/// Counters of one target.
#[derive(Clone, Debug)]
pub struct TargetSeries {
    added: IntCounter,
    modified: IntCounter,
    deleted: IntCounter,
    bookmark: IntCounter,
    error: IntCounter,
    unchanged: IntCounter,
    list_seconds: Histogram,
    failures: IntCounterVec,
    target: GroupResource,
}

impl TargetSeries {
    /// Counts a watch event.
    pub fn event(&self, kind: EventType) {
        match kind {
            EventType::Added => self.added.inc(),
            EventType::Modified => self.modified.inc(),
            EventType::Deleted => self.deleted.inc(),
            EventType::Bookmark => self.bookmark.inc(),
            EventType::Error => self.error.inc(),
        }
    }

    /// Counts an event that changed nothing that a policy reads.
    pub fn unchanged(&self) {
        self.unchanged.inc();
    }

    /// Counts a list or watch that did not go on.
    pub fn failure(&self, failure: WatchFailure) {
        let (group, resource) = (&*self.target.group, &*self.target.resource);
        self.failures.with_label_values(&[group, resource, failure.as_str()]).inc();
    }

    /// Notes how long a whole list took.
    pub fn listed(&self, took: std::time::Duration) {
        self.list_seconds.observe(took.as_secs_f64());
    }
}
