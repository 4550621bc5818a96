//! Room `leader`: which replica may write.
//!
//! [`Elector`] holds, or waits for, the Lease (`coordination.k8s.io/v1`), by the rules of client-go's leader election
//! with monotonic time; [`Leadership`] tells the rest of the process whether it is the leader, and hands out a
//! [`Permit`] to whoever is about to write. A permit ends by itself, earlier than any other replica can take over.

mod elector;
mod lease;
mod permit;
mod store;
#[cfg(test)]
pub(crate) mod testing;

pub use elector::{Elector, Settings};
pub use lease::Lease;
pub use permit::{AFTERMATH, Leadership, Lost, Permit};
pub use store::{LeaseFault, LeaseStore, Place, follow};
