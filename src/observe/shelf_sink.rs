//! From raw items to documents on a shelf, and from changed documents to keys in the queue.

use std::sync::Arc;

use tokio::sync::{Notify, watch};

use super::fleet::Stand;
use super::informer::{Phase, Signal, Sink};
use crate::jsonpath::{Document, Projection};
use crate::metrics::{Priority, TargetSeries, WatchFailure};
use crate::queue::Queue;
use crate::resource::{GroupResource, ObjectKey, ObjectName};
use crate::store::{Change, Put, Shelf, Store};

/// The sink of a target's informer.
pub(super) struct ShelfSink {
    pub(super) shelf: Arc<Shelf>,
    pub(super) store: Arc<Store>,
    pub(super) projection: Arc<Projection>,
    pub(super) queue: Arc<Queue<ObjectKey>>,
    pub(super) series: TargetSeries,
    pub(super) stand: watch::Sender<Stand>,
    pub(super) woken: Arc<Notify>,
    /// Of what is seen now: found by a list, or told by the watch.
    pub(super) priority: Priority,
    /// Keys of the page under way: workers are called once for all of them.
    pub(super) page: Vec<ObjectKey>,
}

impl ShelfSink {
    fn enqueue(&mut self, object: ObjectName) {
        let key = ObjectKey { resource: self.shelf.resource.resource.clone(), object };
        match self.priority {
            Priority::InitialList => self.page.push(key),
            priority => self.queue.add(&key, priority),
        }
    }

    fn enqueue_all(&mut self, keys: Vec<ObjectKey>) {
        match self.priority {
            Priority::InitialList => self.page.extend(keys),
            priority => self.queue.add_all(&keys, priority),
        }
    }

    /// Hands over what a page of a list has brought.
    fn turn(&mut self) {
        if !self.page.is_empty() {
            self.queue.add_all(&std::mem::take(&mut self.page), self.priority);
        }
    }

    /// Enqueues an object that changed, came or went, and those whose verdict depends on it.
    fn enqueue_with(&mut self, object: ObjectName, document: &Document) {
        self.enqueue_all(self.store.judged_with(document));
        let around = self.shelf.around();
        // What is in Namespaces is enqueued as a whole when their first list is complete.
        if !around.is_empty() && self.shelf.is_synced() {
            self.enqueue_all(self.store.judged_in(Some(&object.name), &around));
        }
        self.enqueue(object);
    }

    /// `None` for an item that has not even a name: it cannot be judged, only counted.
    fn decode(&self, raw: &str) -> Option<Document> {
        Document::decode(raw, &self.projection, &self.shelf.types)
            .inspect_err(|error| {
                self.series.failure(WatchFailure::Undecodable);
                let GroupResource { group, resource } = &self.shelf.resource.resource;
                tracing::warn!(group = &**group, resource = &**resource, %error, "an item without identity was passed over");
            })
            .ok()
    }
}

impl Sink for ShelfSink {
    fn listing(&mut self) {
        self.priority = Priority::InitialList;
        self.shelf.begin_list();
    }

    fn seen(&mut self, raw: &str) {
        let Some(document) = self.decode(raw) else { return };
        let Put { name, change, predecessor } = self.shelf.put(document);
        if let Some(gone) = predecessor {
            self.enqueue_all(self.store.judged_with(&gone));
        }
        match change {
            Change::Changed => {
                if let Some(document) = self.shelf.get(&name) {
                    self.enqueue_with(name, &document);
                }
            }
            Change::Unchanged => self.series.unchanged(),
            // Whatever was known of it is withdrawn.
            Change::Refused => self.enqueue(name),
        }
        if self.stand.borrow().phase == Phase::Synced && self.shelf.exceeded().is_some() {
            self.phase(Phase::Synced);
        }
    }

    fn deleted(&mut self, raw: &str) {
        let Some(Document { id, .. }) = self.decode(raw) else { return };
        let name = ObjectName { namespace: id.namespace, name: id.name };
        if let Some(document) = self.shelf.remove(&name) {
            self.enqueue_with(name, &document);
        }
    }

