//! The ways from an object's root down to what a path reads.

use std::sync::Arc;

use super::containers::{self, RESTART_POLICY};
use super::filter::{Filter, Query};
use super::path::{Path, Root, Segment};
use super::roots::{Part, Roots};

/// Ways that one selection may part into. Unions in unions multiply; beyond this, all children are read instead.
const MOST_WAYS: usize = 128;

/// Selections of all children within each other that are told apart; below them everything is read. A trie that tells
/// single members from all others grows with a power of this.
const MOST_CHILDREN: usize = 3;

/// One step down.
#[derive(Clone, Debug)]
pub(super) enum Hop {
    /// To the member of this name.
    Member(Arc<str>),
    /// To every element.
    Elements,
    /// To every member or element.
    Children,
}

/// One way down to what is read.
#[derive(Clone, Debug, Default)]
pub(super) struct Route {
    pub(super) hops: Vec<Hop>,
    /// Whether all below its end is read, or only that there is something.
    pub(super) whole: bool,
}

impl Route {
    /// Where everything is read already, nothing further can be.
    fn then(&self, hop: &Hop) -> Self {
        let mut route = self.clone();
        if !route.whole {
            let children = route.hops.iter().filter(|hop| matches!(hop, Hop::Children)).count();
            match hop {
                Hop::Children if children == MOST_CHILDREN => route.whole = true,
                hop => route.hops.push(hop.clone()),
            }
        }
        route
    }

    fn and_all_below(&self) -> Self {
        Self { hops: self.hops.clone(), whole: true }
    }
}

/// What a path reads. `under` is the `forEach` that `$` stands in; what that reads itself is not among it.
pub(super) fn of_path(path: &Path, roots: &Roots, under: Option<&Path>) -> Vec<Route> {
    let mut reads = Reads::of_document(roots);
    if let Some(under) = under {
        reads = Reads { current: reads.elements(under, roots), found: Vec::new() };
    }
    let ends = reads.path(path, roots);
    reads.found.extend(ends.iter().map(Route::and_all_below));
    reads.found
}

/// The places of the elements that a `forEach` goes over, and what is read to find them.
pub(super) fn of_elements(path: &Path, roots: &Roots) -> Vec<Route> {
    let mut reads = Reads::of_document(roots);
    let elements = reads.elements(path, roots);
    reads.found.extend(elements);
    reads.found
}

/// Gathers what is read on the way.
struct Reads {
    /// What `$` is.
    current: Vec<Route>,
    /// What filters read.
    found: Vec<Route>,
}

impl Reads {
    fn of_document(roots: &Roots) -> Self {
        Self { current: object(roots), found: Vec::new() }
    }

    /// A singular path stands for itself, or for its elements where an array is there.
    fn elements(&mut self, path: &Path, roots: &Roots) -> Vec<Route> {
        let ends = self.path(path, roots);
        if !path.is_singular() {
            return ends;
        }
        let elements = after(&ends, &Hop::Elements);
        if path.is_list_of_containers() { elements } else { [ends, elements].concat() }
    }

    fn path(&mut self, path: &Path, roots: &Roots) -> Vec<Route> {
        let starts = self.start(path.root(), roots);
        self.segments(starts, path.segments())
    }

    fn start(&mut self, root: Root, roots: &Roots) -> Vec<Route> {
        let pod = match (root, roots.pod.as_deref()) {
            (Root::Current, _) => return self.current.clone(),
            (Root::Object, _) => return object(roots),
            (Root::Namespace, _) => {
                return if roots.part == Part::Object { Vec::new() } else { vec![Route::default()] };
            }
            (_, None) => return Vec::new(),
            (_, Some(pod)) => pod,
        };
        let hops = pod.iter().map(|name| Hop::Member(Arc::clone(name))).collect();
        let pod = Route { hops, whole: false };
        if root == Root::Pod {
            return vec![pod];
        }
        let spec = pod.then(&member("spec"));
        if !root.joins_containers() {
            return vec![spec];
        }
        let lists: Vec<Route> = containers::lists(root).iter().map(|list| spec.then(&member(list))).collect();
        if root == Root::AppContainers {
            let policies = after(&after(&lists, &Hop::Elements), &member(RESTART_POLICY));
            self.found.extend(policies.iter().map(Route::and_all_below));
        }
        lists
    }

    /// Where the segments lead, from each of the starts.
    fn segments(&mut self, starts: Vec<Route>, segments: &[Segment]) -> Vec<Route> {
        segments.iter().fold(starts, |routes, segment| {
            let ends = match segment {
                Segment::Descendants(_) => routes.iter().map(Route::and_all_below).collect(),
                segment => part(&routes, segment.selectors()),
            };
            for selector in segment.selectors() {
                if let Segment::Filter(filter) = selector {
                    self.filter(filter, &after(&routes, &Hop::Children), &ends);
                }
            }
            ends
        })
    }

    /// What a filter reads of the children that it judges, which are among the `ends` where those are read whole.
    fn filter(&mut self, filter: &Filter, children: &[Route], ends: &[Route]) {
        let judged = if ends.iter().all(|end| end.whole) { ends } else { children };
        filter.queries(&mut |query: &Query, whole| {
            let starts = if query.from_root { self.current.clone() } else { judged.to_vec() };
            let read = self.segments(starts, &query.segments);
            self.found.extend(read.into_iter().map(|route| Route { whole: whole || route.whole, ..route }));
        });
    }
}

/// Where the object is in a document: nowhere in that of its Namespace.
fn object(roots: &Roots) -> Vec<Route> {
    if roots.part == Part::Namespace { Vec::new() } else { vec![Route::default()] }
}

fn member(name: &str) -> Hop {
    Hop::Member(name.into())
}

fn after(routes: &[Route], hop: &Hop) -> Vec<Route> {
    routes.iter().map(|route| route.then(hop)).collect()
}

/// The routes, parted by the selectors.
fn part(routes: &[Route], selectors: &[Segment]) -> Vec<Route> {
    let hops: Vec<Hop> = selectors.iter().map(hop).collect();
    if hops.len() > 1 && routes.len() * hops.len() > MOST_WAYS {
        return after(routes, &Hop::Children);
    }
    hops.iter().flat_map(|hop| after(routes, hop)).collect()
}

fn hop(selector: &Segment) -> Hop {
    match selector {
        Segment::Name(name) => Hop::Member(Arc::clone(name)),
        Segment::Index(_) | Segment::Slice(_) => Hop::Elements,
        Segment::Wildcard | Segment::Filter(_) | Segment::Union(_) | Segment::Descendants(_) => Hop::Children,
    }
}
