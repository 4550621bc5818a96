//! From a key to a verdict: the workers that take keys from the queue, judge the objects, and enter what they find in
//! the ledger.

mod journal;
mod worker;

pub use worker::Worker;
