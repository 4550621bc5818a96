use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};

use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::super::leftovers::Leftovers;
use super::super::proposal::Fixing;
use super::*;
use crate::crd::WatchPolicy;
use crate::jsonpath::Projection;
use crate::leader::testing::Lead;
use crate::ledger::Judged;
use crate::policy::{self, CompiledPolicy, PolicyEntry, PolicyState, compile};
use crate::queue::Retries;
use crate::resource::{Gvr, ObjectName};
use crate::store::{Served, Shelf};

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// An API server with one ConfigMap, which does as the real one does with patches.
#[derive(Default)]
pub(super) struct Server {
    object: Mutex<Value>,
    /// What others make of the object just before a patch arrives.
    meddling: Mutex<VecDeque<Value>>,
    /// Answers to patches instead of carrying them out.
    pub(super) refusals: Mutex<VecDeque<(u16, &'static str)>>,
    log: Mutex<Vec<String>>,
    namespace_ends: AtomicBool,
    /// Whether the object may not be read.
    pub(super) unreadable: AtomicBool,
}

impl Server {
    fn answer(&self, method: &str, uri: &http::Uri, body: &[u8]) -> (u16, Value) {
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
        if let Some((code, message)) = self.refusals.lock().pop_front() {
            return (code, json!({"message": message}));
        }
        if let Some(data) = self.meddling.lock().pop_front() {
            self.object.lock()["data"] = data;
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
        if !dry_run {
            *self.object.lock() = object.clone();
        }
        (200, object)
    }

    fn client(self: &Arc<Self>) -> kube::Client {
        let server = Arc::clone(self);
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let server = Arc::clone(&server);
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let (code, answer) = server.answer(parts.method.as_str(), &parts.uri, &body);
                let answer = Body::from(answer.to_string().into_bytes());
                Ok::<_, Infallible>(http::Response::builder().status(code).body(answer).unwrap())
            }
        });
        kube::Client::new(service, "default")
    }

    pub(super) fn value(&self) -> Value {
        self.object.lock()["data"]["a"].clone()
    }

    pub(super) fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock())
    }
}

/// A policy that wants `data.a` to be `good`.
fn policy(mode: &str) -> CompiledPolicy {
    policy_that(mode, "Keep")
}

/// The same with what it does when it is deleted.
fn policy_that(mode: &str, on_delete: &str) -> CompiledPolicy {
    let object = json!({
        "apiVersion": "watchpolicy.io/v1alpha1",
        "kind": "WatchPolicy",
        "metadata": {"name": "good"},
        "spec": {
            "mode": mode,
            "targets": [{"resources": ["configmaps"]}],
            "rules": [{"name": "a", "path": "$.data.a", "assert": {"equals": "good"}, "fix": {"set": "good"}}],
            "enforcement": {"maxPerMinute": 5, "onDelete": on_delete},
        },
    });
    let policy: WatchPolicy = serde_json::from_value(object).unwrap();
    compile(&policy, &policy::Settings::default()).unwrap()
}

/// A policy alone.
fn set_of(policy: &Arc<CompiledPolicy>) -> PolicySet {
    let entry = PolicyEntry {
        name: Arc::clone(&policy.name),
        uid: "u".into(),
        generation: 1,
        mode: Some(policy.mode),
        on_delete: Some(policy.enforcement.on_delete),
        deleting: false,
        finalizers: Box::default(),
        state: PolicyState::Compiled(Arc::clone(policy)),
        stored: None,
    };
    PolicySet { revision: 1, entries: [(Arc::clone(&entry.name), Arc::new(entry))].into() }
}

pub(super) struct World {
    pub(super) server: Arc<Server>,
    pub(super) fixer: Arc<Fixer>,
    key: ObjectKey,
    pub(super) lead: Lead,
    sets: watch::Sender<Arc<PolicySet>>,
    _fixers: JoinSet<()>,
}

impl World {
    /// A fixer, and a ConfigMap that fails.
    pub(super) fn new(mode: &str, allow: bool) -> Self {
        Self::with(policy(mode), allow, &json!([]))
    }

