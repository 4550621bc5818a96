//! What is served: the pages, who stands before them, and the certificate.

use std::sync::Arc;

use tokio::net::TcpListener;

use super::Stage;
use super::observing::Observed;
use super::shared::Shared;
use crate::access::Guard;
use crate::config::{Config, ServingConfig};
use crate::http::{self, Lister, Pages, Readiness, Tls};
use crate::report;

/// Serves until told to stop.
///
/// # Errors
/// The certificate or its key cannot be used.
pub(super) fn serve(
    config: &Config,
    shared: &Shared,
    observed: &Observed,
    (listener, readiness): (TcpListener, &Arc<Readiness>),
    (stop, tasks): &mut Stage,
) -> anyhow::Result<()> {
    let tls = config.serving.tls.as_ref();
    let tls = tls.map(|(certificate, key)| Tls::load(certificate, key)).transpose()?;
    if let Some(tls) = tls.clone() {
        tasks.spawn(tls.follow(stop.clone()));
    }
    let pages = pages(&config.serving, shared, observed, readiness);
    tasks.spawn(http::serve(listener, tls, pages, stop.clone()));
    Ok(())
}

/// The pages, with a guard where one is wanted: one for each door, so that who floods one does not shut the other.
fn pages(config: &ServingConfig, shared: &Shared, observed: &Observed, readiness: &Arc<Readiness>) -> Pages {
    let guard = || Arc::new(Guard::new(shared.client.clone()));
    let mut pages = Pages::new(Arc::clone(&shared.metrics), Arc::clone(readiness));
    if config.metrics_auth {
        pages = pages.guard_metrics(guard());
    }
    if config.violations {
        let (set, board) = (observed.set.clone(), observed.board.clone());
        let ledger = Arc::clone(&shared.ledger);
        let lister: Lister =
            Arc::new(move |question| report::list(question, &set.borrow(), &board.borrow(), &ledger));
        pages = pages.show_violations(guard(), lister);
    }
    pages
}
