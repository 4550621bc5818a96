//! The law, from a policy's text to its verdicts.

mod bodies;
pub(in crate::policy) mod cases;
mod exceptions;
mod faults;
mod fixes;
mod globs;
mod law;
mod measures;
mod messages;
mod objects;
mod operators;
mod projection;
mod sharing;
mod surroundings;
