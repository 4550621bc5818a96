//! An assertion: all that must be true of one value, and how sure that is.

use crate::crd::ValueType;
use crate::jsonpath::{EvalError, Node, Path};

use super::clock::Clock;
use super::meter::{Meter, SORTED};
use super::operator::{self, Manner, Operator};
use super::peers::Peers;

/// All that must hold of one value.
#[derive(Debug)]
pub(super) struct Assertion {
    /// Whether a value must be there at all.
    pub(super) exists: Option<bool>,
    /// Judged first; another type ends the judgement.
    pub(super) type_: Option<ValueType>,
    /// Whether no other found value may be equal.
    pub(super) unique: bool,
    pub(super) operators: Box<[Operator]>,
    pub(super) places: Box<[PlaceOperator]>,
    pub(super) manner: Manner,
}

/// An operator that compares with what is at another place of the object.
#[derive(Debug)]
pub(super) struct PlaceOperator {
    pub(super) path: Path,
    /// Whether the value must be among what is there, or must not be.
    pub(super) wanted: bool,
    /// Whether an array stands for its elements.
    pub(super) spread: bool,
}

/// Whether something holds, as far as can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    Yes,
    No,
    Unknown(Complaint),
}

/// Why it cannot be told whether something holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Complaint {
    /// A value is of this JSON type; and what is needed instead.
    WrongType(&'static str, &'static str),
    /// A value cannot be read as this.
    Unreadable(&'static str),
    /// A value at the other place cannot be read as this.
    UnreadablePeer(&'static str),
    /// A path could not be evaluated.
    Path(EvalError),
}

/// What weighs more where one part says no and another cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// Not knowing: what rules demand is never passed or failed by half.
    Prevails,
    /// A sure no: in `match` and `when` it decides.
    YieldsToNo,
}

/// What one value is judged by, beside the assertion.
#[derive(Clone, Copy)]
pub(super) struct Bearings<'j> {
    pub(super) peers: &'j Peers<'j>,
    pub(super) clock: &'j Clock,
    pub(super) meter: &'j Meter,
    pub(super) doubt: Doubt,
}

impl Truth {
    pub(super) fn from_bool(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }

    /// Whether both hold.
    pub(super) fn and(self, other: Self, doubt: Doubt) -> Self {
        match (self, other, doubt) {
            (Self::No, _, Doubt::YieldsToNo) | (_, Self::No, Doubt::YieldsToNo) => Self::No,
            (Self::Unknown(why), _, _) | (_, Self::Unknown(why), _) => Self::Unknown(why),
            (Self::No, _, _) | (_, Self::No, _) => Self::No,
            (Self::Yes, Self::Yes, _) => Self::Yes,
        }
    }

    /// Whether one of the two holds; that one does is enough, even if the other cannot be told.
    pub(super) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Yes, _) | (_, Self::Yes) => Self::Yes,
            (Self::Unknown(why), _) | (_, Self::Unknown(why)) => Self::Unknown(why),
            (Self::No, Self::No) => Self::No,
        }
    }
}

impl Assertion {
    /// Whether it only says what a value must not be, so that none is needed; `exists` aside, which speaks for itself.
    pub(super) fn is_negative(&self) -> bool {
        self.type_.is_none()
            && self.operators.iter().all(|operator| !operator.wanted)
            && self.places.iter().all(|operator| !operator.wanted)
    }

    /// With how much a value is compared.
    fn comparisons(&self) -> usize {
        let sorted = (self.places.len() + usize::from(self.unique)) * SORTED;
        self.operators.iter().map(Operator::operands).sum::<usize>() + sorted
    }

    /// Judges a place: `found` says whether a value is there, `value` is what is judged (a default may stand in).
    pub(super) fn judge(&self, found: bool, value: Option<Node<'_>>, by: Bearings<'_>) -> Truth {
        let exists = self.exists.map_or(Truth::Yes, |wanted| Truth::from_bool(wanted == found));
        let Some(value) = value else { return exists };
        if self.type_.is_some_and(|wanted| !operator::is_of_type(value, wanted)) {
            return Truth::No;
        }
        if let Err(error) = by.meter.charge(value, self.comparisons()) {
            return Truth::Unknown(Complaint::Path(error));
        }
        let unique = Truth::from_bool(!self.unique || !by.peers.repeats(value));
        let operators = self.operators.iter().map(|operator| operator.judge(value, self.manner, by.clock));
        let places = self.places.iter().zip(by.peers.found());
        let places = places.map(|(operator, found)| found.judge(value, operator.wanted, self.manner.scale));
        operators.chain(places).fold(exists.and(unique, by.doubt), |all, truth| all.and(truth, by.doubt))
    }
}
