//! Why the server did not do what a fix asks for.

mod cause;

use std::time::Duration;

use http::StatusCode;
use kube::core::Status;

/// The most bytes of the server's words that are kept.
const MAX_WORDS: usize = 512;
/// No server makes us wait longer.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Why the server did not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The object is gone.
    Gone,
    /// It is not as it was judged any more.
    Changed,
    /// The right is missing; the server's words.
    Denied(String),
    /// The server refuses this change; its words.
    Refused(String),
    /// It may work later; what happened.
    Failed(String),
    /// The server asks to wait.
    Busy(Duration),
    /// Leadership was lost.
    Lost,
}

impl Refusal {
    /// Reads an answer that is no success. A failed `test` is a 422 without causes; what a schema, a quota or an
    /// admission webhook refuses has words or causes of its own.
    pub(super) fn of(status: StatusCode, body: &[u8], retry_after: Option<Duration>) -> Self {
        let Status { message, details, .. } = serde_json::from_slice(body).unwrap_or_default();
        let words =
            if message.is_empty() { format!("the server answered {}", status.as_u16()) } else { message };
        let causes = details.map(|details| details.causes).unwrap_or_default();
        let is_explained = !causes.is_empty();
        match status {
            // Admission may choose any status, and its words are its own.
            status if status.is_client_error() && is_of_admission(&words) => Self::Refused(cut(&words)),
            StatusCode::NOT_FOUND => Self::Gone,
            StatusCode::CONFLICT => Self::Changed,
            StatusCode::UNPROCESSABLE_ENTITY if !is_explained && is_failed_test(&words) => Self::Changed,
            StatusCode::UNAUTHORIZED => Self::Failed(cut(&words)),
            StatusCode::UNPROCESSABLE_ENTITY if is_explained => Self::Refused(cut(&format!(
                "the API server does not take the change: {}",
                cause::told(&causes)
            ))),
            StatusCode::FORBIDDEN if is_of_rights(&words) => Self::Denied(cut(&words)),
            StatusCode::TOO_MANY_REQUESTS => Self::Busy(retry_after.unwrap_or_default().min(LONGEST_WAIT)),
            status if status.is_client_error() => Self::Refused(cut(&words)),
            _ => match retry_after {
                Some(wait) => Self::Busy(wait.min(LONGEST_WAIT)),
                None => Self::Failed(cut(&words)),
            },
        }
    }
}

/// The API server does not say which test failed, nor that it was one.
fn is_failed_test(words: &str) -> bool {
    words.contains("the server rejected our request due to an error in our request")
        || words.contains("testing value")
}

fn is_of_admission(words: &str) -> bool {
    words.contains(" denied the request") || words.contains(" denied request")
}

/// What the authorizer says, it says of verbs and resources.
fn is_of_rights(words: &str) -> bool {
    [" cannot patch resource ", " cannot get resource "].iter().any(|denied| words.contains(denied))
}

fn cut(text: &str) -> String {
    text.get(..text.floor_char_boundary(MAX_WORDS)).unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(code: u16, message: &str, causes: usize) -> Refusal {
        let cause = json!({"field": "spec.x", "reason": "FieldValueInvalid", "message": "Invalid value: \"hunter2\""});
        let causes = vec![cause; causes];
        let body = json!({"message": message, "details": {"causes": causes}}).to_string();
        Refusal::of(StatusCode::from_u16(code).unwrap(), body.as_bytes(), Some(Duration::from_secs(4000)))
    }

    #[test]
    fn a_failed_test_means_that_the_object_changed_and_a_refused_value_does_not() {
        let failed = "the server rejected our request due to an error in our request";
        assert_eq!(refusal(422, failed, 0), Refusal::Changed);
        assert_eq!(refusal(409, "object has been modified", 0), Refusal::Changed);
        let invalid = "Pod \"a\" is invalid: spec.x: Invalid value: \"hunter2\"";
        let told = "the API server does not take the change: spec.x: the field does not take the value; `kubectl edit` with the \
                    same change shows why".to_owned();
        assert_eq!(refusal(422, invalid, 1), Refusal::Refused(told), "no value is repeated");
        let admission = "ValidatingAdmissionPolicy 'x' with binding 'y' denied request: no";
        assert_eq!(refusal(422, admission, 0), Refusal::Refused(admission.to_owned()));
    }

    #[test]
    fn a_missing_right_is_not_an_admission_that_refuses() {
        let rights = "deployments.apps \"a\" is forbidden: User \"x\" cannot patch resource \"deployments\"";
        assert_eq!(refusal(403, rights, 0), Refusal::Denied(rights.to_owned()));
        let webhook = "admission webhook \"w\" denied the request: User \"x\" cannot patch resource \"a\"";
        for code in [400, 403, 404, 409, 422] {
            assert_eq!(refusal(code, webhook, 0), Refusal::Refused(webhook.to_owned()), "{code}");
        }
        assert_eq!(refusal(401, "Unauthorized", 0), Refusal::Failed("Unauthorized".to_owned()));
    }

    #[test]
    fn a_server_makes_us_wait_and_not_for_ever() {
        assert_eq!(refusal(429, "", 0), Refusal::Busy(LONGEST_WAIT));
        assert_eq!(refusal(503, "", 0), Refusal::Busy(LONGEST_WAIT));
        let failed = Refusal::of(StatusCode::BAD_GATEWAY, b"<html>", None);
        assert_eq!(failed, Refusal::Failed("the server answered 502".to_owned()));
    }
}
