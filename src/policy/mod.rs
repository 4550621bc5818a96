//! The law: a WatchPolicy is compiled once, with all its faults told at once, and then judges documents.
//!
//! [`compile()`] makes a [`CompiledPolicy`] of a policy, or says everything that is wrong with it. The program knows
//! which objects it takes ([`CompiledPolicy::takes`]), what it reads of them ([`CompiledPolicy::read`]) and judges
//! one at a time ([`CompiledPolicy::judge`]); what several find in one object is found once ([`SharedPaths`]). All policies at a moment are a [`PolicySet`]; with a [`catalog::Catalog`]
//! of what the cluster serves, [`demand`] works out the watches that they need. Everything here is pure: no cluster, no clock, no log.

mod advice;
mod assertion;
pub mod catalog;
mod check;
mod clock;
mod compile;
mod container;
mod contradiction;
mod decimal;
pub mod demand;
mod exception;
mod fault;
mod fence;
mod field;
mod fix;
mod glob;
mod image;
mod judge;
mod manager;
mod measure;
mod message;
mod meter;
mod network;
mod operator;
mod order;
mod owner;
mod patch;
mod pattern;
mod peers;
mod pointer;
mod program;
mod release;
mod render;
mod report;
mod ruling;
mod scale;
mod scope;
mod selector;
mod set;
mod shape;
mod sharing;
mod span;
#[cfg(test)]
mod tests;
mod texts;
mod verdict;

pub use advice::{Advice, advise};
pub use compile::{Settings, compile};
pub use contradiction::{Contradiction, contradictions};
pub use exception::CompiledException;
pub use fault::{Fault, FaultReason, Faults};
pub use fence::Fences;
pub use field::FieldSelector;
pub use fix::{Change, Mend, Obstacle, Write};
pub use judge::Subject;
pub use manager::{last_writer, owner_of};
pub use owner::{Relative, Relatives, is_followed};
pub use patch::{Changes, Patch, settle};
pub use pointer::{Pointer, Token};
pub use program::{CompiledPolicy, CompiledTarget};
pub use release::{Release, lets_go};
pub use scope::Taken;
pub use selector::Selector;
pub use set::{Claim, FINALIZER, PolicyEntry, PolicySet, PolicyState};
pub use shape::Shape;
pub use sharing::{Share, SharedPaths};
pub use verdict::{Excepted, Grant, Judgement, NODES_PER_RULE, NodeVerdict, Outcome, RuleVerdict, Verdict};
