//! An API server in the process: collections with versions, watches that are told of changes, discovery, and faults.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body::Frame;
use http_body_util::StreamBody;
use http_body_util::combinators::UnsyncBoxBody;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::resource::{GroupResource, ObjectName};

pub(super) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

const BOOKMARK: Duration = Duration::from_secs(60);

/// What is wrong with one answer.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// Nothing is.
    None,
    /// It is a refusal, with a `Retry-After` where one is given.
    Status(u16, &'static str, Option<u64>),
    /// It never comes.
    Hangs,
    /// A watch opens and never says anything.
    Mute,
    /// A watch ends as soon as it begins.
    Ends,
    /// A watch breaks in the middle of a line.
    Cut,
    /// A watch says in the stream that its version is too old.
    Expired,
}

/// One object: what the server holds of it is text, since some of it no JSON library would hold.
#[derive(Clone)]
struct Stored {
    raw: Arc<str>,
    version: u64,
}

#[derive(Clone)]
struct Change {
    version: u64,
    resource: GroupResource,
    name: ObjectName,
    old: Option<Stored>,
    new: Option<Stored>,
}

/// What is served of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Served {
    pub(super) kind: &'static str,
    pub(super) namespaced: bool,
    /// In order of preference.
    pub(super) versions: Vec<&'static str>,
}

#[derive(Default)]
struct State {
    version: u64,
    served: BTreeMap<GroupResource, Served>,
    /// How often a resource has been taken away, which ends the watches of it.
    ends: BTreeMap<GroupResource, usize>,
    objects: BTreeMap<GroupResource, BTreeMap<ObjectName, Stored>>,
    log: Vec<Change>,
    /// By `list` or `watch` and path.
    faults: BTreeMap<String, VecDeque<Fault>>,
    forbidden: BTreeSet<GroupResource>,
    bookmarks: bool,
    requests: Vec<(Instant, String)>,
    open: BTreeMap<String, usize>,
    /// Pages that are still to be shown, by their token.
    pages: BTreeMap<String, (u64, Vec<Arc<str>>)>,
}

pub(super) struct Server {
    state: Mutex<State>,
    told: watch::Sender<u64>,
}

fn resource(group: &str, plural: &str) -> GroupResource {
    GroupResource::new(group, plural)
}

fn whole(text: String) -> Body {
    UnsyncBoxBody::new(StreamBody::new(stream::iter([Ok(Frame::data(Bytes::from(text)))])))
}

fn reply(code: u16, text: String) -> http::Response<Body> {
    http::Response::builder().status(code).body(whole(text)).unwrap()
}

/// What one list or watch asks for.
#[derive(Clone)]
struct Asked {
    resource: GroupResource,
    api_version: String,
    kind: &'static str,
    namespace: Option<String>,
    fields: Vec<(String, bool, String)>,
    query: BTreeMap<String, String>,
}

impl Asked {
    fn takes(&self, name: &ObjectName, raw: &str) -> bool {
        let near = self.namespace.is_none() || name.namespace.as_deref() == self.namespace.as_deref();
        near && (self.fields.is_empty() || {
            let object: Value = serde_json::from_str(raw).unwrap_or_default();
            self.fields.iter().all(|(label, equal, value)| {
                let found = label.split('.').try_fold(&object, |node, name| node.get(name));
                let found = found.map_or_else(String::new, |found| match found {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                });
                (found == *value) == *equal
            })
        })
    }
}

/// Counts a watch as open for as long as it lives.
struct Guard(Arc<Server>, String);

impl Drop for Guard {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        let count = state.open.get_mut(&self.1).unwrap();
        *count -= 1;
        if *count == 0 {
            state.open.remove(&self.1);
        }
    }
}

