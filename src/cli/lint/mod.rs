//! `watchpolicy lint`: everything that is wrong with policies, before a server sees them.
//!
//! [`schema`] tells what the API server would refuse or silently drop, [`remarks`] adds what compiling finds, and
//! [`command`] prints.

mod command;
mod remarks;
mod schema;

pub use command::{LintArgs, run};
pub(in crate::cli) use remarks::program_of;
