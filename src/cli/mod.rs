//! Room `cli`: the command line of the one binary, and its offline commands.
//!
//! Exit status: 0 for success, 1 for a failure at run time, 2 for a wrong flag or value.

mod command;
pub mod crd;
pub mod query;

pub use command::{Cli, Command, refusal, version};
