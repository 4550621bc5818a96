//! From the types to the CRD.

use schemars::{Schema, SchemaGenerator, json_schema};

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
                },
                "maxItems": 64,
                "x-kubernetes-list-type": "atomic",
            },
        },
    })
}
