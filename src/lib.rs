//! WatchPolicy: policy and annotation enforcement for any Kubernetes resource.
//!
//! The rooms of the house, in the order in which data flows through them:
//!
//! | room | what happens there |
//! | --- | --- |
//! | [`crd`] | the contract: what users write and read |
//! | [`jsonpath`] | path text → program; projected documents; evaluation under a budget |
//! | [`policy`] | compile, demand, judge; pure |
//! | [`observe`] | what the cluster holds: policies, served resources, the objects of targets |
//! | [`store`] | documents by key; its reader is the lister |
//! | [`queue`] | the shared rate-limited work queue |
//! | [`enforce`] | workers, from a key to a verdict |
//! | [`ledger`] | verdicts by policy and object |
//! | [`report`] | from the ledger to status |
//! | [`leader`] | which replica may write |
//! | [`access`] | who may ask the operator for what |
//! | [`metrics`], [`http`], [`config`], [`logging`], [`shutdown`], [`cluster`], [`bucket`], [`bell`] | run the process |
//! | [`app`] | the composition root, the only file that knows everyone |
//! | [`cli`] | the command line |
//!
//! `docs/architecture.md` says why it is so; `tests/architecture.rs` holds it to that.

pub mod access;
pub mod app;
pub mod backoff;
pub mod bell;
pub mod bucket;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod crd;
pub mod enforce;
pub mod http;
pub mod jsonpath;
pub mod leader;
pub mod ledger;
pub mod logging;
pub mod metrics;
pub mod observe;
pub mod policy;
pub mod queue;
pub mod report;
pub mod resource;
pub mod shutdown;
pub mod store;
