//! Fuzzes files of the command line: `cargo +nightly fuzz run texts fuzz/corpus/texts fuzz/seeds/texts`.

#![no_main]

#[path = "../bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::text(input));
