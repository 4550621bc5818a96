//! What a policy that ended, or lost a rule, gives back: from its entry in `managedFields` to a patch that takes it out.
//!
//! The entry lists what the policy set and still owns. What it may not write any more is taken out of the entry, so that
//! no ghost of a manager stands in anybody's way; and where the policy says so, labels and annotations among it are taken
//! off the object. Other fields keep their value: the server's default for a removed field may start or stop something.

use std::sync::Arc;

use crate::jsonpath::{FIELD_MANAGER_PREFIX, Level, Node, Path, Projection, Tree};
use crate::resource::GroupResource;

use super::fence::Fences;
use super::fix::Fix;
use super::manager;
use super::patch::{Operation, Patch};
use super::pointer::{Pointer, Token};
use super::program::{Body, CompiledPolicy, Rule};

impl CompiledPolicy {
    /// What its fixes may write on a resource, and where they look for it; nothing on one that is none of its targets.
    pub fn writes(&self, resource: &GroupResource) -> Projection {
        let mut written = Projection::default();
        if self.targets(resource) {
            let roots = self.roots(resource);
            for (path, under) in self.rules.iter().flat_map(Rule::written) {
                written.read(path, &roots, under);
            }
        }
        written
    }
}

impl Rule {
    /// The paths to what its fix may write, each with the `forEach` that it stands in.
    fn written(&self) -> Vec<(&Path, Option<&Path>)> {
        let under = self.for_each.as_ref();
        match (&self.fix, &self.body) {
            (None, _) => Vec::new(),
            (Some(Fix::Append(append)), _) => vec![(&append.at, under)],
            (Some(_), Body::Forbid) => under.map(|elements| (elements, None)).into_iter().collect(),
            (Some(_), body) => {
                let paths =
                    body.checks().flat_map(|check| std::iter::once(&check.path).chain(&check.fallbacks));
                paths.map(|path| (path, under)).collect()
            }
        }
    }
}

/// Whether a policy owns something that it may not write any more. `fields` is its entry's `fieldsV1`, `written` what
/// it may still write. Of an entry that cannot be read that is not known, and it is taken for a yes.
pub fn lets_go(fields: &str, written: &Projection) -> bool {
    *written == Projection::default()
        || fields.parse::<Tree>().map_or(true, |fields| kept(fields.node(), written.level()) != fields)
}

/// A policy lets go of an object; or several do at once that have the same to say.
#[derive(Clone, Copy, Debug)]
pub struct Release<'r> {
    /// The policies' names; of those that take something back there is one.
    pub policies: &'r [Arc<str>],
    /// What it may still write.
    pub written: &'r Projection,
    /// Whether labels and annotations that it may not write any more are taken off the object.
    pub take_back: bool,
    /// What is never written.
    pub fences: &'r Fences,
}

impl Release<'_> {
    /// The patch that lets go of an object; `None` where nothing is to be done.
    ///
    /// It tests each entry as a whole and each value: who writes the field meanwhile changes the entry. So an object
    /// that changes all the time can be let go of.
    pub fn as_patch(&self, uid: &str, object: Node<'_>) -> Option<Patch> {
        let entries = object.get("metadata")?.get("managedFields")?.as_array()?;
        let ours: Vec<_> =
            (0..).zip(entries.iter()).filter_map(|(at, entry)| self.change(at, entry)).collect();
        if ours.is_empty() {
            return None;
        }
        let mut operations: Vec<_> = ours.iter().map(Change::test).collect();
        if self.take_back {
            let lost = ours.iter().flat_map(Change::lost);
            let removed: Vec<_> = lost.filter_map(|place| self.taken_back(&place, object)).collect();
            operations.extend(removed.iter().map(|(path, value)| test(path, value.node())));
            operations.extend(removed.into_iter().map(|(path, _)| Operation::Remove { path }));
        }
        let goes = |change: &&Change<'_>| change.kept.is_none();
        if ours.iter().filter(goes).count() == entries.len() {
            // An empty list means that the server keeps the one that it has; this means that nobody owns anything.
            let nobody = Tree::array([Tree::object([]).node()]);
            operations.push(Operation::Replace { path: MANAGED_FIELDS.to_owned(), value: nobody });
        } else {
            // From the back, so that no entry moves before its turn.
            operations.extend(ours.into_iter().rev().map(Change::write));
        }
        Some(Patch::of(uid, operations))
    }

    /// What becomes of an entry, if it is the policy's and lists what it may not write any more.
    fn change<'o>(&self, at: usize, entry: Node<'o>) -> Option<Change<'o>> {
        let text = |name| entry.get(name).and_then(Node::as_str);
        let policy = text("manager")?.strip_prefix(FIELD_MANAGER_PREFIX)?;
        let is_own = self.policies.iter().any(|own| **own == *policy)
            && text("operation") == Some("Update")
            && entry.get("subresource").is_none();
        let fields = entry.get("fieldsV1").unwrap_or(Node::Null);
        let kept = kept(fields, self.written.level());
        let is_empty = matches!(kept.node(), Node::Object(members) if members.is_empty());
        let change = Change { at, entry, fields, kept: Some(kept).filter(|_| !is_empty) };
        (is_own && change.kept.as_ref().map(Tree::node) != Some(fields)).then_some(change)
    }

    /// The path and the value of a label or annotation that goes: nobody else owns it, and no fence stands before it.
    fn taken_back(&self, place: &Pointer, object: Node<'_>) -> Option<(String, Tree)> {
        let own = format!("{FIELD_MANAGER_PREFIX}{}", self.policies.first()?);
        let value = place.find(object)?;
        let is_ours = manager::owner_of(object, place, &own).is_none() && self.fences.refuse(place).is_none();
        is_ours.then(|| (place.to_string(), value.into()))
    }
}

