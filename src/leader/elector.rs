//! The election: holding the Lease, or waiting for it, as client-go does, with stricter times.
//!
//! ```text
//!            read: held ──► wait until it has not changed for its whole duration
//!   follow ─┤
//!            read: free, given back, or ours ──► compare-and-swap ──ok──► lead
//!   lead ──compare-and-swap every retry period, or earlier where something is to be kept──► lead
//!        ──changed by somebody else──► stop writes, then read ──► follow
//!        ──no renewal for the renew deadline──► the permits have ended by themselves ──► follow
//! ```
//!
//! A term ends one renew deadline after its last renewal was *sent*; others wait for a whole lease duration after they
//! *saw* it. Both are measured by the monotonic clock of who measures. What is between the two is for writes that the
//! server has and has not answered.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::lease::Lease;
use super::permit::{AFTERMATH, Leadership, Term, Wish};
use super::store::{LeaseFault, LeaseStore};

/// Followers look at times of their own: up to so much later than the retry period, as a part of it.
const JITTER: f64 = 0.2;
/// A renewal that is asked for early waits until so many of them fit into one retry period.
const EARLIEST: u32 = 10;
/// Giving the Lease back: a write, and, where somebody changed it meanwhile, a look and another write.
const RELEASE_STEPS: usize = 3;

/// Who takes part, and the times of the election.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The holder's name in the Lease. No two running replicas may have the same.
    pub identity: Arc<str>,
    /// Others wait for so long after the last renewal that they saw.
    pub lease: Duration,
    /// A leader that could not renew for so long is none any more; shorter than `lease`.
    pub renew: Duration,
    /// How often is renewed, or looked.
    pub retry: Duration,
}

/// What is known of the Lease.
enum Known {
    /// Nothing: it was not read yet.
    Unread,
    /// There is none.
    Absent,
    /// Its newest known state.
    Present(Lease),
}

/// One replica's part in the election.
pub struct Elector<S> {
    store: S,
    settings: Settings,
    /// For the times in the Lease, which are for people.
    wall: fn() -> Timestamp,
    jitter: SmallRng,
    known: Known,
    /// When the Lease may be taken, as far as is known.
    free_at: Instant,
    /// The Lease names us, and by our own doing.
    ours: bool,
    /// The last claim, as it was sent, while it is not known what became of it or of one like it.
    sent: Option<Lease>,
    /// The Lease of somebody else, or of nobody, that our last claim of that kind was written over.
    replaced: Option<Lease>,
    /// Nobody else can have held the Lease before: one lease duration after the last confirmed claim was sent.
    held_until: Instant,
    /// Writes are stopped, as the newest Lease says that was read. One that is deleted takes nobody's word back.
    stopped: bool,
    stepped: Instant,
    term: watch::Sender<Option<Term>>,
    terms: u64,
    /// What the Lease is to keep.
    wishes: watch::Receiver<Wish>,
    /// The newest of them that it is known to have.
    kept: u64,
    /// There was a Lease: it being gone says nothing of whoever was in it.
    seen: bool,
    /// When the term began, if it was not given to us.
    inherited: Option<Instant>,
}

impl<S: LeaseStore> Elector<S> {
    /// Nothing is asked before [`Elector::run`]; `seed` is for the jitter, `wall` is the wall clock.
    pub fn new(store: S, settings: Settings, seed: u64, wall: fn() -> Timestamp) -> (Self, Leadership) {
        let (term, reader) = watch::channel(None);
        let (wisher, wishes) = watch::channel(Wish::default());
        let now = Instant::now();
        let elector = Self {
            store,
            settings,
            wall,
            jitter: SmallRng::seed_from_u64(seed),
            known: Known::Unread,
            free_at: now,
            ours: false,
            sent: None,
            replaced: None,
            held_until: now,
            stopped: false,
            stepped: now,
            term,
            terms: 0,
            wishes,
            kept: 0,
            seen: false,
            inherited: None,
        };
        (elector, Leadership::new(reader, wisher))
    }

    /// Takes part until told to stop; then gives up leadership first and the Lease after. `seen` hints at changes of
    /// the Lease.
    pub async fn run(mut self, mut seen: watch::Receiver<Option<Lease>>, stop: CancellationToken) {
        while stop.run_until_cancelled(self.step()).await.is_some() {
            if stop.run_until_cancelled(self.rest(&mut seen)).await.is_none() {
                break;
            }
        }
        self.release().await;
    }

