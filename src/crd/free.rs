//! Fields that hold any JSON: what distinguishes an absent one from `null`, and how they look in the schema.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Reads a field that is there as `Some`, also when it is `null`: absent is `None`.
///
/// # Errors
/// Those of the deserializer.
pub(super) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Says whether a field may be left out because it says what is true without it.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Any JSON value. Only its outermost size can be bounded here; the policy compiler bounds the rest.
pub(super) fn any_json(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-preserve-unknown-fields": true,
        // Else the server drops null before anybody can refuse it.
        "nullable": true,
        "maxLength": 4096,
        "maxItems": 256,
        "maxProperties": 256,
    })
}

/// A list of at most 256 JSON values.
pub(super) fn any_json_list(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": {
            "x-kubernetes-preserve-unknown-fields": true,
            "nullable": true,
            "maxLength": 4096,
            "maxItems": 256,
            "maxProperties": 256,
        },
        "minItems": 1,
        "maxItems": 256,
        "x-kubernetes-list-type": "atomic",
    })
}
