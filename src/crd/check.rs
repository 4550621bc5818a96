//! A check: a path, what of it is judged, and what must be true of that.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{free, schema};

/// What must be true of a place in the object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("!has(self.measure) || self.measure != 'Count' || !has(self.fallbacks)")
    .message("measure: Count counts what path finds, so that nothing can be absent: remove fallbacks"))]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// What is looked at, as an RFC 9535 JSONPath from `$` (the object, or the element of forEach), `$object`,
    /// `$pod` (a Pod, or the pod template of any workload), `$podSpec`, `$containers` (all of its containers, init and
    /// ephemeral ones too), `$appContainers` (those that run for the pod's life) or `$namespace` (the metadata of the
    /// object's Namespace). Examples: `$.spec.replicas`, `$containers[*].image`, `$.metadata.annotations['corp.io/owner']`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub path: Option<String>,

    /// Further paths, tried in order where a value is due at path and not there.
    /// Example: a container's `$.securityContext.runAsNonRoot`, then `$podSpec.securityContext.runAsNonRoot`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 4), inner(length(min = 1, max = 1024)))]
    pub fallbacks: Vec<String>,

    /// The value that stands in where one is due and not there, as the API server would default it. It is measured
    /// and judged like a found one, and does not count as existing.
    #[serde(default, deserialize_with = "free::present", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free::any_json")]
    pub default: Option<Value>,

    /// Whether the check holds where a value is due and none is there: Fail or Pass. If left out, Pass when assert has
    /// only negative operators (such as notEquals) or the quantifier is None, else Fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when_absent: Option<WhenAbsent>,

    /// What of a found value is judged: Value (if left out), Keys (each member's name), Length (of a string, an array or
    /// an object), Count (how many nodes were found), ImageRegistry, ImageRepository, ImageTag, ImageDigest, Age or Until
    /// (the time since or to a timestamp).
    #[serde(default, skip_serializing_if = "free::is_default")]
    pub measure: Measure,

    /// How many of the values that path finds must satisfy assert: All (if left out), Any or None.
    #[serde(default, skip_serializing_if = "free::is_default")]
    pub quantifier: Quantifier,

    /// How comparisons read both sides: Number, Quantity, Duration, Version, Time or Percent. If left out, as JSON;
    /// set `as: Quantity` to compare `512Mi` with `1Gi`.
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    pub as_: Option<As>,

    /// Whether equals, in, matches, search, like, contains and their negatives take upper and lower case as the same.
    #[serde(default, skip_serializing_if = "free::is_default")]
    pub ignore_case: bool,

    /// One or more operators that must all hold of each value. Example: `{matches: '[a-z-]+@corp[.]com'}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assert: Option<Assert>,
}

/// Operators, all of which must hold. `type` is judged first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("minProperties" = 1))]
pub struct Assert {
    /// Whether a value must be there (true) or must not (false).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exists: Option<bool>,

    /// The value is this one. `1` equals `1.0`, but `80` is not `"80"`; instead of null say `type: "null"`.
    #[serde(default, deserialize_with = "free::present", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free::any_json")]
    pub equals: Option<Value>,

    /// The value is not this one.
    #[serde(default, deserialize_with = "free::present", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free::any_json")]
    pub not_equals: Option<Value>,

    /// The value is one of these. Example: `[registry.corp.io, ghcr.io]`.
    #[serde(rename = "in", default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free::any_json_list")]
    pub in_: Option<Vec<Value>>,

    /// The value is none of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free::any_json_list")]
    pub not_in: Option<Vec<Value>>,

    /// The whole string matches this regular expression (RFC 9485), or one of a list of at most 64.
    /// Example: `'[a-z-]+@corp[.]com'`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matches: Option<Patterns>,

    /// The whole string does not match this regular expression, nor any of a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_matches: Option<Patterns>,

    /// Some part of the string matches this regular expression (RFC 9485), or one of a list of at most 64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<Patterns>,

    /// No part of the string matches this regular expression, nor any of a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_search: Option<Patterns>,

    /// The string fits this glob, where `*` stands for any characters and `?` for one, or one of a list of at most 64.
    /// Example: `'*.corp.io/*'`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub like: Option<Patterns>,

    /// The string does not fit this glob, nor any of a list. Example: `['sandbox-*', 'tmp-*']`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_like: Option<Patterns>,

    /// A string includes this text, or an array has this element; of a list, all of them.
    /// Example: `[ALL]` for a container's dropped capabilities.
    #[serde(default, deserialize_with = "free::present", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free::any_json")]
    pub contains: Option<Value>,

    /// A string does not include this text, or an array does not have this element; of a list, none of them.
    #[serde(default, deserialize_with = "free::present", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free::any_json")]
    pub not_contains: Option<Value>,

