//! Changes as a JSON Patch (RFC 6902) that is a compare-and-swap of just these places.
//!
//! The uid must be the judged one; each place must still hold what was judged, or still be absent; elements of arrays
//! on the way must still be those that were judged. All of that is tested before anything is changed. Against
//! absence the API server is asked with `test … null`, which passes where the parent is there and the member is not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::jsonpath::{Node, Tree};

use super::fix::{Change, Mend, Obstacle, Write};
use super::pointer::{Pointer, Token};

/// One operation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub(super) enum Operation {
    Test { path: String, value: Tree },
    Add { path: String, value: Tree },
    Replace { path: String, value: Tree },
    Remove { path: String },
}

impl Operation {
    fn of_uid(uid: &str) -> Self {
        Self::Test { path: "/metadata/uid".to_owned(), value: Node::String(uid).into() }
    }
}

/// A JSON Patch, to be sent as `application/json-patch+json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Patch(Vec<Operation>);

impl Patch {
    /// The patch that makes the changes of the object that was judged, and of no other.
    pub fn new(uid: &str, object: Node<'_>, changes: &[&Change]) -> Self {
        let operations = vec![Operation::of_uid(uid)];
        let mut build = Build { object, operations, tested: BTreeSet::new(), made: BTreeSet::new() };
        changes.iter().for_each(|change| build.test(change));
        changes.iter().for_each(|change| build.write(change));
        build.remove(changes);
        Self(build.operations)
    }

    /// These operations, on the object of this uid alone.
    pub(super) fn of(uid: &str, operations: Vec<Operation>) -> Self {
        Self(std::iter::once(Operation::of_uid(uid)).chain(operations).collect())
    }

    /// The object as it is after the patch; `None` where the patch does not fit.
    pub fn apply(&self, object: Node<'_>) -> Option<Tree> {
        carry_out(object, self.0.iter())
    }

    /// The same without its tests, for an object of which not all that they ask for is known.
    pub fn effect(&self, object: Node<'_>) -> Option<Tree> {
        carry_out(object, self.0.iter().filter(|operation| !matches!(operation, Operation::Test { .. })))
    }
}

struct Build<'o> {
    object: Node<'o>,
    operations: Vec<Operation>,
    tested: BTreeSet<Pointer>,
    made: BTreeSet<Pointer>,
}

impl Build<'_> {
    fn test(&mut self, change: &Change) {
        let Change { place, judged, write: _, source } = change;
        self.test_elements(place);
        if let Some((from, value)) = source {
            self.test_elements(from);
            self.expect(from.clone(), value.clone());
        }
        match judged {
            Some(judged) => self.expect(place.clone(), judged.clone()),
            None => {
                let object = self.object;
                let missing = place.prefixes().find(|prefix| prefix.find(object).is_none());
                self.expect(missing.unwrap_or_else(|| place.clone()), Node::Null.into());
            }
        }
    }

    /// Elements on the way are known by their name, where no other has it, or else as a whole: two of one name could have
    /// changed places.
    fn test_elements(&mut self, place: &Pointer) {
        for prefix in
            place.prefixes().filter(|prefix| matches!(prefix.tokens().last(), Some(Token::Index(_))))
        {
            let Some(element) = prefix.find(self.object) else { continue };
            match prefix.element_name(self.object) {
                Some(name) => self.expect(prefix.member("name"), Node::String(name).into()),
                None => self.expect(prefix, element.into()),
            }
        }
    }

    fn expect(&mut self, place: Pointer, value: Tree) {
        let path = place.to_string();
        if self.tested.insert(place) {
            self.operations.push(Operation::Test { path, value });
        }
    }

    /// Sets and appends, which move no element that is still to be written.
    fn write(&mut self, change: &Change) {
        let Change { place, judged, write, source: _ } = change;
        let path = place.to_string();
        let is_there = judged.is_some() || self.made.contains(place);
        match write {
            Write::Set(value) if is_there => {
                self.operations.push(Operation::Replace { path, value: value.clone() });
            }
            Write::Set(value) => self.make(place, value.clone()),
            Write::Append(value) if is_there => {
                self.operations.push(Operation::Add { path: format!("{path}/-"), value: value.clone() });
            }
            Write::Append(value) => self.make(place, Tree::array([value.node()])),
            Write::Remove => {}
        }
    }

    /// Makes a place, and what it is in.
    fn make(&mut self, place: &Pointer, value: Tree) {
        for parent in place.prefixes().take(place.tokens().len()) {
            if parent.find(self.object).is_none() && self.made.insert(parent.clone()) {
                let value = Tree::object([]);
                self.operations.push(Operation::Add { path: parent.to_string(), value });
            }
        }
        self.made.insert(place.clone());
        self.operations.push(Operation::Add { path: place.to_string(), value });
    }

    /// From the back, so that no element moves before it is removed; what is inside goes with what it is in.
    fn remove(&mut self, changes: &[&Change]) {
        let removed: BTreeSet<&Pointer> = changes
            .iter()
            .filter(|change| change.write == Write::Remove)
            .map(|change| &change.place)
            .collect();
        for place in removed.iter().rev() {
            let goes_with_another = removed.iter().any(|other| other != place && other.holds(place));
            if !goes_with_another {
                self.operations.push(Operation::Remove { path: place.to_string() });
            }
        }
    }
}

