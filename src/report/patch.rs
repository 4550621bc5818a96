//! The write of a status: a JSON Patch (RFC 6902) of the status subresource, for the judged policy alone.

use std::sync::Arc;

use http::header::{ACCEPT, CONTENT_TYPE};
use serde::Serialize;
use tracing::warn;

use super::server::{self, Fault, Refused};
use super::shown::shown;
use crate::crd::WatchPolicyStatus;
use crate::leader::{Lost, Permit};

/// Only metadata is wanted back; the policy itself comes by its watch.
const ANSWER: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// The most bytes of the names of refused fields in an error.
const MAX_WORDS: usize = 512;
/// What to do about a 403.
const CURE: &str = "the operator may not patch watchpolicies/status; add to its ClusterRole: \
    {apiGroups: [\"watchpolicy.io\"], resources: [\"watchpolicies/status\"], verbs: [\"patch\"]}";

/// Whose status, and what is to be stored.
#[derive(Clone, Debug)]
pub struct StatusPatch {
    /// The policy's name.
    pub name: Arc<str>,
    /// The policy's uid; a policy of another uid is left alone.
    pub uid: Arc<str>,
    /// The whole new status.
    pub status: Arc<WatchPolicyStatus>,
}

impl StatusPatch {
    /// The same with conditions and counts alone, for a server that refuses something in the lists: better a status
    /// that says less than one that stands still.
    pub fn reduced(&self) -> Self {
        let status = &*self.status;
        let listed = u64::try_from(status.violations.len()).unwrap_or(u64::MAX);
        let truncated = status.violations_truncated.unwrap_or_default().saturating_add(listed);
        let status = WatchPolicyStatus {
            targets: Vec::new(),
            violations: Vec::new(),
            violations_truncated: (truncated > 0).then_some(truncated),
            exceptions: Vec::new(),
            ..status.clone()
        };
        Self { status: Arc::new(status), ..self.clone() }
    }
}

/// Why a status was not stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteFault {
    /// There is no policy of this name and uid.
    #[error("the policy is gone")]
    Gone,
    /// Leadership was lost before the answer came; it is the next leader's to write.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// It may work later.
    #[error("{0}")]
    Failed(String),
}

/// Where statuses are stored; a seam, so that the writer's pace can be tested without a server.
///
/// A client stores conditions and counts alone where the server refuses fields of the whole. The writer need not know:
/// the policy's watch shows it what is stored.
pub trait StatusStore: Send + Sync + 'static {
    /// Stores a status while the permit is valid, and sends nothing after.
    fn store(
        &self,
        patch: &StatusPatch,
        permit: &Permit,
    ) -> impl Future<Output = Result<(), WriteFault>> + Send;
}

impl StatusStore for kube::Client {
    async fn store(&self, patch: &StatusPatch, permit: &Permit) -> Result<(), WriteFault> {
        let refused = match send(self, patch, permit).await {
            Err(Refusal::Fields(fields)) => fields,
            sent => return sent.map_err(Refusal::into_fault),
        };
        let policy = &*patch.name;
        warn!(policy, refused, "the server refuses the status, and gets its conditions and counts alone");
        send(self, &patch.reduced(), permit).await.map_err(Refusal::into_fault)
    }
}

/// Why the server did not take a patch.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// There is no policy of this name and uid.
    Gone,
    /// The CRD's schema refuses these fields.
    Fields(String),
    /// Leadership was lost.
    Lost(Lost),
    /// Anything else.
    Other(String),
}

impl Refusal {
    fn into_fault(self) -> WriteFault {
        match self {
            Self::Gone => WriteFault::Gone,
            Self::Fields(fields) => WriteFault::Failed(format!(
                "the server refuses fields of the status; install the CRD of this version: {fields}"
            )),
            Self::Lost(lost) => WriteFault::Lost(lost),
            Self::Other(error) => WriteFault::Failed(error),
        }
    }
}

