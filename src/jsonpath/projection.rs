//! What a set of paths reads on one resource.

use std::sync::Arc;

use super::eval::CONTAINER_LISTS;
use super::path::{Path, Root, Segment};
use super::roots::Roots;

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
        for route in routes(path, roots, under) {
            self.trie.insert(&route, true);
        }
        if let Some(under) = under {
            self.read_elements(under, roots);
        }
    }

    /// Adds the elements that a `forEach` goes over, as places only: that they are there, not what is in them.
    pub fn read_elements(&mut self, path: &Path, roots: &Roots) {
        for route in element_routes(path, roots) {
            self.trie.insert(&route, false);
        }
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

    pub(super) fn trie(&self) -> &Trie {
        &self.trie
    }

    pub(super) fn reads_labels(&self) -> bool {
        self.labels
    }
}

/// One way from the object's root down to what is read.
type Route = Vec<Segment>;

fn routes(path: &Path, roots: &Roots, under: Option<&Path>) -> Vec<Route> {
    let starts = match (path.root(), under) {
        (Root::Current, Some(under)) => element_routes(under, roots),
        (root, _) => root_routes(root, roots),
    };
    // `$containers` is the joined lists: what selects in it selects in each.
    let joined = path.root() == Root::Containers;
    let segments = path.segments().iter().enumerate().map(|(at, segment)| match segment {
        Segment::Index(_) if joined && at == 0 => Segment::Index(0),
        segment => segment.clone(),
    });
    let segments: Route = segments.collect();
    starts.into_iter().map(|start| [start, segments.clone()].concat()).collect()
}

/// A singular path in `forEach` stands for itself, or for its elements where an array is there.
fn element_routes(path: &Path, roots: &Roots) -> Vec<Route> {
    let found = routes(path, roots, None);
    if !path.is_singular() {
        return found;
    }
    let elements = found.iter().map(|route| [route.as_slice(), &[Segment::Index(0)]].concat());
    let elements: Vec<_> = elements.collect();
    if path.is_list_of_containers() { elements } else { [found, elements].concat() }
}

fn root_routes(root: Root, roots: &Roots) -> Vec<Route> {
    let name = |name: &str| Segment::Name(name.into());
    let pod = roots.pod.as_deref().map(|names| names.iter().cloned().map(Segment::Name).collect::<Route>());
    match (root, pod) {
        (Root::Current | Root::Object, _) => vec![Route::new()],
        (_, None) => Vec::new(),
        (Root::Pod, Some(pod)) => vec![pod],
        (Root::PodSpec, Some(pod)) => vec![[pod, vec![name("spec")]].concat()],
        (Root::Containers, Some(pod)) => CONTAINER_LISTS
            .iter()
            .map(|list| [pod.as_slice(), &[name("spec"), name(list)]].concat())
            .collect(),
    }
}

/// One level of what is read. A level that reads nothing below keeps the place and its JSON type only.
///
/// Normal form, so that equality means keeping the same: `whole` has nothing below; each of `members` includes
/// `any_member` and differs from it.
#[derive(Clone, Default, PartialEq, Debug)]
pub(super) struct Trie {
    /// Everything below is read.
    pub(super) whole: bool,
    /// What is read of single members, sorted by name.
    members: Vec<(Arc<str>, Trie)>,
    /// What is read of every other member.
    any_member: Option<Box<Trie>>,
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
        self.member(name.as_bytes()).map(|(_, below)| below)
    }

    /// The same, with the shared name where the trie has it. Names in raw JSON need not be valid text.
    pub(super) fn member(&self, name: &[u8]) -> Option<(Option<&Arc<str>>, &Self)> {
        let at = self.members.binary_search_by(|(member, _)| member.as_bytes().cmp(name)).ok();
        match at.and_then(|at| self.members.get(at)) {
            Some((name, below)) => Some((Some(name), below)),
            None if self.whole => Some((None, self)),
            None => self.any_member.as_deref().map(|below| (None, below)),
        }
    }

    /// What is read of an element; `None` when no element is.
    pub(super) fn element(&self) -> Option<&Self> {
        if self.whole { Some(self) } else { self.elements.as_deref() }
    }

    /// How many members an object kept by this level has, where that can be known.
    pub(super) fn expected_members(&self) -> usize {
        self.members.len()
    }

    fn insert(&mut self, route: &[Segment], whole: bool) {
        if self.whole {
            return;
        }
        match route.split_first() {
            None if whole => *self = Self::everything(),
            None => {}
            Some((Segment::Name(name), rest)) => {
                let mut below = self.any_member.as_deref().cloned().unwrap_or_default();
                below.insert(rest, whole);
                self.merge_member(name, &below);
            }
            Some((Segment::Index(_), rest)) => self.elements.get_or_insert_default().insert(rest, whole),
            Some((Segment::Wildcard, rest)) => {
                self.elements.get_or_insert_default().insert(rest, whole);
                let mut below = Self::default();
                below.insert(rest, whole);
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

    fn merge(&mut self, other: &Self) {
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

    fn covers(&self, other: &Self) -> bool {
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
