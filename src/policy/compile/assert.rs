//! Operators, and the values that they hold.

use serde_json::Value;

use crate::crd::{Assert, Patterns};
use crate::jsonpath::Node;
use crate::policy::assertion::{Assertion, Operator};
use crate::policy::fault::{Field, Findings};
use crate::policy::pattern::Pattern;

use super::policy::check_length;

/// Bytes that one value may have as JSON.
const VALUE_LIMIT: usize = 16 * 1024;

pub(super) fn compile(assert: &Assert, at: &Field<'_>, findings: &mut Findings) -> Option<Assertion> {
    let faulty = refuse_later_operators(assert, at, findings);
    let Assert { exists, equals, not_equals, in_, not_in, matches, not_matches, .. } = assert;
    let mut build = Build { at, findings, operators: Vec::new(), complete: !faulty };
    build.value("equals", equals.as_ref(), Operator::Equals);
    build.value("notEquals", not_equals.as_ref(), Operator::NotEquals);
    build.values("in", in_.as_deref(), Operator::In);
    build.values("notIn", not_in.as_deref(), Operator::NotIn);
    build.patterns("matches", matches.as_ref(), Operator::Matches);
    build.patterns("notMatches", not_matches.as_ref(), Operator::NotMatches);
    let Build { operators, complete, .. } = build;
    if complete && operators.is_empty() && exists.is_none() {
        findings.invalid(at, "is empty; say what must be true, such as `exists: true`");
    }
    complete.then(|| Assertion { exists: *exists, operators: operators.into() })
}

/// Refuses the operators of the contract that this version does not have, and says whether there were any.
fn refuse_later_operators(assert: &Assert, at: &Field<'_>, findings: &mut Findings) -> bool {
    // Destructured whole, so that an operator which nobody looks at does not compile.
    let Assert {
        exists: _,
        equals: _,
        not_equals: _,
        in_: _,
        not_in: _,
        matches: _,
        not_matches: _,
        search,
        not_search,
        like,
        not_like,
        contains,
        not_contains,
        in_cidr,
        not_in_cidr,
        in_ranges,
        at_least,
        at_most,
        above,
        below,
        type_,
        unique,
        equals_path,
        not_equals_path,
        in_path,
        not_in_path,
    } = assert;
    let later = [
        ("search", search.is_some()),
        ("notSearch", not_search.is_some()),
        ("like", like.is_some()),
        ("notLike", not_like.is_some()),
        ("contains", contains.is_some()),
        ("notContains", not_contains.is_some()),
        ("inCidr", in_cidr.is_some()),
        ("notInCidr", not_in_cidr.is_some()),
        ("inRanges", in_ranges.is_some()),
        ("atLeast", at_least.is_some()),
        ("atMost", at_most.is_some()),
        ("above", above.is_some()),
        ("below", below.is_some()),
        ("type", type_.is_some()),
        ("unique", unique.is_some()),
        ("equalsPath", equals_path.is_some()),
        ("notEqualsPath", not_equals_path.is_some()),
        ("inPath", in_path.is_some()),
        ("notInPath", not_in_path.is_some()),
    ];
    for (operator, _) in later.iter().filter(|(_, given)| *given) {
        findings.unsupported(&at.name(operator), &format!("the operator `{operator}`"));
    }
    later.iter().any(|(_, given)| *given)
}

/// Collects operators; `complete` while none of them was at fault.
struct Build<'b, 'f> {
    at: &'b Field<'f>,
    findings: &'b mut Findings,
    operators: Vec<Operator>,
    complete: bool,
}

impl Build<'_, '_> {
    fn push(&mut self, operator: Option<Operator>) {
        self.complete &= operator.is_some();
        self.operators.extend(operator);
    }

    fn value(&mut self, name: &str, value: Option<&Value>, operator: fn(Node) -> Operator) {
        let Some(value) = value else { return };
        let node = compile_value(value, &self.at.name(name), self.findings);
        self.push(node.map(operator));
    }

    fn values(&mut self, name: &str, values: Option<&[Value]>, operator: fn(Box<[Node]>) -> Operator) {
        let Some(values) = values else { return };
        let at = self.at.name(name);
        check_length(values.len(), 1..=256, &at, self.findings);
        let compile = |(index, value)| compile_value(value, &at.index(index), self.findings);
        // Collected before it is judged, so that every bad value is named.
        let nodes: Vec<Option<Node>> = values.iter().enumerate().map(compile).collect();
        let nodes: Option<Box<[Node]>> = nodes.into_iter().collect();
        self.push(nodes.map(operator));
    }

    fn patterns(&mut self, name: &str, patterns: Option<&Patterns>, operator: fn(Pattern) -> Operator) {
        let Some(patterns) = patterns else { return };
        let pattern = compile_patterns(patterns, &self.at.name(name), self.findings);
        self.push(pattern.map(operator));
    }
}

fn compile_patterns(patterns: &Patterns, at: &Field<'_>, findings: &mut Findings) -> Option<Pattern> {
    let texts = match patterns.as_slice() {
        Ok(texts) => texts,
        Err(value) => {
            findings.invalid(at, format!("{value} is not a pattern or a list of patterns; quote it"));
            return None;
        }
    };
    check_length(texts.len(), 1..=64, at, findings);
    let is_list = matches!(patterns, Patterns::Many(_));
    let errors = match Pattern::compile(texts) {
        Ok(pattern) => return Some(pattern),
        Err(errors) => errors,
    };
    for error in errors {
        match error.index.filter(|_| is_list) {
            Some(index) => findings.invalid(&at.index(index), error.message),
            None => findings.invalid(at, error.message),
        }
    }
    None
}

/// The value that stands in for an absent one.
pub(super) fn compile_default(value: &Value, at: &Field<'_>, findings: &mut Findings) -> Option<Node> {
    if value.is_null() {
        findings.invalid(at, "null counts as absent; leave `default` out");
        return None;
    }
    compile_value(value, at, findings)
}

fn compile_value(value: &Value, at: &Field<'_>, findings: &mut Findings) -> Option<Node> {
    let fault = match value {
        Value::Null => Some(
            "null counts as absent; say `exists`, or for elements of an array `type: \"null\"`".to_owned(),
        ),
        value if value.to_string().len() > VALUE_LIMIT => Some(format!("is over {VALUE_LIMIT} bytes")),
        value => fault_within(value),
    };
    match fault {
        Some(fault) => {
            findings.invalid(at, fault);
            None
        }
        None => Some(Node::from(value)),
    }
}

/// What no object could hold. Recursion is bounded by the decoder's limit of 128 levels.
fn fault_within(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) if !keeps_its_digits(number) => {
            Some(format!("{number} has over 63 bits, and the API server would change its digits"))
        }
        Value::Array(elements) => elements.iter().find_map(fault_within),
        Value::Object(members) => members.iter().find_map(|(name, member)| match member {
            Value::Null => Some(format!("null counts as absent; leave the member `{name}` out")),
            member => fault_within(member),
        }),
        _ => None,
    }
}

/// Whether the API server stores the number as it is written: integers have 63 bits, beyond they become floats.
fn keeps_its_digits(number: &serde_json::Number) -> bool {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0; // 2^63
    number.is_i64() || number.as_f64().is_some_and(|value| value.fract() != 0.0 || value.abs() < LIMIT)
}
