//! From policies and catalog to the smallest set of watches; pure.
//!
//! One watch a resource, shared by all policies. Where every policy names its namespaces, one watch a namespace
//! instead, so that a Role is enough. A selector is left to the server only when all policies have the same one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::catalog::{Catalog, Resolved, ServedResource, Unresolved};
use super::{CompiledPolicy, CompiledTarget, PolicySet};
use crate::jsonpath::{Projection, Roots};
use crate::resource::{GroupResource, Gvr};

/// More namespaces than this are watched as a whole cluster: each watch is a connection.
const NAMESPACED_WATCHES: usize = 64;

/// One wanted watch.
#[derive(Clone)]
pub struct WatchSpec {
    /// What to watch.
    pub resource: Gvr,
    /// What its objects are.
    pub served: ServedResource,
    /// `None` for everywhere.
    pub namespace: Option<Arc<str>>,
    /// Label selector for the server.
    pub labels: Option<Arc<str>>,
    /// Nothing outside `metadata` is read.
    pub metadata_only: bool,
    /// What is kept of each object.
    pub projection: Arc<Projection>,
    /// Who is judged by it, and where `$pod` is for each of them.
    pub policies: Vec<(Arc<CompiledPolicy>, Arc<Roots>)>,
}

impl WatchSpec {
    /// Whether a running watch of this spec already brings all that `wanted` asks for.
    pub fn brings(&self, wanted: &Self) -> bool {
        self.resource == wanted.resource
            && self.served == wanted.served
            && self.namespace == wanted.namespace
            && self.labels == wanted.labels
            && (!self.metadata_only || wanted.metadata_only)
            && self.projection.covers(&wanted.projection)
    }

    /// Whether the same policies are judged, as they were compiled.
    pub fn serves_as(&self, wanted: &Self) -> bool {
        self.policies.len() == wanted.policies.len()
            && self.policies.iter().zip(&wanted.policies).all(|((a, _), (b, _))| Arc::ptr_eq(a, b))
    }
}

/// One resource that a policy names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyTarget {
    /// Group and plural name.
    pub resource: GroupResource,
    /// The version that the policy names.
    pub version: Option<Arc<str>>,
    /// What is watched for it, or why nothing is.
    pub found: Result<Gvr, Unresolved>,
}

/// All that is wanted.
#[derive(Clone, Default)]
pub struct Demand {
    /// The watches.
    pub watches: Vec<WatchSpec>,
    /// What each policy's targets came to, by policy name.
    pub targets: BTreeMap<Arc<str>, Vec<PolicyTarget>>,
}

/// Works out what must be watched.
pub fn demand(set: &PolicySet, catalog: &Catalog) -> Demand {
    let mut wants: BTreeMap<Gvr, Want> = BTreeMap::new();
    let mut targets = BTreeMap::new();
    for policy in set.running() {
        let found = policy_targets(policy, catalog, &mut wants);
        targets.insert(Arc::clone(&policy.name), found);
    }
    Demand {
        watches: wants.into_iter().flat_map(|(resource, want)| want.watches(&resource)).collect(),
        targets,
    }
}

fn policy_targets(
    policy: &Arc<CompiledPolicy>,
    catalog: &Catalog,
    wants: &mut BTreeMap<Gvr, Want>,
) -> Vec<PolicyTarget> {
    let mut seen: BTreeMap<GroupResource, PolicyTarget> = BTreeMap::new();
    for target in &policy.targets {
        for resource in &target.resources {
            let resource = GroupResource { group: Arc::clone(&target.group), resource: Arc::clone(resource) };
            let found =
                catalog.resolve(&resource, target.version.as_deref()).map(|Resolved { resource, served }| {
                    let want = wants.entry(resource.clone()).or_insert_with(|| Want::new(served));
                    want.add(policy, target);
                    resource
                });
            let version = target.version.clone();
            seen.entry(resource.clone()).or_insert(PolicyTarget { resource, version, found });
        }
    }
    seen.into_values().collect()
}

/// What all policies together want of one resource.
struct Want {
    served: ServedResource,
    policies: Vec<Arc<CompiledPolicy>>,
    /// `None` once anybody wants all.
    namespaces: Option<BTreeSet<Arc<str>>>,
    labels: BTreeSet<Option<Arc<str>>>,
}

impl Want {
    fn new(served: ServedResource) -> Self {
        let namespaces = served.namespaced.then(BTreeSet::new);
        Self { served, policies: Vec::new(), namespaces, labels: BTreeSet::new() }
    }

    fn add(&mut self, policy: &Arc<CompiledPolicy>, target: &CompiledTarget) {
        if !self.policies.iter().any(|known| Arc::ptr_eq(known, policy)) {
            self.policies.push(Arc::clone(policy));
        }
        match &mut self.namespaces {
            Some(named) if !target.namespaces.is_empty() => named.extend(target.namespaces.iter().cloned()),
            all => *all = None,
        }
        self.labels.insert(target.labels.as_ref().map(|selector| selector.to_string().into()));
    }

    fn watches(self, resource: &Gvr) -> Vec<WatchSpec> {
        let mut projection = Projection::default();
        let mut policies = Vec::with_capacity(self.policies.len());
        for policy in self.policies {
            let roots = Arc::new(policy.roots(&resource.resource));
            policy.read(&resource.resource, &roots, &mut projection);
            policies.push((policy, roots));
        }
        let labels = match self.labels.into_iter().collect::<Vec<_>>().as_mut_slice() {
            [only] => only.take(),
            _ => None,
        };
        let wide = WatchSpec {
            resource: resource.clone(),
            served: self.served,
            namespace: None,
            labels,
            metadata_only: projection.metadata_only(),
            projection: Arc::new(projection),
            policies,
        };
        match self.namespaces {
            Some(named) if named.len() <= NAMESPACED_WATCHES => {
                named.into_iter().map(|name| WatchSpec { namespace: Some(name), ..wide.clone() }).collect()
            }
            _ => vec![wide],
        }
    }
}

#[cfg(test)]
mod tests;
