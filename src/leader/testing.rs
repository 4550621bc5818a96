//! Leadership that a test gives and takes.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::permit::{Leadership, Term};

/// Holds, or does not hold, leadership.
pub(crate) struct Lead(watch::Sender<Option<Term>>);

impl Lead {
    pub(crate) fn new(leads: bool) -> Self {
        let lead = Self(watch::channel(None).0);
        lead.set(leads);
        lead
    }

    pub(crate) fn leadership(&self) -> Leadership {
        Leadership::new(self.0.subscribe())
    }

    pub(crate) fn set(&self, leads: bool) {
        let valid_until = Instant::now() + Duration::from_secs(24 * 3600);
        self.0.send_modify(|term| {
            *term = leads.then_some(Term { number: 1, valid_until, stopped: false, inherited: None });
        });
    }

    /// Whoever led before did not give the Lease back.
    pub(crate) fn inherit(&self) {
        let inherit =
            |term: &mut Option<Term>| term.iter_mut().for_each(|term| term.inherited = Some(Instant::now()));
        self.0.send_modify(inherit);
    }

    /// Leadership is lost and gained so fast that nobody sees the loss.
    pub(crate) fn next(&self) {
        let next = |term: &mut Option<Term>| term.iter_mut().for_each(|term| term.number += 1);
        self.0.send_modify(next);
    }
}
