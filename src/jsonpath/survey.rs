//! What the paths of a plan find in one object, each shared part found once.

use std::ops::Range;

use super::containers::Joined;
use super::eval::{Budget, DEFAULT_STEPS, EvalError, present};
use super::node::Node;
use super::parse::MAX_SEGMENTS;
use super::path::Segment;
use super::plan::{Plan, Planned, Stem, Way};
use super::trail::Trail;
use super::tree::Tree;
use super::walk::{Flow, Walk, settle};

/// Places that are remembered of an object. What would need more is walked by each rule alone.
const MOST_PLACES: u32 = 1 << 16;

/// Places that there is room for from the beginning.
const EXPECTED_PLACES: usize = 256;

/// What paths of a plan find in one object: nodes without their places, enough to tell that rules pass.
///
/// A survey only saves work. What is too large for it, or not found yet, is told as `None`, and is for the caller to
/// walk alone; so no rule pays for what another one reads, and none errs for it.
#[derive(Debug)]
pub struct Survey<'s> {
    plan: &'s Plan,
    object: Node<'s>,
    lists: Box<[List]>,
    /// What is found, list after list. `None` is a place with nothing in it.
    places: Vec<Option<Node<'s>>>,
}

/// What is known of a stem.
#[derive(Clone, Copy, Debug, Default)]
enum List {
    #[default]
    Unasked,
    /// It takes more than can be found together.
    Apart,
    Found(Found),
}

/// Where the places of a stem are, and how many steps a walk of its own takes there at most.
#[derive(Clone, Copy, Debug)]
struct Found {
    start: u32,
    end: u32,
    steps: u32,
}

impl Found {
    /// Nothing, where there are more places than are remembered.
    fn new(start: usize, end: usize, steps: u32) -> Option<Self> {
        let index = |at| u32::try_from(at).ok().filter(|at| *at <= MOST_PLACES);
        Some(Self { start: index(start)?, end: index(end)?, steps })
    }

    fn range(self) -> Range<usize> {
        let index = |at| usize::try_from(at).unwrap_or(usize::MAX);
        index(self.start)..index(self.end)
    }
}

impl<'s> Survey<'s> {
    /// Of the object, nothing is found yet.
    pub fn new(plan: &'s Plan, object: &'s Tree) -> Self {
        let object = object.node();
        let mut lists = vec![List::default(); plan.stems.len()].into_boxed_slice();
        if let Some(first) = lists.first_mut() {
            *first = List::Found(Found { start: 0, end: 1, steps: 0 });
        }
        // Most stems have one place; lists of a few are among them.
        let mut places = Vec::with_capacity(EXPECTED_PLACES.min(2 * plan.stems.len()));
        places.push(Some(object));
        Self { plan, object, lists, places }
    }

    /// Finds these paths, as far as they were not found before.
    pub fn find(&mut self, paths: impl IntoIterator<Item = Planned>) {
        for Planned(stem) in paths {
            if matches!(self.lists.get(stem), Some(List::Unasked)) {
                self.list(stem);
            }
        }
    }

    /// The places where a path makes a value due, with what is there (as [`Path::places`](super::Path::places)), or
    /// the elements of a `forEach`. Takes of the budget what a walk would, and nothing where it answers `None`.
    pub fn places(&self, Planned(stem): Planned, budget: &mut Budget) -> Option<&[Option<Node<'s>>]> {
        let List::Found(found) = *self.lists.get(stem)? else { return None };
        let places = self.places.get(found.range())?;
        budget.spend_all(found.steps).ok()?;
        Some(places)
    }

    fn list(&mut self, stem: usize) -> Option<Found> {
        match *self.lists.get(stem)? {
            List::Found(found) => Some(found),
            List::Apart => None,
            List::Unasked => {
                let found = self.walk(stem);
                if let Some(list) = self.lists.get_mut(stem) {
                    *list = found.map_or(List::Apart, List::Found);
                }
                found
            }
        }
    }

    /// Recurses once for each stem above, of which there are as many as a path has segments.
    fn walk(&mut self, stem: usize) -> Option<Found> {
        let Stem { above, way } = self.plan.stems.get(stem)?;
        let above = self.list(*above)?;
        let (start, allowed) = (self.places.len(), DEFAULT_STEPS - above.steps);
        let mut budget = Budget::new(allowed);
        let mut followed = Ok(());
        for place in above.range() {
            let node = *self.places.get(place)?;
            followed = followed.and_then(|()| self.follow(way, node, &mut budget));
        }
        let steps = above.steps + budget.spent_of(allowed);
        let found = followed.ok().and_then(|()| Found::new(start, self.places.len(), steps));
        if found.is_none() {
            self.places.truncate(start);
        }
        found
    }

    fn follow(&mut self, way: &Way, node: Option<Node<'s>>, budget: &mut Budget) -> Result<(), EvalError> {
        // The two of which most paths are made need no walk.
        let child = match way {
            Way::Segment(Segment::Name(name)) => node.and_then(|node| node.get(name)),
            Way::Segment(Segment::Index(index)) => node.and_then(|node| node.element(*index)),
            way => return self.follow_by_walk(way, node, budget),
        };
        // A null member is no value, and yet a walk of the whole path goes on from it: it is left to that.
        if matches!((way, child), (Way::Segment(Segment::Name(_)), Some(Node::Null))) {
            return Err(EvalError::OverBudget);
        }
        budget.spend()?;
        self.places.push(child);
        Ok(())
    }

    fn follow_by_walk(
        &mut self,
        way: &Way,
        node: Option<Node<'s>>,
        budget: &mut Budget,
    ) -> Result<(), EvalError> {
        let is_singular = way.is_singular();
        let places = &mut self.places;
        let mut found = |node: Option<Node<'s>>, trail: &Trail<'_>, budget: &mut Budget| -> Flow {
            let node = present(node, trail);
            if node.is_some() || is_singular {
                places.push(node);
            } else {
                // Nothing is due there; but a walk of the whole path would have gone on by its further segments.
                budget.spend_for(MAX_SEGMENTS, 1)?;
            }
            Ok(())
        };
        let place = Trail::root(self.object);
        let mut walk = Walk { budget, root: self.object, then: &mut found };
        settle(match (way, node) {
            (Way::Segment(segment), node) => walk.descend(std::slice::from_ref(segment), node, &place),
            (Way::Joined(root, segment), spec) => {
                let joined = Joined { root: *root, spec, trail: &place };
                walk.enter_joined(joined, std::slice::from_ref(segment))
            }
            (Way::Elements, Some(array @ Node::Array(_))) => walk.children(None, &[], array, &place),
            (Way::Elements | Way::Object, Some(node)) => (walk.then)(Some(node), &place, walk.budget),
            (Way::Elements | Way::Object, None) => Ok(()),
        })
    }
}
