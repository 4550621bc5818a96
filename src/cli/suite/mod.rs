//! `watchpolicy test`: suites of policies, objects and what is expected of them.
//!
//! [`file`] is what is written, [`run`] judges and compares, [`command`] prints.

mod command;
mod expect;
mod file;
mod run;

pub use command::{TestArgs, run};
