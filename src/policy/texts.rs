//! Places of which it is known that they hold text: labels and annotations, of objects and of templates.

use crate::jsonpath::Path;

/// Maps in `metadata` whose values the API server takes as strings alone.
const MAPS: [&str; 2] = ["labels", "annotations"];

/// Whether all that the path finds is the value of a label or an annotation.
pub(super) fn is_text(path: &Path) -> bool {
    let prefixes: Vec<Path> = path.prefixes().collect();
    let [.., metadata, map, _] = &prefixes[..] else { return false };
    metadata.last_name() == Some("metadata") && map.last_name().is_some_and(|name| MAPS.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_annotations_hold_text_wherever_metadata_is() {
        for (path, holds) in [
            ("$.metadata.labels.a", true),
            ("$pod.metadata.annotations['a.b/c']", true),
            ("$.spec.template.metadata.labels[*]", true),
            ("$.metadata.labels", false),
            ("$.metadata.name", false),
            ("$.spec.labels.a", false),
            ("$.metadata.labels.a.b", false),
        ] {
            assert_eq!(is_text(&Path::parse(path).unwrap()), holds, "{path}");
        }
    }
}
