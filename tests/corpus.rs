//! What the fuzzer starts from, and what is too large to be stored, through what the fuzz targets run: `fuzz/bodies.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that meets the unexpected should stop there and then"
)]

use std::fs;
use std::path::Path;
use std::thread;

#[path = "../fuzz/bodies.rs"]
mod bodies;

/// Runs a target on each of its seeds.
fn replay(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let seeds: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(seeds.len() >= 5, "{} seeds of {target}", seeds.len());
    for seed in seeds {
        body(&fs::read(&seed).unwrap());
    }
}

/// So many levels of arrays.
fn deep(levels: usize) -> String {
    "[".repeat(levels) + &"]".repeat(levels)
}

fn array(elements: usize) -> String {
    format!("[{}]", vec![r#"{"a":{"b":1}}"#; elements].join(","))
}

fn on_pods(rule: &str) -> String {
    format!(r#"{{"targets":[{{"resources":["pods"]}}],"rules":[{{"name":"r",{rule}}}]}}"#)
}

fn object(member: &str) -> String {
    format!(r#"{{"metadata":{{"name":"a"}},"a":{member}}}"#)
}

#[test]
fn the_seeds_of_paths_hold() {
    replay("paths", bodies::path);
}

#[test]
fn the_seeds_of_policies_hold() {
    replay("policies", bodies::policy);
}

#[test]
fn the_seeds_of_items_hold() {
    replay("items", bodies::item);
}

#[test]
fn the_seeds_of_texts_hold() {
    replay("texts", bodies::text);
}

#[test]
fn large_and_deep_values_are_answered() {
    for value in [deep(120), deep(128), deep(100_000), array(20_000), format!("\"{}\"", "a".repeat(1 << 20))]
    {
        for path in ["$", "$..a", "$..*..*", "$[*].a.b", "$[?@.a.b==1]", "$[?search(@,'(a|b)*c')]", "$[::-1]"]
        {
            bodies::path(format!("{path}\n{value}").as_bytes());
        }
        bodies::item(object(&value).as_bytes());
    }
}

#[test]
fn long_paths_are_answered() {
    let paths = [
        format!("${}", ".a".repeat(600)),
        format!("${}", "..*".repeat(60)),
        format!("$[{}0]", "0,".repeat(400)),
        format!("$[?{}@.a{}]", "(".repeat(300), ")".repeat(300)),
        format!("$[?{}@.a]", "!".repeat(900)),
        format!("$[?search(@,'{}')]", "(a|b?)*".repeat(130)),
        "[".repeat(1 << 20),
    ];
    for path in paths {
        bodies::path(format!("{path}\n{}", array(100)).as_bytes());
    }
}

#[test]
fn hostile_policies_and_objects_are_answered() {
    let long = "(a{0,9}){0,9}".repeat(60);
    let rules = [
        format!(r#""path":"$.a","assert":{{"matches":"{long}"}}"#),
        r#""path":"$..a..b","assert":{"equals":1}"#.to_owned(),
        r#""forEach":"$.a[*]","path":"$object..b","assert":{"unique":true}"#.to_owned(),
        format!(r#""path":"$.a","assert":{{"equals":{}}}"#, deep(100)),
    ];
    for rule in rules {
        for value in [deep(100), deep(1_000), array(20_000), format!("\"{}\"", "a".repeat(1 << 20))] {
            bodies::policy(format!("{}\n{}", on_pods(&rule), object(&value)).as_bytes());
        }
    }
}

#[test]
fn hostile_files_are_answered() {
    let merged = (1..60).map(|level| format!("k{level}: &a{level} [*a{0}, *a{0}]\n", level - 1));
    let bomb = format!("k0: &a0 [x]\n{}", merged.collect::<String>());
    let texts =
        [deep(100_000), format!("a: {}", deep(10_000)), bomb, "- ".repeat(10_000), "---\n".repeat(10_000)];
    let answer = move || texts.iter().for_each(|text| bodies::text(text.as_bytes()));
    // The command line reads on the main thread. Without optimisation 128 levels take 3 MiB; a test's thread has 2.
    thread::Builder::new().stack_size(8 << 20).spawn(answer).unwrap().join().unwrap();
}
