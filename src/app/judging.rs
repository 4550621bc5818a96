//! All that judges.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::shared::Shared;
use crate::config::Config;
use crate::enforce::Worker;
use crate::leader::Leadership;

/// Starts the workers. They end with the queue.
pub(super) fn judge(config: &Config, shared: &Shared, leadership: &Leadership) -> JoinSet<()> {
    let Shared { queue, store, ledger, fixes, metrics, .. } = shared;
    let worker = Arc::new(Worker {
        queue: Arc::clone(queue),
        store: Arc::clone(store),
        ledger: Arc::clone(ledger),
        fixes: Arc::clone(fixes),
        leadership: leadership.clone(),
        metrics: Arc::clone(metrics),
        clock: jiff::Timestamp::now,
        journal: config.log_verdicts,
    });
    let mut workers = JoinSet::new();
    for _ in 0..config.workers.get() {
        workers.spawn(Arc::clone(&worker).run());
    }
    workers
}
