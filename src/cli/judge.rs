//! Policies × objects, offline: the same programs as in the operator, on objects as they were written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Context;
use jiff::Timestamp;

use crate::jsonpath::{Document, Projection, Roots, TypeMeta};
use crate::policy::{Judgement, SharedPaths, Subject};
use crate::resource::GroupResource;

use super::family::{Family, Member};
use super::input::{Object, Policy, Trouble};
use super::kinds::Kinds;

/// The namespace of objects that name none.
const DEFAULT_NAMESPACE: &str = "default";
/// The label of a Namespace that the server makes of its name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// All objects, as if one cluster held them. Several may have one name: each is judged.
#[derive(Debug, Default)]
pub(super) struct World {
    objects: Vec<(GroupResource, Object)>,
}

/// What one policy says of one object.
#[derive(Debug)]
pub(super) struct Judged<'w> {
    pub(super) policy: &'w Policy,
    pub(super) object: &'w Object,
    pub(super) judgement: Judgement,
}

impl World {
    /// Finds the resource of each object, and puts it where the server would: into the default namespace if it names none,
    /// and into none if its kind lives in none.
    pub(super) fn new(objects: Vec<Object>, kinds: &mut Kinds, troubles: &mut Vec<Trouble>) -> Self {
        kinds.learn_definitions(&objects, troubles);
        let place = |mut object: Object| {
            let resource = kinds.resource(object.group(), &object.types.kind);
            match (resource.namespaced, &object.id.namespace) {
                (true, None) => object.put_into(Some(DEFAULT_NAMESPACE)),
                (false, Some(_)) => object.put_into(None),
                (true, Some(_)) | (false, None) => {}
            }
            (resource.name, object)
        };
        Self { objects: objects.into_iter().map(place).collect() }
    }

    /// How many objects there are.
    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    /// Judges each object by each policy that is not suspended, in the order in which they were given.
    ///
    /// # Errors
    /// Never for objects that could be read before.
    pub(super) fn judge<'w>(
        &'w self,
        policies: &'w [Policy],
        now: Timestamp,
    ) -> anyhow::Result<Vec<Judged<'w>>> {
        let namespaces = self.namespaces(policies)?;
        let mut benches: BTreeMap<&GroupResource, Bench<'w>> = BTreeMap::new();
        let mut members = Vec::new();
        for (resource, object) in &self.objects {
            let bench = benches.entry(resource).or_insert_with(|| Bench::new(policies, resource));
            let document = Document::decode(&object.json, &bench.projection, &object.types)
                .with_context(|| format!("cannot read {}", object.origin))?;
            members.push(Member { resource, object, document: Arc::new(document) });
        }
        let family = Family::of(&members);
        let mut judged = Vec::new();
        for Member { resource, object, document } in &members {
            let namespace = document.id.namespace.as_ref().and_then(|name| namespaces.get(name));
            let Some(Bench { policies, shared, .. }) = benches.get(resource) else { continue };
            let mut survey = shared.survey(document);
            for (index, (policy, roots)) in policies.iter().enumerate() {
                let kind = &object.types.kind;
                let subject = Subject { resource, kind, roots, document, namespace, now };
                let share = survey.as_mut().and_then(|survey| shared.of_policy(index, survey));
                let judgement = policy.program.judge_sharing(&subject, share, &family);
                judged.push(Judged { policy, object, judgement });
            }
        }
        Ok(judged)
    }

    /// A note for each namespace that policies read of objects and that is not among the objects itself.
    pub(super) fn unknown_namespaces(&self, policies: &[Policy]) -> Vec<String> {
        let is_read = |resource: &GroupResource| {
            let mut running =
                policies.iter().map(|policy| &policy.program).filter(|program| !program.suspend);
            running.any(|program| program.reads_namespaces() && program.targets(resource))
        };
        let read = self.objects.iter().filter(|(resource, _)| is_read(resource));
        let named: BTreeSet<&Arc<str>> =
            read.filter_map(|(_, object)| object.id.namespace.as_ref()).collect();
        let written: BTreeSet<&Arc<str>> = self.written_namespaces().map(|object| &object.id.name).collect();
        let note = |name: &Arc<str>| {
            format!(
                "namespace {name} is not among the objects, only its label {NAME_LABEL} is known: add the Namespace, \
                 if policies ask for more"
            )
        };
        named.difference(&written).copied().map(note).collect()
    }

    /// What the policies read of the Namespaces that objects are in. Of one that is not among the objects, only the
    /// name and the label that the server makes of it are known.
    fn namespaces(&self, policies: &[Policy]) -> anyhow::Result<BTreeMap<Arc<str>, Document>> {
        let mut read = Projection::default();
        policies.iter().for_each(|policy| policy.program.read_namespace(&mut read));
        let types = TypeMeta { api_version: "v1".into(), kind: "Namespace".into() };
        let mut namespaces = BTreeMap::new();
        for object in self.written_namespaces() {
            let document = Document::decode(&object.json, &read, &types)
                .with_context(|| format!("cannot read {}", object.origin))?;
            namespaces.insert(Arc::clone(&document.id.name), document);
        }
        for name in self.objects.iter().filter_map(|(_, object)| object.id.namespace.as_ref()) {
            if !namespaces.contains_key(name) {
                let labels = serde_json::json!({NAME_LABEL: **name});
                let unknown = serde_json::json!({"metadata": {"name": **name, "labels": labels}});
                namespaces.insert(Arc::clone(name), Document::decode(&unknown.to_string(), &read, &types)?);
            }
        }
        Ok(namespaces)
    }

    fn written_namespaces(&self) -> impl Iterator<Item = &Object> {
        let resource = GroupResource::new("", "namespaces");
        self.objects.iter().filter(move |(of, _)| *of == resource).map(|(_, object)| object)
    }
}

/// What judges the objects of one resource.
struct Bench<'p> {
    policies: Vec<(&'p Policy, Roots)>,
    /// What they find together.
    shared: SharedPaths,
    /// What all of the policies read.
    projection: Projection,
}

impl<'p> Bench<'p> {
    fn new(policies: &'p [Policy], resource: &GroupResource) -> Self {
        let mut projection = Projection::default();
        let running = policies.iter().filter(|policy| !policy.program.suspend);
        let concerned = |policy: &'p Policy| {
            let program = &policy.program;
            let roots = program.roots(resource);
            if program.targets(resource) {
                program.read(resource, &roots, &mut projection);
            }
            (policy, roots)
        };
        let policies: Vec<_> = running.map(concerned).collect();
        let shared = SharedPaths::of(policies.iter().map(|(policy, roots)| (&*policy.program, roots)));
        Self { policies, shared, projection }
    }
}
