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
        names_along(path).iter().for_each(|name| projection.read(name, roots, under));
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

/// The name of each place along a path, its root and its end among them. Made of the path's text, which has one normal
/// spelling; what has no members, as `$containers` itself, is no path with a name.
fn names_along(path: &Path) -> Vec<Path> {
    let text = path.to_string();
    let root = path.root().text().len();
    let (mut depth, mut quote, mut escaped) = (0_usize, None, false);
    let mut ends = vec![text.len()];
    for (at, c) in text.char_indices().skip_while(|(at, _)| *at < root) {
        match (c, quote) {
            _ if std::mem::take(&mut escaped) => {}
            ('\\', Some(_)) => escaped = true,
            (c, Some(open)) if c == open => quote = None,
            (_, Some(_)) => {}
            ('\'' | '"', None) => quote = Some(c),
            ('.' | '[', None) if depth == 0 => {
                ends.push(at);
                depth += usize::from(c == '[');
            }
            ('[', None) => depth += 1,
            (']', None) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    ends.into_iter().filter_map(|end| Path::parse(&format!("{}.name", text.get(..end)?)).ok()).collect()
}

/// The name of each place from the object down to the pod's `spec`.
fn names_above_pod(roots: &Roots) -> Vec<Path> {
    let mut text = Root::Object.text().to_owned();
    let mut names = Vec::new();
    for name in roots.pod.iter().flatten().map(|name| &**name).chain(["spec"]) {
        names.extend(Path::parse(&format!("{text}.name")).ok());
        // A JSON string is a name in double quotes (RFC 9535, 2.3.1).
        text.push_str(&format!("[{}]", serde_json::Value::from(name)));
    }
    names.extend(Path::parse(&format!("{text}.name")).ok());
    names
}
