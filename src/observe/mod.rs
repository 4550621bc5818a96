//! What the cluster holds.
//!
//! [`wire`] speaks LIST and WATCH; [`informer`] is the state machine that keeps a [`informer::Sink`] equal to a
//! collection; [`policies`] follows WatchPolicy objects, and [`statuses`] is what they show of these; [`catalog`] follows
//! what the cluster serves, and [`fleet`] starts and stops an informer for each wanted watch; [`turns`] keeps their lists
//! from storming the server. [`board`] is what the fleet tells about its targets.
//! Nothing here judges, and nothing here writes to the cluster, `SelfSubjectAccessReview` aside.

pub mod board;
pub mod catalog;
mod definitions;
mod discovery;
pub mod fleet;
pub mod informer;
pub mod policies;
mod samples;
mod shelf_sink;
mod standing;
pub mod statuses;
mod telling;
#[cfg(test)]
mod trials;
pub mod turns;
mod version;
pub mod wire;

pub use samples::samples;
