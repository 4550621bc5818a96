//! Letting go: what policies that ended, or lost a rule, wrote is taken back, and their entries in managedFields go.
//!
//! It takes the same gate, permit, consents and budgets as fixing.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::outcome::THROTTLED;
use super::{BUSY, Fixer, Next, READS};
use crate::enforce::case::version_of;
use crate::enforce::contest::{Fate, Ground};
use crate::enforce::gate::{Intent, Target};
use crate::enforce::leftovers::Leftover;
use crate::enforce::refusal::Refusal;
use crate::jsonpath::{Document, Node};
use crate::leader::Permit;
use crate::policy::{Patch, Release};
use crate::resource::{ObjectKey, log_object};

/// The pause after a refusal, while a policy waits to be let go.
const PAUSE: Duration = Duration::from_secs(20);
/// The same where the policy is gone, and nobody waits.
const LONG_PAUSE: Duration = Duration::from_secs(3600);
/// `maxPerMinute` of a policy that cannot be asked any more.
const PER_MINUTE: u32 = 60;

const CONTESTED: &str = "somebody puts the policy's entry in managedFields back again and again; the object is left alone \
    for a while, longer each time";
const OUTRUN: &str = "what is left there changes faster than it can be taken back; the object is left alone for a while, \
    longer each time";
const IN_VAIN: &str = "the server takes the change, and the policy's entry in managedFields is there again";

/// What became of letting go, and of the patch, where others may undo that, or were faster.
struct Released {
    next: Next,
    fate: Option<Fate>,
}

impl From<Next> for Released {
    fn from(next: Next) -> Self {
        Self { next, fate: None }
    }
}

impl Fixer {
    /// Takes off an object what policies have left on it.
    pub(super) async fn release(&self, key: &ObjectKey, permit: &Permit) -> Next {
        let views = self.parts.store.views(key);
        let Some(view) = views.first() else {
            self.forget(key);
            return Next::Done;
        };
        // What is stopped is looked at again when writes go on.
        if !self.settings.allow || self.parts.leadership.stopped() {
            return Next::Done;
        }
        let left = self.parts.leftovers.on(key, &view.document, &self.parts.set.borrow());
        if left.is_empty() {
            self.memory.lock().kept.forget(key);
        }
        let is_left = |policy: &str| left.iter().any(|leftover| leftover.policy() == policy);
        self.parts.ledger.retain_stuck_on(key, is_left);
        let ground = Ground::of_release(key, &view.document.id.uid);
        let contested = self.memory.lock().contests.enter(&ground, Instant::now(), || Arc::from(""));
        if let (Err(pause), false) = (contested, left.is_empty()) {
            let why = if pause.fate == Fate::Outrun { OUTRUN } else { CONTESTED };
            left.iter().for_each(|leftover| self.note_stuck(key, leftover, why));
            return Next::After(pause.left);
        }
        let resource = version_of(key, &view.types);
        let target = Target { resource: &resource, object: &key.object, types: &view.types };
        let (mut next, mut fate) = (Next::Done, None);
        for leftover in left {
            let released = match self.prepare_to_let_go(key, &leftover).await {
                Ok(()) => self.let_go(target, &view.document.id.uid, &leftover, permit).await,
                Err(then) => then.into(),
            };
            next = next.and(released.next);
            fate = released.fate.or(fate);
        }
        if let Some(fate) = fate {
            self.memory.lock().contests.sent(ground, fate, Instant::now());
        }
        next
    }

    /// An object is gone, or its kind is watched no more: with the last watch goes what rights there were missing.
    fn forget(&self, key: &ObjectKey) {
        self.memory.lock().kept.forget(key);
        self.parts.ledger.retain_stuck_on(key, |_| false);
        if !self.parts.store.watches(&key.resource) {
            self.parts.ledger.retain_denied(|_, resource| *resource != key.resource);
        }
    }

    /// Makes sure that something is left, and pays, before anything is read. Who cannot pay asks nobody.
    async fn prepare_to_let_go(&self, key: &ObjectKey, leftover: &Leftover) -> Result<(), Next> {
        let (payer, per_minute) = (leftover.payer(), leftover.per_minute.unwrap_or(PER_MINUTE));
        let throttled = |wait| {
            self.note_stuck(key, leftover, THROTTLED);
            Next::After(wait)
        };
        let wait = self.memory.lock().budgets.wait(&payer, per_minute, Instant::now());
        wait.map_or(Ok(()), |wait| Err(throttled(wait)))?;
        self.confirm_left(key, leftover).await?;
        let paid = self.memory.lock().budgets.pay(&payer, per_minute, Instant::now());
        paid.map_err(throttled)
    }

    /// Makes sure that what is left is left by policies as they are now.
    async fn confirm_left(&self, key: &ObjectKey, leftover: &Leftover) -> Result<(), Next> {
        let confirmed = self.confirm_all(leftover).await;
        confirmed.map_err(|(then, why)| {
            self.note_stuck(key, leftover, &why);
            then
        })
    }

