//! The structural part of the CRD, offline: unknown fields, types, bounds and enums.

use std::fmt::Display;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::cli::hint;

/// One thing that the API server would refuse, or drop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SchemaFault {
    /// As `spec.rules[2].path`.
    pub(super) field: String,
    pub(super) message: String,
    /// What has to be done before the rest can be read.
    mend: Mend,
}

/// How a value is made one that can be read, so that one fault hides no other.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Mend {
    Nothing,
    /// The value has to go.
    Remove,
    /// Something has to stand in for what is missing: its name, and the emptiest value of its type.
    Add(String, Value),
}

/// All that is wrong with a value by a structural schema.
pub(super) fn check(schema: &Value, value: &Value) -> Vec<SchemaFault> {
    let mut faults = Vec::new();
    Walk { faults: &mut faults }.value(schema, value, "");
    faults
}

struct Walk<'w> {
    faults: &'w mut Vec<SchemaFault>,
}

impl Walk<'_> {
    fn note(&mut self, field: &str, message: impl Display) {
        self.note_with(field, message, Mend::Nothing);
    }

    fn note_unreadable(&mut self, field: &str, message: impl Display) {
        self.note_with(field, message, Mend::Remove);
    }

    fn note_with(&mut self, field: &str, message: impl Display, mend: Mend) {
        self.faults.push(SchemaFault { field: field.to_owned(), message: message.to_string(), mend });
    }

    fn value(&mut self, schema: &Value, value: &Value, field: &str) {
        if value.is_null() {
            // The server drops it where it may not be null.
            return;
        }
        if let Some(wanted) = schema.get("type").and_then(Value::as_str)
            && !is_of(wanted, value)
        {
            // YAML makes other things of `on`, `1.30` and their like.
            let quote = match (wanted, value) {
                ("string", Value::Bool(_) | Value::Number(_)) => "; put it in quotes",
                _ => "",
            };
            return self.note_unreadable(field, format_args!("is {}, wanted {wanted}{quote}", kind(value)));
        }
        self.choices(schema, value, field);
        match value {
            Value::Object(members) => self.object(schema, members, field),
            Value::Array(elements) => {
                self.bounds(schema, ("minItems", "maxItems"), elements.len(), ("entries", field));
                for (index, element) in elements.iter().enumerate() {
                    let below = schema.get("items").unwrap_or(&Value::Null);
                    self.value(below, element, &format!("{field}[{index}]"));
                }
            }
            Value::String(text) => {
                self.bounds(schema, ("minLength", "maxLength"), text.chars().count(), ("characters", field));
                self.format(schema, text, field);
            }
            Value::Number(number) => self.range(schema, number.as_f64(), field),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn object(&mut self, schema: &Value, members: &Map<String, Value>, field: &str) {
        self.bounds(schema, ("minProperties", "maxProperties"), members.len(), ("members", field));
        let known = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties");
        for (name, value) in members {
            let at = join(field, name);
            match (known.and_then(|known| known.get(name)).or(others), known) {
                (Some(below), _) => self.value(below, value, &at),
                (None, Some(known)) if !keeps_unknown(schema) => {
                    let known: Vec<&str> = known.keys().map(String::as_str).collect();
                    self.note(
                        &at,
                        format_args!("{}; the server would drop it", hint::unknown_field(name, &known)),
                    );
                }
                (None, _) => {}
            }
        }
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            let name = name.as_str().unwrap_or_default();
            if members.get(name).is_none_or(Value::is_null) {
                let stand_in = known.and_then(|known| known.get(name)).and_then(emptiest);
                let mend = stand_in.map_or(Mend::Nothing, |value| Mend::Add(name.to_owned(), value));
                self.note_with(&join(field, name), "is missing", mend);
            }
        }
    }

    fn choices(&mut self, schema: &Value, value: &Value, field: &str) {
        let Some(choices) = schema.get("enum").and_then(Value::as_array) else { return };
        if choices.contains(value) {
            return;
        }
        let names: Vec<&str> = choices.iter().filter_map(Value::as_str).collect();
        match value.as_str().and_then(|written| hint::nearest(written, names.iter().copied())) {
            Some(near) => {
                self.note_unreadable(field, format_args!("{value} is not known here; did you mean {near}?"));
            }
            None => self.note_unreadable(field, format_args!("{value} is not one of {}", names.join(", "))),
        }
    }

    fn bounds(
        &mut self,
        schema: &Value,
        (least, most): (&str, &str),
        count: usize,
        (what, field): (&str, &str),
    ) {
        let bound =
            |name| schema.get(name).and_then(Value::as_u64).and_then(|bound| usize::try_from(bound).ok());
        if let Some(least) = bound(least).filter(|least| count < *least) {
            self.note(field, format_args!("has {count} {what}, wanted at least {least}"));
        }
        if let Some(most) = bound(most).filter(|most| count > *most) {
            self.note(field, format_args!("has {count} {what}, wanted at most {most}"));
        }
    }

    fn range(&mut self, schema: &Value, number: Option<f64>, field: &str) {
        let bound = |name| schema.get(name).and_then(Value::as_f64);
        let Some(number) = number else { return };
        if let Some(least) = bound("minimum").filter(|least| number < *least) {
            self.note(field, format_args!("is {number}, wanted at least {least}"));
        }
        if let Some(most) = bound("maximum").filter(|most| number > *most) {
            self.note(field, format_args!("is {number}, wanted at most {most}"));
        }
    }

    fn format(&mut self, schema: &Value, text: &str, field: &str) {
        let is_time = schema.get("format").is_some_and(|format| format == "date-time");
        if is_time && text.parse::<Timestamp>().is_err() {
            self.note(field, "is not a time in RFC 3339, such as 2027-03-31T00:00:00Z");
        }
    }
}

