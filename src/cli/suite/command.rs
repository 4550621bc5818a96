//! The command: which suites are run, and what is printed of them.

use std::fmt::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::cli::answer::{Answer, FINE, WRONG};
use crate::cli::format;
use crate::cli::input::files;

use super::expect::Comparison;
use super::run::{self, Outcome};

/// What can be written after `watchpolicy test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Suites, or folders of them: files whose names end with .test.yaml
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// How results are printed
    #[arg(long, value_enum, default_value_t = TestFormat::Table)]
    pub format: TestFormat,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TestFormat {
    /// A line for each suite and each broken expectation
    Table,
    /// {"suites": [...], "summary": {...}}
    Json,
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
    let exit = if outcomes.iter().all(Outcome::passed) && troubles.is_empty() { FINE } else { WRONG };
    let mut notes: Vec<String> = troubles.iter().map(ToString::to_string).collect();
    notes.extend(outcomes.iter().flat_map(|outcome| outcome.notes.iter().cloned()));
    notes.sort_unstable();
    notes.dedup();
    let text = match args.format {
        TestFormat::Table => table(&outcomes),
        TestFormat::Json => format::json(&Report::of(&outcomes))?,
    };
    Ok(Answer { text, notes, exit })
}

fn table(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        text += &lines(outcome);
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.passed()).count();
    let passed = outcomes.len() - failed;
    let _infallible = writeln!(text, "\n{passed} suites passed, {failed} failed");
    text
}

fn lines(outcome: &Outcome) -> String {
    let Outcome { file, comparisons, troubles, notes: _ } = outcome;
    let word = if outcome.passed() { "ok    " } else { "FAILED" };
    let mut text = format!("{word}  {} ({} checked)\n", file.display(), comparisons.len());
    for trouble in troubles {
        text += &format!("  {trouble}\n");
    }
    for comparison in outcome.broken() {
        let broken = comparison.broken.as_deref().unwrap_or_default();
        text += &format!("  {comparison}: {broken}\n");
    }
    text
}

/// What JSON shows.
#[derive(Serialize)]
struct Report<'o> {
    suites: Vec<SuiteReport<'o>>,
    summary: Summary,
}

#[derive(Serialize)]
struct SuiteReport<'o> {
    file: String,
    passed: bool,
    expectations: &'o [Comparison],
    troubles: Vec<String>,
}

#[derive(Serialize)]
struct Summary {
    passed: usize,
    failed: usize,
}

impl<'o> Report<'o> {
    fn of(outcomes: &'o [Outcome]) -> Self {
        let suite = |outcome: &'o Outcome| SuiteReport {
            file: outcome.file.display().to_string(),
            passed: outcome.passed(),
            expectations: &outcome.comparisons,
            troubles: outcome.troubles.iter().map(ToString::to_string).collect(),
        };
        let passed = outcomes.iter().filter(|outcome| outcome.passed()).count();
        Self {
            suites: outcomes.iter().map(suite).collect(),
            summary: Summary { passed, failed: outcomes.len() - passed },
        }
    }
}
