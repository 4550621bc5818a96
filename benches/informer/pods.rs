//! A server of many Pods: lists in pages and watches, and as much else as an operator asks for. What it sends is put
//! together from parts that were rendered before, so that it leaves the processor to its clients.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use http::{Method, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout_at};

/// Events that a client may lag behind.
const LAG: usize = 4096;
/// Of so many changes, one is of something that rules read.
pub(crate) const ONE_OF: u64 = 10;
/// Neither list nor watch of Pods has a version below this one.
const FIRST_VERSION: u64 = 1_000_000_000;

/// What is replaced in the Pod to make others of it.
const NAME: &str = "checkout-7d9c5b6f4d-x2v8k";
const UID: &str = "0b0f6c0e-6c1e-4d0a-9a53-5e1d6f2a7b11";
const OWNER_UID: &str = "d5a3f8b2-1e53-4f0b-8c7e-2b9a4c6d8e10";
const VERSION: &str = "48213377";
const READ: &str = "payments@corp.com";
const UNREAD: &str = "\"restartCount\":0";

/// What of a Pod changes.
#[derive(Clone, Copy, Default)]
struct Changing {
    version: u64,
    read: u64,
    unread: u64,
}

/// The server's state. Cheap to share.
pub(crate) struct Pods {
    template: String,
    policy: Value,
    pods: Mutex<Vec<Changing>>,
    /// Changes there ever were: versions only grow, whoever follows.
    changed: AtomicU64,
    events: broadcast::Sender<Bytes>,
    /// Lists wait for it, so that a client can be measured before it has anything.
    open: watch::Sender<bool>,
    waiting: AtomicUsize,
    watching: AtomicUsize,
}

impl Pods {
    /// So many Pods made of one, which a policy targets; and the address of their server, which is one of the tasks.
    pub(crate) async fn serve(
        (pod, count): (&str, usize),
        policy: Value,
        tasks: &mut JoinSet<std::io::Result<()>>,
    ) -> anyhow::Result<(Arc<Self>, String)> {
        let pod: Value = serde_json::from_str(pod)?;
        let pods = Arc::new(Self {
            template: pod.to_string(),
            policy,
            pods: Mutex::new(vec![Changing::default(); count]),
            changed: AtomicU64::new(0),
            events: broadcast::Sender::new(LAG),
            open: watch::Sender::new(false),
            waiting: AtomicUsize::new(0),
            watching: AtomicUsize::new(0),
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let app = axum::Router::new().fallback(answer).with_state(Arc::clone(&pods));
        tasks.spawn(axum::serve(listener, app).into_future());
        Ok((pods, url))
    }

    /// Bytes of one Pod.
    pub(crate) fn size(&self) -> usize {
        self.render(0, Changing::default()).len()
    }

    /// Lets lists be answered, or keeps them waiting.
    pub(crate) fn open(&self, open: bool) {
        self.open.send_replace(open);
    }

    /// Lists of Pods that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Open watches of Pods.
    pub(crate) fn watching(&self) -> usize {
        self.watching.load(Ordering::SeqCst)
    }

    /// Changes Pods for a while, so many a second; gives how many changed.
    pub(crate) async fn churn(&self, per_second: u32, time: Duration) -> u64 {
        let mut tick = interval(Duration::from_secs(1) / per_second);
        let end = Instant::now() + time;
        let mut changes = 0;
        while Instant::now() < end {
            tick.tick().await;
            changes += 1;
            self.change(changes);
        }
        changes
    }

    /// Ends all watches with a 410.
    pub(crate) fn expire(&self) {
        let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410,
            "reason": "Expired", "message": "too old resource version"});
        self.send(format!("{}\n", json!({"type": "ERROR", "object": status})));
    }

    /// Changes of one client are counted from one on, versions go on from one client to the next: or one that begins a
    /// watch anew would be told of changes that another one has seen.
    fn change(&self, nth: u64) {
        let mut pods = self.pods.lock();
        let index = usize::try_from(nth.wrapping_mul(7919)).unwrap_or_default() % pods.len();
        let pod = &mut pods[index];
        pod.version = self.changed.fetch_add(1, Ordering::SeqCst) + 1;
        if nth.is_multiple_of(ONE_OF) {
            pod.read += 1;
        } else {
            pod.unread += 1;
        }
        let line = self.event(index, *pod);
        drop(pods);
        self.send(line);
    }

    /// Nobody may be watching.
    fn send(&self, line: String) {
        drop(self.events.send(line.into()));
    }

    fn event(&self, index: usize, pod: Changing) -> String {
        format!("{{\"type\":\"MODIFIED\",\"object\":{}}}\n", self.typed(index, pod))
    }

