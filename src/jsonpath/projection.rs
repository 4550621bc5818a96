//! What a set of paths reads on one resource.

use std::sync::Arc;

use super::path::Path;
use super::roots::Roots;
use super::routes::{self, Hop, Route};
use super::trie::Trie;

/// What a set of programs reads on one resource, as a trie: the part of an object that a
/// [`Document`](super::Document) keeps. The size is bounded by the policies that it is made of.
///
/// Equal projections keep the same, whatever order they were made in.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Projection {
    trie: Trie,
    labels: bool,
}

impl Projection {
    /// Adds what a path reads, whole. `under` is the `forEach` that `$` stands in, whose elements are then kept as
    /// places too. A path whose pod is not known on this resource reads nothing: it is an error when evaluated.
    pub fn read(&mut self, path: &Path, roots: &Roots, under: Option<&Path>) {
        for route in routes::of_path(path, roots, under) {
            self.trie.insert(&route);
        }
        if let Some(under) = under {
            self.read_elements(under, roots);
        }
    }

    /// Adds the elements that a `forEach` goes over, as places only: that they are there,
    /// not what is in them; and what the path itself reads to find them.
    pub fn read_elements(&mut self, path: &Path, roots: &Roots) {
        for route in routes::of_elements(path, roots) {
            self.trie.insert(&route);
        }
    }

    /// Adds one member, whole, by the names that lead to it.
    pub fn read_member(&mut self, names: &[Arc<str>]) {
        let hops = names.iter().map(|name| Hop::Member(Arc::clone(name))).collect();
        self.trie.insert(&Route { hops, whole: true });
    }

    /// Adds the object's labels, for selectors.
    pub fn read_labels(&mut self) {
        self.labels = true;
    }

    /// Whether everything that `other` keeps is kept.
    pub fn covers(&self, other: &Self) -> bool {
        (self.labels || !other.labels) && self.trie.covers(&other.trie)
    }

    /// Adds what `other` keeps.
    pub fn merge(&mut self, other: &Self) {
        self.labels |= other.labels;
        self.trie.merge(&other.trie);
    }

    /// Whether the metadata of an object is enough: nothing else is read than single fields of it, and none of them
    /// is `managedFields`. `kind` and `apiVersion` come from the watch itself.
    pub fn metadata_only(&self) -> bool {
        let known = |(name, below): &(Arc<str>, Trie)| match &**name {
            "metadata" => {
                !below.whole && below.any_member.is_none() && below.child("managedFields").is_none()
            }
            "kind" | "apiVersion" => true,
            _ => false,
        };
        !self.trie.whole && self.trie.any_member.is_none() && self.trie.members.iter().all(known)
    }

    /// What is kept, from the object down.
    pub fn level(&self) -> Level<'_> {
        Level(&self.trie)
    }

    pub(super) fn trie(&self) -> &Trie {
        &self.trie
    }

    pub(super) fn reads_labels(&self) -> bool {
        self.labels
    }
}

/// A place in an object as a projection keeps it.
#[derive(Clone, Copy, Debug)]
pub struct Level<'p>(&'p Trie);

impl<'p> Level<'p> {
    /// Whether everything here is kept.
    pub fn is_whole(self) -> bool {
        self.0.whole
    }

    /// A member; `None` where nothing of it is kept.
    pub fn member(self, name: &str) -> Option<Self> {
        self.0.child(name).map(Self)
    }

    /// The members of which more is kept than of any.
    pub fn members(self) -> impl Iterator<Item = (&'p Arc<str>, Self)> {
        self.0.members.iter().map(|(name, below)| (name, Self(below)))
    }

