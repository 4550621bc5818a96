//! What keeps a policy from writing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::resource::{GroupResource, ObjectKey};

/// What keeps a policy from writing, or from letting go of what it wrote. One entry for each resource that it targets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Obstacles {
    /// The right that fixes lacked when one was last tried, in words, by resource.
    pub denied: BTreeMap<GroupResource, Arc<str>>,
    /// What else keeps a policy that ended from letting go of objects.
    pub stuck: Option<Arc<str>>,
    /// An object that was written, and does not say so in `managedFields`: nobody can take that back. The first of them.
    pub untracked: Option<ObjectKey>,
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

    /// Whether that is news: an object was written, and says so in `managedFields`, or does not.
    pub(super) fn track(&mut self, key: &ObjectKey, is_tracked: bool) -> bool {
        match (&self.untracked, is_tracked) {
            (None, false) => self.untracked.replace(key.clone()).is_none(),
            (Some(known), true) if known == key => self.untracked.take().is_some(),
            _ => false,
        }
    }

    /// What is to be known of what cannot be taken back.
    pub fn kept(&self) -> Option<String> {
        let object = self.untracked.as_ref()?;
        Some(format!(
            "the server keeps no entry of the policy in managedFields of {object}, and perhaps of others: what the policy \
             wrote there stays when it ends"
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
        let all = self.rights().into_iter().chain(self.stuck.as_deref().map(str::to_owned));
        f.write_str(&all.chain(self.kept()).collect::<Vec<_>>().join("; "))
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
        obstacles.stuck = Some("it is raining".into());
        assert_eq!(obstacles.to_string(), "no jobs; it is raining");
    }

    #[test]
    fn the_first_object_that_keeps_no_entry_is_told_until_it_does() {
        let key = |name: &str| ObjectKey {
            resource: GroupResource::new("", "pods"),
            object: ObjectName { namespace: None, name: name.into() },
        };
        let mut obstacles = Obstacles::default();
        assert!(!obstacles.track(&key("a"), true), "as it should be");
        assert!(obstacles.track(&key("a"), false) && !obstacles.track(&key("b"), false));
        assert!(obstacles.to_string().contains("managedFields of pods a,"), "{obstacles}");
        assert!(!obstacles.track(&key("b"), true) && obstacles.track(&key("a"), true));
        assert_eq!(obstacles, Obstacles::default());
    }
}
