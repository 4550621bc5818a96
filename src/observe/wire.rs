//! LIST and WATCH as the API server speaks them: raw bodies over [`kube::Client`], which brings
//! authentication and TLS, taken apart item by item.
//!
//! An item stays raw text until somebody decodes it alone, so that one that cannot be decoded hides no other.
//! Everything has a deadline and a size: a server that never answers, or answers without end, is an error.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::client::Body;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::metrics::WatchFailure;
use crate::policy::demand::WatchSpec;
use crate::resource::Gvr;

mod intake;
mod lines;
mod page;

use intake::{Incoming, Intake, Share};
use lines::LARGE_LINES;
pub use lines::Lines;
pub use page::{Event, Page, PageEnd};

/// How long and how much the wire takes.
#[derive(Clone, Debug)]
pub struct Limits {
    /// A whole answer, or the headers of a watch, must be here by then.
    pub answer: Duration,
    /// Most bytes of one answer that is not a watch.
    pub body_bytes: usize,
    /// Most bytes of one watch event.
    pub line_bytes: usize,
    /// Most bytes of all answers that are under way, lines of watches aside.
    pub intake_bytes: usize,
}

/// What the `http` crate takes, less a host name.
const LONGEST_URI: usize = 65_000;
/// A watch answers with its headers at once, whatever it will have to say.
const WATCH_OPENS: Duration = Duration::from_secs(10);

impl Default for Limits {
    fn default() -> Self {
        // etcd takes objects of 1.5 MiB; a page of 500 ordinary ones has about 5 MiB, and one that is too large is asked
        // for again in smaller pages.
        let answer = Duration::from_secs(60);
        Self { answer, body_bytes: 16 << 20, line_bytes: 16 << 20, intake_bytes: 64 << 20 }
    }
}

/// What is listed and watched: one resource, everywhere or in one namespace, whole or metadata only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Collection {
    /// The resource in the version that is asked for.
    pub resource: Gvr,
    /// `None` for all namespaces, and for cluster-scoped resources.
    pub namespace: Option<Arc<str>>,
    /// A label selector in the form of a query, for the server to apply.
    pub labels: Option<Arc<str>>,
    /// A field selector in the form of a query, for the server to apply.
    pub fields: Option<Arc<str>>,
    /// Ask for `PartialObjectMetadata`.
    pub metadata_only: bool,
}

impl From<&WatchSpec> for Collection {
    fn from(spec: &WatchSpec) -> Self {
        Self {
            resource: spec.resource.clone(),
            namespace: spec.namespace.clone(),
            labels: spec.labels.clone(),
            fields: spec.fields.clone(),
            metadata_only: spec.metadata_only,
        }
    }
}

impl Collection {
    /// All objects of a resource, whole.
    pub fn all(resource: Gvr) -> Self {
        Self { resource, namespace: None, labels: None, fields: None, metadata_only: false }
    }

    fn path(&self) -> String {
        let Gvr { resource, version } = &self.resource;
        let base = match &*resource.group {
            "" => format!("/api/{version}"),
            group => format!("/apis/{group}/{version}"),
        };
        match &self.namespace {
            Some(namespace) => format!("{base}/namespaces/{namespace}/{}", resource.resource),
            None => format!("{base}/{}", resource.resource),
        }
    }

    fn selectors(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let labels = self.labels.as_deref().map(|labels| ("labelSelector", labels));
        let fields = self.fields.as_deref().map(|fields| ("fieldSelector", fields));
        labels.into_iter().chain(fields)
    }

    fn accept(&self, list: bool) -> &'static str {
        match (self.metadata_only, list) {
            (false, _) => "application/json",
            (true, true) => {
                "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;q=0.5"
            }
            (true, false) => {
                "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json;q=0.5"
            }
        }
    }
}

