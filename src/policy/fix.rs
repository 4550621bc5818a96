//! Fixes: from what a rule reports to the changes that would mend it.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::crd::Measure;
use crate::jsonpath::{Budget, Node, Path, Trail, Tree};

use super::check::{Place, Spot};
use super::pointer::{Pointer, Token};
use super::program::Rule;
use super::render;
use super::report::{Case, Setting};

/// The most places that are mended at a time; a JSON Patch of many more is refused by the server.
const MOST_PLACES: usize = 1000;

/// How a failure is mended.
#[derive(Debug)]
pub(super) enum Fix {
    /// This value is written where the check failed.
    Set(Tree),
    /// What is at this place is written where the check failed.
    SetFrom(Path),
    /// What failed the check is removed.
    Remove,
    /// An element that an array should have.
    Append(Append),
}

/// An element that an array should have.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) at: Path,
    pub(super) value: Tree,
    /// The member that tells elements apart; without, whole elements are compared.
    pub(super) key: Option<Box<str>>,
}

impl Fix {
    /// The path that is read to work the change out.
    pub(super) fn source(&self) -> Option<&Path> {
        match self {
            Self::SetFrom(path) => Some(path),
            Self::Append(append) => Some(&append.at),
            Self::Set(_) | Self::Remove => None,
        }
    }
}

/// What becomes of a place.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// It gets this value; missing parents are made.
    Set(Tree),
    /// It goes.
    Remove,
    /// The array that it is gets one more element, and is made where there is none.
    Append(Tree),
}

/// A change of one place of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The place.
    pub place: Pointer,
    /// What was judged there; `None` where nothing was.
    pub judged: Option<Tree>,
    /// What it becomes.
    pub write: Write,
    /// Where the value was taken from, and what it is there.
    pub source: Option<(Pointer, Tree)>,
}

impl Change {
    /// Whether it takes an element out of the array that a place is in, or of which the place is an element.
    pub fn moves(&self, place: &Pointer) -> bool {
        let Some((Token::Index(_), list)) = self.place.tokens().split_last() else { return false };
        self.write == Write::Remove && place.tokens().starts_with(list) && place.tokens().len() > list.len()
    }
}

/// Why a place cannot be mended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// No fix may write there.
    NotAllowed(Box<str>),
    /// There is nothing that could be written.
    Impossible(Box<str>),
    /// What the fix would write is there already, and fails all the same.
    Pointless,
    /// This rule of the same policy wants something else at the same place.
    Clash(Arc<str>),
}

/// How one place at which a rule fails is mended.
#[derive(Clone, Debug, PartialEq)]
pub struct Mend {
    /// The rule's name.
    pub rule: Arc<str>,
    /// The place, as results write it.
    pub path: Box<str>,
    /// What is there, redacted and cut; `None` where nothing is.
    pub from: Option<Box<str>>,
    /// What would be there after, likewise; `None` where it is removed.
    pub to: Option<Box<str>>,
    /// The change, or why there is none.
    pub change: Result<Change, Obstacle>,
}

/// Collects changes while an object is judged. Bounded by [`MOST_PLACES`]; the rest is found the next time.
#[derive(Debug, Default)]
pub(super) struct Mends(RefCell<Vec<Mend>>);

impl Mends {
    pub(super) fn into_inner(self) -> Vec<Mend> {
        self.0.into_inner()
    }

    pub(super) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// Forgets what was found since there were so many.
    pub(super) fn truncate(&self, len: usize) {
        self.0.borrow_mut().truncate(len);
    }

    fn is_full(&self) -> bool {
        self.0.borrow().len() >= MOST_PLACES
    }

    fn add(&self, mend: Mend) {
        let mut mends = self.0.borrow_mut();
        let known =
            |other: &Mend| other.rule == mend.rule && other.path == mend.path && other.change == mend.change;
        if !mends.iter().any(known) {
            mends.push(mend);
        }
    }
}

impl Case<'_> {
    /// Mends a place at which the rule's own check fails.
    pub(super) fn mend(&self, place: Place<'_>, spot: Spot<'_>) {
        // Without a key, the place is that of the whole object.
        let nowhere =
            self.check.measure == Measure::Keys && matches!(place, Place::Absent | Place::Default(_));
        if let Some(rule) = self.role.rule().filter(|_| !nowhere) {
            self.setting.mend(rule, spot.at);
        }
    }
}

/// A value to be written, how it may be shown, and where it came from.
struct Value {
    value: Tree,
    shown: Option<Box<str>>,
    source: Option<(Pointer, Tree)>,
}

