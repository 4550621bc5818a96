//! The policy: what it is about, which objects it takes, how it acts.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Check;
use super::rule::{self, Exception};
use super::schema;
use super::status::WatchPolicyStatus;

/// The most checks in a policy's `match`.
pub const MAX_MATCH: usize = 32;

/// What the policy demands, of which objects, and what happens to those that fail.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "watchpolicy.io",
    version = "v1alpha1",
    kind = "WatchPolicy",
    plural = "watchpolicies",
    singular = "watchpolicy",
    shortname = "wpol",
    category = "watchpolicy",
    status = "WatchPolicyStatus",
    derive = "PartialEq",
    validation = Rule::new("size(self.metadata.name) <= 63")
        .message("the name must have at most 63 characters, since it becomes part of a field manager's name"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode", description = "Audit, Plan or Enforce"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether every target that exists is watched"),
    printcolumn(name = "Targets", type_ = "string", json_path = ".status.targetsSummary", description = "Synced and resolved resources"),
    printcolumn(name = "Violations", type_ = "integer", json_path = ".status.summary.violations", description = "Failing rules, counted once for each object"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "Time since the policy was created"),
    printcolumn(name = "Severity", type_ = "string", json_path = ".spec.severity", description = "How bad a violation is", priority = "1"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason", description = "Why the policy is or is not ready", priority = "1"),
    printcolumn(name = "Last-Evaluated", type_ = "date", json_path = ".status.lastEvaluated", description = "When the verdicts last changed", priority = "1"),
    doc = "A WatchPolicy watches the resources that it names and reports, within a second of a change, which objects break its rules."
)]
#[serde(rename_all = "camelCase")]
pub struct WatchPolicySpec {
    /// What the policy demands, in one line for lists and reports. Example: `Every workload names its team`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub title: Option<String>,

    /// Why the policy exists and what to do about a violation, for those who meet one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub description: Option<String>,

    /// A word that groups policies in reports. Example: `Ownership`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub category: Option<String>,

    /// How bad a violation is: info, low, medium, high or critical. A rule may say otherwise for itself.
    #[serde(default)]
    pub severity: Severity,

    /// Audit judges and reports. Plan also works out fixes and dry-runs them. Enforce sends them, if the operator
    /// allows it (`--allow-enforce`) and has the right to patch; the condition Enforcing says what is missing.
    #[serde(default)]
    pub mode: Mode,

    /// With true, the policy rests: no watches, no writes, its verdicts are withdrawn, what was enforced stays.
    #[serde(default)]
    pub suspend: bool,

    /// The resources that the policy watches. An object is judged when any entry takes it.
    #[schemars(length(min = 1, max = 32))]
    pub targets: Vec<Target>,

    /// Checks on the object that must all hold, or the policy leaves the object out.
    #[serde(rename = "match", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_MATCH), transform = schema::complete_checks)]
    pub match_: Vec<Check>,

    /// What is demanded of each object. A rule has a name and one body: a check (path and assert), allOf, anyOf or
    /// forbid.
    #[schemars(length(min = 1, max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub rules: Vec<rule::Rule>, // `Rule` alone is the CEL rule of kube inside the derive

    /// Objects that rules leave alone. An exception has a name, a reason, and at least one of namespaces, names,
    /// labelSelector and images, all of which must fit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub exceptions: Vec<Exception>,

    /// How fixes are written in mode Enforce.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enforcement: Option<Enforcement>,

    /// Skip reports a defect once, at the controlling object, where it can be mended: a rule that fails on an owned
    /// object is skipped there if all that fails fails on its controller too, and a target takes that. Judge reports it
    /// on both.
    #[serde(default)]
    pub owned_objects: OwnedObjects,

    /// Whether objects in the system namespaces (kube-system, kube-public, kube-node-lease and the operator's own)
    /// are left out (Exclude) or judged (Include, which needs the operator's consent, `--allow-system-namespaces`).
    #[serde(default)]
    pub system_namespaces: SystemNamespaces,
}

