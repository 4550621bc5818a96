//! The fleet makes the running informers equal to the wanted watches.
//!
//! Make before break: a watch that a policy edit made too narrow goes on serving until the wider one is synced.
//! A watch that nobody wants any more lingers a while, so that a policy deleted and created again costs no list.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::board::{Board, TargetReport, TargetState};
use super::informer::{self, Informer, Phase};
use super::shelf_sink::ShelfSink;
use super::wire::{Collection, Wire};
use crate::jsonpath::{Roots, TypeMeta};
use crate::metrics::Metrics;
use crate::policy::catalog::Catalog;
use crate::policy::demand::{Demand, PolicyTarget, WatchSpec, demand};
use crate::policy::{CompiledPolicy, PolicySet};
use crate::queue::Queue;
use crate::resource::{GroupResource, Gvr, ObjectKey, ObjectName};
use crate::store::{Served, Shelf, Store};

/// How the fleet sails.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Each informer's patience.
    pub informer: informer::Settings,
    /// How long a watch is kept that nobody wants.
    pub linger: Duration,
}

/// What the fleet works with.
pub struct Parts {
    /// Requests go through it.
    pub wire: Wire,
    /// Shelves are opened and closed in it.
    pub store: Arc<Store>,
    /// Keys to be judged again go into it.
    pub queue: Arc<Queue<ObjectKey>>,
    /// Series of targets.
    pub metrics: Arc<Metrics>,
}

/// What an informer last said, and since when it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stand {
    pub(super) phase: Phase,
    pub(super) since: jiff::Timestamp,
}

/// Why a watch runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Policies want it.
    Wanted,
    /// It serves until those that are wanted in its place are synced.
    Superseded,
    /// Nobody wants it; it waits for somebody until then.
    Lingering(Instant),
}

struct Running {
    spec: WatchSpec,
    shelf: Arc<Shelf>,
    stand: watch::Receiver<Stand>,
    stop: CancellationToken,
    role: Role,
}

impl Running {
    fn is_synced(&self) -> bool {
        self.stand.borrow().phase == Phase::Synced
    }
}

/// Since when which target of which policy has been missing, and why.
type Since = BTreeMap<(Arc<str>, GroupResource, String), jiff::Timestamp>;

/// See the module.
pub struct Fleet {
    parts: Parts,
    settings: Settings,
    running: BTreeMap<u64, Running>,
    tasks: JoinSet<()>,
    epoch: u64,
    targets: BTreeMap<Arc<str>, Vec<PolicyTarget>>,
    since: Since,
    woken: Arc<Notify>,
    board: watch::Sender<Arc<Board>>,
}

impl Fleet {
    /// An idle fleet, and where its board can be read.
    pub fn new(parts: Parts, settings: Settings) -> (Self, watch::Receiver<Arc<Board>>) {
        let (board, reader) = watch::channel(Arc::default());
        let fleet = Self {
            parts,
            settings,
            running: BTreeMap::new(),
            tasks: JoinSet::new(),
            epoch: 0,
            targets: BTreeMap::new(),
            since: BTreeMap::new(),
            woken: Arc::default(),
            board,
        };
        (fleet, reader)
    }

    /// Follows policies and catalog until told to stop; all informers have ended when it returns.
    pub async fn run(
        mut self,
        mut policies: watch::Receiver<Arc<PolicySet>>,
        mut catalog: watch::Receiver<Option<Arc<Catalog>>>,
        stop: CancellationToken,
    ) {
        let mut tick = interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let woken = Arc::clone(&self.woken);
        let mut revision = 0;
        loop {
            let moved = tokio::select! {
                () = stop.cancelled() => break,
                changed = policies.changed() => { if changed.is_err() { break } true },
                changed = catalog.changed() => { if changed.is_err() { break } revision = 0; true },
                () = woken.notified() => false,
                _ = tick.tick() => false,
                Some(_) = self.tasks.join_next() => false,
            };
            if moved {
                let set = Arc::clone(&policies.borrow_and_update());
                let served = catalog.borrow_and_update().clone();
                // A status that was written changes the set, and nothing here.
                if set.revision != revision
                    && let Some(served) = served
                {
                    revision = set.revision;
                    self.reconcile(&set, &served);
                }
            }
            self.retire();
            self.publish();
        }
        for running in self.running.values() {
            running.stop.cancel();
        }
        while self.tasks.join_next().await.is_some() {}
    }

