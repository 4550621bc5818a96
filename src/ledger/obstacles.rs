//! What keeps a policy from writing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::resource::GroupResource;

/// What keeps a policy from writing, or from letting go of what it wrote. One entry for each resource that it targets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Obstacles {
    /// The right that fixes lacked when one was last tried, in words, by resource.
    pub denied: BTreeMap<GroupResource, Arc<str>>,
    /// What else keeps a policy that ended from letting go of objects.
    pub stuck: Option<Arc<str>>,
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
        let all: Vec<_> = self.rights().into_iter().chain(self.stuck.as_deref().map(str::to_owned)).collect();
        f.write_str(&all.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_missing_right_is_told_until_it_is_given() {
        let (mut obstacles, pods, jobs) =
            (Obstacles::default(), GroupResource::new("", "pods"), GroupResource::new("batch", "jobs"));
        assert!(obstacles.deny(&pods, Some("no pods".into())) && !obstacles.deny(&pods, Some("none".into())));
        assert!(obstacles.deny(&jobs, Some("no jobs".into())));
        assert_eq!(obstacles.rights().unwrap(), "no pods; the same for jobs.batch");
        assert!(obstacles.deny(&pods, None) && !obstacles.deny(&pods, None));
        assert_eq!(obstacles.rights().unwrap(), "no jobs");
        obstacles.stuck = Some("it is raining".into());
        assert_eq!(obstacles.to_string(), "no jobs; it is raining");
    }
}
