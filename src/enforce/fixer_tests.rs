use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::super::leftovers::Leftovers;
use super::*;
use crate::crd::WatchPolicy;
use crate::jsonpath::{Document, Projection, TypeMeta};
use crate::leader::testing::Lead;
use crate::ledger::{Judged, Said};
use crate::policy::{self, CompiledPolicy, PolicyEntry, PolicyState, compile};
use crate::queue::Retries;
use crate::resource::{Gvr, ObjectName};
use crate::store::{Served, Shelf};

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// An API server with one ConfigMap, which does as the real one does with patches.
#[derive(Default)]
pub(super) struct Server {
    pub(super) object: Mutex<Value>,
    /// What others make of the object just before a patch arrives.
    pub(super) meddling: Mutex<VecDeque<Value>>,
    /// Answers to patches instead of carrying them out.
    pub(super) refusals: Mutex<VecDeque<(u16, &'static str)>>,
    /// The answer to each patch after these.
    pub(super) refuses: Mutex<Option<(u16, &'static str)>>,
    log: Mutex<Vec<String>>,
    namespace_ends: AtomicBool,
    /// Patches are taken, and nothing comes of them.
    pub(super) prunes: AtomicBool,
    /// Whether the object may not be read.
    pub(super) unreadable: AtomicBool,
    /// What policies there are.
    set: Mutex<Option<watch::Receiver<Arc<PolicySet>>>>,
    /// What is said of the policy, where it is not as it is known.
    edition: Mutex<Option<(u16, Value)>>,
    /// How often that was asked.
    pub(super) asked: AtomicUsize,
    /// How long each answer takes.
    pub(super) slowness: Mutex<Duration>,
}

impl Server {
    fn answer(&self, method: &str, uri: &http::Uri, body: &[u8]) -> (u16, Value) {
        if uri.path().contains("watchpolicies") {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let edition = self.edition.lock().clone();
            return edition.unwrap_or_else(|| (200, self.edition_in_set(uri.query().unwrap_or_default())));
        }
        if !uri.path().contains("configmaps") {
            let ends = self.namespace_ends.load(Ordering::Relaxed);
            let ends = ends.then_some("2026-01-01T00:00:00Z");
            return (200, json!({"metadata": {"name": "n", "uid": "ns", "deletionTimestamp": ends}}));
        }
        let query = uri.query().unwrap_or_default();
        let dry_run = query.contains("dryRun=All");
        self.log.lock().push(format!("{method}{}", if dry_run { " dry" } else { "" }));
        if method == "GET" && self.unreadable.load(Ordering::Relaxed) {
            return (403, json!({"message": "User \"x\" cannot get resource \"configmaps\""}));
        }
        if method == "GET" {
            return (200, self.object.lock().clone());
        }
        if let Some((code, message)) = self.refusals.lock().pop_front().or(*self.refuses.lock()) {
            return (code, json!({"message": message}));
        }
        if let Some(data) = self.meddling.lock().pop_front() {
            json_patch::merge(&mut *self.object.lock(), &json!({"data": data}));
        }
        let mut object = self.object.lock().clone();
        for operation in serde_json::from_slice::<Vec<Value>>(body).unwrap() {
            let absent = object.pointer(operation["path"].as_str().unwrap()).is_none();
            let expects_absence = operation["op"] == "test" && operation["value"].is_null();
            let one: json_patch::Patch = serde_json::from_value(json!([operation])).unwrap();
            if !(expects_absence && absent) && json_patch::patch(&mut object, &one).is_err() {
                let words = "the server rejected our request due to an error in our request";
                return (422, json!({"message": words}));
            }
        }
        if self.prunes.load(Ordering::Relaxed) {
            return (200, self.object.lock().clone());
        }
        if !dry_run {
            *self.object.lock() = object.clone();
        }
        (200, object)
    }

    /// The policy that a query names, as the watch of policies shows it too.
    fn edition_in_set(&self, query: &str) -> Value {
        let name = query.rsplit("%3D").next().unwrap().replace("%2D", "-");
        let set = self.set.lock().clone().unwrap();
        let entry = set.borrow().entries.get(&*name).cloned();
        let items =
            entry.map(|entry| json!({"metadata": {"uid": *entry.uid, "generation": entry.generation}}));
        json!({"items": items.map(|item| [item])})
    }

    fn client(self: &Arc<Self>) -> kube::Client {
        let server = Arc::clone(self);
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let server = Arc::clone(&server);
            async move {
                let slowness = *server.slowness.lock();
                if !slowness.is_zero() {
                    sleep(slowness).await;
                }
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let (code, answer) = server.answer(parts.method.as_str(), &parts.uri, &body);
                let answer = Body::from(answer.to_string().into_bytes());
                Ok::<_, Infallible>(http::Response::builder().status(code).body(answer).unwrap())
            }
        });
        kube::Client::new(service, "default")
    }

