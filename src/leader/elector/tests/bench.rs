//! Replicas that elect a leader before a server in the process, and a judge who looks on.

use std::collections::BTreeMap;
use std::pin::pin;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::super::*;
use super::{LEASE, MS, SECOND};
use crate::leader::Lost;

/// What happens to the requests of one replica.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Line {
    /// On the way there.
    pub(super) slow: Duration,
    /// On the way back.
    pub(super) late: Duration,
    pub(super) down: bool,
    pub(super) loses_replies: bool,
    pub(super) deaf: bool,
}

/// The API server, as far as a Lease and writes with a permit go.
#[derive(Default)]
pub(super) struct Server {
    pub(super) lease: Option<Value>,
    pub(super) version: u64,
    pub(super) lines: BTreeMap<usize, Line>,
    pub(super) watches: BTreeMap<usize, watch::Sender<Option<Lease>>>,
    pub(super) replicas: BTreeMap<usize, Leadership>,
    /// Writes that were sent, and when they arrive.
    pub(super) under_way: Vec<(usize, Instant)>,
    pub(super) writes: Vec<(usize, Instant)>,
    pub(super) requests: usize,
}

impl Server {
    pub(super) fn store(&mut self, mut object: Value) -> Lease {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = format!("uid-{}", self.version).into();
        }
        self.lease = Some(object.clone());
        self.show();
        Lease::new(object)
    }

    pub(super) fn show(&self) {
        for (who, watch) in &self.watches {
            if !self.lines[who].deaf && !self.lines[who].down {
                watch.send_replace(self.lease.clone().map(Lease::new));
            }
        }
    }

    pub(super) fn spec(&self, field: &str) -> Value {
        self.lease.as_ref().map(|lease| lease["spec"][field].clone()).unwrap_or_default()
    }

    /// As `kubectl patch` would.
    pub(super) fn tamper(&mut self, spec: &Value) {
        let Some(mut object) = self.lease.clone() else { return };
        for (field, value) in spec.as_object().unwrap() {
            object["spec"][field] = value.clone();
        }
        self.store(object);
    }

    pub(super) fn delete(&mut self) {
        self.lease = None;
        self.show();
    }

    pub(super) fn leaders(&self) -> Vec<usize> {
        let leads = |(who, leadership): (&usize, &Leadership)| leadership.permit().ok().map(|_| *who);
        self.replicas.iter().filter_map(leads).collect()
    }
}

/// A replica's way to the server.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) who: usize,
    pub(super) server: Arc<Mutex<Server>>,
}

impl Way {
    pub(super) async fn ask<T>(
        &self,
        act: impl FnOnce(&mut Server) -> Result<T, LeaseFault>,
    ) -> Result<T, LeaseFault> {
        let line = self.server.lock().lines[&self.who];
        sleep(line.slow + MS).await;
        if line.down {
            return Err(LeaseFault::Failed("connection refused".to_owned()));
        }
        let answer = {
            let mut server = self.server.lock();
            server.requests += 1;
            act(&mut server)
        };
        sleep(line.late).await;
        if line.loses_replies { Err(LeaseFault::Failed("connection reset".to_owned())) } else { answer }
    }
}

impl LeaseStore for Way {
    fn place(&self) -> (&str, &str) {
        ("watchpolicy-system", "watchpolicy")
    }

    async fn read(&self) -> Result<Option<Lease>, LeaseFault> {
        self.ask(|server| Ok(server.lease.clone().map(Lease::new))).await
    }

    async fn create(&self, lease: &Lease) -> Result<Lease, LeaseFault> {
        let object = lease.object().clone();
        self.ask(
            |server| {
                if server.lease.is_some() { Err(LeaseFault::Conflict) } else { Ok(server.store(object)) }
            },
        )
        .await
    }

    async fn replace(&self, lease: &Lease) -> Result<Lease, LeaseFault> {
        let (version, object) = (lease.version().to_owned(), lease.object().clone());
        self.ask(|server| match &server.lease {
            Some(stored) if stored["metadata"]["resourceVersion"] == *version => Ok(server.store(object)),
            Some(_) | None => Err(LeaseFault::Conflict),
        })
        .await
    }
}

/// Does not touch the work while the process is stopped, as SIGSTOP does; time goes on.
pub(super) async fn stoppable<W: Future>(mut stopped: watch::Receiver<bool>, work: W) -> W::Output {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            Ok(_) = stopped.wait_for(|stopped| *stopped) => {}
            done = &mut work => return done,
        }
        stopped.wait_for(|stopped| !*stopped).await.unwrap();
    }
}

/// Writes whenever it may; a write takes its time to be sent and to arrive.
pub(super) async fn write(leadership: Leadership, way: Way) {
    loop {
        if let Ok(permit) = leadership.permit() {
            let work = async {
                let slow = way.server.lock().lines[&way.who].slow;
                sleep(slow).await;
                let mut server = way.server.lock();
                assert_eq!(server.leaders(), [way.who], "a write is sent by who alone leads");
                let now = Instant::now();
                server.writes.push((way.who, now));
                // The server may take its time with what it has.
                server.under_way.push((way.who, now + SECOND * 4));
            };
            permit.guard(work).await.unwrap_or_default();
        }
        sleep(MS * 100).await;
    }
}

