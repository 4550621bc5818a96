//! Rules: what a policy demands of an object, how it can be mended, and who is excepted.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::check::Check;
use super::spec::Severity;
use super::{free, schema};

/// A name that can stand in a label's value, an exception's list and a test's expectation.
const NAME_RULE: &str = "self.matches('^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$')";
const NAME_MESSAGE: &str =
    "a name has only letters, digits, '-', '_' and '.', and starts and ends with a letter or digit";

/// What refines a check has no meaning beside another body. CEL spells its own keyword `as` so.
const STRAY_RULE: &str = "has(self.path) || !(has(self.fallbacks) || has(self.whenAbsent) || has(self.measure) \
    || has(self.quantifier) || has(self.__as__) || has(self.ignoreCase))";
const STRAY_MESSAGE: &str = "fallbacks, whenAbsent, measure, quantifier, as and ignoreCase belong beside a path: move them to its check";

/// One demand, judged on each object. Its body is one of: a check (path and assert), allOf, anyOf, forbid.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new(
        "has(self.path) || has(self.assert) || has(self.allOf) || has(self.anyOf) || has(self.forbid)"
    ).message("the rule demands nothing yet: add path and assert, allOf, anyOf, or forbid: true"),
    validation = Rule::new(
        "[has(self.path) || has(self.assert), has(self.allOf), has(self.anyOf), has(self.forbid)]\
         .filter(given, given).size() <= 1"
    ).message("a rule has one body: keep one of path with assert, allOf, anyOf and forbid, and remove the others"),
    validation = Rule::new("!has(self.path) || has(self.assert)")
        .message("path says where to look: add assert, which says what must be true there"),
    validation = Rule::new("has(self.path) || !has(self.assert)")
        .message("assert says what must be true: add path, which says where to look"),
    validation = Rule::new(STRAY_RULE).message(STRAY_MESSAGE),
)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// What results and exceptions call this rule; unique in the policy. Example: `owner`.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new(NAME_RULE).message(NAME_MESSAGE))]
    pub name: String,

    /// Checks that must all hold, or the rule does not apply; they look at the element where forEach is set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), transform = schema::complete_checks)]
    pub when: Vec<Check>,

    /// A path; the rule is judged once for each element that it finds, which is then `$`. One array stands for its
    /// elements; where there are none, the rule passes. Example: `$containers`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub for_each: Option<String>,

    /// The body, if it is a single check.
    #[serde(flatten)]
    pub check: Check,

    /// Body: 2 to 8 checks that must all hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 2, max = 8), transform = schema::complete_checks)]
    pub all_of: Vec<Check>,

    /// Body: 2 to 8 branches of which one must hold, each a check (path and assert) or an allOf.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 2, max = 8))]
    pub any_of: Vec<Branch>,

    /// Body: with true, the element of forEach, or the object itself, should not be there at all.
    #[serde(default, skip_serializing_if = "free::is_default")]
    #[x_kube(validation = Rule::new("self").message("forbid is true or left out"))]
    pub forbid: bool,

    /// What people read when the rule fails. `{actual}`, `{expected}`, `{path}`, `{rule}`, `{policy}`, `{container}`
    /// and singular paths such as `{$.name}` are filled in; `{{` is a brace. If left out, one is written from the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub message: Option<String>,

    /// How bad it is when this rule fails: info, low, medium, high or critical. If left out, the policy's severity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,

    /// How a failure is mended in the modes Plan and Enforce: one of set, setFrom, remove and append. Never needed for a
    /// report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<Fix>,
}

/// One way to satisfy a rule: a check, or checks that must all hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("has(self.allOf) != (has(self.path) || has(self.assert))")
        .message("a branch is one thing: either path with assert, or allOf"),
    validation = Rule::new("has(self.path) == has(self.assert)")
        .message("path and assert belong together: path says where to look, assert what must be true there"),
    validation = Rule::new(STRAY_RULE).message(STRAY_MESSAGE),
)]
#[serde(rename_all = "camelCase")]
pub struct Branch {
    /// The branch, if it is a single check.
    #[serde(flatten)]
    pub check: Check,

    /// 2 to 8 checks that must all hold for this branch to hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 2, max = 8), transform = schema::complete_checks)]
    pub all_of: Vec<Check>,
}

/// A change that mends what failed: one of set, setFrom, remove, append.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("[has(self.setFrom), has(self.remove), has(self.append)].filter(given, given).size() <= 1")
    .message("a fix is one change: keep one of set, setFrom, remove and append, and remove the others"))]
#[serde(rename_all = "camelCase")]
#[schemars(extend("minProperties" = 1))]
pub struct Fix {
    /// The value to write where the check failed; missing parents are made. Example: `unowned@corp.com`.
    #[serde(default, deserialize_with = "free::present", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free::any_json")]
    pub set: Option<Value>,

    /// A path in the same object whose value is written where the check failed. Example: `$.metadata.name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub set_from: Option<String>,

    /// With true, the values that failed the check are removed.
    #[serde(default, skip_serializing_if = "free::is_default")]
    #[x_kube(validation = Rule::new("self").message("remove is true or left out"))]
    pub remove: bool,

    /// An element to add to an array, once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub append: Option<Append>,
}

/// An element that an array should have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Append {
    /// The array, as a path that names one place. Example: `$podSpec.tolerations`.
    #[schemars(length(min = 1, max = 1024))]
    pub at: String,

    /// The element to add.
    #[serde(default, deserialize_with = "free::present", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free::any_json")]
    pub value: Option<Value>,

    /// The member that tells elements apart: nothing is added when an element with the same value of it is there.
    /// If left out, whole elements are compared. Example: `name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub key: Option<String>,
}

/// Objects that rules leave alone. What an exception covers is Skip with its name, never invisible.
/// At least one of namespaces, names, labelSelector, images; all that are given must fit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new(
    "has(self.namespaces) || has(self.names) || has(self.labelSelector) || has(self.images)"
).message("an exception must say what it covers: add namespaces, names, labelSelector or images"))]
#[serde(rename_all = "camelCase")]
pub struct Exception {
    /// What results call this exception; unique in the policy. Example: `legacy-billing`.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new(NAME_RULE).message(NAME_MESSAGE))]
    pub name: String,

    /// Why it is granted, for those who read the results. Example: `moves in Q1, PLAT-1201`.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,

    /// Globs; the object's namespace fits one of them. Never fits a cluster-scoped object. Example: `[billing-*]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set"))]
    pub namespaces: Vec<String>,

    /// Globs; the object's name fits one of them. Example: `[batch-*]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set"))]
    pub names: Vec<String>,

    /// The object's labels fit this selector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub label_selector: Option<LabelSelector>,

    /// Globs; the container's image, as written or in full (`nginx` is `docker.io/library/nginx:latest`), fits one of
    /// them. Exempts elements of `$containers` only: the others still decide. Example: `['*/istio/proxyv2:*']`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 1024)), extend("x-kubernetes-list-type" = "set"))]
    pub images: Vec<String>,

    /// The names of the rules that it excepts from. If left out, all rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub rules: Vec<String>,

    /// The instant at which it ends, in RFC 3339. If left out, it stands for good. Example: `2027-03-31T00:00:00Z`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), extend("format" = "date-time"))]
    pub until: Option<String>,
}
