//! Advice: what a policy may say, and what is seldom what its author means. Nothing here is a fault.

mod absence;
mod arrays;
mod fixes;
mod images;
mod kinds;
mod labels;
mod names;
mod operators;
mod patterns;
mod targets;
#[cfg(test)]
mod tests;
mod trial;

use jiff::Timestamp;

use crate::crd::{Check, Exception, Rule, Target, WatchPolicy};
use crate::jsonpath::{Path, Root};

use super::fault::Field;

pub(super) use names::misspelt;

/// One thing that the author of a policy should look at again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// The field, as `spec.rules[2].assert.equals`.
    pub field: String,
    /// The name of the rule or exception that it is of, where it has one.
    pub owner: Option<String>,
    /// What the field does that may not be meant, and what to write instead.
    pub words: String,
}

/// What is to be said of a policy that compiles, in the order of its fields; `now` is the time by which ends are told.
pub fn advise(policy: &WatchPolicy, now: Timestamp) -> Vec<Advice> {
    let mut advices = Advices::default();
    let spec = Field::root("spec");
    targets::of_versions(&policy.spec.targets, &spec.name("targets"), &mut advices);
    let within = Within { targets: &policy.spec.targets, elements: None };
    for (index, check) in policy.spec.match_.iter().enumerate() {
        of_check(check, within, &spec.name("match").index(index), &mut advices);
    }
    for (index, rule) in policy.spec.rules.iter().enumerate() {
        of_rule(rule, within, &spec.name("rules").entry(index, &rule.name), &mut advices);
    }
    for (index, exception) in policy.spec.exceptions.iter().enumerate() {
        of_exception(exception, now, &spec.name("exceptions").entry(index, &exception.name), &mut advices);
    }
    advices.0
}

/// Collects what is said.
#[derive(Debug, Default)]
struct Advices(Vec<Advice>);

impl Advices {
    fn add(&mut self, field: &Field<'_>, words: impl Into<String>) {
        let owner = field.owner().map(str::to_owned);
        self.0.push(Advice { field: field.to_string(), owner, words: words.into() });
    }
}

/// Where a check stands.
#[derive(Clone, Copy)]
struct Within<'p> {
    /// What the policy looks at.
    targets: &'p [Target],
    /// The `forEach` of its rule, where it has one.
    elements: Option<&'p str>,
}

fn of_rule(rule: &Rule, policy: Within<'_>, at: &Field<'_>, advices: &mut Advices) {
    let elements = rule.for_each.as_deref();
    let within = Within { elements, ..policy };
    for (index, check) in rule.when.iter().enumerate() {
        of_check(check, within, &at.name("when").index(index), advices);
    }
    // A guard may have seen to it that the body meets only what it speaks of.
    let guarded = !rule.when.is_empty();
    let mut body = |check: &Check, at: &Field<'_>| {
        of_check(check, within, at, advices);
        if !guarded {
            absence::of_siblings(check, elements, at, advices);
        }
    };
    body(&rule.check, at);
    for (index, check) in rule.all_of.iter().enumerate() {
        body(check, &at.name("allOf").index(index));
    }
    for (index, branch) in rule.any_of.iter().enumerate() {
        let at = at.name("anyOf");
        let at = at.index(index);
        of_check(&branch.check, within, &at, advices);
        for (index, check) in branch.all_of.iter().enumerate() {
            of_check(check, within, &at.name("allOf").index(index), advices);
        }
    }
    if let Some(elements) = elements {
        let at = at.name("forEach");
        images::of_containers(elements, &at, advices);
        arrays::of_path(elements, None, &at, advices);
        labels::of_elements(elements, &at, advices);
        names::of_path(elements, policy, &at, advices);
        arrays::of_elements(elements, checks(rule).flat_map(paths), &at, advices);
    }
    fixes::of_rule(rule, at, advices);
}

/// All checks of a rule.
fn checks(rule: &Rule) -> impl Iterator<Item = &Check> {
    let branches = rule.any_of.iter().flat_map(|branch| std::iter::once(&branch.check).chain(&branch.all_of));
    rule.when.iter().chain([&rule.check]).chain(&rule.all_of).chain(branches)
}

/// Where a check looks.
fn paths(check: &Check) -> impl Iterator<Item = &str> {
    check.path.iter().chain(&check.fallbacks).map(String::as_str)
}

/// The path from the object on, in its normal spelling, of one that may start at an element.
fn from_object(path: &str, elements: Option<&str>) -> Option<String> {
    let path = Path::parse(path).ok()?;
    let (Root::Current, Some(elements)) = (path.root(), elements) else { return Some(path.to_string()) };
    let elements = Path::parse(elements).ok()?;
    // One array by itself stands for its elements.
    let each = if elements.is_singular() { "[*]" } else { "" };
    path.to_string().strip_prefix('$').map(|below| format!("{elements}{each}{below}"))
}

fn of_check(check: &Check, within: Within<'_>, at: &Field<'_>, advices: &mut Advices) {
    let (Some(path), Some(assert)) = (check.path.as_deref(), &check.assert) else { return };
    let elements = within.elements;
    images::of_containers(path, &at.name("path"), advices);
    let mut of_path = |path: &str, at: &Field<'_>| {
        arrays::of_path(path, elements, at, advices);
        labels::of_path(path, elements, at, advices);
        names::of_path(path, within, at, advices);
    };
    of_path(path, &at.name("path"));
    for (index, fallback) in check.fallbacks.iter().enumerate() {
        of_path(fallback, &at.name("fallbacks").index(index));
    }
    arrays::of_unique(check, assert, at, advices);
    absence::of_false(check, assert, at, advices);
    absence::of_repeated(check, assert, at, advices);
    patterns::of_assert(assert, &at.name("assert"), advices);
    images::of_image(check, elements, assert, &at.name("assert"), advices);
    operators::of_check(check, assert, at, advices);
}

fn of_exception(exception: &Exception, now: Timestamp, at: &Field<'_>, advices: &mut Advices) {
    let Some(until) = exception.until.as_deref() else { return };
    if until.parse::<Timestamp>().is_ok_and(|until| until <= now) {
        let words =
            format!("ended at {until} and covers nothing any more; take the exception out, or renew it");
        advices.add(&at.name("until"), words);
    }
}