    fn reconcile(&mut self, set: &PolicySet, catalog: &Catalog) {
        let Demand { watches, targets } = demand(set, catalog);
        self.targets = targets;
        let mut wanted = BTreeSet::new();
        let mut resources = BTreeSet::new();
        for spec in watches {
            resources.insert(spec.resource.clone());
            wanted.insert(self.want(spec));
        }
        let programs: Vec<_> = set.running().collect();
        let others: Vec<u64> = self.running.keys().filter(|epoch| !wanted.contains(epoch)).copied().collect();
        for epoch in others {
            self.unwant(epoch, &resources, &programs, catalog);
        }
    }

    /// Gives a spec to a running watch that brings what it asks for, or starts one. Returns its epoch.
    fn want(&mut self, spec: WatchSpec) -> u64 {
        let found = self.running.iter_mut().rev().find(|(_, running)| running.spec.brings(&spec));
        let Some((epoch, running)) = found else { return self.start(spec) };
        running.role = Role::Wanted;
        if !running.spec.serves_as(&spec) {
            running.spec.policies = spec.policies;
            serve(running, &self.parts);
        }
        *epoch
    }

    fn unwant(
        &mut self,
        epoch: u64,
        wanted: &BTreeSet<Gvr>,
        programs: &[&Arc<CompiledPolicy>],
        catalog: &Catalog,
    ) {
        let Some(running) = self.running.get_mut(&epoch) else { return };
        let resource = &running.spec.resource;
        let served = catalog.resolve(&resource.resource, Some(&resource.version));
        if !served.is_ok_and(|served| served.served == running.spec.served) {
            self.stop(epoch);
            return;
        }
        let superseded = wanted.contains(resource);
        let before = running.spec.policies.len();
        running.spec.policies.retain(|(policy, _)| {
            superseded
                && programs.iter().any(|program| program.name == policy.name && program.uid == policy.uid)
        });
        running.role = match (superseded, running.role) {
            (true, _) => Role::Superseded,
            (false, lingering @ Role::Lingering(_)) => lingering,
            (false, _) => Role::Lingering(Instant::now() + self.settings.linger),
        };
        if running.spec.policies.len() != before {
            serve(running, &self.parts);
        }
    }

    fn start(&mut self, spec: WatchSpec) -> u64 {
        self.epoch += 1;
        let epoch = self.epoch;
        let types =
            TypeMeta { api_version: spec.resource.api_version().into(), kind: Arc::clone(&spec.served.kind) };
        let shelf = Arc::new(Shelf::new(epoch, spec.resource.clone(), types));
        shelf.serve(served(&spec, &self.parts.metrics));
        self.parts.store.open(Arc::clone(&shelf));
        let (sender, stand) = watch::channel(Stand { phase: Phase::Listing, since: jiff::Timestamp::now() });
        let sink = ShelfSink {
            shelf: Arc::clone(&shelf),
            projection: Arc::clone(&spec.projection),
            queue: Arc::clone(&self.parts.queue),
            series: self.parts.metrics.target(&spec.resource.resource),
            stand: sender,
            woken: Arc::clone(&self.woken),
        };
        let collection = Collection {
            resource: spec.resource.clone(),
            namespace: spec.namespace.clone(),
            labels: spec.labels.clone(),
            metadata_only: spec.metadata_only,
        };
        let informer =
            Informer::new(self.parts.wire.clone(), collection, self.settings.informer.clone(), sink);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        self.tasks.spawn(async move {
            informer.run(stopped).await;
        });
        self.running.insert(epoch, Running { spec, shelf, stand, stop, role: Role::Wanted });
        epoch
    }

    fn stop(&mut self, epoch: u64) {
        let Some(running) = self.running.remove(&epoch) else { return };
        running.stop.cancel();
        let resource = running.spec.resource;
        self.parts.store.close(&resource, epoch);
        enqueue(&self.parts.queue, &resource, running.shelf.names());
        if !self.running.values().any(|other| other.spec.resource.resource == resource.resource) {
            self.parts.metrics.forget_target(&resource.resource);
        }
    }

    /// Stops what has lingered long enough, and what was superseded by watches that are synced by now.
    fn retire(&mut self) {
        let now = Instant::now();
        let done: Vec<u64> = self
            .running
            .iter()
            .filter(|(_, running)| match running.role {
                Role::Wanted => false,
                Role::Lingering(until) => now >= until,
                Role::Superseded => self.wanted(&running.spec.resource).all(Running::is_synced),
            })
            .map(|(epoch, _)| *epoch)
            .collect();
        for epoch in done {
            self.stop(epoch);
        }
    }

