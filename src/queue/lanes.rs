//! Which key is next: priorities have shares, within one the targets take turns, within a target the first is first.
//!
//! A lane is a list that is threaded through the entries, so that a key that becomes more urgent leaves its lane at once,
//! and waiting costs no memory of its own.

use std::collections::VecDeque;

use ahash::RandomState;
use hashbrown::HashMap;

use super::arena::{Arena, Slot};
use super::key::Key;
use crate::metrics::{PerPriority, Priority};

/// How many keys of each priority are taken in one round when all have some. Who has none leaves the time to the others.
const fn share(priority: Priority) -> u32 {
    match priority {
        Priority::LiveChange => 8,
        Priority::PolicyChange => 4,
        Priority::InitialList => 2,
        Priority::Resync => 1,
    }
}

/// All that waits.
pub(super) struct Lanes<T> {
    by: PerPriority<Turns<T>>,
    waiting: usize,
}

/// The lanes of one priority.
struct Turns<T> {
    lanes: HashMap<T, Lane, RandomState>,
    /// The targets in the order of their turns, each once: those that have a lane.
    order: VecDeque<T>,
    waiting: usize,
    /// What is left of the share in this round.
    left: u32,
}

/// The first and the last key of a target.
struct Lane {
    first: Slot,
    last: Slot,
}

impl<T> Lanes<T> {
    pub(super) fn new() -> Self {
        let turns = |priority| Turns {
            lanes: HashMap::default(),
            order: VecDeque::new(),
            waiting: 0,
            left: share(priority),
        };
        Self { by: PerPriority::new(turns), waiting: 0 }
    }

    /// How many keys wait.
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    /// How many keys of a priority wait.
    pub(super) fn depth(&self, priority: Priority) -> usize {
        self.by.of(priority).waiting
    }

    /// The priority that is next.
    fn choose(&mut self) -> Option<Priority> {
        let next = |by: &PerPriority<Turns<T>>| {
            Priority::ALL.into_iter().find(|priority| {
                let turns = by.of(*priority);
                turns.waiting > 0 && turns.left > 0
            })
        };
        if self.waiting == 0 {
            return None;
        }
        next(&self.by).or_else(|| {
            Priority::ALL.into_iter().for_each(|priority| self.by.of_mut(priority).left = share(priority));
            next(&self.by)
        })
    }
}

impl<T: Clone + Eq + std::hash::Hash> Lanes<T> {
    /// Puts a key behind the others of its target.
    pub(super) fn push<K: Key<Target = T>>(&mut self, arena: &mut Arena<K>, slot: Slot, priority: Priority) {
        let turns = self.by.of_mut(priority);
        let Some(entry) = arena.get(slot) else { return };
        let target = entry.key.target();
        let last = match turns.lanes.get_mut(target) {
            Some(lane) => {
                if lane.first == Slot::NONE {
                    lane.first = slot;
                }
                std::mem::replace(&mut lane.last, slot)
            }
            None => {
                turns.order.push_back(target.clone());
                turns.lanes.insert(target.clone(), Lane { first: slot, last: slot });
                Slot::NONE
            }
        };
        if let Some(entry) = arena.get_mut(slot) {
            (entry.before, entry.after) = (last, Slot::NONE);
        }
        if let Some(before) = arena.get_mut(last) {
            before.after = slot;
        }
        turns.waiting += 1;
        self.waiting += 1;
    }

    /// Takes the next key.
    pub(super) fn pop<K: Key<Target = T>>(&mut self, arena: &mut Arena<K>) -> Option<Slot> {
        let priority = self.choose()?;
        let turns = self.by.of_mut(priority);
        turns.left = turns.left.saturating_sub(1);
        while let Some(target) = turns.order.pop_front() {
            let Some(lane) = turns.lanes.get_mut(&target) else { continue };
            let slot = lane.first;
            let Some(entry) = arena.get(slot) else {
                // Its last key became more urgent meanwhile.
                turns.lanes.remove(&target);
                continue;
            };
            lane.first = entry.after;
            if lane.first == Slot::NONE {
                turns.lanes.remove(&target);
            } else {
                turns.order.push_back(target);
            }
            let after = entry.after;
            if let Some(after) = arena.get_mut(after) {
                after.before = Slot::NONE;
            }
            turns.taken();
            self.waiting -= 1;
            return Some(slot);
        }
        None
    }

    /// Takes a key out of its lane, wherever it stands in it.
    pub(super) fn remove<K: Key<Target = T>>(
        &mut self,
        arena: &mut Arena<K>,
        slot: Slot,
        priority: Priority,
    ) {
        let turns = self.by.of_mut(priority);
        let Some(entry) = arena.get(slot) else { return };
        let (before, after) = (entry.before, entry.after);
        let Some(lane) = turns.lanes.get_mut(entry.key.target()) else { return };
        // A lane left empty keeps its turn until it comes, which costs one look.
        if lane.first == slot {
            lane.first = after;
        }
        if lane.last == slot {
            lane.last = before;
        }
        if let Some(entry) = arena.get_mut(before) {
            entry.after = after;
        }
        if let Some(entry) = arena.get_mut(after) {
            entry.before = before;
        }
        turns.taken();
        self.waiting -= 1;
    }
}

impl<T> Turns<T> {
    /// A key less. With the last one go the lanes that were left empty.
    fn taken(&mut self) {
        self.waiting -= 1;
        if self.waiting == 0 && !self.order.is_empty() {
            self.order.clear();
            self.lanes.clear();
        }
    }
}
