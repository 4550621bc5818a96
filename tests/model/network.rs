//! What is between a replica and the API server: time, losses, and the process's own end.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use kube::client::Body;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::api::{Answer, Class, Request, State};
use crate::feed::Feed;
use crate::law::Sent;

pub(crate) type ServerBody = UnsyncBoxBody<Bytes, io::Error>;

/// What happens at a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// The process is killed before it sends it.
    CrashBefore,
    /// The process is killed when the server has done it.
    CrashAfter,
    /// The process is stopped (SIGSTOP) when it is about to send it.
    FreezeBefore(Duration),
    /// The process is stopped when it has sent it.
    FreezeAfter(Duration),
    /// It does not arrive, and that is known.
    LoseRequest,
    /// It is done, and the connection breaks.
    LoseReply,
    /// It is done, and nobody ever answers.
    Hang,
    /// It takes so long to arrive.
    Slow(Duration),
    /// The server does not do it, and says so.
    Refuse(u16),
}

/// The faults to come, by class and number of the request, whoever sends it.
#[derive(Default)]
pub(crate) struct Faults {
    pub(crate) at: BTreeMap<(Class, usize), Fault>,
    /// How many requests there were.
    pub(crate) sent: BTreeMap<Class, usize>,
}

impl Faults {
    fn next(&mut self, class: Class) -> Option<Fault> {
        let sent = self.sent.entry(class).or_default();
        *sent += 1;
        self.at.remove(&(class, *sent))
    }
}

/// What a fault asks of whoever runs the replicas.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Command {
    Crashed(usize),
    Thaw(usize, Duration),
}

/// The API server, and the network around it.
pub(crate) struct Server {
    pub(crate) state: Mutex<State>,
    pub(crate) faults: Mutex<Faults>,
    /// Requests under way: whoever sent one may be gone, it arrives all the same.
    under_way: Mutex<JoinSet<()>>,
    pub(crate) commands: mpsc::UnboundedSender<Command>,
}

impl Server {
    pub(crate) fn new(state: State, faults: Faults) -> (Arc<Self>, mpsc::UnboundedReceiver<Command>) {
        let (commands, received) = mpsc::unbounded_channel();
        let (state, faults) = (Mutex::new(state), Mutex::new(faults));
        (Arc::new(Self { state, faults, under_way: Mutex::default(), commands }), received)
    }

    fn deliver(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut under_way = self.under_way.lock();
        while under_way.try_join_next().is_some() {}
        under_way.spawn(work);
    }
}

/// How a process and its line are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Health {
    pub(crate) frozen: bool,
    pub(crate) dead: bool,
    /// Nothing goes through, either way.
    pub(crate) down: bool,
    /// Its watch of policies is silent, and does not end.
    pub(crate) behind: bool,
    /// Counts how often all open watches were cut.
    pub(crate) cuts: u32,
}

/// One process's line to the API server.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) slot: usize,
    pub(crate) identity: Arc<str>,
    pub(crate) server: Arc<Server>,
    pub(crate) health: watch::Sender<Health>,
    /// How often what was sent before: times follow from the seed and from that, so that what happens in the same
    /// moment may happen in any order.
    before: Arc<Mutex<BTreeMap<String, u32>>>,
    seed: u64,
}

impl Line {
    pub(crate) fn new(slot: usize, identity: Arc<str>, server: Arc<Server>, seed: u64) -> Self {
        let (health, before) = (watch::Sender::new(Health::default()), Arc::default());
        Self { slot, identity, server, health, before, seed }
    }

