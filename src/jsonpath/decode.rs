//! From JSON text to a tree, by one walk over the trie of what is read: nothing else is built, and what is not read is
//! stepped over, whatever it holds.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Error;

use super::scan::Scanner;
use super::tree::{Builder, Span, Tree};
use super::trie::Trie;

/// Reads a whole JSON text.
pub(super) fn whole(text: &str) -> Result<Tree, Error> {
    let mut builder = Builder::default();
    all_of(text, Span::default(), &mut builder)?;
    Ok(builder.finish())
}

/// What is read of a member, under its name.
pub(super) type Read<'t> = (Span, &'t Trie);

/// What a trie reads of the member of this name; its name is kept then.
pub(super) fn read_of<'t>(
    trie: &'t Trie,
    name: &[u8],
    builder: &mut Builder,
) -> Result<Option<Read<'t>>, Error> {
    let Some(below) = trie.member(name) else { return Ok(None) };
    let name = str::from_utf8(name).map_err(Error::custom)?;
    Ok(Some((builder.name(name).map_err(Error::custom)?, below)))
}

/// Builds the part of the next value that a trie keeps, as an element or a member. Recurses as deep as paths are long,
/// and as values that are read whole, which are bounded to 128 levels.
pub(super) fn part(
    scanner: &mut Scanner<'_>,
    (name, trie): Read<'_>,
    builder: &mut Builder,
) -> Result<(), Error> {
    let kept = match scanner.peek() {
        Some(b'{') if !trie.whole => {
            let mark = builder.mark();
            scanner.object(|scanner, key| match read_of(trie, &key.bytes()?, builder)? {
                Some(read) => part(scanner, read, builder),
                None => scanner.value().map(drop),
            })?;
            builder.close_object(mark, name)
        }
        Some(b'[') if !trie.whole => {
            let mark = builder.mark();
            match trie.element() {
                Some(below) => scanner.array(|scanner| part(scanner, (Span::default(), below), builder))?,
                None => drop(scanner.value()?),
            }
            builder.close_array(mark, name)
        }
        Some(b'"') => {
            let text = scanner.string()?;
            match text.plain().filter(|_| trie.whole) {
                Some(plain) => builder.string(name, plain),
                None if trie.whole => return all_of(text.quoted(), name, builder),
                None => builder.string(name, ""),
            }
        }
        _ => return all_of(scanner.value()?, name, builder),
    };
    kept.map_err(Error::custom)
}

/// Builds a value as a whole.
fn all_of(text: &str, name: Span, builder: &mut Builder) -> Result<(), Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    All { name, builder }.deserialize(&mut deserializer)?;
    deserializer.end()
}

struct All<'b> {
    name: Span,
    builder: &'b mut Builder,
}

impl<'de> DeserializeSeed<'de> for All<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for All<'_> {
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

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        self.builder.string(self.name, value).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        let Self { name, builder } = self;
        let mark = builder.mark();
        while array.next_element_seed(All { name: Span::default(), builder: &mut *builder })?.is_some() {}
        builder.close_array(mark, name).map_err(A::Error::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let Self { name, builder } = self;
        let mark = builder.mark();
        while let Some(name) = object.next_key_seed(Name(&mut *builder))? {
            object.next_value_seed(All { name, builder: &mut *builder })?;
        }
        builder.close_object(mark, name).map_err(A::Error::custom)
    }
}

/// Keeps a member's name.
struct Name<'b>(&'b mut Builder);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Span;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Span, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Span, E> {
        self.0.name(text).map_err(E::custom)
    }
}