    /// Renews or tries to take it, once.
    async fn step(&mut self) {
        self.stepped = Instant::now();
        if self.left().is_some() {
            match self.claim().await {
                Err(LeaseFault::Conflict) => self.clear("the lease was changed by somebody else"),
                Err(LeaseFault::Failed(error)) => return warn!(error, "cannot renew the lease"),
                Ok(()) => return,
            }
        }
        if let Err(error) = self.read().await {
            return warn!(%error, "cannot read the lease");
        }
        if Instant::now() < self.free_at {
            return;
        }
        match self.claim().await {
            Err(LeaseFault::Failed(error)) => warn!(error, "cannot take the lease"),
            // Another replica was faster; that is seen with the next look.
            Ok(()) | Err(LeaseFault::Conflict) => {}
        }
    }

    /// What the Lease is to keep, if we lead, and lead still since that was asked for.
    fn wish(&self) -> Option<Wish> {
        let wish = self.wishes.borrow();
        (self.left().is_some() && wish.term == self.terms).then(|| wish.clone())
    }

    /// Waits for the next step: for its time, or for a change or a wish that calls for it earlier.
    async fn rest(&mut self, seen: &mut watch::Receiver<Option<Lease>>) {
        let mut end = self.next_step();
        loop {
            let valid_until = self.term.borrow().as_ref().map(|term| term.valid_until);
            tokio::select! {
                biased;
                () = sleep_until(valid_until.unwrap_or(end)), if valid_until.is_some() => {
                    self.clear("it was not renewed in time");
                }
                () = sleep_until(end) => return,
                Ok(()) = seen.changed() => {
                    let lease = seen.borrow_and_update().clone();
                    if self.calls(lease) {
                        return;
                    }
                }
                Ok(()) = self.wishes.changed() => {
                    if self.wish().is_some_and(|wish| wish.number > self.kept) {
                        end = end.min(self.stepped + self.settings.retry / EARLIEST);
                    }
                }
            }
        }
    }

    fn next_step(&mut self) -> Instant {
        let (now, retry) = (Instant::now(), self.settings.retry);
        if self.left().is_some() {
            // A renewal that took long is not followed by a pause that makes the next one late.
            return now.max(self.stepped + retry);
        }
        let look = now + retry + retry.mul_f64(self.jitter.random_range(0.0..JITTER));
        if self.free_at > now { look.min(self.free_at) } else { look }
    }

    /// Whether what the watch shows calls for a step at once. It may be older than what is known already: so nothing is
    /// decided by it, but to stop.
    fn calls(&mut self, lease: Option<Lease>) -> bool {
        let ours = lease.as_ref().is_some_and(|lease| lease.holder() == &*self.settings.identity);
        if ours {
            return false;
        }
        if self.left().is_some() {
            // A watch that is behind still shows what our claim has replaced.
            if lease.as_ref().zip(self.replaced.as_ref()).is_some_and(|(seen, old)| seen.same_spec(old)) {
                return false;
            }
            self.clear("somebody else is in the lease");
            return true;
        }
        let vacant = lease.as_ref().is_none_or(Lease::is_released);
        if !vacant {
            self.observe(lease);
        }
        vacant
    }

    async fn read(&mut self) -> Result<(), LeaseFault> {
        let found = self.within(self.store.read()).await?;
        self.observe(found);
        Ok(())
    }

    /// Notes the state of the Lease, and from when on it may be taken.
    fn observe(&mut self, found: Option<Lease>) {
        let (now, own) = (Instant::now(), self.settings.lease);
        self.ours = found.as_ref().is_some_and(|lease| self.is_ours(lease, now));
        self.sent = None;
        self.stopped = found.as_ref().map_or(self.stopped, Lease::stops_writes);
        self.free_at = match (&self.known, &found) {
            (_, Some(_)) if self.ours => now,
            (Known::Present(old), Some(new)) if old.same_spec(new) => self.free_at,
            (_, Some(new)) if new.is_released() => now,
            (_, Some(new)) => now + new.duration(own),
            (Known::Unread | Known::Absent, None) => self.free_at,
            (Known::Present(_), None) if now < self.held_until => now,
            // Whoever held it may not know yet that it was deleted.
            (Known::Present(_), None) => now + own,
        };
        self.seen |= found.is_some();
        self.known = found.map_or(Known::Absent, Known::Present);
    }

