//! For people: a row for each place that is wrong, and a line that sums up.

use std::fmt::Write;

use comfy_table::{Cell, Table, presets};

use crate::cli::results::{Entry, Results, RuleResult, Summary};

/// A table without lines, as kubectl prints them.
pub(in crate::cli) fn plain(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header.iter().map(Cell::new));
    for row in rows {
        table.add_row(row);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((u16::from(index > 0) * 3, 0));
    }
    table.trim_fmt() + "\n"
}

/// The column that is left out where nothing is in a file.
const FILE: usize = 5;

/// What is wrong, and how many results there are of each kind.
pub(in crate::cli) fn results(results: &Results) -> String {
    let mut rows: Vec<_> = results.results.iter().flat_map(of_entry).collect();
    let mut header = vec!["RESULT", "SEVERITY", "POLICY", "RULE", "OBJECT", "FILE", "MESSAGE"];
    if rows.iter().all(|row| row.get(FILE).is_some_and(String::is_empty)) {
        header.retain(|name| *name != "FILE");
        rows.iter_mut().for_each(|row| drop(row.remove(FILE)));
    }
    let mut text = String::new();
    if !rows.is_empty() {
        text = plain(&header, rows) + "\n";
    }
    let Summary { pass, fail, error, skip, violations } = results.summary;
    let s = if violations == 1 { "" } else { "s" };
    let _infallible = writeln!(
        text,
        "{pass} passed, {fail} failed, {error} errors, {skip} skipped; {violations} violation{s}"
    );
    text
}

fn of_entry(entry: &Entry) -> impl Iterator<Item = Vec<String>> {
    entry.findings().flat_map(|rule| of_rule(entry, rule))
}

fn of_rule(entry: &Entry, rule: &RuleResult) -> Vec<Vec<String>> {
    let row = |message: &str| {
        vec![
            rule.result.to_string(),
            crate::cli::severity::text(rule.severity).to_owned(),
            entry.policy.to_string(),
            rule.rule.to_string(),
            entry.object.to_string(),
            entry.place.as_ref().map(ToString::to_string).unwrap_or_default(),
            message.replace(char::is_control, " "),
        ]
    };
    let more = (rule.more > 0).then(|| row(&format!("and {} more", rule.more)));
    rule.nodes.iter().map(|node| row(&node.message)).chain(more).collect()
}
