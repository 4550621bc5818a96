//! The series of a work queue, as controller-runtime names and labels them, so that its dashboards read them.

use std::sync::Weak;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, exponential_buckets,
};

/// The priority that every key has until there are classes.
const PRIORITY: &str = "0";

/// Handles to the series of one queue; counting through them looks no label up.
#[derive(Clone, Debug)]
pub struct QueueSeries {
    /// Keys that are ready and wait for a worker.
    pub depth: IntGauge,
    /// Keys that became ready, ever.
    pub adds: IntCounter,
    /// Seconds from ready to taken.
    pub waited: Histogram,
    /// Seconds from taken to done.
    pub worked: Histogram,
    /// Keys put back after a failure, ever.
    pub retries: IntCounter,
}

/// What is being processed right now: asked at each scrape.
pub trait RunningWork: Send + Sync {
    /// The sum of the times that keys in process have taken so far, and the longest of them.
    fn running(&self) -> (Duration, Duration);
}

/// The vectors behind [`QueueSeries`].
#[derive(Debug)]
pub(super) struct WorkVectors {
    depth: IntGaugeVec,
    adds: IntCounterVec,
    waited: HistogramVec,
    worked: HistogramVec,
    retries: IntCounterVec,
    unfinished: GaugeVec,
    longest: GaugeVec,
}

impl WorkVectors {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let labels = &["name", "controller"];
        let seconds = exponential_buckets(1e-6, 10.0, 9)?;
        let histogram = |name: &str, help: &str| {
            HistogramVec::new(HistogramOpts::new(name, help).buckets(seconds.clone()), labels)
        };
        let vectors = Self {
            depth: IntGaugeVec::new(
                Opts::new(
                    "workqueue_depth",
                    "Keys that are ready and wait for a worker, by queue and priority.",
                ),
                &["name", "controller", "priority"],
            )?,
            adds: IntCounterVec::new(
                Opts::new("workqueue_adds_total", "Keys that became ready, by queue."),
                labels,
            )?,
            waited: histogram("workqueue_queue_duration_seconds", "Seconds that a key waited for a worker.")?,
            worked: histogram(
                "workqueue_work_duration_seconds",
                "Seconds that the processing of a key took.",
            )?,
            retries: IntCounterVec::new(
                Opts::new("workqueue_retries_total", "Keys put back after a failure, by queue."),
                labels,
            )?,
            unfinished: GaugeVec::new(
                Opts::new(
                    "workqueue_unfinished_work_seconds",
                    "Sum of the seconds that the keys in process have taken so far; growth without end is a stuck worker.",
                ),
                labels,
            )?,
            longest: GaugeVec::new(
                Opts::new(
                    "workqueue_longest_running_processor_seconds",
                    "Seconds that the longest of the keys in process has taken so far.",
                ),
                labels,
            )?,
        };
        vectors.register(registry)?;
        Ok(vectors)
    }

    fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        let Self { depth, adds, waited, worked, retries, unfinished, longest } = self;
        let all: [Box<dyn Collector>; 7] = [
            Box::new(depth.clone()),
            Box::new(adds.clone()),
            Box::new(waited.clone()),
            Box::new(worked.clone()),
            Box::new(retries.clone()),
            Box::new(unfinished.clone()),
            Box::new(longest.clone()),
        ];
        all.into_iter().try_for_each(|collector| registry.register(collector))
    }

    pub(super) fn queue(&self, name: &str) -> QueueSeries {
        let labels = &[name, name];
        QueueSeries {
            depth: self.depth.with_label_values(&[name, name, PRIORITY]),
            adds: self.adds.with_label_values(labels),
            waited: self.waited.with_label_values(labels),
            worked: self.worked.with_label_values(labels),
            retries: self.retries.with_label_values(labels),
        }
    }

    pub(super) fn running(&self, name: &str, work: Weak<dyn RunningWork>) -> RunningSeries {
        let labels = &[name, name];
        RunningSeries {
            unfinished: self.unfinished.with_label_values(labels),
            longest: self.longest.with_label_values(labels),
            work,
        }
    }
}

/// The two gauges of a queue that only the scrape itself can know.
pub(super) struct RunningSeries {
    unfinished: Gauge,
    longest: Gauge,
    work: Weak<dyn RunningWork>,
}

impl RunningSeries {
    /// Reads the queue; `0` once it is gone.
    pub(super) fn refresh(&self) {
        let (sum, longest) = self.work.upgrade().map_or_else(Default::default, |work| work.running());
        self.unfinished.set(sum.as_secs_f64());
        self.longest.set(longest.as_secs_f64());
    }
}