const MANAGED_FIELDS: &str = "/metadata/managedFields";

fn test(path: &str, value: Node<'_>) -> Operation {
    Operation::Test { path: path.to_owned(), value: value.into() }
}

/// What becomes of one entry.
struct Change<'o> {
    at: usize,
    entry: Node<'o>,
    fields: Node<'o>,
    /// What is left of its fields; `None` where the entry goes.
    kept: Option<Tree>,
}

impl Change<'_> {
    fn path(&self) -> String {
        format!("{MANAGED_FIELDS}/{}", self.at)
    }

    fn test(&self) -> Operation {
        test(&self.path(), self.entry)
    }

    fn write(self) -> Operation {
        let path = self.path();
        match self.kept {
            None => Operation::Remove { path },
            Some(value) => Operation::Replace { path: format!("{path}/fieldsV1"), value },
        }
    }

    /// The labels and annotations that it does not list any more.
    fn lost(&self) -> Vec<Pointer> {
        let maps = ["labels", "annotations"].into_iter();
        maps.flat_map(|map| {
            let before = keys(self.fields, map);
            let after = self.kept.as_ref().map(|kept| keys(kept.node(), map)).unwrap_or_default();
            before.into_iter().filter(move |key| !after.contains(key)).map(move |key| {
                let names = [Arc::from("metadata"), Arc::from(map), key];
                names.into_iter().map(Token::Name).collect()
            })
        })
        .collect()
    }
}

/// The labels, or annotations, in a set of fields.
fn keys(fields: Node<'_>, map: &str) -> Vec<Arc<str>> {
    let of_map = fields.get("f:metadata").and_then(|metadata| metadata.get(&format!("f:{map}")));
    let Some(Node::Object(members)) = of_map else { return Vec::new() };
    members.iter().filter_map(|(name, _)| name.strip_prefix("f:").map(Arc::from)).collect()
}

/// The part of a set of fields (FieldsV1) that may still be written. What the set has as a whole stays as a whole.
fn kept(fields: Node<'_>, written: Level<'_>) -> Tree {
    let Node::Object(members) = fields else { return fields.into() };
    if written.is_whole() {
        return fields.into();
    }
    let part = |(name, below): (&str, Node<'_>)| {
        let written = match name.split_once(':') {
            Some(("f", name)) => written.member(name)?,
            // The place itself.
            None => return Some((name.to_owned(), Tree::from(below))),
            Some(_) => written.element()?,
        };
        let left = kept(below, written);
        // What was more than a leaf, and has nothing left but itself.
        let is_bare = matches!((left.node(), below), (Node::Object(left), Node::Object(below))
            if left.len() < below.len() && left.iter().all(|(name, _)| name == "."));
        (!is_bare).then(|| (name.to_owned(), left))
    };
    let parts: Vec<_> = members.iter().filter_map(part).collect();
    Tree::object(parts.iter().map(|(name, part)| (&**name, part.node())))
}

#[cfg(test)]
#[path = "release_tests.rs"]
mod tests;