    /// Our name alone proves nothing, anybody may have written it there.
    fn is_ours(&self, lease: &Lease, now: Instant) -> bool {
        let confirmed = now < self.held_until;
        let as_sent = self.sent.as_ref().is_some_and(|sent| sent.same_claim(lease));
        lease.holder() == &*self.settings.identity && (confirmed || as_sent)
    }

    /// Writes ourselves into the Lease, if it is still as it is known.
    async fn claim(&mut self) -> Result<(), LeaseFault> {
        let (started, now) = (Instant::now(), (self.wall)());
        let Settings { identity, lease: duration, renew, .. } = &self.settings;
        let (valid_until, held_until) = (started + *renew, started + *duration);
        let inherited = match &self.known {
            // Somebody else edited it; what we have sent ourselves is ours to know.
            Known::Present(_) if self.ours => self.inherited,
            Known::Present(lease) => (!lease.is_released()).then_some(started),
            Known::Unread | Known::Absent => self.seen.then_some(started),
        };
        let (claim, is_new) = match &self.known {
            Known::Present(lease) => (lease.take(identity, *duration, now), false),
            Known::Unread | Known::Absent => {
                let lease = Lease::create(self.store.place(), identity, *duration, now);
                (if self.stopped { lease.and_stop_writes() } else { lease }, true)
            }
        };
        let wish = self.wish();
        let claim = match &wish {
            Some(wish) => claim.and_keep(&wish.memo),
            None => claim,
        };
        if let Known::Present(lease) = &self.known
            && lease.holder() != &**identity
        {
            self.replaced = Some(lease.clone());
        }
        self.sent = Some(claim.clone());
        let stored = match is_new {
            true => self.within(self.store.create(&claim)).await?,
            false => self.within(self.store.replace(&claim)).await?,
        };
        self.held_until = held_until;
        self.kept = wish.map_or(self.kept, |wish| wish.number);
        self.observe(Some(stored));
        self.lead(valid_until, inherited);
        Ok(())
    }

    /// No request takes longer than what is left of the term; two of them fit into one renew deadline.
    async fn within<T>(&self, request: impl Future<Output = Result<T, LeaseFault>>) -> Result<T, LeaseFault> {
        let half = self.settings.renew / 2;
        let limit = self.left().map_or(half, |left| left.min(half));
        let late = |_elapsed| LeaseFault::Failed(format!("no answer within {limit:?}"));
        timeout(limit, request).await.map_err(late)?
    }

    /// What is left of the term; `None` for who does not lead.
    fn left(&self) -> Option<Duration> {
        let valid_until = self.term.borrow().as_ref()?.valid_until;
        Some(valid_until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }

    fn lead(&mut self, valid_until: Instant, inherited: Option<Instant>) {
        if self.left().is_none() {
            self.terms += 1;
            self.inherited = inherited;
            info!(identity = &*self.settings.identity, "leading");
        }
        let memo = match &self.known {
            Known::Present(lease) => lease.memo(),
            Known::Unread | Known::Absent => "",
        };
        let memo = Some(memo.into());
        let Self { terms: number, stopped, kept, inherited, .. } = *self;
        self.term.send_replace(Some(Term { number, valid_until, stopped, inherited, memo, kept }));
    }

    /// Ends the term, and with it every permit.
    fn clear(&mut self, why: &str) {
        if self.term.send_replace(None).is_some() {
            info!(identity = &*self.settings.identity, why, "no longer leading");
        }
    }

    /// Gives the Lease back, so that another need not wait for its end.
    async fn release(&mut self) {
        self.clear("the process ends");
        // Whoever leads next waits as we would have to, and learns of it by a Lease that is not given back.
        if self.inherited.is_some_and(|began| began.elapsed() < AFTERMATH) {
            return info!("the lease is left to end: an earlier leader may still write");
        }
        for _ in 0..RELEASE_STEPS {
            let done = match &self.known {
                Known::Present(lease) if self.ours => {
                    let released = lease.release((self.wall)());
                    self.within(self.store.replace(&released)).await.map(Some)
                }
                // A claim was under way when the end came.
                _ if self.sent.is_some() => Ok(None),
                Known::Unread | Known::Absent | Known::Present(_) => return,
            };
            match done {
                Ok(Some(_released)) => return info!("the lease is released"),
                Err(LeaseFault::Failed(error)) => return warn!(error, "cannot release the lease"),
                Ok(None) | Err(LeaseFault::Conflict) => {}
            }
            if let Err(error) = self.read().await {
                return warn!(%error, "cannot release the lease");
            }
        }
    }
}

#[cfg(test)]
mod tests;
