//! One walk down a document, from a node along segments to what they find.

use std::ops::ControlFlow;

use super::eval::{Budget, EvalError};
use super::filter::Filter;
use super::judge::{self, Context};
use super::node::{self, Elements, Node};
use super::path::Segment;
use super::trail::Trail;

/// Why a walk ended early.
pub(super) enum Stop {
    Visitor,
    Error(EvalError),
}

impl From<EvalError> for Stop {
    fn from(error: EvalError) -> Self {
        Self::Error(error)
    }
}

pub(super) type Flow = Result<(), Stop>;

pub(super) fn flow(answer: ControlFlow<()>) -> Flow {
    if answer.is_break() { Err(Stop::Visitor) } else { Ok(()) }
}

pub(super) fn settle(flow: Flow) -> Result<(), EvalError> {
    flow.or_else(|stop| match stop {
        Stop::Visitor => Ok(()),
        Stop::Error(error) => Err(error),
    })
}

/// Where a walk continues when its segments are used up. `None` is a place with nothing in it.
pub(super) type Then<'w, 's> = dyn FnMut(Option<Node<'s>>, &Trail<'_>, &mut Budget) -> Flow + 'w;

/// A walk. It recurses once for each segment, of which there are at most [`MAX_SEGMENTS`](super::MAX_SEGMENTS) and
/// those that lead to the pod; at `..` once for each level of the document, which decoding bounds.
pub(super) struct Walk<'w, 's> {
    pub(super) budget: &'w mut Budget,
    /// What `$` is in filters.
    pub(super) root: Node<'s>,
    pub(super) then: &'w mut Then<'w, 's>,
}

impl<'s> Walk<'_, 's> {
    /// Walks along the segments.
    pub(super) fn descend(
        &mut self,
        segments: &[Segment],
        node: Option<Node<'s>>,
        trail: &Trail<'_>,
    ) -> Flow {
        match segments.split_first() {
            None => (self.then)(node, trail, self.budget),
            Some((segment, rest)) => self.select(segment, rest, node, trail),
        }
    }

    fn select(
        &mut self,
        segment: &Segment,
        rest: &[Segment],
        node: Option<Node<'s>>,
        trail: &Trail<'_>,
    ) -> Flow {
        match (segment, node) {
            (Segment::Name(name), _) => {
                self.budget.spend()?;
                let child = node.and_then(|node| node.get(name));
                self.descend(rest, child, &trail.member(name, child))
            }
            (Segment::Index(index), _) => {
                self.budget.spend()?;
                let (at, child) = resolve(*index, node.and_then(Node::as_array));
                self.descend(rest, child, &trail.element(at, child))
            }
            (_, None) => Ok(()),
            (Segment::Wildcard, Some(node)) => self.children(None, rest, node, trail),
            (Segment::Filter(filter), Some(node)) => self.children(Some(filter), rest, node, trail),
            (Segment::Slice(slice), Some(node)) => {
                let Node::Array(elements) = node else { return Ok(()) };
                for at in slice.indexes(elements.len()) {
                    self.budget.spend()?;
                    let child = elements.get(at);
                    self.descend(rest, child, &trail.element(signed(at), child))?;
                }
                Ok(())
            }
            (Segment::Union(selectors), Some(_)) => {
                selectors.iter().try_for_each(|selector| self.select(selector, rest, node, trail))
            }
            (Segment::Descendants(inner), Some(node)) => self.descendants(inner, rest, node, trail),
        }
    }

    /// Goes on in every member or element, or in those for which the filter holds.
    pub(super) fn children(
        &mut self,
        filter: Option<&Filter>,
        rest: &[Segment],
        node: Node<'s>,
        trail: &Trail<'_>,
    ) -> Flow {
        for (name, child) in node.members() {
            if self.takes(filter, child)? {
                self.descend(rest, Some(child), &trail.member(name, Some(child)))?;
            }
        }
        for (at, child) in (0..).zip(node.elements()) {
            if self.takes(filter, child)? {
                self.descend(rest, Some(child), &trail.element(at, Some(child)))?;
            }
        }
        Ok(())
    }

    /// Pays for a child, and judges it.
    pub(super) fn takes(&mut self, filter: Option<&Filter>, child: Node<'s>) -> Result<bool, EvalError> {
        self.budget.spend()?;
        let context = Context { current: child, root: self.root };
        filter.map_or(Ok(true), |filter| judge::holds(filter, context, self.budget))
    }

    /// Selects in the node, then in each below it, parents first.
    pub(super) fn descendants(
        &mut self,
        inner: &Segment,
        rest: &[Segment],
        node: Node<'s>,
        trail: &Trail<'_>,
    ) -> Flow {
        self.select(inner, rest, Some(node), trail)?;
        for (name, child) in node.members() {
            self.budget.spend()?;
            self.descendants(inner, rest, child, &trail.member(name, Some(child)))?;
        }
        for (at, child) in (0..).zip(node.elements()) {
            self.budget.spend()?;
            self.descendants(inner, rest, child, &trail.element(at, Some(child)))?;
        }
        Ok(())
    }
}

/// The element and its index from the start; the index as it is written where there is no such element.
fn resolve(index: i64, elements: Option<Elements<'_>>) -> (i64, Option<Node<'_>>) {
    let at = elements.and_then(|elements| node::position(index, elements.len()));
    match (at, elements) {
        (Some(at), Some(elements)) => (signed(at), elements.get(at)),
        _ => (index, None),
    }
}

/// No array in memory is longer than `i64::MAX`.
pub(super) fn signed(at: usize) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}
