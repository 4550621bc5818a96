//! Leadership that a test gives and takes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::permit::{Leadership, Term, Wish};

/// Holds, or does not hold, leadership.
pub(crate) struct Lead {
    term: watch::Sender<Option<Term>>,
    wishes: watch::Sender<Wish>,
    terms: AtomicU64,
}

impl Lead {
    /// Without a Lease.
    pub(crate) fn new(leads: bool) -> Self {
        let (term, wishes) = (watch::channel(None).0, watch::Sender::default());
        let lead = Self { term, wishes, terms: AtomicU64::new(0) };
        lead.set(leads);
        lead
    }

    /// There is a Lease from now on, which keeps this.
    pub(crate) fn lease(&self, memo: &str) {
        self.term.send_modify(|term| term.iter_mut().for_each(|term| term.memo = Some(memo.into())));
    }

    pub(crate) fn leadership(&self) -> Leadership {
        Leadership::new(self.term.subscribe(), self.wishes.clone())
    }

    /// Gains it in a term of its own, without a Lease, or keeps it; or loses it.
    pub(crate) fn set(&self, leads: bool) {
        let valid_until = Instant::now() + Duration::from_secs(24 * 3600);
        let gained = || self.terms.fetch_add(1, Ordering::Relaxed) + 1;
        let number = self.term.borrow().as_ref().map(|term| term.number);
        let term =
            |number| Term { number, valid_until, stopped: false, inherited: None, memo: None, kept: 0 };
        self.term.send_replace(leads.then(|| term(number.unwrap_or_else(gained))));
    }

    /// Whoever led before did not give the Lease back.
    pub(crate) fn inherit(&self) {
        let inherit =
            |term: &mut Option<Term>| term.iter_mut().for_each(|term| term.inherited = Some(Instant::now()));
        self.term.send_modify(inherit);
    }

    /// Leadership is lost and gained so fast that nobody sees the loss.
    pub(crate) fn next(&self) {
        let number = self.terms.fetch_add(1, Ordering::Relaxed) + 1;
        self.term.send_modify(|term| term.iter_mut().for_each(|term| term.number = number));
    }

    /// What the Lease is wished to keep is there.
    pub(crate) fn renew(&self) {
        let wish = self.wishes.borrow().clone();
        let renew = |term: &mut Term| {
            if term.number == wish.term && term.memo.is_some() {
                (term.memo, term.kept) = (Some(wish.memo.clone()), wish.number);
            }
        };
        self.term.send_modify(|term| term.iter_mut().for_each(renew));
    }

    /// What the Lease keeps.
    pub(crate) fn memo(&self) -> String {
        let term = self.term.borrow();
        term.as_ref().and_then(|term| term.memo.as_deref()).unwrap_or_default().to_owned()
    }
}
