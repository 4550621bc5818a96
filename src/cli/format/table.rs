//! For people: a row for each place that is wrong, and a line that sums up.

use std::fmt::Write;

use crate::cli::counted::counted;
use crate::cli::results::{Entry, Results, RuleResult, Summary};
use crate::report::printable;

/// Between two columns.
const GAP: &str = "   ";

/// The widest that a column is made for its cells. What is longer, as a name of no kind that Kubernetes has, stands out of
/// it alone.
pub(in crate::cli) const WIDEST: usize = 256;

/// A table without lines, as kubectl prints them, whatever the cells hold. Names in Kubernetes are ASCII, so a letter is a column wide.
pub(in crate::cli) fn plain(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = header.iter().map(|name| name.len()).collect();
    let rows: Vec<Vec<_>> = rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count()).min(WIDEST);
        }
    }
    let mut text = String::new();
    line(&mut text, &widths, header);
    rows.iter().for_each(|row| line(&mut text, &widths, row));
    text
}

fn line(text: &mut String, widths: &[usize], cells: &[impl AsRef<str>]) {
    let begin = text.len();
    for (index, (width, cell)) in widths.iter().zip(cells).enumerate() {
        let gap = if index > 0 { GAP } else { "" };
        let _infallible = write!(text, "{gap}{:width$}", cell.as_ref());
    }
    let end = text.get(begin..).map_or(begin, |line| begin + line.trim_end().len());
    text.truncate(end);
    text.push('\n');
}

/// The column that is left out where nothing is in a file.
const FILE: usize = 5;

/// What is wrong, how many results there are of each kind, and how much could not be read or judged.
pub(in crate::cli) fn results(results: &Results, troubles: usize) -> String {
    let mut rows: Vec<_> = results.results.iter().flat_map(of_entry).collect();
    let mut header = vec!["RESULT", "SEVERITY", "POLICY", "RULE", "OBJECT", "FILE", "MESSAGE"];
    if rows.iter().all(|row| row.get(FILE).is_some_and(String::is_empty)) {
        header.retain(|name| *name != "FILE");
        rows.iter_mut().for_each(|row| drop(row.remove(FILE)));
    }
    let mut text = String::new();
    if !rows.is_empty() {
        text = plain(&header, &rows) + "\n";
    }
    text + &sentence(results.summary, troubles) + "\n"
}

fn sentence(Summary { pass, fail, error, skip, violations }: Summary, troubles: usize) -> String {
    let errors = counted(error, "error", "errors");
    let violations = counted(violations, "violation", "violations");
    let incomplete = match troubles {
        0 => String::new(),
        troubles => {
            format!("; incomplete: {} on stderr", counted(troubles, "problem is told", "problems are told"))
        }
    };
    format!("{pass} passed, {fail} failed, {errors}, {skip} skipped; {violations}{incomplete}")
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
            message.to_owned(),
        ]
    };
    let more = (rule.more > 0).then(|| row(&format!("and {} more", rule.more)));
    rule.nodes.iter().map(|node| row(&node.message)).chain(more).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_any_length_widens_no_row_but_its_own() {
        let row = |name: &str| vec![name.to_owned(), "x".to_owned()];
        let name = "n".repeat(300_000);
        let table = plain(&["NAME", "B"], &[row(&name), row("short")]);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines[1], format!("{name}{GAP}x"));
        assert_eq!(lines[2].len(), WIDEST + GAP.len() + 1);
    }
}
