//! Operators that can never hold, or say nothing: each is tried out on what the others let through.

use serde_json::{Map, Value};

use crate::crd::{As, Assert, Check, Measure, Quantifier, ValueType};
use crate::jsonpath::Path;

use super::super::fault::Field;
use super::super::texts::is_text;
use super::Advices;
use super::trial::Trial;

/// Operators that compare whole values, and those that read globs.
const GLOBS: [(&str, &str); 4] =
    [("equals", "like"), ("in", "like"), ("notEquals", "notLike"), ("notIn", "notLike")];
/// Operators for texts.
const TEXTS: [&str; 8] =
    ["matches", "notMatches", "search", "notSearch", "like", "notLike", "inCidr", "notInCidr"];
/// Operators that also look into arrays.
const MEMBERS: [&str; 2] = ["contains", "notContains"];
/// What says nothing of a value by itself, or guards the others.
const BESIDE: [&str; 7] = ["exists", "unique", "type", "equalsPath", "notEqualsPath", "inPath", "notInPath"];
/// Bounds, and whether the bound itself is within.
const LOWEST: [(&str, bool); 2] = [("atLeast", true), ("above", false)];
const HIGHEST: [(&str, bool); 2] = [("atMost", true), ("below", false)];

type Operators = Map<String, Value>;

/// What the operators of a check say of each other, of its measure and of their own operands.
pub(super) fn of_check(check: &Check, assert: &Assert, at: &Field<'_>, advices: &mut Advices) {
    let Ok(Value::Object(operators)) = serde_json::to_value(assert) else { return };
    let at = at.name("assert");
    of_globs(check, &operators, &at, advices);
    if of_exists(&operators, &at, advices)
        || of_type(assert, &operators, &at, advices)
        || of_measure(check, &operators, &at, advices)
    {
        return;
    }
    of_bounds(check, &operators, &at, advices);
    of_values(check, &operators, &at, advices);
}

/// The values that an operator compares with.
fn operands<'o>(operators: &'o Operators, name: &str) -> Vec<&'o Value> {
    match operators.get(name) {
        Some(Value::Array(values)) if matches!(name, "in" | "notIn") => values.iter().collect(),
        Some(value) => vec![value],
        None => Vec::new(),
    }
}

/// Fields whose values have a `*` of their own: of RBAC, of webhooks, and of what names hosts.
const STARRED: [&str; 7] =
    ["apiGroups", "dnsNames", "host", "hosts", "nonResourceURLs", "resources", "verbs"];

/// Text that looks like a glob, and is compared as it is.
fn of_globs(check: &Check, operators: &Operators, at: &Field<'_>, advices: &mut Advices) {
    let path = check.path.as_deref().and_then(|path| Path::parse(path).ok());
    let is_starred = |place: Path| place.last_name().is_some_and(|name| STARRED.contains(&name));
    if path.is_some_and(|path| path.prefixes().any(is_starred)) {
        return;
    }
    // A star alone is a name.
    let is_glob = |value: &&&Value| value.as_str().is_some_and(|text| text.len() > 1 && text.contains('*'));
    for (name, better) in GLOBS {
        if let Some(glob) = operands(operators, name).iter().find(is_glob) {
            advices.add(
                &at.name(name),
                format!("compares {glob} as it is written, with its `*`; as a glob: `{better}`"),
            );
        }
    }
}

fn of_exists(operators: &Operators, at: &Field<'_>, advices: &mut Advices) -> bool {
    let alone = operators.get("exists") != Some(&Value::Bool(false)) || operators.len() == 1;
    if !alone {
        advices.add(&at.name("exists"), "lets no value be there, so that the other operators say nothing");
    }
    !alone
}

/// `type` beside operators that are for texts.
fn of_type(assert: &Assert, operators: &Operators, at: &Field<'_>, advices: &mut Advices) -> bool {
    let other = assert.type_.is_some_and(|wanted| wanted != ValueType::String);
    let text = TEXTS.iter().find(|name| other && operators.contains_key(**name));
    if let Some(name) = text {
        advices.add(
            &at.name("type"),
            format!("lets no string through, and `{name}` is for strings: the two never hold together"),
        );
    }
    text.is_some()
}

