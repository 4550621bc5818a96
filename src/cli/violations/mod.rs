//! `watchpolicy violations`: all violations, as the operator in the cluster knows them.
//!
//! The question goes to the operator's Service through the API server's proxy, so that a kubeconfig is all that is
//! needed. That proxy takes the `Authorization` header out, and a token that the API server takes has no business in a
//! pod: so a short-lived token of a ServiceAccount that may do nothing but list WatchPolicies is asked for, for the
//! audience `watchpolicy`, and sent in a header of its own.

mod ask;
mod command;
mod print;

pub use command::{ViolationsArgs, run};
