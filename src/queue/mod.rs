//! Room `queue`: the shared rate-limited work queue. What client-go's workqueue is, and fairer.
//!
//! A key is processed by one worker at a time; added while it waits it is there once, added while it is processed it
//! runs again after. Priorities have shares of the workers, and none is starved by another; within a priority, targets
//! take turns. Keys put back after a failure wait longer each time, each for itself, and are never lost.

mod arena;
mod key;
mod lanes;
mod shared;
mod state;
mod targets;

pub use key::Key;
pub use shared::{Claim, Queue};
pub use state::{Retries, Retry};
