//! Fuzzes a path and JSON: `cargo +nightly fuzz run paths fuzz/corpus/paths fuzz/seeds/paths`.

#![no_main]

#[path = "../bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::path(input));
