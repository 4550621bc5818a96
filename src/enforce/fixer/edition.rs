//! Whether a policy is still as it is known here, asked before it writes.
//!
//! A watch may be behind without knowing it, for a minute and more: in a process that was stopped, or cut off from the
//! server, and that leads from now on. It would fix for policies that ended, and take away what others write.

use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use hashbrown::HashMap;
use tokio::time::Instant;

use super::{BUSY, Fixer, Next};
use crate::enforce::gate::Edition;
use crate::enforce::leftovers::Leftover;
use crate::enforce::refusal::Refusal;
use crate::policy::CompiledPolicy;

/// What the server said is believed for so long.
const FRESH: Duration = Duration::from_secs(10);
/// Where it said that the watch is behind, it is asked again after so long.
const AGAIN: Duration = Duration::from_secs(1);
const BEHIND: &str = "the policy is not as it is known here any more; its watch has yet to show how it is";
const CHANGED: &str = "the policy has changed; the object is yet to be judged by what it says now";

/// What the server said of policies lately, by name, and when that was asked.
#[derive(Debug, Default)]
pub(super) struct Editions(HashMap<Arc<str>, (Option<Edition>, Instant), RandomState>);

impl Editions {
    /// Whether a policy is as it is known; `None` where the server is to be asked.
    fn confirms(&self, policy: &str, known: Option<&Edition>, now: Instant) -> Option<bool> {
        let (said, asked) = self.0.get(policy)?;
        let is_known = said.as_ref() == known;
        let lasts = if is_known { FRESH } else { AGAIN };
        (now.duration_since(*asked) < lasts).then_some(is_known)
    }

    fn note(&mut self, policy: &Arc<str>, said: Option<Edition>, asked: Instant) {
        self.0.retain(|_, (_, at)| asked.saturating_duration_since(*at) < FRESH);
        self.0.insert(Arc::clone(policy), (said, asked));
    }
}

impl Fixer {
    /// Makes sure that the policy that wants a write still is what it was when it was compiled.
    ///
    /// # Errors
    /// When it is not, or nobody can say: what brings the key back, and why nothing is written, in words.
    pub(super) async fn confirm(&self, policy: &CompiledPolicy) -> Result<(), (Next, String)> {
        let known = Edition { uid: policy.uid.to_string(), generation: policy.generation };
        self.confirm_edition(&policy.name, Some(&known)).await
    }

    /// Makes sure that the policies of a leftover still are what they were when it was found, or as gone.
    ///
    /// # Errors
    /// As [`Fixer::confirm`].
    pub(super) async fn confirm_all(&self, leftover: &Leftover) -> Result<(), (Next, String)> {
        for (policy, known) in leftover.policies.iter().zip(&leftover.known) {
            self.confirm_edition(policy, known.as_ref()).await?;
        }
        Ok(())
    }

    async fn confirm_edition(
        &self,
        policy: &Arc<str>,
        known: Option<&Edition>,
    ) -> Result<(), (Next, String)> {
        // By the one that was known before, something else may have been wanted.
        let shown = self.parts.set.borrow().entries.get(policy).map(|entry| Edition::of(entry));
        if shown.as_ref() != known {
            return Err((Next::Retry, CHANGED.to_owned()));
        }
        let asked = Instant::now();
        let said = self.memory.lock().editions.confirms(policy, known, asked);
        let confirms = match said {
            Some(confirms) => confirms,
            None => {
                let said = self.ask(policy).await?;
                let confirms = said.as_ref() == known;
                self.memory.lock().editions.note(policy, said, asked);
                confirms
            }
        };
        // When the watch shows it, its objects are judged anew, and come here by that.
        if confirms { Ok(()) } else { Err((Next::Retry, BEHIND.to_owned())) }
    }

    async fn ask(&self, policy: &str) -> Result<Option<Edition>, (Next, String)> {
        match self.gate.edition(policy).await {
            Ok(said) => Ok(said),
            Err(Refusal::Busy(wait)) => {
                Err((Next::After(wait.max(BUSY)), "the server asks to wait".to_owned()))
            }
            Err(Refusal::Denied(words) | Refusal::Refused(words) | Refusal::Failed(words)) => {
                Err((Next::Retry, format!("the policy cannot be read: {words}")))
            }
            Err(Refusal::Gone | Refusal::Changed | Refusal::Lost) => Err((Next::Retry, BEHIND.to_owned())),
        }
    }
}
