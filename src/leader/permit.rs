//! Leadership as the rest of the process sees it.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// Longer than any process runs; what "for ever" is to a timer.
const FOR_EVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// For so long a request may still be carried out whose sender waits for it no more: the API server's own time limit
/// (`--request-timeout`), as it is by default, once it has the request.
///
/// No bound for what it does not have: of a machine that is cut off, Linux sends that again for 100 s after the connection was
/// closed (`tcp_orphan_retries`), and for 15 minutes while the process is stopped (`tcp_retries2`). `TCP_USER_TIMEOUT` would
/// end it earlier; kube makes the sockets itself, and lets nobody set it.
pub const AFTERMATH: Duration = Duration::from_secs(60);

/// Leadership is not, or no longer, held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this replica is not the leader")]
pub struct Lost;

/// One stretch of leadership without a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) number: u64,
    /// By the monotonic clock; moved on by each renewal.
    pub(super) valid_until: Instant,
    /// Somebody stopped writes to judged objects, by an annotation of the Lease.
    pub(super) stopped: bool,
    /// When it began, where whoever led before did not give the Lease back: what that has sent may come yet.
    pub(super) inherited: Option<Instant>,
    /// What the Lease keeps for whoever leads next; `None` without a Lease.
    pub(super) memo: Option<Arc<str>>,
    /// The newest wish that the Lease is known to have.
    pub(super) kept: u64,
}

/// What the Lease is to keep for whoever leads next.
#[derive(Clone, Debug, Default)]
pub(super) struct Wish {
    /// The term in which that was asked for: what an earlier leader wishes, nobody stores.
    pub(super) term: u64,
    /// Counts the wishes of all terms.
    pub(super) number: u64,
    pub(super) memo: Arc<str>,
}

/// Whether this replica leads. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Leadership {
    term: watch::Receiver<Option<Term>>,
    wishes: watch::Sender<Wish>,
}

impl Leadership {
    pub(super) fn new(term: watch::Receiver<Option<Term>>, wishes: watch::Sender<Wish>) -> Self {
        Self { term, wishes }
    }

    /// Of a replica that is alone: always held.
    pub fn alone() -> Self {
        let now = Instant::now();
        let (valid_until, inherited) = (now + FOR_EVER, Some(now));
        let term = Term { number: 0, valid_until, stopped: false, inherited, memo: None, kept: 0 };
        Self::new(watch::channel(Some(term)).1, watch::Sender::default())
    }

    /// A permit for what is about to be written.
    ///
    /// # Errors
    /// When this replica does not lead at this moment.
    pub fn permit(&self) -> Result<Permit, Lost> {
        let number = self.term.borrow().as_ref().ok_or(Lost)?.number;
        let permit = Permit { number, term: self.term.clone() };
        permit.check().map(|_left| permit)
    }

    /// Whether writes to judged objects are stopped by an annotation of the Lease.
    pub fn stopped(&self) -> bool {
        self.term.borrow().as_ref().is_some_and(|term| term.stopped)
    }

    /// Has the Lease keep a text for whoever leads next, with a renewal that does not wait for its time. Gives the number
    /// of the wish, for [`Permit::until_kept`].
    pub fn keep(&self, permit: &Permit, memo: &str) -> u64 {
        self.wishes.send_if_modified(|wish| {
            let is_new = wish.term != permit.number || *wish.memo != *memo;
            if is_new {
                *wish = Wish { term: permit.number, number: wish.number + 1, memo: memo.into() };
            }
            is_new
        });
        self.wishes.borrow().number
    }