/// Why a request did not bring what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The server answered, with a refusal.
    #[error("the server answered {code} {reason}: {message}")]
    Refused {
        /// HTTP status code, or the code of an ERROR event.
        code: u16,
        /// The machine-readable reason of the API conventions, such as `Expired`.
        reason: String,
        /// The server's words, cut to a bounded length.
        message: String,
        /// The `Retry-After` header.
        retry_after: Option<Duration>,
    },
    /// Nothing came within the deadline.
    #[error("no answer within {0:?}")]
    Silent(Duration),
    /// The answer is larger than we take.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The list goes on behind an object whose name is so long that no request can hold the token for that.
    #[error("the list cannot go on behind an object of so long a name")]
    LongToken,
    /// Other answers that are under way take all the room that there is for them.
    #[error("there is no room for the answer beside others that are under way")]
    Crowded,
    /// The connection could not be made, or broke.
    #[error("connection: {0}")]
    Broken(String),
    /// The answer is not what the API promises.
    #[error("the answer cannot be read: {0}")]
    Unintelligible(String),
}

impl WireError {
    /// 410 in any form: the version or the continue token is too old, list anew.
    pub fn is_expired(&self) -> bool {
        matches!(self, Self::Refused { code, reason, .. } if *code == 410 || reason == "Expired" || reason == "Gone")
    }

    /// The operator lacks the right.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Refused { code: 403, .. })
    }

    /// The server does not serve this resource.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Refused { code: 404, .. })
    }

    /// How long the server asks us to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// What it counts as.
    pub fn failure(&self) -> WatchFailure {
        match self {
            Self::Refused { .. } if self.is_expired() => WatchFailure::Expired,
            Self::Refused { code: 401 | 403, .. } => WatchFailure::Forbidden,
            Self::Refused { code: 404, .. } => WatchFailure::NotFound,
            Self::Refused { code: 429, .. } => WatchFailure::Throttled,
            Self::Refused { code: 500.., .. } => WatchFailure::Server,
            Self::Refused { .. } => WatchFailure::Refused,
            Self::Silent(_) | Self::Crowded => WatchFailure::Timeout,
            Self::Broken(_) => WatchFailure::Connection,
            Self::TooLarge(_) | Self::LongToken | Self::Unintelligible(_) => WatchFailure::Undecodable,
        }
    }
}

/// Sends requests and reads answers. Cheap to clone.
#[derive(Clone)]
pub struct Wire {
    client: kube::Client,
    limits: Limits,
    intake: Arc<Intake>,
    /// For large lines of watches.
    room: Arc<Semaphore>,
}

impl Wire {
    /// The client must not retry by itself: back-off is the informer's.
    pub fn new(client: kube::Client, limits: Limits) -> Self {
        let intake = Intake::new(limits.intake_bytes);
        Self { client, limits, intake, room: Arc::new(Semaphore::new(LARGE_LINES)) }
    }

    /// One page of a list at the newest version.
    ///
    /// # Errors
    /// See [`WireError`].
    pub async fn list(
        &self,
        collection: &Collection,
        page_size: u32,
        next: Option<&str>,
    ) -> Result<Page, WireError> {
        let limit = page_size.to_string();
        let mut query: Vec<(&str, &str)> = vec![("limit", &limit)];
        query.extend(next.map(|token| ("continue", token)));
        query.extend(collection.selectors());
        let request = get(&collection.path(), &query, collection.accept(true))?;
        let response = self.answer(request).await?;
        let (body, room) = self.body(response.into_body(), self.limits.body_bytes).await?;
        Ok(Page { body, _room: room })
    }

    /// Opens a watch from a version on; the server ends it after `duration`.
    ///
    /// # Errors
    /// See [`WireError`].
    pub async fn watch(
        &self,
        collection: &Collection,
        version: &str,
        duration: Duration,
    ) -> Result<Lines, WireError> {
        self.open(collection, duration, &[("resourceVersion", version)]).await
    }

    /// Opens a watch that begins with all objects there are, as if each had just been added, and tells by a bookmark
    /// when that was all ([`Event::ends_list`]; KEP-3157): a list that needs no tokens.
    ///
    /// # Errors
    /// See [`WireError`]; a server that does not know this refuses it.
    pub async fn watch_list(&self, collection: &Collection, duration: Duration) -> Result<Lines, WireError> {
        let from_all = [("sendInitialEvents", "true"), ("resourceVersionMatch", "NotOlderThan")];
        self.open(collection, duration, &from_all).await
    }

