//! A JSON text from front to back, for readers that want little of it: what is stepped over is not looked at.
//!
//! Strings are taken in words of eight bytes, everything else is told by its brackets. So a value ends where it would for
//! any reader if it is JSON; whether it is matters only to who reads it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer as _, Error as _, Visitor};
use serde_json::{Deserializer, Error};

/// Where a reader is in a JSON text.
#[derive(Debug)]
pub struct Scanner<'r> {
    text: &'r str,
    at: usize,
}

/// A string as it is written.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'r> {
    quoted: &'r str,
}

impl<'r> Scanner<'r> {
    /// At the beginning of the text.
    pub fn new(text: &'r str) -> Self {
        Self { text, at: 0 }
    }

    /// The first byte of what comes next, white space aside.
    pub fn peek(&mut self) -> Option<u8> {
        loop {
            match self.byte()? {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                byte => return Some(byte),
            }
        }
    }

    /// Steps over the next value, and gives its text.
    ///
    /// # Errors
    /// When there is no value, or it has no end.
    pub fn value(&mut self) -> Result<&'r str, Error> {
        let first = self.peek().ok_or_else(|| Error::custom("expected a value"))?;
        let start = self.at;
        match first {
            b'{' | b'[' => self.skip_list()?,
            b'"' => self.at = end_of_string(self.text.as_bytes(), start + 1).ok_or_else(endless)? + 1,
            _ => self.skip_word()?,
        }
        Ok(self.text.get(start..self.at).unwrap_or_default())
    }

    /// Goes through the members of an object. `each` takes the value, whole.
    ///
    /// # Errors
    /// When it is no object, or as `each` says.
    pub fn object(
        &mut self,
        mut each: impl FnMut(&mut Self, Raw<'r>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.expect(b'{')?;
        if self.takes(b'}') {
            return Ok(());
        }
        loop {
            self.peek();
            let name = self.string()?;
            self.expect(b':')?;
            each(self, name)?;
            if self.takes(b'}') {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    /// Goes through the elements of an array. `each` takes the element, whole.
    ///
    /// # Errors
    /// When it is no array, or as `each` says.
    pub fn array(&mut self, mut each: impl FnMut(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        self.expect(b'[')?;
        if self.takes(b']') {
            return Ok(());
        }
        loop {
            each(self)?;
            if self.takes(b']') {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    /// That nothing is left but white space.
    ///
    /// # Errors
    /// When there is more.
    pub fn end(&mut self) -> Result<(), Error> {
        match self.peek() {
            Some(_) => Err(Error::custom("trailing characters")),
            None => Ok(()),
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn takes(&mut self, wanted: u8) -> bool {
        let is_next = self.peek() == Some(wanted);
        self.at += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, wanted: u8) -> Result<(), Error> {
        if self.takes(wanted) {
            return Ok(());
        }
        Err(Error::custom(format_args!("expected `{}`", char::from(wanted))))
    }

    /// The next value as a text; nothing where it is `null`.
    ///
    /// # Errors
    /// When it is anything else, or no text.
    pub fn text(&mut self) -> Result<Option<Cow<'r, str>>, Error> {
        match self.peek() {
            Some(b'"') => self.string()?.text().map(Some),
            _ => serde_json::from_str::<Option<String>>(self.value()?).map(|text| text.map(Cow::Owned)),
        }
    }

    /// Steps over a string that begins here.
    pub(super) fn string(&mut self) -> Result<Raw<'r>, Error> {
        if self.byte() != Some(b'"') {
            return Err(Error::custom("expected `\"`"));
        }
        let start = self.at;
        self.at = end_of_string(self.text.as_bytes(), start + 1).ok_or_else(endless)? + 1;
        Ok(Raw { quoted: self.text.get(start..self.at).unwrap_or_default() })
    }

    /// Steps over an object or array that begins here.
    fn skip_list(&mut self) -> Result<(), Error> {
        self.at = end_of_list(self.text.as_bytes(), self.at).ok_or_else(endless)?;
        Ok(())
    }

    /// Steps over a number, `true`, `false`, `null`, or what stands in their place.
    fn skip_word(&mut self) -> Result<(), Error> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let ends = |byte: &u8| {
            matches!(byte, b'"' | b',' | b':' | b'[' | b']' | b'{' | b'}' | b' ' | b'\n' | b'\r' | b'\t')
        };
        match rest.iter().position(ends).unwrap_or(rest.len()) {
            0 => Err(Error::custom("expected a value")),
            length => {
                self.at += length;
                Ok(())
            }
        }
    }
}

fn endless() -> Error {
    Error::custom("a value without its end")
}

/// The place after the object or array that begins at `at`. Without recursion, at any depth.
fn end_of_list(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        let byte = *bytes.get(at)?;
        at += 1;
        if byte == b'"' {
            at = end_of_string(bytes, at)? + 1;
        } else if byte >= b'[' {
            // Brackets of both kinds differ from each other in one bit; below them are marks and digits, beside them letters.
            match byte | 0x20 {
                b'{' => depth += 1,
                b'}' if depth == 1 => return Some(at),
                b'}' => depth -= 1,
                _ => {}
            }
        }
    }
}

/// The place of the quote that ends the string whose text begins at `start`.
fn end_of_string(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        at = next_quote(bytes, at)?;
        let text = bytes.get(start..at)?;
        // Most strings end so, and have no escapes.
        if text.last() != Some(&b'\\') {
            return Some(at);
        }
        let escapes = text.iter().rev().take_while(|byte| **byte == b'\\').count();
        if escapes % 2 == 0 {
            return Some(at);
        }
        at += 1;
    }
}

fn next_quote(bytes: &[u8], mut at: usize) -> Option<usize> {
    while let Some(word) = bytes.get(at..)?.first_chunk() {
        let found = quotes(u64::from_le_bytes(*word));
        if found != 0 {
            return Some(at + usize::try_from(found.trailing_zeros() / 8).ok()?);
        }
        at += size_of::<u64>();
    }
    let rest = bytes.get(at..)?.iter().position(|byte| *byte == b'"')?;
    Some(at + rest)
}

/// The top bit of the lowest byte that is a quote; bits above it say nothing.
fn quotes(word: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const TOPS: u64 = u64::from_ne_bytes([0x80; 8]);
    const QUOTES: u64 = u64::from_ne_bytes([b'"'; 8]);
    let differs = word ^ QUOTES;
    differs.wrapping_sub(ONES) & !differs & TOPS
}

impl<'r> Raw<'r> {
    /// What it says, if that is what is written.
    pub(super) fn plain(self) -> Option<&'r str> {
        let text = self.inner();
        text.bytes().all(|byte| byte >= b' ' && byte != b'\\').then_some(text)
    }

    /// As it is written, with its quotes.
    pub(super) fn quoted(self) -> &'r str {
        self.quoted
    }

    fn inner(self) -> &'r str {
        self.quoted.get(1..self.quoted.len() - 1).unwrap_or_default()
    }

    /// What it says.
    ///
    /// # Errors
    /// When an escape in it is none, or no text.
    pub fn text(self) -> Result<Cow<'r, str>, Error> {
        match self.plain() {
            Some(plain) => Ok(Cow::Borrowed(plain)),
            None => serde_json::from_str(self.quoted).map(Cow::Owned),
        }
    }

    /// The same in bytes: a name that nobody reads need not be valid text.
    ///
    /// # Errors
    /// When an escape in it is none.
    pub fn bytes(self) -> Result<Cow<'r, [u8]>, Error> {
        let inner = self.inner().as_bytes();
        if !inner.contains(&b'\\') {
            return Ok(Cow::Borrowed(inner));
        }
        Deserializer::from_str(self.quoted).deserialize_bytes(Bytes).map(Cow::Owned)
    }
}

