//! From policies and catalog to the smallest set of watches; pure.
//!
//! One watch a resource, shared by all policies. Where every policy names its namespaces, one watch a namespace
//! instead, so that a Role is enough; where only some do, spare watches stand by for them, in case that the watch of
//! everything is refused. A selector, of labels or of fields, is left to the server only when all policies have the same
//! one; else it is applied on our side.
//!
//! Some are watched for what they say of others: the Namespaces of objects, where a policy reads them, and the
//! controllers between an object and its root.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::catalog::{Catalog, Resolved, ServedResource, Unresolved};
use super::program::ALL;
use super::{CompiledPolicy, CompiledTarget, FieldSelector, PolicySet};
use crate::jsonpath::{Projection, Roots};
use crate::resource::{GroupResource, Gvr, Place};

/// More namespaces than this are watched as a whole cluster: each watch is a connection.
const NAMESPACED_WATCHES: usize = 64;

/// Names of namespaces; `None` for all there are.
pub type Namespaces = Option<BTreeSet<Arc<str>>>;

/// A policy as it was compiled, and where `$pod` is for it on a resource.
pub type Program = (Arc<CompiledPolicy>, Arc<Roots>);

/// What a policy has a watch for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// Its objects are judged.
    Judged,
    /// Objects in these Namespaces are.
    Around,
    /// It leads from an object to its controller's controller; nothing but its identity is needed.
    Between,
}

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
    /// Field selector for the server.
    pub fields: Option<Arc<str>>,
    /// Nothing outside `metadata` is read.
    pub metadata_only: bool,
    /// What is kept of each object.
    pub projection: Arc<Projection>,
    /// Who is judged by it, and where `$pod` is for each of them; in the order of their names, each once.
    pub policies: Vec<Program>,
    /// Whose objects are in these Namespaces and are judged by what is read of them; in the order of their names.
    pub around: Vec<Arc<CompiledPolicy>>,
}

impl WatchSpec {
    /// Whether a running watch of this spec already brings all that `wanted` asks for.
    pub fn brings(&self, wanted: &Self) -> bool {
        self.resource == wanted.resource
            && self.served == wanted.served
            && self.namespace == wanted.namespace
            && self.labels == wanted.labels
            && self.fields == wanted.fields
            && (!self.metadata_only || wanted.metadata_only)
            && self.projection.covers(&wanted.projection)
    }

    /// Whether it shows all objects of a place.
    pub fn is_of_all(&self, place: &Place) -> bool {
        let is_there = self.namespace.is_none() || self.namespace == place.namespace;
        self.resource.resource == place.resource && is_there && !self.is_selected()
    }

    /// Whether the server shows only what a selector selects.
    pub fn is_selected(&self) -> bool {
        self.labels.is_some() || self.fields.is_some()
    }

    /// Whether it brings what one program reads, of the objects that it shows.
    pub fn carries(&self, policy: &CompiledPolicy, roots: &Roots) -> bool {
        let mut read = Projection::default();
        policy.read(&self.resource.resource, roots, &mut read);
        (!self.metadata_only || read.metadata_only()) && self.projection.covers(&read)
    }

    /// Whether it brings what one program reads of the Namespaces of its objects.
    pub fn carries_around(&self, policy: &CompiledPolicy) -> bool {
        let mut read = Projection::default();
        policy.read_namespace(&mut read);
        self.projection.covers(&read)
    }

    /// Whether the same policies are judged, as they were compiled.
    pub fn serves_as(&self, wanted: &[Program], around: &[Arc<CompiledPolicy>]) -> bool {
        let same = |(a, b): (&Arc<CompiledPolicy>, &Arc<CompiledPolicy>)| Arc::ptr_eq(a, b);
        self.policies.len() == wanted.len()
            && self.policies.iter().zip(wanted).all(|((a, _), (b, _))| same((a, b)))
            && self.around.len() == around.len()
            && self.around.iter().zip(around).all(same)
    }

    /// Whether some policy names its resource, or needs it beside what it names; others mean all that a group serves.
    pub fn is_named(&self) -> bool {
        let resource = &self.resource.resource;
        self.policies.is_empty() || self.policies.iter().any(|(policy, _)| !policy.stands_for(resource))
    }

