//! From JSON text to nodes, by one walk over the trie of what is read: nothing else is built, and what is not read is
//! skipped without recursion, whatever it holds.

use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::node::Node;
use super::trie::Trie;

/// Reads a whole JSON text.
pub(super) fn whole(text: &str) -> Result<Node, serde_json::Error> {
    part(text, &Trie::everything())
}

/// Reads what the trie keeps of a JSON text.
pub(super) fn part(text: &str, trie: &Trie) -> Result<Node, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let node = Seed(trie).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(node)
}

/// Builds the part of a value that a trie keeps.
pub(super) struct Seed<'t>(pub(super) &'t Trie);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::String(if self.0.whole { value.into() } else { Box::default() }))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Node, A::Error> {
        let mut elements = Vec::new();
        if let Some(below) = self.0.element() {
            while let Some(element) = array.next_element_seed(Seed(below))? {
                elements.push(element);
            }
        }
        while array.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Node::Array(elements.into_boxed_slice()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Node, A::Error> {
        let mut members = Vec::with_capacity(self.0.expected_members());
        while let Some(key) = object.next_key_seed(KeySeed { trie: self.0, fields: &[] })? {
            match key.read {
                Some((name, below)) => members.push((name, object.next_value_seed(Seed(below))?)),
                None => {
                    object.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Node::Object(members.into()))
    }
}

/// A member's name, looked up while it is still in the input.
pub(super) struct Key<'t> {
    /// Which of the fields that are wanted anyway it is.
    pub(super) field: Option<&'static str>,
    /// Its name and what is read of it.
    pub(super) read: Option<(Arc<str>, &'t Trie)>,
}

/// Looks a member's name up. As bytes, since a name that nobody reads need not be valid text.
pub(super) struct KeySeed<'t> {
    pub(super) trie: &'t Trie,
    pub(super) fields: &'static [&'static str],
}

impl<'de, 't> DeserializeSeed<'de> for KeySeed<'t> {
    type Value = Key<'t>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key<'t>, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl<'t> Visitor<'_> for KeySeed<'t> {
    type Value = Key<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Key<'t>, E> {
        let field = self.fields.iter().copied().find(|field| field.as_bytes() == bytes);
        let read = match self.trie.member(bytes) {
            Some((Some(shared), below)) => Some((Arc::clone(shared), below)),
            Some((None, below)) => Some((Arc::from(str::from_utf8(bytes).map_err(E::custom)?), below)),
            None => None,
        };
        Ok(Key { field, read })
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Key<'t>, E> {
        self.visit_bytes(text.as_bytes())
    }
}