    fn wanted<'a>(&'a self, resource: &'a Gvr) -> impl Iterator<Item = &'a Running> {
        self.running
            .values()
            .filter(move |running| running.role == Role::Wanted && running.spec.resource == *resource)
    }

    // ---- the board ----

    fn publish(&mut self) {
        let mut policies = BTreeMap::new();
        let mut since = BTreeMap::new();
        for (policy, targets) in &self.targets {
            let reports = targets.iter().map(|target| self.report(policy, target, &mut since)).collect();
            policies.insert(Arc::clone(policy), reports);
        }
        self.since = since;
        let board = Board { policies };
        self.board.send_if_modified(|old| {
            let changed = **old != board;
            if changed {
                *old = Arc::new(board);
            }
            changed
        });
    }

    fn report(&self, policy: &Arc<str>, target: &PolicyTarget, since: &mut Since) -> TargetReport {
        let PolicyTarget { resource, version, found } = target;
        let report = |version, state, objects, since, message| TargetReport {
            group: Arc::clone(&resource.group),
            resource: Arc::clone(&resource.resource),
            version,
            state,
            objects,
            since,
            message,
        };
        match found {
            Ok(gvr) => {
                let watches: Vec<_> = self.wanted(gvr).collect();
                let objects = watches.iter().map(|running| running.shelf.len() as u64).sum();
                let worst = watches
                    .iter()
                    .map(|running| standing(running))
                    .max_by_key(|(state, ..)| severity(*state));
                let (state, since, message) =
                    worst.unwrap_or((TargetState::Resolving, jiff::Timestamp::UNIX_EPOCH, None));
                report(Some(Arc::clone(&gvr.version)), state, objects, since, message)
            }
            Err(unresolved) => {
                let key = (Arc::clone(policy), resource.clone(), unresolved.to_string());
                let start = self.since.get(&key).copied().unwrap_or_else(jiff::Timestamp::now);
                let message = Some(key.2.as_str().into());
                since.insert(key, start);
                report(version.clone(), TargetState::Absent, 0, start, message)
            }
        }
    }
}

fn served(spec: &WatchSpec, metrics: &Metrics) -> Vec<Served> {
    let served = |(policy, roots): &(Arc<CompiledPolicy>, Arc<Roots>)| Served {
        policy: Arc::clone(policy),
        roots: Arc::clone(roots),
        series: metrics.policy(&policy.name),
    };
    spec.policies.iter().map(served).collect()
}

/// Makes a shelf serve what its spec says by now, and has its objects judged again.
fn serve(running: &Running, parts: &Parts) {
    running.shelf.serve(served(&running.spec, &parts.metrics));
    enqueue(&parts.queue, &running.spec.resource, running.shelf.names());
}

fn enqueue(queue: &Queue<ObjectKey>, resource: &Gvr, objects: Vec<ObjectName>) {
    for object in objects {
        queue.add(ObjectKey { resource: resource.clone(), object });
    }
}

/// Of several watches of one target, the one that needs attention most speaks for all.
fn severity(state: TargetState) -> u8 {
    match state {
        TargetState::Synced => 0,
        TargetState::Stopping => 1,
        TargetState::Resolving => 2,
        TargetState::Listing => 3,
        TargetState::Degraded => 4,
        TargetState::Absent => 5,
        TargetState::Forbidden => 6,
    }
}

fn standing(running: &Running) -> (TargetState, jiff::Timestamp, Option<Arc<str>>) {
    let Stand { phase, since } = running.stand.borrow().clone();
    let (state, message) = match phase {
        Phase::Listing => (TargetState::Listing, None),
        Phase::Synced => (TargetState::Synced, None),
        Phase::Degraded(why) => (TargetState::Degraded, Some(why.into())),
        Phase::Absent => {
            (TargetState::Absent, Some("the server does not serve it at this moment; asked again".into()))
        }
        Phase::Forbidden { verb } => (TargetState::Forbidden, Some(cure(&running.spec, verb).into())),
    };
    (state, since, message)
}

/// Which right is missing, and the rule that gives it.
fn cure(spec: &WatchSpec, verb: &str) -> String {
    let resource = &spec.resource.resource;
    let (role, place) = match &spec.namespace {
        Some(namespace) => ("Role", format!(" in namespace {namespace}")),
        None => ("ClusterRole", String::new()),
    };
    format!(
        "the operator may not {verb} {resource}{place}; add to its {role}: \
         {{apiGroups: [\"{}\"], resources: [\"{}\"], verbs: [\"list\", \"watch\"]}}",
        resource.group, resource.resource
    )
}