    /// As a watch has it; in a list a Pod does not say what it is.
    fn typed(&self, index: usize, pod: Changing) -> String {
        self.render(index, pod).replacen('{', r#"{"kind":"Pod","apiVersion":"v1","#, 1)
    }

    fn render(&self, index: usize, pod: Changing) -> String {
        self.template
            .replacen(NAME, &format!("checkout-7d9c5b6f4d-{index:05}"), 1)
            .replacen(UID, &format!("0b0f6c0e-6c1e-4d0a-9a53-{index:012}"), 1)
            .replacen(OWNER_UID, &format!("d5a3f8b2-1e53-4f0b-8c7e-{:012}", index / 3), 1)
            .replacen(VERSION, &(FIRST_VERSION + pod.version).to_string(), 1)
            .replacen(READ, &format!("payments-{}@corp.com", pod.read), 1)
            .replacen(UNREAD, &format!("\"restartCount\":{}", pod.unread), 1)
    }

    fn version(pods: &[Changing]) -> u64 {
        FIRST_VERSION + pods.iter().map(|pod| pod.version).max().unwrap_or_default()
    }

    /// A page; the continue token is the index that it goes on with.
    async fn list(&self, query: &HashMap<String, String>) -> Response {
        let number = |name: &str| query.get(name).and_then(|text| text.parse::<usize>().ok());
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let opened = self.open.subscribe().wait_for(|open| *open).await.is_ok();
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        let start = number("continue").unwrap_or_default();
        let pods = self.pods.lock().clone();
        let end = number("limit").map_or(pods.len(), |limit| pods.len().min(start + limit));
        let token = if end < pods.len() && opened { end.to_string() } else { String::new() };
        let metadata = json!({"resourceVersion": Self::version(&pods).to_string(), "continue": token});
        let items: Vec<_> = (start..end).map(|index| self.render(index, pods[index])).collect();
        let body = format!(
            "{{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{metadata},\"items\":[{}]}}",
            items.join(",")
        );
        json_of(body)
    }

    /// What happened since the asked version, and then what happens, until the asked time is over.
    fn watch(self: Arc<Self>, query: &HashMap<String, String>) -> Response {
        let number = |name: &str| query.get(name).and_then(|text| text.parse::<u64>().ok());
        let pods = self.pods.lock();
        let since = number("resourceVersion").unwrap_or_default();
        let missed: Vec<_> = (0..pods.len())
            .filter(|index| FIRST_VERSION + pods[*index].version > since)
            .map(|index| Bytes::from(self.event(index, pods[index])))
            .collect();
        let events = self.events.subscribe();
        drop(pods);
        let end = Instant::now() + Duration::from_secs(number("timeoutSeconds").unwrap_or(300));
        let open = Open::new(Arc::clone(&self));
        let follow = stream::unfold((events, open), move |(mut events, open)| async move {
            let line = timeout_at(end, events.recv()).await.ok()?.ok()?;
            Some((line, (events, open)))
        });
        let lines = stream::iter(missed).chain(follow).map(Ok::<_, std::convert::Infallible>);
        Body::from_stream(lines).into_response()
    }
}

/// Counts a watch for as long as it is open.
struct Open(Arc<Pods>);

impl Open {
    fn new(pods: Arc<Pods>) -> Self {
        pods.watching.fetch_add(1, Ordering::SeqCst);
        Self(pods)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.watching.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn answer(State(pods): State<Arc<Pods>>, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default().as_bytes();
    let query: HashMap<String, String> = form_urlencoded::parse(query).into_owned().collect();
    let watches = query.contains_key("watch");
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/api/v1/pods") if watches => pods.watch(&query),
        (&Method::GET, "/api/v1/pods") => pods.list(&query).await,
        (&Method::GET, "/api") => json_of(discovery(&[("", "v1", "pods", "Pod")]).to_string()),
        (&Method::GET, "/apis") => json_of(discovery(&[]).to_string()),
        (&Method::GET, _) if watches => {
            Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>()).into_response()
        }
        (&Method::GET, "/apis/watchpolicy.io/v1alpha1/watchpolicies") => {
            json_of(list(std::slice::from_ref(&pods.policy)).to_string())
        }
        (&Method::GET, _) => json_of(list(&[]).to_string()),
        (&Method::POST, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews") => {
            let review = json!({"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
                "metadata": {}, "spec": {}, "status": {"allowed": true}});
            json_of(review.to_string())
        }
        (&Method::PATCH, _) => json_of(json!({"kind": "PartialObjectMetadata"}).to_string()),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn json_of(body: String) -> Response {
    ([(http::header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn list(items: &[Value]) -> Value {
    json!({"kind": "AnyList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items})
}

/// `APIGroupDiscoveryList` with these resources, which are all in one group.
fn discovery(resources: &[(&str, &str, &str, &str)]) -> Value {
    let group = |(group, version, resource, kind): &(&str, &str, &str, &str)| {
        json!({"metadata": {"name": group}, "versions": [{"version": version, "freshness": "Current", "resources": [{
            "resource": resource, "responseKind": {"group": group, "version": version, "kind": kind},
            "scope": "Namespaced", "singularResource": "", "verbs": ["get", "list", "watch"]}]}]})
    };
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {},
        "items": resources.iter().map(group).collect::<Vec<_>>()})
}
