//! Rules and checks.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use crate::crd::{
    Branch, Check as WrittenCheck, Measure, Quantifier, Rule as WrittenRule, Severity, WhenAbsent,
};
use crate::jsonpath::Path;
use crate::policy::assertion::Assertion;
use crate::policy::check::Check;
use crate::policy::fault::{Field, Findings};
use crate::policy::fence::Fences;
use crate::policy::message::Template;
use crate::policy::program::{Body, CompiledTarget, Rule};

use super::assert::{self, Refinements};
use super::fix;
use super::operand;
use super::policy::check_length;

pub(super) fn compile_all(
    rules: &[WrittenRule],
    (severity, fences, targets): (Severity, &Fences, &[CompiledTarget]),
    at: &Field<'_>,
    findings: &mut Findings,
) -> Box<[Rule]> {
    check_length(rules.len(), 1..=64, at, findings);
    let mut names = BTreeSet::new();
    let mut compiled = Vec::with_capacity(rules.len());
    for (index, rule) in rules.iter().enumerate() {
        let at = at.entry(index, &rule.name);
        if rule.name.is_empty() {
            findings.invalid(&at.name("name"), "a rule has a name");
        } else if !is_name(&rule.name) {
            let rule = "only letters, digits, `-`, `_` and `.`, with a letter or digit at both ends";
            findings.invalid(&at.name("name"), format!("a name has {rule}"));
        }
        if !names.insert(&rule.name) {
            findings.invalid(&at.name("name"), format!("`{}` is already the name of a rule", rule.name));
        }
        if rule.fix.is_some() {
            fix::refuse_kinds(targets, fences, &at.name("fix"), findings);
        }
        let written = rule.fix.as_ref().and_then(|fix| fix.set.as_ref());
        let Some(rule) = compile(rule, severity, &at, findings) else { continue };
        fix::check(&rule, fences, &at, findings);
        fix::check_text((&rule, written), &at, findings);
        compiled.push((index, rule));
    }
    fix::refuse_contradictions(&compiled, at, findings);
    compiled.into_iter().map(|(_, rule)| rule).collect()
}

/// What a label's value, an exception's list and a test's expectation can hold.
fn is_name(text: &str) -> bool {
    let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    end(text.chars().next())
        && end(text.chars().next_back())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

fn compile(rule: &WrittenRule, severity: Severity, at: &Field<'_>, findings: &mut Findings) -> Option<Rule> {
    let WrittenRule {
        name,
        when,
        for_each,
        check,
        all_of,
        any_of,
        forbid,
        message,
        severity: own_severity,
        fix,
    } = rule;
    let when = compile_checks(when, 0..=8, &at.name("when"), findings);
    let for_each = for_each.as_deref().map(|path| findings.path(path, &at.name("forEach")));
    let message = message.as_deref().map(|text| Template::compile(text, &at.name("message"), findings));
    let fix = fix.as_ref().map(|fix| fix::compile(fix, &at.name("fix"), findings));
    let body = Written { check, all_of, any_of, forbid: *forbid }.compile(at, findings);
    Some(Rule {
        name: name.as_str().into(),
        severity: own_severity.unwrap_or(severity),
        when,
        for_each: match for_each {
            Some(path) => Some(path?),
            None => None,
        },
        // Told from the whole policy when it is there; so are those of its checks.
        number: 0,
        body: body?,
        message,
        // Told from the whole rule when it is there.
        reads_pod: false,
        fix: match fix {
            Some(fix) => Some(fix?),
            None => None,
        },
    })
}

/// The bodies of a rule or branch, of which one must be there.
struct Written<'w> {
    check: &'w WrittenCheck,
    all_of: &'w [WrittenCheck],
    any_of: &'w [Branch],
    forbid: bool,
}

impl Written<'_> {
    fn compile(&self, at: &Field<'_>, findings: &mut Findings) -> Option<Body> {
        let Self { check, all_of, any_of, forbid } = self;
        let has_check = **check != WrittenCheck::default();
        let bodies = [has_check, !all_of.is_empty(), !any_of.is_empty(), *forbid];
        match bodies {
            [true, false, false, false] => {
                compile_check(check, at, findings).map(|check| Body::AllOf([check].into()))
            }
            [false, true, false, false] => {
                compile_whole(all_of, &at.name("allOf"), findings).map(Body::AllOf)
            }
            [false, false, true, false] => compile_branches(any_of, &at.name("anyOf"), findings),
            [false, false, false, true] => Some(Body::Forbid),
            [false, false, false, false] => {
                findings
                    .invalid(at, "demands nothing yet; add path and assert, allOf, anyOf or forbid: true");
                None
            }
            _ => {
                let message = "has one body; keep one of path with assert, allOf, anyOf and forbid, and remove the others";
                findings.invalid(at, message);
                None
            }
        }
    }
}

