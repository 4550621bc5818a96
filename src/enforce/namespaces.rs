//! Whether the Namespaces of objects are being deleted, where no watch says so.

use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use hashbrown::HashMap;
use tokio::time::Instant;

/// For so long an answer is believed.
const FRESH: Duration = Duration::from_secs(10);
/// The most answers that are kept; beyond, all are forgotten.
const MOST: usize = 4096;

/// What was found lately.
#[derive(Debug, Default)]
pub(super) struct Namespaces(HashMap<Arc<str>, (Instant, bool), RandomState>);

impl Namespaces {
    /// Whether it is being deleted, if that was asked lately.
    pub(super) fn is_ending(&self, namespace: &str, now: Instant) -> Option<bool> {
        let (asked, ending) = self.0.get(namespace)?;
        (now.duration_since(*asked) < FRESH).then_some(*ending)
    }

    /// Notes an answer.
    pub(super) fn note(&mut self, namespace: &Arc<str>, ending: bool, now: Instant) {
        if self.0.len() >= MOST {
            self.0.clear();
        }
        self.0.insert(Arc::clone(namespace), (now, ending));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_believed_for_a_while_and_only_so_many_are_kept() {
        let (mut namespaces, now, shop): (_, _, Arc<str>) =
            (Namespaces::default(), Instant::now(), "shop".into());
        assert_eq!(namespaces.is_ending("shop", now), None);
        namespaces.note(&shop, true, now);
        assert_eq!(namespaces.is_ending("shop", now + FRESH / 2), Some(true));
        assert_eq!(namespaces.is_ending("shop", now + FRESH), None);
        for number in 0..=MOST {
            namespaces.note(&number.to_string().into(), false, now);
        }
        assert!(namespaces.0.len() <= MOST);
    }
}
