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

/// A store with one ConfigMap that was made now.
fn store(resource: &Gvr, metrics: &Metrics) -> Arc<Store> {
    let policy = Arc::new(policy());
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

#[tokio::test(start_paused = true)]
async fn an_object_that_does_not_change_is_judged_again_when_time_changes_the_answer() {
    let metrics = Metrics::new("test").unwrap();
    let resource = Gvr::new("", "v1", "configmaps");
    let worker = Arc::new(Worker {
        queue: Queue::new(Retries::default(), 7, metrics.queue("objects")),
        store: store(&resource, &metrics),
        ledger: Ledger::new(),
        fixes: Queue::new(Retries::default(), 7, metrics.queue("fixes")),
        leadership: Leadership::alone(),
        metrics,
        clock,
        journal: true,
    });
    let mut workers = JoinSet::new();
    workers.spawn(Arc::clone(&worker).run());
    let object = ObjectName { namespace: Some("n".into()), name: "c".into() };
    worker.queue.add(&ObjectKey { resource: resource.resource, object }, Priority::LiveChange);
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
