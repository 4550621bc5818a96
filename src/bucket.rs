//! A token bucket: how often something may be done, with a burst to begin with.

use std::time::{Duration, Instant};

/// Full at first; one token comes back each `every`.
#[derive(Debug)]
pub struct Bucket {
    size: u32,
    every: Duration,
    tokens: u32,
    /// When the last token came back; of no meaning while the bucket is full.
    since: Instant,
}

impl Bucket {
    /// A full bucket.
    pub fn new(size: u32, every: Duration, now: Instant) -> Self {
        Self { size, every, tokens: size, since: now }
    }

    /// Takes a token, if there is one.
    pub fn take(&mut self, now: Instant) -> bool {
        self.fill(now);
        if self.tokens == self.size {
            self.since = now;
        }
        let taken = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(1);
        taken
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.since).as_nanos();
        let back = passed.checked_div(self.every.as_nanos()).unwrap_or(u128::MAX);
        let back = u32::try_from(back).unwrap_or(u32::MAX);
        self.tokens = self.tokens.saturating_add(back).min(self.size);
        self.since =
            self.every.checked_mul(back).and_then(|time| self.since.checked_add(time)).unwrap_or(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_is_let_through_and_then_one_at_a_time() {
        let start = Instant::now();
        let mut bucket = Bucket::new(3, SECOND, start);
        let taken =
            |bucket: &mut Bucket, after: Duration| (0..10).filter(|_| bucket.take(start + after)).count();
        assert_eq!(taken(&mut bucket, SECOND * 5), 3);
        assert_eq!(taken(&mut bucket, SECOND * 5 + SECOND / 2), 0);
        assert_eq!(taken(&mut bucket, SECOND * 6), 1);
        assert_eq!(taken(&mut bucket, SECOND * 8), 2);
        assert_eq!(taken(&mut bucket, SECOND * 100), 3);
    }

    #[test]
    fn a_part_of_the_wait_is_not_lost_by_asking_meanwhile() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1, SECOND, start);
        assert!(bucket.take(start));
        let taken = (1..=40).filter(|tenth| bucket.take(start + SECOND / 10 * *tenth)).count();
        assert_eq!(taken, 4);
    }
}