/// The value without what would keep it from being read, and with something for what is missing. What is then wrong
/// with that is wrong at the same fields.
pub(super) fn readable(value: &Value, faults: &[SchemaFault]) -> Value {
    let faults: Vec<&SchemaFault> = faults.iter().filter(|fault| fault.mend != Mend::Nothing).collect();
    mended(value, &faults, "")
}

fn mended(value: &Value, faults: &[&SchemaFault], field: &str) -> Value {
    match value {
        Value::Object(members) => {
            let is_bad =
                |at: &str| faults.iter().any(|fault| fault.mend == Mend::Remove && fault.field == at);
            let kept = members.iter().map(|(name, value)| (name, value, join(field, name)));
            let kept = kept.filter(|(_, _, at)| !is_bad(at));
            let kept = kept.map(|(name, value, at)| (name.clone(), mended(value, faults, &at)));
            let added = faults.iter().filter_map(|fault| match &fault.mend {
                Mend::Add(name, value) => {
                    (fault.field == join(field, name)).then(|| (name.clone(), value.clone()))
                }
                Mend::Nothing | Mend::Remove => None,
            });
            kept.chain(added).collect()
        }
        Value::Array(elements) => {
            let elements =
                elements.iter().enumerate().map(|(index, element)| (element, format!("{field}[{index}]")));
            elements.map(|(element, at)| mended(element, faults, &at)).collect()
        }
        scalar => scalar.clone(),
    }
}

/// `None` where no value of the type says nothing.
fn emptiest(schema: &Value) -> Option<Value> {
    match schema.get("type")?.as_str()? {
        "object" => Some(Value::Object(Map::new())),
        "array" => Some(Value::Array(Vec::new())),
        "string" if schema.get("enum").is_none() => Some(Value::String(String::new())),
        _ => None,
    }
}

fn keeps_unknown(schema: &Value) -> bool {
    schema.get("x-kubernetes-preserve-unknown-fields").and_then(Value::as_bool).unwrap_or_default()
}

fn join(field: &str, name: &str) -> String {
    if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") }
}

fn is_of(wanted: &str, value: &Value) -> bool {
    match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => {
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|float| float.fract() == 0.0)
        }
        "number" => value.is_number(),
        _ => true,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn all_faults_are_told_at_once() {
        let schema = json!({
            "type": "object",
            "required": ["name", "list"],
            "properties": {
                "name": {"type": "string", "maxLength": 2},
                "mode": {"type": "string", "enum": ["Audit", "Plan"]},
                "list": {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 1}},
                "free": {"x-kubernetes-preserve-unknown-fields": true},
                "until": {"type": "string", "format": "date-time"},
            },
        });
        let value = json!({
            "name": "abc", "mode": "audit", "lists": 1, "free": {"x": 1}, "until": "tomorrow", "list": [0, "1", 1],
        });
        let faults = check(&schema, &value);
        let told: Vec<_> = faults.iter().map(|fault| format!("{}: {}", fault.field, fault.message)).collect();
        assert_eq!(
            told,
            [
                "list[0]: is 0, wanted at least 1",
                "list[1]: is a string, wanted integer",
                "lists: there is no field `lists`; did you mean `list`?; the server would drop it",
                "mode: \"audit\" is not known here; did you mean Audit?",
                "name: has 3 characters, wanted at most 2",
                "until: is not a time in RFC 3339, such as 2027-03-31T00:00:00Z",
            ]
        );
    }
}
