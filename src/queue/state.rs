//! What a queue knows, and what follows from each event. No clock, no lock, nobody waiting: time comes in as a value.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::time::Instant;

use super::arena::{Arena, Slot};
use super::key::Key;
use super::lanes::Lanes;
use crate::backoff::{Backoff, jittered};
use crate::metrics::{Priority, PrioritySample, QueueSeries, Reconcile, WorkSample};

/// So many delayed keys become ready at a look, at most: nobody holds the lock for long when very many are due together.
const DUE_AT_ONCE: usize = 32;

/// What becomes of keys that fail.
#[derive(Clone, Copy, Debug)]
pub struct Retries {
    /// The waits after failures; up to a quarter shorter, so that keys that failed together do not come back together.
    pub backoff: Backoff,
    /// After more failures in a row a key is parked: it waits the longest delay each time, is logged and counted.
    pub max: u32,
}

impl Default for Retries {
    /// client-go's item rate limiter (5 ms doubling up to 1,000 s) and controller practice's fifteen retries.
    fn default() -> Self {
        let backoff = Backoff { first: Duration::from_millis(5), longest: Duration::from_secs(1000) };
        Self { backoff, max: 15 }
    }
}

/// What [`super::Queue::retry`] did with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How many times in a row the key failed, this one included.
    pub failures: u32,
    /// When it is due again.
    pub delay: Duration,
    /// It failed more often than it may, and now waits the longest delay each time; it is never lost.
    pub parked: bool,
    /// It is parked with this failure: whoever processes keys logs that.
    pub parks: bool,
}

/// A key in process.
struct Work {
    slot: Slot,
    priority: Priority,
    since: Instant,
    result: Reconcile,
}

/// A key that a worker takes.
pub(super) struct Taken<K> {
    pub(super) key: K,
    pub(super) slot: Slot,
    pub(super) priority: Priority,
    pub(super) waited: Duration,
}

/// How a worker's turn with a key ended, as far as the queue was not told before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Done,
    /// Its failures count no more.
    Succeeded,
    Panicked,
}

pub(super) struct State<K: Key> {
    arena: Arena<K>,
    lanes: Lanes,
    /// As many as there are workers.
    work: Vec<Work>,
    delayed: BTreeSet<(Instant, Slot)>,
    retries: Retries,
    /// How many keys are parked.
    parked: usize,
    random: SmallRng,
    closed: bool,
    /// How many getters found nothing, and wait.
    pub(super) idle: usize,
    series: QueueSeries,
}

impl<K: Key> State<K> {
    pub(super) fn new(retries: Retries, seed: u64, series: QueueSeries) -> Self {
        Self {
            arena: Arena::new(),
            lanes: Lanes::new(),
            work: Vec::new(),
            delayed: BTreeSet::new(),
            retries,
            parked: 0,
            random: SmallRng::seed_from_u64(seed),
            closed: false,
            idle: 0,
            series,
        }
    }

    /// How many keys are ready.
    pub(super) fn ready(&self) -> usize {
        self.lanes.len()
    }

