//! Connections.

use std::collections::VecDeque;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{Pages, Tls};

/// A kubelet, a few scrapers and a person at a time.
const MAX_CONNECTIONS: usize = 64;
/// How long a client may take for its handshake, to send the headers of a request, and an idle connection may stay.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection takes requests; scrapers open the next one.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(20);
/// How long after [`CONNECTION_TIMEOUT`] an answer may take to be read.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// The wait after an accept that failed, for instance for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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

/// Serves, plain where there is no TLS, until the token is cancelled and the answers under way are given.
pub async fn serve(listener: TcpListener, tls: Option<Tls>, pages: Pages, stop: CancellationToken) {
    let router = pages.router();
    let mut connections = Connections::default();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_done) = connections.tasks.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match (accepted, &tls) {
            (Ok((stream, _from)), None) => {
                connections.add(connection(stream, router.clone(), stop.clone()));
            }
            (Ok((stream, _from)), Some(tls)) => {
                connections.add(secured(stream, tls.clone(), router.clone(), stop.clone()));
            }
            (Err(error), _) => {
                warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    while connections.tasks.join_next().await.is_some() {}
}

async fn secured(stream: TcpStream, tls: Tls, router: Router, stop: CancellationToken) {
    let handshake = timeout(HEADER_TIMEOUT, tls.acceptor().accept(stream));
    match stop.run_until_cancelled(handshake).await {
        Some(Ok(Ok(stream))) => connection(stream, router, stop).await,
        Some(Ok(Err(error))) => debug!(%error, "the handshake failed"),
        Some(Err(_elapsed)) => debug!("the handshake was not made in time"),
        None => {}
    }
}

async fn connection<S>(stream: S, router: Router, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
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

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
