//! How many watches there may be, and what gives way to those that policies want.

use std::collections::BTreeSet;

use super::{Fleet, Role, Running};
use crate::policy::demand::WatchSpec;
use crate::resource::{GroupResource, Place};

/// How many watches there may be. Each is a connection and a task, and a policy can ask for very many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Resources that are watched.
    pub targets: usize,
    /// Single namespaces of resources that are watched.
    pub namespaced: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { targets: 200, namespaced: 256 }
    }
}

/// What is watched, as it is limited. Another watch at a place that is watched already takes its turn there, and is no
/// more of them.
#[derive(Default)]
struct Watched {
    targets: BTreeSet<GroupResource>,
    namespaced: BTreeSet<Place>,
}

impl Watched {
    fn add(&mut self, place: Place) {
        self.targets.insert(place.resource.clone());
        if place.namespace.is_some() {
            self.namespaced.insert(place);
        }
    }
}

/// Where a watch looks.
pub(super) fn place(spec: &WatchSpec) -> Place {
    Place { resource: spec.resource.resource.clone(), namespace: spec.namespace.clone() }
}

impl Fleet {
    /// Whether a watch may be started.
    pub(super) fn has_room_for(&self, spec: &WatchSpec) -> bool {
        let (watched, limits) = (self.watched_with(&[place(spec)].into()), self.settings.limits);
        watched.targets.len() <= limits.targets && watched.namespaced.len() <= limits.namespaced
    }

    /// Stops what nobody wants, and lingers or is looked through, as far as these places need its room. Whether anything
    /// was stopped.
    pub(super) fn make_room(&mut self, places: &BTreeSet<Place>) -> bool {
        let mut stopped = false;
        while let Some(epochs) = self.idle_target(places).or_else(|| self.idle_namespace(places)) {
            epochs.into_iter().for_each(|epoch| self.stop(epoch));
            stopped = true;
        }
        stopped
    }

    fn watched_with(&self, places: &BTreeSet<Place>) -> Watched {
        let mut watched = Watched::default();
        let running = self.running.values().map(|running| place(&running.spec));
        running.chain(places.iter().cloned()).for_each(|place| watched.add(place));
        watched
    }

    /// The watches of a resource that nobody wants, where too many would be watched with these places.
    fn idle_target(&self, places: &BTreeSet<Place>) -> Option<Vec<u64>> {
        if self.watched_with(places).targets.len() <= self.settings.limits.targets {
            return None;
        }
        let of = |resource: &GroupResource| {
            let resource = resource.clone();
            self.running.iter().filter(move |(_, running)| running.spec.resource.resource == resource)
        };
        let is_idle = |idle: &Running| {
            let resource = &idle.spec.resource.resource;
            of(resource).all(|(_, running)| lingers(running))
                && places.iter().all(|place| place.resource != *resource)
        };
        let (_, idle) = self.first_to_stop(is_idle)?;
        Some(of(&idle.spec.resource.resource).map(|(epoch, _)| *epoch).collect())
    }

    /// The same of the watch of a single namespace.
    fn idle_namespace(&self, places: &BTreeSet<Place>) -> Option<Vec<u64>> {
        if self.watched_with(places).namespaced.len() <= self.settings.limits.namespaced {
            return None;
        }
        let is_idle = |idle: &Running| {
            idle.spec.namespace.is_some() && lingers(idle) && !places.contains(&place(&idle.spec))
        };
        self.first_to_stop(is_idle).map(|(epoch, _)| vec![*epoch])
    }

    /// What only lingers goes before that by which something is looked through: that would be begun anew.
    fn first_to_stop(&self, is_idle: impl Fn(&Running) -> bool) -> Option<(&u64, &Running)> {
        let idle = self.running.iter().filter(|(_, running)| is_idle(running));
        idle.min_by_key(|(_, running)| self.is_looked_through(running))
    }
}

fn lingers(running: &Running) -> bool {
    matches!(running.role, Role::Lingering { .. })
}
