//! All that watches.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Stage;
use super::shared::Shared;
use crate::backoff::Backoff;
use crate::config::Config;
use crate::http::Readiness;
use crate::observe::board::Board;
use crate::observe::catalog::{self, ChangeSink, Changes, Discovery};
use crate::observe::fleet::{self, Fleet};
use crate::observe::informer::{self, Informer};
use crate::observe::policies::{self, PolicySink};
use crate::observe::statuses::Statuses;
use crate::observe::turns::Turns;
use crate::observe::wire::Wire;
use crate::policy::catalog::Catalog;
use crate::policy::{self, PolicySet};

const POLICIES_READ: &str = "the WatchPolicy objects have been read";
const CATALOG_READ: &str = "the cluster has told what it serves";
/// Pages under way at once, and as many slow ones: a restart meets the server with these, not with one for each target.
const CONCURRENT_LISTS: usize = 4;
/// The same for policies, CRDs and APIServices: each has its turn.
const OWN_LISTS: usize = 3;
/// The longest wait for the WatchPolicy CRD.
const SOON: Duration = Duration::from_secs(5);
/// The first wait after a failed request.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);

type Served = watch::Receiver<Option<Arc<Catalog>>>;

/// What the other rooms follow of what is observed.
#[derive(Clone)]
pub(super) struct Observed {
    /// The policies.
    pub(super) set: watch::Receiver<Arc<PolicySet>>,
    /// How their targets stand.
    pub(super) board: watch::Receiver<Arc<Board>>,
    /// Their statuses, as the server holds them.
    pub(super) statuses: Arc<Statuses>,
    /// What the cluster serves.
    pub(super) catalog: Served,
}

/// What has to be known before the operator is ready.
pub(super) fn readiness() -> Arc<Readiness> {
    Readiness::until([POLICIES_READ, CATALOG_READ])
}

/// Starts all that watches.
pub(super) fn observe(
    config: &Config,
    shared: &Shared,
    readiness: &Arc<Readiness>,
    stage: &mut Stage,
) -> Observed {
    let wire = &shared.wire;
    let patience = informer::Settings {
        page_size: config.watch.page_size,
        backoff: Backoff { first: FIRST_BACKOFF, longest: config.watch.backoff_max },
        liveness: config.watch.liveness,
        access_check: config.watch.access_check,
        seed: rand::random(),
        turns: Arc::new(Turns::new(CONCURRENT_LISTS)),
    };
    // What the operator itself lives on does not queue behind targets that may hang.
    let own = informer::Settings { turns: Arc::new(Turns::new(OWN_LISTS)), ..patience };
    let changes = watch_definitions(wire, &own, stage);
    let (set, statuses) = watch_policies(config, wire, own, stage);
    let (stop, tasks) = stage;
    let (discovery, catalog) = Discovery::new(wire.clone());
    tasks.spawn(discovery.run(changes, set.clone(), stop.clone()));
    tasks.spawn(become_ready(Arc::clone(readiness), set.clone(), catalog.clone(), stop.clone()));
    let (fleet, board) = Fleet::new(parts(shared), settings(config, patience));
    tasks.spawn(fleet.run(set.clone(), catalog.clone(), stop.clone()));
    Observed { set, board, statuses, catalog }
}

/// Watches what says that other resources may be served now.
fn watch_definitions(wire: &Wire, own: &informer::Settings, (stop, tasks): &mut Stage) -> Arc<Changes> {
    let changes = Arc::<Changes>::default();
    for (collection, what) in
        catalog::collections().into_iter().zip(["customresourcedefinitions", "apiservices"])
    {
        let sink = ChangeSink::new(what, Arc::clone(&changes));
        let informer = Informer::new(wire.clone(), collection, own.clone(), sink);
        let stop = stop.clone();
        tasks.spawn(async move { drop(informer.run(stop).await) });
    }
    changes
}

fn watch_policies(
    config: &Config,
    wire: &Wire,
    own: informer::Settings,
    (stop, tasks): &mut Stage,
) -> (watch::Receiver<Arc<PolicySet>>, Arc<Statuses>) {
    let (sink, set) = PolicySink::new(policy::Settings {
        system_namespaces: config.system_namespaces.clone(),
        allow_system_namespaces: config.allow_system_namespaces,
        allow_fix_of: Arc::clone(&config.enforcement.allow_fix_of),
    });
    let statuses = sink.statuses();
    // Its CRD may come a moment after the operator.
    let backoff = Backoff { longest: own.backoff.longest.min(SOON), ..own.backoff };
    let soon = informer::Settings { backoff, ..own };
    let informer = Informer::new(wire.clone(), policies::collection(), soon, sink);
    let stop = stop.clone();
    tasks.spawn(async move { drop(informer.run(stop).await) });
    (set, statuses)
}

fn parts(shared: &Shared) -> fleet::Parts {
    let Shared { wire, store, queue, metrics, looked_through, .. } = shared;
    fleet::Parts {
        wire: wire.clone(),
        store: Arc::clone(store),
        queue: Arc::clone(queue),
        metrics: Arc::clone(metrics),
        looked_through: looked_through.subscribe(),
    }
}

fn settings(config: &Config, informer: informer::Settings) -> fleet::Settings {
    fleet::Settings {
        informer,
        linger: config.watch.linger,
        resync: config.watch.resync,
        limits: fleet::Limits {
            targets: config.limits.targets,
            namespaced: config.limits.namespaced_watches,
        },
    }
}

/// Ends with the others, so that the end of any of them is a failure. Ready means serving, with the policies read. What
/// single targets lack is said in status, not here.
async fn become_ready(
    readiness: Arc<Readiness>,
    mut set: watch::Receiver<Arc<PolicySet>>,
    mut catalog: Served,
    stop: CancellationToken,
) {
    if set.wait_for(|set| set.revision > 0).await.is_ok() {
        readiness.met(POLICIES_READ);
    }
    if catalog.wait_for(Option::is_some).await.is_ok() {
        readiness.met(CATALOG_READ);
    }
    stop.cancelled().await;
}
