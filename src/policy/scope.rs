//! Which objects a policy takes, and what it reads of them.

use std::sync::Arc;

use crate::jsonpath::{Document, Identity, Projection, Roots};
use crate::resource::GroupResource;

use super::container;
use super::glob;
use super::message::Template;
use super::program::{CompiledPolicy, CompiledTarget, Rule};

impl CompiledPolicy {
    /// Whether some target takes the object: its scope, its selectors, and no system namespace.
    ///
    /// An object that cannot be read is taken where its labels are not known: nothing shows that it is out of scope,
    /// and to leave it out would hide it.
    pub fn takes(&self, resource: &GroupResource, document: &Document) -> bool {
        let namespace = namespace_of(resource, &document.id);
        let left_out = namespace.is_some_and(|namespace| self.left_out.contains(namespace));
        !left_out && self.entries(resource).any(|target| target.takes(namespace, document))
    }

    /// Where the named roots are on a resource: by the built-in table, else as a target's `pod` says.
    pub fn roots(&self, resource: &GroupResource) -> Roots {
        let builtin = Roots::of_builtin(resource);
        if builtin.pod.is_some() {
            return builtin;
        }
        Roots { pod: self.entries(resource).find_map(|target| target.pod.clone()) }
    }

    /// Adds what the policy reads of the objects of a resource, labels among it where a selector needs them.
    pub fn read(&self, resource: &GroupResource, roots: &Roots, projection: &mut Projection) {
        if self.entries(resource).any(|target| target.labels.is_some()) {
            projection.read_labels();
        }
        for check in &self.conditions {
            check.read(roots, None, projection);
        }
        for rule in &self.rules {
            rule.read(roots, projection);
        }
        for exception in &self.exceptions {
            exception.read(roots, projection);
        }
    }

    fn entries(&self, resource: &GroupResource) -> impl Iterator<Item = &CompiledTarget> {
        self.targets.iter().filter(move |target| target.names(resource))
    }
}

impl CompiledTarget {
    /// Whether the entry is about this resource.
    pub fn names(&self, resource: &GroupResource) -> bool {
        self.group == resource.group && self.resources.contains(&resource.resource)
    }

    fn takes(&self, namespace: Option<&Arc<str>>, document: &Document) -> bool {
        self.takes_namespace(namespace) && self.takes_name(&document.id.name) && self.selects(document)
    }

    /// What is said of namespaces says nothing about cluster-scoped objects.
    fn takes_namespace(&self, namespace: Option<&Arc<str>>) -> bool {
        namespace.is_none_or(|namespace| {
            (self.namespaces.is_empty() || self.namespaces.contains(namespace))
                && !glob::any(&self.exclude_namespaces, namespace)
        })
    }

    fn takes_name(&self, name: &str) -> bool {
        self.names.is_empty() || glob::any(&self.names, name)
    }

    fn selects(&self, document: &Document) -> bool {
        let unknown = document.root.is_err() && document.labels.is_empty();
        self.labels.as_ref().is_none_or(|selector| unknown || selector.matches(&document.labels))
    }
}

impl Rule {
    fn read(&self, roots: &Roots, projection: &mut Projection) {
        let under = self.for_each.as_ref();
        if let Some(elements) = under {
            projection.read_elements(elements, roots);
        }
        for check in self.when.iter().chain(self.body.checks()) {
            check.read(roots, under, projection);
        }
        if self.message.as_ref().is_some_and(Template::names_container) {
            container::read(self, roots, projection);
        }
        for path in self.message.iter().flat_map(|message| message.paths()) {
            projection.read(path, roots, under);
        }
    }
}

/// The namespace that selectors speak of: of a Namespace, itself.
fn namespace_of<'d>(resource: &GroupResource, id: &'d Identity) -> Option<&'d Arc<str>> {
    let is_namespace = resource.group.is_empty() && &*resource.resource == "namespaces";
    if is_namespace { Some(&id.name) } else { id.namespace.as_ref() }
}
