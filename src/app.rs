//! The composition root: builds the rooms, wires them the way the data goes, and takes them down in the right order.

mod fixing;
mod reporting;
mod serving;

use std::sync::Arc;
use std::time::Duration;

use ::http::header::{self as http_header, HeaderValue};
use anyhow::Context;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::config::{Config, ElectionConfig, LimitsConfig};
use crate::enforce::{self, Leftovers, Worker};
use crate::http::Readiness;
use crate::leader::{self, Elector, Leadership};
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::observe::board::Board;
use crate::observe::catalog::{self, ChangeSink, Changes, Discovery};
use crate::observe::fleet::{self, Fleet};
use crate::observe::informer::{self, Informer};
use crate::observe::policies::{self, PolicySink};
use crate::observe::samples;
use crate::observe::statuses::Statuses;
use crate::observe::turns::Turns;
use crate::observe::wire::{Limits, Wire};
use crate::policy::{self, PolicySet};
use crate::queue::{Queue, Retries};
use crate::report;
use crate::resource::ObjectKey;
use crate::shutdown::{LIMIT, Signals, Stages};
use crate::store::{self, Store};

/// The queue's name on its series.
const QUEUE: &str = "objects";
/// The same of the queue of objects that may be fixed.
const FIX_QUEUE: &str = "fixes";
const POLICIES_READ: &str = "the WatchPolicy objects have been read";
const CATALOG_READ: &str = "the cluster has told what it serves";
/// Pages under way at once, and as many slow ones: a restart meets the server with these, not with one for each target.
const CONCURRENT_LISTS: usize = 4;
/// The same for policies, CRDs and APIServices: each has its turn.
const OWN_LISTS: usize = 3;
/// The waits after a fix that could not be sent, or met an object that changed again and again.
const FIX_BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(1000) };
/// The longest wait for the WatchPolicy CRD.
const SOON: Duration = Duration::from_secs(5);
/// The first wait after a failed request.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);

/// Runs the operator until a signal ends it.
///
/// # Errors
/// When it cannot start: no usable kubeconfig, or an address that cannot be listened on.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let mut signals = JoinSet::new();
    signals.spawn(Signals::listen().context("cannot listen for signals")?.follow(stop.clone()));
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}; choose another --listen", config.listen))?;
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION"))?;
    let cluster = cluster(&config).await?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        server = cluster.cluster_url.host(),
        port = cluster.cluster_url.port_u16(),
        listen = %config.listen,
        namespace = %config.namespace,
        identity = %config.identity,
        "starting"
    );
    let outcome = Operator::start(&config, &cluster, listener, metrics)?.until(stop).await;
    signals.shutdown().await;
    outcome
}

/// How the cluster is reached. Requests say which replica asks.
async fn cluster(config: &Config) -> anyhow::Result<kube::Config> {
    let mut found = crate::cluster::find(config.kubeconfig.as_deref(), config.context.as_deref()).await?;
    let agent = format!("watchpolicy/{} ({})", env!("CARGO_PKG_VERSION"), config.identity);
    found.headers.push((http_header::USER_AGENT, HeaderValue::try_from(agent)?));
    Ok(found)
}

fn client(cluster: &kube::Config, metrics: &Metrics) -> anyhow::Result<kube::Client> {
    crate::metrics::client(cluster.clone(), metrics.requests())
        .context("no client can be made of the kubeconfig")
}

/// The running rooms. Each stage of the end has its own token and its own tasks.
struct Operator {
    queue: Arc<Queue<ObjectKey>>,
    observing: (CancellationToken, JoinSet<()>),
    workers: JoinSet<()>,
    fixes: Arc<Queue<ObjectKey>>,
    fixing: (CancellationToken, JoinSet<()>),
    reporting: (CancellationToken, JoinSet<()>),
    leading: (CancellationToken, JoinSet<()>),
    serving: (CancellationToken, JoinSet<()>),
    readiness: Arc<Readiness>,
}

