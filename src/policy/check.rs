//! A check: the places where values are due, what stands in for absent ones, and how many must satisfy the assertion.

use std::ops::ControlFlow;

use crate::crd::{Measure, Quantifier, WhenAbsent};
use crate::jsonpath::{Budget, Due, EvalError, Node, Path, Projection, Roots, Scope, Trail, Tree};

use super::assertion::{Assertion, Bearings, Complaint, Doubt, Truth};
use super::clock::Clock;
use super::exception::Exempt;
use super::measure::{self, Measured};
use super::meter::{Meter, SORTED};
use super::order;
use super::peers::Peers;
use super::sharing::Shared;

/// One compiled check.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) path: Path,
    /// The number of the path among those of the policy; those of the fallbacks follow.
    pub(super) number: usize,
    pub(super) fallbacks: Box<[Path]>,
    pub(super) default: Option<Tree>,
    pub(super) when_absent: WhenAbsent,
    pub(super) measure: Measure,
    pub(super) quantifier: Quantifier,
    pub(super) assertion: Assertion,
    /// Whether it reads the pod of an object; told of those under `match` alone.
    pub(super) reads_pod: bool,
}

/// Where and when a check is judged.
#[derive(Clone, Copy)]
pub(super) struct Hearing<'h> {
    pub(super) scope: &'h Scope<'h>,
    pub(super) clock: &'h Clock,
    pub(super) meter: &'h Meter,
    /// The containers that are as if they were not there.
    pub(super) exempt: Option<&'h Exempt<'h, 'h>>,
    /// What was found for all rules together, without its places: only for telling whether something holds, where
    /// nothing is exempt.
    pub(super) shared: Option<Shared<'h>>,
}

impl Hearing<'_> {
    /// Whether a place is left out by an exception.
    pub(super) fn leaves_out(&self, place: &Trail<'_>) -> bool {
        self.exempt.is_some_and(|exempt| exempt.leaves_out(place, self.scope))
    }
}

/// The steps that the checks of a rule may take together; fallbacks are paid for apart, since they run within the
/// walk of a path, and so are the other places that values are compared with.
#[derive(Debug, Default)]
pub(super) struct Steps {
    path: Budget,
    fallbacks: Budget,
    peers: Budget,
}

/// What is at a place where a value is due.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'p> {
    /// A measured value, at the place itself or where a fallback found it.
    Found(Node<'p>),
    /// Nothing; the check's default, measured, is judged.
    Default(Node<'p>),
    /// Nothing, or something whose measure is absent.
    Absent,
    /// It cannot be told what is to be judged: of the value that was found, if one was.
    Unknown(Complaint, Option<Node<'p>>),
}

/// Where a place is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot<'t> {
    /// Where the value is.
    pub(super) at: &'t Trail<'t>,
    /// Where it was due; not the same where a fallback found it.
    pub(super) due: &'t Trail<'t>,
}

/// Called for each place.
pub(super) type VisitPlace<'v> = dyn FnMut(Place<'_>, Spot<'_>) -> ControlFlow<()> + 'v;

/// Where a value that is to be measured comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Object,
    Default,
}

