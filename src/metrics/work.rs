//! The series of a work queue, under client-go's names, and those of its workers, under controller-runtime's, so that
//! their dashboards read them.

use std::sync::Weak;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, exponential_buckets,
};

use super::priority::{PerPriority, Priority};
use super::queue::{PrioritySeries, QueueSeries, ReconcileSeries};

/// A queue, asked at each scrape.
pub trait Workload: Send + Sync {
    /// What waits and what is being processed right now; what it counted is told to its series before.
    fn sample(&self) -> WorkSample;
}

/// A queue at the moment of a scrape.
#[derive(Clone, Debug, Default)]
pub struct WorkSample {
    /// Of each priority.
    pub by: PerPriority<PrioritySample>,
    /// Keys that failed so often that they are tried again only at the longest delay.
    pub parked: usize,
}

/// One priority at the moment of a scrape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrioritySample {
    /// Keys that are ready and wait for a worker.
    pub depth: usize,
    /// Keys in process.
    pub active: usize,
    /// The sum of the times that keys in process have taken so far.
    pub unfinished: Duration,
    /// The longest of these times.
    pub longest: Duration,
}

fn reconcile_seconds(labels: &[&str]) -> prometheus::Result<HistogramVec> {
    let name = "controller_runtime_reconcile_time_seconds";
    let options = HistogramOpts::new(name, "Seconds that the processing of a key took.");
    HistogramVec::new(options.buckets(exponential_buckets(1e-5, 4.0, 12)?), labels)
}

/// The vectors behind [`QueueSeries`].
#[derive(Clone, Debug)]
pub(super) struct WorkVectors {
    depth: IntGaugeVec,
    adds: IntCounterVec,
    waited: HistogramVec,
    worked: HistogramVec,
    retries: IntCounterVec,
    unfinished: GaugeVec,
    longest: GaugeVec,
    parked: IntGaugeVec,
    reconciles: IntCounterVec,
    reconcile_errors: IntCounterVec,
    reconcile_seconds: HistogramVec,
    active: IntGaugeVec,
    workers: IntGaugeVec,
}

impl WorkVectors {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let labels = &["name", "controller", "priority"];
        let of_workers = &["controller"];
        let gauges =
            |name: &str, help: &str, labels: &[&str]| IntGaugeVec::new(Opts::new(name, help), labels);
        let seconds = |name: &str, help: &str| GaugeVec::new(Opts::new(name, help), labels);
        let counters =
            |name: &str, help: &str, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        let buckets = exponential_buckets(1e-6, 10.0, 9)?;
        let times = |name: &str, help: &str| {
            HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.clone()), labels)
        };
        let vectors = Self {
            depth: gauges(
                "workqueue_depth",
                "Keys ready and waiting for a worker, by queue and priority.",
                labels,
            )?,
            adds: counters(
                "workqueue_adds_total",
                "Keys that came to be processed, by queue and priority.",
                labels,
            )?,
            waited: times("workqueue_queue_duration_seconds", "Seconds that a key waited for a worker.")?,
            worked: times("workqueue_work_duration_seconds", "Seconds that the processing of a key took.")?,
            retries: counters(
                "workqueue_retries_total",
                "Keys put back after a failure, by queue and priority.",
                labels,
            )?,
            unfinished: seconds(
                "workqueue_unfinished_work_seconds",
                "Sum of the seconds that the keys in process have taken so far; growth without end is a stuck worker.",
            )?,
            longest: seconds(
                "workqueue_longest_running_processor_seconds",
                "Seconds that the longest of the keys in process has taken so far.",
            )?,
            parked: gauges(
                "watchpolicy_parked_keys",
                "Keys that failed more often than --max-retries allows, and are tried again only at the longest delay.",
                of_workers,
            )?,
            reconciles: counters(
                "controller_runtime_reconcile_total",
                "Keys processed, by how it ended: success, error or requeue_after.",
                &["controller", "result"],
            )?,
            reconcile_errors: counters(
                "controller_runtime_reconcile_errors_total",
                "Keys whose processing failed.",
                of_workers,
            )?,
            reconcile_seconds: reconcile_seconds(of_workers)?,
            active: gauges("controller_runtime_active_workers", "Workers that have a key.", of_workers)?,
            workers: gauges("controller_runtime_max_concurrent_reconciles", "Workers.", of_workers)?,
        };
        vectors.collectors().into_iter().try_for_each(|collector| registry.register(collector))?;
        Ok(vectors)
    }

    fn collectors(&self) -> [Box<dyn Collector>; 13] {
        let Self {
            depth,
            adds,
            waited,
            worked,
            retries,
            unfinished,
            longest,
            parked,
            reconciles,
            reconcile_errors,
            reconcile_seconds,
            active,
            workers,
        } = self.clone();
        [
            Box::new(depth),
            Box::new(adds),
            Box::new(waited),
            Box::new(worked),
            Box::new(retries),
            Box::new(unfinished),
            Box::new(longest),
            Box::new(parked),
            Box::new(reconciles),
            Box::new(reconcile_errors),
            Box::new(reconcile_seconds),
            Box::new(active),
            Box::new(workers),
        ]
    }

    pub(super) fn queue(&self, name: &str) -> QueueSeries {
        let series = |priority: Priority| {
            let labels = &[name, name, priority.as_str()];
            PrioritySeries {
                adds: self.adds.with_label_values(labels).local(),
                waited: self.waited.with_label_values(labels).local(),
                worked: self.worked.with_label_values(labels).local(),
                retries: self.retries.with_label_values(labels).local(),
            }
        };
        let result = |result: &str| self.reconciles.with_label_values(&[name, result]).local();
        QueueSeries {
            by: PerPriority::new(series),
            reconciles: ReconcileSeries {
                success: result("success"),
                requeue_after: result("requeue_after"),
                error: result("error"),
                errors: self.reconcile_errors.with_label_values(&[name]).local(),
                seconds: self.reconcile_seconds.with_label_values(&[name]).local(),
            },
        }
    }

    /// How many workers take keys from a queue.
    pub(super) fn workers(&self, name: &str, workers: usize) {
        self.workers.with_label_values(&[name]).set(whole(workers));
    }
}

/// A queue that is read at each scrape.
pub(super) struct Followed {
    name: Box<str>,
    work: Weak<dyn Workload>,
}

impl Followed {
    pub(super) fn new(name: &str, work: Weak<dyn Workload>) -> Self {
        Self { name: name.into(), work }
    }

    /// Reads the queue; all is `0` once it is gone.
    pub(super) fn refresh(&self, vectors: &WorkVectors) {
        let WorkSample { by, parked } =
            self.work.upgrade().map_or_else(WorkSample::default, |work| work.sample());
        let mut busy = 0;
        for priority in Priority::ALL {
            let PrioritySample { depth, active, unfinished, longest } = *by.of(priority);
            let labels = &[&*self.name, &*self.name, priority.as_str()];
            vectors.depth.with_label_values(labels).set(whole(depth));
            vectors.unfinished.with_label_values(labels).set(unfinished.as_secs_f64());
            vectors.longest.with_label_values(labels).set(longest.as_secs_f64());
            busy += active;
        }
        vectors.parked.with_label_values(&[&*self.name]).set(whole(parked));
        vectors.active.with_label_values(&[&*self.name]).set(whole(busy));
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