/// Operands of a type that the place, or what is measured of it, never has.
fn of_measure(check: &Check, operators: &Operators, at: &Field<'_>, advices: &mut Advices) -> bool {
    let measure = check.measure;
    let is_text =
        || check.path.as_deref().map(Path::parse).is_some_and(|path| path.is_ok_and(|path| is_text(&path)));
    let (kind, is_kind): (&str, fn(&Value) -> bool) = match measure {
        Measure::Value if is_text() => ("string", Value::is_string),
        Measure::Count | Measure::Length => ("number", Value::is_number),
        Measure::Keys
        | Measure::ImageRegistry
        | Measure::ImageRepository
        | Measure::ImageTag
        | Measure::ImageDigest => ("string", Value::is_string),
        Measure::Value | Measure::Age | Measure::Until => return false,
    };
    if kind == "number"
        && let Some(name) = TEXTS.iter().chain(&MEMBERS).find(|name| operators.contains_key(**name))
    {
        let words = format!(
            "`measure: {measure:?}` is a number, which `{name}` is not for: it is an Error each time"
        );
        advices.add(&at.name(name), words);
        return true;
    }
    let compared = GLOBS.into_iter().find_map(|(name, _)| {
        let odd = operands(operators, name).into_iter().find(|value| !is_kind(value))?;
        (check.as_.is_none()).then_some((name, odd))
    });
    if let Some((name, odd)) = compared {
        let words = match measure {
            Measure::Value => {
                format!("labels and annotations are texts, which {odd} never equals: put it in quotes")
            }
            _ => format!("`measure: {measure:?}` is a {kind}, which {odd} never equals"),
        };
        advices.add(&at.name(name), words);
    }
    compared.is_some()
}

/// Bounds of which one leaves nothing to the other.
fn of_bounds(check: &Check, operators: &Operators, at: &Field<'_>, advices: &mut Advices) {
    let given = |bounds: [(&'static str, bool); 2]| {
        let given = |(name, within)| Some((name, within, operators.get(name)?));
        bounds.into_iter().filter_map(given).collect::<Vec<_>>()
    };
    let (lowest, highest) = (given(LOWEST), given(HIGHEST));
    for both in [&lowest, &highest] {
        if let [(one, ..), (other, ..)] = both[..] {
            advices.add(
                &at.name(other),
                format!("says the same as `{one}`, or less or more; leave one of them out"),
            );
        }
    }
    for (low, low_is_within, least) in &lowest {
        for (high, high_is_within, most) in &highest {
            let below = if *low_is_within && *high_is_within { "atMost" } else { "below" };
            if passes_alone(check, (below, most), &[least]) == Some(0) {
                let words = format!("no value is {} too: the two never hold together", shown(high, most));
                advices.add(&at.name(low), words);
            }
        }
    }
}

/// Operators beside `equals` or `in` that let all of its values through, or none.
fn of_values(check: &Check, operators: &Operators, at: &Field<'_>, advices: &mut Advices) {
    let Some(first) = ["equals", "in"].into_iter().find(|name| operators.contains_key(*name)) else { return };
    let values = operands(operators, first);
    for (name, operand) in operators.iter().filter(|(name, _)| *name != first) {
        if BESIDE.contains(&&**name) && name != "type" {
            continue;
        }
        match passes_alone(check, (name, operand), &values) {
            Some(0) => {
                let never = match check.quantifier {
                    Quantifier::None => "the check always passes",
                    Quantifier::All | Quantifier::Any => "the two never hold together",
                };
                advices.add(&at.name(name), format!("lets no value of `{first}` through: {never}"));
            }
            Some(all) if all == values.len() && name != "type" => {
                let words = format!(
                    "says nothing beside `{first}`, all of whose values it lets through; leave it out"
                );
                advices.add(&at.name(name), words);
            }
            _ => {}
        }
    }
}

/// How many of some values pass one operator of a check; nothing where that cannot be told.
fn passes_alone(check: &Check, (name, operand): (&str, &Value), values: &[&Value]) -> Option<usize> {
    let only = Operators::from_iter([(name.to_owned(), operand.clone())]);
    let is_span = matches!(check.measure, Measure::Age | Measure::Until);
    let refined = Check {
        path: None,
        as_: check.as_.or(is_span.then_some(As::Duration)),
        ignore_case: check.ignore_case,
        assert: Some(serde_json::from_value(only.into()).ok()?),
        ..Check::default()
    };
    let plain = Check { as_: None, ignore_case: false, ..refined.clone() };
    // What refines a check may be for its other operators alone.
    let trial = Trial::of(&refined).or_else(|| Trial::of(&plain))?;
    Some(values.iter().filter(|value| trial.passes(Some(value))).count())
}

fn shown(name: &str, operand: &Value) -> String {
    format!("`{name}: {}`", operand.as_str().map_or_else(|| operand.to_string(), str::to_owned))
}
