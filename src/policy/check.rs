//! A check: the places where values are due, what stands in for absent ones, and how many must satisfy the assertion.

use std::ops::ControlFlow;

use crate::crd::{Quantifier, WhenAbsent};
use crate::jsonpath::{Budget, Due, EvalError, Node, Path, Projection, Roots, Scope, Trail};

use super::assertion::{Assertion, Complaint, Doubt, Truth};

/// One compiled check.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) path: Path,
    pub(super) fallbacks: Box<[Path]>,
    pub(super) default: Option<Node>,
    pub(super) when_absent: WhenAbsent,
    pub(super) quantifier: Quantifier,
    pub(super) assertion: Assertion,
}

/// The steps that the checks of a rule may take together; fallbacks are paid for apart, since they run within the
/// walk of a path.
#[derive(Debug, Default)]
pub(super) struct Steps {
    path: Budget,
    fallbacks: Budget,
}

/// What is at a place where a value is due.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'s> {
    /// A value, at the place itself or where a fallback found it.
    Found(&'s Node),
    /// Nothing; the check's default is judged.
    Default(&'s Node),
    /// Nothing.
    Absent,
    /// A fallback could not be evaluated.
    Unknown(EvalError),
}

/// Called for each place, with where it is.
pub(super) type VisitPlace<'v, 's> = dyn FnMut(Place<'s>, &Trail<'_>) -> ControlFlow<()> + 'v;

impl Check {
    /// Whether the check holds. Allocates nothing.
    pub(super) fn judge(&self, scope: &Scope<'_>, steps: &mut Steps, doubt: Doubt) -> Truth {
        let mut tally = Tally::default();
        let due = self.walk(scope, steps, &mut |place, _| {
            tally.count(self.truth(place, doubt));
            if tally.decides(self.quantifier, doubt) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        match due {
            Ok(Due::Places) => {}
            Ok(Due::Nothing) => tally.extend(self.truth_of_nothing(doubt)),
            Err(error) => tally.count(Truth::Unknown(Complaint::Path(error))),
        }
        tally.truth(self.quantifier, doubt)
    }

    /// Visits every place where a value is due.
    pub(super) fn walk<'s>(
        &'s self,
        scope: &'s Scope<'_>,
        steps: &mut Steps,
        visit: &mut VisitPlace<'_, 's>,
    ) -> Result<Due, EvalError> {
        let Steps { path, fallbacks } = steps;
        self.path.places(scope, path, &mut |node, trail| match node {
            Some(node) => visit(Place::Found(node), trail),
            None => self.stand_in(scope, fallbacks, trail, visit),
        })
    }

    /// What the first fallback that finds something finds, else the default, else nothing.
    fn stand_in<'s>(
        &'s self,
        scope: &'s Scope<'_>,
        budget: &mut Budget,
        trail: &Trail<'_>,
        visit: &mut VisitPlace<'_, 's>,
    ) -> ControlFlow<()> {
        for fallback in &self.fallbacks {
            let mut found = None;
            let ended = fallback.each(scope, budget, &mut |node, trail| {
                if trail.is_member() && matches!(node, Node::Null) {
                    return ControlFlow::Continue(());
                }
                let flow = visit(Place::Found(node), trail);
                found = Some(flow);
                flow
            });
            match (ended, found) {
                (Err(error), _) => return visit(Place::Unknown(error), trail),
                (Ok(()), Some(flow)) => return flow,
                (Ok(()), None) => {}
            }
        }
        visit(self.default.as_ref().map_or(Place::Absent, Place::Default), trail)
    }

    /// Whether the place satisfies the assertion; where nothing is and `exists` does not say it, `whenAbsent` does.
    pub(super) fn truth(&self, place: Place<'_>, doubt: Doubt) -> Truth {
        match place {
            Place::Found(node) => self.assertion.judge(true, Some(node), doubt),
            Place::Default(node) => self.assertion.judge(false, Some(node), doubt),
            Place::Absent if self.assertion.exists.is_some() => self.assertion.judge(false, None, doubt),
            Place::Absent => self.truth_when_absent(),
            Place::Unknown(error) => Truth::Unknown(Complaint::Path(error)),
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
    pub(super) fn truth_of_nothing(&self, doubt: Doubt) -> Option<Truth> {
        let says = self.assertion.exists.is_some() && !self.path.has_tail();
        says.then(|| self.assertion.judge(false, None, doubt))
    }

    /// Adds what is read; `under` is the `forEach` that `$` stands in.
    pub(super) fn read(&self, roots: &Roots, under: Option<&Path>, projection: &mut Projection) {
        for path in std::iter::once(&self.path).chain(&self.fallbacks) {
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