    /// The program of a policy, if it is judged by this watch.
    pub fn program(&self, name: &str) -> Option<&Program> {
        let place = self.policies.binary_search_by(|(policy, _)| (*policy.name).cmp(name)).ok()?;
        self.policies.get(place)
    }

    /// A policy whose objects are in these Namespaces.
    pub fn is_around(&self, name: &str) -> bool {
        self.around.binary_search_by(|policy| (*policy.name).cmp(name)).is_ok()
    }
}

/// One resource that a policy names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyTarget {
    /// Group and plural name.
    pub resource: GroupResource,
    /// The version that the policy names.
    pub version: Option<Arc<str>>,
    /// Where the policy looks.
    pub namespaces: Namespaces,
    /// What is watched for it, or why nothing is.
    pub found: Result<Gvr, Unresolved>,
    /// Whether its objects cannot be judged before their Namespaces are known.
    pub needs_namespaces: bool,
    /// Whether the policy reads the pod of its objects and nothing says where that is.
    pub lacks_pod: bool,
    /// Namespaces that the policy names and that are left out all the same.
    pub left_out: Vec<Arc<str>>,
    /// What is followed beside it, between its objects and what controls them.
    pub between: Vec<Gvr>,
    /// What a rule reads that no object of the kind can have, in words; of a kind that the policy names.
    pub unknown: Option<Arc<str>>,
}

/// All that is wanted.
#[derive(Clone, Default)]
pub struct Demand {
    /// The watches.
    pub watches: Vec<WatchSpec>,
    /// Watches of single namespaces, for those who name them, while the watch of everything is refused.
    pub spares: Vec<WatchSpec>,
    /// What each policy's targets came to, by policy name.
    pub targets: BTreeMap<Arc<str>, Vec<PolicyTarget>>,
}

/// Works out what must be watched.
pub fn demand(set: &PolicySet, catalog: &Catalog) -> Demand {
    let mut wants: BTreeMap<Gvr, Want> = BTreeMap::new();
    let mut demand = Demand::default();
    for entry in set.entries.values() {
        let Some(policy) = entry.watching() else { continue };
        let found = policy_targets((policy, entry.is_ending()), catalog, &mut wants);
        demand.targets.insert(Arc::clone(&policy.name), found);
    }
    for (resource, want) in wants {
        want.specify(&resource, &mut demand);
    }
    demand
}

/// A watch of all objects in a place that nobody is judged by, for who their fields belong to; `None` where there is no
/// such place.
pub fn look_through(place: &Place, catalog: &Catalog) -> Option<WatchSpec> {
    let Resolved { resource, served } = catalog.resolve(&place.resource, None).ok()?;
    (served.namespaced || place.namespace.is_none()).then(|| WatchSpec {
        resource,
        served,
        namespace: place.namespace.clone(),
        labels: None,
        fields: None,
        metadata_only: true,
        projection: Arc::default(),
        policies: Vec::new(),
        around: Vec::new(),
    })
}

