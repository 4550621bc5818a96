//! Make before break: who judges while a watch that is wanted cannot yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::time::Instant;

use super::{Fleet, Role, Running, serve};
use crate::policy::CompiledPolicy;
use crate::policy::catalog::Catalog;
use crate::policy::demand::{Program, WatchSpec};
use crate::store::Store;

impl Fleet {
    /// A watch that the newest demand does not ask for serves whoever has nothing better yet, or lingers.
    pub(super) fn unwant(&mut self, epoch: u64, catalog: &Catalog) {
        let Some(running) = self.running.get(&epoch) else { return };
        let spec = &running.spec;
        let (mut policies, mut around) = (Vec::new(), Vec::new());
        for (old, roots) in &spec.policies {
            let Some(new) = self.successor(spec, old) else { continue };
            let carried = spec.carries(&new.0, &new.1) && !waits(spec, &new.0, &self.parts.store);
            policies.push(if carried { new } else { (Arc::clone(old), Arc::clone(roots)) });
        }
        for old in &spec.around {
            let Some(new) = self.successor_around(spec, old) else { continue };
            around.push(if spec.carries_around(&new) { new } else { Arc::clone(old) });
        }
        let is_needed = !(policies.is_empty() && around.is_empty());
        let served = catalog.resolve(&spec.resource.resource, Some(&spec.resource.version));
        let is_served = served.is_ok_and(|found| found.served == spec.served);
        if !is_needed && !is_served {
            return self.stop(epoch);
        }
        let lingers = Role::Lingering { until: Instant::now() + self.settings.linger };
        let Some(running) = self.running.get_mut(&epoch) else { return };
        running.role = match (is_needed, &running.role) {
            (true, _) => Role::Superseded,
            (false, lingering @ Role::Lingering { .. }) => lingering.clone(),
            (false, _) => lingers,
        };
        serve(running, (policies, around), &self.parts);
    }

    /// The newest program of a policy that is judged by a watch, if those that are wanted in its place cannot judge by it
    /// yet wherever this one can.
    fn successor(&self, spec: &WatchSpec, policy: &CompiledPolicy) -> Option<Program> {
        let program = |spec: &WatchSpec| {
            spec.program(&policy.name).filter(|(program, _)| program.uid == policy.uid).cloned()
        };
        let (newest, _) =
            self.successors(spec).find_map(|running| Some((program(&running.spec)?, running)))?;
        let judges = |namespace: Option<&Arc<str>>| {
            self.successors(spec).any(|running| {
                running.spec.namespace.as_ref() == namespace
                    && program(&running.spec).is_some_and(|(program, _)| self.judges(running, &program))
            })
        };
        let narrow = |spec: &WatchSpec| spec.namespace.clone().filter(|_| program(spec).is_some());
        let places: BTreeSet<Arc<str>> = match &spec.namespace {
            Some(namespace) => [Arc::clone(namespace)].into(),
            None => {
                let running = self.successors(spec).filter_map(|running| narrow(&running.spec));
                let resource = &spec.resource.resource;
                let spares = self.spares.iter().filter(|spare| spare.resource.resource == *resource);
                running.chain(spares.filter_map(narrow)).collect()
            }
        };
        let is_judged =
            judges(None) || (!places.is_empty() && places.iter().all(|namespace| judges(Some(namespace))));
        (!is_judged).then_some(newest)
    }

    /// The same for the Namespaces of a policy's objects.
    fn successor_around(&self, spec: &WatchSpec, policy: &CompiledPolicy) -> Option<Arc<CompiledPolicy>> {
        let same = |other: &&Arc<CompiledPolicy>| other.name == policy.name && other.uid == policy.uid;
        let later = self.successors(spec).filter(|running| !running.has_shown());
        later.filter_map(|running| running.spec.around.iter().find(same)).next().cloned()
    }

    /// Whether a policy can be judged by what a watch shows: all of it is there, and the Namespaces that it reads are.
    fn judges(&self, running: &Running, policy: &Arc<CompiledPolicy>) -> bool {
        running.has_shown() && !waits(&running.spec, policy, &self.parts.store)
    }

