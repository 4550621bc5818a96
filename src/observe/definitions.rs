//! By which fields custom objects can be selected, as their CustomResourceDefinitions say.
//!
//! Definitions are large and few policies ask, so they are not watched whole: those of resources that some policy
//! selects by fields are read one by one, with the right to list that the operator has anyway.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;

use super::wire::{Collection, Wire, WireError};
use crate::policy::PolicySet;
use crate::resource::{GroupResource, Gvr};

/// The fields of one definition, by version.
type Fields = BTreeMap<Arc<str>, BTreeSet<Arc<str>>>;

/// A definition that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "the definition of {resource} cannot be read: {error}; its objects are selected by fields as policies say"
)]
pub struct Unread {
    resource: GroupResource,
    error: WireError,
}

/// What is known of the definitions that policies ask for.
pub(super) struct Definitions {
    wire: Wire,
    wanted: BTreeSet<GroupResource>,
    known: BTreeMap<GroupResource, Fields>,
}

impl Definitions {
    pub(super) fn new(wire: Wire) -> Self {
        Self { wire, wanted: BTreeSet::new(), known: BTreeMap::new() }
    }

    /// Whether these policies ask for others than before.
    pub(super) fn meet(&mut self, set: &PolicySet) -> bool {
        let wanted: BTreeSet<_> = set.running().flat_map(|policy| policy.selects_custom()).collect();
        self.known.retain(|resource, _| wanted.contains(resource));
        let changed = wanted != self.wanted;
        self.wanted = wanted;
        changed
    }

    /// Reads all of them, and tells which cannot be read. These are as they were known, or not known: then selectors
    /// are applied on our side, with the same result.
    pub(super) async fn ask(&mut self) -> Vec<Unread> {
        let mut unread = Vec::new();
        for resource in &self.wanted {
            match read(&self.wire, resource).await {
                Ok(Some(fields)) => drop(self.known.insert(resource.clone(), fields)),
                Ok(None) => drop(self.known.remove(resource)),
                Err(error) => {
                    // Whoever is refused one, or not answered, would be the others too.
                    let is_alone = matches!(error, WireError::Unintelligible(_));
                    unread.push(Unread { resource: resource.clone(), error });
                    if !is_alone {
                        break;
                    }
                }
            }
        }
        unread
    }

    pub(super) fn selectable(&self) -> BTreeMap<Gvr, BTreeSet<Arc<str>>> {
        let of_version = |resource: &GroupResource, version: &Arc<str>| Gvr {
            resource: resource.clone(),
            version: Arc::clone(version),
        };
        let known =
            self.known.iter().flat_map(|(resource, fields)| fields.iter().map(move |of| (resource, of)));
        known.map(|(resource, (version, fields))| (of_version(resource, version), fields.clone())).collect()
    }
}

/// `None` where there is no such definition, as of a resource of an aggregated server.
async fn read(wire: &Wire, resource: &GroupResource) -> Result<Option<Fields>, WireError> {
    let collection = Collection {
        fields: Some(format!("metadata.name={}.{}", resource.resource, resource.group).into()),
        ..Collection::all(Gvr::new("apiextensions.k8s.io", "v1", "customresourcedefinitions"))
    };
    let page = wire.list(&collection, 1, None).await?;
    let mut found = Ok(None);
    page.each(|raw| found = fields(raw).map(Some))?;
    found.map_err(|error| WireError::Unintelligible(error.to_string()))
}

#[derive(Deserialize)]
struct Definition {
    spec: Spec,
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
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Selectable {
    json_path: String,
}

fn fields(raw: &str) -> serde_json::Result<Fields> {
    let Definition { spec } = serde_json::from_str(raw)?;
    // The API server names a field by its path without the first dot.
    let label = |Selectable { json_path }: Selectable| json_path.trim_start_matches('.').into();
    let of_version =
        |version: Version| (version.name.into(), version.selectable_fields.into_iter().map(label).collect());
    Ok(spec.versions.into_iter().map(of_version).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_says_by_which_fields_each_version_is_selected() {
        let raw = r#"{"spec":{"group":"example.com","versions":[
            {"name":"v1","selectableFields":[{"jsonPath":".spec.color"},{"jsonPath":".spec.size"}]},{"name":"v2"}]}}"#;
        let found = fields(raw).unwrap();
        assert_eq!(found["v1"], ["spec.color".into(), "spec.size".into()].into());
        assert!(found["v2"].is_empty());
    }
}
