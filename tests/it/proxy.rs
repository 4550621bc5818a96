//! A proxy between the operator and the API server that brings faults to chosen requests, and remembers all of them.
//!
//! It speaks plain HTTP on the loopback interface and asks the server as the user of a kubeconfig file. Faults are
//! chosen by what is in the path, so that tests that share a proxy keep apart by their API groups.

use std::convert::Infallible;
use std::future::IntoFuture;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use futures::stream;
use http::StatusCode;
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, RETRY_AFTER, TRANSFER_ENCODING};
use http_body_util::BodyExt;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};

/// A page of a list or a watch event is larger than any answer to other requests; none is larger than this.
const MOST_BYTES: usize = 64 << 20;
/// Between two bytes of an answer that drips.
const DRIP: Duration = Duration::from_millis(2);
/// Between half an answer and the end of its connection.
const FLUSH: Duration = Duration::from_millis(50);

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// The first page of a list.
    List,
    /// A further page.
    Continue,
    /// A watch.
    Watch,
    /// What groups and resources there are.
    Discovery,
    /// A patch.
    Patch,
    /// Anything else.
    Other,
}

/// What happens to a request.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The server is not asked; this is the answer, with `Retry-After` in seconds.
    Refuse(u16, &'static str, Option<u64>),
    /// The server is not asked, and there is no answer.
    Hang,
    /// The server is asked only when this is told.
    Hold(Arc<Notify>),
    /// The next that the server sends is cut in half, and the connection ends.
    Cut,
    /// The answer ends in order instead of going on.
    End,
    /// From the next that the server sends, nothing passes any more, and the connection stays.
    Silence,
    /// This line takes the place of the next that the server sends.
    Line(String),
    /// The answer comes byte by byte, slowly.
    Drip,
}

impl Fault {
    /// Whether it meets a request before it is answered; the others meet the answer.
    fn meets_request(&self) -> bool {
        matches!(self, Self::Refuse(..) | Self::Hang | Self::Hold(_))
    }

    /// An ERROR event.
    pub(crate) fn error_event(code: u16, reason: &str) -> Self {
        let event = json!({"type": "ERROR", "object": status(code, reason)});
        Self::Line(format!("{event}\n"))
    }
}

/// Which requests meet a fault, and how often.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// What their path contains.
    pub path: String,
    /// What they ask for.
    pub verb: Verb,
    /// What happens to them.
    pub fault: Fault,
    /// How many times it happens.
    pub times: usize,
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Path and query.
    pub uri: String,
    /// What it asks for.
    pub verb: Verb,
    /// When.
    pub at: Instant,
}

/// A running proxy. It has a thread of its own, since tests that share it end at different times.
#[derive(Debug)]
pub(crate) struct FaultProxy {
    kubeconfig: PathBuf,
    script: Arc<Script>,
    /// Dropping it ends the thread.
    _stop: oneshot::Sender<Infallible>,
}

/// What is to happen, and what has been asked.
#[derive(Debug, Default)]
struct Script {
    rules: Mutex<Vec<Rule>>,
    asked: Mutex<Vec<Asked>>,
}

impl FaultProxy {
    /// Starts one before the server of a kubeconfig file, and writes another file beside it that leads to the proxy.
    pub(crate) async fn start(kubeconfig: &Path) -> Result<Self> {
        let script = Arc::new(Script::default());
        let (stop, stopped) = oneshot::channel();
        let (sender, bound) = oneshot::channel();
        let (known, upstream) = (Arc::clone(&script), kubeconfig.to_owned());
        std::thread::spawn(move || serve(&upstream, known, sender, stopped));
        let port = bound.await.context("the proxy did not start")??;
        let kubeconfig = redirected(kubeconfig, port)?;
        Ok(Self { kubeconfig, script, _stop: stop })
    }

    /// The kubeconfig file that leads through the proxy.
    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// From now on, this happens too.
    pub(crate) fn bring(&self, rule: Rule) {
        self.script.rules.lock().push(rule);
    }

    /// Nothing happens any more to requests with this in their path.
    pub(crate) fn heal(&self, path: &str) {
        self.script.rules.lock().retain(|rule| rule.path != path);
    }

    /// The requests with this in their path.
    pub(crate) fn asked(&self, path: &str) -> Vec<Asked> {
        self.script.asked.lock().iter().filter(|asked| asked.uri.contains(path)).cloned().collect()
    }
}

impl Script {
    /// The fault that meets a request, or its answer, now.
    fn next(&self, asked: &Asked, is_due: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let mut rules = self.rules.lock();
        let met =
            |rule: &Rule| rule.verb == asked.verb && asked.uri.contains(&rule.path) && is_due(&rule.fault);
        let index = rules.iter().position(met)?;
        rules[index].times -= 1;
        let fault = rules[index].fault.clone();
        rules.retain(|rule| rule.times > 0);
        Some(fault)
    }
}

/// The same file with another server.
fn redirected(kubeconfig: &Path, port: u16) -> Result<PathBuf> {
    let mut config: Value = serde_json::from_slice(&std::fs::read(kubeconfig)?)?;
    config["clusters"][0]["cluster"] = json!({"server": format!("http://127.0.0.1:{port}")});
    let path = kubeconfig.with_extension("proxied");
    std::fs::write(&path, config.to_string())?;
    Ok(path)
}

