//! What the fleet goes by: policies and catalog, taken in when they have settled.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::policy::PolicySet;
use crate::policy::catalog::Catalog;

/// How long the fleet waits for more after a policy changed.
const SETTLE: Duration = Duration::from_millis(100);

/// Where both are told, and whether they are to be taken in.
pub(super) struct Inputs {
    policies: watch::Receiver<Arc<PolicySet>>,
    catalog: watch::Receiver<Option<Arc<Catalog>>>,
    /// Of the policies that were taken in last.
    revision: u64,
    /// Policies that are applied together are met together: one wider watch for all of them.
    settled: Option<Instant>,
}

impl Inputs {
    pub(super) fn new(
        policies: watch::Receiver<Arc<PolicySet>>,
        catalog: watch::Receiver<Option<Arc<Catalog>>>,
    ) -> Self {
        Self { policies, catalog, revision: 0, settled: None }
    }

    /// Has both taken in once more, though neither changed.
    pub(super) fn again(&mut self) {
        self.settle(Duration::ZERO);
    }

    fn settle(&mut self, wait: Duration) {
        self.settled.get_or_insert_with(|| Instant::now() + wait);
    }

    /// Both, when they are to be taken in; `None` when nobody tells them any more. Cancel-safe.
    pub(super) async fn due(&mut self) -> Option<(Arc<PolicySet>, Arc<Catalog>)> {
        loop {
            let settled = self.settled.unwrap_or_else(Instant::now);
            tokio::select! {
                changed = self.policies.changed() => {
                    changed.ok()?;
                    // A status that was written changes the set, and nothing here.
                    if self.policies.borrow_and_update().revision != self.revision {
                        self.settle(SETTLE);
                    }
                }
                changed = self.catalog.changed() => {
                    changed.ok()?;
                    self.settled = Some(Instant::now());
                }
                () = sleep_until(settled), if self.settled.is_some() => {
                    self.settled = None;
                    let set = Arc::clone(&self.policies.borrow_and_update());
                    let served = self.catalog.borrow_and_update().clone();
                    if let Some(served) = served.filter(|_| set.revision > 0) {
                        self.revision = set.revision;
                        return Some((set, served));
                    }
                }
            }
        }
    }
}