    /// Waits until leadership is gained, renewed or lost; for ever when that cannot happen. Cancel safe.
    pub async fn changed(&mut self) {
        if self.term.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The right to write, for one stretch of leadership.
#[derive(Clone, Debug)]
pub struct Permit {
    number: u64,
    term: watch::Receiver<Option<Term>>,
}

impl Permit {
    /// How long it is still valid, unless it is renewed meanwhile.
    ///
    /// # Errors
    /// When the time has run out, or leadership was cleared; a permit that was lost never comes back.
    pub fn check(&self) -> Result<Duration, Lost> {
        let term = self.term.borrow();
        let term = term.as_ref().filter(|term| term.number == self.number).ok_or(Lost)?;
        let left = term.valid_until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(Lost) } else { Ok(left) }
    }

    /// What the Lease keeps for whoever leads next; `None` where there is no Lease.
    ///
    /// # Errors
    /// As [`Permit::check`].
    pub fn memo(&self) -> Result<Option<Arc<str>>, Lost> {
        self.check()?;
        Ok(self.term.borrow().as_ref().and_then(|term| term.memo.clone()))
    }

    /// Waits until the Lease has a wish of [`Leadership::keep`], or a later one; not at all where there is no Lease.
    ///
    /// # Errors
    /// When the permit is lost before.
    pub async fn until_kept(&self, wish: u64) -> Result<(), Lost> {
        let mut term = self.term.clone();
        let has = |term: &Term| term.memo.is_none() || term.kept >= wish;
        let kept = async { drop(term.wait_for(|term| term.as_ref().is_none_or(has)).await) };
        self.guard(kept).await
    }

    /// Whether what an earlier leader has sent may still be carried out. Of a replica that is alone that is the process
    /// before it.
    pub fn predecessor_may_write(&self) -> bool {
        let inherited = self.term.borrow().as_ref().and_then(|term| term.inherited);
        inherited.is_some_and(|began| began.elapsed() < AFTERMATH)
    }

    /// Does a piece of work for as long as the permit is valid, and drops it there and then when it is not.
    ///
    /// The permit is compared each time before the work goes on: a process that was stopped for longer than its lease
    /// does not send, when it wakes, what it had been about to send.
    ///
    /// # Errors
    /// When the permit is lost before the work is done. What was sent by then may still take effect.
    pub async fn guard<W: Future>(&self, work: W) -> Result<W::Output, Lost> {
        let (mut work, mut term) = (pin!(work), self.term.clone());
        loop {
            let left = self.check()?;
            tokio::select! {
                biased;
                Ok(()) = term.changed() => {}
                () = sleep(left) => {}
                done = poll_fn(|context| match self.check() {
                    Ok(_left) => work.as_mut().poll(context).map(Ok),
                    Err(lost) => Poll::Ready(Err(lost)),
                }) => return done,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn term(number: u64, seconds: u32) -> Option<Term> {
        let valid_until = Instant::now() + SECOND * seconds;
        Some(Term { number, valid_until, stopped: false, inherited: None, memo: Some("".into()), kept: 0 })
    }

    fn leadership(term: watch::Receiver<Option<Term>>) -> Leadership {
        Leadership::new(term, watch::Sender::default())
    }

    #[tokio::test(start_paused = true)]
    async fn a_permit_ends_by_itself() {
        let (_sender, receiver) = watch::channel(term(1, 10));
        let permit = leadership(receiver).permit().unwrap();
        sleep(SECOND * 9).await;
        assert_eq!(permit.check(), Ok(SECOND));
        sleep(SECOND).await;
        assert_eq!(permit.check(), Err(Lost));
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_prolongs_the_permits_that_are_out_and_the_work_under_way() {
        let (sender, receiver) = watch::channel(term(1, 10));
        let permit = leadership(receiver).permit().unwrap();
        let renewal = async {
            sleep(SECOND * 8).await;
            sender.send_replace(term(1, 10));
        };
        let (done, ()) = tokio::join!(permit.guard(sleep(SECOND * 15)), renewal);
        assert_eq!(done, Ok(()));
        assert_eq!(permit.check(), Ok(SECOND * 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_permit_of_an_earlier_term_does_not_come_back_with_the_next() {
        let (sender, receiver) = watch::channel(term(1, 10));
        let leadership = leadership(receiver);
        let permit = leadership.permit().unwrap();
        sender.send_replace(None);
        assert_eq!(leadership.permit().err(), Some(Lost));
        sender.send_replace(term(2, 10));
        assert_eq!(permit.check(), Err(Lost));
        assert!(leadership.permit().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn work_is_dropped_when_the_time_runs_out_and_when_leadership_is_cleared() {
        let (sender, receiver) = watch::channel(term(1, 10));
        let start = Instant::now();
        let permit = leadership(receiver).permit().unwrap();
        assert_eq!(permit.guard(std::future::pending::<()>()).await, Err(Lost));
        assert_eq!(start.elapsed(), SECOND * 10);

        sender.send_replace(term(1, 10));
        let clear = async {
            sleep(SECOND).await;
            sender.send_replace(None);
        };
        let (done, ()) = tokio::join!(permit.guard(std::future::pending::<()>()), clear);
        assert_eq!((done, start.elapsed()), (Err(Lost), SECOND * 11));
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_wakes_after_the_end_of_the_permit_is_not_touched_again() {
        let (_sender, receiver) = watch::channel(term(1, 10));
        let permit = leadership(receiver).permit().unwrap();
        let polls = Cell::new(0);
        let work = poll_fn(|_context| {
            polls.set(polls.get() + 1);
            Poll::<()>::Pending
        });
        let mut guarded = pin!(permit.guard(work));
        assert!(futures::poll!(&mut guarded).is_pending());
        // Nothing polls it meanwhile, as when the process is stopped.
        tokio::time::advance(SECOND * 20).await;
        assert_eq!(guarded.await, Err(Lost));
        assert_eq!(polls.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_an_earlier_leader_sent_is_awaited_for_a_minute() {
        let inherited = term(1, 1000).map(|term| Term { inherited: Some(Instant::now()), ..term });
        for (term, awaits) in [(term(1, 1000), false), (inherited, true)] {
            let (_sender, receiver) = watch::channel(term);
            let permit = leadership(receiver).permit().unwrap();
            assert_eq!(permit.predecessor_may_write(), awaits);
        }
        let permit = Leadership::alone().permit().unwrap();
        sleep(SECOND * 59).await;
        assert!(permit.predecessor_may_write());
        sleep(SECOND).await;
        assert!(!permit.predecessor_may_write());
    }

    #[tokio::test(start_paused = true)]
    async fn a_replica_that_is_alone_always_leads() {
        let mut leadership = Leadership::alone();
        sleep(Duration::from_secs(3600 * 24 * 365)).await;
        assert_eq!(leadership.permit().unwrap().guard(async { 7 }).await, Ok(7));
        assert!(tokio::time::timeout(SECOND, leadership.changed()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_wish_is_let_go_when_the_lease_has_it_or_the_term_is_over() {
        let (sender, receiver) = watch::channel(term(1, 10));
        let leadership = leadership(receiver);
        let permit = leadership.permit().unwrap();
        assert_eq!((leadership.keep(&permit, "a"), leadership.keep(&permit, "a")), (1, 1), "one wish");
        assert_eq!(leadership.keep(&permit, "b"), 2);
        let store = |kept| sender.send_modify(|term| term.iter_mut().for_each(|term| term.kept = kept));
        store(1);
        let waits = tokio::time::timeout(SECOND, permit.until_kept(2)).await;
        assert!(waits.is_err(), "what is on its way is not there");
        store(2);
        assert_eq!(permit.until_kept(2).await, Ok(()));
        assert_eq!(permit.until_kept(3).await, Err(Lost), "it ends with the permit");
        let alone = Leadership::alone().permit().unwrap();
        assert_eq!((alone.memo(), alone.until_kept(7).await), (Ok(None), Ok(())), "there is no Lease");
    }
}
