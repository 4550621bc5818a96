//! Fixes, and what they may not do.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::crd::{Append as WrittenAppend, Fix as WrittenFix, Measure, Quantifier};
use crate::jsonpath::{Node, Path, Root, Tree};
use crate::policy::fault::{FaultReason, Field, Findings};
use crate::policy::fence::Fences;
use crate::policy::fix::{Append, Fix};
use crate::policy::program::{Body, CompiledTarget, Rule};
use crate::policy::texts::is_text;
use crate::resource::GroupResource;

use super::operand;

/// Compiles a fix. What it may do to the rule that it is of is [`check`]'s.
pub(super) fn compile(fix: &WrittenFix, at: &Field<'_>, findings: &mut Findings) -> Option<Fix> {
    let WrittenFix { set, set_from, remove, append } = fix;
    let given = [set.is_some(), set_from.is_some(), *remove, append.is_some()];
    if given.iter().filter(|given| **given).count() != 1 {
        findings.invalid(at, "is one change; keep one of set, setFrom, remove and append");
        return None;
    }
    match (set, set_from, append) {
        (Some(value), _, _) => written(value, &at.name("set"), findings).map(Fix::Set),
        (_, Some(path), _) => singular(path, &at.name("setFrom"), findings).map(Fix::SetFrom),
        (_, _, Some(append)) => compile_append(append, &at.name("append"), findings).map(Fix::Append),
        (None, None, None) => Some(Fix::Remove),
    }
}

fn compile_append(append: &WrittenAppend, at: &Field<'_>, findings: &mut Findings) -> Option<Append> {
    let WrittenAppend { at: place, value, key } = append;
    let (value_at, place_at) = (at.name("value"), at.name("at"));
    let path = singular(place, &place_at, findings);
    if let Some(path) = &path {
        refuse_joined(path, &place_at, findings);
    }
    let Some(value) = value else {
        findings.invalid(&value_at, "is missing; say which element the array should have");
        return None;
    };
    let value = written(value, &value_at, findings)?;
    if let Some(key) = key
        && value.node().get(key).is_none()
    {
        findings.invalid(&at.name("key"), format!("`value` has no member `{key}`; name one that it has"));
    }
    Some(Append { at: path?, value, key: key.as_deref().map(Box::from) })
}

/// A value that is written.
fn written(value: &Value, at: &Field<'_>, findings: &mut Findings) -> Option<Tree> {
    if value.is_null() {
        findings.invalid(at, "null counts as absent; say `remove: true`, or which value is to be there");
        return None;
    }
    operand::compile_value(value, at, findings)
}

fn singular(path: &str, at: &Field<'_>, findings: &mut Findings) -> Option<Path> {
    let path = findings.path(path, at)?;
    if !path.is_singular() {
        findings.invalid(at, format!("`{path}` can find many; name one place"));
        return None;
    }
    Some(path)
}

/// Several lists that are read as one cannot be written as one.
fn refuse_joined(path: &Path, at: &Field<'_>, findings: &mut Findings) {
    let joined = matches!(path.root(), Root::Containers | Root::AppContainers);
    if joined && path.to_string() == path.root().text() {
        findings.invalid(at, format!("`{path}` are several lists; name one, such as `$podSpec.containers`"));
    }
}

/// Refuses fixes that could not mend what their rule reports, and those that no policy may make.
pub(super) fn check(rule: &Rule, fences: &Fences, rule_at: &Field<'_>, findings: &mut Findings) {
    let Some(fix) = &rule.fix else { return };
    let at = &rule_at.name("fix");
    if let Fix::Append(append) = fix {
        refuse_fenced((&append.at, rule.for_each.as_ref()), (fences, true), &at.name("append"), findings);
        if matches!(rule.body, Body::Forbid) {
            findings.invalid(at, "forbid wants something gone; say `remove: true`");
        }
        return;
    }
    match &rule.body {
        Body::Forbid => check_forbid(rule, fences, at, findings),
        Body::AllOf(_) | Body::AnyOf(_) => check_places(rule, fences, at, findings),
    }
}

fn check_forbid(rule: &Rule, fences: &Fences, at: &Field<'_>, findings: &mut Findings) {
    match (&rule.for_each, &rule.fix) {
        (None, _) => findings.invalid(
            at,
            "no fix deletes an object; add forEach, whose elements can be removed, or leave the fix out",
        ),
        (Some(elements), Some(Fix::Remove)) => refuse_fenced((elements, None), (fences, false), at, findings),
        (Some(_), _) => findings.invalid(at, "forbid wants something gone; say `remove: true`"),
    }
}

