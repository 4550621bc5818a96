//! Exceptions.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use crate::crd::{Exception, Rule};
use crate::policy::exception::CompiledException;
use crate::policy::fault::{Field, Findings};
use crate::policy::glob::Glob;
use crate::policy::scale;
use crate::policy::selector::Selector;

use super::policy::check_length;

/// The most edits between a word and the one that was meant.
const SLIP: usize = 2;

pub(super) fn compile_all(
    exceptions: &[Exception],
    rules: &[Rule],
    at: &Field<'_>,
    findings: &mut Findings,
) -> Box<[CompiledException]> {
    check_length(exceptions.len(), 0..=32, at, findings);
    let mut names = BTreeSet::new();
    for (index, exception) in exceptions.iter().enumerate() {
        if !names.insert(&exception.name) {
            let message = format!("`{}` is already the name of an exception", exception.name);
            findings.invalid(&at.entry(index, &exception.name).name("name"), message);
        }
    }
    let compile = |(index, exception): (usize, &Exception)| {
        compile(exception, rules, &at.entry(index, &exception.name), findings)
    };
    exceptions.iter().enumerate().map(compile).collect()
}

fn compile(
    exception: &Exception,
    written: &[Rule],
    at: &Field<'_>,
    findings: &mut Findings,
) -> CompiledException {
    let Exception { name, reason, namespaces, names, label_selector, images, rules, until } = exception;
    if name.is_empty() {
        findings.invalid(&at.name("name"), "an exception has a name");
    }
    if reason.trim().is_empty() {
        findings.invalid(&at.name("reason"), "an exception says why it is granted");
    }
    if namespaces.is_empty() && names.is_empty() && label_selector.is_none() && images.is_empty() {
        let message = "does not say what it covers; add namespaces, names, labelSelector or images";
        findings.invalid(at, message);
    }
    for (field, entries) in
        [("namespaces", namespaces), ("names", names), ("images", images), ("rules", rules)]
    {
        check_length(entries.len(), 0..=64, &at.name(field), findings);
    }
    check_rules(rules, written, &at.name("rules"), findings);
    let labels = label_selector.as_ref();
    CompiledException {
        name: name.as_str().into(),
        until: until.as_deref().and_then(|until| compile_until(until, &at.name("until"), findings)),
        namespaces: globs(namespaces),
        names: globs(names),
        labels: labels.map(|selector| Selector::compile(selector, &at.name("labelSelector"), findings)),
        images: globs(images),
        rules: rules.iter().map(|rule| Arc::from(rule.as_str())).collect(),
    }
}

fn globs(texts: &[String]) -> Box<[Glob]> {
    texts.iter().map(|text| Glob::new(text)).collect()
}

/// A name that no rule has would except from nothing, and nobody would see it.
fn check_rules(names: &[String], rules: &[Rule], at: &Field<'_>, findings: &mut Findings) {
    for (index, name) in names.iter().enumerate() {
        if !rules.iter().any(|rule| rule.name == *name) {
            let hint = match nearest(name, rules) {
                Some(rule) => format!("did you mean `{rule}`?"),
                None => "name rules of this policy, or leave `rules` out for all".to_owned(),
            };
            findings.invalid(&at.index(index), format!("no rule is named `{name}`; {hint}"));
        }
    }
}

/// The rule whose name is nearest, if it is near at all.
fn nearest<'r>(name: &str, rules: &'r [Rule]) -> Option<&'r str> {
    let distance = |rule: &'r Rule| (strsim::damerau_levenshtein(name, &rule.name), rule.name.as_str());
    let (distance, nearest) = rules.iter().map(distance).min()?;
    (distance <= SLIP && distance < nearest.len()).then_some(nearest)
}

fn compile_until(until: &str, at: &Field<'_>, findings: &mut Findings) -> Option<Timestamp> {
    let instant = scale::time(until);
    if instant.is_none() {
        let message = format!("`{until}` is not a time in RFC 3339, such as 2027-03-31T00:00:00Z");
        findings.invalid(at, message);
    }
    instant
}
