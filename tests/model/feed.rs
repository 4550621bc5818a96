//! An open watch: what happens to a collection, in order, each event a little late.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http_body::Frame;
use http_body_util::StreamBody;
use http_body_util::combinators::UnsyncBoxBody;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::api::Request;
use crate::cluster::Event;
use crate::network::{Health, Line, ServerBody};

pub(crate) struct Feed {
    line: Line,
    resource: String,
    /// The next event to look at.
    at: usize,
    /// What a watch without a version begins with.
    first: Vec<Arc<str>>,
    last: Instant,
    ends: Instant,
    ended: bool,
    grown: watch::Receiver<u64>,
    health: watch::Receiver<Health>,
    cuts: u32,
}

impl Feed {
    pub(crate) fn new(line: Line, request: &Request) -> Self {
        let server = Arc::clone(&line.server);
        let mut state = server.state.lock();
        let cluster = &mut state.cluster;
        let resource = request.id.resource.clone();
        let (at, first) = match request.query.get("resourceVersion").and_then(|version| version.parse().ok())
        {
            Some(version) => (cluster.events.partition_point(|event| event.version <= version), Vec::new()),
            None => {
                let lines = cluster
                    .list(&resource)
                    .map(|object| Arc::from(format!("{}\n", json!({"type": "ADDED", "object": object}))));
                (cluster.events.len(), lines.collect())
            }
        };
        let seconds = request.query.get("timeoutSeconds").and_then(|seconds| seconds.parse().ok());
        let health = line.health.subscribe();
        let cuts = health.borrow().cuts;
        Self {
            grown: cluster.grown(&resource),
            resource,
            at,
            first,
            last: Instant::now(),
            ends: Instant::now() + Duration::from_secs(seconds.unwrap_or(300)),
            ended: false,
            health,
            cuts,
            line,
        }
    }

    pub(crate) fn into_body(self) -> ServerBody {
        let frames = stream::unfold(self, |mut feed| async {
            let frame = feed.next().await?;
            Some((frame.map(Frame::data), feed))
        });
        UnsyncBoxBody::new(StreamBody::new(frames))
    }

    fn find(&mut self) -> Option<Event> {
        let state = self.line.server.state.lock();
        let rest = state.cluster.events.get(self.at..)?;
        let found = rest.iter().position(|event| event.id.resource == self.resource);
        self.at += found.map_or(rest.len(), |skipped| skipped + 1);
        found.and_then(|at| rest.get(at)).cloned()
    }

    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        let mut health = self.health.clone();
        let cuts = self.cuts;
        tokio::select! {
            biased;
            // One that was cut is told as soon as there is somebody to hear it.
            () = cut(&mut health, cuts) => {
                if std::mem::replace(&mut self.ended, true) {
                    return None;
                }
                self.line.lives().await;
                Some(Err(io::Error::new(io::ErrorKind::ConnectionReset, "connection reset")))
            }
            line = self.line() => {
                let line = line?;
                self.line.lives().await;
                Some(Ok(line))
            }
        }
    }

    async fn line(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.pop() {
            return Some(Bytes::from(first.to_string()));
        }
        loop {
            self.grown.mark_unchanged();
            if let Some(event) = self.find() {
                let late = self.line.latency(&format!("{} {}", self.resource, event.version));
                self.last = self.last.max(event.at + late);
                sleep_until(self.last).await;
                if self.resource == "watchpolicies" {
                    self.line.hears_of_policies().await;
                }
                return Some(Bytes::from(event.line.to_string()));
            }
            tokio::select! {
                biased;
                Ok(()) = self.grown.changed() => {}
                () = sleep_until(self.ends) => return None,
            }
        }
    }
}

/// Returns when open watches are cut.
async fn cut(health: &mut watch::Receiver<Health>, cuts: u32) {
    let is_cut = |health: &Health| health.down || health.cuts != cuts;
    if health.wait_for(is_cut).await.is_err() {
        std::future::pending::<()>().await;
    }
}
