//! When what is remembered is looked through for what is over.

use std::time::Duration;

use tokio::time::Instant;

/// With no more than this remembered, nothing is looked through.
const MANY: usize = 4096;
/// Looking through is dear: it is done once in this time.
const PAUSE: Duration = Duration::from_secs(1);

/// When it was done last.
#[derive(Debug, Default)]
pub(super) struct Sweep(Option<Instant>);

impl Sweep {
    /// Whether it is to be done now, with so much remembered.
    pub(super) fn is_due(&mut self, remembered: usize, now: Instant) -> bool {
        let is_due = remembered > MANY && self.0.is_none_or(|done| now.duration_since(done) >= PAUSE);
        if is_due {
            self.0 = Some(now);
        }
        is_due
    }
}
