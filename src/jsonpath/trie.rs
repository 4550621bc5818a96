//! The trie that a projection is.

use std::sync::Arc;

use super::routes::{Hop, Route};

/// One level of what is read. A level that reads nothing below keeps the place and its JSON type only.
///
/// Normal form, so that equality means keeping the same: `whole` has nothing below; each of `members` includes
/// `any_member` and differs from it.
#[derive(Clone, Default, PartialEq, Debug)]
pub(super) struct Trie {
    /// Everything below is read.
    pub(super) whole: bool,
    /// What is read of single members, sorted by name.
    pub(super) members: Vec<(Arc<str>, Trie)>,
    /// What is read of every other member.
    pub(super) any_member: Option<Box<Trie>>,
    /// What is read of every element. Indexes stay right because all elements are kept in place.
    elements: Option<Box<Trie>>,
}

impl Trie {
    /// A level that reads everything below.
    pub(super) fn everything() -> Self {
        Self { whole: true, ..Self::default() }
    }

    /// What is read of a member; `None` when it is not.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.member(name.as_bytes())
    }

    /// The same by bytes: names in raw JSON need not be valid text.
    pub(super) fn member(&self, name: &[u8]) -> Option<&Self> {
        let at = self.members.binary_search_by(|(member, _)| member.as_bytes().cmp(name)).ok();
        match at.and_then(|at| self.members.get(at)) {
            Some((_, below)) => Some(below),
            None if self.whole => Some(self),
            None => self.any_member.as_deref(),
        }
    }

    /// What is read of an element; `None` when no element is.
    pub(super) fn element(&self) -> Option<&Self> {
        if self.whole { Some(self) } else { self.elements.as_deref() }
    }

    /// Adds what lies along a route.
    pub(super) fn insert(&mut self, route: &Route) {
        self.insert_hops(&route.hops, route.whole);
    }

    fn insert_hops(&mut self, hops: &[Hop], whole: bool) {
        if self.whole {
            return;
        }
        match hops.split_first() {
            None if whole => *self = Self::everything(),
            None => {}
            Some((Hop::Member(name), rest)) => {
                let mut below = self.any_member.as_deref().cloned().unwrap_or_default();
                below.insert_hops(rest, whole);
                self.merge_member(name, &below);
            }
            Some((Hop::Elements, rest)) => self.elements.get_or_insert_default().insert_hops(rest, whole),
            Some((Hop::Children, rest)) => {
                self.elements.get_or_insert_default().insert_hops(rest, whole);
                let mut below = Self::default();
                below.insert_hops(rest, whole);
                self.merge_any_member(&below);
            }
        }
    }

    fn merge_member(&mut self, name: &Arc<str>, below: &Self) {
        match self.members.binary_search_by(|(member, _)| member.cmp(name)) {
            Ok(at) => {
                if let Some((_, member)) = self.members.get_mut(at) {
                    member.merge(below);
                }
            }
            Err(at) => {
                let mut member = self.any_member.as_deref().cloned().unwrap_or_default();
                member.merge(below);
                self.members.insert(at, (Arc::clone(name), member));
            }
        }
        self.drop_plain_members();
    }

    fn merge_any_member(&mut self, below: &Self) {
        self.any_member.get_or_insert_default().merge(below);
        self.members.iter_mut().for_each(|(_, member)| member.merge(below));
        self.drop_plain_members();
    }

    /// Members of which no more is read than of any.
    fn drop_plain_members(&mut self) {
        if let Some(any) = self.any_member.as_deref() {
            self.members.retain(|(_, member)| member != any);
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        if self.whole || other.whole {
            *self = Self::everything();
            return;
        }
        other.members.iter().for_each(|(name, below)| self.merge_member(name, below));
        if let Some(below) = other.any_member.as_deref() {
            self.merge_any_member(below);
        }
        if let Some(below) = other.elements.as_deref() {
            self.elements.get_or_insert_default().merge(below);
        }
    }

    pub(super) fn covers(&self, other: &Self) -> bool {
        let Self { whole, members, any_member, elements } = other;
        let all = |mine: Option<&Box<Self>>, theirs: &Option<Box<Self>>| match theirs {
            Some(theirs) => mine.is_some_and(|mine| mine.covers(theirs)),
            None => true,
        };
        self.whole
            || (!whole
                && members
                    .iter()
                    .all(|(name, theirs)| self.child(name).is_some_and(|mine| mine.covers(theirs)))
                && all(self.any_member.as_ref(), any_member)
                && all(self.elements.as_ref(), elements))
    }
}
