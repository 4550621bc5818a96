//! The reference of the chart's values.

use std::fmt::Write;

use serde_json::Value;

use crate::blocks::{read, root};

/// A value of the chart: its path, and what stands above it in `values.yaml`.
struct Explained {
    path: Vec<String>,
    words: String,
}

/// The values of the chart that are explained, in order.
fn explained(values: &str) -> Vec<Explained> {
    let (mut all, mut path, mut words) = (Vec::new(), Vec::<String>::new(), None::<String>);
    for line in values.lines() {
        let depth = (line.len() - line.trim_start().len()) / 2;
        let line = line.trim();
        if let Some(begin) = line.strip_prefix("# -- ") {
            words = Some(begin.to_owned());
        } else if let (Some(words), Some(more)) = (&mut words, line.strip_prefix("# ")) {
            words.push(' ');
            words.push_str(more);
        } else if let Some((name, _)) = line.split_once(':').filter(|_| !line.starts_with(['#', '-'])) {
            path.truncate(depth);
            path.push(name.to_owned());
            all.extend(words.take().map(|words| Explained { path: path.clone(), words }));
        }
    }
    all
}

/// The reference of the chart's values, from what stands in `values.yaml`.
fn values() -> String {
    let mut text = "# Values of the chart\n\nAs in [`values.yaml`](../charts/watchpolicy/values.yaml); a name that is not known is refused. Written by `UPDATE_DOCS=1 cargo test --test docs`.\n\n| value | default | meaning |\n| --- | --- | --- |\n".to_owned();
    let written = read("charts/watchpolicy/values.yaml");
    let parsed: Value = serde_saphyr::from_str(&written).unwrap();
    for Explained { path, words } in explained(&written) {
        let default = path.iter().fold(&parsed, |value, name| &value[name]);
        let words = words.replace('|', "\\|");
        writeln!(text, "| `{}` | `{default}` | {words} |", path.join(".")).unwrap();
    }
    text
}

#[test]
fn the_reference_of_the_values_is_what_the_chart_says() {
    let page = root().join("docs/values.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&page, values()).unwrap();
    }
    let same = std::fs::read_to_string(&page).is_ok_and(|held| held == values());
    assert!(same, "docs/values.md says otherwise than the chart: run `UPDATE_DOCS=1 cargo test --test docs`");
}
