//! Fixes that mend nothing.

use serde_json::Value;

use crate::crd::{Check, Fix, Measure, Rule};
use crate::jsonpath::Path;

use super::super::fault::Field;
use super::Advices;
use super::trial::Trial;

/// A fix after which the rule's own checks fail still.
pub(super) fn of_rule(rule: &Rule, at: &Field<'_>, advices: &mut Advices) {
    let Some(Fix { set, remove, .. }) = &rule.fix else { return };
    let (name, value) = match (set, remove) {
        (Some(value), false) => ("set", Some(value)),
        (None, true) => ("remove", None),
        _ => return,
    };
    let fails = |checks: &[&Check]| checks.iter().any(|check| passes(check, value) == Some(false));
    if !rule.forbid && ways(rule).iter().all(|checks| fails(checks)) {
        let after = if value.is_some() { "with this value, too" } else { "where nothing is, too" };
        let words = format!("mends nothing: the rule fails {after}, and the object is left as Ineffective");
        advices.add(&at.name("fix").name(name), words);
    }
}

/// The checks of each way to satisfy the rule.
fn ways(rule: &Rule) -> Vec<Vec<&Check>> {
    fn whole<'r>(check: &'r Check, all_of: &'r [Check]) -> Vec<&'r Check> {
        if all_of.is_empty() { vec![check] } else { all_of.iter().collect() }
    }
    match &rule.any_of[..] {
        [] => vec![whole(&rule.check, &rule.all_of)],
        branches => branches.iter().map(|branch| whole(&branch.check, &branch.all_of)).collect(),
    }
}

/// Whether a place passes that has this value, or none; nothing where that depends on other places, or on the time.
fn passes(check: &Check, value: Option<&Value>) -> Option<bool> {
    let assert = check.assert.as_ref()?;
    let others = [&assert.equals_path, &assert.not_equals_path, &assert.in_path, &assert.not_in_path];
    let is_of_many = assert.unique.is_some() || others.iter().any(|other| other.is_some());
    let is_told = !matches!(check.measure, Measure::Count | Measure::Keys | Measure::Age | Measure::Until);
    // Of an array, an element that goes is not due any more.
    let stays_due = Path::parse(check.path.as_deref()?).is_ok_and(|path| path.has_tail());
    let falls_back = !check.fallbacks.is_empty() || !stays_due;
    if is_of_many || !is_told || (value.is_none() && falls_back) {
        return None;
    }
    Some(Trial::of(check)?.passes(value))
}
