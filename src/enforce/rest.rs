//! What was tried and did not mend: the object rests, for longer each time, while the same would be sent again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use hashbrown::HashMap;
use tokio::time::Instant;

use super::pause::{FIRST_PAUSE, next_pause};
use crate::crd::FixStatus;
use crate::metrics::Remediation;
use crate::resource::{GroupResource, ObjectKey};

/// What became of the fixes of a policy on an object, by rule.
pub(super) type Fixes = Vec<(Arc<str>, FixStatus)>;

#[derive(Debug)]
struct Rest {
    /// Of what was sent, and how.
    sent: u64,
    pause: Duration,
    /// `None` where it stands for as long as the same would be sent.
    until: Option<Instant>,
    fixes: Fixes,
}

/// All that rests, by object. An entry goes when its time comes and nothing is to be mended any more.
#[derive(Debug, Default)]
pub(super) struct Rests(HashMap<ObjectKey, BTreeMap<Arc<str>, Rest>, RandomState>);

impl Rests {
    /// What became of the same when it was last sent, and how long it still rests; `None` for as long as it is the same.
    pub(super) fn of(
        &self,
        key: &ObjectKey,
        policy: &str,
        sent: u64,
        now: Instant,
    ) -> Option<(Fixes, Option<Duration>)> {
        let rests = |rest: &&Rest| rest.sent == sent && rest.until.is_none_or(|until| now < until);
        let rest = self.0.get(key)?.get(policy).filter(rests)?;
        Some((rest.fixes.clone(), rest.until.map(|until| until - now)))
    }

    /// Notes what became of something that need not be sent again as it is.
    pub(super) fn stand(&mut self, key: &ObjectKey, policy: &Arc<str>, (sent, fixes): (u64, Fixes)) {
        let rest = Rest { sent, pause: FIRST_PAUSE, until: None, fixes };
        self.0.entry(key.clone()).or_default().insert(Arc::clone(policy), rest);
    }

    /// Notes what became of something; gives how long it rests.
    pub(super) fn begin(
        &mut self,
        key: &ObjectKey,
        policy: &Arc<str>,
        (sent, fixes): (u64, Fixes),
        now: Instant,
    ) -> Duration {
        let of_object = self.0.entry(key.clone()).or_default();
        let before = of_object.get(policy).filter(|rest| rest.sent == sent);
        let pause = next_pause(before.map(|rest| rest.pause).unwrap_or_default());
        of_object.insert(Arc::clone(policy), Rest { sent, pause, until: Some(now + pause), fixes });
        pause
    }

    /// Forgets what a policy tried on an object: it has nothing to mend there.
    pub(super) fn end(&mut self, key: &ObjectKey, policy: &str) {
        self.retain(key, |other| *other != *policy);
    }

    /// Forgets what policies tried on an object that fix it no more.
    pub(super) fn retain(&mut self, key: &ObjectKey, fixes: impl Fn(&str) -> bool) {
        let Some(of_object) = self.0.get_mut(key) else { return };
        of_object.retain(|policy, _| fixes(policy));
        if of_object.is_empty() {
            self.0.remove(key);
        }
    }

    /// Forgets what a policy could not try on objects of a resource for want of a right.
    pub(super) fn end_unverified(&mut self, policy: &str, resource: &GroupResource) {
        let lacks =
            |rest: &Rest| rest.fixes.iter().any(|(_, fix)| fix.outcome == Remediation::NotVerified.as_str());
        self.0.retain(|key, of_object| {
            if key.resource == *resource && of_object.get(policy).is_some_and(lacks) {
                of_object.remove(policy);
            }
            !of_object.is_empty()
        });
    }

    /// How many objects rest.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Forgets an object.
    pub(super) fn forget(&mut self, key: &ObjectKey) {
        self.0.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::ObjectName;

    #[tokio::test(start_paused = true)]
    async fn the_same_rests_for_longer_each_time_and_another_does_not() {
        let object = ObjectName { namespace: None, name: "a".into() };
        let key = ObjectKey { resource: GroupResource::new("", "namespaces"), object };
        let (mut rests, policy, mut now): (_, Arc<str>, _) = (Rests::default(), "p".into(), Instant::now());
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let pause = rests.begin(&key, &policy, (1, Vec::new()), now);
            assert!(rests.of(&key, "p", 1, now).is_some() && rests.of(&key, "p", 2, now).is_none());
            now += pause;
            assert!(rests.of(&key, "p", 1, now).is_none());
            pauses.push(pause.as_secs());
        }
        assert_eq!(pauses, [60, 120, 240, 480, 960, 1920, 3600, 3600]);
        assert_eq!(rests.begin(&key, &policy, (2, Vec::new()), now), FIRST_PAUSE);
        rests.end(&key, "p");
        assert!(rests.0.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_kept_of_policies_that_fix_the_object_no_more() {
        let object = ObjectName { namespace: None, name: "a".into() };
        let key = ObjectKey { resource: GroupResource::new("", "namespaces"), object };
        let (mut rests, now) = (Rests::default(), Instant::now());
        for policy in ["gone", "stays"] {
            rests.begin(&key, &policy.into(), (1, Vec::new()), now);
        }
        rests.retain(&key, |policy| policy == "stays");
        assert!(rests.of(&key, "stays", 1, now).is_some() && rests.of(&key, "gone", 1, now).is_none());
        rests.retain(&key, |_| false);
        assert!(rests.0.is_empty());
    }
}
