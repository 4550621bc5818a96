//! Documents by key, as the informers fill them. Its reader is what client-go calls the lister.
//!
//! One [`Shelf`] belongs to one watch, and only that watch's informer writes it. A resource can have several shelves:
//! one a namespace where namespaces are watched one by one, and for a while two of the same scope, when a policy needs
//! more fields and the wider watch is being synced beside the old one. A shelf says which policies it serves: those
//! whose fields its documents carry, so that nobody is ever judged by a document that lacks what he reads.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use ahash::RandomState;
use arc_swap::ArcSwap;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use parking_lot::{Mutex, RwLock};

use crate::crd::TargetState;
use crate::jsonpath::{Document, Roots, TypeMeta};
use crate::metrics::PolicySeries;
use crate::policy::{CompiledPolicy, Relative, Relatives, is_followed};
use crate::resource::{GroupResource, Gvr, ObjectKey, ObjectName};

/// A policy that a shelf serves, with where `$pod` is for it on this resource.
#[derive(Clone)]
pub struct Served {
    /// The policy as it was compiled.
    pub policy: Arc<CompiledPolicy>,
    /// Its roots on the shelf's resource.
    pub roots: Arc<Roots>,
    /// Counts its evaluations.
    pub series: PolicySeries,
}

/// The documents of one watch.
pub struct Shelf {
    /// Number of the watch; newer ones are higher.
    pub epoch: u64,
    /// What is watched.
    pub resource: Gvr,
    /// What its objects are.
    pub types: TypeMeta,
    serving: ArcSwap<Vec<Served>>,
    around: ArcSwap<Vec<Arc<CompiledPolicy>>>,
    entries: RwLock<Entries>,
    synced: AtomicBool,
    state: Mutex<TargetState>,
    bytes: AtomicUsize,
    /// Milliseconds since 1970 of the last sign of life; 0 before the first.
    last_life: AtomicI64,
}

#[derive(Default)]
struct Entries {
    documents: HashMap<ObjectName, Kept, RandomState>,
    by_uid: HashMap<Arc<str>, ObjectName, RandomState>,
    /// Objects by the uid of their controller.
    children: BTreeSet<(Arc<str>, ObjectName)>,
    list: u32,
}

impl Entries {
    fn index(&mut self, name: &ObjectName, document: &Document) {
        self.by_uid.insert(Arc::clone(&document.id.uid), name.clone());
        if let Some(controller) = &document.controller {
            self.children.insert((Arc::clone(controller), name.clone()));
        }
    }

    fn unindex(&mut self, name: &ObjectName, document: &Document) {
        if self.by_uid.get(&document.id.uid) == Some(name) {
            self.by_uid.remove(&document.id.uid);
        }
        if let Some(controller) = &document.controller {
            self.children.remove(&(Arc::clone(controller), name.clone()));
        }
    }

    fn children(&self, uid: &Arc<str>) -> impl Iterator<Item = &ObjectName> {
        let first = (Arc::clone(uid), ObjectName { namespace: None, name: "".into() });
        self.children.range(first..).take_while(move |(of, _)| of == uid).map(|(_, name)| name)
    }
}

struct Kept {
    document: Arc<Document>,
    /// The list in which it was last seen.
    list: u32,
}

/// What was put, and what that did.
pub struct Put {
    /// The object's name.
    pub name: ObjectName,
    /// Whether it reads differently.
    pub change: Change,
    /// The object of another uid that had the name before, and whose end nobody told.
    pub predecessor: Option<Arc<Document>>,
}

/// What putting a document did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing that a rule reads has changed.
    Unchanged,
    /// It is new, or reads differently.
    Changed,
}

impl Shelf {
    /// An empty shelf that serves nobody.
    pub fn new(epoch: u64, resource: Gvr, types: TypeMeta) -> Self {
        Self {
            epoch,
            resource,
            types,
            serving: ArcSwap::from_pointee(Vec::new()),
            around: ArcSwap::from_pointee(Vec::new()),
            entries: RwLock::default(),
            synced: AtomicBool::new(false),
            state: Mutex::new(TargetState::Listing),
            bytes: AtomicUsize::new(0),
            last_life: AtomicI64::new(0),
        }
    }

    /// Who is judged by these documents.
    pub fn serving(&self) -> Arc<Vec<Served>> {
        self.serving.load_full()
    }

    /// Changes who is judged by these documents. The caller enqueues their keys.
    pub fn serve(&self, policies: Vec<Served>) {
        self.serving.store(Arc::new(policies));
    }

    /// Whose objects are in these Namespaces.
    pub fn around(&self) -> Arc<Vec<Arc<CompiledPolicy>>> {
        self.around.load_full()
    }

