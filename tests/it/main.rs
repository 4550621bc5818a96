//! Tests of the whole on a real control plane. One binary, since each links the Kubernetes client again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected should stop there and then"
)]
#![allow(
    clippy::print_stdout,
    reason = "what was measured on the way is told to whoever runs with --nocapture"
)]

mod alerts;
mod alone;
mod bulk;
mod chart;
mod consents;
mod controlplane;
mod crd;
mod cures;
mod ends;
mod enforce;
mod events;
mod exceptions;
mod faults;
mod fields;
mod fixes;
mod handover;
mod leader;
mod logs;
mod meddling;
mod namespaced;
mod pipeline;
mod proxy;
mod reader;
mod recipes;
mod release;
mod reports;
mod rights;
mod scale;
mod scan;
mod snippets;
mod values;
mod violations;
mod waits;
mod walks;
mod words;
mod world;

#[allow(dead_code, unused_imports, reason = "the harness is shared with the demo; each needs a part of it")]
#[path = "../harness/mod.rs"]
mod harness;
