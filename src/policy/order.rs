//! One order over all JSON values, whose equality is that of the contract: numbers by value, and a `null` member of an
//! object counts as absent, as for the API server.

use std::cmp::Ordering;

use crate::jsonpath::{Members, Node, Number};

use super::decimal::Decimal;

/// Whether upper and lower case are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    /// They are.
    Told,
    /// They are the same, in the text of values; names of members are always told apart.
    Ignored,
}

/// Compares two values.
pub(super) fn compare(left: Node<'_>, right: Node<'_>, case: Case) -> Ordering {
    match (left, right) {
        (Node::Bool(left), Node::Bool(right)) => left.cmp(&right),
        (Node::Number(left), Node::Number(right)) => numbers(left, right),
        (Node::String(left), Node::String(right)) => texts(left, right, case),
        (Node::Array(left), Node::Array(right)) => {
            let unequal = left.iter().zip(right.iter()).map(|(left, right)| compare(left, right, case));
            first_unequal(unequal).then(left.len().cmp(&right.len()))
        }
        (Node::Object(left), Node::Object(right)) => objects(left, right, case),
        _ => rank(left).cmp(&rank(right)),
    }
}

fn rank(node: Node<'_>) -> u8 {
    match node {
        Node::Null => 0,
        Node::Bool(_) => 1,
        Node::Number(_) => 2,
        Node::String(_) => 3,
        Node::Array(_) => 4,
        Node::Object(_) => 5,
    }
}

fn numbers(left: Number, right: Number) -> Ordering {
    match (left, right) {
        (Number::I64(left), Number::I64(right)) => left.cmp(&right),
        (left, right) => Decimal::from(left).cmp(&right.into()),
    }
}

fn texts(left: &str, right: &str, case: Case) -> Ordering {
    match case {
        Case::Told => left.cmp(right),
        Case::Ignored => lower(left).cmp(lower(right)),
    }
}

/// The characters in lower case.
pub(super) fn lower(text: &str) -> impl Iterator<Item = char> {
    text.chars().flat_map(char::to_lowercase)
}

fn objects(left: Members<'_>, right: Members<'_>, case: Case) -> Ordering {
    let (mut left, mut right) = (members(left), members(right));
    loop {
        let order = match (left.next(), right.next()) {
            (Some((name, value)), Some((other_name, other))) => {
                name.cmp(other_name).then_with(|| compare(value, other, case))
            }
            (None, None) => return Ordering::Equal,
            (left, right) => left.is_some().cmp(&right.is_some()),
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// The members that are there, by name.
pub(super) fn members(members: Members<'_>) -> impl Iterator<Item = (&str, Node<'_>)> {
    members.iter().filter(|(_, value)| !matches!(value, Node::Null))
}

fn first_unequal(mut orders: impl Iterator<Item = Ordering>) -> Ordering {
    orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}
