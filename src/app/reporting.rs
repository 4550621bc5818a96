//! All that is told: statuses, events, and reports on objects.

use std::sync::Arc;

use super::Stage;
use super::observing::Observed;
use super::shared::Shared;
use crate::config::{Config, Events, Reports};
use crate::enforce::Leftovers;
use crate::leader::Leadership;
use crate::report::events::{self, Announcer, EventWriter};
use crate::report::openreports::{self, Identify, Identity, Mode, ReportWriter};
use crate::report::{self, Finalizers, Sources, StatusWriter};
use crate::resource::ObjectKey;
use crate::store::Store;

/// Starts all that tells.
pub(super) fn report(
    config: &Config,
    shared: &Shared,
    observed: Observed,
    (leadership, leftovers): (Leadership, Arc<Leftovers>),
    stage: &mut Stage,
) {
    let announcer = tell_events(config, shared, (&observed, &leadership), stage);
    write_reports(config, shared, (&observed, &leadership), stage);
    let (stop, tasks) = stage;
    let sent = Arc::clone(&leftovers);
    let settings = report::Settings {
        interval: config.status_interval,
        allow_enforce: config.enforcement.allow,
        left: Arc::new(move |policy: &str| leftovers.count(policy)),
    };
    let (client, ledger) = (shared.client.clone(), Arc::clone(&shared.ledger));
    let Observed { set, board, statuses, .. } = observed;
    let finalizers =
        Finalizers::new(client.clone(), Arc::clone(&ledger), settings.clone(), leadership.clone())
            .awaiting(Arc::new(move |policy: &str| sent.awaits(policy)));
    tasks.spawn(finalizers.run(set.clone(), board.clone(), stop.clone()));
    let metrics = Arc::clone(&shared.metrics);
    let writer = StatusWriter::new(client, ledger, metrics, settings, leadership).announcing(announcer);
    tasks.spawn(writer.run(Sources { set, board, statuses }, stop.clone()));
}

fn tell_events(
    config: &Config,
    shared: &Shared,
    (observed, leadership): (&Observed, &Leadership),
    (stop, tasks): &mut Stage,
) -> Announcer {
    let on_resources = match config.reporting.events {
        Events::Off => return Announcer::silent(),
        Events::OnPolicies => false,
        Events::OnResources => true,
    };
    let settings = events::Settings { on_resources, identity: Arc::clone(&config.identity) };
    let (metrics, leadership) = (Arc::clone(&shared.metrics), leadership.clone());
    let (writer, announcer) = EventWriter::new(shared.client.clone(), settings, metrics, leadership);
    tasks.spawn(writer.run(Arc::clone(&shared.ledger), observed.set.clone(), stop.clone()));
    announcer
}

fn write_reports(
    config: &Config,
    shared: &Shared,
    (observed, leadership): (&Observed, &Leadership),
    (stop, tasks): &mut Stage,
) {
    let mode = match config.reporting.reports {
        Reports::None => return,
        Reports::Failures => Mode::Failures,
        Reports::All => Mode::All,
    };
    let settings = openreports::Settings { mode, per_second: config.reporting.report_qps.get() };
    let sources = openreports::Sources {
        ledger: Arc::clone(&shared.ledger),
        set: observed.set.clone(),
        board: observed.board.clone(),
        catalog: observed.catalog.clone(),
        identify: identify(Arc::clone(&shared.store)),
    };
    let server = (shared.wire.clone(), shared.client.clone());
    let writer = ReportWriter::new(server, sources, settings, Arc::clone(&shared.metrics));
    tasks.spawn(writer.run(leadership.clone(), stop.clone()));
}

/// The objects as the store has them.
fn identify(store: Arc<Store>) -> Identify {
    Arc::new(move |key: &ObjectKey| {
        let view = store.views(key).into_iter().next()?;
        Some(Identity {
            api_version: view.types.api_version,
            kind: view.types.kind,
            uid: Arc::clone(&view.document.id.uid),
        })
    })
}