impl Operator {
    fn start(
        config: &Config,
        cluster: &kube::Config,
        listener: TcpListener,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let client = client(cluster, &metrics)?;
        let readiness = Readiness::until([POLICIES_READ, CATALOG_READ]);
        let retries = Retries { max: config.max_retries, ..Retries::default() };
        let queue = queue((QUEUE, config.workers.get()), retries, &metrics);
        let store = Arc::new(Store::new(limits(&config.limits)));
        let ledger = Ledger::bounded(config.limits.verdict_bytes);

        // All that is read shares what there is of memory for answers that are under way.
        let wire = wire(config, client.clone());
        let mut observing = (CancellationToken::new(), JoinSet::new());
        let (looked_through, kinds) = watch::channel(enforce::Kinds::default());
        let parts = fleet::Parts {
            wire: wire.clone(),
            store: Arc::clone(&store),
            queue: Arc::clone(&queue),
            metrics: Arc::clone(&metrics),
            looked_through: kinds,
        };
        let ((set, board), statuses, catalog) = observe(config, parts, &readiness, &mut observing);

        let mut leading = (CancellationToken::new(), JoinSet::new());
        let leadership = match &config.election {
            Some(election) => elect((config, election), cluster, &metrics, &mut leading)?,
            None => Leadership::alone(),
        };
        let mut fixing = (CancellationToken::new(), JoinSet::new());
        let fixes =
            self::queue((FIX_QUEUE, fixing::FIXERS), Retries { backoff: FIX_BACKOFF, ..retries }, &metrics);
        let fences = policy::Fences::new(&config.enforcement.allow_fix_of);
        let leftovers = Arc::new(Leftovers::new(Arc::clone(&store), fences, Arc::clone(&config.namespace)));
        let parts = enforce::Parts {
            queue: Arc::clone(&fixes),
            store: Arc::clone(&store),
            ledger: Arc::clone(&ledger),
            metrics: Arc::clone(&metrics),
            leadership: leadership.clone(),
            set: set.clone(),
            leftovers: Arc::clone(&leftovers),
            looked_through,
        };
        let workers = judge(config, &queue, &parts);
        let server = (wire.clone(), client.clone());
        fixing::fix(config, parts, server, &mut fixing);
        expose(&metrics, Arc::clone(&store), (&ledger, &leadership), &(set.clone(), board.clone()))?;

        let mut serving = (CancellationToken::new(), JoinSet::new());
        let (shown, known) = ((metrics.clone(), Arc::clone(&readiness)), Arc::clone(&ledger));
        let pages =
            serving::pages(&config.serving, client.clone(), shown, known, (set.clone(), board.clone()));
        serving::serve(listener, serving::tls(&config.serving)?, pages, &mut serving);

        let mut reporting = (CancellationToken::new(), JoinSet::new());
        let parts = reporting::Parts { client, wire, store, ledger, metrics, leadership, catalog, leftovers };
        reporting::report(config, parts, ((set, board), statuses), &mut reporting);
        Ok(Self { queue, observing, workers, fixes, fixing, reporting, leading, serving, readiness })
    }

    /// Waits for the signal, then: stop taking, judge what was taken, write the last status, give leadership up,
    /// serve to the last.
    ///
    /// # Errors
    /// When a part ended unasked: what looks alive and does nothing is worse than a restart.
    async fn until(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let ended = tokio::select! {
            () = stop.cancelled() => None,
            Some(end) = self.observing.1.join_next() => Some(("observing", end)),
            Some(end) = self.workers.join_next() => Some(("judging", end)),
            Some(end) = self.fixing.1.join_next() => Some(("fixing", end)),
            Some(end) = self.reporting.1.join_next() => Some(("reporting", end)),
            Some(end) = self.leading.1.join_next() => Some(("leading", end)),
            Some(end) = self.serving.1.join_next() => Some(("serving", end)),
        };
        self.readiness.lost("shutting down");
        let stages = Stages::begin(LIMIT);
        let seconds = Duration::from_secs;
        stages.run("observing", seconds(5), end(&mut self.observing)).await;
        self.queue.shutdown();
        stages.run("judging", seconds(5), async { while self.workers.join_next().await.is_some() {} }).await;
        self.fixes.shutdown();
        stages.run("fixing", seconds(3), end(&mut self.fixing)).await;
        stages.run("reporting", seconds(8), end(&mut self.reporting)).await;
        stages.run("leading", seconds(3), end(&mut self.leading)).await;
        stages.run("serving", seconds(2), end(&mut self.serving)).await;
        match ended {
            None => Ok(()),
            Some((part, Ok(()))) => anyhow::bail!("{part} ended unasked; the log says why"),
            Some((part, Err(error))) => Err(error).with_context(|| format!("{part} died")),
        }
    }
}

