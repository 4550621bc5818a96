//! What the operator answers: conditions, counts, targets and the worst violations.
//!
//! The bounds here are those of single fields; that a whole status stays under 64 KiB is its writer's concern.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use super::spec::Severity;

/// The most violations that a status lists; more are counted in `violationsTruncated`.
pub const MAX_VIOLATIONS: usize = 20;
/// The most targets that a status lists.
pub const MAX_TARGETS: usize = 256;
/// The most characters of a message in a status.
pub const MAX_MESSAGE: usize = 1024;
/// The most characters of a path in a status.
pub const MAX_PATH: usize = 1024;
/// The most characters of a rendered value in a status.
pub const MAX_ACTUAL: usize = 256;
/// The most further paths that a violation lists.
pub const MAX_OTHER_PATHS: usize = 8;
/// The most characters of an API group in a status, of a resource, and of an object's name.
pub const MAX_NAME: usize = 253;
/// The most characters of a namespace, a kind, a version and a rule's name in a status.
pub const MAX_LABEL: usize = 63;
/// The most characters of a group and version in a status.
pub const MAX_API_VERSION: usize = 317;
/// The most characters of a uid in a status.
pub const MAX_UID: usize = 128;

/// The generation in the status that the API server gives a new policy: it tells kstatus, and with it Helm and Flux, to
/// wait for the operator, where a policy without any status would look finished.
pub(super) const NOT_MET: i64 = -1;

/// What the operator found, at the generation that it names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WatchPolicyStatus {
    /// The generation of the policy that this status is about; lower than metadata.generation while an edit is
    /// being worked in, and -1 before the operator has met the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1))]
    pub observed_generation: Option<i64>,

    /// Ready (every target that exists is followed; violations never make it false), Validated (the policy is understood),
    /// TargetsResolved (the cluster serves every target), Authorized (the operator may list and watch them), Enforcing
    /// (fixes are written); Reconciling and Stalled (it waits for somebody) only while they are true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,

    /// When the verdicts behind this status last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_evaluated: Option<Time>,

    /// How many of the resolved resources are synced, as `2/3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub targets_summary: Option<String>,

    /// Why the policy is or is not ready, in one word: the reason of the condition Ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,

    /// Counts of the objects that a target takes: those that spec.match leaves out (excluded), and those that are judged
    /// (matched), which are passed, failed, errored and skipped together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,

    /// One entry for each resource that the targets resolve to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_TARGETS))]
    pub targets: Vec<TargetStatus>,

    /// The worst violations, at most 20, ordered by severity and then by object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_VIOLATIONS))]
    pub violations: Vec<Violation>,

    /// How many more violations there are than the list shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub violations_truncated: Option<u64>,

    /// What each exception of the policy does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub exceptions: Vec<ExceptionStatus>,
}

impl WatchPolicyStatus {
    /// Whether the operator wrote it, rather than the API server when the policy was made.
    pub fn is_written(&self) -> bool {
        self.observed_generation != Some(NOT_MET)
    }
}

/// Counts of the objects that a target takes: excluded, and matched = passed + failed + errored + skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Objects that the checks in spec.match leave out.
    pub excluded: u64,
    /// Objects that were judged.
    pub matched: u64,
    /// Judged objects on which every rule that applies passed.
    pub passed: u64,
    /// Judged objects on which a rule failed and none erred.
    pub failed: u64,
    /// Judged objects on which a rule could not be decided. An error is never a pass.
    pub errored: u64,
    /// Judged objects to which no rule applied.
    pub skipped: u64,
    /// Skipped objects whose defects are reported at their controller, as spec.ownedObjects wants it.
    pub owned: u64,
    /// Skipped objects that an exception covers.
    pub excepted: u64,
    /// Objects whose verdict may be out of date, since their resource lost its watch.
    pub stale: u64,
    /// Failing rules, counted once for each object.
    pub violations: u64,
}

/// One watched resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetStatus {
    /// The API group; empty for the core group.
    #[serde(default)]
    #[schemars(length(max = MAX_NAME))]
    pub group: String,
    /// The plural name of the resource.
    #[schemars(length(max = MAX_NAME))]
    pub resource: String,
    /// The version that is watched; absent while the server does not serve the resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_LABEL))]
    pub version: Option<String>,
    /// Resolving, Absent (the server does not serve it), Forbidden (a right is missing), Listing, Synced, Degraded
    /// (its watch is lost and verdicts are stale, or a limit of the operator is exceeded) or Stopping.
    pub state: TargetState,
    /// How many objects of the resource the policy's targets take.
    #[serde(default)]
    pub objects: u64,
    /// Since when it is in this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// What is wrong and what cures it; for Forbidden, the missing verb and the ClusterRole rule to add.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_MESSAGE))]
    pub message: Option<String>,
}

