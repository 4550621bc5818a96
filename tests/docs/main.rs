//! The documentation against the code: what drifts apart is said here.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected should stop there and then"
)]

mod blocks;
mod reference;
mod shell;
mod snippets;
mod values;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use regex::Regex;
use serde_json::Value;
use watchpolicy::cli::Cli;
use watchpolicy::metrics::Remediation;
use watchpolicy::report::Reason;

use crate::blocks::{pages, read, root};

/// The headings of a page, as they stand.
fn headings(page: &str) -> BTreeSet<String> {
    read(page).lines().filter_map(|line| line.strip_prefix("## ")).map(str::to_owned).collect()
}

/// As GitHub makes them of headings.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|letter| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter));
    kept.collect::<String>().replace(' ', "-")
}

#[test]
fn each_alert_has_a_runbook_where_it_says_and_each_runbook_an_alert() {
    let rules: Value = serde_saphyr::from_str(&read("charts/watchpolicy/files/alerts.yaml")).unwrap();
    let mut alerts = BTreeSet::new();
    for rule in rules["groups"][0]["rules"].as_array().unwrap() {
        let alert = rule["alert"].as_str().unwrap();
        let runbook = format!("RUNBOOKS#{}", anchor(alert));
        assert_eq!(rule["annotations"]["runbook_url"], runbook.as_str(), "{alert}");
        alerts.insert(alert.to_owned());
    }
    assert_eq!(headings("docs/runbooks.md"), alerts);
}

