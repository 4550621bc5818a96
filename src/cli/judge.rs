//! Policies × objects, offline: the same programs as in the operator, on objects as they were written.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use jiff::Timestamp;

use crate::jsonpath::{Document, Projection, Roots};
use crate::policy::{CompiledPolicy, Judgement, Subject};
use crate::resource::GroupResource;

use super::input::{Object, Policy, Trouble};
use super::kinds::Kinds;

/// The namespace of objects that name none.
const DEFAULT_NAMESPACE: &str = "default";

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
    /// Finds the resource of each object, and puts those that name no namespace into the default one.
    pub(super) fn new(objects: Vec<Object>, kinds: &mut Kinds, troubles: &mut Vec<Trouble>) -> Self {
        kinds.learn_definitions(&objects, troubles);
        let place = |mut object: Object| {
            let resource = kinds.resource(object.group(), &object.types.kind);
            if resource.namespaced && object.id.namespace.is_none() {
                object.put_into(DEFAULT_NAMESPACE);
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
        let mut benches: BTreeMap<&GroupResource, Bench<'w>> = BTreeMap::new();
        let mut judged = Vec::new();
        for (resource, object) in &self.objects {
            let bench = benches.entry(resource).or_insert_with(|| Bench::new(policies, resource));
            let document = Document::decode(&object.json, &bench.projection, &object.types)
                .with_context(|| format!("cannot read {}", object.origin))?;
            for (policy, roots) in &bench.policies {
                let kind = &object.types.kind;
                let subject = Subject { resource, kind, roots, document: &document, now };
                judged.push(Judged { policy, object, judgement: policy.program.judge(&subject) });
            }
        }
        Ok(judged)
    }
}

/// What judges the objects of one resource.
struct Bench<'p> {
    policies: Vec<(&'p Policy, Roots)>,
    /// What all of the policies read.
    projection: Projection,
}

impl<'p> Bench<'p> {
    fn new(policies: &'p [Policy], resource: &GroupResource) -> Self {
        let mut projection = Projection::default();
        let running = policies.iter().filter(|policy| !policy.program.suspend);
        let concerned = |policy: &'p Policy| {
            let program: &Arc<CompiledPolicy> = &policy.program;
            let roots = program.roots(resource);
            if program.targets.iter().any(|target| target.names(resource)) {
                program.read(resource, &roots, &mut projection);
            }
            (policy, roots)
        };
        Self { policies: running.map(concerned).collect(), projection }
    }
}
