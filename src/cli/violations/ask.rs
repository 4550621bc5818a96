//! The requests: a token, then a page after the other.

use anyhow::{Context, anyhow, bail};
use clap::Args;
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use kube::client::Body;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::access::{AUDIENCE, TOKEN_HEADER};
use crate::config::DEFAULT_NAMESPACE;
use crate::report::Listing;

/// The least that the API server gives.
const TOKEN_SECONDS: i64 = 600;
/// The most bytes of an answer: a page has at most 1000 violations.
const MAX_ANSWER: usize = 64 << 20;
/// The most bytes of a refusal that are shown.
const MAX_WORDS: usize = 1024;

/// Where the operator is and whom it trusts.
#[derive(Args, Clone, Debug)]
pub struct Place {
    /// The operator's namespace
    #[arg(long, value_name = "NAME", default_value = DEFAULT_NAMESPACE, help_heading = "Operator")]
    pub operator_namespace: String,
    /// The operator's Service
    #[arg(long, value_name = "NAME", default_value = "watchpolicy", help_heading = "Operator")]
    pub service: String,
    /// The ServiceAccount that may list WatchPolicies, of which a token is asked for
    #[arg(long, value_name = "NAME", default_value = "watchpolicy-violations", help_heading = "Operator")]
    pub service_account: String,
    /// The operator serves over TLS
    #[arg(long, help_heading = "Operator")]
    pub https: bool,
}

/// The way to the operator.
pub(super) struct Door {
    client: kube::Client,
    path: String,
    token: String,
}

impl Door {
    /// Asks for a token.
    pub(super) async fn open(client: kube::Client, place: &Place) -> anyhow::Result<Self> {
        let Place { operator_namespace, service, service_account, https } = place;
        let namespace = segment(operator_namespace);
        let path =
            format!("/api/v1/namespaces/{namespace}/serviceaccounts/{}/token", segment(service_account));
        let answer = send(&client, Request::post(path), serde_json::to_vec(&token_request())?)
            .await?
            .map_err(|refused| {
                refused
                    .told(&format!("no token of the ServiceAccount {operator_namespace}/{service_account}"))
            })?;
        // Not even a broken answer is shown: it may hold the token.
        let answer: TokenRequest =
            serde_json::from_slice(&answer).ok().context("the answer to a TokenRequest cannot be read")?;
        let token = answer.status.and_then(|status| status.token);
        let token = token.context("the answer to a TokenRequest has no token")?;
        let scheme = if *https { "https:" } else { "" };
        let path = format!(
            "/api/v1/namespaces/{namespace}/services/{scheme}{}:http/proxy/violations",
            segment(service)
        );
        Ok(Self { client, path, token })
    }

    /// One page.
    pub(super) async fn page(&self, query: &str) -> anyhow::Result<Listing> {
        let request = Request::get(format!("{}?{query}", self.path)).header(TOKEN_HEADER, &self.token);
        let answer = send(&self.client, request, Vec::new())
            .await?
            .map_err(|refused| refused.told("the operator's violations cannot be had"))?;
        serde_json::from_slice(&answer)
            .context("the operator's answer cannot be read; is it of this version?")
    }
}

fn token_request() -> TokenRequest {
    let spec = TokenRequestSpec {
        audiences: Some(vec![AUDIENCE.to_owned()]),
        expiration_seconds: Some(TOKEN_SECONDS),
        ..TokenRequestSpec::default()
    };
    TokenRequest { spec: Some(spec), ..TokenRequest::default() }
}

/// A name as one part of a path, whatever it holds.
fn segment(name: &str) -> String {
    utf8_percent_encode(name, NON_ALPHANUMERIC).to_string().replace("%2D", "-").replace("%2E", ".")
}

/// An answer that is not what was asked for.
struct Refused {
    status: StatusCode,
    words: String,
}

impl Refused {
    fn told(self, what: &str) -> anyhow::Error {
        let Self { status, words } = self;
        let hint = match status {
            StatusCode::FORBIDDEN => {
                "; bind yourself to the Role NAME-violations of the operator's chart, in its namespace"
            }
            StatusCode::NOT_FOUND => {
                "; is the chart installed with violations.enabled=true? --operator-namespace, --service and --service-account say where"
            }
            // So the API server says that nobody answers there, or in another way.
            _ if words.contains("error trying to reach service") => {
                "; does a pod of the operator run? --https is for one with a certificate (tls.secretName), and for no other"
            }
            _ => "",
        };
        anyhow!("{what}: {status}: {words}{hint}")
    }
}

