//! What is answered, to whom.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tracing::warn;

use super::Readiness;
use crate::access::{Guard, Refusal, Right, TOKEN_HEADER};
use crate::metrics::Metrics;
use crate::report::{Listing, Question};

/// How long an answer may wait to be made.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Pages of one door in memory: they are kept until they were sent, which is up to the reader.
const MAX_PAGES: usize = 4;

/// Who answers a question about all violations.
pub type Lister = Arc<dyn Fn(&Question) -> Listing + Send + Sync>;

/// All that is served.
#[derive(Clone)]
pub struct Pages {
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
    /// Who stands before `/metrics`; without a guard everybody is let in.
    metrics_guard: Option<Arc<Guard<kube::Client>>>,
    /// `/violations` and who stands before it; without them there is no such page.
    violations: Option<(Arc<Guard<kube::Client>>, Lister)>,
    /// Room for pages: who leaves those of one door unread keeps nobody from the other.
    metrics_room: Arc<Semaphore>,
    violations_room: Arc<Semaphore>,
    /// Whoever makes a page.
    press: Arc<tokio::sync::Mutex<()>>,
}

impl Pages {
    /// The probes, and metrics for everybody.
    pub fn new(metrics: Arc<Metrics>, readiness: Arc<Readiness>) -> Self {
        let room = || Arc::new(Semaphore::new(MAX_PAGES));
        let (metrics_room, violations_room, press) = (room(), room(), Arc::default());
        Self {
            metrics,
            readiness,
            metrics_guard: None,
            violations: None,
            metrics_room,
            violations_room,
            press,
        }
    }

    /// Shows the metrics to those alone whom the guard lets in.
    pub fn guard_metrics(mut self, guard: Arc<Guard<kube::Client>>) -> Self {
        self.metrics_guard = Some(guard);
        self
    }

    /// Shows all violations to those whom the guard lets in.
    pub fn show_violations(mut self, guard: Arc<Guard<kube::Client>>, lister: Lister) -> Self {
        self.violations = Some((guard, lister));
        self
    }

    pub(super) fn router(self) -> Router {
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/livez", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz));
        let router = match self.violations {
            Some(_) => router.route("/violations", get(violations)),
            None => router,
        };
        router.with_state(self)
    }

    /// A page, once there is room for it. One is made at a time: it takes a processor to itself.
    async fn print(
        &self,
        room: &Arc<Semaphore>,
        make: impl FnOnce() -> anyhow::Result<String>,
    ) -> anyhow::Result<Bytes> {
        let room = Arc::clone(room).acquire_owned().await?;
        let _alone = self.press.lock().await;
        let page = make()?;
        Ok(Bytes::from_owner(HeldPage { page, _room: room }))
    }

    async fn answer(
        &self,
        room: &Arc<Semaphore>,
        content_type: &'static str,
        make: impl FnOnce() -> anyhow::Result<String>,
    ) -> Response {
        let Ok(page) = timeout(ANSWER_TIMEOUT, self.print(room, make)).await else {
            return (StatusCode::SERVICE_UNAVAILABLE, "too many readers take pages slowly; try again\n")
                .into_response();
        };
        match page {
            Ok(page) => ([(CONTENT_TYPE, content_type)], Body::from(page)).into_response(),
            Err(error) => {
                warn!(%error, "cannot write a page");
                (StatusCode::INTERNAL_SERVER_ERROR, "the page cannot be written; see the log\n")
                    .into_response()
            }
        }
    }
}

/// A page, and its room until it was sent.
struct HeldPage {
    page: String,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for HeldPage {
    fn as_ref(&self) -> &[u8] {
        self.page.as_bytes()
    }
}

/// The token of a request; RFC 6750, and our own header.
fn token(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    bearer.or_else(|| headers.get(TOKEN_HEADER)?.to_str().ok())
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, words) = match self {
            Self::Unknown(words) => {
                let scheme = [(WWW_AUTHENTICATE, "Bearer")];
                return (StatusCode::UNAUTHORIZED, scheme, format!("{words}\n")).into_response();
            }
            Self::Forbidden(words) => (StatusCode::FORBIDDEN, words),
            Self::Unasked(words) => (StatusCode::SERVICE_UNAVAILABLE, words),
        };
        (status, format!("{words}\n")).into_response()
    }
}

async fn readyz(State(pages): State<Pages>) -> (StatusCode, String) {
    pages.readiness.answer()
}

async fn metrics(State(pages): State<Pages>, headers: HeaderMap) -> Response {
    if let Some(guard) = &pages.metrics_guard
        && let Err(refusal) = guard.check(token(&headers), Right::GetMetrics).await
    {
        return refusal.into_response();
    }
    pages.answer(&pages.metrics_room, prometheus::TEXT_FORMAT, || Ok(pages.metrics.page()?)).await
}

/// A replica that has not read the policies would say that there is nothing: it says that it is not ready.
async fn violations(State(pages): State<Pages>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let Some((guard, lister)) = &pages.violations else { return StatusCode::NOT_FOUND.into_response() };
    if let Err(refusal) = guard.check(token(&headers), Right::ListPolicies).await {
        return refusal.into_response();
    }
    let (ready, words) = pages.readiness.answer();
    if ready != StatusCode::OK {
        return (ready, words).into_response();
    }
    let question = match Question::read(&query.unwrap_or_default()) {
        Ok(question) => question,
        Err(words) => return (StatusCode::BAD_REQUEST, format!("{words}\n")).into_response(),
    };
    let make = || Ok(serde_json::to_string(&lister(&question))?);
    let mut answer = pages.answer(&pages.violations_room, "application/json", make).await;
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

#[cfg(test)]
#[path = "pages_tests.rs"]
mod tests;
