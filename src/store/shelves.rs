//! All shelves, and what they know of objects together.

use std::collections::BTreeMap;
use std::sync::Arc;

use ahash::RandomState;
use hashbrown::HashMap;
use parking_lot::RwLock;

use super::room::{Limits, Room};
use super::serving::Serving;
use super::shelf::Shelf;
use crate::jsonpath::{Document, TypeMeta};
use crate::policy::{CompiledPolicy, Relative, Relatives, is_followed};
use crate::resource::{GroupResource, ObjectKey, ObjectName};

/// A document, and who is judged by it.
pub struct View {
    /// Who is judged.
    pub serving: Arc<Serving>,
    /// By what.
    pub document: Arc<Document>,
    /// What its shelf holds.
    pub types: TypeMeta,
    /// Whom better watches serve that do not show the object.
    denied: Vec<Arc<Serving>>,
}

impl View {
    /// Whether a policy that it serves is judged by it: not where a better watch that serves the policy has shown all that
    /// there is, and does not show the object. An older one may have been refused since, and hold what is long gone.
    pub fn judges(&self, policy: &CompiledPolicy) -> bool {
        let mut served = self.denied.iter().flat_map(|serving| serving.iter());
        !served.any(|served| served.policy.name == policy.name)
    }
}

/// All shelves. The fleet sets them up and takes them down.
#[derive(Default)]
pub struct Store {
    /// The newest first.
    shelves: RwLock<HashMap<GroupResource, Vec<Arc<Shelf>>, RandomState>>,
    room: Arc<Room>,
}

impl Store {
    /// No shelves yet.
    pub fn new(limits: Limits) -> Self {
        Self { shelves: RwLock::default(), room: Arc::new(Room::new(limits)) }
    }

    /// What new shelves take of.
    pub fn room(&self) -> Arc<Room> {
        Arc::clone(&self.room)
    }

    /// Makes a shelf readable.
    pub fn open(&self, shelf: Arc<Shelf>) {
        let mut shelves = self.shelves.write();
        let of_resource = shelves.entry(shelf.resource.resource.clone()).or_default();
        of_resource.push(shelf);
        of_resource.sort_by_key(|shelf| std::cmp::Reverse(shelf.epoch));
    }

    /// Takes a shelf away; its documents go when their last reader is done. The caller enqueues its names.
    pub fn close(&self, resource: &GroupResource, epoch: u64) {
        let mut shelves = self.shelves.write();
        if let Some(of_resource) = shelves.get_mut(resource) {
            of_resource.retain(|shelf| shelf.epoch != epoch);
            if of_resource.is_empty() {
                shelves.remove(resource);
            }
        }
    }

    /// Whether a kind is watched, in any version and namespace.
    pub fn watches(&self, resource: &GroupResource) -> bool {
        self.shelves.read().contains_key(resource)
    }

    /// All that is known of an object: first what synced watches show that are followed at this moment, then what others
    /// have shown, since a list under way shows no later changes; of several, the newest first.
    pub fn views(&self, key: &ObjectKey) -> Vec<View> {
        let shelves = self.shelves.read();
        let Some(of_resource) = shelves.get(&key.resource) else { return Vec::new() };
        // The epochs and the policies of those that do not show it.
        let mut without: Vec<(u64, Arc<Serving>)> = Vec::new();
        let mut views = Vec::new();
        for shelf in ranked(of_resource, key.object.namespace.as_deref()) {
            let Some(document) = shelf.get(&key.object) else {
                without.extend(shelf.is_synced().then(|| (shelf.epoch, shelf.serving())));
                continue;
            };
            let better = without.iter().filter(|(epoch, _)| shelf.is_synced() || *epoch > shelf.epoch);
            let denied = better.map(|(_, serving)| Arc::clone(serving)).collect();
            views.push(View { serving: shelf.serving(), document, types: shelf.types.clone(), denied });
        }
        views
    }

    /// What older watches of a place show, and a newer one that has shown all that there is does not.
    pub fn overtaken(&self, by: &Shelf) -> Vec<ObjectName> {
        let shelves = self.shelves.read();
        let of_resource = shelves.get(&by.resource.resource).map(Vec::as_slice).unwrap_or_default();
        let older = of_resource.iter().filter(|shelf| shelf.epoch < by.epoch);
        let mut names: Vec<_> = older.flat_map(|shelf| shelf.names()).collect();
        names.retain(|name| by.looks_at(name.namespace.as_deref()));
        by.lacks(names)
    }

    /// The shelf of Namespaces that carries what a policy reads of them; the newest that is synced.
    pub fn around(&self, policy: &Arc<CompiledPolicy>) -> Option<Arc<Shelf>> {
        let shelves = self.shelves.read();
        let of_namespaces = shelves.get(&GroupResource::new("", "namespaces"))?;
        let serves = |shelf: &&Arc<Shelf>| shelf.is_synced() && shelf.is_around(policy);
        of_namespaces.iter().find(serves).cloned()
    }

