//! Fuzzes a policy and an object: `cargo +nightly fuzz run policies fuzz/corpus/policies fuzz/seeds/policies`.

#![no_main]

#[path = "../bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::policy(input));
