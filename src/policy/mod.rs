//! The law: a WatchPolicy is compiled once, with all its faults told at once, and then judges documents.
//!
//! [`compile()`] makes a [`CompiledPolicy`] of a policy, or says everything that is wrong with it. The program knows
//! which objects it takes ([`CompiledPolicy::takes`]), what it reads of them ([`CompiledPolicy::read`]) and judges
//! one at a time ([`CompiledPolicy::judge`]). Everything here is pure: no cluster, no clock, no log.

mod assertion;
mod check;
mod compile;
mod fault;
mod glob;
mod judge;
mod message;
mod pattern;
mod program;
mod render;
mod report;
mod scope;
mod selector;
#[cfg(test)]
mod tests;
mod verdict;

pub use compile::{Settings, compile};
pub use fault::{Fault, FaultReason, Faults};
pub use judge::Subject;
pub use program::{CompiledPolicy, CompiledTarget};
pub use selector::Selector;
pub use verdict::{Judgement, NODES_PER_RULE, NodeVerdict, Outcome, RuleVerdict, Verdict};
