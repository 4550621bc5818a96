//! Room `metrics`: every series in one place, under the names of the contract.
//!
//! Other rooms get small structs of handles whose labels were resolved once, so that counting in the hot path looks
//! nothing up. Gauges about the cluster are read from their owner at the moment of the scrape: a policy or a target
//! that went has no series left. No label ever holds an object's name, a path or a message.

mod labels;
mod priority;
mod queue;
mod requests;
mod scrape;
mod series;
#[cfg(test)]
mod tests;
mod work;

pub use labels::{EventType, Remediation, ReportWrite, VerdictResult, WatchFailure};
pub use priority::{PerPriority, Priority};
pub use queue::{QueueSeries, Reconcile};
pub use requests::{RequestSeries, client};
pub use scrape::{InformerSample, PolicySample};
pub use series::{Metrics, PolicySeries, TargetSeries};
pub use work::{PrioritySample, WorkSample, Workload};
