//! All that is told: statuses, events, and reports on objects.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Snapshots;
use crate::config::{Config, Events, Reports};
use crate::enforce::Leftovers;
use crate::leader::Leadership;
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::observe::statuses::Statuses;
use crate::observe::wire::Wire;
use crate::policy::catalog::Catalog;
use crate::report::events::{self, Announcer, EventWriter};
use crate::report::openreports::{self, Identify, Identity, Mode, ReportWriter};
use crate::report::{self, Finalizers, Sources, StatusWriter};
use crate::resource::ObjectKey;
use crate::store::Store;

/// What is told of, and where.
pub(super) struct Parts {
    pub(super) client: kube::Client,
    pub(super) wire: Wire,
    pub(super) store: Arc<Store>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) leadership: Leadership,
    pub(super) catalog: watch::Receiver<Option<Arc<Catalog>>>,
    pub(super) leftovers: Arc<Leftovers>,
}

/// Starts all that tells.
pub(super) fn report(
    config: &Config,
    parts: Parts,
    ((set, board), statuses): (Snapshots, Arc<Statuses>),
    (stop, tasks): &mut (CancellationToken, JoinSet<()>),
) {
    let announcer = tell_events(config, &parts, set.clone(), (stop, tasks));
    write_reports(config, &parts, (set.clone(), board.clone()), (stop, tasks));
    let Parts { client, ledger, metrics, leadership, leftovers, .. } = parts;
    let sent = Arc::clone(&leftovers);
    let settings = report::Settings {
        interval: config.status_interval,
        allow_enforce: config.enforcement.allow,
        left: Arc::new(move |policy: &str| leftovers.count(policy)),
    };
    let finalizers =
        Finalizers::new(client.clone(), Arc::clone(&ledger), settings.clone(), leadership.clone())
            .awaiting(Arc::new(move |policy: &str| sent.awaits(policy)));
    tasks.spawn(finalizers.run(set.clone(), board.clone(), stop.clone()));
    let writer = StatusWriter::new(client, ledger, metrics, settings, leadership).announcing(announcer);
    tasks.spawn(writer.run(Sources { set, board, statuses }, stop.clone()));
}

fn tell_events(
    config: &Config,
    parts: &Parts,
    set: watch::Receiver<Arc<crate::policy::PolicySet>>,
    (stop, tasks): (&CancellationToken, &mut JoinSet<()>),
) -> Announcer {
    let on_resources = match config.reporting.events {
        Events::Off => return Announcer::silent(),
        Events::OnPolicies => false,
        Events::OnResources => true,
    };
    let settings = events::Settings { on_resources, identity: Arc::clone(&config.identity) };
    let (metrics, leadership) = (Arc::clone(&parts.metrics), parts.leadership.clone());
    let (writer, announcer) = EventWriter::new(parts.client.clone(), settings, metrics, leadership);
    tasks.spawn(writer.run(Arc::clone(&parts.ledger), set, stop.clone()));
    announcer
}

fn write_reports(
    config: &Config,
    parts: &Parts,
    (set, board): Snapshots,
    (stop, tasks): (&CancellationToken, &mut JoinSet<()>),
) {
    let mode = match config.reporting.reports {
        Reports::None => return,
        Reports::Failures => Mode::Failures,
        Reports::All => Mode::All,
    };
    let settings = openreports::Settings { mode, per_second: config.reporting.report_qps.get() };
    let sources = openreports::Sources {
        ledger: Arc::clone(&parts.ledger),
        set,
        board,
        catalog: parts.catalog.clone(),
        identify: identify(Arc::clone(&parts.store)),
    };
    let server = (parts.wire.clone(), parts.client.clone());
    let writer = ReportWriter::new(server, sources, settings, Arc::clone(&parts.metrics));
    tasks.spawn(writer.run(parts.leadership.clone(), stop.clone()));
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
