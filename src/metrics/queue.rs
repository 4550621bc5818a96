//! What a work queue counts of itself. It does so under its own lock, without a further one and without atomic
//! operations; the series are told at each scrape.

use std::time::Duration;

use prometheus::local::{LocalHistogram, LocalIntCounter};

use super::priority::{PerPriority, Priority};

/// The counts of one queue and its workers, which nobody else has. Dropping them tells what was not told yet.
#[derive(Debug)]
pub struct QueueSeries {
    pub(super) by: PerPriority<PrioritySeries>,
    pub(super) reconciles: ReconcileSeries,
}

/// The counts of one priority.
#[derive(Debug)]
pub(super) struct PrioritySeries {
    /// Keys that came to be processed, ever.
    pub(super) adds: LocalIntCounter,
    /// Seconds from added to taken.
    pub(super) waited: LocalHistogram,
    /// Seconds from taken to done.
    pub(super) worked: LocalHistogram,
    /// Keys put back after a failure, ever.
    pub(super) retries: LocalIntCounter,
}

/// The counts of the workers.
#[derive(Debug)]
pub(super) struct ReconcileSeries {
    pub(super) success: LocalIntCounter,
    pub(super) requeue_after: LocalIntCounter,
    pub(super) error: LocalIntCounter,
    pub(super) errors: LocalIntCounter,
    pub(super) seconds: LocalHistogram,
}

/// How the processing of a key ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconcile {
    /// It is done with.
    Success,
    /// It is done with until a certain time.
    RequeueAfter,
    /// It failed and is tried again.
    Error,
}

impl QueueSeries {
    /// A key is to be processed.
    pub fn added(&self, priority: Priority) {
        self.by.of(priority).adds.inc();
    }

    /// A worker took a key that had waited so long.
    pub fn waited(&self, priority: Priority, waited: Duration) {
        self.by.of(priority).waited.observe(waited.as_secs_f64());
    }

    /// A key is put back after a failure.
    pub fn retried(&self, priority: Priority) {
        self.by.of(priority).retries.inc();
    }

    /// A worker is done with a key.
    pub fn ended(&self, priority: Priority, result: Reconcile, took: Duration) {
        let (took, reconciles) = (took.as_secs_f64(), &self.reconciles);
        self.by.of(priority).worked.observe(took);
        reconciles.seconds.observe(took);
        match result {
            Reconcile::Success => reconciles.success.inc(),
            Reconcile::RequeueAfter => reconciles.requeue_after.inc(),
            Reconcile::Error => {
                reconciles.error.inc();
                reconciles.errors.inc();
            }
        }
    }

    /// Tells the series what was counted since the last time.
    pub fn tell(&self) {
        let Self { by, reconciles } = self;
        for priority in Priority::ALL {
            let PrioritySeries { adds, waited, worked, retries } = by.of(priority);
            [adds, retries].into_iter().for_each(LocalIntCounter::flush);
            [waited, worked].into_iter().for_each(LocalHistogram::flush);
        }
        let ReconcileSeries { success, requeue_after, error, errors, seconds } = reconciles;
        [success, requeue_after, error, errors].into_iter().for_each(LocalIntCounter::flush);
        seconds.flush();
    }
}

impl Drop for QueueSeries {
    fn drop(&mut self) {
        self.tell();
    }
}
