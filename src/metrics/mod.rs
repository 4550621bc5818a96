//! Room `metrics`: every series in one place, under the names of the contract.
//!
//! Other rooms get small structs of handles whose labels were resolved once, so that counting in the hot path looks
//! nothing up. Gauges about the cluster are read from their owner at the moment of the scrape: a policy or a target
//! that went has no series left. No label ever holds an object's name, a path or a message.

mod priority;
mod queue;
mod requests;
mod scrape;
mod series;
mod work;

pub use priority::{PerPriority, Priority};
pub use queue::{QueueSeries, Reconcile};
pub use requests::{RequestSeries, client};
pub use scrape::{InformerSample, PolicySample};
pub use series::{
    EventType, Metrics, PolicySeries, Remediation, ReportWrite, TargetSeries, VerdictResult, WatchFailure,
};
pub use work::{PrioritySample, WorkSample, Workload};
