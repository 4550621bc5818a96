//! How much is sent: by one policy in a minute, and by all together in a second.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use hashbrown::HashMap;
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// What was sent within a span of time; bounded by its limit.
#[derive(Debug, Default)]
pub(super) struct Window(VecDeque<Instant>);

impl Window {
    /// How long to wait before one more may be sent.
    pub(super) fn wait(&mut self, limit: u32, span: Duration, now: Instant) -> Option<Duration> {
        while self.0.front().is_some_and(|sent| now.duration_since(*sent) >= span) {
            self.0.pop_front();
        }
        let over = self.0.len().checked_sub(usize::try_from(limit).unwrap_or(usize::MAX))?;
        self.0.get(over).map(|sent| span.saturating_sub(now.duration_since(*sent)))
    }

    /// Notes that one more is sent.
    pub(super) fn note(&mut self, now: Instant) {
        self.0.push_back(now);
    }

    /// Whether anything was sent within the span.
    pub(super) fn is_used(&self, span: Duration, now: Instant) -> bool {
        self.0.back().is_some_and(|sent| now.duration_since(*sent) < span)
    }
}

/// All budgets. One window for each policy that has sent something lately.
#[derive(Debug)]
pub(super) struct Budgets {
    per_second: NonZeroU32,
    all: Window,
    policies: HashMap<Arc<str>, Window, RandomState>,
}

impl Budgets {
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        Self { per_second, all: Window::default(), policies: HashMap::default() }
    }

    /// How long to wait before a request of a policy can be paid for; nothing is paid.
    pub(super) fn wait(&mut self, policy: &str, per_minute: u32, now: Instant) -> Option<Duration> {
        let own = self.policies.get_mut(policy).and_then(|own| own.wait(per_minute, MINUTE, now));
        own.max(self.all.wait(self.per_second.get(), SECOND, now))
    }

    /// Pays for one request of a policy.
    ///
    /// # Errors
    /// How long to wait when a budget is used up; nothing is paid then.
    pub(super) fn pay(&mut self, policy: &Arc<str>, per_minute: u32, now: Instant) -> Result<(), Duration> {
        self.policies.retain(|_, window| window.is_used(MINUTE, now));
        if let Some(wait) = self.wait(policy, per_minute, now) {
            return Err(wait);
        }
        self.policies.entry(Arc::clone(policy)).or_default().note(now);
        self.all.note(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_minute_has_more_than_the_policy_may_send_and_no_second_more_than_all() {
        let (one, two): (Arc<str>, Arc<str>) = ("one".into(), "two".into());
        let mut budgets = Budgets::new(NonZeroU32::new(2).unwrap());
        let now = Instant::now();
        assert_eq!(budgets.pay(&one, 3, now), Ok(()));
        assert_eq!(budgets.pay(&two, 3, now), Ok(()));
        assert_eq!(budgets.pay(&one, 3, now), Err(SECOND));
        assert_eq!(budgets.pay(&one, 3, now + SECOND), Ok(()));
        assert_eq!(budgets.pay(&one, 3, now + SECOND), Ok(()));
        assert_eq!(budgets.pay(&one, 3, now + SECOND * 2), Err(SECOND * 58));
        assert_eq!(budgets.pay(&two, 3, now + SECOND * 2), Ok(()), "one does not use up another's");
        assert_eq!(budgets.pay(&one, 3, now + MINUTE), Ok(()));
    }
}