impl Source {
    fn place(self, value: Node<'_>) -> Place<'_> {
        match self {
            Self::Object => Place::Found(value),
            Self::Default => Place::Default(value),
        }
    }
}

impl Check {
    /// Whether the check holds. Allocates nothing, unless a measure or a comparison within the object needs it.
    pub(super) fn judge(&self, hearing: Hearing<'_>, steps: &mut Steps, doubt: Doubt) -> Truth {
        let peers = self.peers(hearing, steps);
        let by = Bearings { peers: &peers, clock: hearing.clock, meter: hearing.meter, doubt };
        let mut tally = Tally::default();
        let mut left_out = false;
        let due = self.walk(hearing, steps, &mut |place, spot| {
            let truth = self.truth(place, by);
            if self.leaves_out(truth, spot, hearing) {
                left_out = true;
                return ControlFlow::Continue(());
            }
            tally.count(truth);
            if tally.decides(self.quantifier, doubt) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        match due {
            Ok(Due::Places) => {}
            Ok(Due::Nothing) => tally.extend(self.truth_of_nothing(by)),
            Err(error) => tally.count(Truth::Unknown(Complaint::Path(error))),
        }
        if left_out && tally.is_empty() {
            return Truth::Yes;
        }
        hearing.exempt.iter().for_each(|exempt| exempt.judged_another());
        tally.truth(self.quantifier, doubt)
    }

    /// What the values are compared with in the object itself.
    pub(super) fn peers<'s>(&self, hearing: Hearing<'s>, steps: &mut Steps) -> Peers<'s> {
        let Hearing { scope, meter, .. } = hearing;
        let peers = Peers::of(&self.assertion, scope, &mut steps.peers, meter);
        if !self.assertion.unique {
            return peers;
        }
        let mut values = Vec::new();
        let mut paid = Ok(());
        let ended = self.walk(hearing, steps, &mut |place, spot| {
            if let Place::Found(value) = place
                && !hearing.leaves_out(spot.due)
            {
                paid = meter.charge(value, SORTED);
                values.extend(paid.is_ok().then(|| Tree::from(value)));
            }
            if paid.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        // What ends this walk ends the one that judges, and is told there.
        if ended.and(paid).is_ok() { peers.among(values) } else { peers }
    }

    /// Visits every place where a value is due.
    pub(super) fn walk(
        &self,
        hearing: Hearing<'_>,
        steps: &mut Steps,
        visit: &mut VisitPlace<'_>,
    ) -> Result<Due, EvalError> {
        if self.measure == Measure::Count {
            return self.count(hearing, steps, visit);
        }
        let Steps { path, fallbacks, peers: _ } = steps;
        self.places(hearing, path, &mut |node, trail| match node {
            Some(node) => self.measured((node, Source::Object), Spot { at: trail, due: trail }, visit),
            None => self.stand_in(hearing, fallbacks, trail, visit),
        })
    }

    /// Visits the places of the path, as they were found with those of other rules, or else by a walk.
    fn places(
        &self,
        hearing: Hearing<'_>,
        budget: &mut Budget,
        visit: &mut dyn FnMut(Option<Node<'_>>, &Trail<'_>) -> ControlFlow<()>,
    ) -> Result<Due, EvalError> {
        let Some(places) = hearing.shared.and_then(|shared| shared.places(self.number, budget)) else {
            return self.path.places(hearing.scope, budget, visit);
        };
        let nowhere = Trail::root(hearing.scope.object());
        let _ended = places.iter().try_for_each(|node| visit(*node, &nowhere));
        Ok(if places.is_empty() { Due::Nothing } else { Due::Places })
    }

    /// How many nodes are found is one value, of no single place.
    fn count(
        &self,
        hearing: Hearing<'_>,
        steps: &mut Steps,
        visit: &mut VisitPlace<'_>,
    ) -> Result<Due, EvalError> {
        let mut count = 0;
        self.places(hearing, &mut steps.path, &mut |node, trail| {
            count += usize::from(node.is_some() && !hearing.leaves_out(trail));
            ControlFlow::Continue(())
        })?;
        let object = Trail::root(hearing.scope.object());
        let _only = visit(Place::Found(measure::number(count)), Spot { at: &object, due: &object });
        Ok(Due::Places)
    }

    /// What the first fallback that finds something finds, else the default, else nothing.
    fn stand_in(
        &self,
        hearing: Hearing<'_>,
        budget: &mut Budget,
        due: &Trail<'_>,
        visit: &mut VisitPlace<'_>,
    ) -> ControlFlow<()> {
        let here = Spot { at: due, due };
        for (number, fallback) in (self.number + 1..).zip(&self.fallbacks) {
            let mut found = None;
            let mut each = |node: Node<'_>, trail: &Trail<'_>| {
                let flow = self.measured((node, Source::Object), Spot { at: trail, due }, visit);
                found = Some(flow);
                flow
            };
            let ended = match hearing.shared.and_then(|shared| shared.places(number, budget)) {
                Some(places) => {
                    let _ended = places.iter().flatten().try_for_each(|node| each(*node, due));
                    Ok(())
                }
                None => fallback.each(hearing.scope, budget, &mut |node, trail| {
                    let is_absent = trail.is_member() && matches!(node, Node::Null);
                    if is_absent { ControlFlow::Continue(()) } else { each(node, trail) }
                }),
            };
            match (ended, found) {
                (Err(error), _) => return visit(Place::Unknown(Complaint::Path(error), None), here),
                (Ok(()), Some(flow)) => return flow,
                (Ok(()), None) => {}
            }
        }
        match &self.default {
            Some(default) => self.measured((default.node(), Source::Default), here, visit),
            None => visit(Place::Absent, here),
        }
    }

    /// Visits what the check measures of a value.
    fn measured(
        &self,
        (node, source): (Node<'_>, Source),
        spot: Spot<'_>,
        visit: &mut VisitPlace<'_>,
    ) -> ControlFlow<()> {
        if let (Measure::Keys, Node::Object(members)) = (self.measure, node) {
            let mut keys = order::members(members).peekable();
            // None to judge; but `exists` looks at the measure.
            if keys.peek().is_none() && self.assertion.exists.is_some() {
                return visit(Place::Absent, spot);
            }
            return keys.try_for_each(|(name, member)| {
                let at = spot.at.member(name, Some(member));
                visit(source.place(Node::String(name)), Spot { at: &at, due: spot.due })
            });
        }
        match measure::measure(self.measure, node) {
            Measured::One(value) => visit(source.place(value), spot),
            Measured::Text(text) => visit(source.place(Node::String(&text)), spot),
            Measured::Nothing => visit(Place::Absent, spot),
            Measured::Wrong(complaint) => {
                let found = (source == Source::Object).then_some(node);
                visit(Place::Unknown(complaint, found), spot)
            }
        }
    }

    /// Whether an exception leaves out a place that keeps the check from holding. `unique` speaks of all of them.
    pub(super) fn leaves_out(&self, truth: Truth, spot: Spot<'_>, hearing: Hearing<'_>) -> bool {
        let holds = if self.quantifier == Quantifier::None { Truth::No } else { Truth::Yes };
        (self.assertion.unique || truth != holds) && hearing.leaves_out(spot.due)
    }

    /// Whether the place satisfies the assertion; where nothing is and `exists` does not say it, `whenAbsent` does.
    pub(super) fn truth(&self, place: Place<'_>, by: Bearings<'_>) -> Truth {
        match place {
            Place::Found(node) => self.assertion.judge(true, Some(node), by),
            Place::Default(node) => self.assertion.judge(false, Some(node), by),
            Place::Absent if self.assertion.exists.is_some() => self.assertion.judge(false, None, by),
            Place::Absent => self.truth_when_absent(),
            Place::Unknown(complaint, _) => Truth::Unknown(complaint),
        }
    }

    /// With `None`, a value that satisfies the assertion is what fails.
    fn truth_when_absent(&self) -> Truth {
        match (self.when_absent, self.quantifier) {
            (WhenAbsent::Pass, Quantifier::None) | (WhenAbsent::Fail, Quantifier::All | Quantifier::Any) => {
                Truth::No
            }
            (WhenAbsent::Fail, Quantifier::None) | (WhenAbsent::Pass, Quantifier::All | Quantifier::Any) => {
                Truth::Yes
            }
        }
    }

    /// A path without a tail that finds nothing says something to `exists` only.
    pub(super) fn truth_of_nothing(&self, by: Bearings<'_>) -> Option<Truth> {
        let says = self.assertion.exists.is_some() && !self.path.has_tail();
        says.then(|| self.assertion.judge(false, None, by))
    }

    /// The paths that may be found together with those of other rules, in the order of their numbers.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(&self.path).chain(&self.fallbacks)
    }

    /// Numbers its paths, from `next` on.
    pub(super) fn number_paths(&mut self, next: &mut usize) {
        self.number = *next;
        *next += self.paths().count();
    }

    /// Adds what is read; `under` is the `forEach` that `$` stands in.
    pub(super) fn read(&self, roots: &Roots, under: Option<&Path>, projection: &mut Projection) {
        let others = self.assertion.places.iter().map(|operator| &operator.path);
        for path in self.paths().chain(others) {
            projection.read(path, roots, under);
        }
    }
}

/// What was seen of the places so far: the first of each kind is enough.
#[derive(Debug, Default)]
struct Tally {
    yes: bool,
    no: bool,
    unknown: Option<Complaint>,
}

impl Tally {
    fn count(&mut self, truth: Truth) {
        match truth {
            Truth::Yes => self.yes = true,
            Truth::No => self.no = true,
            Truth::Unknown(complaint) => self.unknown = self.unknown.or(Some(complaint)),
        }
    }

    /// Whether nothing was judged.
    fn is_empty(&self) -> bool {
        !self.yes && !self.no && self.unknown.is_none()
    }

    fn extend(&mut self, truth: Option<Truth>) {
        truth.into_iter().for_each(|truth| self.count(truth));
    }

    /// Whether no further place can change the answer.
    fn decides(&self, quantifier: Quantifier, doubt: Doubt) -> bool {
        match (quantifier, doubt) {
            (Quantifier::Any | Quantifier::None, _) => self.yes,
            (Quantifier::All, Doubt::Prevails) => self.unknown.is_some(),
            (Quantifier::All, Doubt::YieldsToNo) => self.no,
        }
    }

    fn truth(&self, quantifier: Quantifier, doubt: Doubt) -> Truth {
        let unknown = self.unknown.map(Truth::Unknown);
        match (quantifier, doubt) {
            (Quantifier::All, Doubt::YieldsToNo) if self.no => Truth::No,
            (Quantifier::All, _) => unknown.unwrap_or(if self.no { Truth::No } else { Truth::Yes }),
            (Quantifier::Any, _) if self.yes => Truth::Yes,
            (Quantifier::Any, _) => unknown.unwrap_or(Truth::No),
            (Quantifier::None, _) if self.yes => Truth::No,
            (Quantifier::None, _) => unknown.unwrap_or(Truth::Yes),
        }
    }
}
