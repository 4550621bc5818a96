//! A model of the writing side: two and three replicas of the real rooms, each with a line of its own to an API server
//! in the process, under paused time. What goes wrong follows from a seed.
//!
//! `MODEL_SEEDS` is how many seeds are tried; `MODEL_SEED` tries one, and prints what was asked of the server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    reason = "a test that meets the unexpected should stop there and then"
)]

mod api;
mod cluster;
mod editions;
mod end;
mod feed;
mod fields;
mod law;
mod network;
mod policies;
mod replica;
mod story;
mod world;

use std::collections::BTreeMap;

use network::Fault;
use story::Plan;
use world::{Outcome, run};

/// So many seeds are a part of every run of the tests.
const SEEDS: u64 = 200;

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}")))
}

/// All that is needed to look into what went wrong.
fn told(what: &str, outcome: &Outcome) -> Option<String> {
    let (log, breaches) = (outcome.log.join("\n"), outcome.breaches.join("\n  "));
    (!outcome.breaches.is_empty()).then(|| format!("{log}\n\n{what}:\n  {breaches}"))
}

fn hold(what: &str, outcome: &Outcome) {
    if let Some(told) = told(what, outcome) {
        panic!("{told}");
    }
}

#[test]
fn whatever_goes_wrong_one_writes_at_a_time_and_in_the_end_all_is_right_and_still() {
    let one = from_env("MODEL_SEED");
    let seeds = one.map_or(0..from_env("MODEL_SEEDS").unwrap_or(SEEDS), |seed| seed..seed + 1);
    let (mut references, mut failing) = (BTreeMap::new(), Vec::new());
    for seed in seeds {
        let calm = Plan::calm(seed);
        let reference = references.entry(calm.seed).or_insert_with(|| {
            let outcome = run(calm, None);
            hold(&format!("seed {seed}, when nothing goes wrong"), &outcome);
            outcome.end
        });
        let outcome = run(Plan::stormy(seed), Some(reference));
        if one.is_some() {
            println!("{}", outcome.log.join("\n"));
        }
        let what = format!("seed {seed} (again: MODEL_SEED={seed} cargo test --test model)");
        if let Some(told) = told(&what, &outcome) {
            println!("{what}:\n  {}", outcome.breaches.join("\n  "));
            failing.push(told);
        }
    }
    // Of many, one is enough to begin with.
    if let Some(first) = failing.first() {
        panic!("{first}\n{} seeds fail", failing.len());
    }
}

#[test]
fn a_new_leader_that_finds_all_as_it_is_told_writes_nothing() {
    let outcome = run(Plan::handover(), None);
    hold("when a leader is killed", &outcome);
    let after = outcome.log.iter().skip_while(|line| !line.contains("Kill"));
    let is_write = |line: &&String| line.contains(" PATCH ") && !line.contains(" PATCH dry ");
    let writes: Vec<_> = after.clone().filter(is_write).collect();
    assert!(after.clone().any(|line| line.contains("replica-1_")), "somebody else leads: {:?}", outcome.log);
    assert!(writes.is_empty(), "{writes:#?}");
}

#[test]
fn a_leader_may_die_or_stop_before_and_after_any_of_its_requests() {
    let calm = run(Plan::short(None), None);
    hold("when nothing goes wrong", &calm);
    for (class, requests) in calm.requests {
        assert!(requests > 10, "{requests} of {class:?}");
        for number in 1..=requests {
            for fault in [Fault::CrashBefore, Fault::CrashAfter] {
                let outcome = run(Plan::short(Some(((class, number), fault))), Some(&calm.end));
                hold(&format!("{fault:?} of request {number} of {class:?}"), &outcome);
            }
        }
    }
}