    /// How many keys something is known about.
    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        self.arena.len()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// When the next delayed key is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.delayed.first().map(|(at, _)| *at)
    }

    /// Whether a getter waits, and there is something that it should know of.
    pub(super) fn calls(&self) -> bool {
        self.idle > 0 && (self.ready() > 0 || !self.delayed.is_empty())
    }

    /// A key is to be processed. The time is asked for only where that is news. Of a newer version of an object earlier
    /// failures say nothing.
    pub(super) fn add(&mut self, key: &K, priority: Priority, now: impl FnOnce() -> Instant) {
        if self.closed {
            return;
        }
        let slot = self.arena.slot(key);
        if priority == Priority::LiveChange {
            self.forgive(slot);
        }
        self.make_dirty(slot, priority, now);
    }

    fn make_dirty(&mut self, slot: Slot, priority: Priority, now: impl FnOnce() -> Instant) {
        let Some(entry) = self.arena.get_mut(slot) else { return };
        let Some((before, since)) = entry.dirty else {
            entry.dirty = Some((priority, now()));
            if !entry.working {
                self.lanes.push(&mut self.arena, slot, priority);
            }
            return self.series.added(priority);
        };
        if priority < before {
            entry.dirty = Some((priority, since));
            if !entry.working {
                self.lanes.remove(&mut self.arena, slot, before);
                self.lanes.push(&mut self.arena, slot, priority);
            }
        }
    }

    /// A key is to be processed at a time; of several times the earliest counts.
    pub(super) fn add_at(&mut self, key: &K, priority: Priority, at: Instant) {
        if self.closed {
            return;
        }
        let slot = self.arena.slot(key);
        if let Some(work) = self.work.iter_mut().find(|work| work.slot == slot)
            && work.result == Reconcile::Success
        {
            work.result = Reconcile::RequeueAfter;
        }
        self.delay(slot, priority, at);
    }

    fn delay(&mut self, slot: Slot, priority: Priority, at: Instant) {
        let Some(entry) = self.arena.get_mut(slot) else { return };
        let (priority, at) = match entry.due {
            Some((urgent, earlier)) if earlier <= at => (priority.min(urgent), earlier),
            Some((urgent, later)) => {
                self.delayed.remove(&(later, slot));
                (priority.min(urgent), at)
            }
            None => (priority, at),
        };
        entry.due = Some((priority, at));
        self.delayed.insert((at, slot));
    }

    /// A key failed, and is tried again, no sooner than asked.
    pub(super) fn retry(&mut self, key: &K, no_sooner: Duration, now: Instant) -> Retry {
        let Retries { backoff, max } = self.retries;
        let slot = self.arena.slot(key);
        let before = self.arena.get(slot).map_or(0, |entry| entry.failures);
        let failures = before.saturating_add(1);
        if let Some(entry) = self.arena.get_mut(slot) {
            entry.failures = failures;
        }
        let parked = failures > max;
        let parks = parked && before <= max;
        self.parked += usize::from(parks);
        let priority =
            self.work.iter_mut().find(|work| work.slot == slot).map_or(Priority::LiveChange, |work| {
                work.result = Reconcile::Error;
                work.priority
            });
        let wait = if parked { backoff.longest } else { backoff.wait(failures) };
        let delay = jittered(wait, 0.75..1.0, &mut self.random).max(no_sooner);
        if !self.closed {
            self.delay(slot, priority, now + delay);
        }
        self.series.retried(priority);
        Retry { failures, delay, parked, parks }
    }

    /// The failures of a key count no more.
    pub(super) fn forget(&mut self, key: &K) {
        if let Some(slot) = self.arena.find(key) {
            self.forgive(slot);
            self.arena.tidy(slot);
        }
    }

    fn forgive(&mut self, slot: Slot) {
        let Some(entry) = self.arena.get_mut(slot) else { return };
        let failures = std::mem::take(&mut entry.failures);
        self.parked -= usize::from(failures > self.retries.max);
    }

    /// Gives a worker the next key.
    pub(super) fn take(&mut self, now: Instant) -> Option<Taken<K>> {
        self.wake(now);
        let slot = self.lanes.pop(&mut self.arena)?;
        let entry = self.arena.get_mut(slot)?;
        let (priority, since) = entry.dirty.take()?;
        entry.working = true;
        let (key, waited) = (entry.key.clone(), now - since);
        self.work.push(Work { slot, priority, since: now, result: Reconcile::Success });
        self.series.waited(priority, waited);
        Some(Taken { key, slot, priority, waited })
    }

    /// Keys that are due become ready.
    fn wake(&mut self, now: Instant) {
        for _ in 0..DUE_AT_ONCE {
            let Some((at, slot)) = self.delayed.first().copied() else { return };
            if at > now {
                return;
            }
            self.delayed.remove(&(at, slot));
            let due = self.arena.get_mut(slot).and_then(|entry| entry.due.take());
            if let Some((priority, _)) = due {
                self.make_dirty(slot, priority, || at);
            }
        }
    }

    /// A worker is done with a key; it runs again when it was added meanwhile.
    pub(super) fn done(&mut self, slot: Slot, end: End, now: Instant) {
        let Some(place) = self.work.iter().position(|work| work.slot == slot) else { return };
        let Work { priority, since, result, .. } = self.work.swap_remove(place);
        if end == End::Succeeded {
            self.forgive(slot);
        }
        let result = if end == End::Panicked { Reconcile::Error } else { result };
        self.series.ended(priority, result, now - since);
        let Some(entry) = self.arena.get_mut(slot) else { return };
        entry.working = false;
        match entry.dirty {
            Some((priority, _)) => self.lanes.push(&mut self.arena, slot, priority),
            None => self.arena.tidy(slot),
        }
    }

    /// Takes no more keys, and drops those that are not ready.
    pub(super) fn close(&mut self) {
        self.closed = true;
        for (_, slot) in std::mem::take(&mut self.delayed) {
            if let Some(entry) = self.arena.get_mut(slot) {
                entry.due = None;
            }
            self.arena.tidy(slot);
        }
    }

    /// What is now; what was counted since the last time is told to the series.
    pub(super) fn sample(&self, now: Instant) -> WorkSample {
        self.series.tell();
        let mut sample = WorkSample { parked: self.parked, ..WorkSample::default() };
        for priority in Priority::ALL {
            sample.by.of_mut(priority).depth = self.lanes.depth(priority);
        }
        for work in &self.work {
            let took = now - work.since;
            let PrioritySample { active, unfinished, longest, .. } = sample.by.of_mut(work.priority);
            *active += 1;
            *unfinished += took;
            *longest = took.max(*longest);
        }
        sample
    }
}
