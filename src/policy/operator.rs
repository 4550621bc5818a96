//! Operators: what must be true of one value.

use ipnet::IpNet;

use crate::crd::ValueType;
use crate::jsonpath::{Node, Number, Tree};

use super::assertion::{Complaint, Truth};
use super::clock::Clock;
use super::glob::{self, Glob};
use super::network;
use super::order::{self, Case};
use super::pattern::Pattern;
use super::scale::{Reading, Scale};
use super::span::Span;

/// How the operators of a check read values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Manner {
    pub(super) scale: Scale,
    pub(super) case: Case,
}

/// One operator with its operand.
#[derive(Debug)]
pub(super) struct Operator {
    pub(super) test: Test,
    /// `false` for the negatives.
    pub(super) wanted: bool,
}

/// What an operator looks for.
#[derive(Debug)]
pub(super) enum Test {
    Equals(Operand),
    In(Box<[Operand]>),
    Matches(Pattern),
    Search(Pattern),
    Like(Box<[Glob]>),
    /// Of several, all; of the negative, none.
    Contains(Box<[Tree]>),
    InCidr(Box<[IpNet]>),
    InRanges(Box<[Range]>),
    Order(Order, Operand),
    /// An order of the time since or until the value.
    Span(Span),
}

/// A value that others are compared with.
#[derive(Debug)]
pub(super) struct Operand {
    pub(super) written: Tree,
    /// As comparisons read it; nothing where they compare JSON.
    pub(super) reading: Option<Reading>,
}

/// The values from one to another, both included.
#[derive(Debug)]
pub(super) struct Range {
    pub(super) written: Box<str>,
    pub(super) least: Reading,
    pub(super) most: Reading,
}

/// On which side of its operand a value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    AtLeast,
    AtMost,
    Above,
    Below,
}

impl Order {
    /// Whether a value that compares so with the operand is on its side.
    pub(super) fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::AtLeast => order.is_ge(),
            Self::AtMost => order.is_le(),
            Self::Above => order.is_gt(),
            Self::Below => order.is_lt(),
        }
    }
}

type Told<T = bool> = Result<T, Complaint>;

impl Operator {
    /// With how many operands a value is compared; one that takes long counts as many.
    pub(super) fn operands(&self) -> usize {
        match &self.test {
            Test::In(operands) => operands.len(),
            Test::Like(globs) => glob::effort(globs),
            Test::Contains(operands) => operands.len(),
            Test::InCidr(blocks) => blocks.len(),
            Test::InRanges(ranges) => ranges.len(),
            // All patterns of a list are one automaton.
            Test::Equals(_) | Test::Matches(_) | Test::Search(_) | Test::Order(..) | Test::Span(_) => 1,
        }
    }

    /// Whether the value is as the operator wants it.
    pub(super) fn judge(&self, value: Node<'_>, manner: Manner, clock: &Clock) -> Truth {
        let told = match &self.test {
            Test::Equals(operand) => is_one_of(std::slice::from_ref(operand), value, manner),
            Test::In(operands) => is_one_of(operands, value, manner),
            Test::Matches(pattern) | Test::Search(pattern) => text(value).map(|text| pattern.matches(text)),
            Test::Like(globs) => {
                text(value).map(|text| globs.iter().any(|glob| fits(glob, text, manner.case)))
            }
            Test::Contains(operands) => self.contains(operands, value, manner.case),
            Test::InCidr(blocks) => self.lies_in(blocks, value),
            Test::InRanges(ranges) => manner.scale.read(value).map(|value| is_within(ranges, &value)),
            Test::Order(order, operand) => is_in_order(*order, operand, value, manner.scale),
            Test::Span(span) => span.judge(value, clock),
        };
        told.map_or_else(Truth::Unknown, |holds| Truth::from_bool(holds == self.wanted))
    }