struct Bytes;

impl Visitor<'_> for Bytes {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_str<E>(self, text: &str) -> Result<Vec<u8>, E> {
        Ok(text.as_bytes().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    fn value(text: &str) -> Option<&str> {
        Scanner::new(text).value().ok()
    }

    #[test]
    fn a_value_ends_where_its_last_bracket_or_quote_is() {
        for (text, wanted) in [
            (r#" {"a":["}",{"b":1}]} ,"#, r#"{"a":["}",{"b":1}]}"#),
            (r#""a\\\"b" : 1"#, r#""a\\\"b""#),
            (r#""0123456789abcde\\""#, r#""0123456789abcde\\""#),
            ("-1.5e3]", "-1.5e3"),
            ("true,", "true"),
            ("[]x", "[]"),
            ("null", "null"),
        ] {
            assert_eq!(value(text), Some(wanted), "{text}");
        }
    }

    #[test]
    fn what_has_no_end_is_no_value() {
        for text in ["", " ", "{", "[[]", "\"", r#""a\"#, r#""a\""#, r#"{"a":"}"#, "]", ",", ":"] {
            assert_eq!(value(text), None, "{text}");
        }
    }

    #[test]
    fn depth_is_no_matter_to_what_is_stepped_over() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(value(&deep), Some(&*deep));
    }

    #[test]
    fn members_and_elements_come_one_by_one() {
        let mut told = Vec::new();
        let mut scanner = Scanner::new(r#" { "a" : [1, {"x":2},[] ] , "b\u0041":{}, "c":[] } "#);
        let ended = scanner.object(|scanner, name| {
            let name = String::from_utf8(name.bytes()?.into_owned()).unwrap();
            if scanner.peek() == Some(b'[') {
                return scanner.array(|scanner| {
                    told.push(format!("{name}: {}", scanner.value()?));
                    Ok(())
                });
            }
            told.push(format!("{name}={}", scanner.value()?));
            Ok(())
        });
        assert!(ended.is_ok() && scanner.end().is_ok());
        assert_eq!(told, ["a: 1", r#"a: {"x":2}"#, "a: []", "bA={}"]);
    }

    #[test]
    fn what_is_no_object_and_no_array_is_refused() {
        let object = |text| Scanner::new(text).object(|scanner, _| scanner.value().map(drop)).is_ok();
        let array = |text| Scanner::new(text).array(|scanner| scanner.value().map(drop)).is_ok();
        for text in [
            "",
            "[]",
            "1",
            "{",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1"#,
            r#"{"a":1,}"#,
            "{a:1}",
            r#"{"a":1 "b":2}"#,
        ] {
            assert!(!object(text), "{text}");
        }
        for text in ["", "{}", "[", "[1", "[1,]", "[,]", "[1 2]"] {
            assert!(!array(text), "{text}");
        }
        assert!(Scanner::new("{} x").end().is_err());
    }

    proptest! {
        #[test]
        fn a_value_ends_where_serde_json_ends_it(text in "[\\[{\"\\\\:,a1 }\\]]{0,24}") {
            let mut values = Deserializer::from_str(&text).into_iter::<&RawValue>();
            if let Some(Ok(known)) = values.next() {
                prop_assert_eq!(value(&text), Some(known.get()));
            }
        }

        #[test]
        fn a_value_with_any_text_in_it_is_stepped_over(words in prop::collection::vec(".{0,20}", 0..4), after in ".{0,10}") {
            let text = serde_json::to_string(&words).unwrap();
            let followed = format!("{text},{after}");
            prop_assert_eq!(value(&followed), Some(&*text));
        }
    }
}
