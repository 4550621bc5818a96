//! The queue as adders and workers share it: one mutex around its state, never held across an await, and a way to wake
//! who waits; nobody is called while nobody waits. Delayed keys wait in one ordered set that the getters watch, so a delay
//! costs no task.
//!
//! What bounds it: a key is held once, and the callers' keys are those of objects that exist or just went. Time is
//! tokio's, so that tests can pause it.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::arena::Slot;
use super::key::Key;
use super::state::{End, Retries, Retry, State, Taken};
use crate::metrics::{Priority, QueueSeries, WorkSample, Workload};

/// Keys to be processed; shared by those who add and the workers who get.
pub struct Queue<K: Key> {
    state: Mutex<State<K>>,
    /// One permit is one getter that should look again.
    wake: Notify,
}

/// A key that one worker has. Dropping it says that the work is done, [`Claim::succeeded`] also that it went well.
pub struct Claim<K: Key> {
    key: K,
    slot: Slot,
    priority: Priority,
    waited: Duration,
    succeeded: bool,
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

    /// The work is done, and earlier failures count no more.
    pub fn succeeded(mut self) {
        self.succeeded = true;
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
        let end = match self.succeeded {
            _ if std::thread::panicking() => End::Panicked,
            true => End::Succeeded,
            false => End::Done,
        };
        let mut state = self.queue.state.lock();
        state.done(self.slot, end, Instant::now());
        if state.ready() > 0 {
            self.queue.call(state);
        }
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
        let state = Mutex::new(State::new(retries, seed, series));
        Arc::new(Self { state, wake: Notify::new() })
    }

    /// Adds a key now. One that waits already becomes more urgent, if it does; what changed begins without the failures
    /// it had before. After [`Queue::shutdown`] nothing happens.
    pub fn add(&self, key: &K, priority: Priority) {
        let mut state = self.state.lock();
        state.add(key, priority, Instant::now);
        self.call(state);
    }

    /// The same of many keys: workers are called once for all of them. To wake one takes longer than to judge a key.
    pub fn add_all(&self, keys: &[K], priority: Priority) {
        let mut state = self.state.lock();
        for key in keys {
            state.add(key, priority, Instant::now);
        }
        self.call(state);
    }

    /// Adds a key after a delay; of several delays of one key the one that ends first counts.
    pub fn add_after(&self, key: &K, priority: Priority, delay: Duration) {
        let mut state = self.state.lock();
        state.add_at(key, priority, Instant::now() + delay);
        self.call(state);
    }

    /// Puts a key back that failed, with exponential back-off and jitter and the priority that it was claimed with.
    pub fn retry(&self, key: &K) -> Retry {
        self.retry_after(key, Duration::ZERO)
    }

    /// The same, but no sooner than a server asked for; the caller bounds what it believes.
    pub fn retry_after(&self, key: &K, no_sooner: Duration) -> Retry {
        let mut state = self.state.lock();
        let retry = state.retry(key, no_sooner, Instant::now());
        self.call(state);
        retry
    }

    /// Forgets the failures of a key. Success does so ([`Claim::succeeded`]), and a live change.
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
            let _idle = Idle::new(self);
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
        // Permits do not add up: whoever takes a key passes the call on while there is more to wait for.
        self.call(state);
        Look::Found(taken)
    }

    /// Wakes one of those who wait, if there is something for it.
    fn call(&self, state: MutexGuard<'_, State<K>>) {
        let calls = state.calls();
        drop(state);
        if calls {
            self.wake.notify_one();
        }
    }

    fn claim(self: &Arc<Self>, taken: Taken<K>) -> Claim<K> {
        let Taken { key, slot, priority, waited } = taken;
        Claim { key, slot, priority, waited, succeeded: false, queue: Arc::clone(self) }
    }
}

/// A getter that waits, for as long as it does.
struct Idle<'q, K: Key>(&'q Queue<K>);

impl<'q, K: Key> Idle<'q, K> {
    fn new(queue: &'q Queue<K>) -> Self {
        queue.state.lock().idle += 1;
        Self(queue)
    }
}

impl<K: Key> Drop for Idle<'_, K> {
    fn drop(&mut self) {
        self.0.state.lock().idle -= 1;
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