    fn listed(&mut self) {
        let is_first = !self.shelf.is_synced();
        for (name, document) in self.shelf.sweep() {
            self.enqueue_with(name, &document);
        }
        if is_first {
            self.store.overtaken(&self.shelf).into_iter().for_each(|name| self.enqueue(name));
        }
        let around = self.shelf.around();
        if is_first && !around.is_empty() {
            self.enqueue_all(self.store.judged_in(None, &around));
        }
        self.turn();
        self.priority = Priority::LiveChange;
    }

    /// A list may find what there is room for by now.
    fn wants_list(&self) -> bool {
        self.shelf.exceeded().is_some()
    }

    fn phase(&mut self, phase: Phase) {
        let phase = match (phase, self.shelf.exceeded()) {
            (Phase::Synced, Some(exceeded)) => Phase::LimitExceeded(exceeded.to_string()),
            (phase, _) => phase,
        };
        let changed = self.stand.send_if_modified(|stand| {
            let changed = stand.phase != phase;
            if changed {
                tell(&self.shelf.resource.resource, &phase);
                *stand = Stand { phase, since: jiff::Timestamp::now() };
            }
            changed
        });
        if changed {
            self.woken.notify_one();
        }
    }

    fn alive(&mut self) {
        self.turn();
        self.shelf.alive(jiff::Timestamp::now());
    }

    fn count(&mut self, signal: Signal) {
        match signal {
            Signal::Event(kind) => self.series.event(kind),
            Signal::Failure(failure) => self.series.failure(failure),
            Signal::Listed(took) => self.series.listed(took),
        }
    }
}

