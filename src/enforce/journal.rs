//! A line in the log for each rule that begins or ends to fail or err on an object.
//!
//! What passes from the first is not told, so that a list of ten thousand objects is not ten thousand lines.

use std::sync::Arc;

use crate::ledger::{Ledger, Said};
use crate::policy::{Judgement, Outcome};
use crate::resource::{ObjectKey, log_object};

/// The result of a rule that says nothing of the object any more: it is gone, or not taken.
const GONE: &str = "Gone";

/// One rule of one policy.
type Rule = (Arc<str>, Arc<str>);

/// The rules that do not pass on an object, as the ledger has them.
pub(super) fn before(ledger: &Ledger, key: &ObjectKey) -> Vec<(Rule, Outcome)> {
    let found = ledger.findings_on(key).into_iter();
    found.map(|(policy, place, finding)| ((policy, place.rule), finding.outcome)).collect()
}

/// Writes what changed.
pub(super) fn tell(key: &ObjectKey, before: &[(Rule, Outcome)], now: &[Said<'_>]) {
    for ((policy, rule), result) in changes(before, now) {
        let (policy, rule) = (&*policy, &*rule);
        log_object!(target: "watchpolicy::verdicts", info, key, policy, rule, result, "verdict");
    }
}

/// Each rule whose result changed, and what it is now.
fn changes(before: &[(Rule, Outcome)], now: &[Said<'_>]) -> Vec<(Rule, &'static str)> {
    let mut changes = Vec::new();
    let mut known: Vec<&Rule> = Vec::new();
    for (policy, rule) in
        now.iter().flat_map(|said| rules(&said.judgement).map(move |rule| (&said.policy, rule)))
    {
        let is_same = |((of, name), _): &&(Rule, Outcome)| of == policy && *name == rule.rule;
        let old = before.iter().find(is_same);
        known.extend(old.map(|(rule, _)| rule));
        let fails = matches!(rule.outcome, Outcome::Fail | Outcome::Error);
        let changed = old.map_or(fails, |(_, outcome)| *outcome != rule.outcome);
        if changed {
            changes.push(((Arc::clone(policy), Arc::clone(&rule.rule)), rule.outcome.as_str()));
        }
    }
    let gone = before.iter().map(|(rule, _)| rule).filter(|rule| !known.contains(rule));
    changes.extend(gone.map(|rule| (rule.clone(), GONE)));
    changes
}

fn rules(judgement: &Judgement) -> impl Iterator<Item = &crate::policy::RuleVerdict> {
    let rules = match judgement {
        Judgement::Judged(verdict) => &*verdict.rules,
        Judgement::NotTaken | Judgement::Excluded { .. } => &[],
    };
    rules.iter()
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::crd::Severity;
    use crate::policy::{RuleVerdict, Verdict};

    fn rule(name: &str) -> Rule {
        ("owners".into(), name.into())
    }

    fn said(judgement: Judgement) -> [Said<'static>; 1] {
        static TYPE: LazyLock<Arc<str>> = LazyLock::new(|| "v1".into());
        [Said { policy: "owners".into(), api_version: &TYPE, kind: &TYPE, judgement }]
    }

    fn judged(rules: &[(&str, Outcome)]) -> [Said<'static>; 1] {
        let verdict = |(name, outcome): &(&str, Outcome)| RuleVerdict {
            rule: (*name).into(),
            severity: Severity::Low,
            outcome: *outcome,
            nodes: Vec::new(),
            more: 0,
            excepted: Vec::new(),
            owned: false,
        };
        let rules = rules.iter().map(verdict).collect();
        let verdict = Verdict { outcome: Outcome::Pass, rules, grants: Vec::new(), again: None };
        said(Judgement::Judged(verdict))
    }

    #[test]
    fn a_rule_is_told_when_it_begins_or_ends_to_fail_and_not_in_between() {
        let (fail, error, pass, skip) = (Outcome::Fail, Outcome::Error, Outcome::Pass, Outcome::Skip);
        for (before, now, told) in [
            (None, pass, None),
            (None, skip, None),
            (None, fail, Some("Fail")),
            (None, error, Some("Error")),
            (Some(fail), fail, None),
            (Some(fail), error, Some("Error")),
            (Some(fail), pass, Some("Pass")),
            (Some(error), skip, Some("Skip")),
        ] {
            let old: Vec<_> = before.map(|outcome| (rule("a"), outcome)).into_iter().collect();
            let expected: Vec<_> = told.map(|result| (rule("a"), result)).into_iter().collect();
            assert_eq!(changes(&old, &judged(&[("a", now)])), expected, "{before:?} {now:?}");
        }
    }

    #[test]
    fn what_is_no_longer_judged_is_gone() {
        let old = [(rule("a"), Outcome::Fail), (rule("b"), Outcome::Error)];
        assert_eq!(changes(&old, &judged(&[("b", Outcome::Error)])), [(rule("a"), "Gone")]);
        let excluded = said(Judgement::Excluded { again: None });
        assert_eq!(changes(&old, &excluded), [(rule("a"), "Gone"), (rule("b"), "Gone")]);
        assert_eq!(changes(&old, &[]).len(), 2);
    }
}