    pub(super) fn says_of_policies(&self, code: u16, said: &Value) {
        *self.edition.lock() = Some((code, said.clone()));
    }

    pub(super) fn value(&self) -> Value {
        self.object.lock()["data"]["a"].clone()
    }

    pub(super) fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock())
    }
}

/// A policy that wants `data.a` to be `good`.
pub(super) fn policy(mode: &str) -> CompiledPolicy {
    policy_that(mode, "Keep")
}

/// The same with what it does when it is deleted.
fn policy_that(mode: &str, on_delete: &str) -> CompiledPolicy {
    let rule = json!({"name": "a", "path": "$.data.a", "assert": {"equals": "good"}, "fix": {"set": "good"}});
    let enforcement = json!({"maxPerMinute": 5, "onDelete": on_delete});
    named("good", mode, &rule, &enforcement)
}

/// A policy of one rule.
pub(super) fn named(name: &str, mode: &str, rule: &Value, enforcement: &Value) -> CompiledPolicy {
    let targets = json!([{"resources": ["configmaps"]}]);
    compiled(name, &json!({"mode": mode, "targets": targets, "rules": [rule], "enforcement": enforcement}))
}

pub(super) fn compiled(name: &str, spec: &Value) -> CompiledPolicy {
    let object = json!({
        "apiVersion": "watchpolicy.io/v1alpha1", "kind": "WatchPolicy", "metadata": {"name": name}, "spec": spec,
    });
    let policy: WatchPolicy = serde_json::from_value(object).unwrap();
    compile(&policy, &policy::Settings::default()).unwrap()
}

/// Just these policies.
fn set_of(policies: &[Arc<CompiledPolicy>]) -> PolicySet {
    let entry = |policy: &Arc<CompiledPolicy>| PolicyEntry {
        name: Arc::clone(&policy.name),
        uid: Arc::clone(&policy.uid),
        generation: policy.generation,
        mode: Some(policy.mode),
        on_delete: Some(policy.enforcement.on_delete),
        deleting: false,
        finalizers: Box::default(),
        state: PolicyState::Compiled(Arc::clone(policy)),
    };
    let entries = policies.iter().map(|policy| (Arc::clone(&policy.name), Arc::new(entry(policy))));
    PolicySet { revision: 1, entries: entries.collect() }
}

/// Enters in the ledger what policies find in the ConfigMap.
fn judge(
    ledger: &Ledger,
    store: &Store,
    (key, types): (&ObjectKey, &TypeMeta),
    served: &[Served],
    document: &Document,
) {
    let TypeMeta { api_version, kind } = types;
    let said = served.iter().map(|Served { policy, roots, .. }| {
        let (resource, now) = (&key.resource, Timestamp::UNIX_EPOCH);
        let subject = policy::Subject { resource, kind, roots, document, namespace: None, now };
        let judgement = policy.judge_among(&subject, store);
        Said { policy: Arc::clone(&policy.name), api_version, kind, judgement }
    });
    let judged = Judged { key, uid: &document.id.uid, listed: false, said: said.collect() };
    ledger.enter(judged, Timestamp::UNIX_EPOCH);
}