impl Setting<'_> {
    /// Mends a place that fails.
    pub(super) fn mend(&self, rule: &Rule, place: &Trail<'_>) {
        let (Some(mends), Some(fix)) = (self.mends, &rule.fix) else { return };
        if mends.is_full() {
            return;
        }
        let value = match fix {
            Fix::Set(value) => Ok(Some(Value { value: value.clone(), shown: None, source: None })),
            Fix::SetFrom(path) => self.value_from(path).map(Some),
            Fix::Remove => Ok(None),
            Fix::Append(_) => return,
        };
        let from = place.node().filter(|node| !(place.is_member() && matches!(node, Node::Null)));
        let to = value.as_ref().ok().and_then(Option::as_ref).map(|value| {
            value.shown.clone().unwrap_or_else(|| render::found(value.value.node(), place, self.secret))
        });
        let change = value.and_then(|value| {
            let (write, source) = match value {
                Some(Value { value, source, .. }) => (Write::Set(value), source),
                None => (Write::Remove, None),
            };
            self.change(place, from, write, source)
        });
        mends.add(self.of(rule, place, (from, to), change));
    }

    /// Mends an object or element that fails by adding to an array, once.
    pub(super) fn mend_by_appending(&self, rule: &Rule) {
        let (Some(mends), Some(Fix::Append(append))) = (self.mends, &rule.fix) else { return };
        if mends.is_full() {
            return;
        }
        let mut found = false;
        let visited = append.at.places(self.hearing.scope, &mut Budget::default(), &mut |node, place| {
            found = true;
            let change = append.change(node).and_then(|write| self.change(place, node, write, None));
            let to = Some(render::found(append.value.node(), place, self.secret));
            mends.add(self.of(rule, place, (None, to), change));
            ControlFlow::Break(())
        });
        if let Err(error) = visited {
            let root = Trail::root(self.hearing.scope.object());
            let obstacle = Obstacle::Impossible(format!("{}: {error}", append.at).into());
            mends.add(self.of(rule, &root, (None, None), Err(obstacle)));
        }
    }

    fn of(
        &self,
        rule: &Rule,
        place: &Trail<'_>,
        (from, to): (Option<Node<'_>>, Option<Box<str>>),
        change: Result<Change, Obstacle>,
    ) -> Mend {
        let from = from.map(|node| render::found(node, place, self.secret));
        Mend { rule: Arc::clone(&rule.name), path: place.to_string().into(), from, to, change }
    }

    fn change(
        &self,
        place: &Trail<'_>,
        judged: Option<Node<'_>>,
        write: Write,
        source: Option<(Pointer, Tree)>,
    ) -> Result<Change, Obstacle> {
        let impossible = |why: &str| Obstacle::Impossible(why.into());
        if place.is_in_namespace() {
            return Err(impossible(
                "the place is in the object's Namespace, and a fix writes the object alone",
            ));
        }
        let pointer = Pointer::of(place).ok_or_else(|| {
            impossible("there is no such element, and no fix makes one in the middle of an array")
        })?;
        if let Some(why) = self.policy.fences.refuse(&pointer) {
            return Err(Obstacle::NotAllowed(why.into()));
        }
        if !can_hold(place) {
            return Err(impossible("what it would be a field of is no object"));
        }
        match (&write, judged) {
            (Write::Remove, None) => Err(impossible("nothing is there that could be removed")),
            (Write::Set(value), Some(judged)) if value.node() == judged => Err(Obstacle::Pointless),
            _ => Ok(Change { place: pointer, judged: judged.map(Tree::from), write, source }),
        }
    }

    /// What `setFrom` finds.
    fn value_from(&self, path: &Path) -> Result<Value, Obstacle> {
        let (mut found, mut veiled) = (None, false);
        let ended = path.each(self.hearing.scope, &mut Budget::default(), &mut |node, place| {
            veiled = render::is_veiled(node, place, self.secret);
            let shown = render::found(node, place, self.secret);
            let source = Pointer::of(place).map(|pointer| (pointer, Tree::from(node)));
            found = Some(Value { value: node.into(), shown: Some(shown), source });
            ControlFlow::Break(())
        });
        if veiled {
            let why =
                format!("setFrom {path}: values of Secrets and of `env` are not copied to where they show");
            return Err(Obstacle::NotAllowed(why.into()));
        }
        let why = match (ended, found) {
            (Ok(()), Some(value)) if !matches!(value.value.node(), Node::Null) => return Ok(value),
            (Ok(()), _) => format!("setFrom finds nothing at {path}"),
            (Err(error), _) => format!("setFrom {path}: {error}"),
        };
        Err(Obstacle::Impossible(why.into()))
    }
}

impl Append {
    /// What adding to this array means.
    fn change(&self, array: Option<Node<'_>>) -> Result<Write, Obstacle> {
        match array {
            None | Some(Node::Array(_)) => {}
            Some(other) => {
                let why =
                    format!("{} is of type {}, and only an array can be added to", self.at, other.kind());
                return Err(Obstacle::Impossible(why.into()));
            }
        }
        let same = |element: Node<'_>| match &self.key {
            Some(key) => self.value.node().get(key).is_some_and(|wanted| element.get(key) == Some(wanted)),
            None => holds(element, self.value.node()),
        };
        match array.is_some_and(|array| array.elements().any(same)) {
            true => Err(Obstacle::Pointless),
            false => Ok(Write::Append(self.value.clone())),
        }
    }
}

/// Whether a value has all that another says; the server may have filled in more.
fn holds(value: Node<'_>, wanted: Node<'_>) -> bool {
    match (value, wanted) {
        (Node::Object(_), Node::Object(members)) => {
            members.iter().all(|(name, wanted)| value.get(name).is_some_and(|value| holds(value, wanted)))
        }
        _ => value == wanted,
    }
}

/// Whether all that is there above a place is what the place needs: objects for members.
fn can_hold(place: &Trail<'_>) -> bool {
    let Some(parent) = place.parent() else { return true };
    let fits = match parent.node() {
        // A member that is null counts as absent, an element that is null is there.
        Some(Node::Null) if place.is_member() => parent.is_member(),
        Some(node) if place.is_member() => matches!(node, Node::Object(_)),
        Some(_) | None => true,
    };
    fits && can_hold(parent)
}
