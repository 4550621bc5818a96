//! Which objects a policy takes, and what it reads of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::jsonpath::{Document, Identity, Part, Projection, Roots};
use crate::resource::{GroupResource, Place};

use super::check::Check;
use super::container;
use super::field::{self, FieldSelector};
use super::fix::Fix;
use super::glob;
use super::judge::Subject;
use super::message::Template;
use super::program::{ALL, CompiledPolicy, CompiledTarget, Rule};

/// Resources that no policy may target, by group and plural name (`*` for all of the group): what the operator
/// itself writes would be judged again and again.
const NEVER: [(&str, &str); 6] = [
    ("watchpolicy.io", ALL),
    ("coordination.k8s.io", "leases"),
    ("", "events"),
    ("events.k8s.io", "events"),
    ("openreports.io", ALL),
    ("wgpolicyk8s.io", ALL),
];

/// Whether no policy may target a resource.
pub(super) fn is_never_judged(group: &str, resource: &str) -> bool {
    NEVER.iter().any(|(never, plural)| *never == group && (*plural == resource || *plural == ALL))
}

/// Whether a policy takes an object. From the surest no to the surest yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Taken {
    /// No target takes it.
    No,
    /// It depends on the object's Namespace, of which nothing is known.
    Unknown,
    /// Some target takes it.
    Yes,
}

impl CompiledPolicy {
    /// Whether some target takes the object: its scope, its selectors, and no system namespace.
    ///
    /// An object that cannot be read is taken where its labels are not known: nothing shows that it is out of scope,
    /// and to leave it out would hide it.
    pub fn takes(&self, subject: &Subject<'_>) -> Taken {
        let namespace = namespace_of(subject.resource, &subject.document.id);
        if namespace.is_some_and(|namespace| self.left_out.contains(namespace)) {
            return Taken::No;
        }
        let taken = self.entries(subject.resource).map(|target| target.takes(namespace, subject));
        taken.max().unwrap_or(Taken::No)
    }

    /// Where the named roots are on a resource: by the built-in table, else as a target's `pod` says.
    pub fn roots(&self, resource: &GroupResource) -> Roots {
        let builtin = Roots::of_builtin(resource);
        if builtin.pod.is_some() {
            return builtin;
        }
        Roots { pod: self.entries(resource).find_map(|target| target.pod.clone()), ..builtin }
    }

    /// Adds what the policy reads of the objects of a resource, labels among it where a selector needs them.
    pub fn read(&self, resource: &GroupResource, roots: &Roots, projection: &mut Projection) {
        let is_namespace = roots.part == Part::OwnNamespace;
        let selects = |target: &CompiledTarget| {
            target.labels.is_some() || (is_namespace && target.namespace_labels.is_some())
        };
        if self.entries(resource).any(selects) {
            projection.read_labels();
        }
        for fields in self.entries(resource).filter_map(|target| target.fields.as_ref()) {
            fields.read(projection);
        }
        for exception in &self.exceptions {
            exception.read(roots, projection);
        }
        self.read_of(roots, projection);
    }

    /// Adds what the policy reads of the Namespaces that its objects are in, its labels among it where a
    /// `namespaceSelector` needs them.
    pub fn read_namespace(&self, projection: &mut Projection) {
        if self.targets.iter().any(|target| target.namespace_labels.is_some()) {
            projection.read_labels();
        }
        self.read_of(&Roots::of_namespace(), projection);
    }

    /// Whether anything is read of the Namespaces that its objects are in.
    pub fn reads_namespaces(&self) -> bool {
        self.reads_namespaces
    }

    /// Namespaces that are left out whatever the targets say.
    pub fn left_out(&self) -> &[Arc<str>] {
        &self.left_out
    }

    /// Whether something is read of the pod of a resource of which nothing says where that is.
    pub fn lacks_pod(&self, resource: &GroupResource) -> bool {
        self.roots(resource).pod.is_none()
            && !self.stands_for(resource)
            && (self.match_reads_pod() || self.rules.iter().any(|rule| rule.reads_pod))
    }

    /// Whether `match` reads the pod of an object.
    pub(super) fn match_reads_pod(&self) -> bool {
        self.conditions.iter().any(|check| check.reads_pod)
    }

    /// Whether a resource is targeted by `*` alone, so that it may be one without pods.
    pub(super) fn stands_for(&self, resource: &GroupResource) -> bool {
        self.entries(resource).all(|target| target.takes_all())
    }

    /// The custom resources that the policy names: whose definition says what their objects can have.
    pub fn names_custom(&self) -> impl Iterator<Item = GroupResource> {
        let custom = self.targets.iter().filter(|target| !field::is_builtin_group(&target.group));
        let named = |target: &CompiledTarget, name: &Arc<str>| GroupResource {
            group: Arc::clone(&target.group),
            resource: Arc::clone(name),
        };
        custom.flat_map(move |target| {
            target.resources.iter().filter(|name| &***name != ALL).map(move |name| named(target, name))
        })
    }

    /// Those among them whose objects are selected by fields.
    pub fn selects_custom(&self) -> impl Iterator<Item = GroupResource> {
        let selected = |resource: &GroupResource| {
            self.entries(resource).any(|target| target.custom_fields().next().is_some())
        };
        self.names_custom().filter(selected)
    }

