//! The API server's HTTP: paths, and what is answered on them.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cluster::{Cluster, Id, KINDS, Refused};
use crate::law::{Arrived, Law, Sent};
use crate::story::NAMESPACE;

/// A request, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    /// Without name: a collection.
    pub(crate) id: Id,
    subresource: String,
    etag: bool,
    body: Value,
}

impl Request {
    pub(crate) fn new(parts: &http::request::Parts, body: &[u8]) -> Self {
        let query = parts.uri.query().unwrap_or_default();
        let path = parts.uri.path().to_owned();
        let decode =
            |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned();
        let mut names = path.split('/').skip(1).map(decode);
        let skipped = if names.next().as_deref() == Some("api") { 1 } else { 2 };
        let mut names = names.skip(skipped).collect::<Vec<_>>().into_iter();
        let mut resource = names.next().unwrap_or_default();
        let mut namespace = String::new();
        if resource == "namespaces" {
            namespace = names.next().unwrap_or_default();
            resource = names.next().unwrap_or_default();
        }
        let id = Id { resource, namespace, name: names.next().unwrap_or_default() };
        Self {
            method: parts.method.clone(),
            query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            id,
            subresource: names.next().unwrap_or_default(),
            etag: parts.headers.contains_key(http::header::IF_NONE_MATCH),
            body: serde_json::from_slice(body).unwrap_or_default(),
            path,
        }
    }

    pub(crate) fn is_watch(&self) -> bool {
        self.query.contains_key("watch")
    }

    /// The name that a list is of, where it is of one.
    fn selected(&self) -> Option<&str> {
        self.query.get("fieldSelector")?.strip_prefix("metadata.name=")
    }

    /// What it is to the writing side, if anything.
    pub(crate) fn class(&self) -> Option<Class> {
        match (&*self.id.resource, self.is_watch()) {
            (_, true) => None,
            ("leases", _) => Some(Class::Lease),
            _ => (!self.id.name.is_empty() || self.selected().is_some()).then_some(Class::Object),
        }
    }
}

/// Requests of the writing side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// Looks at the Lease, or changes it.
    Lease,
    /// Reads or changes one object, or a policy's status.
    Object,
}

/// An answer that is no watch.
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) body: Value,
}

impl Answer {
    fn ok(body: Value) -> Self {
        Self { code: 200, body }
    }

    pub(crate) fn status(code: u16, message: &str, kind: &str) -> Self {
        let body = json!({
            "kind": "Status", "code": code, "reason": "", "status": "Failure", "message": message,
            "details": {"kind": kind},
        });
        Self { code, body }
    }
}

impl From<(Refused, &str)> for Answer {
    fn from((refused, kind): (Refused, &str)) -> Self {
        match refused {
            Refused::Absent => Self::status(404, "not found", kind),
            Refused::Conflict => Self::status(409, "the object has been modified", kind),
            Refused::Unfit => Self {
                code: 422,
                body: json!({"message": "the server rejected our request due to an error in our request"}),
            },
        }
    }
}

/// All that is behind the HTTP.
pub(crate) struct State {
    pub(crate) cluster: Cluster,
    pub(crate) law: Law,
    /// What happened, to be read when something is wrong.
    pub(crate) log: Vec<String>,
    pub(crate) start: Instant,
}

impl State {
    /// Tells what happens.
    pub(crate) fn note(&mut self, what: &str) {
        self.log.push(format!("{:>9.3} {what}", self.start.elapsed().as_secs_f64()));
    }

    /// What the Lease says of where something may be left.
    pub(crate) fn record(&self) -> &str {
        let lease = self.cluster.get(&Id::new("leases", NAMESPACE, "watchpolicy"));
        let record = lease.map(|lease| &lease["metadata"]["annotations"]["watchpolicy.io/wrote-to"]);
        record.and_then(Value::as_str).unwrap_or_default()
    }

    fn holder(&self) -> String {
        self.law.holder().to_owned()
    }

    /// Carries a request out that has arrived.
    pub(crate) fn answer(&mut self, request: &Request, sent: &Sent) -> Answer {
        let holder = self.holder();
        let answer = self.carry_out(request, sent);
        let is_routine =
            request.class() == Some(Class::Lease) && answer.code == 200 && self.holder() == holder;
        if request.class().is_some() && !is_routine {
            let dry_run = if request.query.contains_key("dryRun") { " dry" } else { "" };
            let Id { resource, name, .. } = &request.id;
            let sent_at = (sent.at - self.start).as_secs_f64();
            let Request { method, .. } = request;
            let code = answer.code;
            self.note(&format!(
                "{} {method}{dry_run} {resource}/{name} -> {code} (sent at {sent_at:.3})",
                sent.by
            ));
        }
        answer
    }

