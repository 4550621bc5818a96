//! The hot path beside what else could be taken for it, on the same input in one run: `make bench`. Times first, by
//! criterion; then, where valgrind is installed, instructions, which no other load on the machine changes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark that meets the unexpected should stop there and then"
)]

use std::env;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion};

use instructions::Workload;

#[path = "../../tests/fixtures/mod.rs"]
mod fixtures;
mod instructions;
mod workloads;

/// Short times: the ratios matter, and are far from each other.
fn short() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(30)
        .without_plots()
        .configure_from_args()
}

fn main() {
    let workloads = workloads::all();
    if let Some((name, runs)) = instructions::wanted(env::args()) {
        let Workload { prepare, .. } =
            workloads.iter().find(|workload| workload.full_name() == name).unwrap();
        let mut run = prepare();
        return (0..runs).for_each(|_| run());
    }
    let mut criterion = short();
    for Workload { group, name, size, prepare } in &workloads {
        let mut group = criterion.benchmark_group(*group);
        let mut run = prepare();
        group.bench_function(BenchmarkId::new(*name, size), |bencher| bencher.iter(&mut run));
        group.finish();
    }
    criterion.final_summary();
    // Without `--bench` it is a test that all of them run.
    if env::args().any(|argument| argument == "--bench") {
        instructions::count(&workloads, 1);
    }
}
