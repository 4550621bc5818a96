//! YAML as kubectl reads it (1.1), into JSON values.

use std::fmt;

use serde::de::{
    Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Map, Number, Value};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{Error, MessageFormatter, Options, Spanned, UserMessageFormatter};

use crate::cli::hint;

/// How deep values nest, as in the API server.
const MAX_DEPTH: usize = 128;

/// The line that is at fault, where one can be named, and what is wrong there.
pub(super) type Fault = (Option<u64>, String);

/// A value as JSON has it: every key is text, `"true"` where `on` is written, and `"16"` where `0x10` is.
#[derive(Debug)]
pub(in crate::cli) struct Yaml(pub(in crate::cli) Value);

/// All documents with content, each with the line on which it begins.
///
/// # Errors
/// The first thing that cannot be read.
pub(super) fn documents(text: &str) -> Result<Vec<(u64, Value)>, Fault> {
    let found: Vec<Spanned<Yaml>> =
        serde_saphyr::from_multiple_with_options(text, options()).map_err(|error| fault(&error))?;
    Ok(found.into_iter().map(|document| (document.defined.line(), document.value.0)).collect())
}

/// One document as a type of ours.
///
/// # Errors
/// What is wrong with it.
pub(super) fn typed<T: DeserializeOwned>(text: &str) -> Result<T, Fault> {
    serde_saphyr::from_str_with_options(text, options()).map_err(|error| fault(&error))
}

/// The limits let a file hold some ten thousand objects; those on aliases are what keeps a small text from becoming a
/// large value. No snippet of the text goes into a message: it may be of a Secret.
pub(super) fn options() -> Options {
    serde_saphyr::options! {
        legacy_octal_numbers: true,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_documents: 1_000_000,
            max_nodes: 20_000_000,
            max_events: 80_000_000,
        },
    }
}

fn fault(error: &Error) -> Fault {
    (error.location().map(|location| location.line()), words(error.without_snippet()))
}

/// What is wrong, in words of what is written, and none of what is to be kept secret there.
fn words(error: &Error) -> String {
    match error {
        Error::AliasError { error, .. } => words(error),
        Error::SerdeUnknownField { field, expected, .. } => hint::unknown_field(field, expected),
        Error::SerdeUnknownVariant { variant, expected, .. } => hint::unknown_word(variant, expected),
        Error::SerdeMissingField { field, .. } => format!("the field `{field}` is missing"),
        Error::SerdeInvalidType { expected, .. } | Error::SerdeInvalidValue { expected, .. } => {
            format!("wanted {expected}")
        }
        Error::Unexpected { expected: "sequence start", .. } => "wanted a list".to_owned(),
        Error::Unexpected { expected: "mapping start", .. } => "wanted names with values".to_owned(),
        Error::Unexpected { expected, .. } => format!("wanted {expected}"),
        Error::DuplicateMappingKey { key: Some(key), .. } => twice(key),
        Error::DuplicateMappingKey { key: None, .. } => "a key is there twice; keep one of them".to_owned(),
        Error::MultipleDocuments { .. } => {
            "more than one document; put each into a file of its own".to_owned()
        }
        Error::NullIntoString { .. } => "null where text is wanted; quote it, or leave it out".to_owned(),
        Error::NonFiniteFloat { value, .. } => {
            format!("{value} is no number of JSON; quote it if it is text")
        }
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => {
            format!("nests deeper than {MAX_DEPTH} levels")
        }
        Error::Budget { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            "too much, once its aliases stand for what they mean; split it, or use fewer".to_owned()
        }
        Error::Message { msg, .. } => msg.clone(),
        other => UserMessageFormatter.format_message(other).into_owned(),
    }
}

fn twice(key: &str) -> String {
    format!("the key `{key}` is there twice; keep one of them")
}

impl<'de> Deserialize<'de> for Yaml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Values).map(Self)
    }
}

/// Reads values; also those in others, so that each level takes little of the stack.
#[derive(Clone, Copy)]
struct Values;

impl<'de> DeserializeSeed<'de> for Values {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Values {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(key) = map.next_key_seed(Key(&members))? {
            members.insert(key, map.next_value_seed(Values)?);
        }
        Ok(Value::Object(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut found = Vec::new();
        while let Some(element) = elements.next_element_seed(Values)? {
            found.push(element);
        }
        Ok(Value::Array(found))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value);
        number.map(Value::Number).ok_or_else(|| E::custom("a number that JSON does not have"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// A key as text, which none of these members has yet: what is wrong with a key is told with its line.
struct Key<'m>(&'m Map<String, Value>);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        let key = deserializer.deserialize_any(Keys)?;
        if self.0.contains_key(&key) { Err(D::Error::custom(twice(&key))) } else { Ok(key) }
    }
}

struct Keys;

impl Visitor<'_> for Keys {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text before the colon")
    }