pub(super) struct World {
    pub(super) server: Arc<Server>,
    pub(super) fixer: Arc<Fixer>,
    pub(super) key: ObjectKey,
    pub(super) shelf: Arc<Shelf>,
    pub(super) lead: Lead,
    pub(super) sets: watch::Sender<Arc<PolicySet>>,
    _fixers: JoinSet<()>,
}

impl World {
    /// A fixer, and a ConfigMap that fails.
    pub(super) fn new(mode: &str, allow: bool) -> Self {
        Self::with(policy(mode), allow, &json!([]))
    }

    /// The same with this policy, and with these managed fields of the ConfigMap.
    pub(super) fn with(policy: CompiledPolicy, allow: bool, managed: &Value) -> Self {
        Self::of(vec![policy], allow, &json!({"metadata": {"managedFields": managed}, "data": {"a": "bad"}}))
    }

    /// The same with these policies, and a ConfigMap with this in it.
    pub(super) fn of(policies: Vec<CompiledPolicy>, allow: bool, content: &Value) -> Self {
        Self::at_most(100, policies, allow, content)
    }

    /// The same with so many requests in a second.
    pub(super) fn at_most(
        per_second: u32,
        policies: Vec<CompiledPolicy>,
        allow: bool,
        content: &Value,
    ) -> Self {
        let server = Arc::new(Server::default());
        let mut object = json!({"metadata": {"name": "c", "namespace": "n", "uid": "u"}});
        json_patch::merge(&mut object, content);
        *server.object.lock() = object;
        let metrics = Metrics::new("test").unwrap();
        let resource = Gvr::new("", "v1", "configmaps");
        let policies: Vec<_> = policies.into_iter().map(Arc::new).collect();
        let mut projection = Projection::default();
        let served = policies.iter().map(|policy| {
            let roots = Arc::new(policy.roots(&resource.resource));
            policy.read(&resource.resource, &roots, &mut projection);
            Served { policy: Arc::clone(policy), roots, series: metrics.policy(&policy.name) }
        });
        let served: Vec<_> = served.collect();
        let types = TypeMeta { api_version: "v1".into(), kind: "ConfigMap".into() };
        let document = Document::decode(&server.object.lock().to_string(), &projection, &types).unwrap();
        let object = ObjectName { namespace: Some("n".into()), name: "c".into() };
        let key = ObjectKey { resource: resource.resource.clone(), object };
        let (ledger, store) = (Ledger::new(), Arc::new(Store::default()));
        judge(&ledger, &store, (&key, &types), &served, &document);
        let shelf = Arc::new(Shelf::new(1, resource, types, Arc::default()));
        shelf.serve(served);
        shelf.put(document);
        store.open(Arc::clone(&shelf));
        let lead = Lead::new(true);
        let queue = Queue::new(Retries::default(), 7, metrics.queue("fixes"));
        let (sets, set) = watch::channel(Arc::new(set_of(&policies)));
        *server.set.lock() = Some(set.clone());
        let leftovers =
            Arc::new(Leftovers::new(Arc::clone(&store), policy::Fences::default(), "system".into()));
        let (looked_through, leadership) = (watch::channel(Arc::default()).0, lead.leadership());
        let parts = Parts { queue, store, ledger, metrics, leadership, set, leftovers, looked_through };
        let per_second = NonZeroU32::new(per_second).unwrap();
        let settings = Settings { allow, namespace: "system".into(), per_second };
        let fixer =
            Arc::new(Fixer::new(parts, Gate::new(server.client()), settings, || Timestamp::UNIX_EPOCH));
        let mut fixers = JoinSet::new();
        fixers.spawn(Arc::clone(&fixer).run());
        Self { server, fixer, key, shelf, lead, sets, _fixers: fixers }
    }

    /// Has the object looked at, and gives what was asked of the server.
    pub(super) async fn fix(&self) -> Vec<String> {
        self.fixer.parts.queue.add(&self.key, Priority::LiveChange);
        sleep(SECOND / 10).await;
        self.server.log()
    }