    /// Any element; `None` where nothing of elements is kept.
    pub fn element(self) -> Option<Self> {
        self.0.element().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use crate::resource::GroupResource;

    use super::*;

    fn pod() -> Roots {
        Roots::of_builtin(&GroupResource::new("", "pods"))
    }

    fn reading(paths: &[&str]) -> Projection {
        let mut projection = Projection::default();
        paths.iter().for_each(|path| projection.read(&Path::parse(path).unwrap(), &pod(), None));
        projection
    }

    #[test]
    fn what_is_read_twice_is_kept_once_in_any_order() {
        assert_eq!(reading(&["$.a.b", "$.a"]), reading(&["$.a"]));
        assert_eq!(reading(&["$.a", "$.a.b", "$.a[*]"]), reading(&["$.a"]));
        assert_eq!(reading(&["$.a.*.x", "$.a.b.x"]), reading(&["$.a[*].x"]));
        assert_eq!(reading(&["$.a.b.y", "$.a.*.x"]), reading(&["$.a.*.x", "$.a.b.x", "$.a.b.y"]));
        assert_eq!(reading(&["$.a[3].x"]), reading(&["$.a[-1].x"]));
    }

    #[test]
    fn named_roots_are_read_where_they_are() {
        assert_eq!(reading(&["$podSpec.x"]), reading(&["$.spec.x"]));
        let lists =
            ["$.spec.containers[0].x", "$.spec.initContainers[0].x", "$.spec.ephemeralContainers[0].x"];
        assert_eq!(reading(&["$containers[0].x"]), reading(&lists));
        let mut unknown = Projection::default();
        unknown.read(&Path::parse("$pod.a").unwrap(), &Roots::default(), None);
        assert_eq!(unknown, Projection::default());
    }

    #[test]
    fn an_object_and_its_namespace_are_each_read_for_what_is_in_them() {
        let path = Path::parse("$namespace.metadata.labels[?@ == $.spec.team]").unwrap();
        let read = |roots: &Roots| {
            let mut projection = Projection::default();
            projection.read(&path, roots, None);
            projection
        };
        assert_eq!(read(&pod()), reading(&["$.spec.team"]));
        assert_eq!(read(&Roots::of_namespace()), reading(&["$.metadata.labels.*"]));
        let mut element = Projection::default();
        let under = Path::parse("$namespace.metadata.finalizers").unwrap();
        element.read(&Path::parse("$").unwrap(), &Roots::of_namespace(), Some(&under));
        assert_eq!(element, reading(&["$.metadata.finalizers"]));
        let own = Roots::of_builtin(&GroupResource::new("", "namespaces"));
        assert_eq!(read(&own), reading(&["$.metadata.labels.*", "$.spec.team"]));
    }

    #[test]
    fn inside_for_each_only_what_is_read_of_the_elements_is_kept() {
        let mut projection = Projection::default();
        projection.read(
            &Path::parse("$.image").unwrap(),
            &pod(),
            Some(&Path::parse("$podSpec.containers[*]").unwrap()),
        );
        assert_eq!(projection, reading(&["$.spec.containers[0].image", "$.spec.containers.*.image"]));
        assert!(!projection.covers(&reading(&["$.spec.containers[*].name"])));
    }

    #[test]
    fn a_for_each_alone_keeps_places_and_not_their_content() {
        let mut places = Projection::default();
        places.read_elements(&Path::parse("$containers").unwrap(), &pod());
        assert!(!places.covers(&reading(&["$containers[*].image"])));
        assert!(reading(&["$containers[*].image"]).covers(&places));
        assert_ne!(places, Projection::default());
    }

    #[test]
    fn metadata_is_enough_where_only_fields_of_it_are_read() {
        let cases: [(&[&str], bool); 8] = [
            (&[], true),
            (&["$.metadata.labels.team", "$.kind", "$object.apiVersion"], true),
            (&["$pod.metadata.annotations"], true),
            (&["$.spec.x"], false),
            (&["$.metadata.labels", "$.*.x"], false),
            (&["$"], false),
            (&["$.metadata"], false),
            (&["$.metadata.managedFields[*].manager"], false),
        ];
        for (paths, wanted) in cases {
            assert_eq!(reading(paths).metadata_only(), wanted, "{paths:?}");
        }
    }

    #[test]
    fn labels_are_part_of_what_is_covered() {
        let mut labels = Projection::default();
        labels.read_labels();
        assert!(!Projection::default().covers(&labels));
        assert!(labels.covers(&Projection::default()));
    }
}
