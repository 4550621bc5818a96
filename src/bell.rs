//! Waiting for what others note, under a lock of their own, for one reader to take.

use tokio::sync::Notify;

/// Wakes the reader.
#[derive(Debug, Default)]
pub struct Bell(Notify);

impl Bell {
    /// Something was noted. It is heard also by a reader who listens later.
    pub fn ring(&self) {
        self.0.notify_one();
    }

    /// Takes as soon as there is something to take. For one reader: what one takes, no other finds. Cancel safe: what was
    /// not taken stays where it is, and is found the next time.
    pub async fn taken<T>(&self, mut take: impl FnMut() -> Option<T>) -> T {
        loop {
            if let Some(taken) = take() {
                return taken;
            }
            self.0.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn what_is_noted_is_taken_once_and_a_ring_before_the_waiting_is_heard() {
        let (bell, noted) = (Bell::default(), Cell::new(Some(1)));
        let taken = || bell.taken(|| noted.take());
        assert_eq!(taken().now_or_never(), Some(1));
        assert_eq!(taken().now_or_never(), None, "it was taken");
        bell.ring();
        assert_eq!(taken().now_or_never(), None, "there is nothing, whoever rang");
        let waiting = taken();
        noted.set(Some(2));
        bell.ring();
        assert_eq!(waiting.await, 2);
    }
}
