//! What several rooms work with: made once, and handed to each.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::watch;

use super::fixing::FIXERS;
use crate::backoff::Backoff;
use crate::config::{Config, LimitsConfig};
use crate::enforce::Places;
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::observe::wire::{Limits, Wire};
use crate::queue::{Queue, Retries};
use crate::resource::ObjectKey;
use crate::store::{self, Store};

/// The queue's name on its series.
const QUEUE: &str = "objects";
/// The same of the queue of objects that may be fixed.
const FIX_QUEUE: &str = "fixes";
/// The waits after a fix that could not be sent, or met an object that changed again and again.
const FIX_BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(1000) };

/// What several rooms work with.
pub(super) struct Shared {
    pub(super) client: kube::Client,
    /// All that is read shares what there is of memory for answers that are under way.
    pub(super) wire: Wire,
    pub(super) metrics: Arc<Metrics>,
    pub(super) store: Arc<Store>,
    pub(super) ledger: Arc<Ledger>,
    /// Of the objects that are to be judged.
    pub(super) queue: Arc<Queue<ObjectKey>>,
    /// Of those that may be fixed.
    pub(super) fixes: Arc<Queue<ObjectKey>>,
    /// What is watched for what policies that ended have left there.
    pub(super) looked_through: watch::Sender<Places>,
}

impl Shared {
    pub(super) fn new(
        config: &Config,
        cluster: &kube::Config,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let client = client(cluster, &metrics)?;
        let retries = Retries { max: config.max_retries, ..Retries::default() };
        Ok(Self {
            wire: Wire::new(
                client.clone(),
                Limits { answer: config.watch.list_timeout, ..Limits::default() },
            ),
            client,
            store: Arc::new(Store::new(limits(&config.limits))),
            ledger: Ledger::bounded(config.limits.verdict_bytes),
            queue: queue((QUEUE, config.workers.get()), retries, &metrics),
            fixes: queue((FIX_QUEUE, FIXERS), Retries { backoff: FIX_BACKOFF, ..retries }, &metrics),
            metrics,
            looked_through: watch::Sender::default(),
        })
    }
}

/// A client whose requests are counted.
pub(super) fn client(cluster: &kube::Config, metrics: &Metrics) -> anyhow::Result<kube::Client> {
    crate::metrics::client(cluster.clone(), metrics.requests())
        .context("no client can be made of the kubeconfig")
}

/// A work queue of so many workers, with its series.
fn queue(
    (name, workers): (&'static str, usize),
    retries: Retries,
    metrics: &Metrics,
) -> Arc<Queue<ObjectKey>> {
    let queue = Queue::new(retries, rand::random(), metrics.queue(name));
    let processing: std::sync::Weak<Queue<ObjectKey>> = Arc::downgrade(&queue);
    metrics.follow_queue(name, processing, workers);
    queue
}

fn limits(config: &LimitsConfig) -> store::Limits {
    store::Limits {
        objects: config.objects,
        bytes: config.bytes,
        document_bytes: config.document_bytes,
        total_bytes: config.total_bytes,
        targets: config.targets,
    }
}
