//! SARIF 2.1.0 (OASIS), which code scanning services read.

use std::collections::BTreeSet;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use crate::cli::finding::{Finding, Level};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";
/// What a path may hold in a URI (RFC 3986).
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The findings as one run; `complete` says whether everything could be read and judged.
///
/// # Errors
/// Never for findings.
pub(in crate::cli) fn sarif(findings: &[Finding], complete: bool) -> anyhow::Result<String> {
    let rules: BTreeSet<&str> = findings.iter().map(|finding| finding.rule.as_str()).collect();
    let rules: Vec<&str> = rules.into_iter().collect();
    let described: Vec<Value> = rules.iter().map(|rule| description(rule)).collect();
    let results: Vec<Value> = findings.iter().map(|finding| result(finding, &rules)).collect();
    super::json(&json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "watchpolicy",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": described,
            }},
            "invocations": [{"executionSuccessful": complete}],
            "results": results,
        }],
    }))
}

/// GitHub wants all three texts.
fn description(rule: &str) -> Value {
    let text = json!({"text": rule});
    json!({"id": rule, "shortDescription": text, "fullDescription": text, "help": text})
}

fn result(finding: &Finding, rules: &[&str]) -> Value {
    let Finding { rule, level, file, line, about, message } = finding;
    let level = match level {
        Level::Note => "note",
        Level::Warning => "warning",
        Level::Error => "error",
    };
    let mut location = Map::new();
    if let Some(file) = file {
        let mut physical = Map::from_iter([("artifactLocation".to_owned(), json!({"uri": uri(file)}))]);
        physical.extend(line.map(|line| ("region".to_owned(), json!({"startLine": line}))));
        location.insert("physicalLocation".to_owned(), physical.into());
    }
    if let Some(about) = about {
        location.insert("logicalLocations".to_owned(), json!([{"fullyQualifiedName": about}]));
    }
    json!({
        "ruleId": rule,
        "ruleIndex": rules.iter().position(|known| known == rule),
        "level": level,
        "message": {"text": message},
        "locations": [location],
    })
}

fn uri(file: &str) -> String {
    let encoded = utf8_percent_encode(file, PATH).to_string();
    if file.starts_with('/') { format!("file://{encoded}") } else { encoded }
}
