//! Messages: the rule's own, with placeholders filled in, or one written from what was wanted and found.

use std::fmt::Write;

use crate::crd::{MAX_MESSAGE, Measure, Quantifier};
use crate::jsonpath::{Node, Path};

use super::assertion::{Assertion, Complaint, PlaceOperator};
use super::check::Check;
use super::fault::{Field, Findings};
use super::glob::Glob;
use super::operator::{Operand, Operator, Order, Test, type_name};
use super::render::{self, Cut};
use super::span::{Sense, Span};

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
    /// The name of the container that the place is in, else of the nearest place above that has one.
    Container,
}

impl Template {
    /// Reads a message; what is wrong with it goes to the findings.
    pub(super) fn compile(text: &str, at: &Field<'_>, findings: &mut Findings) -> Self {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        // In characters; counted on from brace to brace.
        let mut position = 0;
        while let Some((before, after)) = rest.split_once('{') {
            literal.push_str(before);
            position += before.chars().count();
            if let Some(after) = after.strip_prefix('{') {
                literal.push('{');
                position += 2;
                rest = after;
                continue;
            }
            let Some((inner, after)) = split_placeholder(after) else {
                let message = format!("at character {position}: `{{` has no `}}`; write `{{{{` for a brace");
                findings.invalid(at, message);
                return Self(parts.into());
            };
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal).into()));
            }
            parts.extend(placeholder(inner, position, at, findings));
            position += inner.chars().count() + 2;
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

    /// Whether the message names the container.
    pub(super) fn names_container(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Fact(Fact::Container)))
    }

    /// Whether it may say something else of each place.
    pub(super) fn names_place(&self) -> bool {
        let of_place = |part: &Part| matches!(part, Part::Fact(Fact::Actual | Fact::Expected | Fact::Path));
        self.0.iter().any(of_place)
    }

    /// Fills in what is known and what the paths find.
    pub(super) fn render(
        &self,
        fact: &dyn Fn(Fact) -> Box<str>,
        value: &dyn Fn(&Path) -> Box<str>,
    ) -> Box<str> {
        let all = |out: &mut Cut| {
            self.0.iter().try_for_each(|part| match part {
                Part::Text(text) => out.write_str(text),
                Part::Fact(known) => out.write_str(&fact(*known)),
                Part::Path(path) => out.write_str(&value(path)),
            })
        };
        Cut::write(MAX_MESSAGE, all)
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
        "container" => Fact::Container,
        path if path.starts_with(['$', '.']) => {
            return path_placeholder(path, position, at, findings).map(Part::Path);
        }
        other => {
            let known = "{actual}, {expected}, {path}, {rule}, {policy}, {container} and paths such as {$.metadata.name}";
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

/// What of a place is judged.
pub(super) fn measured(measure: Measure, path: &str) -> String {
    let of = match measure {
        Measure::Value | Measure::Age | Measure::Until => return path.to_owned(),
        Measure::Keys => "the key of",
        Measure::Length => "the length of",
        Measure::Count => "the count of",
        Measure::ImageRegistry => "the registry of",
        Measure::ImageRepository => "the repository of",
        Measure::ImageTag => "the tag of",
        Measure::ImageDigest => "the digest of",
    };
    format!("{of} {path}")
}

fn write_expected(out: &mut Cut, check: &Check) -> std::fmt::Result {
    let Assertion { exists, type_, unique, operators, places, manner: _ } = &check.assertion;
    out.write_str(match check.quantifier {
        Quantifier::All => "",
        Quantifier::Any => "at least one to be ",
        Quantifier::None => "none to be ",
    })?;
    let mut first = true;
    let mut and = |out: &mut Cut| out.write_str(if std::mem::take(&mut first) { "" } else { " and " });
    if let Some(wanted) = exists {
        and(out)?;
        out.write_str(if *wanted { "a value" } else { "no value" })?;
    }
    if let Some(wanted) = type_ {
        and(out)?;
        write!(out, "type {}", type_name(*wanted))?;
    }
    for operator in operators {
        and(out)?;
        write_operator(out, operator)?;
    }
    for PlaceOperator { path, wanted, spread } in places {
        and(out)?;
        match (wanted, spread) {
            (true, false) => write!(out, "the same as {path}")?,
            (false, false) => write!(out, "not the same as {path}")?,
            (true, true) => write!(out, "one of those at {path}")?,
            (false, true) => write!(out, "none of those at {path}")?,
        }
    }
    if *unique {
        and(out)?;
        out.write_str("no other equal value")?;
    }
    Ok(())
}

fn write_operator(out: &mut Cut, Operator { test, wanted }: &Operator) -> std::fmt::Result {
    let either = |yes, no| if *wanted { yes } else { no };
    let shown = |operand: &Operand| render::operand(operand.written.node());
    match test {
        Test::Equals(operand) => write!(out, "{}{}", either("", "not "), shown(operand)),
        Test::In(operands) => write_list(out, either("one of", "none of"), operands.iter().map(shown)),
        Test::Matches(pattern) => {
            let words = either("a whole match of", "no whole match of");
            write_list(out, words, pattern.sources().iter())
        }
        Test::Search(pattern) => {
            write_list(out, either("a part that matches", "no part that matches"), pattern.sources().iter())
        }
        Test::Like(globs) => write_list(out, either("like", "not like"), globs.iter().map(Glob::text)),
        Test::Contains(values) => write_list(
            out,
            either("to contain", "not to contain"),
            values.iter().map(|value| render::operand(value.node())),
        ),
        Test::InCidr(blocks) => write_list(out, either("inside", "nothing of"), blocks.iter()),
        Test::InRanges(ranges) => write_list(out, "within", ranges.iter().map(|range| &range.written)),
        Test::Order(order, operand) => write!(out, "{} {}", order_words(*order), shown(operand)),
        Test::Span(Span { sense, order, written, .. }) => {
            let of = match sense {
                Sense::Age => "an age of",
                Sense::Until => "a time left of",
            };
            write!(out, "{of} {} {}", span_words(*order), render::operand(written.node()))
        }
    }
}

fn order_words(order: Order) -> &'static str {
    match order {
        Order::AtLeast => "at least",
        Order::AtMost => "at most",
        Order::Above => "above",
        Order::Below => "below",
    }
}

fn span_words(order: Order) -> &'static str {
    match order {
        Order::Above => "more than",
        Order::Below => "less than",
        order => order_words(order),
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
pub(super) fn complaint(complaint: Complaint, path: &str, actual: &str, value: Option<Node<'_>>) -> String {
    match (complaint, value) {
        (Complaint::WrongType(kind, needs), Some(_)) => {
            format!("{path} is {actual}, of type {kind}, and {needs}")
        }
        (Complaint::WrongType(kind, needs), None) => {
            format!("the default of {path} is of type {kind}, and {needs}")
        }
        (Complaint::Unreadable(what), Some(_)) => format!("{path} is {actual}, which is not {what}"),
        (Complaint::Unreadable(what), None) => format!("the default of {path} is not {what}"),
        (Complaint::UnreadablePeer(what), _) => {
            format!("{path} is {actual}, and some of what it is compared with is not {what}")
        }
        (Complaint::Path(error), _) => format!("{path}: {error}"),
    }
}
