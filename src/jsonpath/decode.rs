//! From JSON text to a tree, by one walk over the trie of what is read: nothing else is built, and what is not read is
//! skipped without recursion, whatever it holds.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::tree::{Builder, Span, Tree};
use super::trie::Trie;

/// Reads a whole JSON text.
pub(super) fn whole(text: &str) -> Result<Tree, serde_json::Error> {
    let mut builder = Builder::default();
    part(text, Seed { trie: &Trie::everything(), name: Span::default(), builder: &mut builder })?;
    Ok(builder.finish())
}

/// Reads what a seed keeps of a JSON text.
pub(super) fn part(text: &str, seed: Seed<'_, '_>) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    seed.deserialize(&mut deserializer)?;
    deserializer.end()
}

/// Builds the part of a value that a trie keeps, as an element or a member of this name.
pub(super) struct Seed<'t, 'b> {
    pub(super) trie: &'t Trie,
    pub(super) name: Span,
    pub(super) builder: &'b mut Builder,
}

impl<'de> DeserializeSeed<'de> for Seed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.builder.null(self.name);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.builder.bool(self.name, value);
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.builder.number(self.name, value.into());
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.builder.number(self.name, value.into());
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.builder.number(self.name, value.into());
        Ok(())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        let kept = if self.trie.whole { value } else { "" };
        self.builder.string(self.name, kept).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        let Self { trie, name, builder } = self;
        let mark = builder.mark();
        if let Some(trie) = trie.element() {
            while array
                .next_element_seed(Seed { trie, name: Span::default(), builder: &mut *builder })?
                .is_some()
            {}
        }
        while array.next_element::<IgnoredAny>()?.is_some() {}
        builder.close_array(mark, name).map_err(A::Error::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let Self { trie, name, builder } = self;
        let mark = builder.mark();
        while let Some(key) = object.next_key_seed(KeySeed { trie, fields: &[], builder: &mut *builder })? {
            match key.read {
                Some((name, trie)) => object.next_value_seed(Seed { trie, name, builder: &mut *builder })?,
                None => {
                    object.next_value::<IgnoredAny>()?;
                }
            }
        }
        builder.close_object(mark, name).map_err(A::Error::custom)
    }
}

/// A member's name, looked up while it is still in the input.
pub(super) struct Key<'t> {
    /// Which of the fields that are wanted anyway it is.
    pub(super) field: Option<&'static str>,
    /// Its name and what is read of it.
    pub(super) read: Option<(Span, &'t Trie)>,
}

/// Looks a member's name up. As bytes, since a name that nobody reads need not be valid text.
pub(super) struct KeySeed<'t, 'b> {
    pub(super) trie: &'t Trie,
    pub(super) fields: &'static [&'static str],
    pub(super) builder: &'b mut Builder,
}

impl<'de, 't> DeserializeSeed<'de> for KeySeed<'t, '_> {
    type Value = Key<'t>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key<'t>, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl<'t> Visitor<'_> for KeySeed<'t, '_> {
    type Value = Key<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Key<'t>, E> {
        let field = self.fields.iter().copied().find(|field| field.as_bytes() == bytes);
        let read = match self.trie.member(bytes) {
            Some(below) => {
                let name = str::from_utf8(bytes).map_err(E::custom)?;
                Some((self.builder.name(name).map_err(E::custom)?, below))
            }
            None => None,
        };
        Ok(Key { field, read })
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Key<'t>, E> {
        self.visit_bytes(text.as_bytes())
    }
}
