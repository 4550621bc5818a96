//! `/metrics`, `/livez` and `/readyz`.
//!
//! Everything is bounded: the number of connections, the time that a client may take for its headers, the size of a
//! body (none is read), the time of an answer and the pages that are held for slow readers. A probe that is not answered
//! gets the operator killed, so a new connection is always taken: in place of the oldest one, if need be.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::metrics::Metrics;

/// A kubelet, a few scrapers and a person at a time.
const MAX_CONNECTIONS: usize = 64;
/// How long a client may take to send the headers of a request, and an idle connection may stay.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection takes requests; scrapers open the next one.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(20);
/// How long an answer may wait to be made, and how long after [`CONNECTION_TIMEOUT`] it may take to be read.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Metrics pages in memory: they are kept until they were sent, which is up to the reader.
const MAX_PAGES: usize = 4;
/// The wait after an accept that failed, for instance for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What must be true before the process is ready, and what of it is not yet.
#[derive(Debug)]
pub struct Readiness {
    missing: Mutex<BTreeSet<&'static str>>,
}

impl Readiness {
    /// Not ready until each of these is met, such as `policies read`.
    pub fn until(conditions: impl IntoIterator<Item = &'static str>) -> Arc<Self> {
        Arc::new(Self { missing: Mutex::new(conditions.into_iter().collect()) })
    }

    /// A condition is met; saying it again does nothing.
    pub fn met(&self, condition: &str) {
        self.missing.lock().remove(condition);
    }

    /// Not ready any more, and why: during shutdown.
    pub fn lost(&self, condition: &'static str) {
        self.missing.lock().insert(condition);
    }

    fn answer(&self) -> (StatusCode, String) {
        let missing = self.missing.lock();
        if missing.is_empty() {
            return (StatusCode::OK, "ok\n".to_owned());
        }
        let lines: String = missing.iter().map(|condition| format!("not yet: {condition}\n")).collect();
        (StatusCode::SERVICE_UNAVAILABLE, lines)
    }
}

#[derive(Clone)]
struct Shared {
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
    /// Room for pages.
    pages: Arc<Semaphore>,
    /// Whoever makes a page.
    press: Arc<tokio::sync::Mutex<()>>,
}

/// A page, and its room until it was sent.
struct HeldPage {
    page: String,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for HeldPage {
    fn as_ref(&self) -> &[u8] {
        self.page.as_bytes()
    }
}

/// The connections that are open, at most [`MAX_CONNECTIONS`].
#[derive(Default)]
struct Connections {
    tasks: JoinSet<()>,
    /// Oldest first.
    handles: VecDeque<AbortHandle>,
}

impl Connections {
    /// Adds a connection; when there are too many, the oldest is closed: who is honest has long had an answer.
    fn add(&mut self, connection: impl Future<Output = ()> + Send + 'static) {
        self.handles.retain(|handle| !handle.is_finished());
        if self.handles.len() >= MAX_CONNECTIONS
            && let Some(oldest) = self.handles.pop_front()
        {
            debug!("too many connections: the oldest is closed");
            oldest.abort();
        }
        self.handles.push_back(self.tasks.spawn(connection));
    }
}

/// Serves until the token is cancelled and the answers under way are given.
pub async fn serve(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
    stop: CancellationToken,
) {
    let pages = Arc::new(Semaphore::new(MAX_PAGES));
    let router = router(Shared { metrics, readiness, pages, press: Arc::default() });
    let mut connections = Connections::default();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_done) = connections.tasks.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _from)) => connections.add(connection(stream, router.clone(), stop.clone())),
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    while connections.tasks.join_next().await.is_some() {}
}

async fn connection(stream: TcpStream, router: Router, stop: CancellationToken) {
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => Ok(ended),
        () = async { tokio::select! { () = stop.cancelled() => {}, () = sleep(CONNECTION_TIMEOUT) => {} } } => {
            serving.as_mut().graceful_shutdown();
            timeout(ANSWER_TIMEOUT, serving).await
        }
    };
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "connection broke"),
        Err(_elapsed) => debug!("the answer was not read in time"),
    }
}

impl Shared {
    /// The metrics page, once there is room for it. One is made at a time: it takes a processor to itself.
    async fn page(&self) -> anyhow::Result<Bytes> {
        let room = Arc::clone(&self.pages).acquire_owned().await?;
        let _alone = self.press.lock().await;
        let page = self.metrics.page()?;
        Ok(Bytes::from_owner(HeldPage { page, _room: room }))
    }
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .with_state(shared)
}

