//! What judging an object gives: an outcome for it, and for each rule the nodes that failed.

use crate::crd::MAX_OTHER_PATHS;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use crate::crd::Severity;

/// What a policy says of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// No target of the policy takes the object.
    NotTaken,
    /// The policy's `match` leaves the object out.
    Excluded {
        /// When to judge it again, as in [`Verdict::again`].
        again: Option<Timestamp>,
    },
    /// The object was judged.
    Judged(Verdict),
}

/// What the rules of a policy say of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Error if any rule errs, else Fail if any fails, else Pass if any passed, else Skip.
    pub outcome: Outcome,
    /// One for each rule, in the policy's order.
    pub rules: Vec<RuleVerdict>,
    /// The exceptions that fit the object, in the policy's order.
    pub grants: Vec<Grant>,
    /// When to judge the object again though nothing in it changes: the first instant at which an age, or the end of an
    /// exception, gives another answer. `None` where time changes nothing.
    pub again: Option<Timestamp>,
}

impl Judgement {
    /// When to judge the object again though nothing in it changes.
    pub fn again(&self) -> Option<Timestamp> {
        match self {
            Self::NotTaken => None,
            Self::Excluded { again } => *again,
            Self::Judged(verdict) => verdict.again,
        }
    }
}

/// The result of a rule, or of all rules together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// What is demanded holds.
    Pass,
    /// It does not hold.
    Fail,
    /// It could not be told; never a pass.
    Error,
    /// The rule does not apply.
    Skip,
}

impl Outcome {
    /// The outcome as results and metrics write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "Pass",
            Self::Fail => "Fail",
            Self::Error => "Error",
            Self::Skip => "Skip",
        }
    }

    /// Of two parts: Error if any errs, else Fail, else Pass if any passed, else Skip.
    pub(super) const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Error, _) | (_, Self::Error) => Self::Error,
            (Self::Fail, _) | (_, Self::Fail) => Self::Fail,
            (Self::Pass, _) | (_, Self::Pass) => Self::Pass,
            (Self::Skip, Self::Skip) => Self::Skip,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What one rule says of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleVerdict {
    /// The rule's name.
    pub rule: Arc<str>,
    /// The rule's severity, or else the policy's.
    pub severity: Severity,
    /// The result.
    pub outcome: Outcome,
    /// The failing and erring nodes; empty if the rule passed or was skipped. At most [`NODES_PER_RULE`].
    pub nodes: Vec<NodeVerdict>,
    /// How many failing and erring nodes are not listed.
    pub more: usize,
    /// What exceptions cover: the whole object of a rule that is skipped for it, or containers beside which the rule
    /// was judged. At most [`NODES_PER_RULE`].
    pub excepted: Vec<Excepted>,
    /// Skipped, since it is reported at the object's controller.
    pub owned: bool,
}

/// What an exception covers for one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excepted {
    /// The exception's name.
    pub exception: Arc<str>,
    /// The container's place, as `spec.template.spec.containers[0]`; `None` for the object.
    pub path: Option<Box<str>>,
}

/// An exception that fits an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The exception's name.
    pub exception: Arc<str>,
    /// Whether a rule would fail or err without exceptions.
    pub needed: bool,
}

/// How many nodes of a rule are listed; the rest is counted. A thousand bad elements are one defect.
pub const NODES_PER_RULE: usize = 1 + MAX_OTHER_PATHS;

/// A node that failed, or could not be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeVerdict {
    /// The real place, as `spec.template.spec.initContainers[0].image`.
    pub path: Box<str>,
    /// What was found, redacted and cut; `not set` where nothing was.
    pub actual: Box<str>,
    /// What the rule wants.
    pub expected: Box<str>,
    /// What a person reads: the rule's message, or one made from it; of an error, why and what to do.
    pub message: Box<str>,
}
