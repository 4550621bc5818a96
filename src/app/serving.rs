//! What is served: the pages, who stands before them, and the certificate.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Snapshots;
use crate::access::Guard;
use crate::config::ServingConfig;
use crate::http::{self, Lister, Pages, Readiness, Tls};
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::report;

/// The certificate, if there is to be one.
pub(super) fn tls(config: &ServingConfig) -> anyhow::Result<Option<Tls>> {
    config.tls.as_ref().map(|(certificate, key)| Tls::load(certificate, key)).transpose()
}

/// The pages, with a guard where one is wanted.
pub(super) fn pages(
    config: &ServingConfig,
    client: kube::Client,
    (metrics, readiness): (Arc<Metrics>, Arc<Readiness>),
    ledger: Arc<Ledger>,
    (set, board): Snapshots,
) -> Pages {
    let guard = Arc::new(Guard::new(client));
    let mut pages = Pages::new(metrics, readiness);
    if config.metrics_auth {
        pages = pages.guard_metrics(Arc::clone(&guard));
    }
    if config.violations {
        let lister: Lister =
            Arc::new(move |question| report::list(question, &set.borrow(), &board.borrow(), &ledger));
        pages = pages.show_violations(guard, lister);
    }
    pages
}

/// Serves until told to stop.
pub(super) fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    pages: Pages,
    (stop, tasks): &mut (CancellationToken, JoinSet<()>),
) {
    if let Some(tls) = tls.clone() {
        tasks.spawn(tls.follow(stop.clone()));
    }
    tasks.spawn(http::serve(listener, tls, pages, stop.clone()));
}