    /// The same with this policy, and with these managed fields of the ConfigMap.
    fn with(policy: CompiledPolicy, allow: bool, managed: &Value) -> Self {
        let server = Arc::new(Server::default());
        *server.object.lock() = json!({
            "metadata": {"name": "c", "namespace": "n", "uid": "u", "managedFields": managed}, "data": {"a": "bad"},
        });
        let metrics = Metrics::new("test").unwrap();
        let resource = Gvr::new("", "v1", "configmaps");
        let policy = Arc::new(policy);
        let roots = Arc::new(policy.roots(&resource.resource));
        let mut projection = Projection::default();
        policy.read(&resource.resource, &roots, &mut projection);
        let types = TypeMeta { api_version: "v1".into(), kind: "ConfigMap".into() };
        let document = Document::decode(&server.object.lock().to_string(), &projection, &types).unwrap();
        let object = ObjectName { namespace: Some("n".into()), name: "c".into() };
        let key = ObjectKey { resource: resource.resource.clone(), object };
        let ledger = Ledger::new();
        let known = Arc::new(document.clone());
        let fresh = Fixing { policy: Arc::clone(&policy), roots: Arc::clone(&roots), namespace: None, known };
        let store = Arc::new(Store::default());
        let judgement = fresh.policy.judge_among(
            &policy::Subject {
                resource: &key.resource,
                kind: "ConfigMap",
                roots: &roots,
                document: &document,
                namespace: None,
                now: Timestamp::UNIX_EPOCH,
            },
            &*store,
        );
        let (api_version, kind, uid) = ("v1".into(), "ConfigMap".into(), "u".into());
        let judgements = vec![(Arc::clone(&policy.name), judgement)];
        ledger.enter(
            Judged {
                key: &key,
                api_version: &api_version,
                kind: &kind,
                uid: &uid,
                listed: false,
                judgements,
            },
            Timestamp::UNIX_EPOCH,
        );
        let shelf = Shelf::new(1, resource, types, Arc::default());
        shelf.serve(vec![Served { policy: Arc::clone(&policy), roots, series: metrics.policy("good") }]);
        shelf.put(document);
        store.open(Arc::new(shelf));
        let lead = Lead::new(true);
        let queue = Queue::new(Retries::default(), 7, metrics.queue("fixes"));
        let (sets, set) = watch::channel(Arc::new(set_of(&policy)));
        let leftovers =
            Arc::new(Leftovers::new(Arc::clone(&store), policy::Fences::default(), "system".into()));
        let parts = Parts { queue, store, ledger, metrics, leadership: lead.leadership(), set, leftovers };
        let settings =
            Settings { allow, namespace: "system".into(), per_second: NonZeroU32::new(100).unwrap() };
        let fixer =
            Arc::new(Fixer::new(parts, Gate::new(server.client()), settings, || Timestamp::UNIX_EPOCH));
        let mut fixers = JoinSet::new();
        fixers.spawn(Arc::clone(&fixer).run());
        Self { server, fixer, key, lead, sets, _fixers: fixers }
    }

    /// Has the object looked at, and gives what was asked of the server.
    pub(super) async fn fix(&self) -> Vec<String> {
        self.fixer.parts.queue.add(self.key.clone(), Priority::LiveChange);
        sleep(SECOND / 10).await;
        self.server.log()
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
async fn who_breaks_it_again_and_again_is_left_alone_after_three_fixes() {
    let world = World::new("Enforce", true);
    let mut patches = 0;
    for round in 0..8 {
        world.server.object.lock()["data"] = json!({"a": format!("bad {round}")});
        patches += world.fix().await.iter().filter(|request| *request == "PATCH").count();
    }
    assert_eq!((patches, world.outcome()), (3, "Contested".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn who_has_used_up_a_budget_does_not_even_read() {
    let world = World::new("Enforce", true);
    for round in 0..5 {
        world.fixer.memory.lock().contests = Contests::default();
        world.server.object.lock()["data"] = json!({"a": format!("bad {round}")});
        assert_eq!(world.fix().await, ["GET", "PATCH"]);
    }
    world.server.object.lock()["data"] = json!({"a": "bad"});
    assert_eq!(world.fix().await, [""; 0]);
    sleep(SECOND * 61).await;
    assert_eq!(
        (world.server.log().len(), world.server.value()),
        (2, json!("good")),
        "once there is some left"
    );
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
    let mut set = set_of(&policy);
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

/// Managed fields of which a policy that is gone has some.
fn of_a_policy_that_is_gone() -> Value {
    let fields = json!({"f:data": {"f:b": {}}});
    json!([
        {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:data": {"f:a": {}}}},
        {"manager": "watchpolicy/gone", "operation": "Update", "fieldsV1": fields},
    ])
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_is_gone_leaves_no_ghost_of_a_manager() {
    let world = World::with(policy("Audit"), true, &of_a_policy_that_is_gone());
    assert_eq!(world.fixer.parts.leftovers.count("gone"), 1);
    assert_eq!(world.fix().await, ["GET", "PATCH"]);
    let left = world.server.object.lock()["metadata"]["managedFields"].clone();
    assert_eq!((left.as_array().unwrap().len(), &left[0]["manager"]), (1, &json!("kubectl")));
    assert_eq!(world.fix().await, ["GET"], "once");
}

#[tokio::test(start_paused = true)]
async fn who_may_not_write_lets_go_of_nothing_either() {
    let world = World::with(policy("Audit"), false, &of_a_policy_that_is_gone());
    assert_eq!(world.fix().await, [""; 0], "without the consent of the operator");
    let world = World::with(policy("Audit"), true, &of_a_policy_that_is_gone());
    world.lead.set(false);
    assert_eq!(world.fix().await, [""; 0], "without leadership");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_not_let_go_of_is_tried_again_slowly() {
    let world = World::with(policy("Audit"), true, &of_a_policy_that_is_gone());
    world.server.refusals.lock().push_back((403, "admission webhook denied the request"));
    assert_eq!(world.fix().await, ["GET", "PATCH"]);
    sleep(SECOND * 3500).await;
    assert_eq!(world.server.log(), [""; 0]);
    sleep(SECOND * 200).await;
    assert_eq!(world.server.log(), ["GET", "PATCH"]);
}

#[tokio::test(start_paused = true)]
async fn who_begins_to_lead_lets_go_of_what_policies_left_that_ended_before() {
    let world = World::with(policy("Audit"), true, &of_a_policy_that_is_gone());
    world.lead.set(false);
    let mut tasks = JoinSet::new();
    tasks.spawn(Arc::clone(&world.fixer).sweep(CancellationToken::new()));
    world.lead.set(true);
    sleep(SECOND).await;
    assert_eq!(world.server.log(), ["GET", "PATCH"]);
}