async fn end((token, tasks): &mut (CancellationToken, JoinSet<()>)) {
    token.cancel();
    while tasks.join_next().await.is_some() {}
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

/// Starts the workers. What fails and has a fix goes to those who have these parts.
fn judge(config: &Config, queue: &Arc<Queue<ObjectKey>>, parts: &enforce::Parts) -> JoinSet<()> {
    let worker = Arc::new(Worker {
        queue: Arc::clone(queue),
        store: Arc::clone(&parts.store),
        ledger: Arc::clone(&parts.ledger),
        fixes: Arc::clone(&parts.queue),
        leadership: parts.leadership.clone(),
        metrics: Arc::clone(&parts.metrics),
        clock: jiff::Timestamp::now,
        journal: config.log_verdicts,
    });
    let mut workers = JoinSet::new();
    for _ in 0..config.workers.get() {
        workers.spawn(Arc::clone(&worker).run());
    }
    workers
}

/// Takes part in the election, on a client of its own: no other request stands before a renewal.
fn elect(
    (config, election): (&Config, &ElectionConfig),
    cluster: &kube::Config,
    metrics: &Metrics,
    (stop, tasks): &mut (CancellationToken, JoinSet<()>),
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

fn limits(config: &LimitsConfig) -> store::Limits {
    store::Limits {
        objects: config.objects,
        bytes: config.bytes,
        document_bytes: config.document_bytes,
        total_bytes: config.total_bytes,
        targets: config.targets,
    }
}

fn wire(config: &Config, client: kube::Client) -> Wire {
    Wire::new(client, Limits { answer: config.watch.list_timeout, ..Limits::default() })
}

type Snapshots = (watch::Receiver<Arc<PolicySet>>, watch::Receiver<Arc<Board>>);
/// The policies and their targets, the statuses of the policies, and what the cluster serves.
type Observed = (Snapshots, Arc<Statuses>, Served);
type Served = watch::Receiver<Option<Arc<policy::catalog::Catalog>>>;

/// Starts all that watches.
fn observe(
    config: &Config,
    parts: fleet::Parts,
    readiness: &Arc<Readiness>,
    (stop, tasks): &mut (CancellationToken, JoinSet<()>),
) -> Observed {
    let wire = parts.wire.clone();
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
    let changes = Arc::<Changes>::default();
    for (collection, what) in
        catalog::collections().into_iter().zip(["customresourcedefinitions", "apiservices"])
    {
        let sink = ChangeSink::new(what, Arc::clone(&changes));
        let informer = Informer::new(wire.clone(), collection, own.clone(), sink);
        let stop = stop.clone();
        tasks.spawn(async move { drop(informer.run(stop).await) });
    }

    let (sink, set) = PolicySink::new(policy::Settings {
        system_namespaces: config.system_namespaces.clone(),
        allow_system_namespaces: config.allow_system_namespaces,
        allow_fix_of: Arc::clone(&config.enforcement.allow_fix_of),
    });
    // Its CRD may come a moment after the operator.
    let backoff = Backoff { longest: own.backoff.longest.min(SOON), ..own.backoff };
    let soon = informer::Settings { backoff, ..own };
    let (discovery, served) = Discovery::new(wire.clone());
    tasks.spawn(discovery.run(changes, set.clone(), stop.clone()));
    let statuses = sink.statuses();
    let informer = Informer::new(wire, policies::collection(), soon, sink);
    let stopped = stop.clone();
    tasks.spawn(async move { drop(informer.run(stopped).await) });

    tasks.spawn(become_ready(Arc::clone(readiness), set.clone(), served.clone(), stop.clone()));
    let watches =
        fleet::Limits { targets: config.limits.targets, namespaced: config.limits.namespaced_watches };
    let (fleet, board) = Fleet::new(
        parts,
        fleet::Settings {
            informer: patience,
            linger: config.watch.linger,
            resync: config.watch.resync,
            limits: watches,
        },
    );
    tasks.spawn(fleet.run(set.clone(), served.clone(), stop.clone()));
    ((set, board), statuses, served)
}

/// Ends with the others, so that the end of any of them is a failure. Ready means serving, with the policies read. What single targets lack is said in status, not here.
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

/// Gauges are read from their owners at the moment of a scrape.
fn expose(
    metrics: &Metrics,
    store: Arc<Store>,
    (ledger, leadership): (&Arc<Ledger>, &Leadership),
    (set, board): &Snapshots,
) -> anyhow::Result<()> {
    let (set, board, ledger) = (set.clone(), board.clone(), Arc::clone(ledger));
    let leadership = leadership.clone();
    // About the cluster, the leader alone speaks: a sum over all replicas is right.
    metrics.follow_policies(move || match leadership.permit() {
        Ok(_leads) => report::samples(&set.borrow(), &board.borrow(), &ledger),
        Err(_follows) => Vec::new(),
    })?;
    metrics.follow_informers(move || samples(&store, jiff::Timestamp::now()))?;
    Ok(())
}
