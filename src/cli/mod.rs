//! Room `cli`: the command line of the one binary, and its offline commands.
//!
//! Offline commands read by [`input`], find resources by [`kinds`], judge by [`judge`], and print by [`format`]; each
//! gives an [`Answer`]. `docs/cli.md` is their reference.

mod answer;
mod command;
pub mod completion;
mod counted;
pub mod crd;
pub mod eval;
mod family;
mod finding;
mod format;
mod hint;
mod input;
mod judge;
mod kinds;
pub mod lint;
pub mod query;
pub mod rbac;
mod results;
pub mod scan;
mod severity;
mod show;
pub mod suite;
pub mod violations;

pub use answer::Answer;
pub use command::{Cli, Command, parse, refusal, version};
