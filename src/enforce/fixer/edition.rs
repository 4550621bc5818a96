//! Whether a policy is still as it is known here, asked before it writes.
//!
//! A watch may be behind without knowing it, for a minute and more: in a process that was stopped, or cut off from the
//! server, and that leads from now on. It would fix for policies that ended.

use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use hashbrown::HashMap;
use tokio::time::Instant;

use super::{BUSY, Fixer, Next};
use crate::enforce::gate::Edition;
use crate::enforce::refusal::Refusal;
use crate::policy::CompiledPolicy;

/// An answer is believed for so long.
const FRESH: Duration = Duration::from_secs(10);
const BEHIND: &str = "the policy is not as it is known here any more; its watch has yet to show how it is";

/// Which policies are as they are known, and since when. As many as wrote lately.
#[derive(Debug, Default)]
pub(super) struct Editions(HashMap<Arc<str>, (i64, Instant), RandomState>);

impl Editions {
    /// By the policy's uid.
    fn is_fresh(&self, policy: &CompiledPolicy, now: Instant) -> bool {
        let known = self.0.get(&policy.uid);
        known.is_some_and(|(generation, asked)| {
            *generation == policy.generation && now.duration_since(*asked) < FRESH
        })
    }

    fn note(&mut self, policy: &CompiledPolicy, asked: Instant) {
        self.0.retain(|_, (_, at)| asked.saturating_duration_since(*at) < FRESH);
        self.0.insert(Arc::clone(&policy.uid), (policy.generation, asked));
    }
}

impl Fixer {
    /// Makes sure that a policy still is what it was when it was compiled.
    ///
    /// # Errors
    /// When it is not, or nobody can say: what brings the key back, and why nothing is written, in words.
    pub(super) async fn confirm(&self, policy: &CompiledPolicy) -> Result<(), (Next, String)> {
        let asked = Instant::now();
        if self.memory.lock().editions.is_fresh(policy, asked) {
            return Ok(());
        }
        let now = match self.gate.edition(&policy.name).await {
            Ok(now) => now,
            Err(Refusal::Busy(wait)) => {
                return Err((Next::After(wait.max(BUSY)), "the server asks to wait".to_owned()));
            }
            Err(Refusal::Denied(words) | Refusal::Refused(words) | Refusal::Failed(words)) => {
                return Err((Next::Retry, format!("the policy cannot be read: {words}")));
            }
            Err(Refusal::Gone | Refusal::Changed | Refusal::Lost) => None,
        };
        let known = |now: &Edition| *now.uid == *policy.uid && now.generation == policy.generation;
        if !now.as_ref().is_some_and(known) {
            // When the watch shows it, its objects are judged anew, and come here by that.
            return Err((Next::Retry, BEHIND.to_owned()));
        }
        self.memory.lock().editions.note(policy, asked);
        Ok(())
    }
}