/// Where a watched resource is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TargetState {
    /// It is being looked up.
    Resolving,
    /// The server does not serve it.
    Absent,
    /// A right to list or watch it is missing.
    Forbidden,
    /// Its objects are being listed.
    Listing,
    /// Every object is known and changes are followed.
    Synced,
    /// It was synced and lost its watch; verdicts are stale.
    Degraded,
    /// No policy wants it any more.
    Stopping,
}

impl TargetState {
    /// As it is written in a status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resolving => "Resolving",
            Self::Absent => "Absent",
            Self::Forbidden => "Forbidden",
            Self::Listing => "Listing",
            Self::Synced => "Synced",
            Self::Degraded => "Degraded",
            Self::Stopping => "Stopping",
        }
    }
}

/// One rule failing, or erring, on one object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Violation {
    /// The object.
    pub object: ViolationObject,
    /// The name of the rule.
    #[schemars(length(max = MAX_LABEL))]
    pub rule: String,
    /// How bad it is: info, low, medium, high or critical.
    pub severity: Severity,
    /// Fail, or Error when the rule could not be decided.
    pub result: ViolationResult,
    /// The first place in the object where the rule fails. Example: `spec.template.spec.containers[0].image`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_PATH))]
    pub path: Option<String>,
    /// Further places in the object where the rule fails, at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_OTHER_PATHS), inner(length(max = MAX_PATH)))]
    pub other_paths: Vec<String>,
    /// The value at path, cut at 128 bytes; values from Secrets are never shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ACTUAL))]
    pub actual: Option<String>,
    /// What is wrong, in the rule's words.
    #[schemars(length(max = MAX_MESSAGE))]
    pub message: String,
    /// When the violation was first seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<Time>,
    /// What became of the rule's fix, in the modes Plan and Enforce.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<FixStatus>,
}

/// How a rule came out that did not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ViolationResult {
    /// The object breaks the rule.
    Fail,
    /// It could not be decided; an error is never a pass.
    Error,
}

/// The object of a violation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ViolationObject {
    /// The group and version in which it was judged. Example: `apps/v1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_API_VERSION))]
    pub api_version: Option<String>,
    /// Its API group; empty for the core group.
    #[serde(default)]
    #[schemars(length(max = MAX_NAME))]
    pub group: String,
    /// Its resource, in the plural. Example: `deployments`.
    #[schemars(length(max = MAX_NAME))]
    pub resource: String,
    /// Its kind. Example: `Deployment`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_LABEL))]
    pub kind: Option<String>,
    /// Its namespace; absent for a cluster-scoped object.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_LABEL))]
    pub namespace: Option<String>,
    /// Its name.
    #[schemars(length(max = MAX_NAME))]
    pub name: String,
    /// Its uid, which tells it from an earlier object of the same name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_UID))]
    pub uid: Option<String>,
}

/// What became of a fix.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FixStatus {
    /// In one word: Fixed, Planned, NotVerified (a right is missing), Ineffective (the rule fails all the same), Refused
    /// (by the API server), NotAllowed or Impossible, Yielded, Contested or Conflict (somebody else wants another value),
    /// Stopped, Throttled, Waiting or Deleting.
    #[schemars(length(max = 63))]
    pub outcome: String,
    /// The place that the fix changes. Example: `metadata.annotations['corp.io/owner']`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_PATH))]
    pub path: Option<String>,
    /// The value before, as JSON; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ACTUAL))]
    pub from: Option<String>,
    /// The value after, as JSON; absent where it is removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ACTUAL))]
    pub to: Option<String>,
    /// Why it is so, such as what the API server does not take, or the manager that owns the field.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_MESSAGE))]
    pub message: Option<String>,
}

/// What an exception does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExceptionStatus {
    /// The exception's name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// How many judged objects it fits; one with images, those that have such a container.
    #[serde(default)]
    pub used: u64,
    /// On how many of these no rule would fail or err without it. Where that is all of them, the exception can go.
    #[serde(default)]
    pub needless: u64,
    /// Whether its time is over.
    #[serde(default)]
    pub expired: bool,
}
