//! The composition root: builds the rooms, wires them the way the data goes, and takes them down in the right order.

mod fixing;
mod judging;
mod leading;
mod observing;
mod reporting;
mod serving;
mod shared;

use std::sync::Arc;
use std::time::Duration;

use ::http::header::{self as http_header, HeaderValue};
use anyhow::Context;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use observing::Observed;
use shared::Shared;

use crate::config::Config;
use crate::http::Readiness;
use crate::leader::Leadership;
use crate::metrics::Metrics;
use crate::observe::samples;
use crate::queue::Queue;
use crate::report;
use crate::resource::ObjectKey;
use crate::shutdown::{LIMIT, Signals, Stages};

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

/// What ends together: what ends it, and its tasks.
type Stage = (CancellationToken, JoinSet<()>);

/// The running rooms, by the stages of the end.
struct Operator {
    queue: Arc<Queue<ObjectKey>>,
    observing: Stage,
    workers: JoinSet<()>,
    fixes: Arc<Queue<ObjectKey>>,
    fixing: Stage,
    reporting: Stage,
    leading: Stage,
    serving: Stage,
    readiness: Arc<Readiness>,
}

impl Operator {
    fn start(
        config: &Config,
        cluster: &kube::Config,
        listener: TcpListener,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let [mut observing, mut leading, mut fixing, mut serving, mut reporting]: [Stage; 5] =
            Default::default();
        let shared = Shared::new(config, cluster, metrics)?;
        let readiness = observing::readiness();
        let observed = observing::observe(config, &shared, &readiness, &mut observing);
        let leadership = leading::lead(config, cluster, &shared.metrics, &mut leading)?;
        let leftovers = fixing::fix(config, &shared, (&leadership, &observed.set), &mut fixing);
        let workers = judging::judge(config, &shared, &leadership);
        expose(&shared, &leadership, &observed)?;
        serving::serve(config, &shared, &observed, (listener, &readiness), &mut serving)?;
        reporting::report(config, &shared, observed, (leadership, leftovers), &mut reporting);
        let Shared { queue, fixes, .. } = shared;
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

async fn end((token, tasks): &mut Stage) {
    token.cancel();
    while tasks.join_next().await.is_some() {}
}

/// Gauges are read from their owners at the moment of a scrape.
fn expose(shared: &Shared, leadership: &Leadership, observed: &Observed) -> anyhow::Result<()> {
    let Shared { metrics, store, ledger, .. } = shared;
    let (set, board, ledger) = (observed.set.clone(), observed.board.clone(), Arc::clone(ledger));
    let leadership = leadership.clone();
    // About the cluster, the leader alone speaks: a sum over all replicas is right.
    metrics.follow_policies(move || match leadership.permit() {
        Ok(_leads) => report::samples(&set.borrow(), &board.borrow(), &ledger),
        Err(_follows) => Vec::new(),
    })?;
    let store = Arc::clone(store);
    metrics.follow_informers(move || samples(&store, jiff::Timestamp::now()))?;
    Ok(())
}
