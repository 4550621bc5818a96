//! The fields that objects of a kind can have, as its definition says.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::jsonpath::Level;

/// More fields of one kind are not told apart: whatever is below them may be there.
const MAX_FIELDS: usize = 5000;
/// What every object has, whatever its schema says.
const OF_ALL: [&str; 3] = ["apiVersion", "kind", "metadata"];
/// A schema that says one of these takes more than it names.
const OPEN: [&str; 3] =
    ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource", "x-kubernetes-int-or-string"];

/// What can be at one place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// Anything, or it is not known what.
    #[default]
    Anything,
    /// An object with these members and no others.
    Members(BTreeMap<Arc<str>, Shape>),
    /// An array of these.
    Elements(Box<Shape>),
}

impl Shape {
    /// That of a kind with a structural schema, as a CustomResourceDefinition has it.
    pub fn of_kind(schema: &Value) -> Self {
        let mut shape = Self::read(schema, &mut MAX_FIELDS.clone());
        if let Self::Members(members) = &mut shape {
            members.extend(OF_ALL.map(|name| (name.into(), Self::Anything)));
        }
        shape
    }

    fn read(schema: &Value, left: &mut usize) -> Self {
        let is_open = OPEN.iter().any(|keyword| schema.get(keyword) == Some(&Value::Bool(true)));
        if is_open || schema.get("additionalProperties").is_some() {
            return Self::Anything;
        }
        if let Some(items) = schema.get("items") {
            return Self::Elements(Box::new(Self::read(items, left)));
        }
        let Some(members) = schema.get("properties").and_then(Value::as_object) else {
            return Self::Anything;
        };
        if members.len() > *left {
            return Self::Anything;
        }
        *left -= members.len();
        let member = |(name, below): (&String, &Value)| (name.as_str().into(), Self::read(below, left));
        Self::Members(members.iter().map(member).collect())
    }

    /// In words, the first place that is read and that no object can have.
    pub fn unknown(&self, read: Level<'_>) -> Option<String> {
        self.unknown_below(read, "")
    }

    fn unknown_below(&self, read: Level<'_>, place: &str) -> Option<String> {
        match self {
            Self::Anything => None,
            Self::Elements(below) => below.unknown_below(read.element()?, &format!("{place}[*]")),
            Self::Members(known) => read.members().find_map(|(name, read)| {
                let place = if place.is_empty() { name.to_string() } else { format!("{place}.{name}") };
                match known.get(name) {
                    Some(below) => below.unknown_below(read, &place),
                    None => Some(words(&place, name, known)),
                }
            }),
        }
    }
}

fn words(place: &str, name: &str, known: &BTreeMap<Arc<str>, Shape>) -> String {
    let distance = |other: &Arc<str>| strsim::damerau_levenshtein(other, name);
    let near =
        known.keys().map(|other| (distance(other), other)).min().filter(|(distance, _)| *distance <= 2);
    let hint = near.map(|(_, other)| format!("; did you mean `{other}`?")).unwrap_or_default();
    format!("a rule reads `{place}`, which the definition of the kind does not know{hint}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::jsonpath::{Path, Projection, Roots};

    fn widgets() -> Shape {
        Shape::of_kind(&json!({"type": "object", "properties": {
            "spec": {"type": "object", "properties": {
                "replicas": {"type": "integer"},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "ports": {"type": "array", "items": {"type": "object", "properties": {"name": {}, "port": {}}}},
            }},
        }}))
    }

    fn unknown(shape: &Shape, path: &str) -> Option<String> {
        let mut read = Projection::default();
        read.read(&Path::parse(path).unwrap(), &Roots::default(), None);
        shape.unknown(read.level())
    }

    #[test]
    fn what_a_definition_knows_or_leaves_open_is_no_mistake() {
        for path in [
            "$.spec.replicas",
            "$.metadata.labels.team",
            "$.kind",
            "$.spec.free.anything.at['all']",
            "$.spec.labels.team",
            "$.spec.ports[*].name",
            "$.spec.ports[?@.port==80].name",
            "$.spec.*.name",
            "$.spec",
            "$..name",
        ] {
            assert_eq!(unknown(&widgets(), path), None, "{path}");
            assert_eq!(unknown(&Shape::Anything, path), None, "{path}");
        }
    }

    #[test]
    fn what_it_does_not_know_is_named_with_what_was_meant() {
        for (path, place, meant) in [
            ("$.spec.replica", "`spec.replica`", Some("did you mean `replicas`?")),
            ("$.spec.size", "`spec.size`", None),
            ("$.status.ready", "`status`", None),
            ("$.spec.ports[*].nmae", "`spec.ports[*].nmae`", Some("did you mean `name`?")),
            ("$.spec.ports[?@.prot==80].name", "`spec.ports[*].prot`", Some("did you mean `port`?")),
        ] {
            let words = unknown(&widgets(), path).unwrap();
            assert!(words.contains(place), "{path}: {words}");
            assert_eq!(words.contains("did you mean"), meant.is_some(), "{path}: {words}");
            assert!(meant.is_none_or(|meant| words.contains(meant)), "{path}: {words}");
        }
    }

    #[test]
    fn of_a_very_large_definition_only_so_much_is_kept() {
        let many: serde_json::Map<_, _> = (0..MAX_FIELDS).map(|n| (format!("f{n}"), json!({}))).collect();
        let shape = Shape::of_kind(&json!({"properties": {"spec": {"properties": many}}}));
        assert_eq!(unknown(&shape, "$.spec.other"), None);
        assert!(unknown(&shape, "$.spce").is_some());
    }
}
