//! What the fleet tells about the targets of each policy.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::crd::TargetState;

/// One target resource of one policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetReport {
    /// The API group, empty for core.
    pub group: Arc<str>,
    /// The plural name.
    pub resource: Arc<str>,
    /// The version that is watched; what the policy names where nothing is resolved.
    pub version: Option<Arc<str>>,
    /// How it stands.
    pub state: TargetState,
    /// Whether it is degraded because a limit of the operator is exceeded: what is judged is up to date, and not all.
    pub limited: bool,
    /// Whether it is served, and not as the policy asks for it: in another version, without a field to select by, or
    /// not to be watched. No wait mends that.
    pub mismatched: bool,
    /// The lowest generation of the policy that judges this target's objects at this moment.
    pub generation: i64,
    /// Since when the state is what it is.
    pub since: jiff::Timestamp,
    /// What is wrong and what to do, where something is.
    pub message: Option<Arc<str>>,
}

/// A snapshot of all targets: one entry a policy, one report a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Board {
    /// By policy name.
    pub policies: BTreeMap<Arc<str>, Arc<[TargetReport]>>,
}
