//! An API server for the tests of this room that keeps what it is sent.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::BodyExt;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::Value;

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) method: String,
    pub(super) path: String,
    /// Null where there is none.
    pub(super) body: Value,
}

/// What is answered, and what came. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Fake {
    sent: Arc<Mutex<Vec<Sent>>>,
    /// For the next requests that change something, in turn; after them all is well.
    codes: Arc<Mutex<VecDeque<u16>>>,
    /// Of every GET.
    list: Arc<Mutex<Value>>,
}

impl Fake {
    /// A client of this server.
    pub(super) fn client(&self) -> kube::Client {
        let fake = self.clone();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let fake = fake.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let (code, answer) = fake.answer(head.method.as_str(), head.uri.path(), &body);
                let answer = Body::from(answer.to_string().into_bytes());
                Ok::<_, Infallible>(http::Response::builder().status(code).body(answer).unwrap())
            }
        });
        kube::Client::new(service, "default")
    }

    fn answer(&self, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        if method == "GET" {
            return (200, self.list.lock().clone());
        }
        let body = serde_json::from_slice(body).unwrap_or_default();
        self.sent.lock().push(Sent { method: method.to_owned(), path: path.to_owned(), body });
        let code = self.codes.lock().pop_front().unwrap_or(200);
        (code, serde_json::json!({"kind": "Status", "reason": "Because", "message": "words"}))
    }

    /// Answers the next requests with these status codes.
    pub(super) fn answers(&self, codes: &[u16]) {
        self.codes.lock().extend(codes);
    }

    /// Answers lists with these items.
    pub(super) fn lists(&self, items: &Value) {
        *self.list.lock() = serde_json::json!({
            "kind": "PartialObjectMetadataList", "metadata": {"resourceVersion": "1"}, "items": items,
        });
    }

    /// All that changes something, so far.
    pub(super) fn sent(&self) -> Vec<Sent> {
        self.sent.lock().clone()
    }
}
