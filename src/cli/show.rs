//! What commands that judge have to show: their results in a format, and the exit status.

use clap::ValueEnum;

use crate::crd::Severity;
use crate::policy::Outcome;

use super::answer::{FINE, UNSURE, WRONG};
use super::finding::Finding;
use super::format;
use super::format::junit::{Case, Status};
use super::input::Trouble;
use super::results::{Entry, Results, RuleResult};

/// What findings about the inputs themselves are filed under.
const INPUT: &str = "input";

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ResultsFormat {
    /// A row for each place that is wrong
    Table,
    /// {"results": [...], "summary": {...}}
    Json,
    /// The same as YAML
    Yaml,
    /// JUnit XML: a case for each rule and object
    Junit,
    /// SARIF 2.1.0: a result for each place that is wrong
    Sarif,
    /// Annotations of GitHub Actions
    Github,
}

impl ResultsFormat {
    /// Whether it shows what is well, too.
    pub(super) fn shows_all(self) -> bool {
        match self {
            Self::Json | Self::Yaml | Self::Junit => true,
            Self::Table | Self::Sarif | Self::Github => false,
        }
    }
}

/// What was judged, and what could not be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown<'s> {
    pub(super) results: &'s Results,
    pub(super) troubles: &'s [Trouble],
}

impl Shown<'_> {
    /// `least` is the mildest severity of a violation that counts.
    pub(super) fn exit(self, least: Severity) -> u8 {
        if !self.is_complete() {
            UNSURE
        } else if self.results.has_violation(least) {
            WRONG
        } else {
            FINE
        }
    }

    /// The text for stdout.
    ///
    /// # Errors
    /// Never for what was judged.
    pub(super) fn print(self, format: ResultsFormat) -> anyhow::Result<String> {
        match format {
            ResultsFormat::Table => Ok(format::table(self.results)),
            ResultsFormat::Json => format::json(self.results),
            ResultsFormat::Yaml => format::yaml(self.results),
            ResultsFormat::Junit => format::junit(self.cases()),
            ResultsFormat::Sarif => format::sarif(&self.findings(), self.is_complete()),
            ResultsFormat::Github => Ok(format::github(&self.findings())),
        }
    }

    /// Whether everything could be read and judged.
    fn is_complete(self) -> bool {
        self.troubles.is_empty() && self.results.summary.error == 0
    }

    fn findings(self) -> Vec<Finding> {
        let unusable = self.troubles.iter().map(|trouble| Finding::of_trouble(INPUT, trouble));
        unusable.chain(Finding::of_results(self.results)).collect()
    }

    /// A case for each rule and object, and one for each input that cannot be used.
    fn cases(self) -> Vec<Case> {
        let unusable = self.troubles.iter().map(Case::of_trouble);
        let entries = self.results.results.iter();
        let judged = entries.flat_map(|entry| entry.rules.iter().map(move |rule| case(entry, rule)));
        unusable.chain(judged).collect()
    }
}

fn case(entry: &Entry, rule: &RuleResult) -> Case {
    let place = entry.place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
    Case {
        group: entry.policy.to_string(),
        name: format!("{} on {}{place}", rule.rule, entry.object),
        status: match rule.result {
            Outcome::Pass => Status::Success,
            Outcome::Fail => Status::Failure,
            Outcome::Error => Status::Error,
            Outcome::Skip => Status::Skipped,
        },
        messages: rule.nodes.iter().map(|node| format!("{}: {}", node.path, node.message)).collect(),
    }
}
