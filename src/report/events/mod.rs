//! Events (`events.k8s.io/v1`): what happened, for `kubectl describe` and whoever follows events.
//!
//! What a policy became is told on the policy, from the difference between two statuses, so that a restart tells nothing
//! again. What became of single objects comes as news of the ledger. Events are hints that the server keeps for an hour:
//! the same told again is counted in a series, what is too much is dropped and counted, and nobody waits for any of it.

mod announcement;
mod changes;
mod object;
mod series;
mod writer;

pub(super) use announcement::Announcement;
pub(super) use changes::changes;
pub use writer::{Announcer, EventWriter, Settings};
