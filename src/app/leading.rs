//! The election, or none.

use std::sync::Arc;

use tokio::sync::watch;

use super::Stage;
use super::shared::client;
use crate::config::{Config, ElectionConfig};
use crate::leader::{self, Elector, Leadership};
use crate::metrics::Metrics;

/// Takes part in the election; who runs without one leads.
pub(super) fn lead(
    config: &Config,
    cluster: &kube::Config,
    metrics: &Metrics,
    stage: &mut Stage,
) -> anyhow::Result<Leadership> {
    match &config.election {
        Some(election) => elect((config, election), cluster, metrics, stage),
        None => Ok(Leadership::alone()),
    }
}

/// On a client of its own: no other request stands before a renewal.
fn elect(
    (config, election): (&Config, &ElectionConfig),
    cluster: &kube::Config,
    metrics: &Metrics,
    (stop, tasks): &mut Stage,
) -> anyhow::Result<Leadership> {
    let name = &election.lease_name;
    let place =
        leader::Place::new(client(cluster, metrics)?, Arc::clone(&config.namespace), Arc::clone(name));
    let settings = leader::Settings {
        identity: Arc::clone(&config.identity),
        lease: election.lease_duration,
        renew: election.renew_deadline,
        retry: election.retry_period,
    };
    let (elector, leadership) = Elector::new(place.clone(), settings, rand::random(), jiff::Timestamp::now);
    let (shown, seen) = watch::channel(None);
    tasks.spawn(leader::follow(place, shown, election.retry_period, stop.clone()));
    tasks.spawn(elector.run(seen, stop.clone()));
    let leads = leadership.clone();
    metrics.follow_leadership(name, move || leads.permit().is_ok())?;
    Ok(leadership)
}
