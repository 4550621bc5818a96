//! What callers can bring about again and again is told in the log once in a while, with how often it happened.

use std::time::Duration;

use tokio::time::Instant;

/// How often a lasting trouble is told.
const AGAIN: Duration = Duration::from_secs(60);

/// When it was told last, and how often it has happened since.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    told: Option<Instant>,
    count: u64,
}

impl Repeats {
    /// It happened once more: how often since it was told last, where it is to be told now.
    pub(super) fn due(&mut self) -> Option<u64> {
        let now = Instant::now();
        self.count = self.count.saturating_add(1);
        let is_due = self.told.is_none_or(|told| now >= told + AGAIN);
        is_due.then(|| {
            self.told = Some(now);
            std::mem::take(&mut self.count)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_is_told_at_once_and_the_others_once_a_minute_with_their_count() {
        let mut repeats = Repeats::default();
        assert_eq!(repeats.due(), Some(1));
        for _ in 0..100 {
            assert_eq!(repeats.due(), None);
        }
        tokio::time::advance(AGAIN).await;
        assert_eq!((repeats.due(), repeats.due()), (Some(101), None));
    }
}