    pub(crate) fn client(&self) -> kube::Client {
        let line = self.clone();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let line = line.clone();
            async move { line.call(request).await }
        });
        kube::Client::new(service, "default")
    }

    /// How long something takes to go through: a short time, now and then a longer one.
    pub(crate) fn latency(&self, what: &str) -> Duration {
        let mut before = self.before.lock();
        let times = before.entry(what.to_owned()).or_default();
        *times += 1;
        let drawn = BuildHasherDefault::<DefaultHasher>::new().hash_one((self.seed, what, *times));
        let most = if drawn.is_multiple_of(20) { 400_000 } else { 8_000 };
        Duration::from_micros(500 + (drawn >> 8) % most)
    }

    /// Waits while the process is stopped, for ever when it is dead.
    pub(crate) async fn lives(&self) {
        let mut health = self.health.subscribe();
        let lives = |health: &Health| !health.frozen && !health.dead;
        if health.wait_for(lives).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits while the watch of policies is silent.
    pub(crate) async fn hears_of_policies(&self) {
        let mut health = self.health.subscribe();
        if health.wait_for(|health| !health.behind).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    pub(crate) fn die(&self) {
        self.health.send_modify(|health| health.dead = true);
        self.server.commands.send(Command::Crashed(self.slot)).unwrap_or_default();
    }

    fn freeze(&self, time: Duration) {
        self.health.send_modify(|health| health.frozen = true);
        self.server.commands.send(Command::Thaw(self.slot, time)).unwrap_or_default();
    }

    async fn call(self, request: http::Request<Body>) -> io::Result<http::Response<ServerBody>> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let request = Request::new(&parts, &body);
        self.lives().await;
        let fault = request.class().and_then(|class| self.server.faults.lock().next(class));
        if let Some(fault) = fault {
            let what = format!("{} meets {fault:?} at {} {}", self.identity, request.method, request.path);
            self.server.state.lock().note(&what);
        }
        match fault {
            Some(Fault::CrashBefore) => self.die(),
            Some(Fault::FreezeBefore(time)) => self.freeze(time),
            _ => {}
        }
        self.lives().await;
        let lost = || io::Error::new(io::ErrorKind::ConnectionReset, "connection reset");
        if self.health.borrow().down || fault == Some(Fault::LoseRequest) {
            sleep(self.latency(&request.path)).await;
            return Err(lost());
        }
        let answer = self.send(request.clone(), fault);
        if let Some(Fault::FreezeAfter(time)) = fault {
            self.freeze(time);
        }
        let answer = answer.await.map_err(|_gone| lost())?;
        sleep(self.latency(&request.path)).await;
        self.lives().await;
        match fault {
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::LoseReply) => Err(lost()),
            _ if self.health.borrow().down => Err(lost()),
            _ => Ok(self.open(&request, &answer)),
        }
    }

    /// Sends a request, which arrives whatever becomes of the sender.
    fn send(&self, request: Request, fault: Option<Fault>) -> oneshot::Receiver<Answer> {
        let (reply, answer) = oneshot::channel();
        let sent = self.server.state.lock().law.sent(&self.identity);
        let there = match fault {
            Some(Fault::Slow(time)) => time,
            _ => self.latency(&request.path),
        };
        let line = self.clone();
        self.server.deliver(async move {
            sleep(there).await;
            let answer = line.arrive(&request, &sent, fault);
            // Nobody waits for it where the sender has given up.
            drop(reply.send(answer));
            if fault == Some(Fault::CrashAfter) {
                line.die();
            }
        });
        answer
    }

    fn arrive(&self, request: &Request, sent: &Sent, fault: Option<Fault>) -> Answer {
        if let Some(Fault::Refuse(code)) = fault {
            return Answer::status(code, "the server has trouble", "");
        }
        let mut state = self.server.state.lock();
        if !request.is_watch() {
            return state.answer(request, sent);
        }
        match request.query.get("resourceVersion").and_then(|version| version.parse::<u64>().ok()) {
            Some(version) if version < state.cluster.compacted => Answer::status(410, "too old", ""),
            _ => Answer { code: 200, body: serde_json::Value::Null },
        }
    }

    fn open(&self, request: &Request, answer: &Answer) -> http::Response<ServerBody> {
        let response = http::Response::builder().status(answer.code).header(http::header::ETAG, "\"one\"");
        let body = if request.is_watch() && answer.code == 200 {
            Feed::new(self.clone(), request).into_body()
        } else {
            let text = answer.body.to_string();
            Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync()
        };
        response.body(body).unwrap()
    }
}

/// Does not touch the work while the process is stopped, as SIGSTOP does; time goes on.
pub(crate) async fn stoppable<W: Future>(mut health: watch::Receiver<Health>, work: W) -> W::Output {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            Ok(_) = health.wait_for(|health| health.frozen || health.dead) => {}
            done = &mut work => return done,
        }
        if health.wait_for(|health| !health.frozen && !health.dead).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
