//! Field selectors as Kubernetes has them: terms `field=value`, `field==value` and `field!=value`, joined by commas, all
//! of which must hold (`k8s.io/apimachinery/pkg/fields`). A `\` before `,`, `=` or `\` in a value takes its meaning away.
//!
//! By which fields a kind can be selected is the API server's to say: for its own kinds by [`builtin`], for custom ones
//! by the `selectableFields` of their definition.

use std::fmt;
use std::sync::Arc;

use crate::jsonpath::{Document, Node, Projection};
use crate::resource::GroupResource;

use super::fault::{Field, Findings};

mod builtin;

pub(super) use builtin::is_builtin_group;

/// The field that every object can be selected by.
pub(super) const NAME: &str = "metadata.name";
/// The same of objects in namespaces.
pub(super) const NAMESPACE: &str = "metadata.namespace";

/// A compiled field selector, with at least one term. Shown as the API server takes it in `fieldSelector`; two that
/// select the same by the same terms are shown alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldSelector(Box<[Term]>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Term {
    label: Arc<str>,
    value: Box<str>,
    /// Whether the field must have the value, or must not.
    equal: bool,
    place: Place,
    /// What the server takes the field for where it is not set.
    unset: &'static str,
}

/// Where an object has the field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Name,
    Namespace,
    Members(Box<[Arc<str>]>),
}

impl FieldSelector {
    /// Compiles a selector on some resources of a group; what is wrong with it goes to the findings. `None` where every
    /// object is selected, or nothing can be made of it.
    pub(super) fn compile(
        text: &str,
        (group, resources): (&str, &[Arc<str>]),
        at: &Field<'_>,
        findings: &mut Findings,
    ) -> Option<Self> {
        let mut terms = Vec::new();
        for part in parts(text).filter(|part| !part.is_empty()) {
            match Term::parse(part) {
                Ok(term) => terms.push(term),
                Err(fault) => findings.invalid(at, fault),
            }
        }
        for term in &mut terms {
            for resource in resources {
                let resource = GroupResource::new(group, Arc::clone(resource));
                match builtin::field(&resource, &term.label) {
                    Ok((place, unset)) => (term.place, term.unset) = (place, unset),
                    Err(fault) => findings.invalid(at, fault),
                }
            }
        }
        terms.sort();
        terms.dedup();
        (!terms.is_empty()).then(|| Self(terms.into()))
    }

    /// Whether the object is selected. One whose fields cannot be read is: nothing shows that it is out of scope.
    pub(super) fn matches(&self, document: &Document) -> bool {
        self.0.iter().all(|term| term.holds(document))
    }

    /// Adds what must be kept of objects to select them.
    pub(super) fn read(&self, projection: &mut Projection) {
        for term in &self.0 {
            if let Place::Members(names) = &term.place {
                projection.read_member(names);
            }
        }
    }

    /// The fields that it selects by, beside the name and the namespace.
    pub(super) fn others(&self) -> impl Iterator<Item = &Arc<str>> {
        let other = |term: &&Term| matches!(term.place, Place::Members(_));
        self.0.iter().filter(other).map(|term| &term.label)
    }

    /// Whether it asks for the namespace.
    pub(super) fn reads_namespace(&self) -> bool {
        self.0.iter().any(|term| term.place == Place::Namespace)
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(index, term)| {
            let comma = if index > 0 { "," } else { "" };
            let operator = if term.equal { "=" } else { "!=" };
            write!(f, "{comma}{}{operator}", term.label)?;
            term.value.chars().try_for_each(|c| match c {
                '\\' | ',' | '=' => write!(f, "\\{c}"),
                c => write!(f, "{c}"),
            })
        })
    }
}

/// What stands between commas that are not escaped.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    text.split(move |c| {
        let ends = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })
}

impl Term {
    fn parse(part: &str) -> Result<Self, String> {
        let (before, after) = part.split_once('=').ok_or_else(|| unclear(part))?;
        let (label, value, equal) = match before.strip_suffix('!') {
            Some(label) => (label, after, false),
            None => (before, after.strip_prefix('=').unwrap_or(after), true),
        };
        if label.is_empty() {
            return Err(unclear(part));
        }
        Ok(Self { label: label.into(), value: unescape(value)?, equal, place: Place::Name, unset: "" })
    }

    fn holds(&self, document: &Document) -> bool {
        let is = |text: &str| (*text == *self.value) == self.equal;
        match &self.place {
            Place::Name => is(&document.id.name),
            Place::Namespace => is(document.id.namespace.as_deref().unwrap_or_default()),
            Place::Members(names) => {
                let Ok(root) = &document.root else { return true };
                match names.iter().try_fold(root.node(), |node, name| node.get(name)) {
                    None | Some(Node::Null) => is(self.unset),
                    Some(Node::String(text)) => is(text),
                    Some(Node::Bool(value)) => is(if value { "true" } else { "false" }),
                    Some(value) => is(&value.to_string()),
                }
            }
        }
    }
}

fn unclear(part: &str) -> String {
    format!("cannot make out `{part}`; terms are written as `status.phase=Running` or `status.phase!=Failed`")
}

fn unescape(value: &str) -> Result<Box<str>, String> {
    let mut plain = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '=' | ',' => {
                return Err(format!("`{c}` in the value `{value}` has another meaning; write `\\{c}`"));
            }
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => plain.push(c),
                _ => {
                    return Err(format!(
                        "`\\` in the value `{value}` stands before nothing that it escapes; write `\\\\`"
                    ));
                }
            },
            c => plain.push(c),
        }
    }
    Ok(plain.into())
}

#[cfg(test)]
mod tests;
