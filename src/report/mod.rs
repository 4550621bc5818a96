//! Room `report`: from the ledger to what users read.
//!
//! [`render`] makes a policy's status, purely; [`StatusWriter`] brings it to the server when it changed, and no more
//! often than the contract says; [`samples`] is the same for the metrics page.

mod conditions;
mod pace;
mod patch;
mod samples;
mod shown;
mod status;
mod writer;

pub use conditions::Writes;
pub use patch::{StatusPatch, StatusStore, WriteFault};
pub use samples::samples;
pub use status::{View, render};
pub use writer::{Settings, StatusWriter};

#[cfg(test)]
mod cases;
