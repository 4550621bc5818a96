//! What CustomResourceDefinitions say of the objects of their kinds: by which fields they can be selected, and which they
//! can have.
//!
//! Definitions are large, so they are not watched whole: those of resources that some policy names are read one by one,
//! with the right to list that the operator has anyway. What is kept of each has a bound ([`Shape`]), and there are as many
//! as policies name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::wire::{Collection, Wire, WireError};
use crate::policy::{PolicySet, Shape};
use crate::resource::{GroupResource, Gvr};

/// What one version of a definition says.
#[derive(Debug)]
struct Known {
    /// By which fields its objects can be selected.
    selectable: BTreeSet<Arc<str>>,
    shape: Arc<Shape>,
}

/// The versions of a definition.
type Versions = BTreeMap<Arc<str>, Known>;

/// A definition that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "the definition of {resource} cannot be read: {error}; its objects are selected by fields as policies say"
)]
pub struct Unread {
    resource: GroupResource,
    error: WireError,
}

impl Unread {
    /// The same of another one, which was not asked for since this one was refused.
    pub(super) fn of(self, resource: GroupResource) -> Self {
        Self { resource, ..self }
    }
}

/// What is known of the definitions that policies ask for.
pub(super) struct Definitions {
    wire: Wire,
    wanted: BTreeSet<GroupResource>,
    /// Of those that were read; without versions where there is no definition.
    known: BTreeMap<GroupResource, Versions>,
}

impl Definitions {
    pub(super) fn new(wire: Wire) -> Self {
        Self { wire, wanted: BTreeSet::new(), known: BTreeMap::new() }
    }

    /// Whether these policies ask for others than before.
    pub(super) fn meet(&mut self, set: &PolicySet) -> bool {
        let wanted: BTreeSet<_> = set.running().flat_map(|policy| policy.names_custom()).collect();
        self.known.retain(|resource, _| wanted.contains(resource));
        let changed = wanted != self.wanted;
        self.wanted = wanted;
        changed
    }

    /// Reads those that were not read yet, and tells which cannot be read.
    pub(super) async fn ask_new(&mut self) -> Vec<Unread> {
        let new: Vec<_> =
            self.wanted.iter().filter(|wanted| !self.known.contains_key(*wanted)).cloned().collect();
        self.read(new).await
    }

    /// Reads all of them, and tells which cannot be read.
    pub(super) async fn ask(&mut self) -> Vec<Unread> {
        let all = self.wanted.iter().cloned().collect();
        self.read(all).await
    }

    /// Reads those whose definitions have such names, and tells which cannot be read.
    pub(super) async fn ask_named(&mut self, names: &BTreeSet<Arc<str>>) -> Vec<Unread> {
        let named = self.wanted.iter().filter(|wanted| names.contains(&*name(wanted)));
        let named = named.cloned().collect();
        self.read(named).await
    }

    /// The first custom kind that these policies select by fields and of which no definition was read.
    pub(super) fn missed(&self, set: &PolicySet) -> Option<GroupResource> {
        let mut selected = set.running().flat_map(|policy| policy.selects_custom());
        selected.find(|resource| !self.known.contains_key(resource))
    }

    /// What cannot be read is as it was known, or not known: then selectors are applied on our side, with the same result.
    async fn read(&mut self, resources: Vec<GroupResource>) -> Vec<Unread> {
        let mut unread = Vec::new();
        for resource in resources {
            match read(&self.wire, &resource).await {
                Ok(versions) => drop(self.known.insert(resource, versions)),
                Err(error) => {
                    // Whoever is refused one, or not answered, would be the others too.
                    let is_alone = matches!(error, WireError::Unintelligible(_));
                    unread.push(Unread { resource, error });
                    if !is_alone {
                        break;
                    }
                }
            }
        }
        unread
    }

    pub(super) fn selectable(&self) -> BTreeMap<Gvr, BTreeSet<Arc<str>>> {
        self.of_versions(|known| known.selectable.clone())
    }

    pub(super) fn shapes(&self) -> BTreeMap<Gvr, Arc<Shape>> {
        self.of_versions(|known| Arc::clone(&known.shape))
    }

    fn of_versions<T>(&self, of: impl Fn(&Known) -> T) -> BTreeMap<Gvr, T> {
        let version = |resource: &GroupResource, version: &Arc<str>| Gvr {
            resource: resource.clone(),
            version: Arc::clone(version),
        };
        let known =
            self.known.iter().flat_map(|(resource, versions)| versions.iter().map(move |of| (resource, of)));
        known.map(|(resource, (name, known))| (version(resource, name), of(known))).collect()
    }
}

/// The name of the definition of a resource.
fn name(resource: &GroupResource) -> String {
    format!("{}.{}", resource.resource, resource.group)
}

/// No versions where there is no such definition, as of a resource of an aggregated server.
async fn read(wire: &Wire, resource: &GroupResource) -> Result<Versions, WireError> {
    let name = name(resource);
    let collection = Collection {
        fields: Some(format!("metadata.name={name}").into()),
        ..Collection::all(Gvr::new("apiextensions.k8s.io", "v1", "customresourcedefinitions"))
    };
    let page = wire.list(&collection, 1, None).await?;
    let mut found = Ok(Versions::new());
    page.each(|raw| {
        if let Some(versions) = versions(raw, &name).transpose() {
            found = versions;
        }
    })?;
    found.map_err(|error| WireError::Unintelligible(error.to_string()))
}

#[derive(Deserialize)]
struct Definition {
    metadata: Metadata,
    spec: Spec,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Deserialize)]
struct Spec {
    versions: Vec<Version>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    name: String,
    #[serde(default)]
    selectable_fields: Vec<Selectable>,
    #[serde(default)]
    schema: Schema,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Selectable {
    json_path: String,
}

#[derive(Default, Deserialize)]
struct Schema {
    #[serde(rename = "openAPIV3Schema", default)]
    kind: Value,
}

/// What the definition of a name says; `None` for one of another name.
fn versions(raw: &str, name: &str) -> serde_json::Result<Option<Versions>> {
    let Definition { metadata, spec } = serde_json::from_str(raw)?;
    // The API server names a field by its path without the first dot.
    let label = |Selectable { json_path }: Selectable| json_path.trim_start_matches('.').into();
    let known = |version: Version| {
        let shape = Arc::new(Shape::of_kind(&version.schema.kind));
        (
            version.name.into(),
            Known { selectable: version.selectable_fields.into_iter().map(label).collect(), shape },
        )
    };
    Ok((metadata.name == name).then(|| spec.versions.into_iter().map(known).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_says_of_each_version_by_which_fields_its_objects_are_selected_and_which_they_can_have() {
        let raw = r#"{"metadata":{"name":"widgets.example.com"},"spec":{"group":"example.com","versions":[
            {"name":"v1","selectableFields":[{"jsonPath":".spec.color"},{"jsonPath":".spec.size"}],
             "schema":{"openAPIV3Schema":{"type":"object","properties":{"spec":{"type":"object"}}}}},{"name":"v2"}]}}"#;
        let found = versions(raw, "widgets.example.com").unwrap().unwrap();
        assert_eq!(found["v1"].selectable, ["spec.color".into(), "spec.size".into()].into());
        assert!(found["v2"].selectable.is_empty());
        assert!(matches!(&*found["v1"].shape, Shape::Members(members) if members.contains_key("spec")));
        assert_eq!(*found["v2"].shape, Shape::Anything);
        assert!(versions(raw, "gadgets.example.com").unwrap().is_none());
    }
}
