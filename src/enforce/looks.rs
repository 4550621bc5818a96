//! How often objects are read in vain: one that changes all the time, and to which nothing is to be sent, is read a few
//! times in a minute, whatever the reason why nothing is.

use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use hashbrown::HashMap;
use tokio::time::Instant;

use super::budget::Window;
use super::rest::Fixes;
use super::sweep::Sweep;
use crate::crd::FixStatus;
use crate::resource::ObjectKey;

const SPAN: Duration = Duration::from_secs(60);
/// So many reads within the span are in vain before the object is let be.
const READS: u32 = 5;

#[derive(Debug, Default)]
struct Look {
    reads: Window,
    /// What became of the fixes when it was last read, by policy.
    told: HashMap<Arc<str>, Fixes, RandomState>,
}

/// The objects that were read lately without anything being sent. Bounded by what is read within the span.
#[derive(Debug, Default)]
pub(super) struct Looks {
    of: HashMap<ObjectKey, Look, RandomState>,
    sweep: Sweep,
}

impl Looks {
    /// How long an object is not to be read; to be asked before it is.
    pub(super) fn wait(&mut self, key: &ObjectKey, now: Instant) -> Option<Duration> {
        self.of.get_mut(key)?.reads.wait(READS, SPAN, now)
    }

    /// Notes that an object is read.
    pub(super) fn read(&mut self, key: &ObjectKey, now: Instant) {
        if self.sweep.is_due(self.of.len(), now) {
            self.of.retain(|_, look| look.reads.is_used(SPAN, now));
        }
        self.of.entry(key.clone()).or_default().reads.note(now);
    }

    /// Notes that something is sent to an object, or would be: it was not read in vain.
    pub(super) fn end(&mut self, key: &ObjectKey) {
        self.of.remove(key);
    }

    /// Remembers what became of the fixes of a policy on an object that was read.
    pub(super) fn tell(&mut self, key: &ObjectKey, policy: &Arc<str>, fixes: &Fixes) {
        if let Some(look) = self.of.get_mut(key) {
            look.told.insert(Arc::clone(policy), fixes.clone());
        }
    }

    /// What became of the fix of a rule when the object was last read.
    pub(super) fn told(&self, key: &ObjectKey, policy: &str, rule: &str) -> Option<&FixStatus> {
        let fixes = self.of.get(key)?.told.get(policy)?;
        fixes.iter().find_map(|(of, fix)| (**of == *rule).then_some(fix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::{GroupResource, ObjectName};

    fn key(name: &str) -> ObjectKey {
        let object = ObjectName { namespace: None, name: name.into() };
        ObjectKey { resource: GroupResource::new("", "namespaces"), object }
    }

    #[tokio::test(start_paused = true)]
    async fn no_minute_has_more_than_five_reads_in_vain_of_an_object() {
        let (mut looks, now, key) = (Looks::default(), Instant::now(), key("a"));
        for _ in 0..READS {
            assert_eq!(looks.wait(&key, now), None);
            looks.read(&key, now);
        }
        assert_eq!(looks.wait(&key, now + SPAN / 2), Some(SPAN / 2));
        assert_eq!(looks.wait(&key, now + SPAN), None);
        (0..READS).for_each(|_| looks.read(&key, now + SPAN));
        looks.end(&key);
        assert_eq!(looks.wait(&key, now + SPAN), None, "something was sent");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_told_is_known_while_the_object_is_read_in_vain() {
        let (mut looks, now, key) = (Looks::default(), Instant::now(), key("a"));
        let fixes: Fixes =
            vec![("r".into(), FixStatus { outcome: "Yielded".into(), ..FixStatus::default() })];
        looks.tell(&key, &"p".into(), &fixes);
        assert_eq!(looks.told(&key, "p", "r"), None);
        looks.read(&key, now);
        looks.tell(&key, &"p".into(), &fixes);
        assert_eq!(looks.told(&key, "p", "r"), Some(&fixes[0].1));
        assert_eq!((looks.told(&key, "p", "other"), looks.told(&key, "other", "r")), (None, None));
        looks.end(&key);
        assert_eq!(looks.told(&key, "p", "r"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn who_makes_many_objects_leaves_nothing_behind() {
        let (mut looks, now) = (Looks::default(), Instant::now());
        (0..=4096).for_each(|number| looks.read(&key(&number.to_string()), now));
        looks.read(&key("later"), now + SPAN);
        assert_eq!(looks.of.len(), 1);
    }
}