/// Looks all the time whether two may write, or a late write arrives while another leads.
pub(super) async fn judge(server: Arc<Mutex<Server>>) {
    loop {
        {
            let mut server = server.lock();
            let (leaders, now) = (server.leaders(), Instant::now());
            assert!(leaders.len() <= 1, "{leaders:?} lead at once");
            let arrived = server.under_way.extract_if(.., |(_, at)| *at <= now).collect::<Vec<_>>();
            for (who, _) in arrived {
                assert!(leaders.iter().all(|leader| *leader == who), "{who} writes while {leaders:?} leads");
            }
        }
        sleep(MS * 5).await;
    }
}

/// A watch begins with the Lease as it was when the watch was asked for, which may be late.
pub(super) async fn begin_to_show(
    who: usize,
    server: Arc<Mutex<Server>>,
    shown: watch::Sender<Option<Lease>>,
    before: Option<Lease>,
) {
    sleep(MS * 5).await;
    if before.is_some() {
        shown.send_replace(before);
    }
    sleep(MS * 5).await;
    let mut server = server.lock();
    server.watches.insert(who, shown);
    server.show();
}

pub(super) struct Running {
    pub(super) stop: CancellationToken,
    pub(super) stopped: watch::Sender<bool>,
    pub(super) tasks: JoinSet<()>,
}

/// A server and replicas.
pub(super) struct Bench {
    pub(super) server: Arc<Mutex<Server>>,
    pub(super) replicas: BTreeMap<usize, Running>,
    pub(super) judge: JoinSet<()>,
    pub(super) start: Instant,
}

impl Bench {
    pub(super) async fn start(replicas: usize) -> Self {
        let server = Arc::new(Mutex::new(Server::default()));
        let mut checks = JoinSet::new();
        checks.spawn(judge(Arc::clone(&server)));
        let mut bench = Self { server, replicas: BTreeMap::new(), judge: checks, start: Instant::now() };
        for who in 0..replicas {
            bench.add(who, Timestamp::now);
            bench.pass(100).await;
        }
        bench
    }

    pub(super) fn add(&mut self, who: usize, wall: fn() -> Timestamp) {
        let settings = Settings {
            identity: format!("replica-{who}").into(),
            lease: LEASE,
            renew: SECOND * 10,
            retry: SECOND * 2,
        };
        let way = Way { who, server: Arc::clone(&self.server) };
        let (elector, leadership) = Elector::new(way.clone(), settings, u64::try_from(who).unwrap(), wall);
        let (shown, seen) = watch::channel(None);
        let (stopped, stops) = watch::channel(false);
        let stop = CancellationToken::new();
        let before = {
            let mut server = self.server.lock();
            server.lines.insert(who, Line::default());
            server.replicas.insert(who, leadership.clone());
            server.lease.clone().map(Lease::new)
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(begin_to_show(who, Arc::clone(&self.server), shown, before));
        tasks.spawn(stoppable(stops.clone(), elector.run(seen, stop.clone())));
        tasks.spawn(stoppable(stops, write(leadership, way)));
        self.replicas.insert(who, Running { stop, stopped, tasks });
    }

    pub(super) async fn pass(&mut self, millis: u32) {
        sleep(MS * millis).await;
        while let Some(done) = self.judge.try_join_next() {
            done.unwrap();
        }
        for replica in self.replicas.values_mut() {
            while let Some(done) = replica.tasks.try_join_next() {
                done.unwrap();
            }
        }
    }

    pub(super) fn line(&self, who: usize, line: Line) {
        self.server.lock().lines.insert(who, line);
        self.server.lock().show();
    }

    pub(super) fn leaders(&self) -> Vec<usize> {
        self.server.lock().leaders()
    }

    /// Waits for a leader among the others; gives how long that took.
    pub(super) async fn until_another_leads(&mut self, than: usize) -> Duration {
        let start = Instant::now();
        loop {
            self.pass(1).await;
            if self.leaders().iter().any(|who| *who != than) {
                return start.elapsed();
            }
            assert!(start.elapsed() < SECOND * 600, "nobody leads");
        }
    }

    pub(super) fn kill(&mut self, who: usize) {
        self.replicas.remove(&who);
        let mut server = self.server.lock();
        server.replicas.remove(&who);
        server.watches.remove(&who);
    }

    /// SIGTERM.
    pub(super) fn terminate(&self, who: usize) {
        self.replicas[&who].stop.cancel();
    }

    pub(super) fn stop(&self, who: usize, stopped: bool) {
        self.replicas[&who].stopped.send_replace(stopped);
    }

    pub(super) fn tamper(&self, spec: &Value) {
        self.server.lock().tamper(spec);
    }

    /// As `kubectl annotate` would.
    pub(super) fn annotate(&self, annotations: &Value) {
        let mut server = self.server.lock();
        let mut object = server.lease.clone().unwrap();
        object["metadata"]["annotations"] = annotations.clone();
        server.store(object);
    }

    /// Has a replica wish that the Lease keeps this; gives the number of the wish.
    pub(super) fn wish(&self, who: usize, memo: &str) -> Result<u64, Lost> {
        let leadership = self.server.lock().replicas[&who].clone();
        leadership.permit().map(|permit| leadership.keep(&permit, memo))
    }

    pub(super) fn last_write(&self, who: usize) -> Duration {
        let server = self.server.lock();
        server.writes.iter().rev().find(|(writer, _)| *writer == who).unwrap().1 - self.start
    }
}
