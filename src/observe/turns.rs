//! Turns at the server: lists are taken by a few at a time, so that a restart does not storm it, and nobody who waits
//! for an answer in vain keeps the others waiting.

use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

/// A page that takes longer is a slow one.
const QUICK: Duration = Duration::from_secs(5);
/// A server may hang for many resources at once, and then nothing is to be had of them.
const DOUBTFUL: usize = 4;

/// Three lanes: all begin in the first, and what turns out to be slow goes on in one of the others. Lists that are being
/// answered, however slowly, do not wait behind those of which nobody knows whether they will be.
#[derive(Debug)]
pub struct Turns {
    quick: Semaphore,
    slow: Semaphore,
    doubtful: Semaphore,
}

impl Turns {
    /// So many turns for the quick and for the slow, and four times as many for the doubtful.
    pub fn new(each: usize) -> Self {
        let [quick, slow] = [(); 2].map(|()| Semaphore::new(each));
        Self { quick, slow, doubtful: Semaphore::new(each * DOUBTFUL) }
    }

    /// Runs a request when it is its turn; `answers` when the one before it was answered. `None` when it takes long and
    /// has no turn among its like: it is given up, with what was read, to be begun anew by [`Turns::slow`].
    pub async fn quick<T>(&self, answers: bool, request: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(request);
        // The semaphores are never closed; were they, a list without a turn is better than none.
        let turn = self.quick.acquire().await.ok();
        if let Ok(done) = timeout(QUICK, &mut request).await {
            return Some(done);
        }
        let _turn = self.lane(answers).try_acquire().ok()?;
        drop(turn);
        Some(request.await)
    }

    /// Runs a request that is known to take long when it is its turn.
    pub async fn slow<T>(&self, answers: bool, request: impl Future<Output = T>) -> T {
        let _turn = self.lane(answers).acquire().await.ok();
        request.await
    }

    fn lane(&self, answers: bool) -> &Semaphore {
        if answers { &self.slow } else { &self.doubtful }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use futures::future::join_all;
    use tokio::time::{Instant, sleep};

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(60);

    /// As an informer takes its pages.
    async fn take(turns: &Turns, answers: bool, request: impl Fn() -> Duration) {
        let asked = || async { timeout(DEADLINE, sleep(request())).await.ok() };
        match turns.quick(answers, asked()).await {
            Some(done) => done,
            None => turns.slow(answers, asked()).await,
        };
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_in_vain_keeps_others_waiting_for_seconds_and_not_for_ever() {
        let turns = Turns::new(2);
        let start = Instant::now();
        let hanging = join_all((0..6).map(|_| timeout(DEADLINE, turns.quick(false, pending::<()>()))));
        let healthy = async {
            sleep(Duration::from_millis(1)).await;
            for _page in 0..100 {
                take(&turns, true, || Duration::from_millis(10)).await;
            }
            start.elapsed()
        };
        let (_, took) = tokio::join!(hanging, healthy);
        assert!(took < Duration::from_secs(20), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn slow_pages_of_a_list_that_is_answered_do_not_wait_for_lists_that_hang() {
        let turns = Turns::new(4);
        let start = Instant::now();
        let hanging = join_all((0..16).map(|_| async {
            loop {
                take(&turns, false, || Duration::MAX).await;
                if start.elapsed() > Duration::from_secs(300) {
                    return;
                }
                sleep(Duration::from_secs(1)).await;
            }
        }));
        let healthy = async {
            sleep(Duration::from_millis(1)).await;
            for page in 0..6 {
                take(&turns, page > 0, || Duration::from_secs(6)).await;
            }
            start.elapsed()
        };
        let (_, took) = tokio::join!(hanging, healthy);
        // Alone they take 36 s; each may wait for a quick turn, and the first for one among the doubtful.
        assert!(took < Duration::from_secs(150), "{took:?}");
    }
}
