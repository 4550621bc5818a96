//! A replica: the rooms of the operator, wired as the composition root wires them, but for what serves HTTP.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use watchpolicy::backoff::Backoff;
use watchpolicy::enforce::{self, Fixer, Gate, Leftovers, Worker};
use watchpolicy::leader::{self, Elector, Leadership};
use watchpolicy::ledger::Ledger;
use watchpolicy::metrics::Metrics;
use watchpolicy::observe::catalog::{self, ChangeSink, Changes, Discovery};
use watchpolicy::observe::fleet::{self, Fleet};
use watchpolicy::observe::informer::{self, Informer};
use watchpolicy::observe::policies::{self, PolicySink};
use watchpolicy::observe::turns::Turns;
use watchpolicy::observe::wire::{Limits, Wire};
use watchpolicy::policy;
use watchpolicy::queue::{Queue, Retries};
use watchpolicy::report::{self, Finalizers, StatusWriter};
use watchpolicy::resource::ObjectKey;
use watchpolicy::store::{self, Store};

use crate::network::{Health, Line, stoppable};
use crate::story::{LEASE, NAMESPACE, RENEW, RETRY};

const FIXERS: usize = 4;
const WORKERS: usize = 2;
/// Watches end, and permissions are asked for, seldom: that is not what is looked at here.
const SELDOM: Duration = Duration::from_secs(900);

/// Tasks that end together.
struct Stage {
    stop: CancellationToken,
    tasks: JoinSet<()>,
    health: watch::Receiver<Health>,
}

impl Stage {
    fn new(line: &Line) -> Self {
        Self { stop: CancellationToken::new(), tasks: JoinSet::new(), health: line.health.subscribe() }
    }

    fn spawn(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(stoppable(self.health.clone(), work));
    }

    async fn end(&mut self, limit: Duration) {
        self.stop.cancel();
        let ended = timeout(limit, async { while self.tasks.join_next().await.is_some() {} });
        drop(ended.await);
    }
}

/// A running replica. Dropping it is a crash.
pub(crate) struct Replica {
    pub(crate) line: Line,
    queue: Arc<Queue<ObjectKey>>,
    fixes: Arc<Queue<ObjectKey>>,
    observing: Stage,
    judging: Stage,
    fixing: Stage,
    reporting: Stage,
    leading: Stage,
}

impl Replica {
    pub(crate) fn start(line: Line, seed: u64) -> Self {
        let metrics = Metrics::new("model").unwrap();
        let queue = Queue::new(Retries::default(), seed, metrics.queue("objects"));
        let backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(1000) };
        let fixes = Queue::new(Retries { backoff, ..Retries::default() }, seed, metrics.queue("fixes"));
        let most = usize::MAX / 4;
        let limits =
            store::Limits { objects: most, bytes: most, document_bytes: most, total_bytes: most, targets: 1 };
        let stage = || Stage::new(&line);
        let [mut observing, mut judging, mut fixing, mut reporting, mut leading] =
            [stage(), stage(), stage(), stage(), stage()];
        let store = Arc::new(Store::new(limits));
        let (looked_through, places) = watch::channel(enforce::Places::default());
        let parts = fleet::Parts {
            wire: Wire::new(line.client(), Limits::default()),
            store: Arc::clone(&store),
            queue: Arc::clone(&queue),
            metrics: Arc::clone(&metrics),
            looked_through: places,
        };
        let sources = observe(seed, parts, &mut observing);
        let leftovers =
            Arc::new(Leftovers::new(Arc::clone(&store), policy::Fences::default(), NAMESPACE.into()));
        let left = Arc::clone(&leftovers);
        let parts = enforce::Parts {
            queue: Arc::clone(&fixes),
            store,
            ledger: Ledger::new(),
            metrics,
            leadership: elect(&line, seed, &mut leading),
            set: sources.set.clone(),
            leftovers,
            looked_through,
        };
        let worker = Arc::new(Worker {
            queue: Arc::clone(&queue),
            store: Arc::clone(&parts.store),
            ledger: Arc::clone(&parts.ledger),
            fixes: Arc::clone(&fixes),
            leadership: parts.leadership.clone(),
            metrics: Arc::clone(&parts.metrics),
            clock: Timestamp::now,
            journal: false,
        });
        (0..WORKERS).for_each(|_| judging.spawn(Arc::clone(&worker).run()));
        let settings = report::Settings {
            interval: Duration::from_secs(5),
            allow_enforce: true,
            left: Arc::new(move |policy: &str| left.count(policy)),
        };
        let sent = Arc::clone(&parts.leftovers);
        let (ledger, metrics) = (Arc::clone(&parts.ledger), Arc::clone(&parts.metrics));
        let finalizers =
            Finalizers::new(line.client(), Arc::clone(&ledger), settings.clone(), parts.leadership.clone())
                .awaiting(Arc::new(move |policy: &str| sent.awaits(policy)));
        reporting.spawn(finalizers.run(sources.set.clone(), sources.board.clone(), reporting.stop.clone()));
        let writer = StatusWriter::new(line.client(), ledger, metrics, settings, parts.leadership.clone());
        reporting.spawn(writer.run(sources, reporting.stop.clone()));
        fix(&line, parts, &mut fixing);
        Self { line, queue, fixes, observing, judging, fixing, reporting, leading }
    }

    /// SIGTERM: the stages end in the order in which the composition root ends them.
    pub(crate) async fn terminate(mut self) {
        let seconds = Duration::from_secs;
        self.observing.end(seconds(5)).await;
        self.queue.shutdown();
        self.judging.end(seconds(5)).await;
        self.fixes.shutdown();
        self.fixing.end(seconds(3)).await;
        self.reporting.end(seconds(8)).await;
        self.leading.end(seconds(3)).await;
    }

    /// Whether a part has ended unasked.
    pub(crate) fn is_broken(&mut self) -> bool {
        let stages = [
            &mut self.observing,
            &mut self.judging,
            &mut self.fixing,
            &mut self.reporting,
            &mut self.leading,
        ];
        stages.into_iter().any(|stage| stage.tasks.try_join_next().is_some())
    }
}

