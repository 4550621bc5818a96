//! The fleet makes the running informers equal to the wanted watches.
//!
//! Make before break: a watch that a policy edit made too narrow goes on serving until the wider one is synced.
//! Sharing blinds nobody: who names namespaces is served by watches of these while the watch of everything is refused.
//! A watch that nobody wants any more lingers a while, so that a policy deleted and created again costs no list; longer
//! while its place is looked through for what ended policies left there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

mod inputs;
mod looking;
mod publish;
mod room;
mod running;
mod succession;

use inputs::Inputs;
pub use room::Limits;
pub(super) use running::{Role, Running, Stand};
use succession::hold;

use super::board::Board;
use super::informer::{self, Informer, Phase};
use super::shelf_sink::ShelfSink;
use super::wire::{Collection, Wire};
use crate::jsonpath::TypeMeta;
use crate::metrics::{Metrics, Priority};
use crate::policy::catalog::Catalog;
use crate::policy::demand::{Demand, PolicyTarget, Program, WatchSpec, demand};
use crate::policy::{CompiledPolicy, PolicySet};
use crate::queue::Queue;
use crate::resource::{GroupResource, ObjectKey, ObjectName, Place};
use crate::store::{Served, Shelf, Store};

/// How the fleet sails.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Each informer's patience.
    pub informer: informer::Settings,
    /// How long a watch is kept that nobody wants.
    pub linger: Duration,
    /// How often all that is kept is judged again; `None` for never.
    pub resync: Option<Duration>,
    /// How many watches there may be.
    pub limits: Limits,
}

/// What the fleet works with.
pub struct Parts {
    /// Requests go through it.
    pub wire: Wire,
    /// Shelves are opened and closed in it.
    pub store: Arc<Store>,
    /// Keys to be judged again go into it.
    pub queue: Arc<Queue<ObjectKey>>,
    /// Series of targets and policies.
    pub metrics: Arc<Metrics>,
    /// Places that are watched as a whole, though no policy may want them; whoever tells them bounds how many.
    pub looked_through: watch::Receiver<Arc<BTreeSet<Place>>>,
}

/// Since when which target of which policy has been missing, and why.
type Since = BTreeMap<(Arc<str>, GroupResource, String), jiff::Timestamp>;

