//! All policies at one moment: an immutable snapshot, replaced as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{CompiledPolicy, Faults};
use crate::crd::{Mode, WatchPolicyStatus};

/// What became of a policy when it was compiled.
#[derive(Clone)]
pub enum PolicyState {
    /// It can be run.
    Compiled(Arc<CompiledPolicy>),
    /// It cannot; all that is wrong with it.
    Invalid(Arc<Faults>),
    /// It cannot even be read, as when it was stored by another version of the CRD; the decoder's words.
    Unreadable(Arc<str>),
}

/// One policy in the set.
#[derive(Clone)]
pub struct PolicyEntry {
    /// `metadata.name`.
    pub name: Arc<str>,
    /// `metadata.uid`.
    pub uid: Arc<str>,
    /// `metadata.generation`.
    pub generation: i64,
    /// `spec.mode`, where it can be read.
    pub mode: Option<Mode>,
    /// Whether it can be run.
    pub state: PolicyState,
    /// The status as it was last read from the server.
    pub stored: Option<Arc<WatchPolicyStatus>>,
}

impl PolicyEntry {
    /// The program, if there is one and it is not suspended.
    pub fn running(&self) -> Option<&Arc<CompiledPolicy>> {
        match &self.state {
            PolicyState::Compiled(policy) if !policy.suspend => Some(policy),
            _ => None,
        }
    }
}

/// All policies, by name.
#[derive(Clone, Default)]
pub struct PolicySet {
    /// Counts the changes of programs; a new status alone does not change it.
    pub revision: u64,
    /// By `metadata.name`.
    pub entries: BTreeMap<Arc<str>, Arc<PolicyEntry>>,
}

impl PolicySet {
    /// The policies that judge.
    pub fn running(&self) -> impl Iterator<Item = &Arc<CompiledPolicy>> {
        self.entries.values().filter_map(|entry| entry.running())
    }
}
