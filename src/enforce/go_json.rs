//! JSON as Go's `encoding/json` writes it.
//!
//! The API server tells whether a `test` of a JSON Patch holds by comparing the bytes of strings and numbers with what that
//! encoder made of the object.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// A value as JSON.
pub(super) fn to_vec(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut written = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut written, GoFormatter))?;
    Ok(written)
}

struct GoFormatter;

impl Formatter for GoFormatter {
    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        let size = value.abs();
        if size == 0.0 || (1e-6..1e21).contains(&size) {
            return write!(writer, "{value}");
        }
        let text = format!("{value:e}");
        match text.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => write!(writer, "{digits}e+{exponent}"),
            _ => writer.write_all(text.as_bytes()),
        }
    }

    /// What stands in no escape of its own yet.
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, letter)) = rest.char_indices().find(|(_, letter)| is_escaped(*letter)) {
            let (before, from) = rest.split_at(at);
            write!(writer, "{before}\\u{:04x}", u32::from(letter))?;
            rest = from.get(letter.len_utf8()..).unwrap_or_default();
        }
        writer.write_all(rest.as_bytes())
    }
}

/// What the encoder escapes beside what all do, for JSON that stands in HTML or in JavaScript.
fn is_escaped(letter: char) -> bool {
    matches!(letter, '&' | '<' | '>' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: impl Serialize) -> String {
        String::from_utf8(to_vec(&value).unwrap()).unwrap()
    }

    #[test]
    fn strings_have_the_escapes_of_go() {
        for (value, expected) in [
            ("<é>", r#""\u003cé\u003e""#),
            ("a&b", r#""a\u0026b""#),
            ("\u{2028}", r#""\u2028""#),
            ("\"\n\u{1}&", r#""\"\n\u0001\u0026""#),
            ("", "\"\""),
        ] {
            assert_eq!(written(value), expected);
        }
        assert_eq!(written([("a", "<")]), r#"[["a","\u003c"]]"#);
    }

    #[test]
    fn numbers_have_the_spelling_of_go() {
        for (value, expected) in [
            (2.0, "2"),
            (0.25, "0.25"),
            (-0.5, "-0.5"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (1e-6, "0.000001"),
            (1.5e-7, "1.5e-7"),
            (-2e-10, "-2e-10"),
            (0.0, "0"),
        ] {
            assert_eq!(written(value), expected);
        }
        assert_eq!(written(u64::MAX), "18446744073709551615");
    }
}
