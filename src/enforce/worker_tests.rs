use std::sync::OnceLock;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant as TokioInstant, sleep};

use super::*;
use crate::crd::WatchPolicy;
use crate::jsonpath::{Projection, TypeMeta};
use crate::policy::{Settings, compile};
use crate::queue::Retries;
use crate::resource::Gvr;
use crate::store::{Served, Shelf};

/// A wall clock that goes with the paused time of the tests.
fn clock() -> Timestamp {
    static START: OnceLock<TokioInstant> = OnceLock::new();
    let elapsed = START.get_or_init(TokioInstant::now).elapsed();
    Timestamp::from_second(1_800_000_000).unwrap() + elapsed
}

/// ConfigMaps are two days old at most.
fn policy() -> CompiledPolicy {
    let object = json!({
        "apiVersion": "watchpolicy.io/v1alpha1",
        "kind": "WatchPolicy",
        "metadata": {"name": "young"},
        "spec": {
            "targets": [{"resources": ["configmaps"]}],
            "rules": [{"name": "age", "path": "$.made", "measure": "Age", "assert": {"atMost": "2d"}}],
        },
    });
    let policy: WatchPolicy = serde_json::from_value(object).unwrap();
    compile(&policy, &Settings::default()).unwrap()
}

/// ConfigMaps have a value that is written where it is missing.
fn fixing() -> CompiledPolicy {
    let object = json!({
        "apiVersion": "watchpolicy.io/v1alpha1",
        "kind": "WatchPolicy",
        "metadata": {"name": "young"},
        "spec": {
            "mode": "Enforce",
            "targets": [{"resources": ["configmaps"]}],
            "rules": [{"name": "a", "path": "$.data.a", "assert": {"exists": true}, "fix": {"set": "x"}}],
        },
    });
    let policy: WatchPolicy = serde_json::from_value(object).unwrap();
    compile(&policy, &Settings::default()).unwrap()
}

/// A store with one ConfigMap that was made now.
fn store(policy: CompiledPolicy, resource: &Gvr, metrics: &Metrics) -> Arc<Store> {
    let policy = Arc::new(policy);
    let roots = policy.roots(&resource.resource);
    let mut projection = Projection::default();
    policy.read(&resource.resource, &roots, &mut projection);
    let types = TypeMeta { api_version: "v1".into(), kind: "ConfigMap".into() };
    let object =
        json!({"metadata": {"name": "c", "namespace": "n", "uid": "u"}, "made": clock().to_string()});
    let document = Document::decode(&object.to_string(), &projection, &types).unwrap();
    let shelf = Shelf::new(1, resource.clone(), types, Arc::default());
    shelf.serve(vec![Served { policy, roots: Arc::new(roots), series: metrics.policy("young") }]);
    shelf.put(document);
    let store = Arc::new(Store::default());
    store.open(Arc::new(shelf));
    store
}

fn worker(policy: CompiledPolicy, resource: &Gvr) -> Arc<Worker> {
    let metrics = Metrics::new("test").unwrap();
    Arc::new(Worker {
        queue: Queue::new(Retries::default(), 7, metrics.queue("objects")),
        store: store(policy, resource, &metrics),
        ledger: Ledger::new(),
        fixes: Queue::new(Retries::default(), 7, metrics.queue("fixes")),
        leadership: Leadership::alone(),
        metrics,
        clock,
        journal: true,
    })
}

/// A shelf with one object in a version, which serves one policy that the object breaks.
fn shelf(epoch: u64, version: &str, policy: &str, metrics: &Metrics) -> Shelf {
    let resource = Gvr::new("", version, "configmaps");
    let object = json!({
        "apiVersion": "watchpolicy.io/v1alpha1",
        "kind": "WatchPolicy",
        "metadata": {"name": policy},
        "spec": {
            "targets": [{"resources": ["configmaps"], "version": version}],
            "rules": [{"name": "a", "path": "$.data.a", "assert": {"exists": true}}],
        },
    });
    let object: WatchPolicy = serde_json::from_value(object).unwrap();
    let policy = Arc::new(compile(&object, &Settings::default()).unwrap());
    let roots = Arc::new(policy.roots(&resource.resource));
    let mut projection = Projection::default();
    policy.read(&resource.resource, &roots, &mut projection);
    let types = TypeMeta { api_version: version.into(), kind: "ConfigMap".into() };
    let object = json!({"metadata": {"name": "c", "namespace": "n", "uid": "u"}}).to_string();
    let shelf = Shelf::new(epoch, resource, types.clone(), Arc::default());
    let series = metrics.policy(&policy.name);
    shelf.serve(vec![Served { policy, roots, series }]);
    shelf.put(Document::decode(&object, &projection, &types).unwrap());
    shelf
}

fn key(resource: Gvr) -> ObjectKey {
    let object = ObjectName { namespace: Some("n".into()), name: "c".into() };
    ObjectKey { resource: resource.resource, object }
}

#[tokio::test(start_paused = true)]
async fn a_newer_version_does_not_wait_for_what_failed_before() {
    let resource = Gvr::new("", "v1", "configmaps");
    let (worker, key) = (worker(fixing(), &resource), key(resource));
    let fixes = &worker.fixes;
    let failures = async || {
        let claim = fixes.get().await.unwrap();
        fixes.retry(claim.key()).failures
    };
    fixes.add(&key, Priority::LiveChange);
    for so_many in 1..=20 {
        assert_eq!(failures().await, so_many);
    }
    worker.judge(&key, Priority::Resync);
    assert_eq!(failures().await, 21, "a resync shows nothing new");
    worker.judge(&key, Priority::LiveChange);
    assert_eq!(failures().await, 1);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_does_not_change_is_judged_again_when_time_changes_the_answer() {
    let resource = Gvr::new("", "v1", "configmaps");
    let worker = worker(policy(), &resource);
    let mut workers = JoinSet::new();
    workers.spawn(Arc::clone(&worker).run());
    worker.queue.add(&key(resource), Priority::LiveChange);
    let counts = || {
        let summary = worker.ledger.tally("young").summary;
        (summary.passed, summary.failed)
    };
    sleep(Duration::from_secs(2 * 86_400 - 1)).await;
    assert_eq!(counts(), (1, 0));
    sleep(Duration::from_secs(2)).await;
    assert_eq!(counts(), (0, 1));
    worker.queue.shutdown();
    workers.join_next().await.unwrap().unwrap();
}

#[test]
fn what_a_policy_finds_names_the_version_in_which_the_policy_sees_the_object() {
    let resource = Gvr::new("", "v1", "configmaps");
    let (worker, key) = (worker(policy(), &resource), key(resource));
    let store = Arc::new(Store::default());
    store.open(Arc::new(shelf(1, "v1", "old", &worker.metrics)));
    store.open(Arc::new(shelf(2, "v2", "new", &worker.metrics)));
    let worker = Worker { store, ledger: Ledger::new(), ..Arc::into_inner(worker).unwrap() };
    worker.judge(&key, Priority::LiveChange);
    let found = worker.ledger.findings_on(&key);
    let found: Vec<_> = found.iter().map(|(policy, _, found)| (&**policy, &*found.api_version)).collect();
    assert_eq!(found, [("new", "v2"), ("old", "v1")]);
}
