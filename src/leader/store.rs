//! Where the Lease is kept: the API server.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, pin_mut};
use http::header::{ACCEPT, CONTENT_TYPE};
use kube::core::WatchEvent;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::lease::Lease;

/// How long the server may take to begin a watch.
const BEGIN: Duration = Duration::from_secs(10);
/// A held Lease changes every few seconds: a watch that is silent for longer is opened anew, it may be dead.
const SILENCE: Duration = Duration::from_secs(30);
/// How long the server is asked to keep one watch open.
const WATCH_SECONDS: u32 = 300;

/// Why the Lease could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseFault {
    /// Somebody else changed, made or deleted it since it was read.
    #[error("the lease was changed by somebody else")]
    Conflict,
    /// It may work later; whether a write took effect is unknown.
    #[error("{0}")]
    Failed(String),
}

/// The Lease, for one elector; a seam, so that elections can be tested without a server.
///
/// An implementation must not retry by itself: a write that is sent later than asked for extends a time that is over.
pub trait LeaseStore: Send + Sync + 'static {
    /// Namespace and name of the Lease.
    fn place(&self) -> (&str, &str);
    /// The newest state, `None` where there is none.
    fn read(&self) -> impl Future<Output = Result<Option<Lease>, LeaseFault>> + Send;
    /// Makes it where there is none; gives what was stored.
    fn create(&self, lease: &Lease) -> impl Future<Output = Result<Lease, LeaseFault>> + Send;
    /// Replaces the version that the lease was read in; gives what was stored.
    fn replace(&self, lease: &Lease) -> impl Future<Output = Result<Lease, LeaseFault>> + Send;
}

/// A Lease in the cluster.
#[derive(Clone)]
pub struct Place {
    client: kube::Client,
    namespace: Arc<str>,
    name: Arc<str>,
}

impl Place {
    /// The client must be one that does not retry by itself, and has connections of its own.
    pub fn new(client: kube::Client, namespace: Arc<str>, name: Arc<str>) -> Self {
        Self { client, namespace, name }
    }

    fn collection(&self) -> String {
        format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", self.namespace)
    }

    fn object(&self) -> String {
        format!("{}/{}", self.collection(), self.name)
    }

    async fn send(&self, request: http::Result<http::Request<Vec<u8>>>) -> Result<Lease, kube::Error> {
        let request = request.map_err(kube::Error::HttpError)?;
        self.client.request::<Value>(request).await.map(Lease::new)
    }
}

impl LeaseStore for Place {
    fn place(&self) -> (&str, &str) {
        (&self.namespace, &self.name)
    }

    async fn read(&self) -> Result<Option<Lease>, LeaseFault> {
        let request = http::Request::get(self.object()).header(ACCEPT, "application/json").body(Vec::new());
        match self.send(request).await {
            Ok(lease) => Ok(Some(lease)),
            Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(None),
            Err(error) => Err(fault(&error)),
        }
    }

    async fn create(&self, lease: &Lease) -> Result<Lease, LeaseFault> {
        self.send(body(http::Request::post(self.collection()), lease)).await.map_err(|error| fault(&error))
    }

    async fn replace(&self, lease: &Lease) -> Result<Lease, LeaseFault> {
        self.send(body(http::Request::put(self.object()), lease)).await.map_err(|error| fault(&error))
    }
}

fn body(request: http::request::Builder, lease: &Lease) -> http::Result<http::Request<Vec<u8>>> {
    request.header(CONTENT_TYPE, "application/json").body(lease.object().to_string().into_bytes())
}

fn fault(error: &kube::Error) -> LeaseFault {
    match error {
        // A Lease that is to be replaced may be gone, and one that is to be made may be there.
        kube::Error::Api(answer) if answer.code == 409 || is_gone(answer) => LeaseFault::Conflict,
        // The server's words alone: the rest of its answer is for machines.
        kube::Error::Api(answer) if !answer.message.is_empty() => LeaseFault::Failed(answer.message.clone()),
        error => LeaseFault::Failed(error.to_string()),
    }
}

/// A missing namespace is a 404 too, and no conflict.
fn is_gone(answer: &kube::core::Status) -> bool {
    answer.code == 404 && answer.details.as_ref().is_some_and(|details| details.kind == "leases")
}

/// Follows the Lease and shows its newest state, so that a released one is taken over at once. It is a hint: the elector
/// also looks by itself.
pub async fn follow(
    place: Place,
    seen: watch::Sender<Option<Lease>>,
    pause: Duration,
    stop: CancellationToken,
) {
    while let Some(ended) = stop.run_until_cancelled(watch_once(&place, &seen)).await {
        if let Err(error) = ended {
            debug!(error, "the watch of the lease broke");
        }
        if stop.run_until_cancelled(sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// One watch, from the newest state on, until it ends.
async fn watch_once(place: &Place, seen: &watch::Sender<Option<Lease>>) -> Result<(), String> {
    let uri = format!(
        "{}?watch=true&fieldSelector=metadata.name%3D{}&timeoutSeconds={WATCH_SECONDS}",
        place.collection(),
        place.name
    );
    let request = http::Request::get(uri).body(Vec::new()).map_err(|error| error.to_string())?;
    let events = timeout(BEGIN, place.client.request_events::<Value>(request))
        .await
        .map_err(|_elapsed| format!("no answer within {BEGIN:?}"))?
        .map_err(|error| error.to_string())?;
    pin_mut!(events);
    while let Ok(Some(event)) = timeout(SILENCE, events.next()).await {
        match event.map_err(|error| error.to_string())? {
            WatchEvent::Added(lease) | WatchEvent::Modified(lease) => {
                seen.send_replace(Some(Lease::new(lease)));
            }
            WatchEvent::Deleted(_) => drop(seen.send_replace(None)),
            WatchEvent::Bookmark(_) => {}
            WatchEvent::Error(status) => return Err(status.message),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_fault_is_told_in_the_servers_words_alone() {
        let answer = json!({"status": "Failure", "reason": "Forbidden", "code": 403, "message": "leases is forbidden"});
        let fault = fault(&kube::Error::Api(serde_json::from_value(answer).unwrap()));
        assert_eq!(fault, LeaseFault::Failed("leases is forbidden".to_owned()));
    }

    #[test]
    fn only_a_change_by_somebody_else_is_a_conflict() {
        for (code, kind, conflict) in [
            (409, "leases", true),
            (404, "leases", true),
            (404, "namespaces", false),
            (403, "leases", false),
            (500, "", false),
        ] {
            let answer = json!({"code": code, "details": {"kind": kind}});
            let fault = fault(&kube::Error::Api(serde_json::from_value(answer).unwrap()));
            assert_eq!(fault == LeaseFault::Conflict, conflict, "{code} {kind}");
        }
    }
}
