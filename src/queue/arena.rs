//! The keys that a queue knows something about, each held once and found by its slot or by itself.

use ahash::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Place;
use tokio::time::Instant;

use super::key::Key;
use super::targets::{Target, Targets};
use crate::metrics::Priority;

/// An empty arena gives memory back that held more keys than these.
const KEPT: usize = 1024;

/// Where a key is, for as long as something is known about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot(u32);

impl Slot {
    /// No slot: memory ends long before so many keys.
    pub(super) const NONE: Self = Self(u32::MAX);
}

/// All that is known about one key.
pub(super) struct Entry<K> {
    pub(super) key: K,
    hash: u64,
    pub(super) target: Target,
    /// It is to be processed since; the time of the first adding counts.
    pub(super) dirty: Option<(Priority, Instant)>,
    /// A worker has it.
    pub(super) working: bool,
    /// It becomes dirty then.
    pub(super) due: Option<(Priority, Instant)>,
    /// Failures in a row.
    pub(super) failures: u32,
    /// Its neighbours in the lane where it waits.
    pub(super) before: Slot,
    pub(super) after: Slot,
}

impl<K> Entry<K> {
    fn new(key: K, hash: u64, target: Target) -> Self {
        Self {
            key,
            hash,
            target,
            dirty: None,
            working: false,
            due: None,
            failures: 0,
            before: Slot::NONE,
            after: Slot::NONE,
        }
    }

    fn is_idle(&self) -> bool {
        self.dirty.is_none() && !self.working && self.due.is_none() && self.failures == 0
    }
}

/// The entries. One with nothing to tell is dropped by [`Arena::tidy`].
pub(super) struct Arena<K: Key> {
    index: HashTable<Slot>,
    hasher: RandomState,
    entries: Entries<K>,
    targets: Targets<K::Target>,
}

/// The entries by slot.
struct Entries<K> {
    all: Vec<Option<Entry<K>>>,
    free: Vec<Slot>,
}

impl<K> Entries<K> {
    fn get(&self, slot: Slot) -> Option<&Entry<K>> {
        self.all.get(slot.0 as usize)?.as_ref()
    }

    fn hash(&self, slot: Slot) -> u64 {
        self.get(slot).map_or(0, |entry| entry.hash)
    }

    fn put(&mut self, entry: Entry<K>) -> Slot {
        if let Some(slot) = self.free.pop()
            && let Some(place) = self.all.get_mut(slot.0 as usize)
        {
            *place = Some(entry);
            return slot;
        }
        let slot = u32::try_from(self.all.len()).map_or(Slot::NONE, Slot);
        self.all.push(Some(entry));
        slot
    }
}

impl<K: Key> Arena<K> {
    pub(super) fn new() -> Self {
        let entries = Entries { all: Vec::new(), free: Vec::new() };
        Self { index: HashTable::new(), hasher: RandomState::new(), entries, targets: Targets::new() }
    }

    /// How many keys are known.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Entry<K>> {
        self.entries.get(slot)
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Entry<K>> {
        self.entries.all.get_mut(slot.0 as usize)?.as_mut()
    }

    pub(super) fn find(&self, key: &K) -> Option<Slot> {
        let hash = self.hasher.hash_one(key);
        self.index.find(hash, |slot| self.get(*slot).is_some_and(|entry| entry.key == *key)).copied()
    }

    /// The slot of a key, which is given one if it has none.
    pub(super) fn slot(&mut self, key: &K) -> Slot {
        let Self { index, hasher, entries, targets } = self;
        let hash = hasher.hash_one(key);
        let is_it =
            |slot: &Slot| entries.get(*slot).is_some_and(|entry| entry.hash == hash && entry.key == *key);
        match index.entry(hash, is_it, |slot| entries.hash(*slot)) {
            Place::Occupied(known) => *known.get(),
            Place::Vacant(place) => {
                let target = targets.enter(key.target());
                let slot = entries.put(Entry::new(key.clone(), hash, target));
                place.insert(slot);
                slot
            }
        }
    }

    /// Drops a key of which there is nothing to know any more. The last one to go leaves no more memory behind than a
    /// quiet queue needs.
    pub(super) fn tidy(&mut self, slot: Slot) {
        let Self { index, entries, targets, .. } = self;
        let Some(place) = entries.all.get_mut(slot.0 as usize) else { return };
        let Some(entry) = place.take_if(|entry| entry.is_idle()) else { return };
        if let Ok(found) = index.find_entry(entry.hash, |other| *other == slot) {
            found.remove();
        }
        targets.leave(entry.key.target(), entry.target);
        entries.free.push(slot);
        if index.is_empty() && entries.all.len() > KEPT {
            *self = Self::new();
        }
    }
}
