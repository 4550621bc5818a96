//! Which resource a kind is: a file says `Deployment`, a policy says `deployments`.
//!
//! [`known`] asks the custom resource definitions among the inputs, the list that `kubectl api-resources` printed, and
//! the [`builtin`] table, in this order; what none of them knows is guessed as kubectl does, and said so.

pub(super) mod builtin;
mod known;
mod listing;

pub(super) use known::Kinds;