    /// Watches that are wanted at the place of another one, or at a part of it.
    fn successors<'f>(&'f self, of: &'f WatchSpec) -> impl Iterator<Item = &'f Running> {
        self.running.values().filter(move |Running { spec, role, .. }| {
            let near = of.namespace.is_none() || spec.namespace.is_none() || spec.namespace == of.namespace;
            role.is_current() && spec.resource.resource == of.resource.resource && near
        })
    }

    /// Stops what has lingered long enough, what is replaced by watches that can judge by now, and what waits for these
    /// with nothing to serve meanwhile.
    pub(super) fn retire(&mut self) {
        let now = Instant::now();
        let is_done = |running: &Running| match &running.role {
            Role::Wanted => false,
            Role::Spare => {
                self.running.values().any(|wide| wide.is_wide_of(&running.spec) && wide.is_synced())
            }
            Role::Superseded => running.is_in_vain() || self.left(&running.spec).is_none(),
            Role::Lingering { until } => now >= *until && !self.is_looked_through(running),
        };
        let done: Vec<u64> =
            self.running.iter().filter(|(_, running)| is_done(running)).map(|(epoch, _)| *epoch).collect();
        for epoch in &done {
            self.stop(*epoch);
        }
        self.release();
        if !done.is_empty() {
            self.surround();
        }
    }

    /// Lets superseded watches go on without those who are judged by others by now.
    fn release(&mut self) {
        let superseded = self.running.iter().filter(|(_, running)| running.role == Role::Superseded);
        let left: Vec<_> =
            superseded.filter_map(|(epoch, running)| Some((*epoch, self.left(&running.spec)?))).collect();
        for (epoch, left) in left {
            if let Some(running) = self.running.get_mut(&epoch) {
                serve(running, left, &self.parts);
            }
        }
    }

    /// Who is still served by a watch that others are to replace, if anybody is.
    fn left(&self, spec: &WatchSpec) -> Option<(Vec<Program>, Vec<Arc<CompiledPolicy>>)> {
        let policies = spec.policies.iter().filter(|(policy, _)| self.successor(spec, policy).is_some());
        let around = spec.around.iter().filter(|policy| self.successor_around(spec, policy).is_some());
        let left: (Vec<_>, Vec<_>) = (policies.cloned().collect(), around.cloned().collect());
        (!(left.0.is_empty() && left.1.is_empty())).then_some(left)
    }

    /// Has the Namespaces that are watched known to those who are judged by what is in them: to the newest programs, and
    /// to earlier ones as long as some watch serves them.
    pub(super) fn surround(&self) {
        let served = self.running.values().flat_map(|running| &running.spec.policies);
        let reads: BTreeMap<_, _> = served
            .filter(|(policy, _)| policy.reads_namespaces())
            .map(|(policy, _)| (Arc::as_ptr(policy), policy))
            .collect();
        for Running { spec, shelf, .. } in self.running.values() {
            let newest: BTreeSet<_> = spec.around.iter().map(Arc::as_ptr).collect();
            let earlier =
                reads.iter().filter(|(program, _)| !newest.is_empty() && !newest.contains(*program));
            let earlier = earlier.map(|(_, policy)| *policy).filter(|policy| spec.carries_around(policy));
            shelf.surround(spec.around.iter().chain(earlier).cloned().collect());
        }
    }
}

/// Whether a policy cannot be judged by a watch yet, since the Namespaces that it reads are not listed.
fn waits(spec: &WatchSpec, policy: &Arc<CompiledPolicy>, store: &Store) -> bool {
    spec.served.namespaced && policy.reads_namespaces() && store.around(policy).is_none()
}

/// The programs by which a watch judges at this moment: where an edited one newly reads Namespaces that are not listed
/// yet, the one before goes on.
pub(super) fn hold(
    running: &Running,
    wanted: Vec<Program>,
    store: &Store,
    awaiting: &mut Vec<Arc<CompiledPolicy>>,
) -> Vec<Program> {
    let mut held = |(new, roots): Program| {
        let before = running.spec.program(&new.name).filter(|(old, _)| old.uid == new.uid);
        match before {
            Some(before) if waits(&running.spec, &new, store) && !Arc::ptr_eq(&before.0, &new) => {
                awaiting.push(new);
                before.clone()
            }
            _ => (new, roots),
        }
    };
    wanted.into_iter().map(&mut held).collect()
}
