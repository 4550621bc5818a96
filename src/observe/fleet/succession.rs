//! Make before break: who judges while a watch that is wanted cannot yet.

use std::collections::BTreeSet;
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
        let mut by = BTreeSet::new();
        let (mut policies, mut around) = (Vec::new(), Vec::new());
        for (old, roots) in &spec.policies {
            let Some(new) = self.successor(spec, old, &mut by) else { continue };
            let carried = spec.carries(&new.0, &new.1) && !waits(spec, &new.0, &self.parts.store);
            policies.push(if carried { new } else { (Arc::clone(old), Arc::clone(roots)) });
        }
        for old in &spec.around {
            let Some(new) = self.successor_around(spec, old, &mut by) else { continue };
            around.push(if spec.carries_around(&new) { new } else { Arc::clone(old) });
        }
        let served = catalog.resolve(&spec.resource.resource, Some(&spec.resource.version));
        let is_served = served.is_ok_and(|found| found.served == spec.served);
        if by.is_empty() && !is_served {
            return self.stop(epoch);
        }
        let lingers = Role::lingering(Instant::now() + self.settings.linger);
        let Some(running) = self.running.get_mut(&epoch) else { return };
        running.role = match (by.is_empty(), &running.role) {
            (false, _) => Role::Superseded(by),
            (true, lingering @ Role::Lingering { .. }) => lingering.clone(),
            (true, _) => lingers,
        };
        serve(running, (policies, around), &self.parts);
    }

    /// The newest program of a policy, where watches that are wanted in place of another one cannot judge by it yet;
    /// these are added to `by`.
    fn successor(
        &self,
        spec: &WatchSpec,
        policy: &CompiledPolicy,
        by: &mut BTreeSet<u64>,
    ) -> Option<Program> {
        let mut newest = None;
        for (epoch, running) in self.successors(spec) {
            let Some((program, roots)) = running.spec.program(&policy.name) else { continue };
            if program.uid == policy.uid && !self.judges(running, program) {
                by.insert(*epoch);
                newest = Some((Arc::clone(program), Arc::clone(roots)));
            }
        }
        newest
    }

    /// The same for the Namespaces of a policy's objects.
    fn successor_around(
        &self,
        spec: &WatchSpec,
        policy: &CompiledPolicy,
        by: &mut BTreeSet<u64>,
    ) -> Option<Arc<CompiledPolicy>> {
        let mut newest = None;
        for (epoch, running) in self.successors(spec).filter(|(_, running)| !running.is_synced()) {
            let mut around = running.spec.around.iter();
            if let Some(same) = around.find(|other| other.name == policy.name && other.uid == policy.uid) {
                by.insert(*epoch);
                newest = Some(Arc::clone(same));
            }
        }
        newest
    }

    /// Whether a policy can be judged by what a watch shows: all of it is there, and the Namespaces that it reads are.
    fn judges(&self, running: &Running, policy: &Arc<CompiledPolicy>) -> bool {
        running.is_synced() && !waits(&running.spec, policy, &self.parts.store)
    }

    /// Watches that are wanted at the place of another one, or at a part of it; the newest last.
    fn successors(&self, spec: &WatchSpec) -> impl Iterator<Item = (&u64, &Running)> {
        let (resource, namespace) = (spec.resource.resource.clone(), spec.namespace.clone());
        self.running.iter().filter(move |(_, Running { spec, role, .. })| {
            let near = namespace.is_none() || spec.namespace.is_none() || spec.namespace == namespace;
            *role == Role::Wanted && spec.resource.resource == resource && near
        })
    }

    /// Stops what has lingered long enough, and what has been replaced by watches that are synced by now.
    pub(super) fn retire(&mut self) {
        let now = Instant::now();
        self.running.values_mut().for_each(|running| running.linger_on(now, self.settings.linger));
        // Those who replace it must be able to judge what it judges.
        let judges = |by: &u64, old: &WatchSpec| {
            let Some(running) = self.running.get(by) else { return true };
            let served = old.policies.iter().filter_map(|(policy, _)| running.spec.program(&policy.name));
            running.is_synced() && served.map(|(policy, _)| policy).all(|policy| self.judges(running, policy))
        };
        let is_done = |running: &Running| match &running.role {
            Role::Wanted => false,
            Role::Spare => {
                self.running.values().any(|wide| wide.is_wide_of(&running.spec) && wide.is_synced())
            }
            Role::Superseded(by) => by.iter().all(|by| judges(by, &running.spec)),
            Role::Lingering { until, .. } => now >= *until,
        };
        let done: Vec<u64> =
            self.running.iter().filter(|(_, running)| is_done(running)).map(|(epoch, _)| *epoch).collect();
        for epoch in done {
            self.stop(epoch);
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