/// The field is not called `target`: log lines have one of that name, the module.
fn tell(resource: &GroupResource, phase: &Phase) {
    let (group, resource) = (&*resource.group, &*resource.resource);
    match phase {
        Phase::Listing => tracing::debug!(group, resource, "listing"),
        Phase::Synced => tracing::info!(group, resource, "synced"),
        Phase::Absent => tracing::info!(group, resource, "not served at this moment"),
        Phase::Forbidden { verb } => {
            tracing::warn!(group, resource, verb, "forbidden; the policy's status has the cure");
        }
        Phase::Degraded(why) => tracing::warn!(group, resource, why, "degraded"),
        Phase::LimitExceeded(why) => tracing::warn!(group, resource, why, "not all of it is judged"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::crd::WatchPolicy;
    use crate::jsonpath::TypeMeta;
    use crate::metrics::Metrics;
    use crate::policy::{self, CompiledPolicy};
    use crate::queue::Retries;
    use crate::resource::Gvr;
    use crate::store::Served;

    fn policy(targets: &str) -> Arc<CompiledPolicy> {
        let yaml = format!(
            "{{apiVersion: watchpolicy.io/v1alpha1, kind: WatchPolicy, metadata: {{name: p, uid: u-p}}, spec: \
             {{targets: {targets}, rules: [{{name: r, path: $.spec.a, assert: {{exists: true}}}}]}}}}"
        );
        let policy: WatchPolicy = serde_saphyr::from_str(&yaml).unwrap();
        Arc::new(policy::compile(&policy, &policy::Settings::default()).unwrap())
    }

    struct Bench {
        metrics: Arc<Metrics>,
        store: Arc<Store>,
        queue: Arc<Queue<ObjectKey>>,
        policy: Arc<CompiledPolicy>,
    }

    impl Bench {
        fn new(targets: &str) -> Self {
            let metrics = Metrics::new("test").unwrap();
            let queue = Queue::new(Retries::default(), 1, metrics.queue("objects"));
            Self { queue, store: Arc::default(), policy: policy(targets), metrics }
        }

        /// A sink of a resource that the policy targets, or that is watched for what it says of others.
        fn sink(&self, epoch: u64, resource: &Gvr) -> ShelfSink {
            let types = TypeMeta { api_version: "v1".into(), kind: "Kind".into() };
            let shelf = Arc::new(Shelf::new(epoch, resource.clone(), types, self.store.room()));
            let mut projection = Projection::default();
            if self.policy.targets(&resource.resource) {
                let (policy, roots) = (Arc::clone(&self.policy), self.policy.roots(&resource.resource));
                policy.read(&resource.resource, &roots, &mut projection);
                shelf.serve(vec![Served {
                    policy,
                    roots: Arc::new(roots),
                    series: self.metrics.policy("p"),
                }]);
            } else {
                self.policy.read_namespace(&mut projection);
            }
            self.store.open(Arc::clone(&shelf));
            ShelfSink {
                shelf,
                store: Arc::clone(&self.store),
                projection: Arc::new(projection),
                queue: Arc::clone(&self.queue),
                series: self.metrics.target(&resource.resource),
                stand: watch::channel(Stand { phase: Phase::Listing, since: jiff::Timestamp::UNIX_EPOCH }).0,
                woken: Arc::default(),
                priority: Priority::LiveChange,
                page: Vec::new(),
            }
        }

        /// The keys in the queue, but for those of one resource; they are taken out.
        async fn enqueued(&self, but: &str) -> BTreeSet<String> {
            let mut keys = BTreeSet::new();
            while !self.queue.is_empty() {
                let claim = self.queue.get().await.unwrap();
                keys.extend(Some(claim.key().to_string()).filter(|key| !key.starts_with(but)));
            }
            keys
        }
    }

    fn raw(name: &str, namespace: &str, labels: &str, controller: &str) -> String {
        format!(
            r#"{{"metadata":{{"name":"{name}","namespace":"{namespace}","uid":"u-{name}","labels":{{{labels}}},
            "ownerReferences":[{{"uid":"{controller}","controller":true}}]}},"spec":{{}}}}"#
        )
    }

    fn set<const N: usize>(keys: [&str; N]) -> BTreeSet<String> {
        keys.map(str::to_owned).into()
    }

    #[tokio::test]
    async fn what_is_in_a_namespace_is_judged_again_when_its_labels_change() {
        let bench = Bench::new("[{resources: [configmaps], namespaceSelector: {matchLabels: {env: prod}}}]");
        let mut maps = bench.sink(1, &Gvr::new("", "v1", "configmaps"));
        maps.seen(&raw("x", "a", "", ""));
        maps.seen(&raw("y", "b", "", ""));
        maps.listed();
        let mut namespaces = bench.sink(2, &Gvr::new("", "v1", "namespaces"));
        namespaces.shelf.surround(vec![Arc::clone(&bench.policy)]);
        assert!(bench.store.around(&bench.policy).is_none(), "not before it is synced");
        bench.enqueued("").await;

        namespaces.seen(&raw("a", "", "", ""));
        assert_eq!(bench.enqueued("namespaces").await, set([]), "each alone would be a scan of everything");
        namespaces.listed();
        assert_eq!(bench.enqueued("namespaces").await, set(["configmaps a/x", "configmaps b/y"]));
        assert!(bench.store.around(&bench.policy).is_some());

        namespaces.seen(&raw("a", "", r#""env":"prod""#, ""));
        assert_eq!(bench.enqueued("namespaces").await, set(["configmaps a/x"]));
        namespaces.seen(&raw("a", "", r#""env":"prod""#, ""));
        assert_eq!(bench.enqueued("namespaces").await, set([]), "nothing that is read has changed");
        namespaces.deleted(&raw("a", "", "", ""));
        assert_eq!(bench.enqueued("namespaces").await, set(["configmaps a/x"]));
    }

    #[tokio::test]
    async fn an_owner_that_comes_changes_or_goes_corrects_what_is_below_it() {
        let bench = Bench::new("[{resources: [pods]}, {group: apps, resources: [deployments]}]");
        let mut pods = bench.sink(1, &Gvr::new("", "v1", "pods"));
        let mut between = bench.sink(2, &Gvr::new("apps", "v1", "replicasets"));
        let mut deployments = bench.sink(3, &Gvr::new("apps", "v1", "deployments"));
        pods.seen(&raw("p", "a", "", "u-r"));
        pods.seen(&raw("forged", "b", "", "u-r"));
        pods.seen(&raw("stranger", "a", "", "u-other"));
        bench.enqueued("").await;

        between.seen(&raw("r", "a", "", "u-d"));
        assert_eq!(bench.enqueued("replicasets").await, set(["pods a/p"]));
        deployments.seen(&raw("d", "a", "", ""));
        assert_eq!(bench.enqueued("deployments").await, set(["pods a/p"]), "through the ReplicaSet");
        deployments.deleted(&raw("d", "a", "", ""));
        assert_eq!(bench.enqueued("deployments").await, set(["pods a/p"]));
        let anew = raw("r", "a", "", "u-d").replace("u-r", "u-anew");
        between.seen(&anew);
        assert_eq!(bench.enqueued("replicasets").await, set(["pods a/p"]), "another object of the same name");
    }
}
