//! How results are printed, one file a format.

mod choice;
mod data;
mod github;
pub(super) mod junit;
mod sarif;
mod table;

pub(super) use choice::Format;
pub(super) use data::{json, yaml};
pub(super) use github::github;
pub(super) use junit::junit;
pub(super) use sarif::sarif;
pub(super) use table::{WIDEST, plain, results as table};
