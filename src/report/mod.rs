//! Room `report`: from the ledger to what users read.
//!
//! [`render`] makes a policy's status, purely; [`StatusWriter`] brings it to the server when it changed, and no more
//! often than the contract says; [`Finalizers`] keep policies there until what they wrote is taken back; [`list`] tells all violations; [`samples`] is the same for the metrics page.

mod conditions;
mod finalizer;
mod listing;
mod pace;
mod patch;
mod question;
mod samples;
mod shown;
mod status;
mod writer;

pub use conditions::Writes;
pub use finalizer::{FinalizerPatch, FinalizerStore, Finalizers};
pub use listing::{Listed, Listing, NotReady, list};
pub use patch::{StatusPatch, StatusStore, WriteFault};
pub use question::{Position, Question};
pub use samples::samples;
pub use status::{View, render};
pub use writer::{Left, Settings, StatusWriter};

#[cfg(test)]
mod cases;
