//! The command: which suites are run, and what is printed of them.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::cli::answer::{Answer, FINE, UNSURE, WRONG};
use crate::cli::counted::counted;
use crate::cli::finding::{Finding, Level};
use crate::cli::format::junit::{Case, Status};
use crate::cli::format::{self, Format};
use crate::cli::input::{Trouble, files};
use crate::cli::results::{Entry, Summary};
use crate::report::printable;

use super::expect::Comparison;
use super::run::{self, Outcome};

/// What can be written after `watchpolicy test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Suites, or folders of them: files whose names end with .test.yaml
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// How results are printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// Runs suites.
///
/// # Errors
/// There is no suite.
pub fn run(args: &TestArgs) -> anyhow::Result<Answer> {
    let mut troubles = Vec::new();
    let suites = files::suites(&args.paths, &mut troubles);
    if suites.is_empty() {
        anyhow::bail!("there is no suite: name files, or folders that hold files ending with .test.yaml");
    }
    let outcomes: Vec<Outcome> = suites.iter().map(|path| run::run(path)).collect();
    let could_run = troubles.is_empty() && outcomes.iter().all(|outcome| outcome.troubles.is_empty());
    let exit = match (could_run, outcomes.iter().all(Outcome::passed)) {
        (false, _) => UNSURE,
        (true, false) => WRONG,
        (true, true) => FINE,
    };
    let mut notes: Vec<String> = troubles.iter().map(ToString::to_string).collect();
    notes.extend(outcomes.iter().flat_map(|outcome| outcome.notes.iter().cloned()));
    notes.sort_unstable();
    notes.dedup();
    let text = print(&outcomes, &troubles, args.format)?;
    Ok(Answer { text, notes, exit })
}

fn print(outcomes: &[Outcome], troubles: &[Trouble], format: Format) -> anyhow::Result<String> {
    let found = || {
        let missing = troubles.iter().map(|trouble| Finding::of_trouble("suite", trouble));
        missing.chain(outcomes.iter().flat_map(findings)).collect::<Vec<_>>()
    };
    match format {
        Format::Table => Ok(table(outcomes)),
        Format::Json => format::json(&Report::of(outcomes, troubles)),
        Format::Yaml => format::yaml(&Report::of(outcomes, troubles)),
        Format::Junit => {
            let missing = troubles.iter().map(Case::of_trouble);
            format::junit(missing.chain(outcomes.iter().flat_map(cases)).collect())
        }
        Format::Sarif => {
            let could_run = troubles.is_empty() && outcomes.iter().all(|outcome| outcome.troubles.is_empty());
            format::sarif(&found(), could_run)
        }
        Format::Github => Ok(format::github(&found())),
    }
}

fn table(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        text += &lines(outcome);
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.passed()).count();
    let passed = outcomes.len() - failed;
    text + &format!("\n{} passed, {failed} failed\n", counted(passed, "suite", "suites"))
}

fn lines(outcome: &Outcome) -> String {
    let Outcome { file, comparisons, troubles, results: _, notes: _ } = outcome;
    let word = if outcome.passed() { "ok    " } else { "FAILED" };
    let mut text = format!("{word}  {} ({} checked)\n", file.display(), comparisons.len());
    for trouble in troubles {
        text += &format!("  {}\n", printable(&trouble.to_string()));
    }
    for comparison in outcome.broken() {
        let broken = comparison.broken.as_deref().unwrap_or_default();
        text += &format!("  {}\n", printable(&format!("{comparison}: {broken}")));
    }
    text
}

fn cases(outcome: &Outcome) -> Vec<Case> {
    let group = outcome.file.display().to_string();
    let case = |name: String, status: Status, message: Option<String>| Case {
        group: group.clone(),
        name,
        status,
        messages: message.into_iter().collect(),
    };
    let troubles =
        outcome.troubles.iter().map(|trouble| case("suite".into(), Status::Error, Some(trouble.to_string())));
    let comparisons = outcome.comparisons.iter().map(|comparison| {
        let status = if comparison.broken.is_some() { Status::Failure } else { Status::Success };
        case(comparison.to_string(), status, comparison.broken.clone())
    });
    troubles.chain(comparisons).collect()
}

fn findings(outcome: &Outcome) -> Vec<Finding> {
    let troubles = outcome.troubles.iter().map(|trouble| Finding::of_trouble("suite", trouble));
    let broken = outcome.broken().map(|comparison| Finding {
        rule: "expectation".into(),
        level: Level::Error,
        file: Some(outcome.file.display().to_string()),
        line: None,
        about: Some(comparison.to_string()),
        message: comparison.broken.clone().unwrap_or_default(),
    });
    troubles.chain(broken).collect()
}

/// What JSON and YAML show.
#[derive(Serialize)]
struct Report<'o> {
    results: Vec<&'o Entry>,
    summary: Totals,
    suites: Vec<SuiteReport<'o>>,
    /// What could not be searched for suites.
    troubles: &'o [Trouble],
}

#[derive(Serialize)]
struct Totals {
    #[serde(flatten)]
    results: Summary,
    suites: SuiteTotals,
}

#[derive(Serialize)]
struct SuiteTotals {
    passed: usize,
    failed: usize,
}

#[derive(Serialize)]
struct SuiteReport<'o> {
    file: String,
    passed: bool,
    expectations: &'o [Comparison],
    troubles: &'o [Trouble],
}

impl<'o> Report<'o> {
    fn of(outcomes: &'o [Outcome], troubles: &'o [Trouble]) -> Self {
        let suite = |outcome: &'o Outcome| SuiteReport {
            file: outcome.file.display().to_string(),
            passed: outcome.passed(),
            expectations: &outcome.comparisons,
            troubles: &outcome.troubles,
        };
        let results: Vec<&Entry> = outcomes.iter().flat_map(|outcome| &outcome.results).collect();
        let passed = outcomes.iter().filter(|outcome| outcome.passed()).count();
        let suites = SuiteTotals { passed, failed: outcomes.len() - passed };
        let summary = Totals { results: Summary::of(results.iter().copied()), suites };
        Self { results, summary, suites: outcomes.iter().map(suite).collect(), troubles }
    }
}