    /// The objects in a namespace, or in any where none is given, that these policies judge.
    pub fn judged_in(&self, namespace: Option<&Arc<str>>, by: &[Arc<CompiledPolicy>]) -> Vec<ObjectKey> {
        let judges = |shelf: &&Arc<Shelf>| by.iter().any(|policy| shelf.serves(policy).is_some());
        self.shelves().iter().filter(judges).flat_map(|shelf| shelf.keys_in(namespace)).collect()
    }

    /// The objects whose verdict depends on that of this one: those that it controls, those that these control, and so
    /// on where controllers are followed.
    pub fn judged_with(&self, owner: &Document) -> Vec<ObjectKey> {
        let mut keys = Vec::new();
        self.add_children(owner, MOST_GENERATIONS, &self.shelves(), &mut keys);
        keys
    }

    fn add_children(&self, owner: &Document, depth: u8, shelves: &[Arc<Shelf>], keys: &mut Vec<ObjectKey>) {
        for shelf in shelves {
            let resource = &shelf.resource.resource;
            let depends = shelf.serving().iter().any(|served| served.policy.skips_owned());
            let goes_on = depth > 0 && is_followed(resource);
            if !depends && !goes_on {
                continue;
            }
            for (object, document) in shelf.children(owner) {
                if let Some(document) = document.filter(|_| goes_on) {
                    self.add_children(&document, depth - 1, shelves, keys);
                }
                if depends {
                    keys.push(ObjectKey { resource: resource.clone(), object });
                }
            }
        }
    }

    /// The objects of which our policies own something, each once.
    pub fn owned(&self) -> BTreeMap<ObjectKey, Arc<Document>> {
        self.shelves().iter().flat_map(|shelf| shelf.owned()).collect()
    }

    /// Whether a Namespace is being deleted; `None` where a watch does not say.
    pub fn is_ending(&self, namespace: &Arc<str>) -> Option<bool> {
        let shelves = self.shelves.read();
        let name = ObjectName { namespace: None, name: Arc::clone(namespace) };
        let mut synced =
            shelves.get(&GroupResource::new("", "namespaces"))?.iter().filter(|shelf| shelf.is_synced());
        synced.find_map(|shelf| shelf.get(&name)).map(|namespace| namespace.deleting.is_some())
    }

    /// A snapshot of the shelves, for metrics.
    pub fn shelves(&self) -> Vec<Arc<Shelf>> {
        self.shelves.read().values().flatten().cloned().collect()
    }
}

/// Those of a resource that look at a namespace, the best first.
fn ranked<'s>(
    of_resource: &'s [Arc<Shelf>],
    namespace: Option<&str>,
) -> impl Iterator<Item = &'s Arc<Shelf>> {
    let mut ranked: Vec<_> = of_resource.iter().filter(|shelf| shelf.looks_at(namespace)).collect();
    // By epoch they are sorted already.
    if ranked.len() > 1 {
        ranked.sort_by_key(|shelf| std::cmp::Reverse((shelf.is_synced(), shelf.is_followed())));
    }
    ranked.into_iter()
}

/// Objects below objects below an object: nothing that is followed reaches deeper.
const MOST_GENERATIONS: u8 = 3;

impl Relatives for Store {
    fn find(&self, policy: &CompiledPolicy, uid: &str, namespace: Option<&str>) -> Option<Relative> {
        let shelves = self.shelves.read();
        let relative = |shelf: &Arc<Shelf>, roots| {
            Some(Relative {
                resource: shelf.resource.resource.clone(),
                kind: Arc::clone(&shelf.types.kind),
                roots,
                document: shelf.of_uid(uid, namespace)?,
            })
        };
        // The best that serves the policy and has shown all there is says whether there is such an object, as in
        // [`View::judges`].
        let judged = |of_resource: &Vec<Arc<Shelf>>| {
            of_resource.iter().find_map(|shelf| shelf.of_uid(uid, namespace))?;
            for shelf in ranked(of_resource, namespace) {
                let Some(roots) = shelf.serves(policy) else { continue };
                let found = relative(shelf, Some(roots));
                if found.is_some() || shelf.is_synced() {
                    return found;
                }
            }
            None
        };
        shelves.values().find_map(judged).or_else(|| {
            // A shelf of others leads on, and is none to judge by.
            let beside = shelves.iter().filter(|(resource, _)| is_followed(resource));
            beside.flat_map(|(_, shelves)| shelves).find_map(|shelf| relative(shelf, None))
        })
    }
}
