//! All policies at one moment: an immutable snapshot, replaced as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{CompiledPolicy, Faults};
use crate::crd::{Mode, OnDelete};

/// What keeps a policy with `onDelete: Release` there until what it wrote is taken back.
pub const FINALIZER: &str = "watchpolicy.io/release";

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
    /// `spec.enforcement.onDelete`, where it can be read.
    pub on_delete: Option<OnDelete>,
    /// Whether somebody deleted it.
    pub deleting: bool,
    /// `metadata.finalizers`.
    pub finalizers: Box<[Box<str>]>,
    /// Whether it can be run.
    pub state: PolicyState,
}

impl PolicyEntry {
    /// The program, if there is one and it judges.
    pub fn running(&self) -> Option<&Arc<CompiledPolicy>> {
        self.compiled().filter(|policy| policy.judges())
    }

    /// The program whose targets are watched: also of a policy that does not judge any more, until what it wrote is
    /// taken back.
    pub fn watching(&self) -> Option<&Arc<CompiledPolicy>> {
        self.compiled().filter(|policy| policy.judges() || self.is_held())
    }

    /// The program, if it is one that writes, as far as that is the policy's to say.
    pub fn enforcing(&self) -> Option<&Arc<CompiledPolicy>> {
        self.compiled().filter(|policy| policy.mode == Mode::Enforce && policy.mends())
    }

    /// Whether it carries our finalizer.
    pub fn is_held(&self) -> bool {
        self.finalizers.iter().any(|finalizer| &**finalizer == FINALIZER)
    }

    /// Whether it is there, with our finalizer, and enforces no more: all that it may have written is looked through.
    pub fn is_ending(&self) -> bool {
        self.is_held() && self.enforcing().is_none()
    }

    /// Whether labels and annotations are taken back when it ends.
    pub fn takes_back(&self) -> bool {
        self.on_delete.map_or_else(|| self.is_held(), |on_delete| on_delete == OnDelete::Release)
    }

    fn compiled(&self) -> Option<&Arc<CompiledPolicy>> {
        match &self.state {
            PolicyState::Compiled(policy) => Some(policy),
            PolicyState::Invalid(_) | PolicyState::Unreadable(_) => None,
        }
    }

    fn claim(&self) -> Claim<'_> {
        let take_back = self.takes_back();
        match (self.enforcing(), &self.state) {
            (Some(policy), _) => Claim::Holds { policy, take_back },
            (None, PolicyState::Invalid(_) | PolicyState::Unreadable(_)) if !self.deleting => Claim::Unknown,
            (None, _) => Claim::Ended { take_back },
        }
    }
}

/// What a policy has to say of what was written in its name.
#[derive(Clone, Copy)]
pub enum Claim<'p> {
    /// It enforces: what it still may write is its own.
    Holds {
        /// The program.
        policy: &'p Arc<CompiledPolicy>,
        /// Whether labels and annotations that it may not write any more are taken back.
        take_back: bool,
    },
    /// It is gone, or does not enforce any more: nothing is its own.
    Ended {
        /// Whether labels and annotations are taken back.
        take_back: bool,
    },
    /// It cannot be run as it is now, which says nothing of what it wrote before.
    Unknown,
}

/// All policies, by name.
#[derive(Clone, Default)]
pub struct PolicySet {
    /// Counts the changes of programs. Statuses are none of the set's business.
    pub revision: u64,
    /// By `metadata.name`.
    pub entries: BTreeMap<Arc<str>, Arc<PolicyEntry>>,
}

impl PolicySet {
    /// The policies that judge.
    pub fn running(&self) -> impl Iterator<Item = &Arc<CompiledPolicy>> {
        self.entries.values().filter_map(|entry| entry.running())
    }

    /// What the policy of a name has to say of what was written in its name.
    pub fn claim(&self, policy: &str) -> Claim<'_> {
        self.entries.get(policy).map_or(Claim::Ended { take_back: false }, |entry| entry.claim())
    }
}
