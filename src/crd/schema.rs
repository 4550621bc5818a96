//! From the types to the CRD: schemas that a derive cannot know, and what kube's derive leaves to be tidied.

use kube::CustomResourceExt;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::spec::WatchPolicy;
use super::status::NOT_MET;

/// The most characters of an RFC 3339 time: a date, a time with nanoseconds, an offset, and some room.
const MAX_TIME: u64 = 64;

/// The CustomResourceDefinition of WatchPolicy as the API server should have it, as JSON with sorted members.
///
/// # Errors
/// Never in a tested build: only if the derived definition were not representable as JSON.
pub fn crd_json() -> Result<Value, serde_json::Error> {
    let mut crd = serde_json::to_value(WatchPolicy::crd())?;
    for version in crd.pointer_mut("/spec/versions").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(schema) = version.pointer_mut("/schema/openAPIV3Schema") {
            tidy(schema);
            if let Some(status) = schema.pointer_mut("/properties/status").and_then(Value::as_object_mut) {
                status.insert("default".into(), json!({"observedGeneration": NOT_MET}));
            }
        }
    }
    Ok(crd)
}

/// Brings one schema and all below it into the form that the API server and `kubectl explain` like best.
fn tidy(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else { return };
    // The server drops null where a field is not nullable, so that it means absent, as in the built-in kinds.
    if !schema.contains_key("x-kubernetes-preserve-unknown-fields") {
        schema.remove("nullable");
    }
    // The derive repeats a type's Rust name; people know kinds and fields.
    schema.remove("title");
    tidy_description(schema);
    tidy_number(schema);
    match schema.get("type").and_then(Value::as_str) {
        // Lists without a key are replaced as a whole, so that two writers never interleave their checks.
        Some("array") => drop(schema.entry("x-kubernetes-list-type").or_insert_with(|| json!("atomic"))),
        Some("string") if schema.get("format").is_some_and(|format| format == "date-time") => {
            schema.insert("maxLength".into(), json!(MAX_TIME));
        }
        _ => {}
    }
    for (_, below) in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        tidy(below);
    }
    for keyword in ["items", "additionalProperties"] {
        if let Some(below) = schema.get_mut(keyword) {
            tidy(below);
        }
    }
}

/// Unwraps the lines of a doc comment; an empty line stays a paragraph.
fn tidy_description(schema: &mut Map<String, Value>) {
    let Some(Value::String(description)) = schema.get_mut("description") else { return };
    *description = description
        .split("\n\n")
        .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join("\n\n");
}

/// OpenAPI knows no unsigned integers, and bounds of integers read better without a fraction.
fn tidy_number(schema: &mut Map<String, Value>) {
    if let Some(format) = schema.get_mut("format") {
        match format.as_str() {
            Some("uint32") => *format = json!("int32"),
            Some("uint64") => *format = json!("int64"),
            _ => {}
        }
    }
    for bound in ["minimum", "maximum"] {
        let Some(value) = schema.get_mut(bound) else { continue };
        if let Some(whole) = whole(value) {
            *value = json!(whole);
        }
    }
}

/// The integer that a number without a fraction stands for.
fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_f64().filter(|float| float.fract() == 0.0)?.to_string().parse().ok())
}

/// Takes a type's own description away, which kube would put in the place of an optional field's.
pub(super) fn undescribed(choice: &mut Schema) {
    choice.remove("description");
}

/// Makes `path` and `assert` required in a list of checks that stand for themselves; in a rule or a branch they are
/// one choice of several.
pub(super) fn complete_checks(list: &mut Schema) {
    if let Some(Value::Object(items)) = list.get_mut("items") {
        items.insert("required".into(), json!(["path", "assert"]));
    }
}

/// Bounds the strings among integers or strings.
pub(super) fn bounded_items(list: &mut Schema) {
    list.insert("items".into(), json!({"x-kubernetes-int-or-string": true, "maxLength": 64}));
}

/// Conditions as Kubernetes has them, with bounds.
pub(super) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "type": {
                    "description": "What the condition is about, such as Ready.",
                    "type": "string",
                    "maxLength": 316,
                },
                "status": {
                    "description": "True, False or Unknown.",
                    "type": "string",
                    "enum": ["True", "False", "Unknown"],
                },
                "reason": {
                    "description": "Why it is so, in one word for programs.",
                    "type": "string",
                    "maxLength": 1024,
                },
                "message": {
                    "description": "Why it is so and what to do, in words for people.",
                    "type": "string",
                    "maxLength": 32768,
                },
                "lastTransitionTime": {
                    "description": "When status last changed.",
                    "type": "string",
                    "format": "date-time",
                },
                "observedGeneration": {
                    "description": "The generation of the policy that the condition is about.",
                    "type": "integer",
                    "format": "int64",
                    "minimum": 0,
                },
            },
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
        },
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    })
}

/// A label selector as Kubernetes has it, with bounds.
pub(super) fn label_selector(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "x-kubernetes-map-type": "atomic",
        "properties": {
            "matchLabels": {
                "description": "Labels that must have exactly these values. Example: `{team: billing}`.",
                "type": "object",
                "additionalProperties": {"type": "string", "maxLength": 63},
                "maxProperties": 64,
            },
            "matchExpressions": {
                "description": "Requirements on labels, all of which must hold.",
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "key": {
                            "description": "The label's key. Example: `app.kubernetes.io/name`.",
                            "type": "string",
                            "maxLength": 317,
                        },
                        "operator": {
                            "description": "In, NotIn, Exists or DoesNotExist.",
                            "type": "string",
                            "enum": ["In", "NotIn", "Exists", "DoesNotExist"],
                        },
                        "values": {
                            "description": "The values for In and NotIn; left out for Exists and DoesNotExist.",
                            "type": "array",
                            "items": {"type": "string", "maxLength": 63},
                            "maxItems": 64,
                            "x-kubernetes-list-type": "atomic",
                        },
                    },
                    "required": ["key", "operator"],
                    "x-kubernetes-validations": [{
                        "rule": "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",
                        "message": "In and NotIn need values, Exists and DoesNotExist take none",
                    }],
                },
                "maxItems": 64,
                "x-kubernetes-list-type": "atomic",
            },
        },
    })
}
