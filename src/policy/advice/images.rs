//! Containers and their images: what a check that looks right leaves out.

use crate::crd::{Assert, Check, Measure, Patterns};
use crate::jsonpath::Path;

use super::super::fault::Field;
use super::Advices;

/// Where the containers of workloads are, when written without a named root.
const LISTS: [&str; 3] = [
    "$.spec.containers",
    "$.spec.template.spec.containers",
    "$.spec.jobTemplate.spec.template.spec.containers",
];

/// The tag of an image that names none.
const LATEST: &str = ":latest";

/// A path to the containers of one list, and of one kind.
pub(super) fn of_containers(path: &str, at: &Field<'_>, advices: &mut Advices) {
    let Ok(path) = Path::parse(path).map(|path| path.to_string()) else { return };
    let is_below =
        |list: &&str| path.strip_prefix(*list).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric));
    if LISTS.iter().any(is_below) {
        advices.add(
            at,
            "leaves init and ephemeral containers out: `$containers` is all of them, for every kind; for these alone: \
             `$podSpec.containers`",
        );
    }
}

/// An image that is compared as text, though it can be written in many ways.
pub(super) fn of_image(
    check: &Check,
    elements: Option<&str>,
    assert: &Assert,
    at: &Field<'_>,
    advices: &mut Advices,
) {
    if check.measure != Measure::Value || !is_image(check.path.as_deref(), elements) {
        return;
    }
    let globs = |patterns: &Option<Patterns>| {
        patterns.as_ref().and_then(|patterns| patterns.as_slice().ok()).unwrap_or_default().to_vec()
    };
    if globs(&assert.not_like).iter().any(|glob| glob.ends_with(LATEST)) {
        advices.add(
            &at.name("notLike"),
            "passes an image without a tag, which is `latest` too: `measure: ImageTag` with `notEquals: latest`",
        );
    }
    if let Some(host) = globs(&assert.like).iter().find_map(|glob| open_host(glob)) {
        advices.add(
            &at.name("like"),
            format!(
                "fits every host whose name begins with {host}: write `{host}/*`, or `measure: ImageRegistry` with \
                 `equals: {host}`"
            ),
        );
    }
}

/// Whether a path ends at the image of a container.
fn is_image(path: Option<&str>, elements: Option<&str>) -> bool {
    let path = path.unwrap_or_default();
    let lists = |path: &str| path.to_lowercase().contains("containers");
    path.ends_with(".image") && (lists(path) || elements.is_some_and(lists))
}

/// The host of a glob that lets it go on: `registry.corp.io*`.
fn open_host(glob: &str) -> Option<String> {
    let host = glob.strip_suffix('*')?;
    let is_host =
        host.contains('.') && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
    (is_host && host.ends_with(char::is_alphanumeric)).then(|| host.to_owned())
}