    fn contains(&self, operands: &[Tree], value: Node<'_>, case: Case) -> Told {
        let has = |operand| match value {
            Node::String(text) => includes(text, operand, case),
            Node::Array(elements) => {
                Ok(elements.iter().any(|element| order::compare(element, operand, case).is_eq()))
            }
            other => {
                let needs = "`contains` is for strings and arrays; guard with `type`";
                Err(Complaint::WrongType(other.kind(), needs))
            }
        };
        let found: Vec<bool> = operands.iter().map(|operand| has(operand.node())).collect::<Told<_>>()?;
        Ok(if self.wanted { found.iter().all(|has| *has) } else { found.iter().any(|has| *has) })
    }

    fn lies_in(&self, blocks: &[IpNet], value: Node<'_>) -> Told {
        let Some(text) = value.as_str() else {
            let needs = "only strings can be addresses; guard with `type`";
            return Err(Complaint::WrongType(value.kind(), needs));
        };
        let Some(network) = network::parse(text) else {
            return Err(Complaint::Unreadable("an IP address or a CIDR block, such as 10.0.0.0/8"));
        };
        Ok(blocks.iter().any(|block| {
            let is_inside = block.contains(&network);
            // Two blocks touch only where one lies in the other.
            is_inside || (!self.wanted && network.contains(block))
        }))
    }
}

fn is_one_of(operands: &[Operand], value: Node<'_>, manner: Manner) -> Told {
    if manner.scale == Scale::Json {
        let is_equal = |operand: &Operand| order::compare(operand.written.node(), value, manner.case).is_eq();
        return Ok(operands.iter().any(is_equal));
    }
    let value = manner.scale.read(value)?;
    Ok(operands
        .iter()
        .filter_map(|operand| operand.reading.as_ref())
        .any(|operand| operand.compare(&value).is_eq()))
}

fn is_in_order(order: Order, operand: &Operand, value: Node<'_>, scale: Scale) -> Told {
    let value = scale.read(value)?;
    Ok(operand.reading.as_ref().is_some_and(|operand| order.holds(value.compare(operand))))
}

fn is_within(ranges: &[Range], value: &Reading) -> bool {
    ranges.iter().any(|range| range.least.compare(value).is_le() && range.most.compare(value).is_ge())
}

fn text(value: Node<'_>) -> Told<&str> {
    let needs =
        "patterns are for strings; look at a place that holds a string, or compare with `equals` or `in`";
    value.as_str().ok_or(Complaint::WrongType(value.kind(), needs))
}

fn fits(glob: &Glob, text: &str, case: Case) -> bool {
    match case {
        Case::Told => glob.matches(text),
        Case::Ignored => glob.matches_any_case(text),
    }
}

fn includes(text: &str, operand: Node<'_>, case: Case) -> Told {
    let Some(part) = operand.as_str() else {
        let needs = "a string includes nothing but text; quote what `contains` looks for";
        return Err(Complaint::WrongType("string", needs));
    };
    Ok(match case {
        Case::Told => text.contains(part),
        Case::Ignored => {
            let lower = |text| order::lower(text).collect::<String>();
            lower(text).contains(&lower(part))
        }
    })
}

/// Whether a value is of a JSON type. A number without a fraction is an integer, however it is written.
pub(super) fn is_of_type(value: Node<'_>, wanted: ValueType) -> bool {
    match (wanted, value) {
        (ValueType::Integer, Node::Number(number)) => match number {
            Number::I64(_) | Number::U64(_) => true,
            Number::F64(value) => value.fract() == 0.0,
        },
        (wanted, value) => value.kind() == type_name(wanted),
    }
}

/// The name of a JSON type, as policies write it.
pub(super) fn type_name(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::String => "string",
        ValueType::Number => "number",
        ValueType::Integer => "integer",
        ValueType::Boolean => "boolean",
        ValueType::Array => "array",
        ValueType::Object => "object",
        ValueType::Null => "null",
    }
}
