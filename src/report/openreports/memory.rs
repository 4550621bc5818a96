//! Which reports are there: those of this term by object, and those of earlier ones that no object has claimed yet.
//!
//! What bounds it: one entry for each report, of a hundred bytes and the names, which are shared with the ledger.

use std::sync::Arc;

use ahash::RandomState;
use hashbrown::HashMap;

use super::content::{Digest, Place};
use crate::resource::ObjectKey;

/// The most reports of earlier runs that are taken over; nobody has as many objects that fail.
pub(super) const MAX_ORPHANS: usize = 200_000;

/// The report on an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) uid: Arc<str>,
    pub(super) digest: Digest,
}

/// A report of an earlier run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Orphan {
    /// `None` where it cannot be read: the report is written anew.
    pub(super) digest: Option<Digest>,
    /// The object's resource, as in the annotation.
    pub(super) resource: Arc<str>,
    /// Nobody claimed it when it was last looked at, though all objects of the resource were known.
    doubted: bool,
}

/// All reports that are known to be there.
#[derive(Debug, Default)]
pub(super) struct Memory {
    shown: HashMap<ObjectKey, Shown, RandomState>,
    orphans: HashMap<Place, Orphan, RandomState>,
}

impl Memory {
    /// A report of an earlier run was found; whether there is room for it.
    pub(super) fn found(&mut self, place: Place, digest: Option<Digest>, resource: Arc<str>) -> bool {
        let has_room = self.orphans.len() < MAX_ORPHANS;
        if has_room {
            self.orphans.insert(place, Orphan { digest, resource, doubted: false });
        }
        has_room
    }

    /// Compares with what a list shows now. Gives the objects whose report is not there as it was written, and forgets
    /// these reports; what is there and nobody's is taken for one of an earlier run.
    pub(super) fn compare(&mut self, mut listed: Self) -> Vec<ObjectKey> {
        let missing = self.shown.extract_if(|key, shown| {
            let place = Place::of(key, &shown.uid);
            let same = listed.orphans.get(&place).is_some_and(|there| there.digest == Some(shown.digest));
            if same {
                listed.orphans.remove(&place);
            }
            !same
        });
        let missing = missing.map(|(key, _)| key).collect();
        self.orphans = listed.orphans;
        missing
    }

    /// The report on an object, if this run wrote it or took it over.
    pub(super) fn shown(&self, key: &ObjectKey) -> Option<&Shown> {
        self.shown.get(key)
    }

    /// A report was written.
    pub(super) fn wrote(&mut self, key: &ObjectKey, place: &Place, shown: Shown) {
        self.orphans.remove(place);
        self.shown.insert(key.clone(), shown);
    }

    /// Takes a report of an earlier run over if it says the same.
    pub(super) fn adopt(&mut self, key: &ObjectKey, place: &Place, shown: Shown) -> bool {
        let same = self.orphans.get(place).is_some_and(|orphan| orphan.digest == Some(shown.digest));
        if same {
            self.wrote(key, place, shown);
        }
        same
    }

    /// A report was deleted.
    pub(super) fn deleted(&mut self, key: &ObjectKey) {
        self.shown.remove(key);
    }

    /// A report of an earlier run was deleted.
    pub(super) fn deleted_orphan(&mut self, place: &Place) {
        self.orphans.remove(place);
    }

    pub(super) fn has_orphans(&self) -> bool {
        !self.orphans.is_empty()
    }

    /// Those of earlier runs that are nobody's: twice in a row, all objects of their resource were known and none had
    /// claimed them.
    pub(super) fn nobodys(&mut self, is_known: impl Fn(&str) -> bool) -> Vec<Place> {
        let mut nobodys = Vec::new();
        for (place, orphan) in &mut self.orphans {
            let known = is_known(&orphan.resource);
            if known && orphan.doubted {
                nobodys.push(place.clone());
            }
            orphan.doubted = known;
        }
        nobodys
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::{GroupResource, ObjectName};

    fn key(name: &str) -> ObjectKey {
        let object = ObjectName { namespace: Some("shop".into()), name: name.into() };
        ObjectKey { resource: GroupResource::new("apps", "deployments"), object }
    }

    fn shown(digest: u8) -> Shown {
        Shown { uid: "u-1".into(), digest: [digest; 16] }
    }

    #[test]
    fn a_report_of_an_earlier_run_is_taken_over_only_when_it_says_the_same() {
        let (mut memory, place) = (Memory::default(), Place::of(&key("a"), "u-1"));
        assert!(memory.found(place.clone(), Some([1; 16]), "deployments.apps".into()));
        assert!(!memory.adopt(&key("a"), &place, shown(2)));
        assert!(memory.has_orphans() && memory.shown(&key("a")).is_none());
        assert!(memory.adopt(&key("a"), &place, shown(1)));
        assert!(!memory.has_orphans());
        assert_eq!(memory.shown(&key("a")), Some(&shown(1)));
    }

    #[test]
    fn a_report_that_is_not_there_as_it_was_written_is_missing() {
        let mut memory = Memory::default();
        let place = |name: &str| Place::of(&key(name), &format!("u-{name}"));
        for name in ["a", "b", "c"] {
            memory.wrote(
                &key(name),
                &place(name),
                Shown { uid: format!("u-{name}").into(), digest: [1; 16] },
            );
        }
        let mut listed = Memory::default();
        listed.found(place("a"), Some([1; 16]), "deployments.apps".into());
        listed.found(place("b"), Some([2; 16]), "deployments.apps".into());
        listed.found(place("d"), Some([1; 16]), "deployments.apps".into());
        let mut missing = memory.compare(listed);
        missing.sort_unstable();
        assert_eq!(missing, [key("b"), key("c")]);
        assert!(memory.shown(&key("a")).is_some() && memory.shown(&key("b")).is_none());
        assert_eq!(memory.nobodys(|_| true).len() + memory.nobodys(|_| true).len(), 2, "that on b, and on d");
    }

    #[test]
    fn a_report_is_nobodys_only_after_two_looks_at_known_objects() {
        let mut memory = Memory::default();
        let place = Place::of(&key("a"), "u-1");
        memory.found(place.clone(), None, "deployments.apps".into());
        let none: Vec<Place> = Vec::new();
        assert_eq!(memory.nobodys(|_| true), none);
        assert_eq!(memory.nobodys(|_| false), none);
        assert_eq!(memory.nobodys(|resource| resource == "deployments.apps"), none);
        assert_eq!(memory.nobodys(|resource| resource == "deployments.apps"), [place]);
    }
}
