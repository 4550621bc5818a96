//! The queue as adders and workers share it: one mutex around its state, never held across an await, and a way to wake
//! who waits. Delayed keys wait in one ordered set that the getters watch, so a delay costs no task.
//!
//! What bounds it: a key is held once, and the callers' keys are those of objects that exist or just went. Time is
//! tokio's, so that tests can pause it.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::arena::Slot;
use super::key::Key;
use super::state::{Retries, Retry, State, Taken};
use crate::metrics::{Priority, QueueSeries, Reconcile, WorkSample, Workload};

/// Keys to be processed; shared by those who add and the workers who get.
pub struct Queue<K: Key> {
    state: Mutex<State<K>>,
    /// One permit is one getter that should look again.
    wake: Notify,
    series: QueueSeries,
    max_retries: u32,
}

/// A key that one worker has. Dropping it says that the work is done.
pub struct Claim<K: Key> {
    key: K,
    slot: Slot,
    priority: Priority,
    waited: Duration,
    queue: Arc<Queue<K>>,
}

impl<K: Key> Claim<K> {
    /// The claimed key.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// Why it is processed.
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// How long the key waited for a worker since it was added, or since its delay ended.
    pub fn waited(&self) -> Duration {
        self.waited
    }
}

impl<K: Key> Debug for Claim<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Claim").field(&self.key).finish()
    }
}

impl<K: Key> Drop for Claim<K> {
    fn drop(&mut self) {
        self.queue.done(self.slot);
    }
}

impl<K: Key> Debug for Queue<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("ready", &self.len()).finish_non_exhaustive()
    }
}

/// What a getter finds.
enum Look<K> {
    Found(Taken<K>),
    /// Nothing is ready until then, unless something is added.
    Wait(Option<Instant>),
    Closed,
}

impl<K: Key> Queue<K> {
    /// An empty queue. `seed` feeds the jitter of delays after failures.
    pub fn new(retries: Retries, seed: u64, series: QueueSeries) -> Arc<Self> {
        let state = Mutex::new(State::new(retries, seed, &series));
        Arc::new(Self { state, wake: Notify::new(), series, max_retries: retries.max })
    }

    /// Adds a key now. One that waits already becomes more urgent, if it does; after [`Queue::shutdown`] nothing happens.
    pub fn add(&self, key: K, priority: Priority) {
        let is_new = self.state.lock().add(key, priority, Instant::now());
        if is_new {
            self.wake.notify_one();
        }
    }

    /// The same of many keys: workers are called once for all of them. To wake one takes longer than to judge a key.
    pub fn add_all(&self, keys: impl IntoIterator<Item = K>, priority: Priority) {
        let now = Instant::now();
        let mut state = self.state.lock();
        let mut any_is_new = false;
        for key in keys {
            any_is_new |= state.add(key, priority, now);
        }
        drop(state);
        if any_is_new {
            self.wake.notify_one();
        }
    }

    /// Adds a key after a delay; of several delays of one key the one that ends first counts.
    pub fn add_after(&self, key: K, priority: Priority, delay: Duration) {
        self.state.lock().add_at(key, priority, Instant::now() + delay);
        self.wake.notify_one();
    }

    /// Puts a key back that failed, with exponential back-off and jitter and the priority that it was claimed with.
    pub fn retry(&self, key: &K) -> Retry {
        self.retry_after(key, Duration::ZERO)
    }

    /// The same, but no sooner than a server asked for; the caller bounds what it believes.
    pub fn retry_after(&self, key: &K, no_sooner: Duration) -> Retry {
        let (retry, priority) = self.state.lock().retry(key, no_sooner, Instant::now());
        self.series.by.of(priority).retries.inc();
        self.wake.notify_one();
        if retry.parked && retry.failures == self.max_retries.saturating_add(1) {
            let Retry { failures, delay, .. } = retry;
            tracing::warn!(
                ?key,
                failures,
                ?delay,
                "parked: it failed too often, and is tried again only at the longest delay"
            );
        }
        retry
    }

    /// Forgets the failures of a key: on success, or when a newer version of the object came.
    pub fn forget(&self, key: &K) {
        self.state.lock().forget(key);
    }

    /// How many keys are ready and wait for a worker.
    pub fn len(&self) -> usize {
        self.state.lock().ready()
    }

    /// Whether no key is ready.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes no more keys. Getters are given what is ready, then `None`; delayed keys are dropped.
    pub fn shutdown(&self) {
        self.state.lock().close();
        self.wake.notify_waiters();
    }

    /// Waits for a key and claims it; `None` after [`Queue::shutdown`], when nothing is ready any more.
    ///
    /// Cancel safe: a dropped call has claimed nothing.
    pub async fn get(self: &Arc<Self>) -> Option<Claim<K>> {
        loop {
            if let Look::Found(taken) = self.look() {
                return Some(self.claim(taken));
            }
            let mut woken = std::pin::pin!(self.wake.notified());
            // Listening starts before looking, so that what comes in between is heard.
            woken.as_mut().enable();
            match self.look() {
                Look::Found(taken) => return Some(self.claim(taken)),
                Look::Closed => return None,
                Look::Wait(None) => woken.await,
                Look::Wait(Some(at)) => tokio::select! { () = woken => {}, () = sleep_until(at) => {} },
            }
        }
    }

    fn look(&self) -> Look<K> {
        let mut state = self.state.lock();
        let Some(taken) = state.take(Instant::now()) else {
            return if state.is_closed() { Look::Closed } else { Look::Wait(state.next_due()) };
        };
        let more = state.ready() > 0 || state.next_due().is_some();
        drop(state);
        // Permits do not add up: whoever takes a key passes the call on while there is more to wait for.
        if more {
            self.wake.notify_one();
        }
        Look::Found(taken)
    }

    fn claim(self: &Arc<Self>, taken: Taken<K>) -> Claim<K> {
        let Taken { key, slot, priority, waited } = taken;
        self.series.by.of(priority).waited.observe(waited.as_secs_f64());
        Claim { key, slot, priority, waited, queue: Arc::clone(self) }
    }

    fn done(&self, slot: Slot) {
        let (ended, more) = {
            let mut state = self.state.lock();
            (state.done(slot, Instant::now()), state.ready() > 0)
        };
        if more {
            self.wake.notify_one();
        }
        let Some(ended) = ended else { return };
        let result = if std::thread::panicking() { Reconcile::Error } else { ended.result };
        self.series.by.of(ended.priority).worked.observe(ended.took.as_secs_f64());
        self.series.reconciles.ended(result, ended.took);
    }
}

impl<K: Key + Send + Sync> Workload for Queue<K>
where
    K::Target: Send + Sync,
{
    fn sample(&self) -> WorkSample {
        self.state.lock().sample(Instant::now())
    }
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
