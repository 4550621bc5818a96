//! What the cluster serves, as a value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::field::NAME;
use super::shape::Shape;
use crate::resource::{GroupResource, Gvr};

/// One served resource in one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedResource {
    /// The kind of its objects.
    pub kind: Arc<str>,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Whether it can be listed and watched.
    pub watchable: bool,
}

/// One version of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServedVersion {
    /// Its name, such as `v1beta1`.
    pub version: Arc<str>,
    /// By plural name.
    pub resources: BTreeMap<Arc<str>, ServedResource>,
}

/// All groups; each with its versions in order of preference, the preferred first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    /// By group name; the core group is empty.
    pub groups: BTreeMap<Arc<str>, Vec<ServedVersion>>,
    /// The fields, beside the name and the namespace, by which objects of custom resources can be selected; of those
    /// for which it is known.
    pub selectable: BTreeMap<Gvr, BTreeSet<Arc<str>>>,
    /// What objects of custom resources can have; of those for which it is known.
    pub shapes: BTreeMap<Gvr, Arc<Shape>>,
}

/// A target that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// What to watch.
    pub resource: Gvr,
    /// What its objects are.
    pub served: ServedResource,
}

/// Why a target was not found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// No version of the group serves it.
    Absent {
        /// What was looked for.
        resource: GroupResource,
        /// What may have been meant.
        hint: Option<String>,
    },
    /// It is served, but not in the version that the policy names.
    OtherVersions {
        /// What was looked for.
        resource: GroupResource,
        /// In which version.
        version: Arc<str>,
        /// The versions that serve it.
        served: Vec<Arc<str>>,
    },
    /// It is served, and its objects cannot be selected by a field that the policy names.
    NotSelectable {
        /// What was looked for.
        resource: Gvr,
        /// By which field.
        field: Arc<str>,
        /// The fields of its definition that do.
        known: BTreeSet<Arc<str>>,
    },
    /// It is served, and cannot be listed or watched.
    NotWatchable(GroupResource),
    /// One entry of a policy finds it in one version, and another names another: which of them judges cannot be told.
    TwoVersions {
        /// What was looked for.
        resource: GroupResource,
        /// The version in which the resource is found by its name.
        found: Arc<str>,
        /// The version that the entry with `*` names.
        named: Arc<str>,
    },
}

impl Unresolved {
    /// Whether it is served, and not as the policy asks for it: no wait mends that.
    pub fn is_fault(&self) -> bool {
        !matches!(self, Self::Absent { .. })
    }
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent { resource, hint: None } => {
                write!(f, "the cluster serves no {resource}; it is watched as soon as it is installed")
            }
            Self::Absent { resource, hint: Some(hint) } => {
                write!(
                    f,
                    "the cluster serves no {resource}: {hint}; if it is to be installed later, it is watched then"
                )
            }
            Self::OtherVersions { resource, version, served } => {
                write!(
                    f,
                    "{resource} is not served in version {version}, but in {}: name one that is, or leave `version` out",
                    served.join(", ")
                )
            }
            Self::NotSelectable { resource, field, known } => {
                let known: Vec<_> = [NAME].into_iter().chain(known.iter().map(|known| &**known)).collect();
                write!(
                    f,
                    "{resource} cannot be selected by `{field}`, only by {}: name one of these in `fieldSelector`, or \
                     add the other to `selectableFields` in its CustomResourceDefinition",
                    known.join(", ")
                )
            }
            Self::NotWatchable(resource) => {
                write!(f, "{resource} cannot be listed and watched; name a resource that can")
            }
            Self::TwoVersions { resource, found, named } => write!(
                f,
                "{resource} is targeted in two versions, {found} by its name and {named} by `*`; it is not watched: name \
                 the same `version` in both entries"
            ),
        }
    }
}

impl Catalog {
    /// Finds a resource, in the version asked for or else in the group's most preferred version that serves it.
    ///
    /// # Errors
    /// Why there is nothing to watch.
    pub fn resolve(&self, wanted: &GroupResource, version: Option<&str>) -> Result<Resolved, Unresolved> {
        let versions = self.groups.get(&wanted.group).map(Vec::as_slice).unwrap_or_default();
        let serving =
            || versions.iter().filter_map(|v| Some((&v.version, v.resources.get(&wanted.resource)?)));
        let found = serving().find(|(served, _)| version.is_none_or(|version| version == &***served));
        match (found, version) {
            (Some((version, served)), _) if served.watchable => Ok(Resolved {
                resource: Gvr { resource: wanted.clone(), version: Arc::clone(version) },
                served: served.clone(),
            }),
            (Some(_), _) => Err(Unresolved::NotWatchable(wanted.clone())),
            (None, Some(version)) if serving().next().is_some() => Err(Unresolved::OtherVersions {
                resource: wanted.clone(),
                version: version.into(),
                served: serving().map(|(version, _)| Arc::clone(version)).collect(),
            }),
            (None, _) => Err(Unresolved::Absent { resource: wanted.clone(), hint: self.hint(wanted) }),
        }
    }