    fn read_of(&self, roots: &Roots, projection: &mut Projection) {
        for check in &self.conditions {
            check.read(roots, None, projection);
        }
        for rule in &self.rules {
            rule.read(roots, projection);
        }
    }

    /// The namespaces in which a resource is watched for the policy; empty for all.
    pub fn namespaces(&self, resource: &GroupResource) -> BTreeSet<Arc<str>> {
        if self.entries(resource).any(|target| target.namespaces.is_empty()) {
            return BTreeSet::new();
        }
        self.entries(resource).flat_map(|target| target.namespaces.iter()).cloned().collect()
    }

    /// Whether some entry of the targets looks at objects there; everywhere, whether one looks anywhere.
    pub fn looks_at(&self, place: &Place) -> bool {
        self.entries(&place.resource).any(|target| {
            let names = |namespace| target.namespaces.is_empty() || target.namespaces.contains(namespace);
            place.namespace.as_ref().is_none_or(names)
        })
    }

    /// Whether some entry of the targets looks at all objects there, as far as no system namespace is meant.
    pub fn covers(&self, place: &Place) -> bool {
        self.entries(&place.resource).any(|target| target.takes_every_object(place.namespace.as_ref()))
    }

    /// Whether some entry of the targets is about this resource.
    pub fn targets(&self, resource: &GroupResource) -> bool {
        self.entries(resource).next().is_some()
    }

    fn entries(&self, resource: &GroupResource) -> impl Iterator<Item = &CompiledTarget> {
        self.targets.iter().filter(move |target| target.names(resource))
    }
}

impl CompiledTarget {
    /// Whether the entry is about this resource.
    pub fn names(&self, resource: &GroupResource) -> bool {
        self.group == resource.group
            && (self.resources.contains(&resource.resource)
                || (self.takes_all() && !is_never_judged(&resource.group, &resource.resource)))
    }

    /// The fields of custom objects that it selects by, for which their definition must allow it.
    pub(super) fn custom_fields(&self) -> impl Iterator<Item = &Arc<str>> {
        let custom = self.fields.iter().filter(|_| !field::is_builtin_group(&self.group));
        custom.flat_map(FieldSelector::others)
    }

    /// Whether it is about all that its group serves.
    pub(super) fn takes_all(&self) -> bool {
        self.resources.iter().any(|name| &**name == ALL)
    }

    /// Whether it takes all objects in a namespace, or all that there are, as far as no system namespace is meant.
    pub(super) fn takes_every_object(&self, namespace: Option<&Arc<str>>) -> bool {
        let is_there = self.namespaces.is_empty()
            || namespace.is_some_and(|namespace| self.namespaces.contains(namespace));
        let selects = self.labels.is_some() || self.fields.is_some() || !self.names.is_empty();
        let leaves_out = self.namespace_labels.is_some() || !self.exclude_namespaces.is_empty();
        is_there && !selects && !leaves_out
    }

    fn takes(&self, namespace: Option<&Arc<str>>, subject: &Subject<'_>) -> Taken {
        let document = subject.document;
        let takes =
            self.takes_namespace(namespace) && self.takes_name(&document.id.name) && self.selects(document);
        match &self.namespace_labels {
            _ if !takes => Taken::No,
            // What is said of namespaces says nothing about cluster-scoped objects.
            Some(selector) if namespace.is_some() => match subject.whole_namespace() {
                None => Taken::Unknown,
                Some(known) if selector.matches(&known.labels) => Taken::Yes,
                Some(_) => Taken::No,
            },
            _ => Taken::Yes,
        }
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
            && self.fields.as_ref().is_none_or(|selector| selector.matches(document))
    }
}

impl Check {
    /// The same of a check by itself.
    pub(super) fn finds_pod(&self) -> bool {
        finds_pod(|roots, projection| self.read(roots, None, projection))
    }
}

fn finds_pod(read: impl Fn(&Roots, &mut Projection)) -> bool {
    let read_where = |pod: Option<Box<[Arc<str>]>>| {
        let mut projection = Projection::default();
        read(&Roots { pod, ..Roots::default() }, &mut projection);
        projection
    };
    read_where(None) != read_where(Some(Box::new(["a pod".into()])))
}

impl Rule {
    /// Whether it reads something else where it is known where the pod is.
    pub(super) fn finds_pod(&self) -> bool {
        finds_pod(|roots, projection| self.read(roots, projection))
    }

    fn read(&self, roots: &Roots, projection: &mut Projection) {
        let under = self.for_each.as_ref();
        if let Some(elements) = under {
            projection.read_elements(elements, roots);
        }
        for check in self.checks() {
            check.read(roots, under, projection);
        }
        if self.message.as_ref().is_some_and(Template::names_container) {
            container::read(self, roots, projection);
        }
        let fixed_from = self.fix.as_ref().and_then(Fix::source);
        for path in self.message.iter().flat_map(|message| message.paths()).chain(fixed_from) {
            projection.read(path, roots, under);
        }
    }
}

/// The namespace that selectors speak of: of a Namespace, itself.
fn namespace_of<'d>(resource: &GroupResource, id: &'d Identity) -> Option<&'d Arc<str>> {
    let is_namespace = resource.group.is_empty() && &*resource.resource == "namespaces";
    if is_namespace { Some(&id.name) } else { id.namespace.as_ref() }
}