/// Whether two changes cannot both be made.
fn clash(one: &Change, other: &Change) -> bool {
    let meet = one.place.holds(&other.place) || other.place.holds(&one.place);
    // What is appended goes to the end, past all that is done to the elements that are there.
    let is_inside = |place: &Pointer, list: &Pointer| place.tokens().len() > list.tokens().len();
    let agree = match (&one.write, &other.write) {
        (Write::Remove, Write::Remove) => true,
        (Write::Append(_), _) if is_inside(&other.place, &one.place) => true,
        (_, Write::Append(_)) if is_inside(&one.place, &other.place) => true,
        (Write::Append(_), Write::Append(_)) => one.place == other.place,
        (one_write, other_write) => one.place == other.place && one_write == other_write,
    };
    meet && !agree
}

/// Changes by their places, each with a note, so that those that meet are found without looking at all.
#[derive(Debug)]
pub struct Changes<'c, N>(BTreeMap<&'c Pointer, Vec<(&'c Change, N)>>);

impl<'c, N: Copy> FromIterator<(&'c Change, N)> for Changes<'c, N> {
    fn from_iter<I: IntoIterator<Item = (&'c Change, N)>>(changes: I) -> Self {
        let mut by_place: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (change, note) in changes {
            by_place.entry(&change.place).or_default().push((change, note));
        }
        Self(by_place)
    }
}

impl<'c, N: Copy> Changes<'c, N> {
    /// One that cannot be made together with this one: at its place, around it, or inside it.
    pub fn against(&self, change: &Change) -> Option<(&'c Change, N)> {
        let place = &change.place;
        let around: Vec<_> = place.prefixes().take(place.tokens().len()).collect();
        let around = around.iter().filter_map(|place| self.0.get(place));
        // In order, what is inside a place follows it.
        let inside = self
            .0
            .range::<Pointer, _>(place..)
            .map_while(|(other, found)| place.holds(other).then_some(found));
        around.chain(inside).flatten().find(|(other, _)| clash(change, other)).copied()
    }
}

/// Leaves one of equal changes, and none of those that clash with each other. Gives what is left to be made.
pub fn settle(mends: &mut [Mend]) -> Vec<Change> {
    let wanted = mends.iter().filter_map(|mend| Some((mend.change.as_ref().ok()?, &mend.rule)));
    let all: Changes<'_, _> = wanted.collect();
    let against = |mend: &Mend| Some(Arc::clone(all.against(mend.change.as_ref().ok()?)?.1));
    let clashes: Vec<_> = mends.iter().map(against).collect();
    let mut changes = Vec::new();
    for (mend, rule) in mends.iter_mut().zip(clashes) {
        if let Some(rule) = rule {
            mend.change = Err(Obstacle::Clash(rule));
        }
    }
    let mut made: BTreeMap<&Pointer, Vec<&Change>> = BTreeMap::new();
    for change in mends.iter().filter_map(|mend| mend.change.as_ref().ok()) {
        let at_place = made.entry(&change.place).or_default();
        if !at_place.contains(&change) {
            at_place.push(change);
            changes.push(change.clone());
        }
    }
    changes
}

fn carry_out<'o>(object: Node<'_>, mut operations: impl Iterator<Item = &'o Operation>) -> Option<Tree> {
    let mut value = serde_json::to_value(object).ok()?;
    operations.try_for_each(|operation| apply(&mut value, operation))?;
    Some(Tree::from(&value))
}

fn apply(object: &mut Value, operation: &Operation) -> Option<()> {
    match operation {
        Operation::Test { path, value } => {
            let found = object.pointer(path).map_or(Node::Null.into(), Tree::from);
            (found == *value).then_some(())
        }
        Operation::Replace { path, value } => {
            *object.pointer_mut(path)? = serde_json::to_value(value).ok()?;
            Some(())
        }
        Operation::Add { path, value } => {
            let value = serde_json::to_value(value).ok()?;
            let (parent, last) = path.rsplit_once('/')?;
            match object.pointer_mut(parent)? {
                Value::Object(members) => drop(members.insert(unescaped(last), value)),
                Value::Array(elements) if last == "-" => elements.push(value),
                _ => return None,
            }
            Some(())
        }
        Operation::Remove { path } => {
            let (parent, last) = path.rsplit_once('/')?;
            match object.pointer_mut(parent)? {
                Value::Object(members) => members.remove(&unescaped(last)).map(drop),
                Value::Array(elements) => {
                    let index: usize = last.parse().ok()?;
                    (index < elements.len()).then(|| drop(elements.remove(index)))
                }
                _ => None,
            }
        }
    }
}

fn unescaped(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}
