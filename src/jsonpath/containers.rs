//! `$containers` and `$appContainers`: one array joined of lists, whose elements keep their real places.

use std::iter;
use std::sync::Arc;

use super::eval::Scope;
use super::node::{self, Node};
use super::path::{Root, Segment};
use super::trail::{Step, Trail};
use super::walk::{Flow, Walk, signed};

/// The lists of a pod's containers, in the order in which `$containers` joins them.
pub(super) const CONTAINER_LISTS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// The member of a pod that holds the lists.
pub(super) const POD_SPEC: &str = "spec";

/// What tells an init container that runs for the pod's life (KEP-753), a sidecar.
pub(super) const RESTART_POLICY: &str = "restartPolicy";

/// The lists that a root joins.
pub(super) fn lists(root: Root) -> &'static [&'static str] {
    let lists: &'static [&'static str] = &CONTAINER_LISTS;
    match root {
        Root::AppContainers => lists.get(..2).unwrap_or(lists),
        _ => lists,
    }
}

/// One container, with its list.
#[derive(Clone, Copy)]
pub(super) struct Container<'s> {
    name: &'static str,
    list: Node<'s>,
    at: usize,
    pub(super) node: Node<'s>,
}

/// The joined array.
#[derive(Clone, Copy)]
pub(super) struct Joined<'s, 't> {
    pub(super) root: Root,
    /// The pod's `spec`, and its place.
    pub(super) spec: Option<Node<'s>>,
    pub(super) trail: &'t Trail<'t>,
}

impl<'s> Joined<'s, '_> {
    pub(super) fn iter(&self) -> impl Iterator<Item = Container<'s>> + use<'s> {
        let (root, spec) = (self.root, self.spec);
        let all = lists(root).iter().flat_map(move |name| {
            let list = spec.and_then(|spec| spec.get(name)).into_iter();
            list.flat_map(move |list| {
                let elements = list.elements().enumerate();
                elements.map(move |(at, node)| Container { name, list, at, node })
            })
        });
        all.filter(move |container| root != Root::AppContainers || container.runs_for_life())
    }
}

impl Container<'_> {
    fn runs_for_life(&self) -> bool {
        let policy = self.node.get(RESTART_POLICY).and_then(Node::as_str);
        self.name == CONTAINER_LISTS[0] || policy == Some("Always")
    }
}

impl<'d> Scope<'d> {
    /// All containers of the object's pod; none where the pod is not known, or not there.
    pub fn containers(&self) -> impl Iterator<Item = Node<'d>> {
        let pod =
            self.pod().and_then(|names| names.iter().try_fold(self.object(), |node, name| node.get(name)));
        let spec = pod.and_then(|pod| pod.get(POD_SPEC));
        CONTAINER_LISTS.iter().filter_map(move |list| spec?.get(list)).flat_map(Node::elements)
    }

    /// The container of the object's pod that a place is, or lies in.
    pub fn container_of<'t>(&self, place: &'t Trail<'t>) -> Option<&'t Trail<'t>> {
        let pod = self.pod()?;
        upward(place).find(|place| is_container(place, pod))
    }
}

/// A place, and all above it.
fn upward<'t>(place: &'t Trail<'t>) -> impl Iterator<Item = &'t Trail<'t>> {
    iter::successors(Some(place), |place| place.parent())
}

/// Whether a place is an element of one of the lists of the pod to which these names lead.
fn is_container(place: &Trail<'_>, pod: &[Arc<str>]) -> bool {
    let mut steps = upward(place).map(Trail::step);
    let spec = iter::once(POD_SPEC).chain(pod.iter().rev().map(|name| &**name));
    matches!(steps.next(), Some(Step::Element(_)))
        && matches!(steps.next(), Some(Step::Member(list)) if CONTAINER_LISTS.contains(&list))
        && steps.eq(spec.map(Step::Member).chain([Step::Root]))
}

impl<'s> Walk<'_, 's> {
    /// Walks along segments that begin in the joined array.
    pub(super) fn enter_joined(&mut self, joined: Joined<'s, '_>, segments: &[Segment]) -> Flow {
        match segments.split_first() {
            Some((Segment::Descendants(inner), rest)) => {
                self.select_joined(joined, inner, rest)?;
                for container in joined.iter() {
                    self.budget.spend()?;
                    let list = joined.trail.member(container.name, Some(container.list));
                    let trail = list.element(signed(container.at), Some(container.node));
                    self.descendants(inner, rest, container.node, &trail)?;
                }
                Ok(())
            }
            Some((segment, rest)) => self.select_joined(joined, segment, rest),
            None => Ok(()),
        }
    }

    fn select_joined(&mut self, joined: Joined<'s, '_>, segment: &Segment, rest: &[Segment]) -> Flow {
        match segment {
            Segment::Wildcard => self.every_container(joined, segment, rest),
            Segment::Filter(_) => self.every_container(joined, segment, rest),
            Segment::Index(index) => self.one_container(joined, *index, rest),
            Segment::Slice(slice) => {
                let all: Vec<Container<'s>> = joined.iter().collect();
                for at in slice.indexes(all.len()) {
                    self.budget.spend()?;
                    if let Some(container) = all.get(at) {
                        self.container(joined, *container, rest)?;
                    }
                }
                Ok(())
            }
            Segment::Union(selectors) => {
                selectors.iter().try_for_each(|selector| self.select_joined(joined, selector, rest))
            }
            // An array has no members; `..` is no selector.
            Segment::Name(_) | Segment::Descendants(_) => Ok(()),
        }
    }

    fn every_container(&mut self, joined: Joined<'s, '_>, segment: &Segment, rest: &[Segment]) -> Flow {
        let filter = match segment {
            Segment::Filter(filter) => Some(&**filter),
            _ => None,
        };
        for container in joined.iter() {
            if self.takes(filter, container.node)? {
                self.container(joined, container, rest)?;
            }
        }
        Ok(())
    }

    /// The index counts through all lists; where there is no such container, its place is in the first list.
    fn one_container(&mut self, joined: Joined<'s, '_>, index: i64, rest: &[Segment]) -> Flow {
        let length = joined.iter().count();
        self.budget.spend_for(length, 1)?;
        let found = node::position(index, length).and_then(|at| joined.iter().nth(at));
        match found {
            Some(container) => self.container(joined, container, rest),
            None => {
                let first = CONTAINER_LISTS[0];
                let list = joined.spec.and_then(|spec| spec.get(first));
                self.descend(rest, None, &joined.trail.member(first, list).element(index, None))
            }
        }
    }

    fn container(&mut self, joined: Joined<'s, '_>, container: Container<'s>, rest: &[Segment]) -> Flow {
        let Container { name, list, at, node } = container;
        let list = joined.trail.member(name, Some(list));
        self.descend(rest, Some(node), &list.element(signed(at), Some(node)))
    }
}