    /// Changes whose objects are in these Namespaces. The caller enqueues their keys.
    pub fn surround(&self, policies: Vec<Arc<CompiledPolicy>>) {
        self.around.store(Arc::new(policies));
    }

    fn serves(&self, policy: &CompiledPolicy) -> Option<Arc<Roots>> {
        let serving = self.serving.load();
        let served = serving.iter().find(|served| std::ptr::eq(&raw const *served.policy, policy))?;
        Some(Arc::clone(&served.roots))
    }

    /// Keeps a document, its identity and version always, and says whether it reads differently from before.
    pub fn put(&self, document: Document) -> Put {
        let name = ObjectName { namespace: document.id.namespace.clone(), name: document.id.name.clone() };
        let added = document.heap_bytes();
        let mut entries = self.entries.write();
        let list = entries.list;
        let document = Arc::new(document);
        let kept = Kept { document: Arc::clone(&document), list };
        let old = match entries.documents.entry(name.clone()) {
            Entry::Vacant(vacant) => {
                vacant.insert(kept);
                None
            }
            Entry::Occupied(mut occupied) => Some(std::mem::replace(occupied.get_mut(), kept).document),
        };
        let same = old.as_ref().is_some_and(|old| old.same_content(&document));
        if let Some(old) = &old {
            self.bytes.fetch_sub(old.heap_bytes(), Ordering::Relaxed);
        }
        if !same {
            old.iter().for_each(|old| entries.unindex(&name, old));
            entries.index(&name, &document);
        }
        let change = if same { Change::Unchanged } else { Change::Changed };
        self.bytes.fetch_add(added, Ordering::Relaxed);
        let predecessor = old.filter(|old| old.id.uid != document.id.uid);
        Put { name, change, predecessor }
    }

    /// Drops a document, and gives it to whom it may concern.
    pub fn remove(&self, name: &ObjectName) -> Option<Arc<Document>> {
        let mut entries = self.entries.write();
        let kept = entries.documents.remove(name)?;
        entries.unindex(name, &kept.document);
        self.bytes.fetch_sub(kept.document.heap_bytes(), Ordering::Relaxed);
        Some(kept.document)
    }

    /// Begins a list: what is not put again before [`Shelf::sweep`] is gone.
    pub fn begin_list(&self) {
        let mut entries = self.entries.write();
        entries.list = entries.list.wrapping_add(1);
    }

    /// Ends a list: drops what was not in it, and tells what that was.
    pub fn sweep(&self) -> Vec<(ObjectName, Arc<Document>)> {
        self.synced.store(true, Ordering::Release);
        let mut entries = self.entries.write();
        let list = entries.list;
        let gone: Vec<_> = entries.documents.extract_if(|_, kept| kept.list != list).collect();
        gone.iter().for_each(|(name, kept)| entries.unindex(name, &kept.document));
        drop(entries);
        let bytes = gone.iter().map(|(_, kept)| kept.document.heap_bytes()).sum();
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        gone.into_iter().map(|(name, kept)| (name, kept.document)).collect()
    }

    /// The object of a uid, if it is in this namespace or in none.
    fn of_uid(&self, uid: &str, namespace: Option<&str>) -> Option<Arc<Document>> {
        let entries = self.entries.read();
        let name = entries.by_uid.get(uid)?;
        let is_there = name.namespace.is_none() || name.namespace.as_deref() == namespace;
        entries.documents.get(name).filter(|_| is_there).map(|kept| Arc::clone(&kept.document))
    }

    /// The keys of the objects in a namespace, or in any where none is given.
    fn keys_in(&self, namespace: Option<&Arc<str>>) -> Vec<ObjectKey> {
        let is_there = |name: &&ObjectName| match namespace {
            Some(namespace) => name.namespace.as_ref() == Some(namespace),
            None => name.namespace.is_some(),
        };
        let entries = self.entries.read();
        let names = entries.documents.keys().filter(is_there).cloned();
        names.map(|object| ObjectKey { resource: self.resource.resource.clone(), object }).collect()
    }

    /// The names and uids of the objects that have this one as their controller.
    fn children(&self, owner: &Document) -> Vec<(ObjectName, Option<Arc<Document>>)> {
        let entries = self.entries.read();
        let near = |name: &&ObjectName| owner.id.namespace.is_none() || name.namespace == owner.id.namespace;
        let document = |name: &ObjectName| entries.documents.get(name).map(|kept| Arc::clone(&kept.document));
        let children = entries.children(&owner.id.uid).filter(near);
        children.map(|name| (name.clone(), document(name))).collect()
    }

    /// The document of an object.
    pub fn get(&self, name: &ObjectName) -> Option<Arc<Document>> {
        self.entries.read().documents.get(name).map(|kept| Arc::clone(&kept.document))
    }

