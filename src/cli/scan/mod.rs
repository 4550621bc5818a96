//! `watchpolicy scan`: the objects of a live cluster, read-only and once.
//!
//! The same engine as in the operator: [`plan`] works out the least that must be listed, [`pages`] reads it page by page,
//! and [`sweep`] judges each item as it comes and keeps what there is to report. What an object may share with its
//! controller is judged when everything was seen, by [`kin`]. [`refusal`] words what could not be had.

mod command;
mod kin;
mod pages;
mod plan;
mod policies;
mod progress;
mod refusal;
mod sweep;

pub use command::{ScanArgs, run};
