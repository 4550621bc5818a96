//! The shared rate-limited work queue: what client-go's workqueue is.
//!
//! A key is processed by one worker at a time; added while it waits it is there once, added while it is processed it
//! runs again after. Keys put back after a failure wait longer each time, each for itself. One mutex guards it all and
//! is never held across an await; delayed keys wait in one ordered map that the getters watch, so a delay costs no task.
//!
//! What bounds it: each map holds a key at most once, and the callers' keys are those of objects that exist or just
//! went. Time is tokio's, so that tests can pause it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::{self, Debug};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::metrics::{QueueSeries, RunningWork};

/// How long a key waits that failed: `base` doubled with each failure, up to `longest`.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// The wait after the first failure.
    pub base: Duration,
    /// No wait is longer.
    pub longest: Duration,
    /// After more failures than these a key is parked: it waits `longest` each time and is reported as parked.
    pub max_retries: u32,
}

impl Default for Backoff {
    /// client-go's item rate limiter (5 ms doubling up to 1,000 s) and controller practice's fifteen retries.
    fn default() -> Self {
        Self { base: Duration::from_millis(5), longest: Duration::from_secs(1000), max_retries: 15 }
    }
}

impl Backoff {
    /// The wait after the given number of failures, the first being 1; before jitter.
    fn delay(&self, failures: u32) -> Duration {
        if failures > self.max_retries {
            return self.longest;
        }
        let factor = 2_u32.checked_pow(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.longest)
    }
}

/// What [`Queue::retry`] did with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How many times in a row the key failed, this one included.
    pub failures: u32,
    /// When it is due again.
    pub delay: Duration,
    /// It failed more often than `max_retries` and now waits the longest delay each time; it is never lost.
    pub parked: bool,
}

/// Keys to be processed; shared by those who add and the workers who get.
pub struct Queue<K> {
    state: Mutex<State<K>>,
    /// One permit is one getter that should look again.
    wake: Notify,
    backoff: Backoff,
    series: QueueSeries,
}

struct State<K> {
    ready: VecDeque<K>,
    /// Keys to be processed that no worker has: those of `ready`, and those added while processed. With the time of adding.
    dirty: HashMap<K, Instant>,
    processing: HashMap<K, Instant>,
    /// Delayed keys by due time; the number orders keys that are due together.
    delayed: BTreeMap<(Instant, u64), K>,
    due: HashMap<K, (Instant, u64)>,
    failures: HashMap<K, u32>,
    delays_made: u64,
    rng: SmallRng,
    closed: bool,
}

/// A key that one worker has. Dropping it says that the work is done.
pub struct Claim<K: Clone + Eq + Hash + Debug> {
    key: K,
    waited: Duration,
    queue: Arc<Queue<K>>,
}

impl<K: Clone + Eq + Hash + Debug> Claim<K> {
    /// The claimed key.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// How long the key waited for a worker since it was added.
    pub fn waited(&self) -> Duration {
        self.waited
    }
}

impl<K: Clone + Eq + Hash + Debug> Debug for Claim<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Claim").field(&self.key).finish()
    }
}

impl<K: Clone + Eq + Hash + Debug> Drop for Claim<K> {
    fn drop(&mut self) {
        self.queue.done(&self.key);
    }
}

impl<K> Debug for Queue<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("Queue")
            .field("ready", &state.ready.len())
            .field("processing", &state.processing.len())
            .field("delayed", &state.delayed.len())
            .finish_non_exhaustive()
    }
}

