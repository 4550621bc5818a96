//! Values as people read them: on one line, cut, and with secrets left out.

use std::fmt::{self, Write};

use crate::jsonpath::{Node, Step, Trail};

/// What stands for a value that must not be shown.
const REDACTED: &str = "<redacted>";
/// What stands for a value that is not there.
pub(super) const NOT_SET: &str = "not set";
/// Bytes of a value that are shown.
const VALUE_LIMIT: usize = 128;
/// `kubectl apply` keeps a copy of the whole object here, secrets and all.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// How near a place is to a value that must not be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Veil {
    Open,
    /// At a list of environment variables.
    Env,
    /// At one of them.
    Variable,
    /// At or below a value of one.
    Hidden,
}

impl Veil {
    fn of(trail: &Trail<'_>) -> Self {
        match trail.parent() {
            Some(parent) => Self::of(parent).step(trail.step()),
            None => Self::Open,
        }
    }

    fn step(self, step: Step<'_>) -> Self {
        match (self, step) {
            (Self::Hidden, _) | (Self::Variable, Step::Member("value")) => Self::Hidden,
            (_, Step::Member(LAST_APPLIED)) => Self::Hidden,
            (Self::Env, Step::Element(_)) => Self::Variable,
            (_, Step::Member("env")) => Self::Env,
            _ => Self::Open,
        }
    }
}

/// A value found in an object: strings as they are where that is unmistakable, the rest as JSON, cut at 128 bytes.
/// Nothing of a Secret is shown, nor the value of an environment variable, wherever in the value it stands.
pub(super) fn found(node: Node<'_>, trail: &Trail<'_>, secret: bool) -> Box<str> {
    let veil = if secret { Veil::Hidden } else { Veil::of(trail) };
    text(node, veil)
}

/// Whether anything of a value found in an object is not to be shown.
pub(super) fn is_veiled(node: Node<'_>, trail: &Trail<'_>, secret: bool) -> bool {
    secret || hides(node, Veil::of(trail))
}

fn hides(node: Node<'_>, veil: Veil) -> bool {
    match node {
        _ if veil == Veil::Hidden => true,
        Node::Array(elements) => elements.iter().any(|element| hides(element, veil.step(Step::Element(0)))),
        Node::Object(members) => {
            members.iter().any(|(name, member)| hides(member, veil.step(Step::Member(name))))
        }
        _ => false,
    }
}

/// A value that a policy holds.
pub(super) fn operand(node: Node<'_>) -> Box<str> {
    text(node, Veil::Open)
}

fn text(node: Node<'_>, veil: Veil) -> Box<str> {
    Cut::write(VALUE_LIMIT, |out| match (node, veil) {
        (_, Veil::Hidden) => out.write_str(REDACTED),
        (Node::String(text), _) if is_plain(text) => out.write_str(text),
        _ => write_json(out, node, veil),
    })
}

/// Whether a string can stand without quotes and be taken for nothing else.
fn is_plain(text: &str) -> bool {
    let mistakable = matches!(text, "" | "true" | "false" | "null" | NOT_SET | REDACTED)
        || text.starts_with(['"', '[', '{'])
        || text.parse::<f64>().is_ok();
    !mistakable && text.trim().len() == text.len() && !text.contains(char::is_control)
}

fn write_json(out: &mut Cut, node: Node<'_>, veil: Veil) -> fmt::Result {
    match node {
        _ if veil == Veil::Hidden => write_quoted(out, REDACTED),
        Node::String(text) => write_quoted(out, text),
        Node::Array(elements) => {
            out.write_char('[')?;
            for (index, element) in elements.iter().enumerate() {
                write_comma(out, index)?;
                write_json(out, element, veil.step(Step::Element(0)))?;
            }
            out.write_char(']')
        }
        Node::Object(members) => {
            out.write_char('{')?;
            for (index, (name, member)) in members.iter().enumerate() {
                write_comma(out, index)?;
                write_quoted(out, name)?;
                out.write_char(':')?;
                write_json(out, member, veil.step(Step::Member(name)))?;
            }
            out.write_char('}')
        }
        Node::Null | Node::Bool(_) | Node::Number(_) => write!(out, "{node}"),
    }
}

fn write_comma(out: &mut Cut, index: usize) -> fmt::Result {
    if index > 0 { out.write_char(',') } else { Ok(()) }
}

fn write_quoted(out: &mut Cut, text: &str) -> fmt::Result {
    out.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(out, "\\{c}")?,
            '\n' => out.write_str("\\n")?,
            c if c.is_control() => write!(out, "\\u{:04x}", u32::from(c))?,
            c => out.write_char(c)?,
        }
    }
    out.write_char('"')
}

/// Text that grows up to a limit in bytes, and fails to be written beyond.
pub(super) struct Cut {
    text: String,
    limit: usize,
}

impl Cut {
    /// Writes a text, and ends it with an ellipsis where it would grow over the limit.
    pub(super) fn write(limit: usize, write: impl FnOnce(&mut Self) -> fmt::Result) -> Box<str> {
        let mut cut = Self { text: String::new(), limit };
        if write(&mut cut).is_err() {
            cut.text.push('…');
        }
        cut.text.into()
    }
}

impl Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let left = self.limit.saturating_sub(self.text.len());
        let fits = text.get(..text.floor_char_boundary(left)).unwrap_or_default();
        self.text.push_str(fits);
        if fits.len() < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}
