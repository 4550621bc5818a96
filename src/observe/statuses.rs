//! The statuses of policies, as their watch showed them last.
//!
//! They are told apart from the policies: each status that is written comes back by the watch, and is news to its writer
//! alone. Were it a change of the set of policies, each of many writes would make work for all of them.
//!
//! What bounds it: one entry for each policy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::bell::Bell;
use crate::crd::WatchPolicyStatus;

/// What the server holds of one policy.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Of the policy; one that is deleted and created again is another one.
    pub uid: Arc<str>,
    /// `None` before the operator has written one.
    pub status: Option<Arc<WatchPolicyStatus>>,
}

/// All of them, by policy. One follows the watch, and one reads.
#[derive(Debug, Default)]
pub struct Statuses {
    state: Mutex<State>,
    changed: Bell,
}

#[derive(Debug, Default)]
struct State {
    shown: BTreeMap<Arc<str>, Shown>,
    dirty: BTreeSet<Arc<str>>,
}

impl Statuses {
    /// What the watch showed last of the policy of a name.
    pub fn of(&self, policy: &str) -> Option<Shown> {
        self.state.lock().shown.get(policy).cloned()
    }

    /// Waits until some statuses changed, and names their policies. For one caller: what it was told once, nobody is
    /// told again. Cancel safe.
    pub async fn changed(&self) -> BTreeSet<Arc<str>> {
        let take = || std::mem::take(&mut self.state.lock().dirty);
        self.changed.taken(|| Some(take()).filter(|dirty| !dirty.is_empty())).await
    }

    /// The watch showed this. It is news where it differs from what was shown before: an edit of something else shows
    /// the same status again, perhaps after a newer one was written.
    pub fn show(&self, policy: &Arc<str>, shown: Shown) {
        let mut state = self.state.lock();
        let known = state.shown.get(policy);
        if known.is_some_and(|known| known.uid == shown.uid && known.status == shown.status) {
            return;
        }
        state.shown.insert(Arc::clone(policy), shown);
        state.dirty.insert(Arc::clone(policy));
        drop(state);
        self.changed.ring();
    }

    /// Forgets a policy that is gone.
    pub fn forget(&self, policy: &str) {
        let State { shown, dirty } = &mut *self.state.lock();
        shown.remove(policy);
        dirty.remove(policy);
    }

    /// Forgets the policies that are not kept.
    pub fn retain(&self, keep: impl Fn(&str) -> bool) {
        let State { shown, dirty } = &mut *self.state.lock();
        shown.retain(|policy, _| keep(policy));
        dirty.retain(|policy| keep(policy));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(uid: &str, reason: &str) -> Shown {
        let status = WatchPolicyStatus { reason: Some(reason.to_owned()), ..WatchPolicyStatus::default() };
        Shown { uid: uid.into(), status: Some(Arc::new(status)) }
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_differs_from_what_was_shown_before_is_news() {
        let statuses = Statuses::default();
        statuses.show(&"p".into(), shown("u-1", "Listing"));
        statuses.show(&"q".into(), shown("u-2", "Synced"));
        assert_eq!(statuses.changed().await, ["p".into(), "q".into()].into());
        statuses.show(&"q".into(), shown("u-2", "Synced"));
        statuses.show(&"p".into(), shown("u-1", "Synced"));
        assert_eq!(statuses.changed().await, ["p".into()].into());
        statuses.show(&"q".into(), shown("u-3", "Synced"));
        assert_eq!(statuses.changed().await, ["q".into()].into(), "another policy of the same name");
    }

    #[test]
    fn of_policies_that_are_gone_nothing_is_kept() {
        let statuses = Statuses::default();
        statuses.show(&"p".into(), shown("u-1", "Synced"));
        statuses.show(&"q".into(), shown("u-2", "Synced"));
        statuses.show(&"r".into(), shown("u-3", "Synced"));
        statuses.forget("p");
        statuses.retain(|policy| policy != "q");
        assert!(statuses.of("p").is_none() && statuses.of("q").is_none() && statuses.of("r").is_some());
        assert_eq!(statuses.state.lock().dirty, ["r".into()].into());
    }
}
