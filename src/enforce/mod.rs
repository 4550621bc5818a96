//! From a key to a verdict, and from a failing one to a fix.
//!
//! [`Worker`]s take keys from the queue, judge the objects, and enter what they find in the ledger. [`Fixer`]s take
//! the keys on which a rule with a fix fails, from a queue of their own, so that judging never waits for a write; [`Gate`]
//! is the only place from which a judged object is changed.

mod budget;
mod case;
mod contest;
mod denials;
mod fixer;
mod gate;
mod go_json;
mod journal;
mod leftovers;
mod looks;
mod namespaces;
mod pause;
mod proposal;
mod record;
mod recorder;
mod refusal;
mod rest;
mod sweep;
mod versions;
mod worker;

pub use fixer::{Consents, Fixer, Parts, Rights, Settings};
pub use gate::Gate;
pub use leftovers::Leftovers;
pub use recorder::Places;
pub use worker::Worker;