async fn send(client: &kube::Client, patch: &StatusPatch, permit: &Permit) -> Result<(), Refusal> {
    let request = request(patch).map_err(|error| Refusal::Other(shown(&error.to_string(), MAX_WORDS)))?;
    server::send(client, request, permit).await.map_err(|fault| match fault {
        Fault::Lost(lost) => Refusal::Lost(lost),
        Fault::Refused(refused) => refusal(&refused),
        Fault::Unanswered(error) => Refusal::Other(error),
    })
}

/// One operation of a JSON Patch.
#[derive(Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Operation<'p> {
    Test { path: &'p str, value: &'p str },
    Add { path: &'p str, value: &'p WatchPolicyStatus },
}

fn request(patch: &StatusPatch) -> anyhow::Result<http::Request<Vec<u8>>> {
    let operations = [
        Operation::Test { path: "/metadata/uid", value: &patch.uid },
        Operation::Add { path: "/status", value: &patch.status },
    ];
    let path =
        format!("/apis/watchpolicy.io/v1alpha1/watchpolicies/{}/status?fieldManager=watchpolicy", patch.name);
    Ok(http::Request::patch(path)
        .header(CONTENT_TYPE, "application/json-patch+json")
        .header(ACCEPT, ANSWER)
        .body(serde_json::to_vec(&operations)?)?)
}

