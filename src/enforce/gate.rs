//! The gate: the only place from which a judged object is changed.
//!
//! Each patch takes a permit, names its field manager, and is cut off when the permit or its time is over. The object
//! is read here too, whole and afresh, since what is written must be what was read.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kube::client::Body;
use serde::Deserialize;
use tokio::time::timeout;

use super::go_json;
use super::refusal::Refusal;
use crate::jsonpath::{Document, FIELD_MANAGER_PREFIX, Node, Path, Projection, Roots, TypeMeta};
use crate::leader::Permit;
use crate::policy::{Patch, PolicySet};
use crate::resource::{Gvr, ObjectKey, ObjectName};

/// How long the server may take for one answer.
const ANSWER: Duration = Duration::from_secs(10);
/// The most bytes of an answer; etcd takes objects of 1.5 MiB.
const MAX_ANSWER: usize = 16 << 20;
const JSON: &str = "application/json";
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
const POLICIES: &str = "/apis/watchpolicy.io/v1alpha1/watchpolicies";
const JSON_PATCH: &str = "application/json-patch+json";

/// Status, body, and what `Retry-After` asks for.
type Answer = (http::StatusCode, Vec<u8>, Option<Duration>);

/// The object that is about to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'t> {
    pub(super) resource: &'t Gvr,
    pub(super) object: &'t ObjectName,
    pub(super) types: &'t TypeMeta,
}

impl Target<'_> {
    pub(super) fn key(&self) -> ObjectKey {
        ObjectKey { resource: self.resource.resource.clone(), object: self.object.clone() }
    }

    /// Names are percent-encoded, since some kinds allow any character in them.
    fn path(&self) -> String {
        let Gvr { resource, version } = self.resource;
        let base = match &*resource.group {
            "" => format!("/api/{version}"),
            group => format!("/apis/{group}/{version}"),
        };
        let encode = |text| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC);
        let name = encode(&self.object.name);
        match &self.object.namespace {
            Some(namespace) => {
                format!("{base}/namespaces/{}/{}/{name}", encode(namespace), resource.resource)
            }
            None => format!("{base}/{}/{name}", resource.resource),
        }
    }
}

/// What is to be done, and as whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Intent<'i> {
    pub(super) policy: &'i str,
    pub(super) patch: &'i Patch,
    /// The server says what would happen, and nothing does.
    pub(super) dry_run: bool,
}

/// What tells one state of a policy from another.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Edition {
    #[serde(default)]
    pub(super) uid: String,
    #[serde(default)]
    pub(super) generation: i64,
}

impl Edition {
    /// As the watch of policies shows it; `None` where there is none of that name.
    pub(super) fn in_set(set: &PolicySet, policy: &str) -> Option<Self> {
        let entry = set.entries.get(policy)?;
        Some(Self { uid: entry.uid.to_string(), generation: entry.generation })
    }
}

/// A list of policies, as far as it is read here.
#[derive(Deserialize)]
struct PolicyList {
    /// `null` where there are none, as Go writes an empty list.
    items: Option<Vec<Listed>>,
}

#[derive(Deserialize)]
struct Listed {
    metadata: Edition,
}

/// Reads and patches judged objects.
pub struct Gate {
    client: kube::Client,
    whole: Projection,
}

impl Gate {
    /// The client must be one that does not retry by itself.
    pub fn new(client: kube::Client) -> Self {
        let mut whole = Projection::default();
        whole.read_labels();
        Path::parse("$").iter().for_each(|object| whole.read(object, &Roots::default(), None));
        Self { client, whole }
    }

    /// An object that was worked out here, as if it had been read.
    pub(super) fn document(&self, object: Node<'_>, types: &TypeMeta) -> Option<Arc<Document>> {
        Document::decode(&object.to_string(), &self.whole, types).ok().map(Arc::new)
    }

    /// The whole object as it is now.
    pub(super) async fn read(&self, target: Target<'_>) -> Result<Arc<Document>, Refusal> {
        let request = http::Request::get(target.path()).header(ACCEPT, JSON).body(Vec::new());
        self.send(request, target).await
    }

    /// The edition that a policy has now; `None` where it is gone. Asked by a list, to which the operator has the right.
    pub(super) async fn edition(&self, policy: &str) -> Result<Option<Edition>, Refusal> {
        // Anybody can make names up, in managedFields.
        let name = percent_encoding::utf8_percent_encode(policy, percent_encoding::NON_ALPHANUMERIC);
        let path = format!("{POLICIES}?fieldSelector=metadata.name%3D{name}");
        let request = http::Request::get(path).header(ACCEPT, METADATA_LIST).body(Body::empty());
        let request = request.map_err(|error| Refusal::Failed(error.to_string()))?;
        let (status, body, retry_after) = self.timed(request).await?;
        if !status.is_success() {
            return Err(Refusal::of(status, &body, retry_after));
        }
        let list: PolicyList = serde_json::from_slice(&body)
            .map_err(|error| Refusal::Failed(format!("the answer cannot be read: {error}")))?;
        Ok(list.items.into_iter().flatten().next().map(|listed| listed.metadata))
    }

    /// Sends a patch while the permit is valid, and nothing after; gives the object as it is, or would be, then.
    pub(super) async fn swap(
        &self,
        target: Target<'_>,
        intent: Intent<'_>,
        permit: &Permit,
    ) -> Result<Arc<Document>, Refusal> {
        let Intent { policy, patch, dry_run } = intent;
        let dry_run = if dry_run { "&dryRun=All" } else { "" };
        let path = format!("{}?fieldManager={FIELD_MANAGER_PREFIX}{policy}{dry_run}", target.path());
        let body = go_json::to_vec(patch).map_err(|error| Refusal::Failed(error.to_string()))?;
        let request =
            http::Request::patch(path).header(ACCEPT, JSON).header(CONTENT_TYPE, JSON_PATCH).body(body);
        permit.guard(self.send(request, target)).await.map_err(|_lost| Refusal::Lost)?
    }

    async fn send(
        &self,
        request: http::Result<http::Request<Vec<u8>>>,
        target: Target<'_>,
    ) -> Result<Arc<Document>, Refusal> {
        let request = request.map_err(|error| Refusal::Failed(error.to_string()))?;
        let (status, body, retry_after) = self.timed(request.map(Body::from)).await?;
        if !status.is_success() {
            return Err(Refusal::of(status, &body, retry_after));
        }
        let unreadable = |error: String| Refusal::Failed(format!("the answer cannot be read: {error}"));
        let text = std::str::from_utf8(&body).map_err(|error| unreadable(error.to_string()))?;
        let document = Document::decode(text, &self.whole, target.types);
        document.map(Arc::new).map_err(|error| unreadable(error.to_string()))
    }

    async fn timed(&self, request: http::Request<Body>) -> Result<Answer, Refusal> {
        let answer = timeout(ANSWER, self.answer(request)).await;
        answer.map_err(|_late| Refusal::Failed(format!("no answer within {ANSWER:?}")))?
    }

    async fn answer(&self, request: http::Request<Body>) -> Result<Answer, Refusal> {
        let response = self.client.send(request).await.map_err(|error| Refusal::Failed(innermost(&error)))?;
        let status = response.status();
        let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| {
            let too_large = error.downcast_ref::<LengthLimitError>().is_some();
            Refusal::Failed(match too_large {
                true => format!("the answer is larger than {MAX_ANSWER} bytes"),
                false => innermost(error.as_ref()),
            })
        })?;
        Ok((status, body.to_bytes().into(), seconds.map(Duration::from_secs)))
    }
}

/// The innermost cause says what happened; the outer layers only that something did.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