fn compile_branches(branches: &[Branch], at: &Field<'_>, findings: &mut Findings) -> Option<Body> {
    check_length(branches.len(), 2..=8, at, findings);
    let compile = |(index, branch): (usize, &Branch)| {
        let Branch { check, all_of } = branch;
        match (Written { check, all_of, any_of: &[], forbid: false }).compile(&at.index(index), findings)? {
            Body::AllOf(checks) => Some(checks),
            Body::AnyOf(_) | Body::Forbid => None,
        }
    };
    let branches: Vec<Option<Box<[Check]>>> = branches.iter().enumerate().map(compile).collect();
    branches.into_iter().collect::<Option<_>>().map(Body::AnyOf)
}

/// Checks that only mean something together.
fn compile_whole(checks: &[WrittenCheck], at: &Field<'_>, findings: &mut Findings) -> Option<Box<[Check]>> {
    let compiled = compile_checks(checks, 2..=8, at, findings);
    (compiled.len() == checks.len()).then_some(compiled)
}

pub(super) fn compile_checks(
    checks: &[WrittenCheck],
    bounds: RangeInclusive<usize>,
    at: &Field<'_>,
    findings: &mut Findings,
) -> Box<[Check]> {
    check_length(checks.len(), bounds, at, findings);
    checks
        .iter()
        .enumerate()
        .filter_map(|(index, check)| compile_check(check, &at.index(index), findings))
        .collect()
}

fn compile_check(check: &WrittenCheck, at: &Field<'_>, findings: &mut Findings) -> Option<Check> {
    let WrittenCheck {
        path,
        fallbacks,
        default,
        when_absent,
        measure,
        quantifier,
        as_,
        ignore_case,
        assert: written,
    } = check;
    check_measure(check, at, findings);
    let refined = Refinements { measure: *measure, as_: *as_, ignore_case: *ignore_case };
    let path = compile_path(path.as_deref(), &at.name("path"), findings);
    let fallbacks = compile_fallbacks(fallbacks, &at.name("fallbacks"), findings);
    let default =
        default.as_ref().map(|value| operand::compile_default(value, &at.name("default"), findings));
    let assertion = match written {
        Some(written) => assert::compile(written, refined, at, findings),
        None => {
            findings.invalid(&at.name("assert"), "is missing; say what must be true, such as `exists: true`");
            None
        }
    }?;
    refuse_contradiction(*when_absent, &assertion, &at.name("whenAbsent"), findings);
    if default.is_some() && assertion.exists == Some(false) {
        let message =
            "stands in where nothing is, which is what `exists: false` wants; leave one of them out";
        findings.invalid(&at.name("default"), message);
    }
    let when_absent = when_absent.unwrap_or_else(|| absence(&assertion, *quantifier));
    Some(Check {
        path: path?,
        number: 0,
        fallbacks,
        default: match default {
            Some(default) => Some(default?),
            None => None,
        },
        when_absent,
        measure: *measure,
        quantifier: *quantifier,
        assertion,
        reads_pod: false,
    })
}

/// Refuses what has no meaning beside what is measured, or among all values together.
fn check_measure(check: &WrittenCheck, at: &Field<'_>, findings: &mut Findings) {
    if check.measure == Measure::Count {
        for (name, given) in [
            ("fallbacks", !check.fallbacks.is_empty()),
            ("default", check.default.is_some()),
            ("whenAbsent", check.when_absent.is_some()),
        ] {
            if given {
                findings.invalid(&at.name(name), "a count is never absent; leave it out");
            }
        }
    }
    let is_unique = check.assert.as_ref().is_some_and(|assert| assert.unique.is_some());
    if is_unique && check.quantifier != Quantifier::All {
        findings.invalid(&at.name("quantifier"), "`unique` speaks of all values together; leave it out");
    }
}

fn compile_path(path: Option<&str>, at: &Field<'_>, findings: &mut Findings) -> Option<Path> {
    let Some(path) = path else {
        findings.invalid(at, "is missing; say where to look, such as `$.spec.replicas`");
        return None;
    };
    findings.path(path, at)
}

fn compile_fallbacks(paths: &[String], at: &Field<'_>, findings: &mut Findings) -> Box<[Path]> {
    check_length(paths.len(), 0..=4, at, findings);
    paths.iter().enumerate().filter_map(|(index, path)| findings.path(path, &at.index(index))).collect()
}

/// What an absent value means where the check does not say.
fn absence(assertion: &Assertion, quantifier: Quantifier) -> WhenAbsent {
    if assertion.is_negative() || quantifier == Quantifier::None {
        WhenAbsent::Pass
    } else {
        WhenAbsent::Fail
    }
}

/// `exists` says itself what absence means.
fn refuse_contradiction(
    when_absent: Option<WhenAbsent>,
    assertion: &Assertion,
    at: &Field<'_>,
    findings: &mut Findings,
) {
    let (Some(when_absent), Some(exists)) = (when_absent, assertion.exists) else { return };
    if exists == (when_absent == WhenAbsent::Pass) {
        let message = format!("contradicts `exists: {exists}`, which says it itself; leave one of them out");
        findings.invalid(at, message);
    }
}
