//! Exponential back-off: how long to wait after failures in a row. Whoever waits counts its own failures, and gives the
//! randomness.

use std::ops::Range;
use std::time::Duration;

use rand::{Rng, RngExt};

/// Waits that double with each failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure.
    pub first: Duration,
    /// No wait is longer.
    pub longest: Duration,
}

impl Backoff {
    /// The wait after so many failures in a row, the first being 1; before jitter.
    pub fn wait(&self, failures: u32) -> Duration {
        let factor = 2_u32.saturating_pow(failures.saturating_sub(1));
        self.first.saturating_mul(factor).min(self.longest)
    }
}

/// A random share of a wait, so that those who wait for the same thing do not all end at the same time. The shares are
/// not negative.
pub fn jittered(wait: Duration, shares: Range<f64>, random: &mut impl Rng) -> Duration {
    wait.mul_f64(random.random_range(shares))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;

    const BACKOFF: Backoff = Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(30) };

    #[test]
    fn waits_double_up_to_the_longest_and_stay_there_for_ever() {
        let millis: Vec<_> = (1..=8).map(|failures| BACKOFF.wait(failures).as_millis()).collect();
        assert_eq!(millis, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        for failures in [32, 33, 1_000, u32::MAX] {
            assert_eq!(BACKOFF.wait(failures), BACKOFF.longest);
        }
    }

    #[test]
    fn nothing_is_waited_longer_than_the_longest_not_even_at_first() {
        let short = Backoff { longest: Duration::from_millis(100), ..BACKOFF };
        assert_eq!(short.wait(1), short.longest);
    }

    #[test]
    fn jitter_stays_within_its_shares_and_follows_from_the_seed() {
        let shares = |seed| {
            let mut random = SmallRng::seed_from_u64(seed);
            (0..100).map(|_| jittered(Duration::from_secs(1), 0.5..1.0, &mut random)).collect::<Vec<_>>()
        };
        assert!(shares(1).iter().all(|wait| (0.5..1.0).contains(&wait.as_secs_f64())));
        assert!(shares(1).windows(2).any(|pair| pair.first() != pair.last()), "no jitter at all");
        assert_eq!(shares(1), shares(1));
        assert_ne!(shares(1), shares(2));
    }
}
