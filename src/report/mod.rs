//! Room `report`: from the ledger to what users read.
//!
//! [`render`] makes a policy's status, purely; [`StatusWriter`] brings it to the server when it changed, and no more
//! often than the contract says; [`Finalizers`] keep policies there until what they wrote is taken back; [`list`] tells
//! all violations; [`samples`] is the same for the metrics page. [`events`] tells what happened, [`openreports`] writes what is found on each object beside it, in a form that others read.

mod conditions;
pub mod events;
mod finalizer;
mod listing;
pub mod openreports;
mod pace;
mod patch;
mod question;
mod reason;
mod rests;
mod samples;
mod schedule;
mod server;
mod shown;
mod status;
mod writer;

pub use conditions::Writes;
pub use finalizer::{Awaits, FinalizerFault, FinalizerPatch, FinalizerStore, Finalizers};
pub use listing::{Listed, Listing, NotReady, list};
pub use patch::{StatusPatch, StatusStore, WriteFault};
pub use question::{Position, Question};
pub use reason::Reason;
pub use samples::samples;
pub use shown::{printable, printable_json, printable_lines};
pub use status::{View, render};
pub use writer::{Left, Settings, Sources, StatusWriter};

#[cfg(test)]
mod cases;
#[cfg(test)]
mod fake;