/// A failed `test` is a 422 that names no field; a status that the schema refuses is one that does.
fn refusal(refused: &Refused) -> Refusal {
    match refused.code {
        404 => Refusal::Gone,
        422 if refused.fields.is_empty() => Refusal::Gone,
        422 => {
            Refusal::Fields(shown(&format!("{} ({})", refused.fields.join(", "), refused.words), MAX_WORDS))
        }
        403 => Refusal::Other(format!("{CURE}; the server says: {}", refused.words)),
        _ => Refusal::Other(refused.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;

    use http_body_util::BodyExt;
    use kube::client::Body;
    use parking_lot::Mutex;
    use serde_json::{Value, json};

    use super::*;
    use crate::crd::Summary;
    use crate::leader::Leadership;

    #[test]
    fn the_patch_tests_the_uid_and_replaces_the_whole_status() {
        let status = WatchPolicyStatus { observed_generation: Some(3), ..WatchPolicyStatus::default() };
        let patch = StatusPatch { name: "owners".into(), uid: "u-1".into(), status: Arc::new(status) };
        let request = request(&patch).unwrap();
        assert_eq!(request.method(), "PATCH");
        assert_eq!(request.uri().path(), "/apis/watchpolicy.io/v1alpha1/watchpolicies/owners/status");
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        let expected = json!([
            {"op": "test", "path": "/metadata/uid", "value": "u-1"},
            {"op": "add", "path": "/status", "value": {"observedGeneration": 3}},
        ]);
        assert_eq!(body, expected);
    }

    /// A client whose server answers like this, in turn, and the bodies that it was sent.
    fn server(answers: Vec<(u16, Value)>) -> (kube::Client, Arc<Mutex<Vec<Value>>>) {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let answers = Arc::new(Mutex::new(VecDeque::from(answers)));
        let (bodies, scripted) = (Arc::clone(&sent), answers);
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let (bodies, scripted) = (Arc::clone(&bodies), Arc::clone(&scripted));
            async move {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                bodies.lock().push(serde_json::from_slice(&body).unwrap());
                let (code, answer) = scripted.lock().pop_front().unwrap();
                let answer = Body::from(answer.to_string().into_bytes());
                Ok::<_, Infallible>(http::Response::builder().status(code).body(answer).unwrap())
            }
        });
        (kube::Client::new(service, "default"), sent)
    }

    /// A `Status` of the API server that names these fields.
    fn answer(message: &str, fields: &[&str]) -> Value {
        let causes: Vec<_> = fields.iter().map(|field| json!({"field": field})).collect();
        json!({"kind": "Status", "reason": "Because", "message": message, "details": {"causes": causes}})
    }

    /// A permit that does not end.
    fn leads() -> Permit {
        Leadership::alone().permit().unwrap()
    }

    fn patch_with_violations() -> StatusPatch {
        let violation = json!({
            "object": {"resource": "roles", "name": "a"}, "rule": "owner", "severity": "high", "result": "Fail",
            "message": "no owner",
        });
        let status = json!({
            "observedGeneration": 3, "conditions": [], "summary": serde_json::to_value(Summary::default()).unwrap(),
            "targets": [{"group": "", "resource": "roles", "state": "Synced"}],
            "violations": [violation, violation], "violationsTruncated": 5,
        });
        let status = Arc::new(serde_json::from_value(status).unwrap());
        StatusPatch { name: "owners".into(), uid: "u-1".into(), status }
    }

    #[tokio::test]
    async fn a_status_whose_fields_are_refused_is_stored_without_its_lists() {
        let refused = answer("Too long", &["status.violations[0].object.name"]);
        let (client, sent) = server(vec![(422, refused), (200, json!({}))]);
        assert_eq!(client.store(&patch_with_violations(), &leads()).await, Ok(()));
        let stored = sent.lock()[1][1]["value"].clone();
        let members: Vec<_> = stored.as_object().unwrap().keys().cloned().collect();
        assert_eq!(members, ["observedGeneration", "summary", "violationsTruncated"]);
        assert_eq!(stored["violationsTruncated"], 7, "none is lost silently");
    }

    #[tokio::test]
    async fn a_status_that_is_refused_even_then_is_told_with_its_fields_and_the_cure() {
        let refused = || (422, answer("Too long", &["status.summary"]));
        let (client, sent) = server(vec![refused(), refused()]);
        let fault = client.store(&patch_with_violations(), &leads()).await.unwrap_err().to_string();
        assert!(fault.contains("install the CRD of this version: status.summary"), "{fault}");
        assert_eq!(sent.lock().len(), 2);
    }

    #[tokio::test]
    async fn a_missing_right_is_told_with_the_rule_that_cures_it() {
        let (client, _) = server(vec![(403, answer("no\nway", &[]))]);
        let fault = client.store(&patch_with_violations(), &leads()).await.unwrap_err().to_string();
        let cure = r#"add to its ClusterRole: {apiGroups: ["watchpolicy.io"], resources: ["watchpolicies/status"], verbs: ["patch"]}"#;
        assert!(fault.starts_with("the operator may not patch watchpolicies/status; "), "{fault}");
        assert!(fault.contains(cure) && fault.ends_with(r"the server says: no\nway"), "{fault}");
    }

    #[tokio::test]
    async fn a_very_long_answer_is_not_read_to_its_end_nor_told_as_a_whole() {
        for length in [10_000, 640 * 1024] {
            let (client, _) = server(vec![(500, answer(&"long ".repeat(length / 5), &[]))]);
            let fault = client.store(&patch_with_violations(), &leads()).await.unwrap_err().to_string();
            assert!(fault.starts_with("the server answered 500"), "{fault}");
            assert!(fault.len() < 1024, "{} bytes", fault.len());
        }
    }

    #[tokio::test]
    async fn a_status_that_was_stored_is_stored_however_long_the_answer_is() {
        let (client, _) = server(vec![(200, answer(&"a".repeat(640 * 1024), &[]))]);
        assert_eq!(client.store(&patch_with_violations(), &leads()).await, Ok(()));
    }

    #[test]
    fn a_missing_policy_and_a_failed_test_mean_gone_and_a_refused_status_does_not() {
        let refused = |code: u16, fields: &[&str]| {
            let code = http::StatusCode::from_u16(code).unwrap();
            refusal(&server::refused(code, answer("", fields).to_string().as_bytes()))
        };
        assert_eq!(refused(404, &[]), Refusal::Gone);
        assert_eq!(refused(422, &[]), Refusal::Gone);
        assert!(matches!(refused(422, &["status.conditions"]), Refusal::Fields(_)));
        let unreadable = refusal(&server::refused(http::StatusCode::BAD_GATEWAY, b"<html>"));
        for other in [refused(403, &[]), refused(500, &[]), unreadable] {
            assert!(matches!(other, Refusal::Other(_)), "{other:?}");
        }
    }
}