/// See the module.
pub struct Fleet {
    parts: Parts,
    settings: Settings,
    running: BTreeMap<u64, Running>,
    /// Each gives back what it watched.
    tasks: JoinSet<GroupResource>,
    epoch: u64,
    spares: Vec<WatchSpec>,
    /// What is wanted and not watched, since there are too many watches.
    refused: BTreeSet<Place>,
    /// Programs that are held back until the Namespaces that they read are there.
    awaiting: Vec<Arc<CompiledPolicy>>,
    /// A watch has ended since, so that what was refused may be watched.
    freed: bool,
    /// When all was last judged again, or not yet to be.
    resynced: Instant,
    targets: BTreeMap<Arc<str>, (i64, Vec<PolicyTarget>)>,
    /// What the cluster serves, as it was last met.
    served: Arc<Catalog>,
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
            spares: Vec::new(),
            refused: BTreeSet::new(),
            awaiting: Vec::new(),
            freed: false,
            resynced: Instant::now(),
            targets: BTreeMap::new(),
            served: Arc::default(),
            since: BTreeMap::new(),
            woken: Arc::default(),
            board,
        };
        (fleet, reader)
    }

    /// Follows policies and catalog until told to stop; all informers have ended when it returns. It returns unasked
    /// when an informer died, since what nobody follows must not look followed.
    pub async fn run(
        mut self,
        policies: watch::Receiver<Arc<PolicySet>>,
        catalog: watch::Receiver<Option<Arc<Catalog>>>,
        stop: CancellationToken,
    ) {
        let mut tick = interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let woken = Arc::clone(&self.woken);
        let mut looked_through = self.parts.looked_through.clone();
        let mut inputs = Inputs::new(policies, catalog);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                due = inputs.due() => match due {
                    Some((set, served)) => self.reconcile(&set, served),
                    None => break,
                },
                Ok(()) = looked_through.changed() => {}
                () = woken.notified() => {}
                _ = tick.tick() => {}
                Some(ended) = self.tasks.join_next() => match ended {
                    Ok(resource) => self.forget_unwatched(&resource),
                    Err(error) => {
                        tracing::error!(%error, "an informer died");
                        break;
                    }
                },
            }
            if self.attend() {
                inputs.again();
            }
        }
        for running in self.running.values() {
            running.stop.cancel();
        }
        while self.tasks.join_next().await.is_some() {}
    }

    /// Does what is due by itself, and tells how everything stands. Whether policies are to be met once more, since what
    /// kept something from being watched or served is over.
    fn attend(&mut self) -> bool {
        let arrived = self.awaiting.iter().any(|policy| self.parts.store.around(policy).is_some());
        // Programs that were held back go first: what is retired may serve those before them.
        if !arrived {
            self.retire();
        }
        self.mind_spares();
        self.look_through();
        self.resync();
        let again = arrived || (std::mem::take(&mut self.freed) && !self.refused.is_empty());
        self.publish();
        again
    }

    // ---- wanted × running ----

    fn reconcile(&mut self, set: &PolicySet, catalog: Arc<Catalog>) {
        let Demand { mut watches, spares, targets } = demand(set, &catalog);
        self.meet_policies(set, targets);
        // What a program needs beside its objects first: who it is there for is served by it at once. What no policy
        // names comes last: how much that is, others decide, and there may not be room for all.
        watches.sort_by_key(|spec| (spec.around.is_empty(), !spec.is_named()));
        self.spares = spares;
        self.meet_demand(&watches, &catalog);
        // What nobody wants any more lingers by now.
        let refused = self.refused.clone();
        if self.make_room(&refused) {
            self.meet_demand(&watches, &catalog);
        }
        self.served = catalog;
        self.surround();
    }

    /// Starts what is wanted, as far as there is room, and has linger what is not.
    fn meet_demand(&mut self, watches: &[WatchSpec], catalog: &Catalog) {
        let mut current = BTreeSet::new();
        self.refused.clear();
        self.awaiting.clear();
        for spec in watches {
            current.extend(self.want(spec.clone(), Role::Wanted));
        }
        for spare in self.spares.clone() {
            if self.running.values().any(|running| running.spec.brings(&spare)) {
                current.extend(self.want(spare, Role::Spare));
            }
        }
        let is_other = |epoch: &&u64| !current.contains(*epoch);
        let others: Vec<u64> = self.running.keys().filter(is_other).copied().collect();
        // All of them before any is looked at: none of them is another one's successor.
        let lingers = Role::Lingering { until: Instant::now() + self.settings.linger };
        for epoch in &others {
            if let Some(running) = self.running.get_mut(epoch).filter(|running| running.role.is_current()) {
                running.role = lingers.clone();
            }
        }
        for epoch in others {
            self.unwant(epoch, catalog);
        }
    }

    fn meet_policies(&mut self, set: &PolicySet, targets: BTreeMap<Arc<str>, Vec<PolicyTarget>>) {
        for gone in self.targets.keys().filter(|name| !targets.contains_key(*name)) {
            self.parts.metrics.forget_policy(gone);
        }
        let generation =
            |name: &Arc<str>| set.entries.get(name).map(|entry| entry.generation).unwrap_or_default();
        self.targets = targets
            .into_iter()
            .map(|(name, found)| (Arc::clone(&name), (generation(&name), found)))
            .collect();
    }

    /// Gives a spec to a running watch that brings what it asks for, or starts one. Returns its epoch; none where there
    /// are too many watches.
    fn want(&mut self, spec: WatchSpec, role: Role) -> Option<u64> {
        let found = self.running.iter_mut().rev().find(|(_, running)| running.spec.brings(&spec));
        if let Some((epoch, running)) = found {
            running.role = role;
            let policies = hold(running, spec.policies, &self.parts.store, &mut self.awaiting);
            serve(running, (policies, spec.around), &self.parts);
            return Some(*epoch);
        }
        if self.has_room_for(&spec) {
            return Some(self.start(spec, role));
        }
        if role == Role::Wanted {
            self.refused.insert(room::place(&spec));
        }
        None
    }

    fn start(&mut self, spec: WatchSpec, role: Role) -> u64 {
        self.epoch += 1;
        let epoch = self.epoch;
        let resource = spec.resource.resource.clone();
        let types =
            TypeMeta { api_version: spec.resource.api_version().into(), kind: Arc::clone(&spec.served.kind) };
        let shelf = Shelf::new(epoch, spec.resource.clone(), types, self.parts.store.room());
        let shelf = Arc::new(shelf.within(spec.namespace.clone()).selecting(spec.is_selected()));
        shelf.serve(served(&spec.policies, &self.parts.metrics));
        shelf.surround(spec.around.clone());
        self.parts.store.open(Arc::clone(&shelf));
        let (sender, stand) = watch::channel(Stand { phase: Phase::Listing, since: jiff::Timestamp::now() });
        let sink = ShelfSink {
            shelf: Arc::clone(&shelf),
            store: Arc::clone(&self.parts.store),
            projection: Arc::clone(&spec.projection),
            queue: Arc::clone(&self.parts.queue),
            series: self.parts.metrics.target(&resource),
            stand: sender,
            priority: Priority::InitialList,
            page: Vec::new(),
            woken: Arc::clone(&self.woken),
        };
        let informer = Informer::new(
            self.parts.wire.clone(),
            Collection::from(&spec),
            self.settings.informer.clone(),
            sink,
        );
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        self.tasks.spawn(async move {
            informer.run(stopped).await;
            resource
        });
        self.running.insert(epoch, Running { spec, stand, role, shelf, stop });
        epoch
    }

    fn stop(&mut self, epoch: u64) {
        let Some(running) = self.running.remove(&epoch) else { return };
        running.stop.cancel();
        self.freed = true;
        let resource = running.spec.resource.resource;
        self.parts.store.close(&resource, epoch);
        enqueue(&self.parts.queue, &resource, running.shelf.names(), Priority::PolicyChange);
    }

    /// Drops the series of a resource once its last informer has really ended and cannot count any more.
    fn forget_unwatched(&self, resource: &GroupResource) {
        if !self.running.values().any(|running| running.spec.resource.resource == *resource) {
            self.parts.metrics.forget_target(resource);
        }
    }

    /// Has all that is kept judged again, once in a while, from the store alone.
    fn resync(&mut self) {
        let now = Instant::now();
        if self.settings.resync.is_none_or(|period| now < self.resynced + period) {
            return;
        }
        self.resynced = now;
        for running in self.running.values().filter(|running| !running.spec.policies.is_empty()) {
            enqueue(
                &self.parts.queue,
                &running.spec.resource.resource,
                running.shelf.names(),
                Priority::Resync,
            );
        }
    }

    /// Where the watch of everything is refused, those who name namespaces get watches of these.
    fn mind_spares(&mut self) {
        let is_due = |spare: &&WatchSpec| {
            self.running.values().any(|wide| wide.is_wide_of(spare) && wide.is_refused())
                && !self
                    .running
                    .values()
                    .any(|running| running.role == Role::Spare && running.spec.brings(spare))
        };
        let due: Vec<WatchSpec> = self.spares.iter().filter(is_due).cloned().collect();
        for spare in due {
            let place = [room::place(&spare)].into();
            if self.want(spare.clone(), Role::Spare).is_none() && self.make_room(&place) {
                self.want(spare, Role::Spare);
            }
        }
    }
}