fn elect(line: &Line, seed: u64, stage: &mut Stage) -> Leadership {
    let place = leader::Place::new(line.client(), NAMESPACE.into(), "watchpolicy".into());
    let identity = Arc::clone(&line.identity);
    let settings = leader::Settings { identity, lease: LEASE, renew: RENEW, retry: RETRY };
    let (elector, leadership) = Elector::new(place.clone(), settings, seed, Timestamp::now);
    let (shown, seen) = watch::channel(None);
    stage.spawn(leader::follow(place, shown, RETRY, stage.stop.clone()));
    stage.spawn(elector.run(seen, stage.stop.clone()));
    leadership
}

fn fix(line: &Line, parts: enforce::Parts, stage: &mut Stage) {
    let settings = enforce::Settings {
        allow: true,
        namespace: NAMESPACE.into(),
        per_second: NonZeroU32::new(1000).unwrap(),
    };
    let fixer = Arc::new(Fixer::new(parts, Gate::new(line.client()), settings, Timestamp::now));
    stage.spawn(Arc::clone(&fixer).sweep(stage.stop.clone()));
    stage.spawn(Arc::clone(&fixer).record(stage.stop.clone()));
    (0..FIXERS).for_each(|_| stage.spawn(Arc::clone(&fixer).run()));
}

fn observe(seed: u64, parts: fleet::Parts, stage: &mut Stage) -> report::Sources {
    let wire = parts.wire.clone();
    let settings = informer::Settings {
        liveness: SELDOM,
        access_check: SELDOM,
        turns: Arc::new(Turns::new(4)),
        seed,
        ..informer::Settings::default()
    };
    let changes = Arc::<Changes>::default();
    for collection in catalog::collections() {
        let sink = ChangeSink::new("what is served", Arc::clone(&changes));
        let informer = Informer::new(wire.clone(), collection, settings.clone(), sink);
        let stop = stage.stop.clone();
        stage.spawn(async move { drop(informer.run(stop).await) });
    }
    let (discovery, served) = Discovery::new(wire.clone());
    let (sink, set) = PolicySink::new(policy::Settings::default());
    let statuses = sink.statuses();
    stage.spawn(discovery.run(changes, set.clone(), stage.stop.clone()));
    let informer = Informer::new(wire, policies::collection(), settings.clone(), sink);
    let stop = stage.stop.clone();
    stage.spawn(async move { drop(informer.run(stop).await) });
    let linger = Duration::from_secs(60);
    let settings =
        fleet::Settings { informer: settings, linger, resync: None, limits: fleet::Limits::default() };
    let (fleet, board) = Fleet::new(parts, settings);
    stage.spawn(fleet.run(set.clone(), served, stage.stop.clone()));
    report::Sources { set, board, statuses }
}