    /// The names of all objects.
    pub fn names(&self) -> Vec<ObjectName> {
        self.entries.read().documents.keys().cloned().collect()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.entries.read().documents.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// About how many bytes the documents take.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether all that the server held was once on the shelf.
    pub fn is_synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }

    /// How the watch stands, as the fleet last saw it.
    pub fn state(&self) -> TargetState {
        *self.state.lock()
    }

    /// Notes how the watch stands.
    pub fn set_state(&self, state: TargetState) {
        *self.state.lock() = state;
    }

    /// Notes a sign of life.
    pub fn alive(&self, now: jiff::Timestamp) {
        self.last_life.store(now.as_millisecond(), Ordering::Relaxed);
    }

    /// The last sign of life, if there was one.
    pub fn last_life(&self) -> Option<jiff::Timestamp> {
        let millis = self.last_life.load(Ordering::Relaxed);
        jiff::Timestamp::from_millisecond(millis).ok().filter(|_| millis != 0)
    }
}

/// A document, and who is judged by it.
pub struct View {
    /// Who is judged.
    pub serving: Arc<Vec<Served>>,
    /// By what.
    pub document: Arc<Document>,
    /// What its shelf holds.
    pub types: TypeMeta,
}

/// All shelves. The fleet sets them up and takes them down.
#[derive(Default)]
pub struct Store {
    /// The newest first.
    shelves: RwLock<HashMap<GroupResource, Vec<Arc<Shelf>>, RandomState>>,
}

impl Store {
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

    /// All that is known of an object: first what synced watches show, since a list under way shows no later changes;
    /// of several, the newest first.
    pub fn views(&self, key: &ObjectKey) -> Vec<View> {
        let shelves = self.shelves.read();
        let Some(of_resource) = shelves.get(&key.resource) else { return Vec::new() };
        let (synced, listing): (Vec<_>, Vec<_>) = of_resource.iter().partition(|shelf| shelf.is_synced());
        let view = |shelf: &Arc<Shelf>| {
            let document = shelf.get(&key.object)?;
            Some(View { serving: shelf.serving(), document, types: shelf.types.clone() })
        };
        synced.into_iter().chain(listing).filter_map(view).collect()
    }