    async fn let_go(&self, target: Target<'_>, uid: &str, leftover: &Leftover, permit: &Permit) -> Released {
        for _ in 0..READS {
            let patch = match self.gate.read(target).await {
                Ok(document) if *document.id.uid != *uid || document.deleting.is_some() => {
                    self.note_free(&target.key(), leftover);
                    return Next::Done.into();
                }
                Ok(document) => {
                    document.root.as_ref().ok().and_then(|object| self.patch_of(uid, object.node(), leftover))
                }
                Err(refusal) => return self.not_let_go(target, leftover, refusal).into(),
            };
            let Some(patch) = patch else {
                self.note_free(&target.key(), leftover);
                return Next::Done.into();
            };
            if let Some(wait) = self.rests(target, leftover, &patch) {
                return Next::After(wait).into();
            }
            // Reading may have taken longer than that lasts.
            if let Err(then) = self.confirm_left(&target.key(), leftover).await {
                return then.into();
            }
            let intent = Intent { policy: leftover.policy(), patch: &patch, dry_run: false };
            match self.gate.swap(target, intent, permit).await {
                Ok(after) => {
                    let next = self.let_go_of(target, leftover, (&patch, &after));
                    return Released { next, fate: Some(Fate::Held) };
                }
                Err(Refusal::Changed) => {
                    log_object!(
                        debug,
                        &target.key(),
                        policy = leftover.policy(),
                        "the object changed; it is read again"
                    );
                }
                Err(refusal) => return self.not_let_go(target, leftover, refusal).into(),
            }
        }
        Released { next: Next::After(BUSY), fate: Some(Fate::Outrun) }
    }

    fn patch_of(&self, uid: &str, object: Node<'_>, leftover: &Leftover) -> Option<Patch> {
        let Leftover { policies, editions: _, written, take_back, per_minute: _ } = leftover;
        let fences = &self.parts.leftovers.fences;
        Release { policies, written, take_back: *take_back, fences }.as_patch(uid, object)
    }

    /// How long the same is not sent again, since the server took it in vain.
    fn rests(&self, target: Target<'_>, leftover: &Leftover, patch: &Patch) -> Option<Duration> {
        let sent = self.hash(patch);
        let memory = self.memory.lock();
        let (_, wait) = memory.kept.of(&target.key(), leftover.policy(), sent, Instant::now())?;
        wait
    }

    /// The server took a patch. Where something puts the entry back, the object rests.
    fn let_go_of(
        &self,
        target: Target<'_>,
        leftover: &Leftover,
        (patch, after): (&Patch, &Document),
    ) -> Next {
        let (policy, key) = (leftover.policy(), target.key());
        log_object!(info, &key, policy, "an object was let go of");
        self.parts.ledger.note_denied(policy, &target.resource.resource, None);
        self.note_free(&key, leftover);
        let object = after.root.as_ref().ok();
        if object.and_then(|object| self.patch_of(&after.id.uid, object.node(), leftover)).is_none() {
            return Next::Done;
        }
        self.note_stuck(&key, leftover, IN_VAIN);
        let sent = (self.hash(patch), Vec::new());
        let mut memory = self.memory.lock();
        Next::After(memory.kept.begin(&key, &leftover.policy().into(), sent, Instant::now()))
    }

    fn hash(&self, patch: &Patch) -> u64 {
        self.hasher.hash_one(serde_json::to_string(patch).unwrap_or_default())
    }

    fn not_let_go(&self, target: Target<'_>, leftover: &Leftover, refusal: Refusal) -> Next {
        // A policy that is gone has no status in which anything could be said.
        let pause = if leftover.per_minute.is_some() { PAUSE } else { LONG_PAUSE };
        let key = target.key();
        match refusal {
            Refusal::Gone => {
                self.note_free(&key, leftover);
                Next::Done
            }
            Refusal::Lost => Next::Done,
            Refusal::Changed => Next::Retry,
            Refusal::Busy(wait) => Next::After(wait.max(BUSY)),
            Refusal::Failed(words) => {
                self.note_stuck(&key, leftover, &words);
                Next::Retry
            }
            Refusal::Refused(words) => {
                self.note_stuck(&key, leftover, &format!("{key}: {words}"));
                Next::After(pause)
            }
            Refusal::Denied(words) => {
                self.note_free(&key, leftover);
                if leftover.per_minute.is_some() {
                    self.deny(leftover.policy(), &target.resource.resource, &words);
                }
                Next::After(pause)
            }
        }
    }

    /// Tells why a policy's leftover stays on an object. A policy that is gone has no status to tell it in.
    fn note_stuck(&self, key: &ObjectKey, leftover: &Leftover, words: &str) {
        if leftover.per_minute.is_some() {
            self.parts.ledger.note_stuck(leftover.policy(), key, words.into());
        }
    }

    /// What was told of that object, and of no other, is true no more.
    fn note_free(&self, key: &ObjectKey, leftover: &Leftover) {
        self.parts.ledger.retain_stuck_on(key, |policy| *policy != *leftover.policy());
    }
}

#[cfg(test)]
#[path = "release_tests.rs"]
mod tests;
