//! Rules and checks.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use crate::crd::{Check as Written, Measure, Quantifier, Rule as WrittenRule, Severity, WhenAbsent};
use crate::jsonpath::Path;
use crate::policy::assertion::Assertion;
use crate::policy::check::Check;
use crate::policy::fault::{Field, Findings};
use crate::policy::message::Template;
use crate::policy::program::Rule;

use super::assert;
use super::policy::check_length;

pub(super) fn compile_all(
    rules: &[WrittenRule],
    severity: Severity,
    at: &Field<'_>,
    findings: &mut Findings,
) -> Box<[Rule]> {
    check_length(rules.len(), 1..=64, at, findings);
    let mut names = BTreeSet::new();
    let mut compiled = Vec::with_capacity(rules.len());
    for (index, rule) in rules.iter().enumerate() {
        let at = at.index(index);
        if rule.name.is_empty() {
            findings.invalid(&at.name("name"), "a rule has a name");
        }
        if !names.insert(&rule.name) {
            findings.invalid(&at.name("name"), format!("`{}` is already the name of a rule", rule.name));
        }
        compiled.extend(compile(rule, severity, &at, findings));
    }
    compiled.into()
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
    let bodies = [("allOf", !all_of.is_empty()), ("anyOf", !any_of.is_empty()), ("forbid", *forbid)];
    for (body, _) in bodies.iter().filter(|(_, given)| *given) {
        findings.unsupported(&at.name(body), &format!("`{body}`"));
    }
    if fix.is_some() {
        findings.unsupported(&at.name("fix"), "`fix`");
    }
    let when = compile_checks(when, 0..=8, &at.name("when"), findings);
    let for_each = for_each.as_deref().map(|path| findings.path(path, &at.name("forEach")));
    let message = message.as_deref().map(|text| Template::compile(text, &at.name("message"), findings));
    let has_other_body = bodies.iter().any(|(_, given)| *given);
    let body = if has_other_body && *check == Written::default() {
        None
    } else {
        compile_check(check, at, findings)
    };
    Some(Rule {
        name: name.as_str().into(),
        severity: own_severity.unwrap_or(severity),
        when,
        for_each: match for_each {
            Some(path) => Some(path?),
            None => None,
        },
        body: body?,
        message,
    })
}

pub(super) fn compile_checks(
    checks: &[Written],
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

fn compile_check(check: &Written, at: &Field<'_>, findings: &mut Findings) -> Option<Check> {
    let Written {
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
    if *measure != Measure::Value {
        findings.unsupported(&at.name("measure"), &format!("`measure: {measure:?}`"));
    }
    if as_.is_some() {
        findings.unsupported(&at.name("as"), "`as`");
    }
    if *ignore_case {
        findings.unsupported(&at.name("ignoreCase"), "`ignoreCase`");
    }
    let path = compile_path(path.as_deref(), &at.name("path"), findings);
    let fallbacks = compile_fallbacks(fallbacks, &at.name("fallbacks"), findings);
    let default = default.as_ref().map(|value| assert::compile_default(value, &at.name("default"), findings));
    let assertion = match written {
        Some(written) => assert::compile(written, &at.name("assert"), findings),
        None => {
            findings.invalid(&at.name("assert"), "is missing; say what must be true, such as `exists: true`");
            None
        }
    }?;
    refuse_contradiction(*when_absent, &assertion, &at.name("whenAbsent"), findings);
    let when_absent = when_absent.unwrap_or_else(|| absence(&assertion, *quantifier));
    Some(Check {
        path: path?,
        fallbacks,
        default: match default {
            Some(default) => Some(default?),
            None => None,
        },
        when_absent,
        quantifier: *quantifier,
        assertion,
    })
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
