//! One rule that does not pass on one object.

use std::cmp::Reverse;
use std::sync::Arc;

use jiff::Timestamp;

use crate::crd::{FixStatus, Severity};
use crate::policy::{NodeVerdict, Outcome};
use crate::resource::ObjectKey;

/// Where a finding stands: the worst severity first, then by object, then by rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The rule's severity.
    pub severity: Reverse<Severity>,
    /// The object.
    pub key: ObjectKey,
    /// The rule.
    pub rule: Arc<str>,
}

/// A rule that fails, or errs, on an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The `apiVersion` in which the object was judged.
    pub api_version: Arc<str>,
    /// The object's kind.
    pub kind: Arc<str>,
    /// The object's uid.
    pub uid: Arc<str>,
    /// Fail or Error.
    pub outcome: Outcome,
    /// Since when the rule does not pass on this object.
    pub first_seen: Timestamp,
    /// The failing and erring nodes.
    pub nodes: Box<[NodeVerdict]>,
    /// What became of the rule's fix, where it was tried.
    pub fix: Option<FixStatus>,
}

impl Finding {
    /// About how many bytes it takes with its place. Names are shared with the store and the policy.
    pub(super) fn bytes(&self) -> usize {
        let text = |NodeVerdict { path, actual, expected, message }: &NodeVerdict| {
            path.len() + actual.len() + expected.len() + message.len()
        };
        size_of::<(Place, Arc<Self>)>()
            + size_of::<Self>()
            + size_of_val::<[_]>(&self.nodes)
            + self.nodes.iter().map(text).sum::<usize>()
            + self.fix.as_ref().map_or(0, fix_bytes)
    }
}

fn fix_bytes(FixStatus { outcome, path, from, to, message }: &FixStatus) -> usize {
    let texts = [Some(outcome), path.as_ref(), from.as_ref(), to.as_ref(), message.as_ref()];
    texts.into_iter().flatten().map(String::len).sum()
}
