//! Targets that may come to two versions of one resource.

use crate::crd::Target;

use super::super::fault::Field;
use super::super::program::ALL;
use super::Advices;

/// An entry with `*` in one version, beside one that names a resource of the group in another.
pub(super) fn of_versions(targets: &[Target], at: &Field<'_>, advices: &mut Advices) {
    let is_all = |target: &Target| target.resources.iter().any(|name| name == ALL);
    for (index, all) in targets.iter().enumerate().filter(|(_, target)| is_all(target)) {
        let Some(version) = &all.version else { continue };
        let differs = |other: &&Target| {
            !is_all(other) && other.group == all.group && other.version.as_ref() != Some(version)
        };
        let Some(name) = targets.iter().find(differs).and_then(|other| other.resources.first()) else {
            continue;
        };
        advices.add(
            &at.index(index).name("version"),
            format!(
                "stands for {name} too, which another entry names in another version, or in the preferred one: where \
                 the cluster serves it in {version}, it is in neither of them; name the same `version` in both entries"
            ),
        );
    }
}