async fn readyz(State(shared): State<Shared>) -> (StatusCode, String) {
    shared.readiness.answer()
}

async fn metrics(State(shared): State<Shared>) -> Response {
    let Ok(page) = timeout(ANSWER_TIMEOUT, shared.page()).await else {
        let busy = "too many readers take the metrics slowly; try again\n";
        return (StatusCode::SERVICE_UNAVAILABLE, busy).into_response();
    };
    match page {
        Ok(page) => ([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], Body::from(page)).into_response(),
        Err(error) => {
            warn!(%error, "cannot write the metrics page");
            (StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written; see the log\n")
                .into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A server on a free port of the loopback.
    struct Server {
        address: std::net::SocketAddr,
        readiness: Arc<Readiness>,
        stop: CancellationToken,
        tasks: JoinSet<()>,
    }

    impl Server {
        async fn start() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let readiness = Readiness::until(["policies read", "catalog read"]);
            let stop = CancellationToken::new();
            let mut tasks = JoinSet::new();
            let metrics = Metrics::new("test").unwrap();
            tasks.spawn(serve(listener, metrics, Arc::clone(&readiness), stop.clone()));
            Self { address, readiness, stop, tasks }
        }

        async fn get(&self, path: &str) -> String {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        }
    }

    #[tokio::test]
    async fn readiness_says_what_is_missing_until_all_is_met() {
        let server = Server::start().await;
        let answer = server.get("/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(answer.ends_with("not yet: catalog read\nnot yet: policies read\n"), "{answer}");
        server.readiness.met("policies read");
        server.readiness.met("catalog read");
        assert!(server.get("/readyz").await.starts_with("HTTP/1.1 200"));
        server.readiness.lost("shutting down");
        assert!(server.get("/readyz").await.contains("shutting down"));
    }

    #[tokio::test]
    async fn liveness_does_not_wait_for_readiness() {
        let server = Server::start().await;
        assert!(server.get("/livez").await.starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn the_metrics_page_has_the_type_that_scrapers_expect() {
        let answer = Server::start().await.get("/metrics").await;
        assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
        assert!(answer.contains("watchpolicy_build_info{version=\"test\"} 1"), "{answer}");
    }

    /// Liveness is answered, and how fast.
    async fn assert_alive(server: &Server) {
        let answer = timeout(Duration::from_secs(2), server.get("/livez")).await.expect("an answer in time");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    #[tokio::test]
    async fn liveness_is_answered_while_a_hundred_connections_say_nothing() {
        let server = Server::start().await;
        let mut silent = Vec::new();
        for _ in 0..100 {
            silent.push(TcpStream::connect(server.address).await.unwrap());
        }
        assert_alive(&server).await;
    }

    #[tokio::test]
    async fn liveness_is_answered_while_a_hundred_connections_ask_and_never_read() {
        let server = Server::start().await;
        let requests = "GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(100);
        let mut unread = Vec::new();
        for _ in 0..100 {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.set_recv_buffer_size(4096).unwrap();
            let mut stream = socket.connect(server.address).await.unwrap();
            stream.write_all(requests.as_bytes()).await.unwrap();
            unread.push(stream);
        }
        assert_alive(&server).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_has_room_until_it_was_sent_and_later_ones_are_told_to_wait() {
        let pages = Arc::new(Semaphore::new(MAX_PAGES));
        let metrics = Metrics::new("test").unwrap();
        let shared = Shared { metrics, readiness: Readiness::until([]), pages, press: Arc::default() };
        let mut held = Vec::new();
        for _ in 0..MAX_PAGES {
            held.push(shared.page().await.unwrap());
        }
        let asked = || super::metrics(State(shared.clone()));
        assert_eq!(asked().await.status(), StatusCode::SERVICE_UNAVAILABLE);
        held.pop();
        assert_eq!(asked().await.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn other_paths_are_not_found() {
        assert!(Server::start().await.get("/debug").await.starts_with("HTTP/1.1 404"));
    }

    #[tokio::test]
    async fn at_the_end_idle_connections_are_closed_and_new_ones_refused() {
        let mut server = Server::start().await;
        let mut idle = TcpStream::connect(server.address).await.unwrap();
        server.get("/livez").await;
        server.stop.cancel();
        assert_eq!(idle.read(&mut [0; 8]).await.unwrap(), 0);
        server.tasks.join_next().await.unwrap().unwrap();
        assert!(TcpStream::connect(server.address).await.is_err());
    }
}