fn serve(
    kubeconfig: &Path,
    script: Arc<Script>,
    bound: oneshot::Sender<Result<u16>>,
    stopped: oneshot::Receiver<Infallible>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return drop(bound.send(Err(error.into()))),
    };
    runtime.block_on(async {
        let (client, listener, port) = match bind(kubeconfig).await {
            Ok(started) => started,
            Err(error) => return drop(bound.send(Err(error))),
        };
        drop(bound.send(Ok(port)));
        let app = axum::Router::new().fallback(pass).with_state((client, script));
        tokio::select! {
            ended = axum::serve(listener, app).into_future() => drop(ended),
            _ = stopped => {}
        }
    });
}

async fn bind(kubeconfig: &Path) -> Result<(Client, TcpListener, u16)> {
    let (kubeconfig, options) = (Kubeconfig::read_from(kubeconfig)?, KubeConfigOptions::default());
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    // The one who asks should see what the server says.
    config.default_retry = false;
    let port = crate::harness::ports::free()?;
    Ok((Client::try_from(config)?, TcpListener::bind(("127.0.0.1", port)).await?, port))
}

type Shared = (Client, Arc<Script>);

async fn pass(State((client, script)): State<Shared>, request: Request) -> Response {
    let asked = Asked { uri: request.uri().to_string(), verb: verb(&request), at: Instant::now() };
    script.asked.lock().push(asked.clone());
    match script.next(&asked, Fault::meets_request) {
        Some(Fault::Refuse(code, reason, retry_after)) => return refusal(code, reason, retry_after),
        Some(Fault::Hold(told)) => told.notified().await,
        Some(_hang) => std::future::pending().await,
        None => {}
    }
    match ask(&client, request).await {
        Ok(response) => tampered(response, script, asked),
        // Whoever asks should see what happens when the server is away; a gateway's answer is near enough.
        Err(_gone) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

fn verb(request: &Request) -> Verb {
    let query = request.uri().query().unwrap_or_default();
    match *request.method() {
        http::Method::GET if query.contains("watch=true") => Verb::Watch,
        http::Method::GET if query.contains("continue=") => Verb::Continue,
        http::Method::GET if query.contains("limit=") => Verb::List,
        http::Method::GET if matches!(request.uri().path(), "/api" | "/apis") => Verb::Discovery,
        http::Method::PATCH => Verb::Patch,
        _ => Verb::Other,
    }
}

fn status(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code,
        "reason": reason, "message": "a fault was asked for"})
}

fn refusal(code: u16, reason: &str, retry_after: Option<u64>) -> Response {
    let mut answer = Response::builder().status(code).header(http::header::CONTENT_TYPE, "application/json");
    if let Some(seconds) = retry_after {
        answer = answer.header(RETRY_AFTER, seconds);
    }
    answer.body(status(code, reason).to_string().into()).unwrap_or_default()
}

async fn ask(client: &Client, request: Request) -> Result<http::Response<kube::client::Body>> {
    let (mut head, body) = request.into_parts();
    for name in [HOST, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        head.headers.remove(name);
    }
    let body = axum::body::to_bytes(body, MOST_BYTES).await?;
    let request = http::Request::from_parts(head, kube::client::Body::from(body.to_vec()));
    Ok(client.send(request).await?)
}

/// An answer on its way.
struct Passing {
    body: kube::client::Body,
    script: Arc<Script>,
    asked: Asked,
    /// What is left of what drips.
    dripping: Bytes,
    broken: bool,
}

fn tampered(response: http::Response<kube::client::Body>, script: Arc<Script>, asked: Asked) -> Response {
    let (mut head, body) = response.into_parts();
    head.headers.remove(TRANSFER_ENCODING);
    head.headers.remove(CONNECTION);
    let passing = Passing { body, script, asked, dripping: Bytes::new(), broken: false };
    Response::from_parts(head, Body::from_stream(stream::unfold(passing, Passing::next)))
}

impl Passing {
    async fn next(mut self) -> Option<(io::Result<Bytes>, Self)> {
        if self.broken {
            // What was let through goes out first.
            tokio::time::sleep(FLUSH).await;
            return Some((Err(io::ErrorKind::ConnectionReset.into()), self));
        }
        if self.dripping.is_empty() {
            let frame = match self.body.frame().await? {
                Ok(frame) => frame.into_data().unwrap_or_default(),
                Err(error) => return Some((Err(io::Error::other(error)), self)),
            };
            match self.script.next(&self.asked, |fault| !fault.meets_request()) {
                Some(Fault::Cut) => {
                    self.broken = true;
                    return Some((Ok(frame.slice(..frame.len() / 2)), self));
                }
                Some(Fault::End) => return None,
                Some(Fault::Silence) => std::future::pending().await,
                Some(Fault::Line(line)) => return Some((Ok(line.into()), self)),
                Some(Fault::Drip) => self.dripping = frame,
                Some(Fault::Refuse(..) | Fault::Hang | Fault::Hold(_)) | None => {
                    return Some((Ok(frame), self));
                }
            }
        }
        tokio::time::sleep(DRIP).await;
        let first = self.dripping.split_to(1.min(self.dripping.len()));
        Some((Ok(first), self))
    }
}
