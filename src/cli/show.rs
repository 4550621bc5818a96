//! What commands that judge have to show: their results in a format, and the exit status.

use serde::Serialize;

use crate::crd::Severity;
use crate::policy::Outcome;

use super::answer::{FINE, UNSURE, WRONG};
use super::finding::Finding;
use super::format::junit::{Case, Status};
use super::format::{self, Format};
use super::input::Trouble;
use super::results::{Entry, Results, RuleResult};

/// What findings about the inputs themselves are filed under.
const INPUT: &str = "input";

/// What was judged, and what could not be; in JSON and YAML as it stands here.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Shown<'s> {
    #[serde(flatten)]
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
    pub(super) fn print(self, format: Format) -> anyhow::Result<String> {
        match format {
            Format::Table => Ok(format::table(self.results, self.troubles.len())),
            Format::Json => format::json(&self),
            Format::Yaml => format::yaml(&self),
            Format::Junit => format::junit(self.cases()),
            Format::Sarif => format::sarif(&self.findings(), self.is_complete()),
            Format::Github => Ok(format::github(&self.findings())),
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
