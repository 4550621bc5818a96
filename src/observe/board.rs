//! What the fleet tells about the targets of each policy.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The state of a target, in the words of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TargetState {
    /// What the cluster serves is not known yet.
    Resolving,
    /// The cluster does not serve it.
    Absent,
    /// A permission is missing.
    Forbidden,
    /// The first list is under way.
    Listing,
    /// Everything that the cluster holds of it is known.
    Synced,
    /// What is known may be out of date.
    Degraded,
    /// It is no longer wanted.
    Stopping,
}

impl TargetState {
    /// The contract's word.
    pub fn as_str(self) -> &'static str {
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

impl fmt::Display for TargetState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

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
    /// How many objects are known.
    pub objects: u64,
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
