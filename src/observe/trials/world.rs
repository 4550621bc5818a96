//! All that observes and judges, against a [`Server`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::server::Server;
use crate::crd::TargetState;
use crate::enforce::Worker;
use crate::jsonpath::{Document, Projection, Roots, TypeMeta};
use crate::leader::Leadership;
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::observe::board::{Board, TargetReport};
use crate::observe::catalog::{self, ChangeSink, Changes, Discovery};
use crate::observe::fleet::{self, Fleet};
use crate::observe::informer::{self, Informer};
use crate::observe::policies::{self, PolicySink};
use crate::observe::turns::Turns;
use crate::observe::wire::{Limits, Wire};
use crate::policy::catalog::Catalog;
use crate::policy::demand::{WatchSpec, demand};
use crate::policy::{self, CompiledPolicy, Judgement, Outcome, PolicySet, Subject};
use crate::queue::{Queue, Retries};
use crate::resource::{GroupResource, ObjectKey, ObjectName};
use crate::store::{Shelf, Store};

pub(super) const LINGER: Duration = Duration::from_secs(20);

pub(super) struct World {
    pub(super) server: Arc<Server>,
    pub(super) store: Arc<Store>,
    pub(super) queue: Arc<Queue<ObjectKey>>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) board: watch::Receiver<Arc<Board>>,
    set: watch::Receiver<Arc<PolicySet>>,
    catalog: watch::Receiver<Option<Arc<Catalog>>>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    generation: u64,
    start: tokio::time::Instant,
}

impl World {
    pub(super) fn new(server: Arc<Server>) -> Self {
        let metrics = Metrics::new("test").unwrap();
        let store = Arc::new(Store::default());
        let ledger = Ledger::new();
        let queue = Queue::new(Retries::default(), 1, metrics.queue("objects"));
        let wire = Wire::new(server.client(), Limits::default());
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        let changes = Arc::<Changes>::default();
        let patience = informer::Settings::default();
        for collection in catalog::collections() {
            let sink = ChangeSink::new("definitions", Arc::clone(&changes));
            let informer = Informer::new(wire.clone(), collection, patience.clone(), sink);
            let stop = stop.clone();
            tasks.spawn(async move { drop(informer.run(stop).await) });
        }
        let (sink, set) = PolicySink::new(policy::Settings::default());
        let informer = Informer::new(wire.clone(), policies::collection(), patience.clone(), sink);
        let stopped = stop.clone();
        tasks.spawn(async move { drop(informer.run(stopped).await) });
        let (discovery, catalog) = Discovery::new(wire.clone());
        tasks.spawn(discovery.run(changes, set.clone(), stop.clone()));
        let parts = fleet::Parts {
            wire,
            store: Arc::clone(&store),
            queue: Arc::clone(&queue),
            metrics: Arc::clone(&metrics),
            looked_through: watch::channel(Arc::default()).1,
        };
        let settings = fleet::Settings {
            informer: informer::Settings { turns: Arc::new(Turns::new(4)), ..patience },
            linger: LINGER,
            resync: None,
            limits: fleet::Limits::default(),
        };
        let (fleet, board) = Fleet::new(parts, settings);
        tasks.spawn(fleet.run(set.clone(), catalog.clone(), stop.clone()));
        let worker = Worker {
            queue: Arc::clone(&queue),
            store: Arc::clone(&store),
            ledger: Arc::clone(&ledger),
            fixes: Queue::new(Retries::default(), 1, metrics.queue("fixes")),
            leadership: Leadership::alone(),
            metrics: Arc::clone(&metrics),
            clock: jiff::Timestamp::now,
            journal: false,
        };
        tasks.spawn(Arc::new(worker).run());
        Self {
            server,
            store,
            queue,
            ledger,
            metrics,
            board,
            set,
            catalog,
            stop,
            tasks,
            generation: 0,
            start: tokio::time::Instant::now(),
        }
    }

    pub(super) fn age(&self) -> Duration {
        self.start.elapsed()
    }

    pub(super) async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    pub(super) async fn end(mut self) {
        self.stop.cancel();
        self.queue.shutdown();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        assert!(self.server.open().is_empty(), "{:?}", self.server.open());
    }

    // ---- what users do ----

