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

/// That a policy is as it is known is believed for so long after it was asked.
const FRESH: Duration = Duration::from_secs(10);
/// Where it is not, or the server could not say, it is asked again so long after it answered.
const AGAIN: Duration = Duration::from_secs(2);
const BEHIND: &str = "the policy is not as it is known here any more; its watch has yet to show how it is";
const ANEW: &str = "the policy was edited, and its objects are being listed anew; what fails by then is fixed by the policy as it is now";
const EDITED: &str = "the policy was edited a moment ago; what is left is looked at again";

/// What brings a key back that nothing is written to, and why nothing is, in words.
pub(super) type Doubt = (Next, String);

/// What the server said of a policy.
#[derive(Debug)]
struct Said {
    edition: Result<Option<Edition>, Doubt>,
    asked: Instant,
    answered: Instant,
}

impl Said {
    fn confirms(&self, known: Option<&Edition>) -> Result<(), Doubt> {
        match &self.edition {
            Ok(said) if said.as_ref() == known => Ok(()),
            // When the watch shows it, its objects are judged anew, and come here by that.
            Ok(_) => Err((Next::Retry, BEHIND.to_owned())),
            Err(doubt) => Err(doubt.clone()),
        }
    }
}

/// What the server said of policies lately, by name.
#[derive(Debug, Default)]
pub(super) struct Editions(HashMap<Arc<str>, Said, RandomState>);

impl Editions {
    /// Whether a policy is as it is known; `None` where the server is to be asked.
    fn confirm(&self, policy: &str, known: Option<&Edition>, now: Instant) -> Option<Result<(), Doubt>> {
        let said = self.0.get(policy)?;
        let confirmed = said.confirms(known);
        let is_fresh = match confirmed {
            Ok(()) => now.duration_since(said.asked) < FRESH,
            Err(_) => now.duration_since(said.answered) < AGAIN,
        };
        is_fresh.then_some(confirmed)
    }

    fn note(&mut self, policy: &Arc<str>, said: Said) {
        let now = said.answered;
        self.0.retain(|_, known| now.saturating_duration_since(known.answered) < FRESH);
        self.0.insert(Arc::clone(policy), said);
    }
}

fn edition_of(policy: &CompiledPolicy) -> Edition {
    Edition { uid: policy.uid.to_string(), generation: policy.generation }
}

impl Fixer {
    /// Why a policy may not write as it was compiled, as far as that is known without asking anybody.
    pub(super) fn doubt(&self, policy: &CompiledPolicy) -> Option<Doubt> {
        if self.is_edited(policy) {
            return Some((Next::Done, ANEW.to_owned()));
        }
        let (known, now) = (edition_of(policy), Instant::now());
        self.memory.lock().editions.confirm(&policy.name, Some(&known), now)?.err()
    }

    /// Whether the watch of policies shows a newer edition of a policy than the one by which objects are judged still. When
    /// they are judged by that, they come back by themselves.
    fn is_edited(&self, policy: &CompiledPolicy) -> bool {
        let set = self.parts.set.borrow();
        let newest = set.entries.get(&policy.name).filter(|entry| entry.enforcing().is_some());
        newest.is_some_and(|entry| (&entry.uid, entry.generation) != (&policy.uid, policy.generation))
    }

    /// Makes sure that the policy that wants a write still is what it was when it was compiled.
    ///
    /// # Errors
    /// When it is not, or nobody can say.
    pub(super) async fn confirm(&self, policy: &CompiledPolicy) -> Result<(), Doubt> {
        if let Some(doubt) = self.doubt(policy) {
            return Err(doubt);
        }
        self.confirm_edition(&policy.name, Some(&edition_of(policy))).await
    }

    /// Makes sure that the policies of a leftover still are as they were when it was found, or as gone.
    ///
    /// # Errors
    /// As [`Fixer::confirm`].
    pub(super) async fn confirm_all(&self, leftover: &Leftover) -> Result<(), Doubt> {
        for (policy, known) in leftover.policies.iter().zip(&leftover.editions) {
            if Edition::in_set(&self.parts.set.borrow(), policy) != *known {
                return Err((Next::Retry, EDITED.to_owned()));
            }
            self.confirm_edition(policy, known.as_ref()).await?;
        }
        Ok(())
    }

    async fn confirm_edition(&self, policy: &Arc<str>, known: Option<&Edition>) -> Result<(), Doubt> {
        let asked = Instant::now();
        if let Some(confirmed) = self.memory.lock().editions.confirm(policy, known, asked) {
            return confirmed;
        }
        let edition = self.ask(policy).await;
        let said = Said { edition, asked, answered: Instant::now() };
        let confirmed = said.confirms(known);
        self.memory.lock().editions.note(policy, said);
        confirmed
    }

    async fn ask(&self, policy: &str) -> Result<Option<Edition>, Doubt> {
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

#[cfg(test)]
#[path = "edition_tests.rs"]
mod tests;
