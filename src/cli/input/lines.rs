//! On which line of its file a field stands: what a reader of the file looks for when a field is at fault.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::files::Text;
use super::yaml;

/// The lines of a value and of all that is in it.
#[derive(Debug)]
pub(in crate::cli) struct Lines {
    /// That of the member's name, or that on which an element or a document begins.
    line: u64,
    below: Below,
}

#[derive(Debug)]
enum Below {
    Nothing,
    Members(BTreeMap<String, Lines>),
    Elements(Vec<Lines>),
}

impl Lines {
    /// Those of each document of a text, as [`documents::of_text`](super::documents::of_text) counts them. None where the YAML reader cannot read
    /// it, as JSON values that follow each other.
    pub(in crate::cli) fn of_text(text: &Text) -> Vec<Self> {
        let read: Result<Vec<Spanned<Below>>, _> =
            serde_saphyr::from_multiple_with_options(&text.text, yaml::options());
        read.unwrap_or_default().into_iter().map(Self::of).collect()
    }

    fn of(spanned: Spanned<Below>) -> Self {
        Self { line: spanned.referenced.line(), below: spanned.value }
    }

    /// The line of a field such as `spec.rules[2].path`; of one that is not there, that of the nearest which holds it.
    pub(in crate::cli) fn of_field(&self, field: &str) -> u64 {
        let found = match &self.below {
            Below::Nothing => None,
            Below::Members(members) => member(members, field.strip_prefix('.').unwrap_or(field)),
            Below::Elements(elements) => element(elements, field),
        };
        found.map_or(self.line, |(below, rest)| below.of_field(rest))
    }
}

/// A name may hold points itself: the longest that fits is meant.
fn member<'l, 'f>(members: &'l BTreeMap<String, Lines>, field: &'f str) -> Option<(&'l Lines, &'f str)> {
    let fits = |(name, below): (&'l String, &'l Lines)| {
        let rest = field.strip_prefix(name.as_str())?;
        (rest.is_empty() || rest.starts_with(['.', '['])).then_some((below, rest))
    };
    members.iter().filter_map(fits).min_by_key(|(_, rest)| rest.len())
}

fn element<'l, 'f>(elements: &'l [Lines], field: &'f str) -> Option<(&'l Lines, &'f str)> {
    let (index, rest) = field.strip_prefix('[')?.split_once(']')?;
    Some((elements.get(index.parse::<usize>().ok()?)?, rest))
}

impl<'de> Deserialize<'de> for Below {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Walk)
    }
}

struct Walk;

impl<'de> Visitor<'de> for Walk {
    type Value = Below;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Below, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((name, below)) = map.next_entry::<Spanned<String>, Below>()? {
            members.insert(name.value, Lines { line: name.referenced.line(), below });
        }
        Ok(Below::Members(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Below, A::Error> {
        let mut found = Vec::new();
        while let Some(element) = elements.next_element()? {
            found.push(Lines::of(element));
        }
        Ok(Below::Elements(found))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Below, E> {
        Ok(Below::Nothing)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Below, E> {
        Ok(Below::Nothing)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Below, E> {
        Ok(Below::Nothing)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Below, E> {
        Ok(Below::Nothing)
    }

    fn visit_str<E>(self, _: &str) -> Result<Below, E> {
        Ok(Below::Nothing)
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Below, E> {
        Ok(Below::Nothing)
    }

    fn visit_unit<E>(self) -> Result<Below, E> {
        Ok(Below::Nothing)
    }

    fn visit_none<E>(self) -> Result<Below, E> {
        Ok(Below::Nothing)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Below, D::Error> {
        deserializer.deserialize_any(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# A comment.
kind: one
spec:
  rules:
  - name: a
    path: $.a

  - {name: b,
     path: $.b}
  labels:
    corp.io/team.name: {x: 1}
    corp.io/team: 2
---
# Nothing.
---
again: &again
  deep: 1
alias:
  of: *again
";

    fn lines(text: &str) -> Vec<Lines> {
        Lines::of_text(&Text { file: "file".into(), text: text.to_owned() })
    }

    #[test]
    fn a_field_is_on_the_line_of_its_name_and_an_element_where_it_begins() {
        let documents = lines(TEXT);
        assert_eq!(documents.len(), 2, "a document without content does not count");
        for (document, field, line) in [
            (0, "", 2),
            (0, "kind", 2),
            (0, "spec.rules", 4),
            (0, "spec.rules[0].path", 6),
            (0, "spec.rules[1]", 8),
            (0, "spec.rules[1].path", 9),
            (0, "spec.rules[1].assert.in", 8),
            (0, "spec.rules[7].path", 4),
            (0, "spec.labels.corp.io/team.name.x", 11),
            (0, "spec.labels.corp.io/team", 12),
            (0, "metadata.name", 2),
            (1, "again.deep", 17),
            (1, "alias.of", 19),
        ] {
            assert_eq!(documents[document].of_field(field), line, "{field}");
        }
    }

    #[test]
    fn a_document_of_json_has_lines_and_several_have_none() {
        assert_eq!(lines("{\n\"spec\":\n\t{\"a\": [1,\n2]}}")[0].of_field("spec.a[1]"), 4);
        assert!(lines("{\"a\": 1} {\"a\": 2}").is_empty());
        assert!(lines("a: [").is_empty());
    }
}
