//! A compiled filter: what must hold of a node (RFC 9535, 2.3.5).

use std::cmp::Ordering;
use std::fmt::{self, Write};

use super::iregexp::Reach;
use super::node::Node;
use super::path::{self, Quoted, Segment};
use super::pattern::Pattern;
use super::tree::Tree;

/// What must hold of a node. Never nested in its own kind (`And` in `And`, `Or` in `Or`), so that one text has one tree.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Filter {
    /// One of two or more.
    Or(Box<[Filter]>),
    /// All of two or more.
    And(Box<[Filter]>),
    /// Not this one.
    Not(Box<Filter>),
    /// The query finds something.
    Exists(Query),
    /// Two values compare so.
    Compare(Operand, Comparison, Operand),
    /// A string is matched by a pattern.
    Matches(Operand, Box<Pattern>),
}

impl Filter {
    /// Joins filters that are all wanted.
    pub(super) fn all(filters: Vec<Self>) -> Self {
        let flat = filters.into_iter().flat_map(|filter| match filter {
            Self::And(inner) => inner.into_vec(),
            other => vec![other],
        });
        Self::And(flat.collect())
    }

    /// Joins filters of which one is enough.
    pub(super) fn any(filters: Vec<Self>) -> Self {
        let flat = filters.into_iter().flat_map(|filter| match filter {
            Self::Or(inner) => inner.into_vec(),
            other => vec![other],
        });
        Self::Or(flat.collect())
    }

    /// Bytes that its patterns take, those of filters in its queries among them.
    pub(super) fn pattern_bytes(&self) -> usize {
        let mut bytes = 0;
        self.queries(&mut |query, _| bytes += path::pattern_bytes(&query.segments));
        bytes + self.own_pattern_bytes()
    }

    fn own_pattern_bytes(&self) -> usize {
        match self {
            Self::Or(filters) | Self::And(filters) => filters.iter().map(Self::own_pattern_bytes).sum(),
            Self::Not(filter) => filter.own_pattern_bytes(),
            Self::Matches(_, pattern) => pattern.bytes(),
            Self::Exists(_) | Self::Compare(..) => 0,
        }
    }

    /// Calls `read` with each query of this filter, and whether more than places is read of what it finds.
    pub(super) fn queries<'f>(&'f self, read: &mut dyn FnMut(&'f Query, bool)) {
        match self {
            Self::Or(filters) | Self::And(filters) => filters.iter().for_each(|filter| filter.queries(read)),
            Self::Not(filter) => filter.queries(read),
            Self::Exists(query) => read(query, false),
            Self::Compare(left, _, right) => {
                left.queries(read);
                right.queries(read);
            }
            Self::Matches(operand, _) => operand.queries(read),
        }
    }
}

/// A query inside a filter.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Query {
    /// Whether it starts at `$`, else at `@`.
    pub(super) from_root: bool,
    pub(super) segments: Box<[Segment]>,
}

impl Query {
    /// Whether it names one place, and so finds one node at most.
    pub(super) fn is_singular(&self) -> bool {
        self.segments.iter().all(Segment::is_singular)
    }
}

/// What is compared: a value or nothing.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand {
    /// A literal.
    Literal(Tree),
    /// What a singular query, or `value()` of any query, finds, if that is one node.
    Value(Query, Written),
    /// `length()` of a value.
    Length(Box<Operand>),
    /// `count()` of what a query finds.
    Count(Query),
}

/// How the value of a query is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// As the query itself.
    Plain,
    /// As `value()`.
    Function,
}

impl Operand {
    fn queries<'f>(&'f self, read: &mut dyn FnMut(&'f Query, bool)) {
        match self {
            Self::Literal(_) => {}
            Self::Value(query, _) => read(query, true),
            Self::Length(operand) => operand.queries(read),
            Self::Count(query) => read(query, false),
        }
    }
}

/// How two values compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// Whether values in this order compare so; values without an order do not.
    pub(super) fn allows(self, order: Option<Ordering>) -> bool {
        match self {
            Self::Equal => order == Some(Ordering::Equal),
            Self::NotEqual => order != Some(Ordering::Equal),
            Self::Less => order == Some(Ordering::Less),
            Self::LessOrEqual => order.is_some_and(Ordering::is_le),
            Self::Greater => order == Some(Ordering::Greater),
            Self::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
        }
    }

    /// As it is written.
    fn text(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Or(filters) => write_joined(f, filters, " || "),
            Self::And(filters) => write_joined(f, filters, " && "),
            Self::Not(filter) => match &**filter {
                plain @ (Self::Exists(_) | Self::Matches(..)) => write!(f, "!{plain}"),
                group => write!(f, "!({group})"),
            },
            Self::Exists(query) => write!(f, "{query}"),
            Self::Compare(left, comparison, right) => write!(f, "{left} {} {right}", comparison.text()),
            Self::Matches(operand, pattern) => {
                let name = match pattern.reach() {
                    Reach::Whole => "match",
                    Reach::Part => "search",
                };
                write!(f, "{name}({operand}, {})", Quoted(pattern.source()))
            }
        }
    }
}

fn write_joined(f: &mut fmt::Formatter<'_>, filters: &[Filter], between: &str) -> fmt::Result {
    for (at, filter) in filters.iter().enumerate() {
        if at > 0 {
            f.write_str(between)?;
        }
        match filter {
            Filter::Or(_) => write!(f, "({filter})")?,
            filter => write!(f, "{filter}")?,
        }
    }
    Ok(())
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char(if self.from_root { '$' } else { '@' })?;
        path::write_segments(f, &self.segments)
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(value) => match value.node() {
                Node::String(text) => write!(f, "{}", Quoted(text)),
                value => write!(f, "{value}"),
            },
            Self::Value(query, Written::Plain) => write!(f, "{query}"),
            Self::Value(query, Written::Function) => write!(f, "value({query})"),
            Self::Length(operand) => write!(f, "length({operand})"),
            Self::Count(query) => write!(f, "count({query})"),
        }
    }
}
