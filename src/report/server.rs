//! How what is written about objects reaches the API server: one request at a time, each under a permit, each answer
//! with an end.

use std::time::Duration;

use http::StatusCode;
use http_body_util::{BodyExt, Collected, Limited};
use kube::client::Body;
use kube::core::Status;
use tokio::time::timeout;

use super::shown::shown;
use crate::leader::{Lost, Permit};
use crate::observe::wire::broken;

/// How long one request may take.
pub(super) const ANSWERS: Duration = Duration::from_secs(10);
/// The most bytes of an answer that are read; no `Status` of the API server is near it.
const MAX_ANSWER: usize = 64 * 1024;
/// The most bytes of the server's words in an error.
const MAX_WORDS: usize = 512;
/// The most bytes of the server's reason, which is one word.
const MAX_REASON: usize = 64;
/// Of a cause: the namespace is being deleted, and takes nothing new.
const TERMINATING: &str = "NamespaceTerminating";

/// Why a request did not do what it should.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// Leadership was lost before the answer came.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// The server refused.
    #[error("{0}")]
    Refused(Refused),
    /// There was no answer; why.
    #[error("{0}")]
    Unanswered(String),
}

/// A refusal of the server.
#[derive(Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("the server answered {code} {reason}: {words}")]
pub(super) struct Refused {
    /// The status code.
    pub(super) code: u16,
    /// The reason, as the API conventions have it.
    pub(super) reason: String,
    /// The server's words, cut.
    pub(super) words: String,
    /// The fields that it names.
    pub(super) fields: Vec<String>,
    /// The namespace is being deleted.
    pub(super) terminating: bool,
}

impl Fault {
    /// The status code of the server's refusal.
    pub(super) fn code(&self) -> Option<u16> {
        match self {
            Self::Refused(refused) => Some(refused.code),
            Self::Lost(_) | Self::Unanswered(_) => None,
        }
    }

    /// It is not allowed, for want of a right, by a quota, or by an admission policy; not because the namespace is being
    /// deleted, where nobody may write.
    pub(super) fn is_forbidden(&self) -> bool {
        matches!(self, Self::Refused(Refused { code: 401 | 403, terminating: false, .. }))
    }

    /// A right is missing: what the authorizer says, it says of verbs and resources. An admission policy may use any words.
    pub(super) fn lacks_right(&self) -> bool {
        let Self::Refused(Refused { code, words, .. }) = self else { return false };
        let is_of_admission = words.contains(" denied request") || words.contains(" denied the request");
        *code == 401
            || (*code == 403
                && !is_of_admission
                && words.contains(" cannot ")
                && words.contains(" resource "))
    }

    /// The namespace is being deleted, and takes nothing new.
    pub(super) fn is_of_the_namespace(&self) -> bool {
        matches!(self, Self::Refused(Refused { terminating: true, .. }))
    }

    /// The same may work later.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Refused(refused) => matches!(refused.code, 408 | 429 | 500..),
            Self::Unanswered(_) => true,
            Self::Lost(_) => false,
        }
    }
}

/// Sends a request while the permit is valid, and nothing after.
pub(super) async fn send(
    client: &kube::Client,
    request: http::Request<Vec<u8>>,
    permit: &Permit,
) -> Result<(), Fault> {
    let late = |_elapsed| Fault::Unanswered(format!("no answer within {ANSWERS:?}"));
    permit.guard(timeout(ANSWERS, answer(client, request))).await?.map_err(late)?
}

async fn answer(client: &kube::Client, request: http::Request<Vec<u8>>) -> Result<(), Fault> {
    let unsent = |error: kube::Error| Fault::Unanswered(broken(&error).to_string());
    let response = client.send(request.map(Body::from)).await.map_err(unsent)?;
    let status = response.status();
    // Also read when nothing is wanted of it: then the connection can be used again.
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
    if status.is_success() {
        return Ok(());
    }
    Err(Fault::Refused(refused(status, &body.map(Collected::to_bytes).unwrap_or_default())))
}

/// Reads an answer that is no success; one that is no `Status` says nothing but its code.
pub(super) fn refused(code: StatusCode, body: &[u8]) -> Refused {
    let Status { reason, message, details, .. } = serde_json::from_slice(body).unwrap_or_default();
    let causes = details.map(|details| details.causes).unwrap_or_default();
    Refused {
        code: code.as_u16(),
        reason: shown(&reason, MAX_REASON),
        words: shown(if message.is_empty() { "no words" } else { &message }, MAX_WORDS),
        terminating: causes.iter().any(|cause| cause.reason == TERMINATING),
        fields: causes.into_iter().map(|cause| cause.field).filter(|field| !field.is_empty()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fault(code: u16, body: &serde_json::Value) -> Fault {
        Fault::Refused(refused(StatusCode::from_u16(code).unwrap(), body.to_string().as_bytes()))
    }

    #[test]
    fn a_namespace_that_goes_is_no_missing_right() {
        let terminating = json!({"reason": "Forbidden", "details": {"causes": [
            {"reason": "NamespaceTerminating", "message": "namespace a is being terminated", "field": "metadata.namespace"},
        ]}});
        assert!(!fault(403, &terminating).is_forbidden() && !fault(403, &terminating).may_pass());
        assert!(fault(403, &json!({"reason": "Forbidden"})).is_forbidden());
    }

    #[test]
    fn a_missing_right_is_told_from_a_quota_and_from_an_admission_policy() {
        let lacks = |message: &str| fault(403, &json!({"message": message})).lacks_right();
        assert!(lacks(
            "reports.openreports.io \"a\" is forbidden: User \"x\" cannot patch resource \"reports\" in API group"
        ));
        assert!(!lacks(
            "reports.openreports.io \"a\" is forbidden: exceeded quota: q, requested: count/reports=1"
        ));
        assert!(!lacks(
            "admission webhook \"w\" denied the request: User \"x\" cannot patch resource \"reports\""
        ));
    }

    #[test]
    fn what_may_work_later_is_told_from_what_never_will() {
        for (code, passes) in
            [(409, false), (422, false), (404, false), (429, true), (503, true), (500, true)]
        {
            assert_eq!(fault(code, &json!({})).may_pass(), passes, "{code}");
        }
        assert!(Fault::Unanswered("refused".to_owned()).may_pass());
    }
}
