//! The paces of all policies, and whose turn is next: found without a look at all the others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::time::Instant;

use super::pace::Pace;

/// All paces, by the names of their policies. A pace is changed only through here, so that it never stands in the order
/// by another time than its own.
#[derive(Default)]
pub(super) struct Schedule {
    paces: BTreeMap<Arc<str>, Pace>,
    order: BTreeSet<(Instant, Arc<str>)>,
}

impl Schedule {
    pub(super) fn get(&self, policy: &str) -> Option<&Pace> {
        self.paces.get(policy)
    }

    /// The policies, and their paces.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Pace)> {
        self.paces.iter()
    }

    /// Takes a pace out. Whoever does puts it back.
    pub(super) fn take(&mut self, policy: &str) -> Option<Pace> {
        let (name, pace) = self.paces.remove_entry(policy)?;
        if let Some(due) = pace.due() {
            self.order.remove(&(due, name));
        }
        Some(pace)
    }

    /// Puts a pace in.
    pub(super) fn put(&mut self, pace: Pace) {
        let name = Arc::clone(&pace.entry.name);
        self.order.extend(pace.due().map(|due| (due, Arc::clone(&name))));
        self.paces.insert(name, pace);
    }

    /// Changes the pace of a policy, if there is one.
    pub(super) fn change(&mut self, policy: &str, change: impl FnOnce(&mut Pace)) {
        if let Some(mut pace) = self.take(policy) {
            change(&mut pace);
            self.put(pace);
        }
    }

    /// Changes all of them.
    pub(super) fn change_all(&mut self, mut change: impl FnMut(&mut Pace)) {
        self.order.clear();
        for (name, pace) in &mut self.paces {
            change(pace);
            self.order.extend(pace.due().map(|due| (due, Arc::clone(name))));
        }
    }

    /// When the first of them is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.order.first().map(|(due, _)| *due)
    }

    /// The policy that has been due for longest, if one is.
    pub(super) fn due(&self, now: Instant) -> Option<Arc<str>> {
        self.order.first().filter(|(due, _)| *due <= now).map(|(_, name)| Arc::clone(name))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::report::cases::running;

    #[tokio::test(start_paused = true)]
    async fn who_is_due_for_longest_is_first_and_who_is_written_is_not_due() {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        let after = |millis| start + Duration::from_millis(millis);
        for (name, at) in [("a", 30), ("b", 10), ("c", 20)] {
            schedule.put(Pace::new(Arc::new(running(name)), None, after(at)));
        }
        assert_eq!((schedule.next(), schedule.due(after(209))), (Some(after(210)), None));
        let mut order = Vec::new();
        while let Some(name) = schedule.due(after(1000)) {
            schedule.change(&name, |pace| {
                pace.taken();
                pace.sent(after(1000), Duration::from_secs(5));
            });
            order.push(name);
        }
        assert_eq!(order, ["b".into(), "c".into(), "a".into()]);
        assert_eq!(schedule.next(), None);
        schedule.change_all(|pace| pace.interrupted(after(2000)));
        assert_eq!(schedule.next(), Some(after(2000)));
        let gone = ["a", "b", "c"].map(|name| schedule.take(name).is_some());
        assert_eq!((gone, schedule.next(), schedule.iter().count()), ([true; 3], None, 0));
    }
}
