use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::Readiness;
use super::*;
use crate::metrics::Metrics;

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
        let pages = Pages::new(metrics, Arc::clone(&readiness));
        tasks.spawn(serve(listener, None, pages, stop.clone()));
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