    async fn open(
        &self,
        collection: &Collection,
        duration: Duration,
        from: &[(&'static str, &str)],
    ) -> Result<Lines, WireError> {
        let seconds = duration.as_secs().max(1).to_string();
        let mut query: Vec<(&str, &str)> =
            vec![("watch", "true"), ("allowWatchBookmarks", "true"), ("timeoutSeconds", &seconds)];
        query.extend(from.iter().copied());
        query.extend(collection.selectors());
        let request = get(&collection.path(), &query, collection.accept(false))?;
        let opened = self.limits.answer.min(WATCH_OPENS);
        let response =
            timeout(opened, self.answer(request)).await.map_err(|_elapsed| WireError::Silent(opened))??;
        Ok(Lines::new(response.into_body(), self.limits.clone(), Arc::clone(&self.room)))
    }

    /// The body of a path.
    ///
    /// # Errors
    /// See [`WireError`].
    pub async fn get(&self, path: &str, accept: &str) -> Result<Bytes, WireError> {
        let response = self.answer(get(path, &[], accept)?).await?;
        Ok(self.body(response.into_body(), self.limits.body_bytes).await?.0)
    }

    /// Hands over the body of a path as it comes, and gives its ETag; `None` when it is still what `etag` stands for.
    ///
    /// # Errors
    /// See [`WireError`]; what was handed over by then is not all.
    pub async fn read(
        &self,
        path: &str,
        accept: &str,
        etag: Option<&str>,
        take: impl FnMut(&[u8]) + Send,
    ) -> Result<Option<Option<String>>, WireError> {
        let mut request = get(path, &[], accept)?;
        if let Some(value) = etag.and_then(|etag| http::HeaderValue::from_str(etag).ok()) {
            request.headers_mut().insert(http::header::IF_NONE_MATCH, value);
        }
        let response = self.send(request).await?;
        if response.status() == http::StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        let response = self.refuse(response).await?;
        let etag = response.headers().get(http::header::ETAG).and_then(|value| value.to_str().ok());
        let etag = etag.map(str::to_owned);
        let read = timeout(self.limits.answer, hand_over(response.into_body(), take)).await;
        read.map_err(|_elapsed| WireError::Silent(self.limits.answer))??;
        Ok(Some(etag))
    }

    /// Asks the server whether we may do `verb` on a collection (`SelfSubjectAccessReview`).
    ///
    /// # Errors
    /// See [`WireError`].
    pub async fn may(&self, verb: &str, collection: &Collection) -> Result<bool, WireError> {
        let Gvr { resource, version } = &collection.resource;
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    group: Some(resource.group.to_string()),
                    version: Some(version.to_string()),
                    resource: Some(resource.resource.to_string()),
                    namespace: collection.namespace.as_deref().map(str::to_owned),
                    verb: Some(verb.to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let body = serde_json::to_vec(&review).map_err(|e| WireError::Unintelligible(e.to_string()))?;
        let request = http::Request::post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .map_err(|e| WireError::Broken(e.to_string()))?;
        let response = self.answer(request).await?;
        let (body, _room) = self.body(response.into_body(), STATUS_BYTES).await?;
        let review: SelfSubjectAccessReview =
            serde_json::from_slice(&body).map_err(|e| WireError::Unintelligible(e.to_string()))?;
        Ok(review.status.is_some_and(|status| status.allowed))
    }

    async fn send(&self, request: http::Request<Body>) -> Result<http::Response<Body>, WireError> {
        timeout(self.limits.answer, self.client.send(request))
            .await
            .map_err(|_elapsed| WireError::Silent(self.limits.answer))?
            .map_err(|error| broken(&error))
    }

    async fn answer(&self, request: http::Request<Body>) -> Result<http::Response<Body>, WireError> {
        let response = self.send(request).await?;
        self.refuse(response).await
    }

    async fn refuse(&self, response: http::Response<Body>) -> Result<http::Response<Body>, WireError> {
        if response.status().is_success() {
            return Ok(response);
        }
        let code = response.status().as_u16();
        let retry_after = response
            .headers()
            .get(http::header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        let body = self.body(response.into_body(), STATUS_BYTES).await.ok();
        let body = body.as_ref().map_or(&[][..], |(body, _room)| body);
        Err(refusal(Some(code), body, retry_after))
    }

    /// A whole body, and the room that it takes.
    async fn body(&self, body: Body, limit: usize) -> Result<(Bytes, Share), WireError> {
        let patience = self.limits.answer;
        let whole = async {
            let mut incoming = Incoming::new(body, &self.intake);
            while let Some(piece) = incoming.frame(patience).await? {
                incoming.keep(&piece, limit).await?;
            }
            Ok(incoming.take())
        };
        timeout(patience, whole).await.map_err(|_elapsed| WireError::Silent(patience))?
    }
}

/// Most bytes of a body of which little is kept.
const READ_BYTES: usize = 256 << 20;

async fn hand_over(mut body: Body, mut take: impl FnMut(&[u8])) -> Result<(), WireError> {
    let mut taken = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broken(&error))?;
        let data = frame.data_ref().map(AsRef::<[u8]>::as_ref).unwrap_or_default();
        taken += data.len();
        if taken > READ_BYTES {
            return Err(WireError::TooLarge(READ_BYTES));
        }
        take(data);
    }
    Ok(())
}

fn get(path: &str, query: &[(&str, &str)], accept: &str) -> Result<http::Request<Body>, WireError> {
    let mut uri = path.to_owned();
    let mut separator = '?';
    for (name, value) in query {
        uri.push(separator);
        separator = '&';
        uri.extend([name, "="]);
        uri.extend(percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC));
    }
    // Selectors are bounded; names, which continue tokens repeat, are not.
    if uri.len() > LONGEST_URI {
        return Err(WireError::LongToken);
    }
    http::Request::get(uri)
        .header(http::header::ACCEPT, accept)
        .body(Body::empty())
        .map_err(|e| WireError::Broken(e.to_string()))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    code: Option<u16>,
    reason: Option<String>,
    message: Option<String>,
}

/// What is read of an answer that is a few words.
const STATUS_BYTES: usize = 64 << 10;
/// What is kept of a server's words: enough for a person, bounded for status and logs.
const MESSAGE_BYTES: usize = 512;

fn refusal(code: Option<u16>, body: &[u8], retry_after: Option<Duration>) -> WireError {
    let status: Status = serde_json::from_slice(body).unwrap_or_default();
    WireError::Refused {
        code: code.or(status.code).unwrap_or_default(),
        reason: cut(&status.reason.unwrap_or_default(), 64),
        message: cut(&status.message.unwrap_or_default(), MESSAGE_BYTES),
        retry_after,
    }
}

/// The innermost cause says what happened ("connection refused"); the outer layers only that something did.
pub(crate) fn broken(error: &(dyn std::error::Error + 'static)) -> WireError {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    WireError::Broken(cut(&innermost.to_string(), MESSAGE_BYTES))
}

fn cut(text: &str, bytes: usize) -> String {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_api() {
        let mut deployments = Collection::all(Gvr::new("apps", "v1", "deployments"));
        assert_eq!(deployments.path(), "/apis/apps/v1/deployments");
        deployments.namespace = Some("shop".into());
        assert_eq!(deployments.path(), "/apis/apps/v1/namespaces/shop/deployments");
        assert_eq!(Collection::all(Gvr::new("", "v1", "pods")).path(), "/api/v1/pods");
    }

    #[test]
    fn query_values_are_escaped() {
        let request = get("/x", &[("labelSelector", "a in (b,c)")], "application/json").unwrap();
        assert_eq!(request.uri(), "/x?labelSelector=a%20in%20%28b%2Cc%29");
    }
}
