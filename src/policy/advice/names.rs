//! Names that a kind of Kubernetes does not have, and that are nearly those which it has.

use crate::crd::Target;
use crate::jsonpath::{Level, Path, Root};
use crate::resource::GroupResource;

use super::super::fault::Field;
use super::kinds::{self, CONTAINER, Kind, POD_SPEC, TEMPLATE};
use super::{Advices, Within};

/// How many letters of a name may be wrong for it to be meant, and how long it must be for that.
const SLIP: usize = 2;
const SHORTEST: usize = 4;

/// A name on the way of a path that is a slip of the pen for all kinds that it may be of.
pub(super) fn of_path(path: &str, within: Within<'_>, at: &Field<'_>, advices: &mut Advices) {
    let elements = Within { elements: None, ..within };
    // What is wrong with the elements is told of them.
    if within.elements.is_some_and(|path| slip_of(path, elements).is_some()) {
        return;
    }
    if let Some(Slip { name, near }) = slip_of(path, within) {
        advices.add(
            at,
            format!("finds nothing: there is no `{name}` there in Kubernetes; did you mean `{near}`?"),
        );
    }
}

/// In words, the first name on the way of what is read of a resource that its kind does not have, where it has one that is
/// nearly that.
pub(in crate::policy) fn misspelt(read: Level<'_>, resource: &GroupResource) -> Option<String> {
    misspelt_below(read, kinds::of_resource(&resource.group, &resource.resource)?, "")
}

fn misspelt_below(read: Level<'_>, kind: &'static Kind, place: &str) -> Option<String> {
    read.members().find_map(|(name, below)| {
        let place = if place.is_empty() { name.to_string() } else { format!("{place}.{name}") };
        if !kind.fields().contains(&&**name) {
            let near = nearest(name, kind.fields())?;
            return Some(format!(
                "a rule reads `{place}`, which there is not in Kubernetes; did you mean `{near}`?"
            ));
        }
        let kind = kind.below(name)?;
        let of_elements = |below| misspelt_below(below, kind, &format!("{place}[*]"));
        misspelt_below(below, kind, &place).or_else(|| below.element().and_then(of_elements))
    })
}

fn slip_of(path: &str, within: Within<'_>) -> Option<Slip> {
    let path = Path::parse(&super::from_object(path, within.elements)?).ok()?;
    // What is anywhere below may be in what is not known.
    if path.to_string().contains("..") {
        return None;
    }
    let kinds = kinds_of(&path, within.targets);
    let slips: Option<Vec<Slip>> = kinds.into_iter().map(|kind| slip(&path, kind?)).collect();
    slips?.into_iter().next()
}

/// What the path starts at, of each target; nothing where that is not known.
fn kinds_of(path: &Path, targets: &[Target]) -> Vec<Option<&'static Kind>> {
    let of_target = |target: &'_ Target| {
        let of = |plural: &String| kinds::of_resource(&target.group, plural);
        target.resources.iter().map(of).collect::<Vec<_>>()
    };
    match path.root() {
        Root::Current | Root::Object => targets.iter().flat_map(of_target).collect(),
        Root::Pod => vec![Some(&TEMPLATE)],
        Root::PodSpec => vec![Some(&POD_SPEC)],
        Root::Containers | Root::AppContainers => vec![Some(&CONTAINER)],
        Root::Namespace => Vec::new(),
    }
}

struct Slip {
    name: String,
    near: &'static str,
}

/// The first name on the way that the kind does not have, where it has one like it.
fn slip(path: &Path, kind: &'static Kind) -> Option<Slip> {
    let mut kind = kind;
    for place in path.prefixes().skip(1) {
        // Elements of an array are what the array is of.
        let Some(name) = place.last_name() else { continue };
        if kind.fields().contains(&name) {
            kind = kind.below(name)?;
        } else {
            return nearest(name, kind.fields()).map(|near| Slip { name: name.to_owned(), near });
        }
    }
    None
}

fn nearest(name: &str, fields: &[&'static str]) -> Option<&'static str> {
    let lower = name.to_lowercase();
    let distance = |field: &str| strsim::damerau_levenshtein(&lower, &field.to_lowercase());
    let near = fields.iter().map(|field| (distance(field), *field)).min()?;
    (name.len() >= SHORTEST && near.0 <= SLIP).then_some(near.1)
}
