//! Operators: what must be true of one value.

use crate::jsonpath::{EvalError, Node};

use super::pattern::Pattern;

/// All that must hold of one value.
#[derive(Debug)]
pub(super) struct Assertion {
    /// Whether a value must be there at all.
    pub(super) exists: Option<bool>,
    pub(super) operators: Box<[Operator]>,
}

/// One operator with its operand.
#[derive(Debug)]
pub(super) enum Operator {
    Equals(Node),
    NotEquals(Node),
    In(Box<[Node]>),
    NotIn(Box<[Node]>),
    Matches(Pattern),
    NotMatches(Pattern),
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
    /// A pattern was asked of a value that is no string, but of this JSON type.
    NotAString(&'static str),
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

impl Truth {
    fn from_bool(holds: bool) -> Self {
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
}

impl Assertion {
    /// Whether every operator only says what a value must not be; `exists` aside, which speaks for itself.
    pub(super) fn is_negative(&self) -> bool {
        self.operators.iter().all(Operator::is_negative)
    }

    /// Judges a place: `found` says whether a value is there, `value` is what is judged (a default may stand in).
    pub(super) fn judge(&self, found: bool, value: Option<&Node>, doubt: Doubt) -> Truth {
        let exists = self.exists.map_or(Truth::Yes, |wanted| Truth::from_bool(wanted == found));
        let Some(value) = value else { return exists };
        self.operators.iter().fold(exists, |truth, operator| truth.and(operator.judge(value), doubt))
    }
}

impl Operator {
    fn is_negative(&self) -> bool {
        match self {
            Self::NotEquals(_) | Self::NotIn(_) | Self::NotMatches(_) => true,
            Self::Equals(_) | Self::In(_) | Self::Matches(_) => false,
        }
    }

    fn judge(&self, value: &Node) -> Truth {
        match self {
            Self::Equals(wanted) => Truth::from_bool(equal(wanted, value)),
            Self::NotEquals(unwanted) => Truth::from_bool(!equal(unwanted, value)),
            Self::In(wanted) => Truth::from_bool(wanted.iter().any(|wanted| equal(wanted, value))),
            Self::NotIn(unwanted) => {
                Truth::from_bool(!unwanted.iter().any(|unwanted| equal(unwanted, value)))
            }
            Self::Matches(pattern) => matches(pattern, value, true),
            Self::NotMatches(pattern) => matches(pattern, value, false),
        }
    }
}

fn matches(pattern: &Pattern, value: &Node, wanted: bool) -> Truth {
    match value.as_str() {
        Some(text) => Truth::from_bool(pattern.matches(text) == wanted),
        None => Truth::Unknown(Complaint::NotAString(value.kind())),
    }
}

/// JSON equality in which a `null` member of the object counts as absent, as for the API server. Operands have no
/// such members: the compiler refuses them.
fn equal(operand: &Node, value: &Node) -> bool {
    match (operand, value) {
        (Node::Array(operands), Node::Array(values)) => {
            operands.len() == values.len()
                && operands.iter().zip(values).all(|(left, right)| equal(left, right))
        }
        (Node::Object(operands), Node::Object(values)) => {
            let set = || values.iter().filter(|(_, value)| !matches!(value, Node::Null));
            operands.len() == set().count()
                && set().all(|(name, value)| operands.get(name).is_some_and(|operand| equal(operand, value)))
        }
        _ => operand == value,
    }
}