    /// The shelf of Namespaces that carries what a policy reads of them; the newest that is synced.
    pub fn around(&self, policy: &Arc<CompiledPolicy>) -> Option<Arc<Shelf>> {
        let shelves = self.shelves.read();
        let of_namespaces = shelves.get(&GroupResource::new("", "namespaces"))?;
        let serves = |shelf: &&Arc<Shelf>| {
            shelf.is_synced() && shelf.around.load().iter().any(|known| Arc::ptr_eq(known, policy))
        };
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
            let depends = shelf.serving.load().iter().any(|served| served.policy.skips_owned());
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

    /// A snapshot of the shelves, for metrics.
    pub fn shelves(&self) -> Vec<Arc<Shelf>> {
        self.shelves.read().values().flatten().cloned().collect()
    }
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
        let judged = shelves.values().flatten().find_map(|shelf| relative(shelf, shelf.serves(policy)?));
        judged.or_else(|| {
            let beside =
                shelves.iter().filter(|(resource, _)| is_followed(resource) && !policy.targets(resource));
            beside.flat_map(|(_, shelves)| shelves).find_map(|shelf| relative(shelf, Arc::default()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsonpath::{Identity, Path, Projection};

    fn types() -> TypeMeta {
        TypeMeta { api_version: "v1".into(), kind: "Widget".into() }
    }

    fn shelf(epoch: u64) -> Shelf {
        Shelf::new(epoch, Gvr::new("example.com", "v1", "widgets"), types())
    }

    fn widget(name: &str, size: u32, version: u32) -> Document {
        let mut projection = Projection::default();
        projection.read(&Path::parse("$.spec.size").unwrap(), &Roots::default(), None);
        let raw = format!(
            r#"{{"metadata":{{"name":"{name}","uid":"u-{name}","resourceVersion":"{version}"}},"spec":{{"size":{size}}}}}"#
        );
        Document::decode(&raw, &projection, &types()).unwrap()
    }

    fn name(name: &str) -> ObjectName {
        ObjectName { namespace: None, name: name.into() }
    }

    #[test]
    fn a_new_version_that_reads_the_same_is_kept_and_is_no_change() {
        let shelf = shelf(1);
        assert_eq!(shelf.put(widget("a", 1, 1)).change, Change::Changed);
        assert_eq!(shelf.put(widget("a", 1, 2)).change, Change::Unchanged);
        assert_eq!(
            &*shelf.get(&name("a")).unwrap().id.resource_version,
            "2",
            "the version is always refreshed"
        );
        assert_eq!(shelf.put(widget("a", 2, 3)).change, Change::Changed);
    }

    #[test]
    fn what_a_list_does_not_show_any_more_is_found_at_its_end() {
        let shelf = shelf(1);
        shelf.put(widget("a", 1, 1));
        shelf.put(widget("b", 1, 1));
        shelf.begin_list();
        assert_eq!(shelf.put(widget("a", 1, 1)).change, Change::Unchanged, "a list again is no change");
        shelf.put(widget("c", 1, 5));
        let swept = || shelf.sweep().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(swept(), [name("b")]);
        assert_eq!(shelf.len(), 2);
        assert_eq!(swept(), []);
    }

    #[test]
    fn a_list_that_was_given_up_in_the_middle_loses_nothing() {
        let shelf = shelf(1);
        shelf.put(widget("a", 1, 1));
        shelf.begin_list();
        shelf.begin_list();
        assert_eq!(shelf.len(), 1);
    }

    #[test]
    fn an_object_is_found_by_its_uid_and_by_that_of_its_controller() {
        let child = |name: &str, controller: &str, version: u32| {
            let raw = format!(
                r#"{{"metadata":{{"name":"{name}","namespace":"n","uid":"u-{name}","resourceVersion":"{version}",
                "ownerReferences":[{{"uid":"{controller}","controller":true}}]}}}}"#
            );
            Document::decode(&raw, &Projection::default(), &types()).unwrap()
        };
        let shelf = shelf(1);
        shelf.put(child("a", "u-x", 1));
        shelf.put(child("b", "u-x", 1));
        let owner = |uid: &str, namespace: Option<&str>| {
            let mut owner = child("x", "", 1);
            (owner.id.uid, owner.id.namespace) = (uid.into(), namespace.map(Arc::from));
            owner
        };
        let children = |uid: &str, namespace: Option<&str>| {
            let children = shelf.children(&owner(uid, namespace));
            children.iter().map(|(name, _)| name.name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(children("u-x", Some("n")), ["a", "b"]);
        assert_eq!(children("u-x", None), ["a", "b"], "whatever the namespace, for one that is in none");
        assert_eq!(children("u-x", Some("other")), [""; 0]);
        assert!(shelf.of_uid("u-a", Some("n")).is_some() && shelf.of_uid("u-a", Some("other")).is_none());
        shelf.put(child("a", "u-y", 2));
        assert_eq!((children("u-x", None), children("u-y", None)), (vec!["b".into()], vec!["a".into()]));
        shelf.begin_list();
        shelf.put(child("b", "u-x", 1));
        shelf.sweep();
        assert!(shelf.of_uid("u-a", Some("n")).is_none() && children("u-y", None).is_empty());
        let anew = Document {
            id: Identity { uid: "u-new".into(), ..child("b", "u-x", 3).id },
            ..child("b", "u-x", 3)
        };
        let predecessor = shelf.put(anew).predecessor.map(|old| old.id.uid.clone());
        assert_eq!(predecessor.as_deref(), Some("u-b"));
        assert!(shelf.of_uid("u-b", Some("n")).is_none() && shelf.of_uid("u-new", Some("n")).is_some());
    }

    #[test]
    fn bytes_return_to_nothing_with_the_documents() {
        let shelf = shelf(1);
        shelf.put(widget("a", 1, 1));
        shelf.put(widget("b", 1, 1));
        shelf.put(widget("b", 12, 2));
        assert!(shelf.bytes() > 0);
        assert!(shelf.remove(&name("a")).is_some() && shelf.remove(&name("a")).is_none());
        shelf.begin_list();
        shelf.sweep();
        assert_eq!((shelf.len(), shelf.bytes()), (0, 0));
    }

    #[test]
    fn the_newest_synced_watch_is_read_first_and_a_closed_one_not_at_all() {
        let store = Store::default();
        let (old, new) = (Arc::new(shelf(1)), Arc::new(shelf(2)));
        for (shelf, size) in [(&old, 1), (&new, 2)] {
            shelf.put(widget("a", size, size));
            store.open(Arc::clone(shelf));
        }
        let resource = &old.resource.resource;
        let key = ObjectKey { resource: resource.clone(), object: name("a") };
        let versions = || {
            let views = store.views(&key);
            views.iter().map(|view| view.document.id.resource_version.to_string()).collect::<Vec<_>>()
        };
        old.sweep();
        assert_eq!(versions(), ["1", "2"], "a list under way is behind");
        new.sweep();
        assert_eq!(versions(), ["2", "1"]);
        store.close(resource, 2);
        assert_eq!(versions(), ["1"]);
        store.close(resource, 1);
        assert!(store.views(&key).is_empty() && store.shelves().is_empty());
    }
}
