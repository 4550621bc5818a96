//! The contract: what users write in a WatchPolicy and read in its status, as Rust types.
//!
//! [`spec`] is the policy, [`rule`] what it demands, [`check`] the sentence that rules are made of,
//! [`status`] what the operator answers. [`schema`] turns the types into the CRD that the API server enforces:
//! what a schema or a CEL rule can say in good words is said there, the rest is left to the policy compiler.

#![allow(unreachable_pub, reason = "the schema derive copies each public struct into a function")]

pub mod check;
mod free;
pub mod rule;
pub mod schema;
pub mod spec;
pub mod status;
#[cfg(test)]
mod tests;

pub use check::{As, Assert, Check, Measure, Patterns, Quantifier, ValueType, WhenAbsent};
pub use rule::{Append, Branch, Exception, Fix, Rule};
pub use schema::crd_json;
pub use spec::{
    Enforcement, MAX_MATCH, Mode, OnConflict, OnDelete, OwnedObjects, Severity, SystemNamespaces, Target,
    WatchPolicy, WatchPolicySpec,
};
pub use status::{
    ExceptionStatus, FixStatus, MAX_MESSAGE, MAX_OTHER_PATHS, MAX_PATH, Summary, TargetState, TargetStatus,
    Violation, ViolationObject, ViolationResult, WatchPolicyStatus,
};
