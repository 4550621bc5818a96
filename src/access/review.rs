//! The two questions to the API server.

use std::collections::BTreeMap;

use http::StatusCode;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, Limited};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::client::Body;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The audience of tokens that are made for the operator, and are good for nothing else.
pub const AUDIENCE: &str = "watchpolicy";
/// Where a token is looked for besides `Authorization`, which the API server's proxy takes out of what it passes on.
pub const TOKEN_HEADER: &str = "x-watchpolicy-token";
/// The most bytes of an answer that are read: a user may be in very many groups.
const MAX_ANSWER: usize = 1 << 20;
/// The most bytes of the words of a failure.
const MAX_WORDS: usize = 256;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Right {
    /// To list WatchPolicies, with a token of the audience `watchpolicy`.
    ListPolicies,
    /// To get the path `/metrics`, with a token of the API server's own audience, as scrapers have.
    GetMetrics,
}

impl Right {
    /// The audiences that a token may be for; none stands for the API server's own.
    fn audiences(self) -> Option<Vec<String>> {
        match self {
            Self::ListPolicies => Some(vec![AUDIENCE.to_owned()]),
            Self::GetMetrics => None,
        }
    }

    /// The right in words, as a refusal has it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::ListPolicies => "list watchpolicies.watchpolicy.io",
            Self::GetMetrics => "get the path /metrics",
        }
    }

    /// What a token must be like, as a refusal has it.
    pub const fn token(self) -> &'static str {
        match self {
            Self::ListPolicies => {
                "a token of a ServiceAccount for the audience watchpolicy: kubectl create token NAME --audience watchpolicy"
            }
            Self::GetMetrics => "a token that the API server takes, as that of a ServiceAccount",
        }
    }
}

/// Whom the API server says a token belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The user's name.
    pub name: String,
    /// The user's uid.
    pub uid: Option<String>,
    /// The groups that the user is in.
    pub groups: Vec<String>,
    /// What else the authenticator says, for authorizers that read it.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// The API server could not be asked, or its answer not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ReviewFault(pub String);

/// Who asks the API server; a seam, so that [`super::Guard`] can be tested without one.
pub trait Reviews: Send + Sync + 'static {
    /// Whose token it is; `None` where it is nobody's, or for other audiences.
    fn identify(
        &self,
        token: &str,
        right: Right,
    ) -> impl Future<Output = Result<Option<Caller>, ReviewFault>> + Send;
    /// Whether the caller has the right.
    fn allows(&self, caller: &Caller, right: Right)
    -> impl Future<Output = Result<bool, ReviewFault>> + Send;
}

impl Reviews for kube::Client {
    async fn identify(&self, token: &str, right: Right) -> Result<Option<Caller>, ReviewFault> {
        let audiences = right.audiences();
        let spec = TokenReviewSpec { audiences: audiences.clone(), token: token.to_owned() };
        let review = TokenReview { spec, ..TokenReview::default() };
        let answer: TokenReview =
            ask(self, "/apis/authentication.k8s.io/v1/tokenreviews", "tokenreviews", &review).await?;
        Ok(caller(answer, audiences.as_deref()))
    }

    async fn allows(&self, caller: &Caller, right: Right) -> Result<bool, ReviewFault> {
        let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        let answer: SubjectAccessReview =
            ask(self, path, "subjectaccessreviews", &access_review(caller, right)).await?;
        Ok(answer.status.is_some_and(|status| status.allowed && status.denied != Some(true)))
    }
}

/// A server that knows nothing of audiences says that a token is good without saying for whom: that is not enough.
fn caller(review: TokenReview, audiences: Option<&[String]>) -> Option<Caller> {
    let status = review.status.filter(|status| status.authenticated == Some(true))?;
    let given = status.audiences.unwrap_or_default();
    if audiences.is_some_and(|wanted| !given.iter().any(|audience| wanted.contains(audience))) {
        return None;
    }
    let user = status.user?;
    Some(Caller {
        name: user.username.filter(|name| !name.is_empty())?,
        uid: user.uid,
        groups: user.groups.unwrap_or_default(),
        extra: user.extra.unwrap_or_default(),
    })
}

fn access_review(caller: &Caller, right: Right) -> SubjectAccessReview {
    let Caller { name, uid, groups, extra } = caller.clone();
    let asked = SubjectAccessReviewSpec {
        user: Some(name),
        uid,
        groups: Some(groups),
        extra: Some(extra),
        ..SubjectAccessReviewSpec::default()
    };
    let spec = match right {
        Right::ListPolicies => SubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some("watchpolicy.io".to_owned()),
                resource: Some("watchpolicies".to_owned()),
                verb: Some("list".to_owned()),
                ..ResourceAttributes::default()
            }),
            ..asked
        },
        Right::GetMetrics => SubjectAccessReviewSpec {
            non_resource_attributes: Some(NonResourceAttributes {
                path: Some("/metrics".to_owned()),
                verb: Some("get".to_owned()),
            }),
            ..asked
        },
    };
    SubjectAccessReview { spec, ..SubjectAccessReview::default() }
}

