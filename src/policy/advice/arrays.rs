//! Arrays that are spoken of as if they were objects, or one of many.

use crate::crd::{Assert, Check, Measure};
use crate::jsonpath::{Path, Root};

use super::super::fault::Field;
use super::Advices;

/// Members of pods and containers that are arrays of objects.
const ARRAYS: [&str; 22] = [
    "containers",
    "env",
    "envFrom",
    "ephemeralContainers",
    "hostAliases",
    "httpHeaders",
    "imagePullSecrets",
    "initContainers",
    "items",
    "matchExpressions",
    "ownerReferences",
    "ports",
    "readinessGates",
    "resizePolicy",
    "resourceClaims",
    "schedulingGates",
    "sources",
    "sysctls",
    "tolerations",
    "topologySpreadConstraints",
    "volumeMounts",
    "volumes",
];

/// A path that goes on from an array by a name, and so never finds anything.
pub(super) fn of_path(path: &str, elements: Option<&str>, at: &Field<'_>, advices: &mut Advices) {
    let Ok(path) = Path::parse(path) else { return };
    let root = match (path.root(), elements) {
        (Root::Current, Some(elements)) => Path::parse(elements).map_or(Root::Current, |path| path.root()),
        (root, _) => root,
    };
    if !root.needs_pod() {
        return;
    }
    let prefixes: Vec<Path> = path.prefixes().collect();
    for pair in prefixes.windows(2) {
        let [array, next] = pair else { continue };
        if is_array(array) && next.last_name().is_some() {
            advices
                .add(at, format!("finds nothing: `{array}` is an array, and `{array}[*]` are its elements"));
        }
    }
}

/// Elements that are arrays themselves, of which checks want members.
pub(super) fn of_elements<'p>(
    elements: &str,
    mut below: impl Iterator<Item = &'p str>,
    at: &Field<'_>,
    advices: &mut Advices,
) {
    let Ok(elements) = Path::parse(elements) else { return };
    // One array by itself stands for its elements.
    if elements.is_singular() || !elements.root().needs_pod() || !is_array(&elements) {
        return;
    }
    let wants_member = |path: &str| {
        Path::parse(path)
            .is_ok_and(|path| path.root() == Root::Current && path.leading_names().next().is_some())
    };
    if below.any(wants_member) {
        advices.add(
            at,
            format!(
                "goes over the arrays themselves, which have no members; their elements are `{elements}[*]`"
            ),
        );
    }
}

/// `unique` among what a path finds that finds one node at most.
pub(super) fn of_unique(check: &Check, assert: &Assert, at: &Field<'_>, advices: &mut Advices) {
    let Some(Ok(path)) = check.path.as_deref().map(Path::parse) else { return };
    if assert.unique == Some(true) && path.is_singular() && check.measure != Measure::Keys {
        advices.add(
            &at.name("assert").name("unique"),
            format!("always holds, since `{path}` is one place; of the elements of an array: `{path}[*]`"),
        );
    }
}

fn is_array(path: &Path) -> bool {
    path.last_name().is_some_and(|name| ARRAYS.contains(&name))
}
