//! Whether a filter holds of a node.

use std::cmp::Ordering;

use super::eval::{Budget, EvalError};
use super::filter::{Comparison, Filter, Operand, Query};
use super::node::Node;
use super::number::Number;
use super::trail::Trail;
use super::walk::{Stop, Walk, settle};

/// Bytes of text that are compared or counted for the price of one step.
const COMPARED_PER_STEP: usize = 64;
/// Bytes of text that a pattern reads for the price of one step.
const MATCHED_PER_STEP: usize = 16;

type Judged<T> = Result<T, EvalError>;

/// What `@` and `$` are.
#[derive(Clone, Copy)]
pub(super) struct Context<'s> {
    pub(super) current: Node<'s>,
    pub(super) root: Node<'s>,
}

/// A value of RFC 9535's ValueType.
#[derive(Clone, Copy)]
enum Value<'a> {
    Nothing,
    Node(Node<'a>),
    Number(Number),
}

/// Whether a filter holds.
pub(super) fn holds(filter: &Filter, context: Context<'_>, budget: &mut Budget) -> Judged<bool> {
    match filter {
        Filter::Or(filters) => any(filters, context, budget, true),
        Filter::And(filters) => any(filters, context, budget, false).map(|found| !found),
        Filter::Not(filter) => holds(filter, context, budget).map(|holds| !holds),
        Filter::Exists(query) => count(query, context, budget, 1).map(|count| count > 0),
        Filter::Compare(left, comparison, right) => {
            let left = value(left, context, budget)?;
            let right = value(right, context, budget)?;
            compare(left, *comparison, right, budget)
        }
        Filter::Matches(operand, pattern) => match value(operand, context, budget)? {
            Value::Node(Node::String(text)) => {
                budget.spend_for(text.len(), MATCHED_PER_STEP)?;
                Ok(pattern.matches(text))
            }
            _ => Ok(false),
        },
    }
}

/// Whether one of the filters comes out as wanted; those after it are not judged.
fn any(filters: &[Filter], context: Context<'_>, budget: &mut Budget, wanted: bool) -> Judged<bool> {
    for filter in filters {
        budget.spend()?;
        if holds(filter, context, budget)? == wanted {
            return Ok(true);
        }
    }
    Ok(false)
}

fn value<'s>(operand: &'s Operand, context: Context<'s>, budget: &mut Budget) -> Judged<Value<'s>> {
    budget.spend()?;
    match operand {
        Operand::Literal(tree) => Ok(Value::Node(tree.node())),
        Operand::Value(query, _) => Ok(only(query, context, budget)?.map_or(Value::Nothing, Value::Node)),
        Operand::Length(operand) => {
            let value = value(operand, context, budget)?;
            length(value, budget)
        }
        Operand::Count(query) => Ok(number(count(query, context, budget, usize::MAX)?)),
    }
}

fn length<'s>(value: Value<'s>, budget: &mut Budget) -> Judged<Value<'s>> {
    Ok(match value {
        Value::Node(Node::String(text)) => {
            budget.spend_for(text.len(), COMPARED_PER_STEP)?;
            number(text.chars().count())
        }
        Value::Node(Node::Array(elements)) => number(elements.len()),
        Value::Node(Node::Object(members)) => number(members.len()),
        _ => Value::Nothing,
    })
}

fn number(count: usize) -> Value<'static> {
    Value::Number(Number::from(u64::try_from(count).unwrap_or(u64::MAX)))
}

/// What a query finds, if that is one node.
fn only<'s>(query: &'s Query, context: Context<'s>, budget: &mut Budget) -> Judged<Option<Node<'s>>> {
    let mut only = None;
    let mut count = 0_usize;
    find(query, context, budget, &mut |node| {
        count += 1;
        only = Some(node);
        count < 2
    })?;
    Ok(only.filter(|_| count == 1))
}

/// How many nodes a query finds, counted up to `most`.
fn count(query: &Query, context: Context<'_>, budget: &mut Budget, most: usize) -> Judged<usize> {
    let mut count = 0;
    find(query, context, budget, &mut |_| {
        count += 1;
        count < most
    })?;
    Ok(count)
}

/// Calls `visit` with each node that a query finds, until it says that it has seen enough.
fn find<'s>(
    query: &'s Query,
    context: Context<'s>,
    budget: &mut Budget,
    visit: &mut dyn FnMut(Node<'s>) -> bool,
) -> Judged<()> {
    let start = if query.from_root { context.root } else { context.current };
    let mut then = |node: Option<Node<'s>>, _: &Trail<'_>, _: &mut Budget| match node {
        Some(node) if !visit(node) => Err(Stop::Visitor),
        _ => Ok(()),
    };
    let mut walk = Walk { budget, root: context.root, then: &mut then };
    settle(walk.descend(&query.segments, Some(start), &Trail::root(start)))
}

/// RFC 9535, 2.3.5.2.2: only numbers and strings have an order; nothing equals nothing.
fn compare(left: Value<'_>, comparison: Comparison, right: Value<'_>, budget: &mut Budget) -> Judged<bool> {
    let order = match (left.number(), right.number()) {
        (Some(left), Some(right)) => left.partial_cmp(&right),
        _ => match (left, right) {
            (Value::Nothing, Value::Nothing) => Some(Ordering::Equal),
            (Value::Node(Node::String(left)), Value::Node(Node::String(right))) => {
                budget.spend_for(left.len().min(right.len()), COMPARED_PER_STEP)?;
                // Of UTF-8, the order of bytes is that of code points.
                Some(left.cmp(right))
            }
            (Value::Node(left), Value::Node(right)) => equal(left, right, budget)?.then_some(Ordering::Equal),
            _ => None,
        },
    };
    Ok(comparison.allows(order))
}

impl Value<'_> {
    fn number(self) -> Option<Number> {
        match self {
            Self::Number(number) => Some(number),
            Self::Node(Node::Number(number)) => Some(number),
            Self::Node(_) | Self::Nothing => None,
        }
    }
}

/// JSON equality, paid for by what is looked at. As deep as the nodes, which decoding bounds.
fn equal(left: Node<'_>, right: Node<'_>, budget: &mut Budget) -> Judged<bool> {
    budget.spend()?;
    match (left, right) {
        (Node::Array(left), Node::Array(right)) if left.len() == right.len() => {
            for (left, right) in left.iter().zip(right.iter()) {
                if !equal(left, right, budget)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Node::Object(left), Node::Object(right)) if left.len() == right.len() => {
            for ((left_name, left), (right_name, right)) in left.iter().zip(right.iter()) {
                if left_name != right_name || !equal(left, right, budget)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Node::Array(_) | Node::Object(_), _) => Ok(false),
        (Node::String(left), Node::String(right)) if left.len() == right.len() => {
            budget.spend_for(left.len(), COMPARED_PER_STEP)?;
            Ok(left == right)
        }
        (left, right) => Ok(left == right),
    }
}
