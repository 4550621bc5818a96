//! What a check's values are compared with in the object itself: each other, and other places.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use crate::jsonpath::{Budget, EvalError, Node, Scope, Tree};

use super::assertion::{Assertion, Complaint, PlaceOperator, Truth};
use super::meter::{Meter, SORTED};
use super::order::{self, Case};
use super::scale::{Reading, Scale};

/// What was found for one check on one object or element. Sorted, so that many values against many cost no product.
#[derive(Debug, Default)]
pub(super) struct Peers<'s> {
    /// The values that are there more than once.
    repeated: Vec<Tree>,
    found: Vec<Found<'s>>,
}

/// What one operator's path finds.
#[derive(Debug)]
pub(super) enum Found<'s> {
    /// The values themselves.
    Values(Vec<Node<'s>>),
    /// The values as `as` reads them, and why some could not be read.
    Readings(Vec<Reading>, Option<Complaint>),
    /// The path could not be evaluated.
    Unknown(EvalError),
}

impl<'s> Peers<'s> {
    /// Looks at the other places that the assertion names.
    pub(super) fn of(
        assertion: &Assertion,
        scope: &'s Scope<'_>,
        budget: &mut Budget,
        meter: &Meter,
    ) -> Self {
        let scale = assertion.manner.scale;
        let mut look = |operator| Found::of(values(operator, scope, budget, meter), scale);
        let found = assertion.places.iter().map(&mut look).collect();
        Self { repeated: Vec::new(), found }
    }

    /// With all the values that were found, of which those that are there twice or more are kept.
    pub(super) fn among(self, mut values: Vec<Tree>) -> Self {
        values.sort_by(|left, right| by_value(left.node(), right.node()));
        let mut repeated: Vec<Tree> = Vec::new();
        let mut before: Option<Tree> = None;
        for value in values {
            let again = before
                .replace(value)
                .filter(|old| before.as_ref().is_some_and(|new| by_value(old.node(), new.node()).is_eq()));
            repeated.extend(again);
        }
        Self { repeated, ..self }
    }

    /// Whether the value is there more than once.
    pub(super) fn repeats(&self, value: Node<'_>) -> bool {
        self.repeated.binary_search_by(|known| by_value(known.node(), value)).is_ok()
    }

    /// What was found, in the order of the assertion's operators.
    pub(super) fn found(&self) -> &[Found<'s>] {
        &self.found
    }
}

impl<'s> Found<'s> {
    fn of(values: Result<Vec<Node<'s>>, EvalError>, scale: Scale) -> Self {
        match values {
            Ok(mut values) if scale == Scale::Json => {
                values.sort_by(|left, right| by_value(*left, *right));
                Self::Values(values)
            }
            Ok(values) => {
                let read = values.iter().map(|value| scale.read(*value));
                let mut readings: Vec<Reading> = read.filter_map(Result::ok).collect();
                let unreadable = (readings.len() < values.len()).then(|| scale.wants());
                readings.sort_by(Reading::compare);
                Self::Readings(readings, unreadable.map(Complaint::UnreadablePeer))
            }
            Err(error) => Self::Unknown(error),
        }
    }

    /// Whether the value is among what was found, or not, as wanted. One that is settles it, whatever the others are.
    pub(super) fn judge(&self, value: Node<'_>, wanted: bool, scale: Scale) -> Truth {
        let is_among = match self {
            Self::Values(values) => values.binary_search_by(|known| by_value(*known, value)).is_ok(),
            Self::Readings(readings, unreadable) => {
                let value = match scale.read(value) {
                    Ok(value) => value,
                    Err(complaint) => return Truth::Unknown(complaint),
                };
                let is_among = readings.binary_search_by(|known| known.compare(&value)).is_ok();
                match unreadable {
                    Some(complaint) if !is_among => return Truth::Unknown(*complaint),
                    _ => is_among,
                }
            }
            Self::Unknown(error) => return Truth::Unknown(Complaint::Path(*error)),
        };
        Truth::from_bool(is_among == wanted)
    }
}

/// The nodes that the path finds; a `null` member counts as absent.
fn values<'s>(
    operator: &PlaceOperator,
    scope: &'s Scope<'_>,
    budget: &mut Budget,
    meter: &Meter,
) -> Result<Vec<Node<'s>>, EvalError> {
    let (mut values, mut paid) = (Vec::new(), Ok(()));
    operator.path.each(scope, budget, &mut |node, trail| {
        if trail.is_member() && matches!(node, Node::Null) {
            return ControlFlow::Continue(());
        }
        paid = meter.charge(node, SORTED);
        match node {
            _ if paid.is_err() => return ControlFlow::Break(()),
            Node::Array(elements) if operator.spread => values.extend(elements.iter()),
            node => values.push(node),
        }
        ControlFlow::Continue(())
    })?;
    paid.map(|()| values)
}

fn by_value(left: Node<'_>, right: Node<'_>) -> Ordering {
    order::compare(left, right, Case::Told)
}