/// The answer is read here and never by kube's client, which would log the token in one that it cannot decode.
async fn ask<R: Serialize + DeserializeOwned>(
    client: &kube::Client,
    path: &str,
    resource: &str,
    review: &R,
) -> Result<R, ReviewFault> {
    let body = serde_json::to_vec(review).map_err(|error| fault(&error))?;
    let request = http::Request::post(path).header(CONTENT_TYPE, "application/json").body(Body::from(body));
    let answer = client.send(request.map_err(|error| fault(&error))?).await.map_err(|error| fault(&error))?;
    let status = answer.status();
    if status == StatusCode::FORBIDDEN {
        return Err(ReviewFault(format!(
            "the operator may not create {resource}; bind its ServiceAccount to the ClusterRole system:auth-delegator"
        )));
    }
    if !status.is_success() {
        return Err(ReviewFault(format!("the API server answered {status} to a question of {resource}")));
    }
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
    let body = body.map_err(|error| fault(&error))?.to_bytes();
    // The decoder's words may quote what it read.
    serde_json::from_slice(&body)
        .map_err(|_unreadable| ReviewFault(format!("the answer of {resource} cannot be read")))
}

fn fault(error: &dyn std::fmt::Display) -> ReviewFault {
    let words = error.to_string();
    let end = words.floor_char_boundary(MAX_WORDS);
    ReviewFault(words.get(..end).unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;

    use parking_lot::Mutex;
    use serde_json::{Value, json};

    use super::*;

    /// A client whose server gives one answer to all, and what it was sent.
    fn server(code: u16, answer: &Value) -> (kube::Client, Arc<Mutex<Vec<Value>>>) {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (Arc::clone(&sent), answer.to_string());
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let (kept, answer) = (Arc::clone(&kept), answer.clone());
            async move {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                kept.lock().push(serde_json::from_slice(&body).unwrap());
                let answer = http::Response::builder().status(code).body(Body::from(answer.into_bytes()));
                Ok::<_, Infallible>(answer.unwrap())
            }
        });
        (kube::Client::new(service, "default"), sent)
    }

    fn token_answer(status: &Value) -> Value {
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {}, "status": status})
    }

    #[tokio::test]
    async fn a_token_is_asked_about_for_its_audience_and_its_owner_is_taken_over_as_a_whole() {
        let user = json!({"username": "jane", "uid": "u", "groups": ["devs"], "extra": {"scope": ["a"]}});
        let status = json!({"authenticated": true, "audiences": ["watchpolicy"], "user": user});
        let (client, sent) = server(201, &token_answer(&status));
        let caller = client.identify("secret", Right::ListPolicies).await.unwrap().unwrap();
        assert_eq!((&*caller.name, caller.groups.len(), caller.extra.len()), ("jane", 1, 1));
        assert_eq!(sent.lock()[0]["spec"], json!({"audiences": ["watchpolicy"], "token": "secret"}));
    }

    #[tokio::test]
    async fn a_token_whose_audience_the_server_does_not_confirm_is_nobodys() {
        let user = json!({"username": "jane"});
        for status in [
            json!({"authenticated": true, "user": user}),
            json!({"authenticated": true, "audiences": ["https://kubernetes.default.svc"], "user": user}),
            json!({"authenticated": false, "audiences": ["watchpolicy"], "user": user}),
            json!({"authenticated": true, "audiences": ["watchpolicy"], "user": {"username": ""}}),
            json!({"authenticated": true, "audiences": ["watchpolicy"]}),
            json!({}),
        ] {
            let (client, _) = server(201, &token_answer(&status));
            assert_eq!(client.identify("t", Right::ListPolicies).await, Ok(None), "{status}");
        }
    }

    #[tokio::test]
    async fn scrapers_are_asked_about_with_the_audience_of_the_api_server() {
        let status = json!({"authenticated": true, "audiences": ["api"], "user": {"username": "prometheus"}});
        let (client, sent) = server(201, &token_answer(&status));
        assert!(client.identify("t", Right::GetMetrics).await.unwrap().is_some());
        assert_eq!(sent.lock()[0]["spec"], json!({"token": "t"}));
    }

    #[tokio::test]
    async fn a_right_is_there_only_where_the_server_says_so() {
        for (status, allowed) in [
            (json!({"allowed": true}), true),
            (json!({"allowed": true, "denied": true}), false),
            (json!({"allowed": false}), false),
        ] {
            let (client, sent) = server(201, &json!({"spec": {}, "status": status}));
            let caller = Caller { name: "jane".to_owned(), ..Caller::default() };
            assert_eq!(client.allows(&caller, Right::ListPolicies).await, Ok(allowed));
            let asked = sent.lock()[0]["spec"]["resourceAttributes"].clone();
            assert_eq!(
                asked,
                json!({"group": "watchpolicy.io", "resource": "watchpolicies", "verb": "list"})
            );
        }
        let (client, sent) = server(201, &json!({"spec": {}}));
        assert_eq!(client.allows(&Caller::default(), Right::GetMetrics).await, Ok(false));
        assert_eq!(
            sent.lock()[0]["spec"]["nonResourceAttributes"],
            json!({"path": "/metrics", "verb": "get"})
        );
    }

    #[tokio::test]
    async fn a_failure_never_holds_the_token_and_names_a_missing_right() {
        let echoed = json!({"spec": {"token": "s3cret"}, "status": "s3cret"});
        for (code, words) in [(403, "system:auth-delegator"), (500, "500"), (201, "cannot be read")] {
            let (client, _) = server(code, &echoed);
            let fault = client.identify("s3cret", Right::ListPolicies).await.unwrap_err().to_string();
            assert!(fault.contains(words) && !fault.contains("s3cret"), "{fault}");
        }
    }
}
