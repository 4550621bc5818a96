//! What keeps a policy from writing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::resource::{GroupResource, ObjectKey, Place};

/// What keeps a policy from writing, or from letting go of what it wrote. One entry for each resource that it targets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Obstacles {
    /// The right that fixes lacked when one was last tried, in words, by resource.
    pub denied: BTreeMap<GroupResource, Arc<str>>,
    /// What else keeps a policy that ended from letting go of an object. The first of them.
    pub stuck: Option<(ObjectKey, Arc<str>)>,
    /// What keeps its finalizer from being as it should.
    pub held: Option<Arc<str>>,
    /// An object that was written, and does not say so in `managedFields`: nobody can take that back. The first of them
    /// that a generation of the policy wrote, and that generation.
    pub untracked: Option<(ObjectKey, i64)>,
    /// A place to which it writes, and that the Lease does not name for want of room.
    pub unnamed: Option<Place>,
}

impl Obstacles {
    /// Whether that is news. The first words stand: others of the same right differ in the object alone.
    pub(super) fn deny(&mut self, resource: &GroupResource, denied: Option<Arc<str>>) -> bool {
        match (denied, self.denied.contains_key(resource)) {
            (None, known) => known && self.denied.remove(resource).is_some(),
            (Some(_), true) => false,
            (Some(words), false) => self.denied.insert(resource.clone(), words).is_none(),
        }
    }

    /// Whether that is news. Who asked the server knows what is missing now: where one right was given, that is another.
    pub(super) fn lack(&mut self, resource: &GroupResource, words: Arc<str>) -> bool {
        let before = self.denied.insert(resource.clone(), Arc::clone(&words));
        before != Some(words)
    }

    /// Whether that is news. What is told of an object stands until that object is let go of: nobody else's words take its
    /// place, so that the status of a policy does not change with each object that is tried.
    pub(super) fn stick(&mut self, key: &ObjectKey, words: Arc<str>) -> bool {
        match &self.stuck {
            Some((known, _)) if known != key => false,
            Some((_, known)) if *known == words => false,
            _ => {
                self.stuck = Some((key.clone(), words));
                true
            }
        }
    }

    /// Whether that is news: nothing keeps the policy from letting go of an object.
    pub(super) fn free(&mut self, key: &ObjectKey) -> bool {
        self.stuck.take_if(|(known, _)| known == key).is_some()
    }

    /// Whether that is news: an object was written by a generation of the policy, and says so in `managedFields`, or does
    /// not.
    pub(super) fn track(&mut self, key: &ObjectKey, generation: i64, is_tracked: bool) -> bool {
        match &self.untracked {
            Some((known, _)) if is_tracked => *known == *key && self.untracked.take().is_some(),
            Some((_, of)) if *of == generation => false,
            None if is_tracked => false,
            _ => {
                self.untracked = Some((key.clone(), generation));
                true
            }
        }
    }

    /// Whether that is news: an object is gone, and all that was said of it with it.
    pub(super) fn forget(&mut self, key: &ObjectKey) -> bool {
        let kept = self.untracked.take_if(|(known, _)| known == key);
        self.free(key) || kept.is_some()
    }

    /// What is to be known of what a generation of the policy wrote, and cannot be taken back.
    pub fn kept_by(&self, generation: i64) -> Option<String> {
        self.kept().filter(|_| self.untracked.as_ref().is_some_and(|(_, of)| *of == generation))
    }

    /// What is to be known of what cannot be taken back, whichever generation wrote it.
    pub fn kept(&self) -> Option<String> {
        let (object, _) = self.untracked.as_ref()?;
        Some(format!(
            "the server keeps no entry of the policy in managedFields of {object}, and perhaps of others: what the policy \
             wrote there stays when it ends"
        ))
    }

    /// What is to be known of what is written where the Lease does not say so.
    pub fn unrecorded(&self) -> Option<String> {
        let place = self.unnamed.as_ref()?;
        Some(format!(
            "the operator's Lease names as many places as it may, and not {place}: what the policy wrote there stays if it \
             ends while no operator runs; let policies enforce on fewer kinds"
        ))
    }

