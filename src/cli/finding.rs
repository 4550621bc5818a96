//! One thing that is wrong at one place: what SARIF and GitHub show, whichever command found it.

use crate::crd::Severity;
use crate::policy::Outcome;

use super::input::Trouble;
use super::input::files::STDIN;
use super::results::{Entry, Results, RuleResult};

/// How loud a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Note,
    Warning,
    Error,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// What demands otherwise: `policy/rule`.
    pub(super) rule: String,
    pub(super) level: Level,
    /// `None` where it is in no file, as of standard input or a cluster.
    pub(super) file: Option<String>,
    pub(super) line: Option<u64>,
    /// What it is about, such as `Pod default/web spec.replicas`.
    pub(super) about: Option<String>,
    pub(super) message: String,
}

impl Finding {
    /// An input that cannot be used.
    pub(super) fn of_trouble(rule: &str, trouble: &Trouble) -> Self {
        Self {
            rule: rule.to_owned(),
            level: Level::Error,
            file: trouble.file.as_deref().and_then(named),
            line: trouble.line,
            about: None,
            message: trouble.message.clone(),
        }
    }

    /// All places that fail or cannot be judged.
    pub(super) fn of_results(results: &Results) -> Vec<Self> {
        let of_entry = |entry| Entry::findings(entry).flat_map(move |rule| Self::of_rule(entry, rule));
        results.results.iter().flat_map(of_entry).collect()
    }

    fn of_rule(entry: &Entry, rule: &RuleResult) -> Vec<Self> {
        let level = match (rule.result, rule.severity) {
            (Outcome::Error, _) | (_, Severity::High | Severity::Critical) => Level::Error,
            (_, Severity::Low | Severity::Medium) => Level::Warning,
            (_, Severity::Info) => Level::Note,
        };
        let finding = |path: &str, message: &str| Self {
            rule: format!("{}/{}", entry.policy, rule.rule),
            level,
            file: entry.place.as_ref().and_then(|place| named(&place.file)),
            line: entry.place.as_ref().map(|place| place.line),
            about: Some(format!("{} {path}", entry.object)),
            message: message.to_owned(),
        };
        let more = (rule.more > 0).then(|| finding("$", &format!("and {} more places", rule.more)));
        rule.nodes.iter().map(|node| finding(&node.path, &node.message)).chain(more).collect()
    }
}

/// The name of a file that somebody could open.
pub(super) fn named(file: &str) -> Option<String> {
    (file != STDIN).then(|| file.to_owned())
}