    /// The first of some fields by which a custom resource cannot be selected, if that is known.
    ///
    /// # Errors
    /// Names it, and those that do.
    pub fn select_by<'f>(
        &self,
        resource: &Gvr,
        mut fields: impl Iterator<Item = &'f Arc<str>>,
    ) -> Result<(), Unresolved> {
        let Some(known) = self.selectable.get(resource) else { return Ok(()) };
        match fields.find(|field| !known.contains(*field)) {
            None => Ok(()),
            Some(field) => Err(Unresolved::NotSelectable {
                resource: resource.clone(),
                field: Arc::clone(field),
                known: known.clone(),
            }),
        }
    }

    /// All that a group serves and that can be watched, in the version asked for or in any.
    pub fn watchable(
        &self,
        group: &Arc<str>,
        version: Option<&str>,
    ) -> impl Iterator<Item = GroupResource> + use<> {
        let versions = self.groups.get(group).into_iter().flatten();
        let versions = versions.filter(|served| version.is_none_or(|version| *version == *served.version));
        let served = versions.flat_map(|version| &version.resources);
        let watchable = served.filter(|(_, served)| served.watchable);
        let found: BTreeSet<_> = watchable
            .map(|(name, _)| GroupResource { group: Arc::clone(group), resource: Arc::clone(name) })
            .collect();
        found.into_iter()
    }

    /// What may have been meant: the same resource in another group, or a similar name in the same group.
    fn hint(&self, wanted: &GroupResource) -> Option<String> {
        if matches!(&*wanted.group, "core" | "v1" | "api") {
            return Some("the core group is written by leaving `group` out".to_owned());
        }
        let serves = |(group, versions): (&Arc<str>, &Vec<ServedVersion>)| {
            let known = versions.iter().any(|version| version.resources.contains_key(&wanted.resource));
            known.then(|| Arc::clone(group))
        };
        match self.groups.iter().find_map(serves).as_deref() {
            Some("") => return Some(format!("{} is in the core group: leave `group` out", wanted.resource)),
            Some(group) => {
                return Some(format!(
                    "{} is served by group {group}: write `group: {group}`",
                    wanted.resource
                ));
            }
            None => {}
        }
        let Some(versions) = self.groups.get(&wanted.group) else {
            let near = |group: &&Arc<str>| strsim::damerau_levenshtein(group, &wanted.group) <= 2;
            let group = self.groups.keys().find(|group| !group.is_empty() && near(group))?;
            return Some(format!("did you mean the group {group}?"));
        };
        let of_group = versions.iter().flat_map(|version| &version.resources);
        let similar = of_group.filter(|(name, served)| is_similar(&wanted.resource, name, &served.kind));
        let (name, _) = similar.min_by_key(|(name, _)| name.len())?;
        Some(format!("did you mean {name}? resources are plural and lower case"))
    }
}

/// Whether somebody who wrote `written` may have meant a resource: its kind, a beginning of it, or a slip of the pen.
fn is_similar(written: &str, name: &str, kind: &str) -> bool {
    let written = written.to_lowercase();
    written == kind.to_lowercase()
        || (written.len() >= 3 && name.starts_with(&written))
        || (written.len() > 3 && strsim::damerau_levenshtein(&written, name) <= 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        let version = |version: &str, resources: &[(&str, bool)]| ServedVersion {
            version: version.into(),
            resources: resources
                .iter()
                .map(|(name, watchable)| {
                    let served =
                        ServedResource { kind: "Kind".into(), namespaced: true, watchable: *watchable };
                    ((*name).into(), served)
                })
                .collect(),
        };
        let versions = vec![
            version("v2", &[("widgets", true)]),
            version("v1", &[("widgets", true), ("gadgets", true), ("reviews", false)]),
        ];
        Catalog { groups: [("example.com".into(), versions)].into(), ..Catalog::default() }
    }

    fn resolve(resource: &str, version: Option<&str>) -> Result<String, Unresolved> {
        let wanted = GroupResource::new("example.com", resource);
        catalog().resolve(&wanted, version).map(|found| found.resource.version.to_string())
    }

    #[test]
    fn the_preferred_version_that_serves_the_resource_is_taken() {
        assert_eq!(resolve("widgets", None).unwrap(), "v2");
        assert_eq!(resolve("gadgets", None).unwrap(), "v1");
        assert_eq!(resolve("widgets", Some("v1")).unwrap(), "v1");
    }

    #[test]
    fn what_is_not_found_says_why() {
        assert_eq!(
            resolve("gadgets", Some("v9")).unwrap_err().to_string(),
            "gadgets.example.com is not served in version v9, but in v1: name one that is, or leave `version` out"
        );
        assert!(resolve("reviews", None).unwrap_err().to_string().contains("cannot be listed"));
    }

    #[test]
    fn what_is_absent_comes_with_what_may_have_been_meant() {
        let said = |group: &str, resource: &str| {
            catalog().resolve(&GroupResource::new(group, resource), None).unwrap_err().to_string()
        };
        for (group, resource, hint) in [
            ("example.com", "gizmos", "the cluster serves no gizmos.example.com; it is watched as soon as"),
            ("", "widgets", "widgets is served by group example.com: write `group: example.com`"),
            ("exampel.com", "widgets", "write `group: example.com`"),
            ("exampel.com", "*", "did you mean the group example.com?"),
            ("other.io", "*", "the cluster serves no *.other.io; it is watched as soon as"),
            ("core", "pods", "leaving `group` out"),
            ("example.com", "widgts", "did you mean widgets?"),
            ("example.com", "Gadget", "did you mean gadgets?"),
        ] {
            assert!(said(group, resource).contains(hint), "{}", said(group, resource));
        }
    }
}
