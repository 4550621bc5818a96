//! The kinds that are known.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;

use crate::cli::input::{Object, Trouble};
use crate::resource::GroupResource;

use super::{builtin, listing};

/// A kind in a group, whatever the version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli) struct Kind {
    group: Arc<str>,
    kind: Arc<str>,
}

/// The resource of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Resource {
    pub(in crate::cli) name: GroupResource,
    /// Whether its objects live in namespaces.
    pub(in crate::cli) namespaced: bool,
}

/// Which resource each kind is.
#[derive(Debug, Default)]
pub(in crate::cli) struct Kinds {
    known: BTreeMap<Kind, Resource>,
    guessed: BTreeSet<Kind>,
}

impl Kind {
    pub(super) fn new(group: &str, kind: &str) -> Self {
        Self { group: group.into(), kind: kind.into() }
    }
}

impl Resource {
    pub(super) fn new(group: &str, plural: &str, namespaced: bool) -> Self {
        Self { name: GroupResource::new(group, plural), namespaced }
    }
}

/// The part of a CustomResourceDefinition that names its kind.
#[derive(Deserialize)]
struct Definition {
    spec: DefinitionSpec,
}

#[derive(Deserialize)]
struct DefinitionSpec {
    group: String,
    names: DefinitionNames,
    scope: String,
}

#[derive(Deserialize)]
struct DefinitionNames {
    kind: String,
    plural: String,
}

impl Kinds {
    /// Learns what `kubectl api-resources` printed.
    pub(in crate::cli) fn learn_listing(&mut self, file: &Arc<str>, text: &str, troubles: &mut Vec<Trouble>) {
        self.known.extend(listing::read(file, text, troubles));
    }

    /// Learns the custom resource definitions among the objects.
    pub(in crate::cli) fn learn_definitions(&mut self, objects: &[Object], troubles: &mut Vec<Trouble>) {
        let is_definition = |object: &&Object| {
            object.group() == "apiextensions.k8s.io" && &*object.types.kind == "CustomResourceDefinition"
        };
        for object in objects.iter().filter(is_definition) {
            match serde_json::from_str(&object.json) {
                Ok(Definition { spec: DefinitionSpec { group, names, scope } }) => {
                    let resource = Resource::new(&group, &names.plural, scope == "Namespaced");
                    self.known.insert(Kind::new(&group, &names.kind), resource);
                }
                Err(error) => {
                    troubles.push(Trouble::at(&object.origin, unusable(&object.id.name, &error)));
                }
            }
        }
    }

    /// The resource of a kind. One that is not known is guessed, and taken to live in namespaces.
    pub(in crate::cli) fn resource(&mut self, group: &str, kind: &str) -> Resource {
        // Nothing among the inputs can make a kind of Kubernetes another one.
        if let Some((plural, namespaced)) = builtin::resource(group, kind) {
            return Resource::new(group, plural, namespaced);
        }
        let name = Kind::new(group, kind);
        if let Some(known) = self.known.get(&name) {
            return known.clone();
        }
        let resource = Resource::new(group, &guess(kind), true);
        self.guessed.insert(name.clone());
        self.known.insert(name, resource.clone());
        resource
    }

    /// What was guessed, a sentence for each kind.
    pub(in crate::cli) fn guesses(&self) -> impl Iterator<Item = String> {
        self.guessed.iter().filter_map(|kind| {
            let resource = &self.known.get(kind)?.name;
            Some(format!(
                "the resource of kind {} is guessed to be {resource}, in namespaces; to know it, give its \
                 CustomResourceDefinition as an input, or --api-resources",
                kind.kind
            ))
        })
    }
}

/// Why a definition names no kind. The position is one in a copy that nobody sees.
fn unusable(name: &str, error: &serde_json::Error) -> String {
    let error = error.to_string();
    let reason = error.split(" at line ").next().unwrap_or_default();
    format!(
        "CustomResourceDefinition {name} does not say which kind it defines: {reason}; give it spec.group, spec.scope, \
         spec.names.kind and spec.names.plural, or leave it out"
    )
}

/// The plural of a kind that nobody knows, by the rules of kubectl.
fn guess(kind: &str) -> String {
    let lower = kind.to_lowercase();
    if lower.ends_with("endpoints") {
        return lower;
    }
    match (lower.strip_suffix('y'), lower.ends_with('s')) {
        (Some(stem), _) => format!("{stem}ies"),
        (None, true) => format!("{lower}es"),
        (None, false) => format!("{lower}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_kind_is_guessed_as_kubectl_does_and_said_once() {
        let mut kinds = Kinds::default();
        for (kind, plural) in
            [("Widget", "widgets"), ("Proxy", "proxies"), ("Bus", "buses"), ("MyEndpoints", "myendpoints")]
        {
            for _ in 0..2 {
                assert_eq!(&*kinds.resource("example.com", kind).name.resource, plural);
            }
        }
        assert_eq!(kinds.guesses().count(), 4);
        kinds.resource("", "Pod");
        assert_eq!(kinds.guesses().count(), 4, "a built-in kind is not guessed");
    }

    #[test]
    fn a_kind_of_kubernetes_stays_what_it_is_whatever_the_inputs_say() {
        let mut kinds = Kinds::default();
        kinds.known.insert(Kind::new("apps", "Deployment"), Resource::new("apps", "things", false));
        assert_eq!(kinds.resource("apps", "Deployment"), Resource::new("apps", "deployments", true));
    }
}
