//! `{container}` in messages: the container that a failing place is in, else the nearest place above with a name.

use crate::jsonpath::{Node, Path, Projection, Root, Roots, Scope, Step, Trail};

use super::program::Rule;
use super::render;

/// The name of what a place belongs to. An element of an array may belong to itself; the name in a member, as in a
/// `secretKeyRef`, is of what the member refers to.
pub(super) fn name(place: &Trail<'_>, scope: &Scope<'_>, secret: bool) -> Option<Box<str>> {
    match (scope.container_of(place), place.step()) {
        (Some(container), _) => own_name(container, secret),
        (None, Step::Member(_)) => nearest_name(place.parent()?, secret),
        (None, Step::Root | Step::Namespace | Step::Element(_)) => nearest_name(place, secret),
    }
}

/// The name of an element of `forEach`, or of what it belongs to.
pub(super) fn name_of_element(element: &Trail<'_>, scope: &Scope<'_>, secret: bool) -> Option<Box<str>> {
    match scope.container_of(element) {
        Some(container) => own_name(container, secret),
        None => nearest_name(element, secret),
    }
}

fn nearest_name(place: &Trail<'_>, secret: bool) -> Option<Box<str>> {
    own_name(place, secret).or_else(|| nearest_name(place.parent()?, secret))
}

fn own_name(place: &Trail<'_>, secret: bool) -> Option<Box<str>> {
    let name = place.node()?.get("name").filter(|name| matches!(name, Node::String(_)))?;
    Some(render::found(name, &place.member("name", Some(name)), secret))
}

/// Adds the names of all places at or above those that the rule's body looks at.
pub(super) fn read(rule: &Rule, roots: &Roots, projection: &mut Projection) {
    let under = rule.for_each.as_ref();
    let mut add = |path: &Path, under: Option<&Path>| {
        names_along(path).for_each(|name| projection.read(&name, roots, under));
        if path.root().needs_pod() {
            names_above_pod(roots).iter().for_each(|name| projection.read(name, roots, None));
        }
    };
    if let Some(elements) = under {
        add(elements, None);
        // An element is named though nothing else of it may be looked at.
        Path::parse("$").iter().for_each(|element| add(element, under));
    }
    for check in rule.body.checks() {
        add(&check.path, under);
    }
}

/// The name of each place along a path, its root and its end among them.
fn names_along(path: &Path) -> impl Iterator<Item = Path> {
    path.prefixes().filter_map(|place| place.member("name"))
}

/// The name of each place from the object down to the pod's `spec`.
fn names_above_pod(roots: &Roots) -> Vec<Path> {
    let names = roots.pod.iter().flatten().map(|name| &**name).chain(["spec"]);
    let object = Path::parse(Root::Object.text()).ok();
    let spec = names.fold(object, |place, name| place?.member(name));
    spec.iter().flat_map(names_along).collect()
}
