//! Turns at the server: lists are taken by a few at a time, so that a restart does not storm it, and nobody who waits
//! for an answer in vain keeps the others waiting.

use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

/// A page that takes longer is a slow one.
const QUICK: Duration = Duration::from_secs(5);

/// Two lanes, the second for what turned out to be slow. An answer that has no turn in either is not read on, so that
/// memory holds parts of as many as there are turns.
#[derive(Debug)]
pub struct Turns {
    quick: Semaphore,
    slow: Semaphore,
}

impl Turns {
    /// So many turns in each lane.
    pub fn new(each: usize) -> Self {
        Self { quick: Semaphore::new(each), slow: Semaphore::new(each) }
    }

    /// Runs a request when it is its turn. One that takes long goes on among the slow ones.
    pub async fn take<T>(&self, request: impl Future<Output = T>) -> T {
        tokio::pin!(request);
        // The semaphores are never closed; were they, a list without a turn is better than none.
        let turn = self.quick.acquire().await.ok();
        if let Ok(done) = timeout(QUICK, &mut request).await {
            return done;
        }
        drop(turn);
        let _turn = self.slow.acquire().await.ok();
        request.await
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use futures::future::join_all;
    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_waits_in_vain_keeps_others_waiting_for_seconds_and_not_for_ever() {
        let turns = Turns::new(2);
        let start = Instant::now();
        let hanging = join_all((0..6).map(|_| timeout(Duration::from_secs(60), turns.take(pending::<()>()))));
        let healthy = async {
            sleep(Duration::from_millis(1)).await;
            for _page in 0..100 {
                turns.take(sleep(Duration::from_millis(10))).await;
            }
            start.elapsed()
        };
        let (_, took) = tokio::join!(hanging, healthy);
        assert!(took < Duration::from_secs(20), "{took:?}");
    }
}
