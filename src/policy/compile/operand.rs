//! Values, patterns and ranges that operators hold.

use ipnet::IpNet;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

use crate::crd::Patterns;
use crate::jsonpath::{Node, Reach, Tree};
use crate::policy::fault::{Field, Findings};
use crate::policy::glob::Glob;
use crate::policy::network;
use crate::policy::operator::{Manner, Operand, Order, Range};
use crate::policy::pattern::Pattern;
use crate::policy::scale::{self, Reading, Scale};
use crate::policy::span::{Sense, Span};

use super::policy::check_length;

/// Bytes that one value may have as JSON.
const VALUE_LIMIT: usize = 16 * 1024;

/// Reads what one operator holds; what is wrong with it goes to the findings.
pub(super) struct Reader<'r, 'f> {
    pub(super) at: &'r Field<'r>,
    pub(super) findings: &'f mut Findings,
    pub(super) manner: Manner,
}

impl Reader<'_, '_> {
    /// A value that others are compared with.
    pub(super) fn operand(&mut self, value: &Value) -> Option<Operand> {
        compile_operand(value, self.manner.scale, self.at, self.findings)
    }

    pub(super) fn operands(&mut self, values: &[Value]) -> Option<Box<[Operand]>> {
        let scale = self.manner.scale;
        self.each(values, |value, at, findings| compile_operand(value, scale, at, findings))
    }

    /// Something that has an order.
    pub(super) fn limit(&mut self, value: &Value) -> Option<Operand> {
        let scale = self.manner.scale;
        let written = compile_value(value, self.at, self.findings)?;
        if let Ok(reading) = scale.read(written.node()) {
            return Some(Operand { written, reading: Some(reading) });
        }
        let hint = match (scale, written.node()) {
            (Scale::Json, Node::String(_)) => "; say how to read it, such as `as: Quantity`",
            _ => "",
        };
        self.findings.invalid(self.at, format!("{value} is not {}{hint}", scale.wants()));
        None
    }

    /// A length of time.
    pub(super) fn span(&mut self, value: &Value, sense: Sense, order: Order) -> Option<Span> {
        let written = compile_value(value, self.at, self.findings)?;
        match written.node().as_str().and_then(scale::nanoseconds) {
            Some(length) => Some(Span { sense, order, length, written }),
            None => {
                self.findings
                    .invalid(self.at, format!("{value} is not a duration, such as 90s, 1h30m or 30d"));
                None
            }
        }
    }

    /// One value to be contained, or several.
    pub(super) fn members(&mut self, value: &Value) -> Option<Box<[Tree]>> {
        match value {
            Value::Array(values) => self.each(values, compile_value),
            value => compile_value(value, self.at, self.findings).map(|only| [only].into()),
        }
    }

    pub(super) fn pattern(&mut self, patterns: &Patterns, reach: Reach) -> Option<Pattern> {
        let texts = self.texts(patterns)?;
        let errors = match Pattern::compile(texts, reach, self.manner.case) {
            Ok(pattern) => return self.findings.patterns(pattern.bytes(), self.at).then_some(pattern),
            Err(errors) => errors,
        };
        let is_list = matches!(patterns, Patterns::Many(_));
        for error in errors {
            match error.index.filter(|_| is_list) {
                Some(index) => self.findings.invalid(&self.at.index(index), error.message),
                None => self.findings.invalid(self.at, error.message),
            }
        }
        None
    }

    pub(super) fn globs(&mut self, patterns: &Patterns) -> Option<Box<[Glob]>> {
        Some(self.texts(patterns)?.iter().map(|glob| Glob::new(glob)).collect())
    }

    pub(super) fn blocks(&mut self, patterns: &Patterns) -> Option<Box<[IpNet]>> {
        let is_list = matches!(patterns, Patterns::Many(_));
        let texts = self.texts(patterns)?;
        let whole = *self.at;
        self.each(texts, |text, at, findings| {
            let block = network::parse(text);
            if block.is_none() {
                let at = if is_list { at } else { &whole };
                findings
                    .invalid(at, format!("`{text}` is not a CIDR block or an address, such as 10.0.0.0/8"));
            }
            block
        })
    }

    pub(super) fn ranges(&mut self, ranges: &[IntOrString]) -> Option<Box<[Range]>> {
        check_length(ranges.len(), 1..=64, self.at, self.findings);
        let scale = self.manner.scale;
        self.each(ranges, |range, at, findings| {
            let text = match range {
                IntOrString::Int(number) => number.to_string(),
                IntOrString::String(text) => text.clone(),
            };
            let range = compile_range(&text, scale);
            if range.is_none() {
                let wants = scale.wants();
                let message = format!(
                    "`{text}` is not {wants}, nor two of them as `from-to` with the lesser one first"
                );
                findings.invalid(at, message);
            }
            range
        })
    }

    fn texts<'p>(&mut self, patterns: &'p Patterns) -> Option<&'p [String]> {
        match patterns.as_slice() {
            Ok(texts) => {
                check_length(texts.len(), 1..=64, self.at, self.findings);
                Some(texts)
            }
            Err(value) => {
                let message = format!("{value} is neither a text nor a list of texts; quote it");
                self.findings.invalid(self.at, message);
                None
            }
        }
    }

    /// Compiles each of a list, all of them before it is judged, so that every bad one is named.
    fn each<V, T>(
        &mut self,
        values: &[V],
        mut compile: impl FnMut(&V, &Field<'_>, &mut Findings) -> Option<T>,
    ) -> Option<Box<[T]>> {
        check_length(values.len(), 1..=256, self.at, self.findings);
        let compile = |(index, value)| compile(value, &self.at.index(index), self.findings);
        let compiled: Vec<Option<T>> = values.iter().enumerate().map(compile).collect();
        compiled.into_iter().collect()
    }
}

fn compile_operand(value: &Value, scale: Scale, at: &Field<'_>, findings: &mut Findings) -> Option<Operand> {
    let written = compile_value(value, at, findings)?;
    if scale == Scale::Json {
        return Some(Operand { written, reading: None });
    }
    match scale.read(written.node()) {
        Ok(reading) => Some(Operand { written, reading: Some(reading) }),
        Err(_) => {
            findings.invalid(at, format!("{value} is not {}", scale.wants()));
            None
        }
    }
}

/// A range is written `from-to`, or as the one value that it holds. Both ends may hold hyphens themselves, as negative
/// numbers and times do: the first hyphen at which both sides can be read, and in order, is the one between them.
fn compile_range(text: &str, scale: Scale) -> Option<Range> {
    let range = |least: Reading, most: Reading| Range { written: text.into(), least, most };
    let pair = text.match_indices('-').find_map(|(at, _)| {
        let least = scale.read_text(text.get(..at)?)?;
        let most = scale.read_text(text.get(at + 1..)?)?;
        least.compare(&most).is_le().then(|| range(least, most))
    });
    pair.or_else(|| scale.read_text(text).map(|only| range(only.clone(), only)))
}

/// The value that stands in for an absent one.
pub(super) fn compile_default(value: &Value, at: &Field<'_>, findings: &mut Findings) -> Option<Tree> {
    if value.is_null() {
        findings.invalid(at, "null counts as absent; leave `default` out");
        return None;
    }
    compile_value(value, at, findings)
}

/// A value that an object could hold.
pub(super) fn compile_value(value: &Value, at: &Field<'_>, findings: &mut Findings) -> Option<Tree> {
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
        None => Some(Tree::from(value)),
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
