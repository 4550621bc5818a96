//! How results are printed, one file a format.

mod data;
mod table;

pub(super) use data::{json, yaml};
pub(super) use table::results as table;