fn policy_targets(
    (policy, is_ending): (&Arc<CompiledPolicy>, bool),
    catalog: &Catalog,
    wants: &mut BTreeMap<Gvr, Want>,
) -> Vec<PolicyTarget> {
    let mut targets: BTreeMap<GroupResource, PolicyTarget> = BTreeMap::new();
    for (target, resource) in entries(policy, catalog) {
        let entry = targets.entry(resource.clone()).or_insert_with(|| PolicyTarget {
            found: catalog.resolve(&resource, target.version.as_deref()).map(|found| {
                let Resolved { resource, served } = found;
                wants.entry(resource.clone()).or_insert_with(|| Want::new(served));
                resource
            }),
            lacks_pod: policy.lacks_pod(&resource),
            resource,
            version: target.version.clone(),
            namespaces: Some(BTreeSet::new()),
            needs_namespaces: false,
            left_out: Vec::new(),
            between: Vec::new(),
            unknown: None,
        });
        if let Some(refused) = entry.found.as_ref().ok().and_then(|found| refusal(found, target, catalog)) {
            entry.found = Err(refused);
        }
        let Ok(found) = &entry.found else { continue };
        let Some(want) = wants.get_mut(found) else { continue };
        if target.resources.contains(&found.resource.resource) {
            entry.unknown = unknown(policy, found, catalog);
        }
        entry.needs_namespaces = want.served.namespaced && policy.reads_namespaces();
        entry.namespaces = want.scope(entry.namespaces.take(), target);
        let named = entry.namespaces.iter().flatten();
        entry.left_out = named.filter(|named| policy.left_out().contains(named)).cloned().collect();
        // An object that nobody judges may still be on the way to its controller.
        // What a policy wrote may be on objects that its selectors do not select any more.
        let server_may = !policy.passes(&found.resource) && !is_ending;
        want.labels.insert(target.labels.as_ref().filter(|_| server_may).map(text));
        let selects = |fields: &&FieldSelector| {
            let known = target.custom_fields().next().is_none() || catalog.selectable.contains_key(found);
            server_may && known && (want.served.namespaced || !fields.reads_namespace())
        };
        want.fields.insert(target.fields.as_ref().filter(selects).map(text));
    }
    for target in targets.values() {
        if let Some(want) = target.found.as_ref().ok().and_then(|resource| wants.get_mut(resource)) {
            want.users.push((Arc::clone(policy), target.namespaces.clone(), Use::Judged));
        }
    }
    let mut targets: Vec<_> = targets.into_values().collect();
    if targets.iter().any(|target| target.needs_namespaces) {
        let namespaces = catalog.resolve(&GroupResource::new("", "namespaces"), None).ok();
        namespaces.map(|found| want_beside(policy, found, (None, Use::Around), wants));
    }
    let between = follow(policy, &targets, catalog, wants);
    if let Some(pods) = targets.iter_mut().find(|target| is_of_pods(target)) {
        pods.between = between;
    }
    targets
}

fn is_of_pods(target: &PolicyTarget) -> bool {
    target.resource == GroupResource::new("", "pods")
}

/// Wants what leads from Pods to their controllers wherever Pods are looked at. What is a target itself may be looked at
/// in fewer namespaces.
fn follow(
    policy: &Arc<CompiledPolicy>,
    targets: &[PolicyTarget],
    catalog: &Catalog,
    wants: &mut BTreeMap<Gvr, Want>,
) -> Vec<Gvr> {
    let Some(pods) = targets.iter().find(|target| is_of_pods(target)) else { return Vec::new() };
    let mut followed = Vec::new();
    for resource in policy.between() {
        let own = targets.iter().find(|target| target.resource == resource);
        if own.is_some_and(|own| covers(&own.namespaces, &pods.namespaces)) {
            continue;
        }
        let version = own.and_then(|own| own.version.as_deref());
        let found = catalog.resolve(&resource, version).ok();
        let everywhere = || (pods.namespaces.clone(), Use::Between);
        followed.extend(found.map(|found| want_beside(policy, found, everywhere(), wants)));
    }
    followed
}

fn covers(wide: &Namespaces, narrow: &Namespaces) -> bool {
    match (wide, narrow) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wide), Some(narrow)) => wide.is_superset(narrow),
    }
}

/// Why an entry cannot be followed together with those before it, or at all.
fn refusal(found: &Gvr, target: &CompiledTarget, catalog: &Catalog) -> Option<Unresolved> {
    let named = target.version.as_ref().filter(|version| **version != found.version);
    let two_versions = named.map(|named| Unresolved::TwoVersions {
        resource: found.resource.clone(),
        found: Arc::clone(&found.version),
        named: Arc::clone(named),
    });
    two_versions.or_else(|| catalog.select_by(found, target.custom_fields()).err())
}

/// What a policy reads of a resource that its objects cannot have, as far as that is known.
fn unknown(policy: &CompiledPolicy, resource: &Gvr, catalog: &Catalog) -> Option<Arc<str>> {
    let Some(shape) = catalog.shapes.get(resource) else { return policy.slip(&resource.resource).cloned() };
    let mut read = Projection::default();
    policy.read(&resource.resource, &policy.roots(&resource.resource), &mut read);
    shape.unknown(read.level()).map(Into::into)
}

fn text(selector: &impl ToString) -> Arc<str> {
    selector.to_string().into()
}

/// The selector that all have, if they do.
fn only(selectors: &BTreeSet<Option<Arc<str>>>) -> Option<Arc<str>> {
    if selectors.len() == 1 { selectors.first().cloned().flatten() } else { None }
}