    /// The missing rights in one line: the first with its cure, the others by name.
    pub fn rights(&self) -> Option<String> {
        let mut denied = self.denied.iter();
        let (_, first) = denied.next()?;
        let others: Vec<_> = denied.map(|(resource, _)| resource.to_string()).collect();
        Some(match others.as_slice() {
            [] => first.to_string(),
            others => format!("{first}; the same for {}", others.join(", ")),
        })
    }
}

impl fmt::Display for Obstacles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stuck = self.stuck.as_ref().map(|(_, words)| words);
        let words = [stuck, self.held.as_ref()].into_iter().flatten().map(ToString::to_string);
        let all = self.rights().into_iter().chain(words).chain(self.kept());
        f.write_str(&all.collect::<Vec<_>>().join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::ObjectName;

    #[test]
    fn each_missing_right_is_told_until_it_is_given() {
        let (mut obstacles, pods, jobs) =
            (Obstacles::default(), GroupResource::new("", "pods"), GroupResource::new("batch", "jobs"));
        assert!(obstacles.deny(&pods, Some("no pods".into())) && !obstacles.deny(&pods, Some("none".into())));
        assert!(obstacles.deny(&jobs, Some("no jobs".into())));
        assert_eq!(obstacles.rights().unwrap(), "no pods; the same for jobs.batch");
        assert!(
            obstacles.lack(&pods, "no pods in shop".into())
                && !obstacles.lack(&pods, "no pods in shop".into())
        );
        assert_eq!(obstacles.rights().unwrap(), "no pods in shop; the same for jobs.batch");
        assert!(obstacles.deny(&pods, None) && !obstacles.deny(&pods, None));
        assert_eq!(obstacles.rights().unwrap(), "no jobs");
        obstacles.held = Some("it is raining".into());
        assert_eq!(obstacles.to_string(), "no jobs; it is raining");
    }

    fn key(name: &str) -> ObjectKey {
        let object = ObjectName { namespace: None, name: name.into() };
        ObjectKey { resource: GroupResource::new("", "pods"), object }
    }

    #[test]
    fn what_is_said_of_an_object_ends_with_that_object_and_takes_nothing_else_away() {
        let mut obstacles = Obstacles { held: Some("held".into()), ..Obstacles::default() };
        assert!(obstacles.stick(&key("a"), "rain".into()) && !obstacles.stick(&key("a"), "rain".into()));
        assert!(!obstacles.stick(&key("b"), "snow".into()), "one is enough to look at");
        assert!(!obstacles.free(&key("b")), "nothing was said of it");
        assert!(obstacles.stick(&key("a"), "hail".into()));
        assert_eq!(obstacles.to_string(), "hail; held");
        assert!(obstacles.free(&key("a")) && obstacles.stick(&key("b"), "snow".into()));
        assert_eq!(obstacles.to_string(), "snow; held");
    }

    #[test]
    fn the_first_object_that_keeps_no_entry_is_told_until_it_does() {
        let mut obstacles = Obstacles::default();
        assert!(!obstacles.track(&key("a"), 1, true), "as it should be");
        assert!(obstacles.track(&key("a"), 1, false) && !obstacles.track(&key("b"), 1, false));
        assert!(obstacles.to_string().contains("managedFields of pods a,"), "{obstacles}");
        assert!(!obstacles.track(&key("b"), 1, true) && obstacles.track(&key("a"), 1, true));
        assert_eq!(obstacles, Obstacles::default());
    }

    #[test]
    fn what_keeps_no_entry_is_told_of_the_generation_that_wrote_it_and_while_it_is_there() {
        let mut obstacles = Obstacles::default();
        assert!(obstacles.track(&key("a"), 1, false));
        assert_eq!((obstacles.kept_by(1), obstacles.kept_by(2)), (obstacles.kept(), None), "it was edited");
        assert!(obstacles.track(&key("b"), 2, false), "another generation tells its own");
        assert!(obstacles.kept_by(2).unwrap().contains("pods b,"));
        assert!(!obstacles.forget(&key("a")) && obstacles.forget(&key("b")));
        assert_eq!(obstacles, Obstacles::default());
    }
}
