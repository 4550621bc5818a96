//! Which key is next: priorities have shares, within one the targets take turns, within a target the first is first.
//!
//! A lane is a list that is threaded through the entries, so that a key that becomes more urgent leaves its lane at once,
//! and waiting costs no memory of its own.

use std::collections::VecDeque;

use super::arena::{Arena, Slot};
use super::key::Key;
use super::targets::Target;
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
pub(super) struct Lanes {
    by: PerPriority<Turns>,
    waiting: usize,
}

/// The lanes of one priority.
struct Turns {
    /// Of each target, by its number.
    lanes: Vec<Lane>,
    /// The targets in the order of their turns, each once.
    order: VecDeque<Target>,
    waiting: usize,
    /// What is left of the share in this round.
    left: u32,
}

/// The first and the last key of a target.
#[derive(Clone)]
struct Lane {
    first: Slot,
    last: Slot,
    /// Its turn comes. A lane that was left empty keeps its turn until then, which costs one look.
    in_order: bool,
}

impl Lane {
    const EMPTY: Self = Self { first: Slot::NONE, last: Slot::NONE, in_order: false };
}

impl Turns {
    fn new(priority: Priority) -> Self {
        Self { lanes: Vec::new(), order: VecDeque::new(), waiting: 0, left: share(priority) }
    }

    /// The lane of a target, which is in the order of turns from now on.
    fn lane(&mut self, target: Target) -> Option<&mut Lane> {
        if target.index() >= self.lanes.len() {
            self.lanes.resize(target.index() + 1, Lane::EMPTY);
        }
        let lane = self.lanes.get_mut(target.index())?;
        if !std::mem::replace(&mut lane.in_order, true) {
            self.order.push_back(target);
        }
        Some(lane)
    }

    /// The first key of the target whose turn it is; the key stays in its lane.
    fn next(&mut self) -> Option<Slot> {
        while let Some(target) = self.order.pop_front() {
            let Some(lane) = self.lanes.get_mut(target.index()) else { continue };
            if lane.first != Slot::NONE {
                self.order.push_back(target);
                return Some(lane.first);
            }
            lane.in_order = false;
        }
        None
    }
}

impl Lanes {
    pub(super) fn new() -> Self {
        Self { by: PerPriority::new(Turns::new), waiting: 0 }
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
        let next = |by: &PerPriority<Turns>| {
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

    /// Puts a key behind the others of its target.
    pub(super) fn push<K: Key>(&mut self, arena: &mut Arena<K>, slot: Slot, priority: Priority) {
        let turns = self.by.of_mut(priority);
        let Some(entry) = arena.get_mut(slot) else { return };
        let Some(lane) = turns.lane(entry.target) else { return };
        let last = std::mem::replace(&mut lane.last, slot);
        (entry.before, entry.after) = (last, Slot::NONE);
        match arena.get_mut(last) {
            Some(before) => before.after = slot,
            None => lane.first = slot,
        }
        turns.waiting += 1;
        self.waiting += 1;
    }

    /// Takes the next key.
    pub(super) fn pop<K: Key>(&mut self, arena: &mut Arena<K>) -> Option<Slot> {
        let priority = self.choose()?;
        let turns = self.by.of_mut(priority);
        turns.left = turns.left.saturating_sub(1);
        let slot = turns.next()?;
        self.remove(arena, slot, priority);
        Some(slot)
    }

    /// Takes a key out of its lane, wherever it stands in it.
    pub(super) fn remove<K: Key>(&mut self, arena: &mut Arena<K>, slot: Slot, priority: Priority) {
        let turns = self.by.of_mut(priority);
        let Some(entry) = arena.get(slot) else { return };
        let (before, after) = (entry.before, entry.after);
        let Some(lane) = turns.lanes.get_mut(entry.target.index()) else { return };
        match arena.get_mut(before) {
            Some(before) => before.after = after,
            None => lane.first = after,
        }
        match arena.get_mut(after) {
            Some(after) => after.before = before,
            None => lane.last = before,
        }
        turns.waiting -= 1;
        self.waiting -= 1;
    }
}
