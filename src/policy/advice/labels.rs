//! Labels and annotations: names and texts, and nothing below them.

use crate::jsonpath::Path;

use super::super::fault::Field;
use super::Advices;

const MAPS: [&str; 2] = ["labels", "annotations"];

/// A key with points that is written like names of fields, one below the other.
pub(super) fn of_path(path: &str, elements: Option<&str>, at: &Field<'_>, advices: &mut Advices) {
    let Some(path) = super::from_object(path, elements).and_then(|path| Path::parse(&path).ok()) else {
        return;
    };
    let prefixes: Vec<Path> = path.prefixes().collect();
    let Some(map) = prefixes.windows(2).position(is_map) else { return };
    let below = prefixes.iter().skip(map + 2).map_while(Path::last_name).collect::<Vec<_>>();
    if below.len() > 1
        && let Some(map) = prefixes.get(map + 1)
    {
        let key = below.join(".");
        advices.add(
            at,
            format!("finds nothing: what is in `{map}` are texts; a key with points is `{map}['{key}']`"),
        );
    }
}

/// All of them taken for one element.
pub(super) fn of_elements(elements: &str, at: &Field<'_>, advices: &mut Advices) {
    let Ok(path) = Path::parse(elements) else { return };
    let prefixes: Vec<Path> = path.prefixes().collect();
    if path.is_singular() && prefixes.windows(2).last().is_some_and(is_map) {
        advices.add(
            at,
            format!(
                "goes over one element, which is all of them; `{path}[*]` goes over their values, and `measure: Keys` \
                 of `{path}` judges their names"
            ),
        );
    }
}

/// Whether the second place is what the first has of labels or annotations.
fn is_map(pair: &[Path]) -> bool {
    let [metadata, map] = pair else { return false };
    metadata.last_name() == Some("metadata") && map.last_name().is_some_and(|name| MAPS.contains(&name))
}