/// Resources of one API group, and which of their objects are judged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("!self.resources.exists(name, name == '*') || self.resources.size() == 1")
        .message("'*' already stands for every resource of the group: remove the other names, or '*'"),
    validation = Rule::new("!self.resources.exists(name, name == '*') || self.group != ''")
        .message("'*' cannot be used with the core group: list its resources by name, such as pods and services"),
)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The API group, such as `apps`. Left out or empty, the core group (pods, services, namespaces).
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub group: String,

    /// The plural names of resources, such as `[deployments, statefulsets]`, or `['*']` for all that the group
    /// serves, now and later. They may be installed later than the policy.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set"))]
    pub resources: Vec<String>,

    /// The version to watch, such as `v1`. If left out, the version that the server prefers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub version: Option<String>,

    /// Names of the namespaces to judge. If left out, all. Says nothing of cluster-scoped objects. With few names, a Role
    /// in each is enough for the operator.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub namespaces: Vec<String>,

    /// Globs of namespaces to leave out. Example: `[sandbox-*]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set"))]
    pub exclude_namespaces: Vec<String>,

    /// Globs of which the object's name must fit one. If left out, any name. Example: `[web-*]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set"))]
    pub names: Vec<String>,

    /// Takes the objects in namespaces whose labels fit; changes of those labels are followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub namespace_selector: Option<LabelSelector>,

    /// Takes the objects whose labels fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub label_selector: Option<LabelSelector>,

    /// Takes the objects whose fields fit: `field=value` or `field!=value`, joined by commas, for fields that the server
    /// can select this kind by: `metadata.name`, `metadata.namespace`, a few of built-in kinds, and the
    /// `selectableFields` of a CustomResourceDefinition. Example: `status.phase!=Succeeded,spec.nodeName!=`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub field_selector: Option<String>,

    /// The path to the pod template, for custom kinds in which `$pod` and `$containers` cannot be known.
    /// Example: `$.spec.template`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub pod: Option<String>,
}

/// How fixes are written in mode Enforce.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Enforcement {
    /// What happens to a field that another manager owns: Overwrite writes it, Yield leaves it alone and says whose
    /// it is.
    #[serde(default)]
    pub on_conflict: OnConflict,

    /// What happens to written values when the policy is deleted or no longer enforced: Keep leaves them, Release
    /// takes back the labels and annotations that the policy still owns.
    #[serde(default)]
    pub on_delete: OnDelete,

    /// How many writes the policy may send in a minute.
    #[serde(default = "default_max_per_minute")]
    #[schemars(range(min = 1, max = 6000))]
    pub max_per_minute: u32,
}

impl Default for Enforcement {
    fn default() -> Self {
        Self {
            on_conflict: OnConflict::default(),
            on_delete: OnDelete::default(),
            max_per_minute: default_max_per_minute(),
        }
    }
}

fn default_max_per_minute() -> u32 {
    60
}

/// What a policy does beyond judging.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Judge and report; never write to a judged object.
    #[default]
    Audit,
    /// Also work out each fix and send it as a dry run.
    Plan,
    /// Send the fixes.
    Enforce,
}

/// How bad a violation is, from the mildest.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[schemars(transform = schema::undescribed)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Worth mending some day.
    Low,
    /// Worth mending.
    #[default]
    Medium,
    /// Worth mending soon.
    High,
    /// Worth mending now.
    Critical,
}

/// What happens to a field that another manager owns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnConflict {
    /// It is written.
    #[default]
    Overwrite,
    /// It is left alone, and the result names its manager.
    Yield,
}

/// What happens to written values when a policy ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnDelete {
    /// They stay.
    #[default]
    Keep,
    /// Labels and annotations that the policy still owns are taken back.
    Release,
}

/// Where a defect is reported that an object shares with its controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::undescribed)]
pub enum OwnedObjects {
    /// Once, at the controller.
    #[default]
    Skip,
    /// On both.
    Judge,
}

/// Whether objects in system namespaces are judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SystemNamespaces {
    /// They are left out.
    #[default]
    Exclude,
    /// They are judged, if the operator consents.
    Include,
}
