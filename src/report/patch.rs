//! The write of a status: a JSON Patch (RFC 6902) of the status subresource, for the judged policy alone.

use std::sync::Arc;

use http::header::{ACCEPT, CONTENT_TYPE};
use serde::Serialize;

use crate::crd::WatchPolicyStatus;
use crate::leader::{Lost, Permit};

/// Only metadata is wanted back; the policy itself comes by its watch.
const ANSWER: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

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
        let request = request(patch).map_err(|error| WriteFault::Failed(error.to_string()))?;
        permit.guard(self.request_text(request)).await?.map(drop).map_err(|error| fault(&error))
    }
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
fn fault(error: &kube::Error) -> WriteFault {
    if let kube::Error::Api(answer) = error {
        let names_a_field = answer.details.as_ref().is_some_and(|details| !details.causes.is_empty());
        if answer.code == 404 || (answer.code == 422 && !names_a_field) {
            return WriteFault::Gone;
        }
    }
    WriteFault::Failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

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

    #[test]
    fn a_missing_policy_and_a_failed_test_mean_gone_and_a_refused_status_does_not() {
        let answer = |code: u16, field: Option<&str>| {
            let causes = field.map(|field| json!({"field": field})).into_iter().collect::<Vec<_>>();
            let answer = json!({"code": code, "details": {"causes": causes}});
            fault(&kube::Error::Api(serde_json::from_value(answer).unwrap()))
        };
        assert_eq!(answer(404, None), WriteFault::Gone);
        assert_eq!(answer(422, None), WriteFault::Gone);
        for failed in [answer(422, Some("status.conditions")), answer(403, None), answer(500, None)] {
            assert!(matches!(failed, WriteFault::Failed(_)), "{failed:?}");
        }
    }
}