fn served(policies: &[Program], metrics: &Metrics) -> Vec<Served> {
    let served = |(policy, roots): &Program| {
        if policy.mends() {
            metrics.expect_remediations(&policy.name);
        }
        let series = metrics.policy(&policy.name);
        Served { policy: Arc::clone(policy), roots: Arc::clone(roots), series }
    };
    policies.iter().map(served).collect()
}

/// Makes a watch serve these policies; where that is a change, its objects are judged again.
fn serve(running: &mut Running, (policies, around): (Vec<Program>, Vec<Arc<CompiledPolicy>>), parts: &Parts) {
    if running.spec.serves_as(&policies, &around) {
        return;
    }
    running.shelf.serve(served(&policies, &parts.metrics));
    // Workers go on meanwhile: an earlier program knows its Namespaces until nobody is judged by it any more.
    let earlier = running.spec.around.iter().filter(|old| !around.iter().any(|new| Arc::ptr_eq(new, old)));
    running.shelf.surround(around.iter().chain(earlier).cloned().collect());
    for key in parts.store.judged_in(None, &around) {
        parts.queue.add(&key, Priority::PolicyChange);
    }
    running.spec.policies = policies;
    running.spec.around = around;
    enqueue(&parts.queue, &running.spec.resource.resource, running.shelf.names(), Priority::PolicyChange);
}

fn enqueue(queue: &Queue<ObjectKey>, resource: &GroupResource, objects: Vec<ObjectName>, priority: Priority) {
    for object in objects {
        queue.add(&ObjectKey { resource: resource.clone(), object }, priority);
    }
}

#[cfg(test)]
mod tests;