/// The states that a target can have, as the definition lists them.
fn target_states() -> BTreeSet<String> {
    let crd: Value = serde_saphyr::from_str(&read("crds/watchpolicy.yaml")).unwrap();
    let status = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"];
    let states = &status["properties"]["targets"]["items"]["properties"]["state"]["enum"];
    states.as_array().unwrap().iter().map(|state| state.as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_reason_of_a_condition_and_each_state_of_a_target_has_a_section_and_each_section_of_one_word_is_one() {
    let mut words: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.as_str().to_owned()).collect();
    words.extend(target_states());
    let mut sections = headings("docs/troubleshooting.md");
    sections.retain(|heading| heading.chars().all(char::is_alphanumeric));
    assert_eq!(sections, words);
}

#[test]
fn each_reason_is_given_by_some_condition() {
    let conditions = read("src/report/conditions.rs") + &read("src/report/listing.rs");
    let is_given = |reason: &&Reason| {
        let is_of_fault = [Reason::Invalid, Reason::TargetNotAllowed, Reason::FixNotAllowed].contains(reason);
        is_of_fault || conditions.contains(&format!("Reason::{}", reason.as_str()))
    };
    let unused: Vec<_> = Reason::ALL.iter().filter(|reason| !is_given(reason)).collect();
    assert!(unused.is_empty(), "no condition has the reason {unused:?}");
}

#[test]
fn each_outcome_of_a_fix_is_explained() {
    let (page, explain) = (read("docs/enforcement.md"), read("docs/reference.md"));
    let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let row = explain.lines().find(|line| line.starts_with("| `violations[].fix.outcome`")).unwrap();
    for outcome in Remediation::ALL {
        let word = outcome.as_str();
        let is_told = rows.iter().any(|row| row.split(" | ").next().unwrap().contains(&format!("`{word}`")));
        assert!(is_told, "docs/enforcement.md does not explain {word}");
        assert!(row.contains(word), "kubectl explain does not name {word}");
    }
}

/// The reference of the flags, from what `--help` is made of.
fn flags() -> String {
    let mut text = "# Flags of `watchpolicy run`\n\nEach has a twin in the environment, and goes before it. Written by `UPDATE_DOCS=1 cargo test --test docs`.\n".to_owned();
    let mut command = Cli::command();
    command.build();
    let run = command.find_subcommand("run").unwrap();
    let mut groups: Vec<(&str, Vec<&clap::Arg>)> = Vec::new();
    for flag in run.get_arguments().filter(|flag| flag.get_env().is_some()) {
        let heading = flag.get_help_heading().unwrap_or("General");
        match groups.iter_mut().find(|(known, _)| *known == heading) {
            Some((_, flags)) => flags.push(flag),
            None => groups.push((heading, vec![flag])),
        }
    }
    for (heading, flags) in groups {
        write!(text, "\n## {heading}\n\n| flag | default | meaning |\n| --- | --- | --- |\n").unwrap();
        for flag in flags {
            let value = flag.get_value_names().filter(|_| flag.get_action().takes_values());
            let value = value.and_then(|names| names.first());
            let value = value.map(|name| format!(" {name}")).unwrap_or_default();
            let defaults: Vec<_> =
                flag.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
            let default =
                if defaults.is_empty() { String::new() } else { format!("`{}`", defaults.join(",")) };
            let help = flag.get_help().unwrap().to_string().replace('\n', " ").replace('|', "\\|");
            let env = flag.get_env().unwrap().to_string_lossy();
            let name = flag.get_long().unwrap();
            writeln!(text, "| `--{name}{value}`<br>`{env}` | {default} | {help} |").unwrap();
        }
    }
    text
}

#[test]
fn the_reference_of_the_flags_is_what_the_help_says() {
    let page = root().join("docs/flags.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&page, flags()).unwrap();
    }
    let same = std::fs::read_to_string(&page).is_ok_and(|held| held == flags());
    assert!(same, "docs/flags.md says otherwise than --help: run `UPDATE_DOCS=1 cargo test --test docs`");
}

#[test]
fn each_event_that_is_told_is_explained() {
    let page = read("docs/events-and-reports.md");
    let product = |file: &str| {
        let text = read(&format!("src/report/events/{file}.rs"));
        text.split("#[cfg(test)]").next().unwrap().to_owned()
    };
    let words = product("announcement") + &product("changes");
    // The first argument of what makes a happening, and reasons that are chosen before it is made.
    let reason = Regex::new(r#"(?m)(?:normal|warning)\(\s*"([A-Za-z]+)"|^ +"(Fix[A-Za-z]+)"$"#).unwrap();
    let found = reason.captures_iter(&words).filter_map(|found| found.iter().skip(1).flatten().next());
    let reasons: BTreeSet<_> = found.map(|reason| reason.as_str()).collect();
    assert!(reasons.len() >= 14, "{reasons:?}");
    let missing: Vec<_> =
        reasons.iter().filter(|reason| !page.contains(&format!("| `{reason}` |"))).collect();
    assert!(missing.is_empty(), "docs/events-and-reports.md does not explain {missing:?}");
}

#[test]
fn each_link_between_pages_leads_to_a_page_and_a_heading_that_are_there() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut broken = Vec::new();
    for page in pages() {
        let text = read(&page);
        for target in link.captures_iter(&text).map(|found| found[1].to_owned()) {
            if target.contains("://") {
                continue;
            }
            let (path, heading) = target.split_once('#').unwrap_or((&target, ""));
            let here = Path::new(&page).parent().unwrap();
            let path = if path.is_empty() { PathBuf::from(&page) } else { here.join(path) };
            let found = std::fs::read_to_string(root().join(&path));
            let has = |text: &str| {
                text.lines()
                    .filter(|line| line.starts_with('#'))
                    .any(|line| anchor(line.trim_start_matches(['#', ' '])) == heading)
            };
            if !root().join(&path).exists() || (!heading.is_empty() && !found.is_ok_and(|text| has(&text))) {
                broken.push(format!("{page}: {target}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_page_can_be_reached_from_the_readme() {
    let text = read("README.md") + &read("docs/quick-start.md");
    for page in pages().iter().filter_map(|page| page.strip_prefix("docs/")) {
        assert!(text.contains(page), "README.md does not lead to docs/{page}");
    }
}
