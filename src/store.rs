//! Documents by key, as the informers fill them. Its reader is what client-go calls the lister.
//!
//! One [`Shelf`] belongs to one watch, and only that watch's informer writes it. A resource can have several shelves:
//! one a namespace where namespaces are watched one by one, and for a while two of the same scope, when a policy needs
//! more fields and the wider watch is being synced beside the old one. A shelf says which policies it serves: those
//! whose fields its documents carry, so that nobody is ever judged by a document that lacks what he reads.

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
use crate::policy::CompiledPolicy;
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
    list: u32,
}

struct Kept {
    document: Arc<Document>,
    /// The list in which it was last seen.
    list: u32,
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

    /// Keeps a document, its identity and version always, and says whether it reads differently from before.
    pub fn put(&self, document: Document) -> (ObjectName, Change) {
        let name = ObjectName { namespace: document.id.namespace.clone(), name: document.id.name.clone() };
        let added = document.heap_bytes();
        let mut entries = self.entries.write();
        let list = entries.list;
        let kept = Kept { document: Arc::new(document), list };
        let change = match entries.documents.entry(name.clone()) {
            Entry::Vacant(vacant) => {
                vacant.insert(kept);
                Change::Changed
            }
            Entry::Occupied(mut occupied) => {
                let old = std::mem::replace(occupied.get_mut(), kept);
                self.bytes.fetch_sub(old.document.heap_bytes(), Ordering::Relaxed);
                if old.document.same_content(&occupied.get().document) {
                    Change::Unchanged
                } else {
                    Change::Changed
                }
            }
        };
        self.bytes.fetch_add(added, Ordering::Relaxed);
        (name, change)
    }

    /// Drops a document.
    pub fn remove(&self, name: &ObjectName) -> bool {
        let Some(kept) = self.entries.write().documents.remove(name) else { return false };
        self.bytes.fetch_sub(kept.document.heap_bytes(), Ordering::Relaxed);
        true
    }

    /// Begins a list: what is not put again before [`Shelf::sweep`] is gone.
    pub fn begin_list(&self) {
        let mut entries = self.entries.write();
        entries.list = entries.list.wrapping_add(1);
    }

    /// Ends a list: drops what was not in it, and tells what that was.
    pub fn sweep(&self) -> Vec<ObjectName> {
        self.synced.store(true, Ordering::Release);
        let mut entries = self.entries.write();
        let list = entries.list;
        let gone: Vec<_> = entries.documents.extract_if(|_, kept| kept.list != list).collect();
        drop(entries);
        let bytes = gone.iter().map(|(_, kept)| kept.document.heap_bytes()).sum();
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        gone.into_iter().map(|(name, _)| name).collect()
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

    /// A snapshot of the shelves, for metrics.
    pub fn shelves(&self) -> Vec<Arc<Shelf>> {
        self.shelves.read().values().flatten().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsonpath::{Path, Projection};

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
        assert_eq!(shelf.put(widget("a", 1, 1)).1, Change::Changed);
        assert_eq!(shelf.put(widget("a", 1, 2)).1, Change::Unchanged);
        assert_eq!(
            &*shelf.get(&name("a")).unwrap().id.resource_version,
            "2",
            "the version is always refreshed"
        );
        assert_eq!(shelf.put(widget("a", 2, 3)).1, Change::Changed);
    }

    #[test]
    fn what_a_list_does_not_show_any_more_is_found_at_its_end() {
        let shelf = shelf(1);
        shelf.put(widget("a", 1, 1));
        shelf.put(widget("b", 1, 1));
        shelf.begin_list();
        assert_eq!(shelf.put(widget("a", 1, 1)).1, Change::Unchanged, "a list again is no change");
        shelf.put(widget("c", 1, 5));
        assert_eq!(shelf.sweep(), [name("b")]);
        assert_eq!(shelf.len(), 2);
        assert_eq!(shelf.sweep(), []);
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
    fn bytes_return_to_nothing_with_the_documents() {
        let shelf = shelf(1);
        shelf.put(widget("a", 1, 1));
        shelf.put(widget("b", 1, 1));
        shelf.put(widget("b", 12, 2));
        assert!(shelf.bytes() > 0);
        assert!(shelf.remove(&name("a")) && !shelf.remove(&name("a")));
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
