//! What the metrics page shows of policies.

use crate::crd::{Mode, Severity};
use crate::ledger::{Ledger, Tally};
use crate::metrics::{PolicySample, VerdictResult};
use crate::observe::board::Board;
use crate::policy::{PolicyEntry, PolicySet};

use super::conditions::ready;

/// The severities and their label values.
const SEVERITIES: [(Severity, &str); 5] = [
    (Severity::Info, "info"),
    (Severity::Low, "low"),
    (Severity::Medium, "medium"),
    (Severity::High, "high"),
    (Severity::Critical, "critical"),
];

/// One sample for each policy; only running ones have verdicts, and zeros where there are none.
pub fn samples(set: &PolicySet, board: &Board, ledger: &Ledger) -> Vec<PolicySample> {
    let sample = |entry: &PolicyEntry| {
        let targets = board.policies.get(&entry.name).map(AsRef::as_ref);
        let tally = entry.running().map(|_| ledger.tally(&entry.name));
        PolicySample {
            policy: entry.name.clone(),
            mode: mode(entry),
            ready: ready(entry, targets).status == "True",
            objects: tally.as_ref().map(objects).unwrap_or_default(),
            violations: tally.as_ref().map(violations).unwrap_or_default(),
        }
    };
    set.entries.values().map(|entry| sample(entry)).collect()
}

fn objects(tally: &Tally) -> Vec<(VerdictResult, u64)> {
    let summary = &tally.summary;
    vec![
        (VerdictResult::Pass, summary.passed),
        (VerdictResult::Fail, summary.failed),
        (VerdictResult::Error, summary.errored),
        (VerdictResult::Skip, summary.skipped),
    ]
}

fn violations(tally: &Tally) -> Vec<(&'static str, u64)> {
    let count = |severity| tally.severities.get(&severity).copied().unwrap_or_default();
    SEVERITIES.iter().map(|(severity, word)| (*word, count(*severity))).collect()
}

fn mode(entry: &PolicyEntry) -> &'static str {
    match entry.mode {
        Some(Mode::Audit) => "Audit",
        Some(Mode::Plan) => "Plan",
        Some(Mode::Enforce) => "Enforce",
        None => "Unknown",
    }
}
