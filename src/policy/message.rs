//! Messages: the rule's own, with placeholders filled in, or one written from what was wanted and found.

use std::fmt::Write;

use crate::crd::Quantifier;
use crate::jsonpath::{Node, Path};

use super::assertion::{Complaint, Operator};
use super::check::Check;
use super::fault::{Field, Findings};
use super::render::{self, Cut};

/// Bytes of the text that says what is wanted.
const EXPECTED_LIMIT: usize = 256;

/// A rule's `message`.
#[derive(Debug)]
pub(super) struct Template(Box<[Part]>);

#[derive(Debug)]
enum Part {
    Text(Box<str>),
    Fact(Fact),
    Path(Path),
}

/// What is known of a failing node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    /// What was found.
    Actual,
    /// What is wanted.
    Expected,
    /// The real place.
    Path,
    /// The rule's name.
    Rule,
    /// The policy's name.
    Policy,
}

impl Template {
    /// Reads a message; what is wrong with it goes to the findings.
    pub(super) fn compile(text: &str, at: &Field<'_>, findings: &mut Findings) -> Self {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            literal.push_str(before);
            if let Some(after) = after.strip_prefix('{') {
                literal.push('{');
                rest = after;
                continue;
            }
            let position = text.chars().count() - after.chars().count() - 1;
            let Some((inner, after)) = split_placeholder(after) else {
                let message = format!("at character {position}: `{{` has no `}}`; write `{{{{` for a brace");
                findings.invalid(at, message);
                return Self(parts.into());
            };
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal).into()));
            }
            parts.extend(placeholder(inner, position, at, findings));
            rest = after;
        }
        literal.push_str(rest);
        parts.push(Part::Text(literal.into()));
        Self(parts.into())
    }

    /// The paths that the message shows.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().filter_map(|part| if let Part::Path(path) = part { Some(path) } else { None })
    }

    /// Fills in what is known and what the paths find.
    pub(super) fn render(
        &self,
        fact: &dyn Fn(Fact) -> Box<str>,
        value: &dyn Fn(&Path) -> Box<str>,
    ) -> Box<str> {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Fact(known) => out.push_str(&fact(*known)),
                Part::Path(path) => out.push_str(&value(path)),
            }
        }
        out.into()
    }
}

/// Splits after the closing brace, which may also stand within the quotes of a path.
fn split_placeholder(text: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    let mut escaped = false;
    for (index, c) in text.char_indices() {
        match c {
            _ if std::mem::take(&mut escaped) => {}
            '\\' if quote.is_some() => escaped = true,
            '\'' | '"' if quote == Some(c) => quote = None,
            '\'' | '"' if quote.is_none() => quote = Some(c),
            '}' if quote.is_none() => return Some((text.get(..index)?, text.get(index + 1..)?)),
            _ => {}
        }
    }
    None
}

fn placeholder(inner: &str, position: usize, at: &Field<'_>, findings: &mut Findings) -> Option<Part> {
    let fact = match inner {
        "actual" => Fact::Actual,
        "expected" => Fact::Expected,
        "path" => Fact::Path,
        "rule" => Fact::Rule,
        "policy" => Fact::Policy,
        "container" => {
            findings.unsupported(at, "the placeholder `{container}`");
            return None;
        }
        path if path.starts_with(['$', '.']) => {
            return path_placeholder(path, position, at, findings).map(Part::Path);
        }
        other => {
            let known = "{actual}, {expected}, {path}, {rule}, {policy} and paths such as {$.metadata.name}";
            let message = format!("at character {position}: `{{{other}}}` is not known; there are {known}");
            findings.invalid(at, message);
            return None;
        }
    };
    Some(Part::Fact(fact))
}

fn path_placeholder(text: &str, position: usize, at: &Field<'_>, findings: &mut Findings) -> Option<Path> {
    let path = findings.path_within(text, position + 1, at)?;
    if !path.is_singular() {
        let message = format!("at character {position}: `{{{text}}}` can find many; name one place");
        findings.invalid(at, message);
        return None;
    }
    Some(path)
}

/// What is wanted, in the words that follow `wanted`.
pub(super) fn expected(check: &Check) -> Box<str> {
    Cut::write(EXPECTED_LIMIT, |out| write_expected(out, check))
}

fn write_expected(out: &mut Cut, check: &Check) -> std::fmt::Result {
    out.write_str(match check.quantifier {
        Quantifier::All => "",
        Quantifier::Any => "at least one to be ",
        Quantifier::None => "none to be ",
    })?;
    let exists = check.assertion.exists.map(|wanted| if wanted { "a value" } else { "no value" });
    out.write_str(exists.unwrap_or_default())?;
    for (index, operator) in check.assertion.operators.iter().enumerate() {
        if index > 0 || exists.is_some() {
            out.write_str(" and ")?;
        }
        write_operator(out, operator)?;
    }
    Ok(())
}

fn write_operator(out: &mut Cut, operator: &Operator) -> std::fmt::Result {
    match operator {
        Operator::Equals(value) => out.write_str(&render::operand(value)),
        Operator::NotEquals(value) => write!(out, "not {}", render::operand(value)),
        Operator::In(values) => write_list(out, "one of", values.iter().map(render::operand)),
        Operator::NotIn(values) => write_list(out, "none of", values.iter().map(render::operand)),
        Operator::Matches(pattern) => write_list(out, "a match of", pattern.sources().iter()),
        Operator::NotMatches(pattern) => write_list(out, "no match of", pattern.sources().iter()),
    }
}

fn write_list(
    out: &mut Cut,
    words: &str,
    items: impl Iterator<Item = impl std::fmt::Display>,
) -> std::fmt::Result {
    out.write_str(words)?;
    for (index, item) in items.enumerate() {
        write!(out, "{} {item}", if index > 0 { "," } else { "" })?;
    }
    Ok(())
}

/// Why it could not be told whether a value is as wanted, and what to do about it.
pub(super) fn complaint(complaint: Complaint, path: &str, actual: &str, value: Option<&Node>) -> Box<str> {
    let text = match (complaint, value) {
        (Complaint::NotAString(kind), Some(_)) => format!(
            "{path} is {actual}, of type {kind}, and patterns are for strings; \
             look at a place that holds a string, or compare with `equals` or `in`"
        ),
        (Complaint::NotAString(kind), None) => {
            format!(
                "the default of {path} is of type {kind}, and patterns are for strings; quote it in the policy"
            )
        }
        (Complaint::Path(error), _) => format!("{path}: {error}"),
    };
    text.into()
}
