//! How long is left alone what was in vain: a minute, then twice as long each time, up to an hour.

use std::time::Duration;

pub(super) const FIRST_PAUSE: Duration = Duration::from_secs(60);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// The pause after one of this length; after none, the first.
pub(super) fn next_pause(before: Duration) -> Duration {
    (before * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE)
}
