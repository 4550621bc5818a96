//! `/metrics`, `/livez` and `/readyz`.
//!
//! Everything is bounded: the number of connections, the time that a client may take for its headers, the size of a
//! body (none is read) and the time of an answer.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::metrics::Metrics;

/// A kubelet, a few scrapers and a person at a time.
const MAX_CONNECTIONS: usize = 64;
/// How long a client may take to send the headers of a request, and an idle connection may stay.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may live; scrapers open the next one.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(300);
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
}

/// Serves until the token is cancelled and the answers under way are given.
pub async fn serve(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
    stop: CancellationToken,
) {
    let router = router(Shared { metrics, readiness });
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_done) = connections.join_next() => continue,
            accepted = accept(&listener, &room) => accepted,
        };
        match accepted {
            Ok((stream, permit)) => {
                let connection = connection(stream, router.clone(), stop.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    while connections.join_next().await.is_some() {}
}

/// Takes a connection once there is room for it.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _from) = listener.accept().await?;
    Ok((stream, permit))
}

async fn connection(stream: TcpStream, router: Router, stop: CancellationToken) {
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut serving = std::pin::pin!(serving);
    let limit = tokio::time::sleep(CONNECTION_TIMEOUT);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
        () = limit => Ok(()),
    };
    if let Err(error) = ended {
        debug!(%error, "connection broke");
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
    match shared.metrics.page() {
        Ok(page) => ([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], page).into_response(),
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
