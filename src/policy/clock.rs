//! The time at which an object is judged, and when the answer will be another.

use std::cell::Cell;

use jiff::Timestamp;

/// The instant of a judgement. It notes the first later instant at which something that was looked at changes: until
/// then judging again gives the same.
#[derive(Debug)]
pub(super) struct Clock {
    now: Timestamp,
    again: Cell<Option<Timestamp>>,
}

impl Clock {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { now, again: Cell::new(None) }
    }

    /// Nanoseconds since 1970.
    pub(super) fn nanoseconds(&self) -> i128 {
        self.now.as_nanosecond()
    }

    /// Whether the instant is yet to come; if so it is noted.
    pub(super) fn is_before(&self, instant: Timestamp) -> bool {
        let is_before = self.now < instant;
        if is_before {
            self.again.set(Some(self.again.get().map_or(instant, |again| again.min(instant))));
        }
        is_before
    }

    /// Notes an instant, in nanoseconds since 1970, at which something changes; one beyond the calendar never comes.
    pub(super) fn changes_at(&self, nanoseconds: i128) {
        if let Ok(instant) = Timestamp::from_nanosecond(nanoseconds) {
            self.is_before(instant);
        }
    }

    /// The first instant that was noted.
    pub(super) fn again(&self) -> Option<Timestamp> {
        self.again.get()
    }
}
