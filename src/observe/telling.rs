//! When a phase is told in the log: on entering it, and while it lasts, once a minute.

use std::mem::{Discriminant, discriminant};
use std::time::Duration;

use tokio::time::Instant;

use super::informer::Phase;

/// How often a lasting trouble is told again.
const AGAIN: Duration = Duration::from_secs(60);

/// What was told last, and when.
#[derive(Default)]
pub(super) struct Telling {
    last: Option<(Discriminant<Phase>, Instant)>,
}

impl Telling {
    /// Whether the phase is to be told now. While a list is tried again, nothing has changed.
    pub(super) fn is_due(&mut self, phase: &Phase) -> bool {
        let (kind, now) = (discriminant(phase), Instant::now());
        let due = self.last.is_none_or(|(last, at)| last != kind || now >= at + AGAIN);
        if due {
            self.last = Some((kind, now));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_phase_is_told_when_it_is_entered_and_once_a_minute() {
        let mut telling = Telling::default();
        assert!(telling.is_due(&Phase::Absent) && !telling.is_due(&Phase::Absent));
        let told = |telling: &mut Telling| telling.is_due(&Phase::Degraded("another word each time".into()));
        assert!(told(&mut telling) && !told(&mut telling));
        tokio::time::advance(AGAIN).await;
        assert!(told(&mut telling) && telling.is_due(&Phase::Synced));
    }
}