    fn visit_bool<E>(self, key: bool) -> Result<String, E> {
        Ok(key.to_string())
    }

    fn visit_i64<E>(self, key: i64) -> Result<String, E> {
        Ok(key.to_string())
    }

    fn visit_u64<E>(self, key: u64) -> Result<String, E> {
        Ok(key.to_string())
    }

    fn visit_f64<E>(self, key: f64) -> Result<String, E> {
        Ok(key.to_string())
    }

    fn visit_str<E>(self, key: &str) -> Result<String, E> {
        Ok(key.to_owned())
    }

    fn visit_string<E>(self, key: String) -> Result<String, E> {
        Ok(key)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<String, E> {
        Err(E::custom("null before the colon, where text is wanted; quote it"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Value {
        let mut documents = documents(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}"));
        assert_eq!(documents.len(), 1, "{text}");
        documents.remove(0).1
    }

    #[test]
    fn a_key_is_the_text_that_kubectl_makes_of_it() {
        for (text, key) in [
            ("on: 1", "true"),
            ("y: 1", "true"),
            ("Yes: 1", "true"),
            ("NO: 1", "false"),
            ("false: 1", "false"),
            ("'on': 1", "on"),
            ("0x10: 1", "16"),
            ("012: 1", "10"),
            ("-3: 1", "-3"),
            ("1.50: 1", "1.5"),
            ("\"012\": 1", "012"),
            ("a.b/c: 1", "a.b/c"),
            ("2026-01-01: 1", "2026-01-01"),
            ("? on\n: 1", "true"),
        ] {
            assert_eq!(read(text), json!({key: 1}), "{text}");
        }
    }

    #[test]
    fn values_are_those_of_yaml_1_1_and_merges_are_followed() {
        let text = "a: yes\nb: 0644\nc: 'no'\nd: ~\ne: [1.5, 1_000, 2026-01-01]\nf: &f {g: 1, on: 2}\nh:\n  <<: *f\n  g: 3\n";
        let wanted = json!({
            "a": true, "b": 420, "c": "no", "d": null, "e": [1.5, 1000, "2026-01-01"],
            "f": {"g": 1, "true": 2}, "h": {"g": 3, "true": 2},
        });
        assert_eq!(read(text), wanted);
    }

    #[test]
    fn what_cannot_be_read_is_told_in_words_of_what_is_written() {
        for (text, line, words) in [
            ("a: 1\na: 2", 2, "the key `a` is there twice; keep one of them"),
            ("a: 1\non: 1\ntrue: 2", 3, "the key `true` is there twice; keep one of them"),
            ("a: 1\n~: 2", 2, "null before the colon, where text is wanted; quote it"),
            ("a: .inf", 1, ".inf is no number of JSON; quote it if it is text"),
            ("a: *b", 1, "reference to unknown value"),
            ("a: 1\n? [b]\n: 2", 2, "wanted text before the colon"),
        ] {
            assert_eq!(documents(text).unwrap_err(), (Some(line), words.to_owned()), "{text}");
        }
        let bomb = (1..12).fold("a0: &a0 [x]\n".to_owned(), |text, n| {
            let aliases = vec![format!("*a{}", n - 1); 12].join(", ");
            text + &format!("a{n}: &a{n} [{aliases}]\n")
        });
        let (_, told) = documents(&bomb).unwrap_err();
        assert!(told.starts_with("too much, once its aliases"), "{told}");
    }

    #[test]
    fn what_nests_too_deep_is_refused_and_what_does_not_is_read() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let read = move || {
            assert_eq!(documents(&nested(MAX_DEPTH)).map(|found| found.len()), Ok(1));
            let refused = Err((Some(1), "nests deeper than 128 levels".to_owned()));
            assert_eq!(documents(&nested(MAX_DEPTH + 1)).map(|found| found.len()), refused);
        };
        // What the main thread has; without optimisation each level takes much of it.
        std::thread::Builder::new().stack_size(8 << 20).spawn(read).unwrap().join().unwrap();
    }

    #[test]
    fn no_value_is_told_where_another_type_is_wanted() {
        let (_, told) = typed::<Vec<u64>>("[hunter2]").unwrap_err();
        assert!(!told.contains("hunter2"), "{told}");
        let (_, told) = typed::<Vec<u64>>("a: hunter2").unwrap_err();
        assert_eq!(told, "wanted a list");
    }
}