/// Each resource that a policy names, with the entry that does; then those that `*` stands for. What is named by itself
/// says in which version it is watched, where `*` names none.
fn entries<'p>(policy: &'p CompiledPolicy, catalog: &Catalog) -> Vec<(&'p CompiledTarget, GroupResource)> {
    let named = |target: &'p CompiledTarget| {
        let named = target.resources.iter().filter(|name| &***name != ALL);
        named.map(move |name| (target, GroupResource::new(Arc::clone(&target.group), Arc::clone(name))))
    };
    let stood_for = |target: &'p CompiledTarget| {
        let served = catalog.watchable(&target.group, target.version.as_deref());
        let mut found: Vec<_> = served.filter(|resource| target.names(resource)).collect();
        if found.is_empty() {
            found.push(GroupResource::new(Arc::clone(&target.group), ALL));
        }
        found.into_iter().map(move |resource| (target, resource))
    };
    let all = policy.targets.iter().filter(|target| target.takes_all());
    policy.targets.iter().flat_map(named).chain(all.flat_map(stood_for)).collect()
}

/// Wants a resource for what it says of others. Returns what is watched.
fn want_beside(
    policy: &Arc<CompiledPolicy>,
    Resolved { resource, served }: Resolved,
    (namespaces, for_what): (Namespaces, Use),
    wants: &mut BTreeMap<Gvr, Want>,
) -> Gvr {
    let want = wants.entry(resource.clone()).or_insert_with(|| Want::new(served));
    want.labels.insert(None);
    want.fields.insert(None);
    want.users.push((Arc::clone(policy), namespaces, for_what));
    resource
}

/// What all policies together want of one resource.
struct Want {
    served: ServedResource,
    users: Vec<(Arc<CompiledPolicy>, Namespaces, Use)>,
    labels: BTreeSet<Option<Arc<str>>>,
    fields: BTreeSet<Option<Arc<str>>>,
}

impl Want {
    fn new(served: ServedResource) -> Self {
        Self { served, users: Vec::new(), labels: BTreeSet::new(), fields: BTreeSet::new() }
    }

    /// The namespaces of one more target entry beside those known.
    fn scope(&self, known: Namespaces, target: &CompiledTarget) -> Namespaces {
        let mut known = known?;
        if target.namespaces.is_empty() || !self.served.namespaced {
            return None;
        }
        known.extend(target.namespaces.iter().cloned());
        Some(known)
    }

    fn specify(&self, resource: &Gvr, demand: &mut Demand) {
        let named: BTreeSet<_> =
            self.users.iter().filter_map(|(_, named, _)| named.as_ref()).flatten().collect();
        let narrow = |namespace: &&Arc<str>| self.spec(resource, Some(Arc::clone(namespace)));
        let few = named.len() <= NAMESPACED_WATCHES;
        let all_name = self.users.iter().all(|(_, named, _)| named.is_some());
        if all_name && few {
            demand.watches.extend(named.iter().map(narrow));
            return;
        }
        demand.watches.push(self.spec(resource, None));
        demand.spares.extend(named.iter().map(narrow));
    }

    /// A watch of a namespace serves those who name it; the watch of everything serves all.
    fn spec(&self, resource: &Gvr, namespace: Option<Arc<str>>) -> WatchSpec {
        let mut projection = Projection::default();
        let (mut policies, mut around) = (Vec::new(), Vec::new());
        for (policy, named, for_what) in &self.users {
            let looks = namespace
                .as_ref()
                .is_none_or(|namespace| named.as_ref().is_some_and(|n| n.contains(namespace)));
            match for_what {
                Use::Judged if looks => {
                    let roots = Arc::new(policy.roots(&resource.resource));
                    policy.read(&resource.resource, &roots, &mut projection);
                    policies.push((Arc::clone(policy), roots));
                }
                Use::Around if looks => {
                    policy.read_namespace(&mut projection);
                    around.push(Arc::clone(policy));
                }
                Use::Judged | Use::Around | Use::Between => {}
            }
        }
        WatchSpec {
            resource: resource.clone(),
            served: self.served.clone(),
            namespace,
            labels: only(&self.labels),
            fields: only(&self.fields),
            metadata_only: projection.metadata_only(),
            projection: Arc::new(projection),
            policies,
            around,
        }
    }
}

#[cfg(test)]
mod tests;