    /// The object is this now, and the watch shows it.
    pub(super) fn show(&self, object: &Value) {
        let mut projection = Projection::default();
        for served in self.shelf.serving().iter() {
            served.policy.read(&self.key.resource, &served.roots, &mut projection);
        }
        let document = Document::decode(&object.to_string(), &projection, &self.shelf.types).unwrap();
        let Parts { ledger, store, .. } = &self.fixer.parts;
        judge(ledger, store, (&self.key, &self.shelf.types), &self.shelf.serving(), &document);
        drop(self.shelf.put(document));
        *self.server.object.lock() = object.clone();
    }

    /// This is in the object now, and the watch shows it.
    pub(super) fn change(&self, content: &Value) {
        let mut object = self.server.object.lock().clone();
        json_patch::merge(&mut object, content);
        self.show(&object);
    }

    /// What is noted of the fix.
    pub(super) fn outcome(&self) -> String {
        let page = self.fixer.parts.ledger.page("good", &[], 1);
        page.worst[0].1.fix.as_ref().map(|fix| fix.outcome.clone()).unwrap_or_default()
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_read_and_written_once() {
    let world = World::new("Enforce", true);
    assert_eq!(world.fix().await, ["GET", "PATCH"]);
    assert_eq!(world.server.value(), "good");
    assert_eq!(world.fix().await, ["GET"], "what is right is left alone");
}

#[tokio::test(start_paused = true)]
async fn a_plan_and_an_enforcement_that_the_operator_does_not_allow_are_dry_runs() {
    for (mode, allow) in [("Plan", true), ("Enforce", false)] {
        let world = World::new(mode, allow);
        assert_eq!(world.fix().await, ["GET", "PATCH dry"]);
        assert_eq!((world.server.value(), world.outcome()), (json!("bad"), "Planned".to_owned()));
        assert_eq!(world.fix().await, ["GET"], "the same plan rests");
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_that_changed_meanwhile_is_judged_again_and_not_overwritten_unseen() {
    let world = World::new("Enforce", true);
    world.server.meddling.lock().extend([json!({"a": "worse"}), json!({"a": "good", "b": "new"})]);
    assert_eq!(world.fix().await, ["GET", "PATCH", "GET", "PATCH", "GET"]);
    assert_eq!(world.server.object.lock()["data"], json!({"a": "good", "b": "new"}));
}

#[tokio::test(start_paused = true)]
async fn another_object_of_the_same_name_is_not_touched() {
    let world = World::new("Enforce", true);
    world.server.object.lock()["metadata"]["uid"] = json!("other");
    assert_eq!(world.fix().await, ["GET"]);
    assert_eq!(world.server.value(), "bad");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_being_deleted_is_not_fixed() {
    let world = World::new("Enforce", true);
    world.server.object.lock()["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(world.fix().await, ["GET"]);
    assert_eq!(world.outcome(), "Deleting");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_and_not_tried_again_soon() {
    let world = World::new("Enforce", true);
    world.server.refusals.lock().push_back((403, "admission webhook denied the request"));
    assert_eq!(world.fix().await, ["GET", "PATCH"]);
    assert_eq!(world.outcome(), "Refused");
    sleep(SECOND * 50).await;
    assert_eq!(world.server.log(), [""; 0]);
    sleep(SECOND * 20).await;
    assert_eq!((world.server.log().len(), world.server.value()), (2, json!("good")));
}

#[tokio::test(start_paused = true)]
async fn a_missing_right_is_named_and_the_change_is_told_all_the_same() {
    let world = World::new("Enforce", true);
    world.server.refusals.lock().push_back((403, "User \"x\" cannot patch resource \"configmaps\""));
    world.fix().await;
    assert_eq!(world.outcome(), "NotVerified");
    let denied = world.fixer.parts.ledger.page("good", &[], 1).obstacles.rights().unwrap();
    assert!(denied.contains(r#"resources: ["configmaps"], verbs: ["get", "patch"]"#), "{denied}");
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_read_is_worked_out_from_what_the_watch_shows_and_seldom_asked_for() {
    for (mode, allow) in [("Plan", true), ("Enforce", true), ("Enforce", false)] {
        let world = World::new(mode, allow);
        world.server.unreadable.store(true, Ordering::Relaxed);
        assert_eq!(world.fix().await, ["GET"]);
        let page = world.fixer.parts.ledger.page("good", &[], 1);
        let fix = page.worst[0].1.fix.clone().unwrap();
        let told = (&*fix.outcome, fix.path.as_deref(), fix.from.as_deref(), fix.to.as_deref());
        assert_eq!(told, ("NotVerified", Some("data.a"), Some("bad"), Some("good")), "{mode}");
        assert!(fix.message.unwrap().contains("cannot get resource"));
        assert!(page.obstacles.rights().unwrap().contains(r#"verbs: ["get", "patch"]"#));
        assert_eq!(world.fix().await, [""; 0], "what was refused speaks for a while");
        sleep(SECOND * 61).await;
        assert_eq!(world.server.log(), ["GET"]);
        let text = world.fixer.parts.metrics.page().unwrap();
        assert!(
            text.contains(r#"watchpolicy_remediations_total{outcome="NotVerified",policy="good"} 1"#),
            "{text}"
        );
        world.server.unreadable.store(false, Ordering::Relaxed);
        sleep(SECOND * 61).await;
        assert_eq!(world.server.log()[0], "GET");
        assert_ne!(world.outcome(), "NotVerified", "{mode}: the right is there");
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_right_is_told_and_not_a_budget_that_is_used_up() {
    let world = World::new("Enforce", true);
    let use_up = || {
        let (mut memory, other) = (world.fixer.memory.lock(), "other".into());
        while memory.budgets.pay(&other, u32::MAX, Instant::now()).is_ok() {}
    };
    use_up();
    world.server.unreadable.store(true, Ordering::Relaxed);
    sleep(SECOND).await;
    world.fix().await;
    use_up();
    world.fix().await;
    assert_eq!(world.outcome(), "NotVerified");
}

#[tokio::test(start_paused = true)]
async fn a_policy_writes_the_element_that_it_judged_though_another_moved_it() {
    let gone = json!({
        "name": "debug", "forEach": "$.items", "when": [{"path": "$.name", "assert": {"like": "debug*"}}],
        "forbid": true, "fix": {"remove": true},
    });
    let limit = json!({
        "name": "limit", "forEach": "$.items", "when": [{"path": "$.name", "assert": {"equals": "app"}}],
        "path": "$.limit", "assert": {"exists": true}, "fix": {"set": "64Mi"},
    });
    let policies = [("a-gone", gone), ("b-limit", limit)];
    let policies = policies.map(|(name, rule)| named(name, "Enforce", &rule, &json!({})));
    let items = json!([{"name": "debug"}, {"name": "x"}, {"name": "app"}, {"name": "z"}]);
    let world = World::of(policies.into(), true, &json!({"items": items}));
    assert_eq!(world.fix().await, ["GET", "PATCH", "PATCH"]);
    let left = json!([{"name": "x"}, {"name": "app", "limit": "64Mi"}, {"name": "z"}]);
    assert_eq!(world.server.object.lock()["items"], left);
}

#[tokio::test(start_paused = true)]
async fn who_yields_adds_nothing_to_a_value_that_somebody_owns_as_a_whole() {
    let rule = json!({"name": "b", "path": "$.data.b", "assert": {"exists": true}, "fix": {"set": "ours"}});
    for (owned, log) in [(json!({}), vec!["GET"]), (json!({".": {}, "f:a": {}}), vec!["GET", "PATCH"])] {
        let policy = named("good", "Enforce", &rule, &json!({"onConflict": "Yield"}));
        let managed = json!([{"manager": "team", "operation": "Apply", "fieldsV1": {"f:data": owned}}]);
        let world = World::with(policy, true, &managed);
        assert_eq!(world.fix().await, log);
        assert_eq!(world.server.object.lock()["data"].get("b").is_some(), log.len() > 1);
        if log.len() == 1 {
            assert_eq!(world.outcome(), "Yielded");
        }
    }
}

/// A world of one policy with a large budget, and a rule on `data.a`.
pub(super) fn generous(mode: &str) -> World {
    let rule = json!({"name": "a", "path": "$.data.a", "assert": {"equals": "good"}, "fix": {"set": "good"}});
    World::with(named("good", mode, &rule, &json!({"maxPerMinute": 6000})), true, &json!([]))
}

#[tokio::test(start_paused = true)]
async fn a_plan_stands_while_the_same_would_be_planned() {
    let world = generous("Plan");
    assert_eq!(world.fix().await, ["GET", "PATCH dry"]);
    sleep(SECOND * 50_000).await;
    assert_eq!(world.server.log(), [""; 0]);
    assert_eq!((world.fix().await, world.outcome()), (vec!["GET".to_owned()], "Planned".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_lead_asks_nothing() {
    let world = World::new("Enforce", true);
    world.lead.set(false);
    assert_eq!(world.fix().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn who_begins_to_lead_fixes_what_was_found_before() {
    let world = World::new("Enforce", true);
    world.lead.set(false);
    let mut tasks = JoinSet::new();
    tasks.spawn(Arc::clone(&world.fixer).sweep(CancellationToken::new()));
    sleep(SECOND).await;
    assert_eq!(world.server.log(), [""; 0]);
    world.lead.set(true);
    sleep(SECOND).await;
    assert_eq!(world.server.log(), ["GET", "PATCH"]);
}

#[tokio::test(start_paused = true)]
async fn a_loss_of_leadership_that_nobody_saw_is_one_all_the_same() {
    let world = World::new("Enforce", true);
    world.server.refusals.lock().push_back((403, "admission webhook denied the request"));
    let mut tasks = JoinSet::new();
    tasks.spawn(Arc::clone(&world.fixer).sweep(CancellationToken::new()));
    sleep(SECOND).await;
    assert_eq!(world.server.log(), ["GET", "PATCH"]);
    world.lead.set(true);
    sleep(SECOND).await;
    assert_eq!(world.server.log(), [""; 0], "a renewal is none");
    world.lead.next();
    sleep(SECOND).await;
    assert_eq!(world.server.log(), ["GET", "PATCH"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_before_the_lease_names_its_kind() {
    let world = World::new("Enforce", true);
    world.lead.lease("secrets,pods");
    assert_eq!(world.fix().await, ["GET"]);
    assert_eq!(world.lead.memo(), "secrets,pods");
    world.lead.renew();
    sleep(SECOND / 10).await;
    assert_eq!(world.lead.memo(), "configmaps,pods", "beside what it said, as far as that can be");
    assert_eq!((world.server.log(), world.server.value()), (vec!["PATCH".to_owned()], json!("good")));
    world.server.object.lock()["data"] = json!({"a": "bad"});
    assert_eq!(world.fix().await, ["GET", "PATCH"], "once is enough");
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_names_namespaces_has_the_one_named_that_it_writes_in() {
    let rule = json!({"name": "a", "path": "$.data.a", "assert": {"equals": "good"}, "fix": {"set": "good"}});
    let targets = json!([{"resources": ["configmaps"], "namespaces": ["m", "n"]}]);
    let spec = json!({"mode": "Enforce", "targets": targets, "rules": [rule]});
    let world = World::with(compiled("good", &spec), true, &json!([]));
    world.lead.lease("");
    world.fix().await;
    world.lead.renew();
    assert_eq!(world.lead.memo(), "n/configmaps");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_cannot_be_renewed_keeps_nobody_waiting_for_long_and_is_told() {
    let world = World::new("Enforce", true);
    world.lead.lease("");
    world.fix().await;
    sleep(SECOND).await;
    assert_eq!((world.outcome(), world.server.value()), ("Waiting".to_owned(), json!("bad")));
    world.lead.renew();
    sleep(SECOND * 10).await;
    assert_eq!(world.server.value(), "good", "it is tried again by itself");
    let plans = World::new("Plan", true);
    plans.lead.lease("");
    assert_eq!(plans.fix().await, ["GET", "PATCH dry"], "what is not written is not named");
}

#[tokio::test(start_paused = true)]
async fn who_takes_back_what_it_wrote_says_where_the_server_keeps_no_entry_of_it() {
    let world = World::with(policy_that("Enforce", "Release"), true, &json!([]));
    let mut set = set_of(&[Arc::new(policy_that("Enforce", "Release"))]);
    for entry in set.entries.values_mut() {
        Arc::make_mut(entry).finalizers = [policy::FINALIZER.into()].into();
    }
    world.sets.send_replace(Arc::new(set));
    let kept = || world.fixer.parts.ledger.page("good", &[], 0).obstacles.kept();
    assert_eq!(world.fix().await, ["GET", "PATCH"]);
    assert!(kept().unwrap().contains("configmaps n/c"), "{:?}", kept());
    let entry =
        json!({"manager": "watchpolicy/good", "operation": "Update", "fieldsV1": {"f:data": {"f:a": {}}}});
    world.show(&json!({
        "metadata": {"name": "c", "namespace": "n", "uid": "u", "managedFields": [entry]}, "data": {"a": "bad"},
    }));
    assert_eq!(world.fix().await, ["GET", "PATCH"]);
    assert_eq!(kept(), None, "it does now");
}

#[tokio::test(start_paused = true)]
async fn an_object_whose_namespace_is_being_deleted_is_not_fixed() {
    let world = World::new("Enforce", true);
    world.server.namespace_ends.store(true, Ordering::Relaxed);
    assert_eq!(world.fix().await, ["GET"]);
    assert_eq!((world.outcome(), world.server.value()), ("Deleting".to_owned(), json!("bad")));
}

#[tokio::test(start_paused = true)]
async fn who_takes_back_what_it_wrote_writes_nothing_before_its_finalizer_is_there() {
    let policy = Arc::new(policy_that("Enforce", "Release"));
    let world = World::with(policy_that("Enforce", "Release"), true, &json!([]));
    let mut tasks = JoinSet::new();
    tasks.spawn(Arc::clone(&world.fixer).sweep(CancellationToken::new()));
    assert_eq!(world.fix().await, [""; 0], "it does not even read");
    assert_eq!(world.outcome(), "Waiting");
    sleep(SECOND * 3600).await;
    assert_eq!(world.server.log(), [""; 0]);
    let mut set = set_of(std::slice::from_ref(&policy));
    for entry in set.entries.values_mut() {
        Arc::make_mut(entry).finalizers = [policy::FINALIZER.into()].into();
    }
    world.sets.send_replace(Arc::new(set));
    sleep(SECOND * 2).await;
    assert_eq!(
        (world.server.log(), world.server.value()),
        (vec!["GET".to_owned(), "PATCH".to_owned()], json!("good"))
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_by_a_policy_that_is_not_as_it_is_known() {
    for (code, said) in [
        (200, json!({"items": []})),
        (200, json!({"items": [{"metadata": {"generation": 7}}]})),
        (200, json!({"items": [{"metadata": {"uid": "another"}}]})),
        (500, json!({"message": "no"})),
        (429, json!({"message": "busy"})),
    ] {
        let world = World::new("Enforce", true);
        *world.server.edition.lock() = Some((code, said.clone()));
        assert!(world.fix().await.iter().all(|asked| asked == "GET"), "{said}");
        assert_eq!(world.outcome(), "Waiting", "{said}");
        *world.server.edition.lock() = None;
        sleep(SECOND * 60).await;
        assert_eq!(world.server.value(), "good", "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_policy_is_is_asked_anew_after_ten_seconds() {
    let world = World::new("Enforce", true);
    let bad = world.server.object.lock().clone();
    assert_eq!(world.fix().await, ["GET", "PATCH"]);
    *world.server.edition.lock() = Some((200, json!({"items": []})));
    world.show(&bad);
    assert_eq!(world.fix().await, ["GET", "PATCH"], "it was asked a moment ago");
    sleep(SECOND * 10).await;
    world.show(&bad);
    assert!(world.fix().await.iter().all(|asked| asked == "GET"));
}
