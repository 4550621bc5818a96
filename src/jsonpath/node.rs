//! A compact, immutable JSON tree.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use super::decode;
use super::number::Number;

/// A JSON value. Equality is JSON equality: numbers by value, members in any order.
///
/// Depth is bounded by the parser that makes it (128 levels), so recursion over it is safe.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    String(Box<str>),
    /// An array.
    Array(Box<[Node]>),
    /// An object.
    Object(Members),
}

/// The members of an object, sorted by name, each name once. Names are shared with the projection where it has them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Members(Box<[(Arc<str>, Node)]>);

/// Members that are looked through one by one: most differ from a name in its length already, which a search by order
/// cannot use.
const FEW: usize = 8;

impl Members {
    /// The member's value, if there is one of this name.
    pub fn get(&self, name: &str) -> Option<&Node> {
        if self.0.len() <= FEW {
            return self.0.iter().find(|(member, _)| **member == *name).map(|(_, node)| node);
        }
        let at = self.0.binary_search_by(|(member, _)| (**member).cmp(name)).ok()?;
        self.0.get(at).map(|(_, node)| node)
    }
}

impl Deref for Members {
    type Target = [(Arc<str>, Node)];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl From<Vec<(Arc<str>, Node)>> for Members {
    /// In any order; of members with one name the last counts, as for Go and for `serde_json`.
    fn from(mut members: Vec<(Arc<str>, Node)>) -> Self {
        members.sort_by(|(left, _), (right, _)| left.cmp(right));
        members.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                std::mem::swap(&mut later.1, &mut kept.1);
            }
            same
        });
        Self(members.into_boxed_slice())
    }
}

impl Node {
    /// A member of an object; nothing of any other value.
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.get(name),
            _ => None,
        }
    }

    /// An element of an array, from its end when negative (RFC 9535, 2.3.3); nothing of any other value.
    pub fn element(&self, index: i64) -> Option<&Self> {
        self.elements().get(position(index, self.elements().len())?)
    }

    /// The elements of an array; none of any other value.
    pub fn elements(&self) -> &[Self] {
        match self {
            Self::Array(elements) => elements,
            _ => &[],
        }
    }

    /// The text of a string; nothing of any other value.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The name of the value's JSON type.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }

    /// Bytes on the heap below this node. A member's name counts only where nothing else shares it.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) | Self::Number(_) => 0,
            Self::String(text) => text.len(),
            Self::Array(elements) => {
                size_of_val::<[Self]>(elements) + elements.iter().map(Self::heap_bytes).sum::<usize>()
            }
            Self::Object(members) => {
                let below = members.iter().map(|(name, node)| name_bytes(name) + node.heap_bytes());
                size_of_val::<[(Arc<str>, Self)]>(members) + below.sum::<usize>()
            }
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

fn name_bytes(name: &Arc<str>) -> usize {
    match Arc::strong_count(name) {
        1 => shared_bytes(name),
        _ => 0,
    }
}

/// Bytes on the heap of a shared string: its two counters and its text.
pub(super) fn shared_bytes(text: &str) -> usize {
    2 * size_of::<usize>() + text.len()
}

impl From<&serde_json::Value> for Node {
    fn from(value: &serde_json::Value) -> Self {
        use serde_json::Value;
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(value) => Self::Number(value.into()),
            Value::String(value) => Self::String(value.as_str().into()),
            Value::Array(values) => Self::Array(values.iter().map(Self::from).collect()),
            Value::Object(values) => {
                let members = values.iter().map(|(name, value)| (name.as_str().into(), value.into()));
                Self::Object(members.collect::<Vec<_>>().into())
            }
        }
    }
}

impl FromStr for Node {
    type Err = serde_json::Error;

    /// Reads JSON text, of at most 128 levels.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        decode::whole(text)
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(value) => value.serialize(serializer),
            Self::String(value) => serializer.serialize_str(value),
            Self::Array(elements) => {
                let mut array = serializer.serialize_seq(Some(elements.len()))?;
                elements.iter().try_for_each(|element| array.serialize_element(element))?;
                array.end()
            }
            Self::Object(members) => {
                let mut object = serializer.serialize_map(Some(members.len()))?;
                members.iter().try_for_each(|(name, node)| object.serialize_entry(&**name, node))?;
                object.end()
            }
        }
    }
}

impl fmt::Display for Node {
    /// Compact JSON, members sorted by name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).or(Err(fmt::Error))?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(text: &str) -> Node {
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
        assert_eq!(node(&value.to_string()), Node::from(&value));
    }

    #[test]
    fn a_node_reads_as_compact_json() {
        let text = r#"{"a":[1,1.5,"x\"\n",null,true],"b":{}}"#;
        assert_eq!(node(text).to_string(), text);
    }

    #[test]
    fn negative_indexes_count_from_the_end() {
        let array = node("[1,2,3]");
        assert_eq!(array.element(-1), Some(&node("3")));
        assert_eq!(array.element(-3), Some(&node("1")));
        assert_eq!(array.element(-4), None);
        assert_eq!(array.element(3), None);
        assert_eq!(array.element(i64::MIN), None);
        assert_eq!(node("{}").element(0), None);
    }

    #[test]
    fn a_number_too_large_for_a_double_is_refused() {
        assert!("1e400".parse::<Node>().is_err());
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = |levels| "[".repeat(levels) + &"]".repeat(levels);
        assert!(deep(120).parse::<Node>().is_ok());
        assert!(deep(200).parse::<Node>().is_err());
    }
}