/// The whole answer, or the server's refusal.
async fn send(
    client: &kube::Client,
    request: http::request::Builder,
    body: Vec<u8>,
) -> anyhow::Result<Result<Vec<u8>, Refused>> {
    let request = request.header(CONTENT_TYPE, "application/json").body(Body::from(body))?;
    let answer = client.send(request).await.context("the API server cannot be asked")?;
    let status = answer.status();
    let body = match Limited::new(answer.into_body(), MAX_ANSWER).collect().await {
        Ok(body) => body.to_bytes().to_vec(),
        Err(error) => bail!("the answer cannot be read: {error}"),
    };
    if status.is_success() {
        return Ok(Ok(body));
    }
    Ok(Err(Refused { status, words: words(&body) }))
}

/// The message of a `Status` of the API server, or the operator's words as they are.
fn words(body: &[u8]) -> String {
    let status: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let message = status.as_ref().and_then(|status| status.get("message")?.as_str());
    let text = message.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned);
    let text = text.trim().replace(char::is_control, " ");
    text.get(..text.floor_char_boundary(MAX_WORDS)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use serde_json::json;

    use super::*;

    /// What the API server's proxy does: `Authorization` is taken out, all else goes to the operator.
    fn server(token_code: u16, page_code: u16, page: &str) -> kube::Client {
        let page = page.to_owned();
        let service = tower::service_fn(move |request: Request<Body>| {
            let page = page.clone();
            async move {
                let path = request.uri().path().to_owned();
                let (code, answer) = match &*path {
                    "/api/v1/namespaces/ops/serviceaccounts/reader/token" => {
                        let body = request.into_body().collect().await.unwrap().to_bytes();
                        let asked: serde_json::Value = serde_json::from_slice(&body).unwrap();
                        assert_eq!(asked["spec"]["audiences"], json!(["watchpolicy"]));
                        let status = json!({"token": "t0ken", "expirationTimestamp": "2030-01-01T00:00:00Z"});
                        let message = json!({"spec": asked["spec"], "status": status, "message": "no\nway"});
                        (token_code, message.to_string())
                    }
                    "/api/v1/namespaces/ops/services/https:policies:http/proxy/violations" => {
                        assert_eq!(request.headers()["x-watchpolicy-token"], "t0ken");
                        (page_code, page)
                    }
                    other => panic!("{other}"),
                };
                let answer = http::Response::builder().status(code).body(Body::from(answer.into_bytes()));
                Ok::<_, Infallible>(answer.unwrap())
            }
        });
        kube::Client::new(service, "default")
    }

    fn place() -> Place {
        let (operator_namespace, service) = ("ops".to_owned(), "policies".to_owned());
        Place { operator_namespace, service, service_account: "reader".to_owned(), https: true }
    }

    async fn page(token_code: u16, page_code: u16, page: &str) -> anyhow::Result<Listing> {
        Door::open(server(token_code, page_code, page), &place()).await?.page("policy=a").await
    }

    #[tokio::test]
    async fn a_token_for_the_operator_alone_goes_in_a_header_of_its_own_and_a_page_comes_back() {
        let listing = page(201, 200, r#"{"violations": [], "continue": "7b"}"#).await.unwrap();
        assert_eq!(listing.next.as_deref(), Some("7b"));
    }

    #[tokio::test]
    async fn each_refusal_says_who_refuses_what_and_what_to_do() {
        for (token_code, page_code, body, words) in [
            (
                403,
                0,
                "",
                "no token of the ServiceAccount ops/reader: 403 Forbidden: no way; bind yourself to the Role",
            ),
            (404, 0, "", "violations.enabled=true"),
            (201, 403, "jane may not list\n", "jane may not list; bind yourself"),
            (
                201,
                503,
                r#"{"message": "no endpoints available"}"#,
                "503 Service Unavailable: no endpoints available",
            ),
            (201, 200, "<html>", "cannot be read; is it of this version?"),
        ] {
            let error = format!("{:#}", page(token_code, page_code, body).await.unwrap_err());
            assert!(error.contains(words) && !error.contains("t0ken"), "{error}");
        }
    }

    #[test]
    fn a_name_cannot_lead_to_another_path() {
        assert_eq!(segment("watch-policy.v1"), "watch-policy.v1");
        assert_eq!(segment("../x?y"), "..%2Fx%3Fy");
    }
}
