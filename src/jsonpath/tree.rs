//! A compact, immutable JSON tree in two pieces of memory: its values, and its text.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use smallvec::SmallVec;

use super::decode;
use super::node::Node;
use super::number::Number;

/// A JSON value that owns what is in it; [`Tree::node`] looks at it. Equality is JSON equality: numbers by value, members
/// in any order.
///
/// Depth is bounded by the parser that makes it (128 levels), so recursion over it is safe.
#[derive(Clone, Debug)]
pub struct Tree {
    root: Value,
    /// The members of each object together, sorted by name, each name once; the elements of each array together.
    slots: Box<[Slot]>,
    /// The names and strings.
    text: Box<str>,
}

/// A member of an object, or an element of an array.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Slot {
    /// The member's name; empty for elements.
    name: Span,
    value: Value,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Value {
    Null,
    Bool(bool),
    I64(i64),
    U64(u64),
    F64(f64),
    /// In the text.
    String(Span),
    /// In the slots, as that of an object.
    Array(Span),
    Object(Span),
}

/// A range, half the size of one. No text and no list of a tree is longer than 4 GiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    length: u32,
}

impl Span {
    fn new(range: Range<usize>) -> Result<Self, TooLarge> {
        let index = |at| u32::try_from(at).or(Err(TooLarge));
        Ok(Self { start: index(range.start)?, length: index(range.end.saturating_sub(range.start))? })
    }

    pub(super) fn len(self) -> usize {
        usize::try_from(self.length).unwrap_or(usize::MAX)
    }

    fn range(self) -> Range<usize> {
        let start = usize::try_from(self.start).unwrap_or(usize::MAX);
        start..start.saturating_add(self.len())
    }
}

/// More than a tree can hold.
#[derive(Debug)]
pub(super) struct TooLarge;

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("value over 4 GiB")
    }
}

impl Tree {
    /// The value at the top.
    pub fn node(&self) -> Node<'_> {
        self.at(&self.root)
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        size_of_val::<[Slot]>(&self.slots) + self.text.len()
    }

    pub(super) fn slots(&self, span: Span) -> &[Slot] {
        self.slots.get(span.range()).unwrap_or_default()
    }

    pub(super) fn value(&self, slot: &Slot) -> Node<'_> {
        self.at(&slot.value)
    }

    pub(super) fn name(&self, slot: &Slot) -> &str {
        self.text(slot.name)
    }

    /// Whether a member has this name: most differ in its length already.
    pub(super) fn is_named(&self, slot: &Slot, name: &str) -> bool {
        slot.name.len() == name.len() && self.name(slot) == name
    }

    fn text(&self, span: Span) -> &str {
        self.text.get(span.range()).unwrap_or_default()
    }

    fn at(&self, value: &Value) -> Node<'_> {
        match *value {
            Value::Null => Node::Null,
            Value::Bool(value) => Node::Bool(value),
            Value::I64(value) => Node::Number(Number::I64(value)),
            Value::U64(value) => Node::Number(Number::U64(value)),
            Value::F64(value) => Node::Number(Number::F64(value)),
            Value::String(span) => Node::String(self.text(span)),
            Value::Array(span) => Node::array(self, span),
            Value::Object(span) => Node::object(self, span),
        }
    }
}

impl PartialEq for Tree {
    fn eq(&self, other: &Self) -> bool {
        // What is written alike is equal; what is not may be.
        let alike = self.root == other.root && self.slots == other.slots && self.text == other.text;
        alike || self.node() == other.node()
    }
}

impl From<Node<'_>> for Tree {
    /// A copy.
    fn from(node: Node<'_>) -> Self {
        Self::build(|builder| builder.copy(Span::default(), node))
    }
}

impl From<&serde_json::Value> for Tree {
    fn from(value: &serde_json::Value) -> Self {
        Self::build(|builder| builder.copy_value(Span::default(), value))
    }
}

impl Tree {
    /// An array of copies.
    pub fn array<'n>(elements: impl IntoIterator<Item = Node<'n>>) -> Self {
        Self::build(|builder| {
            let mark = builder.mark();
            elements.into_iter().try_for_each(|element| builder.copy(Span::default(), element))?;
            builder.close_array(mark, Span::default())
        })
    }

    /// An object of copies; of members with one name the last counts.
    pub fn object<'n>(members: impl IntoIterator<Item = (&'n str, Node<'n>)>) -> Self {
        Self::build(|builder| {
            let mark = builder.mark();
            members.into_iter().try_for_each(|(name, member)| {
                let name = builder.name(name)?;
                builder.copy(name, member)
            })?;
            builder.close_object(mark, Span::default())
        })
    }

    /// Of values that are in memory already, at a multiple of their size here: they are not too large.
    fn build(fill: impl FnOnce(&mut Builder) -> Result<(), TooLarge>) -> Self {
        let mut builder = Builder::default();
        let filled = fill(&mut builder);
        debug_assert!(filled.is_ok(), "values in memory are too large for a tree");
        builder.finish()
    }
}

impl FromStr for Tree {
    type Err = serde_json::Error;