    /// Writes a policy: `spec` is YAML. Each write is a new generation.
    pub(super) fn policy(&mut self, name: &str, spec: &str) {
        self.generation += 1;
        let spec: serde_json::Value =
            serde_saphyr::from_str(spec).unwrap_or_else(|error| panic!("{error}: {spec}"));
        let metadata = format!(r#","uid":"u-{name}","generation":{}"#, self.generation);
        let rest = format!(r#","apiVersion":"watchpolicy.io/v1alpha1","kind":"WatchPolicy","spec":{spec}"#);
        self.server.put(&policy_resource(), &policy_name(name), &metadata, &rest);
    }

    pub(super) fn forget_policy(&self, name: &str) {
        self.server.delete(&policy_resource(), &policy_name(name));
    }

    // ---- what is to hold ----

    pub(super) fn target(&self, policy: &str) -> TargetReport {
        self.board.borrow().policies[policy][0].clone()
    }

    pub(super) fn state(&self, policy: &str) -> TargetState {
        self.target(policy).state
    }

    fn wanted(&self) -> Vec<WatchSpec> {
        let catalog = self.catalog.borrow().clone().unwrap();
        demand(&self.set.borrow(), &catalog).watches
    }

    /// At rest: what is open is what is wanted, each once.
    pub(super) fn check_watches(&self) {
        let own = ["watchpolicies", "customresourcedefinitions", "apiservices"];
        let mut open = self.server.open();
        open.retain(|path, _| !own.iter().any(|own| path.ends_with(own)));
        let path = |spec: &WatchSpec| {
            let (group, version) = (&spec.resource.resource.group, &spec.resource.version);
            let mut path = if group.is_empty() {
                format!("/api/{version}/")
            } else {
                format!("/apis/{group}/{version}/")
            };
            if let Some(namespace) = &spec.namespace {
                write!(path, "namespaces/{namespace}/").unwrap();
            }
            path.push_str(&spec.resource.resource.resource);
            if let Some(fields) = &spec.fields {
                write!(path, "?{fields}").unwrap();
            }
            path
        };
        let wanted: BTreeMap<String, usize> = self.wanted().iter().map(|spec| (path(spec), 1)).collect();
        assert_eq!(open, wanted, "the open watches, and the wanted ones; kept: {:#?}", self.shelves());
    }

    /// The shelves and whom they serve, for people.
    fn shelves(&self) -> Vec<String> {
        let names = |shelf: &Shelf| {
            let serving = shelf.serving();
            serving
                .iter()
                .map(|served| format!("{} {}", served.policy.name, served.policy.generation))
                .collect::<Vec<_>>()
        };
        let show = |shelf: Arc<Shelf>| {
            format!("{} {} {:?} serves {:?}", shelf.epoch, shelf.resource, shelf.state(), names(&shelf))
        };
        self.store.shelves().into_iter().map(show).collect()
    }

    /// At rest: each shelf holds what a fresh list would show, in the newest version.
    pub(super) fn check_store(&self) {
        let wanted = self.wanted();
        for shelf in self.store.shelves() {
            let spec = wanted.iter().find(|spec| {
                spec.resource == shelf.resource
                    && shelf
                        .names()
                        .iter()
                        .all(|name| spec.namespace.is_none() || spec.namespace == name.namespace)
            });
            let spec = spec.unwrap_or_else(|| panic!("{} is kept and not wanted", shelf.resource));
            assert!(shelf.is_synced(), "{}", shelf.resource);
            for (name, (_, version)) in self.server.objects(&shelf.resource.resource) {
                let is_near = spec.namespace.is_none() || spec.namespace == name.namespace;
                match shelf.get(&name) {
                    Some(document) => {
                        assert_eq!(*document.id.resource_version, *version.to_string(), "{name:?}");
                    }
                    None => {
                        assert!(!is_near || spec.fields.is_some() || shelf.is_empty(), "{name:?} is missing");
                    }
                }
            }
            let held: BTreeSet<_> = shelf.names().into_iter().collect();
            let there: BTreeSet<_> = self.server.objects(&shelf.resource.resource).into_keys().collect();
            assert!(held.is_subset(&there), "{held:?} is kept, {there:?} is there");
        }
    }

    /// At rest: the counts are those of judging everything that the server holds, whole, by each policy.
    pub(super) fn check_verdicts(&self) {
        let set = Arc::clone(&self.set.borrow());
        let catalog = self.catalog.borrow().clone().unwrap();
        let demand = demand(&set, &catalog);
        for policy in set.running() {
            let mut expected = BTreeMap::<&str, u64>::new();
            for target in &demand.targets[&policy.name] {
                let Ok(found) = &target.found else { continue };
                let kind = self.server.served(&found.resource).unwrap().kind;
                for (name, (raw, _)) in self.server.objects(&found.resource) {
                    *expected
                        .entry(self.outcome(policy, (&found.resource, kind), &name, &raw))
                        .or_default() += 1;
                }
            }
            expected.remove("not taken");
            let summary = self.ledger.tally(&policy.name).summary;
            let (passed, failed, errored) = (summary.passed, summary.failed, summary.errored);
            let counts =
                [("passed", passed), ("failed", failed), ("errored", errored), ("skipped", summary.skipped)];
            let counts = counts.into_iter().filter(|(_, count)| *count > 0).collect::<BTreeMap<_, _>>();
            assert_eq!(counts, expected, "{}", policy.name);
        }
    }

    fn outcome(
        &self,
        policy: &Arc<CompiledPolicy>,
        (resource, kind): (&GroupResource, &str),
        name: &ObjectName,
        raw: &str,
    ) -> &'static str {
        let types = TypeMeta { api_version: "v1".into(), kind: kind.into() };
        let mut everything = Projection::default();
        let whole = crate::jsonpath::Path::parse("$").unwrap();
        everything.read(&whole, &Roots::default(), None);
        everything.read_labels();
        let document = Document::decode(raw, &everything, &types).unwrap();
        let namespaces = self.server.objects(&GroupResource::new("", "namespaces"));
        let around = name
            .namespace
            .as_ref()
            .map(|namespace| ObjectName { namespace: None, name: Arc::clone(namespace) });
        let around = around.and_then(|around| namespaces.get(&around));
        let around = around.map(|(raw, _)| Document::decode(raw, &everything, &types).unwrap());
        let roots = policy.roots(resource);
        let subject = Subject {
            resource,
            kind,
            roots: &roots,
            document: &document,
            namespace: around.as_ref(),
            now: jiff::Timestamp::now(),
        };
        match policy.judge(&subject) {
            Judgement::NotTaken => "not taken",
            Judgement::Excluded { .. } => "excluded",
            Judgement::Judged(verdict) => match verdict.outcome {
                Outcome::Pass => "passed",
                Outcome::Fail => "failed",
                Outcome::Error => "errored",
                Outcome::Skip => "skipped",
            },
        }
    }
}

fn policy_resource() -> GroupResource {
    GroupResource::new("watchpolicy.io", "watchpolicies")
}

fn policy_name(name: &str) -> ObjectName {
    ObjectName { namespace: None, name: name.into() }
}
