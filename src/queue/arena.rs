//! The keys that a queue knows something about, each held once and found by its slot or by itself.

use std::hash::Hash;

use ahash::RandomState;
use hashbrown::HashTable;
use tokio::time::Instant;

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
    fn is_idle(&self) -> bool {
        self.dirty.is_none() && !self.working && self.due.is_none() && self.failures == 0
    }
}

/// The entries. One with nothing to tell is dropped by [`Arena::tidy`].
pub(super) struct Arena<K> {
    index: HashTable<Slot>,
    hasher: RandomState,
    entries: Vec<Option<Entry<K>>>,
    free: Vec<Slot>,
}

impl<K: Eq + Hash> Arena<K> {
    pub(super) fn new() -> Self {
        Self { index: HashTable::new(), hasher: RandomState::new(), entries: Vec::new(), free: Vec::new() }
    }

    /// How many keys are known.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Entry<K>> {
        self.entries.get(slot.0 as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Entry<K>> {
        self.entries.get_mut(slot.0 as usize)?.as_mut()
    }

    pub(super) fn find(&self, key: &K) -> Option<Slot> {
        self.find_hashed(self.hasher.hash_one(key), key)
    }

    fn find_hashed(&self, hash: u64, key: &K) -> Option<Slot> {
        let is_it =
            |slot: &Slot| self.get(*slot).is_some_and(|entry| entry.hash == hash && entry.key == *key);
        self.index.find(hash, is_it).copied()
    }

    /// The slot of a key, which is given one if it has none.
    pub(super) fn slot(&mut self, key: K) -> Slot {
        let hash = self.hasher.hash_one(&key);
        if let Some(slot) = self.find_hashed(hash, &key) {
            return slot;
        }
        let slot = self.put(Entry {
            key,
            hash,
            dirty: None,
            working: false,
            due: None,
            failures: 0,
            before: Slot::NONE,
            after: Slot::NONE,
        });
        let entries = &self.entries;
        let hash_of =
            |slot: &Slot| entries.get(slot.0 as usize).and_then(Option::as_ref).map_or(0, |entry| entry.hash);
        self.index.insert_unique(hash, slot, hash_of);
        slot
    }

    fn put(&mut self, entry: Entry<K>) -> Slot {
        if let Some(slot) = self.free.pop()
            && let Some(place) = self.entries.get_mut(slot.0 as usize)
        {
            *place = Some(entry);
            return slot;
        }
        let slot = u32::try_from(self.entries.len()).map_or(Slot::NONE, Slot);
        self.entries.push(Some(entry));
        slot
    }

    /// Drops a key of which there is nothing to know any more. The last one to go leaves no more memory behind than a
    /// quiet queue needs.
    pub(super) fn tidy(&mut self, slot: Slot) {
        let Some(entry) = self.get(slot).filter(|entry| entry.is_idle()) else { return };
        if let Ok(found) = self.index.find_entry(entry.hash, |other| *other == slot) {
            found.remove();
        }
        if let Some(place) = self.entries.get_mut(slot.0 as usize) {
            *place = None;
            self.free.push(slot);
        }
        if self.index.is_empty() && self.entries.len() > KEPT {
            *self = Self::new();
        }
    }
}
