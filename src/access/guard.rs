//! The guard at a door: asks, keeps the answer for a while, and lets nobody in unasked.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use ring::digest::{SHA256, digest};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::repeats::Repeats;
use super::review::{ReviewFault, Reviews, Right};
use crate::bucket::Bucket;

/// How long an answer is good for: that long a right that was taken away is still used.
const KEPT: Duration = Duration::from_secs(10);
/// The most answers that are kept; then all are asked again.
const MAX_KEPT: usize = 1024;
/// The most bytes of a token; those of ServiceAccounts have about one thousand.
const MAX_TOKEN: usize = 8 * 1024;
/// Questions under way at once.
const MAX_ASKED: usize = 4;
/// How many callers may be asked about at once, and how often after that.
const BURST: (u32, Duration) = (50, Duration::from_millis(100));
/// How long a caller waits for both questions.
const PATIENCE: Duration = Duration::from_secs(8);

/// Why a caller is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no token, or it is nobody's: 401.
    Unknown(String),
    /// The caller has not the right: 403.
    Forbidden(String),
    /// The API server cannot be asked: 503. Nobody is let in.
    Unasked(String),
}

/// What is kept of a token is its digest.
type Key = ([u8; 32], Right);

/// An answer, and when it was given.
type Kept = (Instant, Result<(), Refusal>);

/// Lets callers in.
pub struct Guard<R> {
    reviews: R,
    kept: Mutex<HashMap<Key, Kept>>,
    asked: Semaphore,
    bucket: Mutex<Bucket>,
    /// Of callers who were not asked about: whoever reaches the door could fill the log.
    unasked: Mutex<Repeats>,
}

impl<R: Reviews> Guard<R> {
    /// A guard that asks by these reviews.
    pub fn new(reviews: R) -> Self {
        Self {
            reviews,
            kept: Mutex::default(),
            asked: Semaphore::new(MAX_ASKED),
            bucket: Mutex::new(Bucket::new(BURST.0, BURST.1, Instant::now().into_std())),
            unasked: Mutex::default(),
        }
    }

    /// Whether the owner of the token has a right.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub async fn check(&self, token: Option<&str>, right: Right) -> Result<(), Refusal> {
        let token = token.filter(|token| !token.is_empty() && token.len() <= MAX_TOKEN);
        let Some(token) = token else {
            return Err(Refusal::Unknown(format!("give {}", right.token())));
        };
        let key = key(token, right);
        if let Some(answer) = self.known(&key) {
            return answer;
        }
        let asked = timeout(PATIENCE, self.ask(token, right)).await;
        let answer =
            asked.unwrap_or_else(|_elapsed| Err(ReviewFault(format!("no answer within {PATIENCE:?}"))));
        match answer {
            Ok(answer) => {
                self.keep(key, answer.clone());
                answer
            }
            Err(fault) => {
                if let Some(callers) = self.unasked.lock().due() {
                    warn!(callers, %fault, "cannot ask the API server about callers, who are not let in");
                }
                Err(Refusal::Unasked(format!("the API server cannot be asked about you: {fault}")))
            }
        }
    }

    async fn ask(&self, token: &str, right: Right) -> Result<Result<(), Refusal>, ReviewFault> {
        let closed = |_closed| ReviewFault("the operator is ending".to_owned());
        let _turn = self.asked.acquire().await.map_err(closed)?;
        // Whoever waited may have been asked about meanwhile.
        if let Some(answer) = self.known(&key(token, right)) {
            return Ok(answer);
        }
        if !self.bucket.lock().take(Instant::now().into_std()) {
            return Err(ReviewFault("too many callers; try again".to_owned()));
        }
        let Some(caller) = self.reviews.identify(token, right).await? else {
            return Ok(Err(Refusal::Unknown(format!("the token is not taken; give {}", right.token()))));
        };
        if self.reviews.allows(&caller, right).await? {
            return Ok(Ok(()));
        }
        Ok(Err(Refusal::Forbidden(format!("{} may not {}", caller.name, right.words()))))
    }

    fn known(&self, key: &Key) -> Option<Result<(), Refusal>> {
        let kept = self.kept.lock();
        let (at, answer) = kept.get(key)?;
        (at.elapsed() < KEPT).then(|| answer.clone())
    }

    fn keep(&self, key: Key, answer: Result<(), Refusal>) {
        let mut kept = self.kept.lock();
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(key, (Instant::now(), answer));
    }
}

