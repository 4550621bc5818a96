//! A JSON value as programs see it.

use std::fmt;

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use super::number::Number;
use super::tree::{Span, Tree};

/// A JSON value in a [`Tree`], or one that stands alone. Equality is JSON equality: numbers by value, members in any order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Node<'d> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    String(&'d str),
    /// An array.
    Array(Elements<'d>),
    /// An object.
    Object(Members<'d>),
}

/// The elements of an array.
#[derive(Clone, Copy)]
pub struct Elements<'d> {
    tree: &'d Tree,
    span: Span,
}

/// The members of an object, sorted by name, each name once.
#[derive(Clone, Copy)]
pub struct Members<'d> {
    tree: &'d Tree,
    span: Span,
}

/// Members that are looked through one by one: most differ from a name in its length already, which a search by order
/// cannot use.
const FEW: usize = 8;

impl<'d> Elements<'d> {
    /// How many there are.
    pub fn len(self) -> usize {
        self.span.len()
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The element at this index.
    pub fn get(self, index: usize) -> Option<Node<'d>> {
        self.tree.slots(self.span).get(index).map(|slot| self.tree.value(slot))
    }

    /// All, in order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = Node<'d>> + Clone {
        self.tree.slots(self.span).iter().map(move |slot| self.tree.value(slot))
    }
}

impl<'d> Members<'d> {
    /// How many there are.
    pub fn len(self) -> usize {
        self.span.len()
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The member's value, if there is one of this name.
    pub fn get(self, name: &str) -> Option<Node<'d>> {
        let Self { tree, span } = self;
        let slots = tree.slots(span);
        let slot = if slots.len() <= FEW {
            slots.iter().find(|slot| tree.is_named(slot, name))
        } else {
            slots.binary_search_by(|slot| tree.name(slot).cmp(name)).ok().and_then(|at| slots.get(at))
        };
        slot.map(|slot| tree.value(slot))
    }

    /// All, by name.
    pub fn iter(self) -> impl ExactSizeIterator<Item = (&'d str, Node<'d>)> + Clone {
        self.tree.slots(self.span).iter().map(move |slot| (self.tree.name(slot), self.tree.value(slot)))
    }
}

impl PartialEq for Elements<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl PartialEq for Members<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Elements<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl fmt::Debug for Members<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<'d> Node<'d> {
    pub(super) fn array(tree: &'d Tree, span: Span) -> Self {
        Self::Array(Elements { tree, span })
    }

    pub(super) fn object(tree: &'d Tree, span: Span) -> Self {
        Self::Object(Members { tree, span })
    }

    /// A member of an object; nothing of any other value.
    pub fn get(self, name: &str) -> Option<Self> {
        match self {
            Self::Object(members) => members.get(name),
            _ => None,
        }
    }

    /// An element of an array, from its end when negative (RFC 9535, 2.3.3); nothing of any other value.
    pub fn element(self, index: i64) -> Option<Self> {
        let elements = self.as_array()?;
        elements.get(position(index, elements.len())?)
    }

    /// The elements of an array; nothing of any other value.
    pub fn as_array(self) -> Option<Elements<'d>> {
        match self {
            Self::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// The same one by one; none of any other value.
    pub fn elements(self) -> impl Iterator<Item = Self> + Clone {
        self.as_array().into_iter().flat_map(Elements::iter)
    }

    /// The members of an object; none of any other value.
    pub fn members(self) -> impl Iterator<Item = (&'d str, Self)> + Clone {
        let members = match self {
            Self::Object(members) => Some(members),
            _ => None,
        };
        members.into_iter().flat_map(Members::iter)
    }

    /// The text of a string; nothing of any other value.
    pub fn as_str(self) -> Option<&'d str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The name of the value's JSON type.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }
}

/// Where an index points in an array of this length (RFC 9535, 2.3.3.2.2).
pub(super) fn position(index: i64, length: usize) -> Option<usize> {
    let at = match usize::try_from(index) {
        Ok(at) => Some(at),
        Err(_) => length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?),
    };
    at.filter(|at| *at < length)
}

impl Serialize for Node<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(value) => value.serialize(serializer),
            Self::String(value) => serializer.serialize_str(value),
            Self::Array(elements) => {
                let mut array = serializer.serialize_seq(Some(elements.len()))?;
                elements.iter().try_for_each(|element| array.serialize_element(&element))?;
                array.end()
            }
            Self::Object(members) => {
                let mut object = serializer.serialize_map(Some(members.len()))?;
                members.iter().try_for_each(|(name, node)| object.serialize_entry(name, &node))?;
                object.end()
            }
        }
    }
}

impl fmt::Display for Node<'_> {
    /// Compact JSON, members sorted by name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).or(Err(fmt::Error))?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(text: &str) -> Tree {
        text.parse().unwrap()
    }

    #[test]
    fn equality_is_that_of_json() {
        assert_eq!(node(r#"{"a":1,"b":[true,null]}"#), node(r#"{"b":[true,null],"a":1.0}"#));
        assert_ne!(node("80"), node("\"80\""));
        assert_ne!(node("[1,2]"), node("[2,1]"));
        assert_ne!(node(r#"{"a":null}"#), node("{}"));
        assert_ne!(node("9007199254740993"), node("9007199254740992.0"));
    }

    #[test]
    fn of_members_with_one_name_the_last_counts() {
        assert_eq!(node(r#"{"a":1,"b":0,"a":2,"a":3}"#), node(r#"{"a":3,"b":0}"#));
    }

    #[test]
    fn text_and_values_of_serde_json_give_the_same_tree() {
        let value = json!({"n": [1, -1, 1.5, u64::MAX, i64::MIN], "s": "a\"\u{1}é", "o": {"x": {}}, "t": true, "z": null});
        assert_eq!(node(&value.to_string()), Tree::from(&value));
    }

    #[test]
    fn a_node_reads_as_compact_json() {
        let text = r#"{"a":[1,1.5,"x\"\n",null,true],"b":{}}"#;
        assert_eq!(node(text).to_string(), text);
    }

    #[test]
    fn negative_indexes_count_from_the_end() {
        let array = node("[1,2,3]");
        let array = array.node();
        assert_eq!(array.element(-1), Some(node("3").node()));
        assert_eq!(array.element(-3), Some(node("1").node()));
        assert_eq!(array.element(-4), None);
        assert_eq!(array.element(3), None);
        assert_eq!(array.element(i64::MIN), None);
        assert_eq!(node("{}").node().element(0), None);
    }

    #[test]
    fn a_number_too_large_for_a_double_is_refused() {
        assert!("1e400".parse::<Tree>().is_err());
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = |levels| "[".repeat(levels) + &"]".repeat(levels);
        assert!(deep(120).parse::<Tree>().is_ok());
        assert!(deep(200).parse::<Tree>().is_err());
    }
}
