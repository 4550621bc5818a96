//! The paths of many rules on one resource as one trie, so that what they begin with is walked once for an object.

use std::collections::BTreeMap;
use std::fmt;

use super::containers::POD_SPEC;
use super::path::{self, Path, Root, Segment};
use super::roots::Roots;

/// A path in a [`Plan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned(pub(super) usize);

/// Paths of many rules on one resource, which a [`Survey`](super::Survey) finds in an object.
#[derive(Debug)]
pub struct Plan {
    /// Each after the one that it goes on from; the first is the object.
    pub(super) stems: Box<[Stem]>,
}

/// What some of the paths begin with.
#[derive(Debug)]
pub(super) struct Stem {
    /// What it goes on from: the index of another stem.
    pub(super) above: usize,
    pub(super) way: Way,
}

/// How a stem goes on from the one above it.
#[derive(Debug)]
pub(super) enum Way {
    /// Not at all: it is the object itself.
    Object,
    /// By a segment.
    Segment(Segment),
    /// From the pod's `spec`, by a segment into the array that this root joins.
    Joined(Root, Segment),
    /// To what a `forEach` goes over whose path names one place: the elements of the array there, or else the place.
    Elements,
}

impl Way {
    /// Whether it leads from each place to one place, whether anything is there or not.
    pub(super) fn is_singular(&self) -> bool {
        match self {
            Self::Segment(segment) | Self::Joined(_, segment) => segment.is_singular(),
            Self::Object => true,
            Self::Elements => false,
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object => f.write_str("object"),
            Self::Segment(segment) => path::write_segments(f, std::slice::from_ref(segment)),
            Self::Joined(root, segment) => {
                f.write_str(root.text())?;
                path::write_segments(f, std::slice::from_ref(segment))
            }
            Self::Elements => f.write_str("elements"),
        }
    }
}

const OBJECT: usize = 0;

/// Makes a [`Plan`]. Named roots become the names that lead to them, so that `$podSpec` and `$.spec` are one.
#[derive(Debug)]
pub struct Planner<'r> {
    roots: &'r Roots,
    stems: Vec<Stem>,
    /// Stems by the one above and by their normal spelling, of which each way has one.
    known: BTreeMap<(usize, String), usize>,
}

impl<'r> Planner<'r> {
    /// Begins a plan for objects with their named roots at these places.
    pub fn new(roots: &'r Roots) -> Self {
        Self { roots, stems: vec![Stem { above: OBJECT, way: Way::Object }], known: BTreeMap::new() }
    }

    /// Adds a path, whose `$` is the whole object. `None` where it is not found together with others: in the
    /// object's Namespace, where the pod is not known, and for all containers as one value.
    pub fn path(&mut self, path: &Path) -> Option<Planned> {
        self.end(path).map(Planned)
    }

    /// Adds what a `forEach` over this path goes over. `None` as for a path.
    pub fn elements(&mut self, path: &Path) -> Option<Planned> {
        let end = if path.is_list_of_containers() {
            let spec = self.pod_spec()?;
            self.stem(spec, Way::Joined(path.root(), Segment::Wildcard))
        } else {
            let end = self.end(path)?;
            if path.is_singular() { self.stem(end, Way::Elements) } else { end }
        };
        Some(Planned(end))
    }

    /// The plan of all that was added.
    pub fn finish(self) -> Plan {
        Plan { stems: self.stems.into() }
    }

    fn end(&mut self, path: &Path) -> Option<usize> {
        let segments = path.segments();
        let (start, segments) = match path.root() {
            Root::Current | Root::Object => (OBJECT, segments),
            Root::Pod => (self.pod()?, segments),
            Root::PodSpec => (self.pod_spec()?, segments),
            root @ (Root::Containers | Root::AppContainers) => {
                let (first, rest) = segments.split_first()?;
                let spec = self.pod_spec()?;
                (self.stem(spec, Way::Joined(root, first.clone())), rest)
            }
            Root::Namespace => return None,
        };
        let segments = segments.iter().cloned().map(Way::Segment);
        Some(segments.fold(start, |above, way| self.stem(above, way)))
    }

    fn pod(&mut self) -> Option<usize> {
        let names = self.roots.pod.as_deref()?.iter().cloned().map(Segment::Name);
        Some(names.fold(OBJECT, |above, name| self.stem(above, Way::Segment(name))))
    }

    fn pod_spec(&mut self) -> Option<usize> {
        let pod = self.pod()?;
        Some(self.stem(pod, Way::Segment(Segment::Name(POD_SPEC.into()))))
    }

    fn stem(&mut self, above: usize, way: Way) -> usize {
        let stems = &mut self.stems;
        *self.known.entry((above, way.to_string())).or_insert_with(|| {
            stems.push(Stem { above, way });
            stems.len() - 1
        })
    }
}