    /// The address or block lies wholly inside this CIDR block, or inside one of a list of at most 64.
    /// Example: `10.0.0.0/8`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_cidr: Option<Patterns>,

    /// The address or block touches neither this CIDR block nor any of a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_in_cidr: Option<Patterns>,

    /// The value lies in one of these ranges, ends included; numbers unless `as` says otherwise.
    /// Example: `['0', '5000-6000']`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), transform = schema::bounded_items)]
    pub in_ranges: Option<Vec<IntOrString>>,

    /// The value is this or more. Example: `2`, or `512Mi` with `as: Quantity`.
    #[serde(default, deserialize_with = "free::present", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free::any_json")]
    pub at_least: Option<Value>,

    /// The value is this or less. Example: `10`, or `30d` with `measure: Age`.
    #[serde(default, deserialize_with = "free::present", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free::any_json")]
    pub at_most: Option<Value>,

    /// The value is more than this. Example: `0`.
    #[serde(default, deserialize_with = "free::present", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free::any_json")]
    pub above: Option<Value>,

    /// The value is less than this. Example: `1.30.0` with `as: Version`.
    #[serde(default, deserialize_with = "free::present", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free::any_json")]
    pub below: Option<Value>,

    /// The JSON type of the value: string, number, integer, boolean, array, object or "null" (with the quotes).
    /// It is judged first, so that it guards the other operators where a field may be of two types.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<ValueType>,

    /// With true, no two of the found values are equal; values that are not there do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique: Option<bool>,

    /// The value equals one that this path finds in the same object. Example: `$.spec.selector.matchLabels.app`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub equals_path: Option<String>,

    /// The value equals none that this path finds in the same object.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub not_equals_path: Option<String>,

    /// The value is among those that this path finds in the same object; an array stands for its elements.
    /// Example: `$podSpec.volumes[*].name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub in_path: Option<String>,

    /// The value is not among those that this path finds in the same object.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub not_in_path: Option<String>,
}

/// One pattern, or a list of which any will do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Patterns {
    /// A single pattern.
    One(String),
    /// Several patterns.
    Many(Vec<String>),
    /// Neither, such as an unquoted number: the schema cannot refuse it, the policy compiler does.
    Other(Value),
}

impl Patterns {
    /// The patterns as written.
    ///
    /// # Errors
    /// The value itself, if it is neither a string nor a list of strings.
    pub fn as_slice(&self) -> Result<&[String], &Value> {
        match self {
            Self::One(pattern) => Ok(std::slice::from_ref(pattern)),
            Self::Many(patterns) => Ok(patterns),
            Self::Other(value) => Err(value),
        }
    }
}

impl JsonSchema for Patterns {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Patterns".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "x-kubernetes-preserve-unknown-fields": true,
            "maxLength": 1024,
            "minItems": 1,
            "maxItems": 64,
            "maxProperties": 0,
        })
    }
}

/// What an absent value means for a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::undescribed)]
pub enum WhenAbsent {
    /// The place fails.
    Fail,
    /// The place passes.
    Pass,
}

/// What of a found value is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Measure {
    /// The value itself.
    #[default]
    Value,
    /// Each member name of an object.
    Keys,
    /// The length of a string in characters, of an array or object in members.
    Length,
    /// How many nodes were found: one number, never absent.
    Count,
    /// The registry of an image: `docker.io` of `nginx`.
    ImageRegistry,
    /// The repository of an image: `library/nginx` of `nginx`.
    ImageRepository,
    /// The tag of an image: `latest` of `nginx`, absent with only a digest.
    ImageTag,
    /// The digest of an image, such as `sha256:…`.
    ImageDigest,
    /// The duration since an RFC 3339 time.
    Age,
    /// The duration to an RFC 3339 time; negative once it is over.
    Until,
}

/// How many of the measured values must satisfy the assertion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Quantifier {
    /// Every one.
    #[default]
    All,
    /// At least one.
    Any,
    /// Not one.
    None,
}

/// How comparisons read both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::undescribed)]
pub enum As {
    /// A number, also in a string.
    Number,
    /// A Kubernetes quantity: `500m`, `1Gi`.
    Quantity,
    /// A duration as Go writes it, and days: `90s`, `1h30m`, `30d`.
    Duration,
    /// A semantic version: `1.2.3`, `v1.2.3`.
    Version,
    /// An RFC 3339 time.
    Time,
    /// A percentage: `25%`.
    Percent,
}

/// The JSON type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(transform = schema::undescribed)]
pub enum ValueType {
    /// A string.
    String,
    /// Any number.
    Number,
    /// A number without a fraction.
    Integer,
    /// True or false.
    Boolean,
    /// An array.
    Array,
    /// An object.
    Object,
    /// Null, which only an element of an array can be.
    Null,
}