    /// Reads JSON text, of at most 128 levels.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        decode::whole(text)
    }
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.node().serialize(serializer)
    }
}

impl fmt::Display for Tree {
    /// Compact JSON, members sorted by name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.node().fmt(f)
    }
}

/// Values that a projection keeps of an object, as many as most have.
const FEW_VALUES: usize = 24;
/// And bytes of their text.
const LITTLE_TEXT: usize = 512;

/// Builds a tree from its leaves up. What is not part of a list that is closed waits on a stack, since the values of a
/// list lie side by side.
#[derive(Default)]
pub(super) struct Builder {
    open: SmallVec<[Slot; FEW_VALUES]>,
    slots: SmallVec<[Slot; FEW_VALUES]>,
    text: String,
}

/// Where the list begins that is being built.
#[derive(Clone, Copy)]
pub(super) struct Mark(usize);

impl Builder {
    /// The tree of the value that was put in last.
    pub(super) fn finish(mut self) -> Tree {
        let root = self.open.pop().map_or(Value::Null, |slot| slot.value);
        Tree { root, slots: self.slots.into_boxed_slice(), text: self.text.into_boxed_str() }
    }

    /// Keeps a member's name.
    pub(super) fn name(&mut self, name: &str) -> Result<Span, TooLarge> {
        if self.text.capacity() == 0 {
            self.text.reserve(LITTLE_TEXT);
        }
        let start = self.text.len();
        self.text.push_str(name);
        Span::new(start..self.text.len())
    }

    pub(super) fn null(&mut self, name: Span) {
        self.open.push(Slot { name, value: Value::Null });
    }

    pub(super) fn bool(&mut self, name: Span, value: bool) {
        self.open.push(Slot { name, value: Value::Bool(value) });
    }

    pub(super) fn number(&mut self, name: Span, number: Number) {
        let value = match number {
            Number::I64(value) => Value::I64(value),
            Number::U64(value) => Value::U64(value),
            Number::F64(value) => Value::F64(value),
        };
        self.open.push(Slot { name, value });
    }

    pub(super) fn string(&mut self, name: Span, text: &str) -> Result<(), TooLarge> {
        let value = Value::String(self.name(text)?);
        self.open.push(Slot { name, value });
        Ok(())
    }

    /// Begins a list: what is put in from now on is part of it.
    pub(super) fn mark(&self) -> Mark {
        Mark(self.open.len())
    }

    pub(super) fn close_array(&mut self, Mark(mark): Mark, name: Span) -> Result<(), TooLarge> {
        let start = self.slots.len();
        self.slots.extend(self.open.drain(mark..));
        let value = Value::Array(Span::new(start..self.slots.len())?);
        self.open.push(Slot { name, value });
        Ok(())
    }

    /// Of members with one name the last counts, as for Go and for `serde_json`.
    pub(super) fn close_object(&mut self, Mark(mark): Mark, name: Span) -> Result<(), TooLarge> {
        let Self { open, slots, text } = self;
        let name_of = |slot: &Slot| text.get(slot.name.range()).unwrap_or_default();
        let start = slots.len();
        let members = open.get_mut(mark..).unwrap_or_default();
        if members.is_sorted_by(|left, right| name_of(left) < name_of(right)) {
            slots.extend_from_slice(members);
        } else {
            members.sort_by(|left, right| name_of(left).cmp(name_of(right)));
            let runs = members.chunk_by(|left, right| name_of(left) == name_of(right));
            slots.extend(runs.filter_map(|run| run.last().copied()));
        }
        open.truncate(mark);
        let value = Value::Object(Span::new(start..slots.len())?);
        open.push(Slot { name, value });
        Ok(())
    }

    /// Puts a copy of a value in.
    pub(super) fn copy(&mut self, name: Span, node: Node<'_>) -> Result<(), TooLarge> {
        let mark = self.mark();
        match node {
            Node::Null => self.null(name),
            Node::Bool(value) => self.bool(name, value),
            Node::Number(number) => self.number(name, number),
            Node::String(text) => self.string(name, text)?,
            Node::Array(elements) => {
                elements.iter().try_for_each(|element| self.copy(Span::default(), element))?;
                self.close_array(mark, name)?;
            }
            Node::Object(members) => {
                for (name, member) in members.iter() {
                    let name = self.name(name)?;
                    self.copy(name, member)?;
                }
                self.close_object(mark, name)?;
            }
        }
        Ok(())
    }

    fn copy_value(&mut self, name: Span, value: &serde_json::Value) -> Result<(), TooLarge> {
        use serde_json::Value;
        let mark = self.mark();
        match value {
            Value::Null => self.null(name),
            Value::Bool(value) => self.bool(name, *value),
            Value::Number(number) => self.number(name, number.into()),
            Value::String(text) => self.string(name, text)?,
            Value::Array(elements) => {
                elements.iter().try_for_each(|element| self.copy_value(Span::default(), element))?;
                self.close_array(mark, name)?;
            }
            Value::Object(members) => {
                for (name, member) in members {
                    let name = self.name(name)?;
                    self.copy_value(name, member)?;
                }
                self.close_object(mark, name)?;
            }
        }
        Ok(())
    }
}
