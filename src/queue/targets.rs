//! The targets that take turns, each by a number for as long as one of its keys is known: so a target is hashed once for
//! a key, and not each time that the key moves.

use std::hash::Hash;

use ahash::RandomState;
use hashbrown::HashMap;

/// Which target a key is of. A number whose target is gone is given to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target(u32);

impl Target {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// The targets of all known keys.
pub(super) struct Targets<T> {
    index: HashMap<T, Target, RandomState>,
    /// How many keys each one has.
    keys: Vec<usize>,
    free: Vec<Target>,
}

impl<T: Clone + Eq + Hash> Targets<T> {
    pub(super) fn new() -> Self {
        Self { index: HashMap::default(), keys: Vec::new(), free: Vec::new() }
    }

    /// A target has one key more.
    pub(super) fn enter(&mut self, target: &T) -> Target {
        let number = self.index.get(target).copied().unwrap_or_else(|| self.put(target.clone()));
        if let Some(keys) = self.keys.get_mut(number.index()) {
            *keys += 1;
        }
        number
    }

    fn put(&mut self, target: T) -> Target {
        let number = self.free.pop().unwrap_or_else(|| {
            self.keys.push(0);
            // Memory ends long before so many targets.
            Target(u32::try_from(self.keys.len() - 1).unwrap_or(u32::MAX))
        });
        self.index.insert(target, number);
        number
    }

    /// A target has one key less; with the last one it is forgotten.
    pub(super) fn leave(&mut self, target: &T, number: Target) {
        let Some(keys) = self.keys.get_mut(number.index()) else { return };
        *keys -= 1;
        if *keys == 0 {
            self.index.remove(target);
            self.free.push(number);
        }
    }
}