impl<K: Clone + Eq + Hash + Debug> Queue<K> {
    /// An empty queue. `seed` feeds the jitter of delays after failures.
    pub fn new(backoff: Backoff, seed: u64, series: QueueSeries) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::new(seed)), wake: Notify::new(), backoff, series })
    }

    /// Adds a key now. Nothing happens when it already waits, or after [`Queue::shutdown`].
    pub fn add(&self, key: K) {
        let mut state = self.state.lock();
        self.make_dirty(&mut state, key);
    }

    /// Adds a key after a delay; of several delays of one key the one that ends first counts.
    pub fn add_after(&self, key: K, delay: Duration) {
        let mut state = self.state.lock();
        if state.closed {
            return;
        }
        if delay.is_zero() {
            self.make_dirty(&mut state, key);
        } else {
            state.delay(key, Instant::now() + delay);
            drop(state);
            self.wake.notify_one();
        }
    }

    /// Puts a key back that failed, with exponential backoff and jitter (up to a quarter shorter, so that keys that
    /// failed together do not come back together).
    pub fn retry(&self, key: &K) -> Retry {
        let (failures, jitter) = self.state.lock().fail(key);
        let parked = failures > self.backoff.max_retries;
        let delay = self.backoff.delay(failures).mul_f64(1.0 - jitter / 4.0);
        self.series.retries.inc();
        self.add_after(key.clone(), delay);
        Retry { failures, delay, parked }
    }

    /// Forgets the failures of a key: on success, or when a newer version of the object came.
    pub fn forget(&self, key: &K) {
        self.state.lock().failures.remove(key);
    }

    /// How many keys are ready and wait for a worker.
    pub fn len(&self) -> usize {
        self.state.lock().ready.len()
    }

    /// Whether no key is ready.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes no more keys. Getters are given what is ready, then `None`; delayed keys are dropped.
    pub fn shutdown(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.delayed.clear();
        state.due.clear();
        drop(state);
        self.wake.notify_waiters();
    }

    /// Waits for a key and claims it; `None` after [`Queue::shutdown`], when nothing is ready any more.
    ///
    /// Cancel safe: a dropped call has claimed nothing.
    pub async fn get(self: &Arc<Self>) -> Option<Claim<K>> {
        loop {
            let mut woken = std::pin::pin!(self.wake.notified());
            // Listening starts before looking, so that a shutdown in between is heard.
            woken.as_mut().enable();
            let next_due = {
                let mut state = self.state.lock();
                self.promote_due(&mut state);
                if let Some((key, waited)) = self.claim(&mut state) {
                    return Some(Claim { key, waited, queue: Arc::clone(self) });
                }
                if state.closed {
                    return None;
                }
                state.delayed.first_key_value().map(|((at, _), _)| *at)
            };
            match next_due {
                Some(at) => tokio::select! { () = woken => {}, () = sleep_until(at) => {} },
                None => woken.await,
            }
        }
    }

    fn make_dirty(&self, state: &mut State<K>, key: K) {
        if state.closed || state.dirty.contains_key(&key) {
            return;
        }
        self.series.adds.inc();
        state.dirty.insert(key.clone(), Instant::now());
        if !state.processing.contains_key(&key) {
            self.push(state, key);
        }
    }

    fn push(&self, state: &mut State<K>, key: K) {
        state.ready.push_back(key);
        self.series.depth.inc();
        self.wake.notify_one();
    }

    fn promote_due(&self, state: &mut State<K>) {
        let now = Instant::now();
        while let Some(entry) = state.delayed.first_entry()
            && entry.key().0 <= now
        {
            let key = entry.remove();
            state.due.remove(&key);
            self.make_dirty(state, key);
        }
    }

    fn claim(&self, state: &mut State<K>) -> Option<(K, Duration)> {
        let key = state.ready.pop_front()?;
        let now = Instant::now();
        let waited = state.dirty.remove(&key).map(|added| now - added).unwrap_or_default();
        self.series.waited.observe(waited.as_secs_f64());
        state.processing.insert(key.clone(), now);
        self.series.depth.dec();
        // Permits do not add up: whoever takes a key passes the call on while there is more to wait for.
        if !state.ready.is_empty() || !state.delayed.is_empty() {
            self.wake.notify_one();
        }
        Some((key, waited))
    }

    fn done(&self, key: &K) {
        let mut state = self.state.lock();
        if let Some(since) = state.processing.remove(key) {
            self.series.worked.observe(since.elapsed().as_secs_f64());
        }
        if state.dirty.contains_key(key) {
            self.push(&mut state, key.clone());
        }
    }
}

impl<K: Clone + Eq + Hash + Debug> State<K> {
    fn new(seed: u64) -> Self {
        Self {
            ready: VecDeque::new(),
            dirty: HashMap::new(),
            processing: HashMap::new(),
            delayed: BTreeMap::new(),
            due: HashMap::new(),
            failures: HashMap::new(),
            delays_made: 0,
            rng: SmallRng::seed_from_u64(seed),
            closed: false,
        }
    }

    fn delay(&mut self, key: K, at: Instant) {
        if let Some(earlier) = self.due.get(&key) {
            if earlier.0 <= at {
                return;
            }
            self.delayed.remove(earlier);
        }
        self.delays_made += 1;
        let place = (at, self.delays_made);
        self.delayed.insert(place, key.clone());
        self.due.insert(key, place);
    }

    /// Counts a failure; gives the failures in a row and a number in `0.0..1.0`.
    fn fail(&mut self, key: &K) -> (u32, f64) {
        let failures = self.failures.entry(key.clone()).or_default();
        *failures = failures.saturating_add(1);
        (*failures, self.rng.random())
    }
}

impl<K: Send + Sync> RunningWork for Queue<K> {
    fn running(&self) -> (Duration, Duration) {
        let times: Vec<Duration> = self.state.lock().processing.values().map(Instant::elapsed).collect();
        (times.iter().sum(), times.into_iter().max().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