impl Server {
    pub(super) fn new() -> Arc<Self> {
        let state = State { version: 100, bookmarks: true, ..State::default() };
        let server = Self { state: Mutex::new(state), told: watch::channel(0).0 };
        for (group, plural, kind, namespaced, version) in [
            ("", "namespaces", "Namespace", false, "v1"),
            ("", "configmaps", "ConfigMap", true, "v1"),
            ("", "pods", "Pod", true, "v1"),
            ("apps", "replicasets", "ReplicaSet", true, "v1"),
            ("apps", "deployments", "Deployment", true, "v1"),
            ("watchpolicy.io", "watchpolicies", "WatchPolicy", false, "v1alpha1"),
            ("apiextensions.k8s.io", "customresourcedefinitions", "CustomResourceDefinition", false, "v1"),
            ("apiregistration.k8s.io", "apiservices", "APIService", false, "v1"),
        ] {
            let served = Served { kind, namespaced, versions: vec![version] };
            server.state.lock().served.insert(resource(group, plural), served);
        }
        Arc::new(server)
    }

    // ---- what a cluster's users do ----

    pub(super) fn put(&self, of: &GroupResource, name: &ObjectName, metadata: &str, rest: &str) {
        let mut state = self.state.lock();
        state.version += 1;
        let version = state.version;
        let namespace = name.namespace.as_deref().map(|namespace| format!(r#""namespace":"{namespace}","#));
        let raw = format!(
            r#"{{"metadata":{{"name":"{}",{}"resourceVersion":"{version}"{metadata}}}{rest}}}"#,
            name.name,
            namespace.unwrap_or_default(),
        );
        let new = Stored { raw: raw.into(), version };
        let old = state.objects.entry(of.clone()).or_default().insert(name.clone(), new.clone());
        state.log.push(Change { version, resource: of.clone(), name: name.clone(), old, new: Some(new) });
        self.told.send_replace(version);
    }

    pub(super) fn delete(&self, of: &GroupResource, name: &ObjectName) {
        let mut state = self.state.lock();
        let Some(old) = state.objects.get_mut(of).and_then(|objects| objects.remove(name)) else { return };
        state.version += 1;
        let version = state.version;
        state.log.push(Change {
            version,
            resource: of.clone(),
            name: name.clone(),
            old: Some(old),
            new: None,
        });
        self.told.send_replace(version);
    }

    /// Installs, changes or takes away a custom resource, with its definition.
    pub(super) fn define(&self, of: &GroupResource, served: Option<Served>, selectable: &[&str]) {
        let definition = resource("apiextensions.k8s.io", "customresourcedefinitions");
        let name = ObjectName { namespace: None, name: of.to_string().into() };
        let scope = |served: &Served| served.namespaced;
        // Another scope is another definition; the objects go with the one before.
        if self.served(of).as_ref().map(scope) != served.as_ref().map(scope) {
            self.objects(of).keys().for_each(|name| self.delete(of, name));
            *self.state.lock().ends.entry(of.clone()).or_default() += 1;
        }
        let mut state = self.state.lock();
        state.served.remove(of);
        state.served.extend(served.clone().map(|served| (of.clone(), served)));
        drop(state);
        let Some(served) = served else { return self.delete(&definition, &name) };
        let fields: Vec<_> = selectable.iter().map(|path| format!(r#"{{"jsonPath":".{path}"}}"#)).collect();
        let version =
            |name: &&str| format!(r#"{{"name":"{name}","selectableFields":[{}]}}"#, fields.join(","));
        let versions: Vec<_> = served.versions.iter().map(version).collect();
        self.put(&definition, &name, "", &format!(r#","spec":{{"versions":[{}]}}"#, versions.join(",")));
    }

    pub(super) fn served(&self, of: &GroupResource) -> Option<Served> {
        self.state.lock().served.get(of).cloned()
    }

    // ---- what goes wrong ----

    /// What becomes of the next requests: `list` or `watch` and a path.
    pub(super) fn fail(&self, request: &str, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().faults.entry(request.to_owned()).or_default().extend(faults);
    }

    /// What is still to fail does not.
    pub(super) fn mend(&self) {
        self.state.lock().faults.clear();
    }

    pub(super) fn forbid(&self, of: &GroupResource, forbidden: bool) {
        let mut state = self.state.lock();
        state.forbidden.retain(|known| known != of);
        state.forbidden.extend(forbidden.then(|| of.clone()));
    }

    pub(super) fn without_bookmarks(&self) {
        self.state.lock().bookmarks = false;
    }

    // ---- what tests look at ----

    /// Watches that are open now, by path and selectors, with how many there are.
    pub(super) fn open(&self) -> BTreeMap<String, usize> {
        self.state.lock().open.clone()
    }

    pub(super) fn objects(&self, of: &GroupResource) -> BTreeMap<ObjectName, (Arc<str>, u64)> {
        let state = self.state.lock();
        let objects = state.objects.get(of).into_iter().flatten();
        objects.map(|(name, stored)| (name.clone(), (Arc::clone(&stored.raw), stored.version))).collect()
    }

    /// Requests since an instant whose text starts like this.
    pub(super) fn requests(&self, since: Instant, start: &str) -> usize {
        let state = self.state.lock();
        state.requests.iter().filter(|(at, text)| *at >= since && text.starts_with(start)).count()
    }

    // ---- the API ----

    pub(super) fn client(self: &Arc<Self>) -> kube::Client {
        let server = Arc::clone(self);
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let server = Arc::clone(&server);
            async move {
                let (parts, body) = request.into_parts();
                let body = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
                Ok::<_, Infallible>(server.answer(&parts.uri, &body).await)
            }
        });
        kube::Client::new(service, "default")
    }

    async fn answer(self: &Arc<Self>, uri: &http::Uri, body: &[u8]) -> http::Response<Body> {
        match uri.path() {
            "/api" => return reply(200, self.discovery(|group| group.is_empty())),
            "/apis" => return reply(200, self.discovery(|group| !group.is_empty())),
            path if path.ends_with("selfsubjectaccessreviews") => return reply(201, self.review(body)),
            _ => {}
        }
        let query = query(uri);
        let is_watch = query.contains_key("watch");
        let request = format!("{} {}", if is_watch { "watch" } else { "list" }, uri.path());
        let fault = {
            let mut state = self.state.lock();
            state.requests.push((Instant::now(), request.clone()));
            state.faults.get_mut(&request).and_then(VecDeque::pop_front).unwrap_or(Fault::None)
        };
        if let Fault::Status(code, reason, wait) = fault {
            let text =
                format!(r#"{{"kind":"Status","code":{code},"reason":"{reason}","message":"a fault"}}"#);
            let mut response = reply(code, text);
            if let Some(wait) = wait {
                response.headers_mut().insert("retry-after", wait.into());
            }
            return response;
        }
        if matches!(fault, Fault::Hangs) {
            std::future::pending::<()>().await;
        }
        let Some(asked) = self.asked(uri.path(), query) else {
            return reply(404, r#"{"kind":"Status","code":404,"reason":"NotFound"}"#.to_owned());
        };
        if self.state.lock().forbidden.contains(&asked.resource) {
            return reply(403, r#"{"kind":"Status","code":403,"reason":"Forbidden"}"#.to_owned());
        }
        if is_watch { self.watch(uri.path(), asked, &fault) } else { self.list(&asked) }
    }

    fn asked(&self, path: &str, query: BTreeMap<String, String>) -> Option<Asked> {
        let parts: Vec<_> = path.trim_start_matches('/').split('/').collect();
        let (group, rest) = match parts.split_first()? {
            (&"api", rest) => ("", rest),
            (_, rest) => (*rest.first()?, rest.get(1..)?),
        };
        let (version, rest) = rest.split_first()?;
        let (namespace, plural) = match rest {
            ["namespaces", namespace, plural] => (Some((*namespace).to_owned()), plural),
            [plural] => (None, plural),
            _ => return None,
        };
        let of = resource(group, plural);
        let served = self.served(&of).filter(|served| {
            served.versions.contains(version) && (namespace.is_none() || served.namespaced)
        })?;
        assert!(!query.contains_key("labelSelector"), "labels are not selected by here");
        let term = |term: &str| {
            let (label, value) = term.split_once('=').unwrap();
            let equal = !label.ends_with('!');
            (label.trim_end_matches('!').to_owned(), equal, value.to_owned())
        };
        let fields =
            query.get("fieldSelector").into_iter().flat_map(|fields| fields.split(',')).map(term).collect();
        let api_version = if group.is_empty() { (*version).to_owned() } else { format!("{group}/{version}") };
        Some(Asked { resource: of, api_version, kind: served.kind, namespace, fields, query })
    }

    fn list(&self, asked: &Asked) -> http::Response<Body> {
        let mut state = self.state.lock();
        let (version, items) = match asked.query.get("continue") {
            Some(token) => state.pages.remove(token).unwrap(),
            None => {
                let objects = state.objects.get(&asked.resource).into_iter().flatten();
                let taken = objects.filter(|(name, stored)| asked.takes(name, &stored.raw));
                (state.version, taken.map(|(_, stored)| Arc::clone(&stored.raw)).collect())
            }
        };
        let limit = asked.query.get("limit").map_or(usize::MAX, |limit| limit.parse().unwrap());
        let (page, rest) = items.split_at(limit.min(items.len()));
        let mut next = String::new();
        if !rest.is_empty() {
            next = format!("page {} of {version}", state.pages.len());
            state.pages.insert(next.clone(), (version, rest.to_vec()));
        }
        let text = format!(
            r#"{{"kind":"{}List","apiVersion":"{}","metadata":{{"resourceVersion":"{version}","continue":"{next}"}},"items":[{}]}}"#,
            asked.kind,
            asked.api_version,
            page.join(",")
        );
        reply(200, text)
    }

    fn watch(self: &Arc<Self>, path: &str, asked: Asked, fault: &Fault) -> http::Response<Body> {
        let mut shown = path.to_owned();
        if let Some(fields) = asked.query.get("fieldSelector") {
            write!(shown, "?{fields}").unwrap();
        }
        *self.state.lock().open.entry(shown.clone()).or_default() += 1;
        let guard = Guard(Arc::clone(self), shown);
        let frame = |text: String| Ok(Frame::data(Bytes::from(text)));
        let body: stream::BoxStream<'static, Result<Frame<Bytes>, std::io::Error>> = match fault {
            Fault::Mute => stream::pending().boxed(),
            Fault::Ends => stream::empty().boxed(),
            Fault::Cut => {
                stream::iter([frame(r#"{"type":"ADD"#.into()), Err(std::io::Error::other("reset"))]).boxed()
            }
            Fault::Expired => {
                let line = r#"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}"#;
                stream::iter([frame(format!("{line}\n"))]).chain(stream::pending()).boxed()
            }
            _ => self.events(asked).map(frame).boxed(),
        };
        let body = body.map(move |frame| {
            let _open = &guard;
            frame
        });
        http::Response::builder().body(UnsyncBoxBody::new(StreamBody::new(body))).unwrap()
    }

    fn events(self: &Arc<Self>, asked: Asked) -> impl stream::Stream<Item = String> + Send + use<> {
        let version: u64 = asked.query["resourceVersion"].parse().unwrap();
        let seconds = asked.query["timeoutSeconds"].parse().unwrap();
        let ends = Instant::now() + Duration::from_secs(seconds);
        let number = |server: &Self, of: &GroupResource| server.state.lock().ends.get(of).copied();
        let first = number(self, &asked.resource);
        let start = (Arc::clone(self), asked, version, Instant::now() + BOOKMARK, false);
        stream::unfold(start, move |(server, asked, version, bookmark, ended)| async move {
            if ended {
                return None;
            }
            let mut told = server.told.subscribe();
            loop {
                told.borrow_and_update();
                if let Some((line, version)) = server.next(&asked, version) {
                    return Some((line, (server, asked, version, bookmark, false)));
                }
                if number(&server, &asked.resource) != first {
                    return None;
                }
                let due = bookmark.min(ends);
                tokio::select! {
                    _ = told.changed() => {}
                    () = sleep_until(due) => {
                        let (bookmarks, version) = {
                            let state = server.state.lock();
                            (state.bookmarks, state.version)
                        };
                        let ended = due == ends;
                        if !bookmarks && ended {
                            return None;
                        }
                        let next = Instant::now() + BOOKMARK;
                        let line = match bookmarks {
                            true => format!(
                                "{{\"type\":\"BOOKMARK\",\"object\":{{\"metadata\":{{\"resourceVersion\":\"{version}\"}}}}}}\n"
                            ),
                            false => "\n".to_owned(),
                        };
                        return Some((line, (server, asked, version, next, ended)));
                    }
                }
            }
        })
    }

    /// The next event after a version.
    fn next(&self, asked: &Asked, after: u64) -> Option<(String, u64)> {
        let state = self.state.lock();
        let first = state.log.partition_point(|change| change.version <= after);
        let of_resource = state.log[first..].iter().filter(|change| change.resource == asked.resource);
        of_resource.into_iter().find_map(|Change { version, name, old, new, .. }| {
            let old = old.as_ref().filter(|old| asked.takes(name, &old.raw));
            let new = new.as_ref().filter(|new| asked.takes(name, &new.raw));
            let (kind, object) = match (old, new) {
                (None, Some(new)) => ("ADDED", new.raw.to_string()),
                (Some(_), Some(new)) => ("MODIFIED", new.raw.to_string()),
                (Some(old), None) => {
                    let (was, is) =
                        (format!(r#"Version":"{}""#, old.version), format!(r#"Version":"{version}""#));
                    ("DELETED", old.raw.replace(&was, &is))
                }
                (None, None) => return None,
            };
            Some((format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n"), *version))
        })
    }

    fn discovery(&self, of: impl Fn(&str) -> bool) -> String {
        let state = self.state.lock();
        let mut groups: BTreeMap<&str, BTreeMap<&str, Vec<String>>> = BTreeMap::new();
        let mut preferred: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (GroupResource { group, resource }, served) in
            state.served.iter().filter(|(of_, _)| of(&of_.group))
        {
            let scope = if served.namespaced { "Namespaced" } else { "Cluster" };
            for version in &served.versions {
                let shown = format!(
                    r#"{{"resource":"{resource}","responseKind":{{"kind":"{}"}},"scope":"{scope}","verbs":["list","watch"]}}"#,
                    served.kind
                );
                groups.entry(group).or_default().entry(version).or_default().push(shown);
                let order = preferred.entry(group).or_default();
                if !order.contains(version) {
                    order.push(version);
                }
            }
        }
        let group = |(group, versions): (&&str, &BTreeMap<&str, Vec<String>>)| {
            let version = |version: &&str| {
                format!(
                    r#"{{"version":"{version}","freshness":"Current","resources":[{}]}}"#,
                    versions[version].join(",")
                )
            };
            let versions: Vec<_> = preferred[group].iter().map(version).collect();
            format!(r#"{{"metadata":{{"name":"{group}"}},"versions":[{}]}}"#, versions.join(","))
        };
        let groups: Vec<_> = groups.iter().map(group).collect();
        format!(r#"{{"kind":"APIGroupDiscoveryList","items":[{}]}}"#, groups.join(","))
    }

    fn review(&self, body: &[u8]) -> String {
        let asked: Value = serde_json::from_slice(body).unwrap();
        let attributes = &asked["spec"]["resourceAttributes"];
        let text = |field: &str| attributes[field].as_str().unwrap_or_default();
        let allowed = !self.state.lock().forbidden.contains(&resource(text("group"), text("resource")));
        format!(r#"{{"metadata":{{}},"spec":{{}},"status":{{"allowed":{allowed}}}}}"#)
    }
}

fn query(uri: &http::Uri) -> BTreeMap<String, String> {
    let pairs = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let plain = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned();
    pairs.map(|(name, value)| (name.to_owned(), plain(value))).collect()
}