    fn carry_out(&mut self, request: &Request, sent: &Sent) -> Answer {
        let id = &request.id;
        match (request.method.as_str(), &*id.resource, &*id.name) {
            (_, "", "") => discovery(request),
            ("POST", "selfsubjectaccessreviews", "") => Answer::ok(json!({"status": {"allowed": true}})),
            ("POST", "leases", "") => self.create_lease(request, sent),
            ("PUT", "leases", _) => {
                let stored = self.cluster.replace(id, "watchpolicy", request.body.clone());
                self.claimed(stored, sent)
            }
            ("GET", resource, "") => self.list(resource, request.selected()),
            ("GET", _, _) => self.get(id, sent),
            ("PATCH", "watchpolicies", _) => self.patch_policy(request, sent),
            ("PATCH", "configmaps" | "services", _) => self.patch(request, sent),
            other => Answer::status(405, &format!("{other:?} is not served"), ""),
        }
    }

    fn list(&self, resource: &str, selected: Option<&str>) -> Answer {
        let version = self.cluster.version().to_string();
        let is_selected = |object: &&Value| selected.is_none_or(|name| object["metadata"]["name"] == name);
        let items: Vec<_> = self.cluster.list(resource).filter(is_selected).cloned().collect();
        Answer::ok(json!({"kind": "AnyList", "metadata": {"resourceVersion": version}, "items": items}))
    }

    fn get(&mut self, id: &Id, sent: &Sent) -> Answer {
        let Some(object) = self.cluster.get(id).cloned() else {
            return (Refused::Absent, &*id.resource).into();
        };
        self.law.was_read(&sent.by, id, &object);
        Answer::ok(object)
    }

    fn create_lease(&mut self, request: &Request, sent: &Sent) -> Answer {
        let name = request.body["metadata"]["name"].as_str().unwrap();
        let id = Id::new("leases", &request.id.namespace, name);
        let stored = self.cluster.create(&id, "watchpolicy", request.body.clone());
        self.claimed(stored, sent)
    }

    fn claimed(&mut self, stored: Result<Value, Refused>, sent: &Sent) -> Answer {
        match stored {
            Ok(lease) => {
                self.law.claimed(sent, lease["spec"]["holderIdentity"].as_str().unwrap_or_default());
                Answer::ok(lease)
            }
            Err(refused) => (refused, "leases").into(),
        }
    }

    fn patch(&mut self, request: &Request, sent: &Sent) -> Answer {
        let (id, manager) = (&request.id, &*request.query["fieldManager"]);
        let dry_run = request.query.contains_key("dryRun");
        let operations = request.body.as_array().cloned().unwrap_or_default();
        let after = match self.cluster.patched(id, &operations) {
            Ok(after) => after,
            Err(refused) => {
                self.law.judge_right(sent, &format!("{id:?}, in vain"));
                return (refused, &*id.resource).into();
            }
        };
        let before = self.cluster.get(id).cloned().unwrap_or_default();
        let (operations, before) = (&*operations, &before);
        let is_named = self.record().split(',').any(|kind| *kind == *id.resource);
        let arrived = Arrived { id, manager, dry_run, operations, before, after: &after, is_named };
        self.law.judge_patch(sent, &arrived);
        if dry_run {
            return Answer::ok(after);
        }
        self.law.writes += 1;
        let stored = self.cluster.update(id, manager, after).unwrap_or_default();
        self.law.was_read(&sent.by, id, &stored);
        Answer::ok(stored)
    }

    fn patch_policy(&mut self, request: &Request, sent: &Sent) -> Answer {
        let (id, manager) = (&request.id, &*request.query["fieldManager"]);
        let operations = request.body.as_array().cloned().unwrap_or_default();
        let after = match self.cluster.patched(id, &operations) {
            Ok(after) => after,
            Err(refused) => return (refused, &*id.resource).into(),
        };
        let before = self.cluster.get(id).cloned().unwrap_or_default();
        let (operations, before) = (&*operations, &before);
        let place = if request.subresource == "status" { "/status/" } else { "/metadata/finalizers" };
        let is_named = false;
        let arrived = Arrived { id, manager, dry_run: false, operations, before, after: &after, is_named };
        self.law.judge_policy(sent, &arrived, place);
        self.law.writes += 1;
        let stored = self.cluster.update(id, manager, after).unwrap_or_default();
        self.note_policy(&id.name);
        Answer::ok(stored)
    }

    /// Something may have become of a policy.
    pub(crate) fn note_policy(&mut self, name: &str) {
        let policy = self.cluster.get(&Id::new("watchpolicies", "", name));
        self.law.editions.note(name, policy);
    }
}

/// Aggregated discovery.
fn discovery(request: &Request) -> Answer {
    if request.etag {
        return Answer { code: 304, body: Value::Null };
    }
    let resource = |(resource, kind)| {
        json!({
            "resource": resource, "responseKind": {"group": "", "version": "v1", "kind": kind},
            "scope": "Namespaced", "verbs": ["get", "list", "patch", "watch"],
        })
    };
    let resources = KINDS.map(resource);
    let core = json!({"metadata": {}, "versions": [{"version": "v1", "resources": resources}]});
    let items = if request.path == "/api" { vec![core] } else { Vec::new() };
    Answer::ok(json!({"kind": "APIGroupDiscoveryList", "items": items}))
}