/// The value is written, or removed, where the check fails: so there must be such a place.
fn check_places(rule: &Rule, fences: &Fences, at: &Field<'_>, findings: &mut Findings) {
    let removes = matches!(rule.fix, Some(Fix::Remove));
    let mut first: Option<String> = None;
    for check in rule.body.checks() {
        let path = check.path.to_string();
        if first.get_or_insert_with(|| path.clone()) != &path {
            findings.invalid(
                at,
                "the rule looks at several places, and it is not known which of them is to be written; give each its \
                 own rule, or say `append`",
            );
            return;
        }
        let why = match (check.measure, check.quantifier) {
            (Measure::Count, _) => {
                Some("a count is of no single place; say `append`, or judge the nodes themselves")
            }
            (Measure::Keys, _) if !removes => {
                Some("the name of a member cannot be written; say `remove: true`")
            }
            (_, Quantifier::Any) if !check.path.is_singular() => {
                Some("`Any` wants one of many places, and it is not known which; say `append`")
            }
            _ => None,
        };
        if let Some(why) = why {
            findings.invalid(at, why);
            return;
        }
        let whole = check.measure != Measure::Keys;
        for path in std::iter::once(&check.path).chain(&check.fallbacks) {
            refuse_joined(path, at, findings);
            refuse_fenced((path, rule.for_each.as_ref()), (fences, whole), at, findings);
        }
    }
}

/// Refuses to set a label or an annotation to what is no text: the server takes nothing else there.
pub(super) fn check_text((rule, set): (&Rule, Option<&Value>), rule_at: &Field<'_>, findings: &mut Findings) {
    let Some(value) = set.filter(|value| !value.is_string() && !value.is_null()) else { return };
    let mut places =
        rule.body.checks().flat_map(|check| std::iter::once(&check.path).chain(&check.fallbacks));
    if places.any(is_text) {
        let message =
            format!("labels and annotations are texts, and {value} is none; quote what is to be there");
        findings.invalid(&rule_at.name("fix").name("set"), message);
    }
}

/// Refuses what is known to be no fix's to write; `whole` where the path leads to the written place itself.
fn refuse_fenced(
    (path, under): (&Path, Option<&Path>),
    (fences, whole): (&Fences, bool),
    at: &Field<'_>,
    findings: &mut Findings,
) {
    let (from, inside) = match (path.root(), under) {
        (Root::Current, Some(elements)) => (elements, true),
        _ => (path, false),
    };
    // Of a Namespace, its Namespace is itself.
    if !matches!(from.root(), Root::Current | Root::Object | Root::Pod | Root::Namespace) {
        return;
    }
    let names: Vec<&str> = from.leading_names().collect();
    let whole = whole && !inside && from.names().is_some();
    if let Some(why) = fences.refuse_names(&names, whole) {
        findings.push(FaultReason::FixNotAllowed, at, why);
    }
}

/// Refuses fixes of kinds that no policy writes.
pub(super) fn refuse_kinds(
    targets: &[CompiledTarget],
    fences: &Fences,
    at: &Field<'_>,
    findings: &mut Findings,
) {
    for target in targets {
        for resource in &target.resources {
            let resource = GroupResource::new(target.group.clone(), resource.clone());
            if !fences.allow_kind(&resource) {
                let message = format!(
                    "no fix writes {resource}; take it out of the targets, or start the operator with \
                     --allow-fix-of={resource}"
                );
                findings.push(FaultReason::FixNotAllowed, at, message);
            }
        }
    }
}

/// Refuses two rules that want different values at one place of every object, which no value could satisfy.
pub(super) fn refuse_contradictions(rules: &[(usize, Rule)], at: &Field<'_>, findings: &mut Findings) {
    let mut wanted: BTreeMap<String, (&str, Node<'_>)> = BTreeMap::new();
    for (index, rule) in rules {
        let Some((path, value)) = rule.demanded() else { continue };
        let path = path.to_string();
        match wanted.get(&path) {
            Some((other, known)) if *known != value => {
                let message = format!(
                    "wants {value} at {path}, and the rule `{other}` wants {known} there; keep one of them"
                );
                findings.invalid(&at.entry(*index, &rule.name), message);
            }
            Some(_) => {}
            None => drop(wanted.insert(path, (&rule.name, value))),
        }
    }
}