fn key(token: &str, right: Right) -> Key {
    let mut bytes = [0; 32];
    for (byte, digested) in bytes.iter_mut().zip(digest(&SHA256, token.as_bytes()).as_ref()) {
        *byte = *digested;
    }
    (bytes, right)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::Caller;
    use super::*;

    /// Knows the tokens `reader` and `stranger`; `broken` cannot be asked about.
    #[derive(Default)]
    struct Fake {
        asked: AtomicUsize,
        slow: bool,
    }

    impl Reviews for Fake {
        async fn identify(&self, token: &str, _right: Right) -> Result<Option<Caller>, ReviewFault> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            if self.slow {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            match token {
                "reader" | "stranger" => Ok(Some(Caller { name: token.to_owned(), ..Caller::default() })),
                "broken" => Err(ReviewFault("no connection".to_owned())),
                "silent" => std::future::pending().await,
                _ => Ok(None),
            }
        }

        async fn allows(&self, caller: &Caller, right: Right) -> Result<bool, ReviewFault> {
            Ok(caller.name == "reader" && right == Right::ListPolicies)
        }
    }

    async fn check(guard: &Guard<Fake>, token: &str) -> Result<(), Refusal> {
        guard.check(Some(token), Right::ListPolicies).await
    }

    #[tokio::test]
    async fn only_those_are_let_in_who_are_known_and_allowed() {
        let guard = Guard::new(Fake::default());
        assert_eq!(check(&guard, "reader").await, Ok(()));
        let forbidden = "stranger may not list watchpolicies.watchpolicy.io".to_owned();
        assert_eq!(check(&guard, "stranger").await, Err(Refusal::Forbidden(forbidden)));
        assert!(matches!(check(&guard, "nobody").await, Err(Refusal::Unknown(_))));
        assert!(matches!(guard.check(Some("reader"), Right::GetMetrics).await, Err(Refusal::Forbidden(_))));
    }

    #[tokio::test]
    async fn without_a_token_or_with_an_endless_one_nobody_is_asked() {
        let guard = Guard::new(Fake::default());
        assert!(matches!(guard.check(None, Right::ListPolicies).await, Err(Refusal::Unknown(_))));
        for token in ["", &"x".repeat(MAX_TOKEN + 1)] {
            assert!(matches!(check(&guard, token).await, Err(Refusal::Unknown(_))));
        }
        assert_eq!(guard.reviews.asked.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_kept_for_a_short_while_and_then_asked_for_again() {
        let guard = Guard::new(Fake::default());
        for _ in 0..5 {
            assert_eq!(check(&guard, "reader").await, Ok(()));
        }
        assert_eq!(guard.reviews.asked.load(Ordering::Relaxed), 1);
        tokio::time::advance(KEPT).await;
        assert_eq!(check(&guard, "reader").await, Ok(()));
        assert_eq!(guard.reviews.asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_cannot_be_asked_about_is_not_let_in_and_asked_about_again_the_next_time() {
        let guard = Guard::new(Fake::default());
        assert!(matches!(check(&guard, "broken").await, Err(Refusal::Unasked(_))));
        assert!(matches!(check(&guard, "broken").await, Err(Refusal::Unasked(_))));
        assert_eq!(guard.reviews.asked.load(Ordering::Relaxed), 2);
        assert!(matches!(check(&guard, "silent").await, Err(Refusal::Unasked(_))), "it ends in time");
    }

    #[tokio::test(start_paused = true)]
    async fn callers_at_the_same_time_with_one_token_are_asked_about_few_times() {
        let guard = Guard::new(Fake { slow: true, ..Fake::default() });
        let all = futures::future::join_all((0..40).map(|_| check(&guard, "reader"))).await;
        assert!(all.iter().all(Result::is_ok));
        assert!(guard.reviews.asked.load(Ordering::Relaxed) <= MAX_ASKED);
    }

    #[tokio::test(start_paused = true)]
    async fn callers_who_cannot_be_asked_about_are_told_in_the_log_together() {
        let guard = Guard::new(Fake::default());
        for n in 0..200 {
            drop(check(&guard, &format!("guess-{n}")).await);
        }
        assert_eq!(guard.unasked.lock().due(), None, "the first was told a moment ago");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(guard.unasked.lock().due(), Some(151), "150 since, and this one");
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_tokens_does_not_reach_the_api_server_and_is_not_kept() {
        let guard = Guard::new(Fake::default());
        let mut unasked = 0;
        for n in 0..200 {
            if matches!(check(&guard, &format!("guess-{n}")).await, Err(Refusal::Unasked(_))) {
                unasked += 1;
            }
        }
        assert_eq!((guard.reviews.asked.load(Ordering::Relaxed), unasked), (50, 150));
        (0..2 * MAX_KEPT).for_each(|n| guard.keep(key(&n.to_string(), Right::ListPolicies), Ok(())));
        assert!(guard.kept.lock().len() <= MAX_KEPT);
    }
}
