//! Fuzzes an item of a list: `cargo +nightly fuzz run items fuzz/corpus/items fuzz/seeds/items`.

#![no_main]

#[path = "../bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::item(input));
