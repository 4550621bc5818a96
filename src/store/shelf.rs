//! The documents of one watch.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use ahash::RandomState;
use arc_swap::ArcSwap;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use parking_lot::{Mutex, RwLock};

use super::room::{Exceeded, Limits, Room};
use super::serving::{Served, Serving};
use crate::crd::TargetState;
use crate::jsonpath::{Document, Roots, TypeMeta};
use crate::policy::CompiledPolicy;
use crate::resource::{Gvr, ObjectKey, ObjectName, Place};

/// The documents of one watch.
pub struct Shelf {
    /// Number of the watch; newer ones are higher.
    pub epoch: u64,
    /// What is watched.
    pub resource: Gvr,
    /// What its objects are.
    pub types: TypeMeta,
    /// Where it is watched; `None` for everywhere.
    namespace: Option<Arc<str>>,
    /// The server shows only what a selector selects.
    is_selected: bool,
    serving: ArcSwap<Serving>,
    around: ArcSwap<Vec<Arc<CompiledPolicy>>>,
    entries: RwLock<Entries>,
    synced: AtomicBool,
    state: Mutex<TargetState>,
    room: Arc<Room>,
    bytes: AtomicUsize,
    /// The bound for whose sake something of the newest list, or told since, is not kept.
    exceeded: Mutex<Option<Exceeded>>,
    /// Milliseconds since 1970 of the last sign of life; 0 before the first.
    last_life: AtomicI64,
}

#[derive(Default)]
struct Entries {
    documents: HashMap<ObjectName, Kept, RandomState>,
    by_uid: HashMap<Arc<str>, ObjectName, RandomState>,
    /// Objects by the uid of their controller.
    children: BTreeSet<(Arc<str>, ObjectName)>,
    /// Objects of which our policies own something.
    owned: BTreeSet<ObjectName>,
    list: u32,
}

impl Entries {
    fn index(&mut self, name: &ObjectName, document: &Document) {
        self.by_uid.insert(Arc::clone(&document.id.uid), name.clone());
        if let Some(controller) = &document.controller {
            self.children.insert((Arc::clone(controller), name.clone()));
        }
        if !document.owned.is_empty() {
            self.owned.insert(name.clone());
        }
    }

    fn unindex(&mut self, name: &ObjectName, document: &Document) {
        if self.by_uid.get(&document.id.uid) == Some(name) {
            self.by_uid.remove(&document.id.uid);
        }
        if let Some(controller) = &document.controller {
            self.children.remove(&(Arc::clone(controller), name.clone()));
        }
        self.owned.remove(name);
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
    /// There was no room for it; nothing is kept of it.
    Refused,
}

impl Shelf {
    /// An empty shelf that serves nobody.
    pub fn new(epoch: u64, resource: Gvr, types: TypeMeta, room: Arc<Room>) -> Self {
        Self {
            epoch,
            resource,
            types,
            namespace: None,
            is_selected: false,
            serving: ArcSwap::from_pointee(Serving::default()),
            around: ArcSwap::from_pointee(Vec::new()),
            entries: RwLock::default(),
            synced: AtomicBool::new(false),
            state: Mutex::new(TargetState::Listing),
            room,
            bytes: AtomicUsize::new(0),
            exceeded: Mutex::default(),
            last_life: AtomicI64::new(0),
        }
    }

    /// The same of a watch of one namespace.
    pub fn within(mut self, namespace: Option<Arc<str>>) -> Self {
        self.namespace = namespace;
        self
    }

    /// The same of a watch with a selector.
    pub fn selecting(mut self, is_selected: bool) -> Self {
        self.is_selected = is_selected;
        self
    }

    /// Whether an object of this namespace would be on the shelf, if it were there.
    pub(super) fn looks_at(&self, namespace: Option<&str>) -> bool {
        self.namespace.is_none() || self.namespace.as_deref() == namespace
    }

    /// Who is judged by these documents.
    pub fn serving(&self) -> Arc<Serving> {
        self.serving.load_full()
    }

    /// Changes who is judged by these documents. The caller enqueues their keys.
    pub fn serve(&self, policies: Vec<Served>) {
        self.serving.store(Arc::new(policies.into()));
    }

    /// Whose objects are in these Namespaces.
    pub fn around(&self) -> Arc<Vec<Arc<CompiledPolicy>>> {
        self.around.load_full()
    }

    pub(super) fn is_around(&self, policy: &Arc<CompiledPolicy>) -> bool {
        self.around.load().iter().any(|known| Arc::ptr_eq(known, policy))
    }

    /// Changes whose objects are in these Namespaces. The caller enqueues their keys.
    pub fn surround(&self, policies: Vec<Arc<CompiledPolicy>>) {
        self.around.store(Arc::new(policies));
    }

    pub(super) fn serves(&self, policy: &CompiledPolicy) -> Option<Arc<Roots>> {
        let serving = self.serving.load();
        let served = serving.iter().find(|served| std::ptr::eq(&raw const *served.policy, policy))?;
        Some(Arc::clone(&served.roots))
    }

    /// Keeps a document, its identity and version always, and says whether it reads differently from before. What
    /// there is no room for is kept as an object that cannot be read, or not at all.
    pub fn put(&self, document: Document) -> Put {
        let name = ObjectName { namespace: document.id.namespace.clone(), name: document.id.name.clone() };
        let uid = Arc::clone(&document.id.uid);
        let mut entries = self.entries.write();
        let known = entries.documents.get(&name).map(|kept| cost(&kept.document));
        let Some(document) = self.fit(document, known, entries.documents.len()) else {
            return Put { change: Change::Refused, predecessor: self.take(&mut entries, &name), name };
        };
        let list = entries.list;
        self.grow(cost(&document));
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
            self.shrink(cost(old));
        }
        if !same {
            old.iter().for_each(|old| entries.unindex(&name, old));
            entries.index(&name, &document);
        }
        let change = if same { Change::Unchanged } else { Change::Changed };
        let predecessor = old.filter(|old| old.id.uid != uid);
        Put { name, change, predecessor }
    }

    /// What can be kept of a document beside `objects` others, where its last state cost `known`.
    fn fit(&self, document: Document, known: Option<usize>, objects: usize) -> Option<Document> {
        let Limits { objects: most, document_bytes, .. } = self.room.limits;
        if known.is_none() && objects >= most {
            return self.exceed(Exceeded::Objects(most));
        }
        let document = if document.heap_bytes() <= document_bytes {
            document
        } else {
            bare(document, Exceeded::Document(document_bytes))
        };
        let Some(exceeded) = self.refuses(&document, known) else { return Some(document) };
        let document = bare(document, exceeded);
        let refused = self.exceed(exceeded);
        if self.refuses(&document, known).is_some() { refused } else { Some(document) }
    }

    fn refuses(&self, document: &Document, known: Option<usize>) -> Option<Exceeded> {
        let more = cost(document).saturating_sub(known.unwrap_or_default());
        if more == 0 { None } else { self.room.refuses(self.bytes(), more) }
    }

    fn exceed(&self, bound: Exceeded) -> Option<Document> {
        self.exceeded.lock().get_or_insert(bound);
        None
    }

    /// The bound for whose sake the shelf does not hold all that it was given since its last list began.
    pub fn exceeded(&self) -> Option<Exceeded> {
        *self.exceeded.lock()
    }

    fn grow(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.room.take(bytes);
    }

    fn shrink(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.room.give_back(bytes);
    }

    /// Drops a document, and gives it to whom it may concern.
    pub fn remove(&self, name: &ObjectName) -> Option<Arc<Document>> {
        self.take(&mut self.entries.write(), name)
    }

    fn take(&self, entries: &mut Entries, name: &ObjectName) -> Option<Arc<Document>> {
        let kept = entries.documents.remove(name)?;
        entries.unindex(name, &kept.document);
        self.shrink(cost(&kept.document));
        Some(kept.document)
    }

    /// Begins a list: what is not put again before [`Shelf::sweep`] is gone.
    pub fn begin_list(&self) {
        *self.exceeded.lock() = None;
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
        self.shrink(gone.iter().map(|(_, kept)| cost(&kept.document)).sum());
        gone.into_iter().map(|(name, kept)| (name, kept.document)).collect()
    }

    /// The object of a uid, if it is in this namespace or in none.
    pub(super) fn of_uid(&self, uid: &str, namespace: Option<&str>) -> Option<Arc<Document>> {
        let entries = self.entries.read();
        let name = entries.by_uid.get(uid)?;
        let is_there = name.namespace.is_none() || name.namespace.as_deref() == namespace;
        entries.documents.get(name).filter(|_| is_there).map(|kept| Arc::clone(&kept.document))
    }

    /// The keys of the objects in a namespace, or in any where none is given.
    pub(super) fn keys_in(&self, namespace: Option<&Arc<str>>) -> Vec<ObjectKey> {
        let is_there = |name: &&ObjectName| match namespace {
            Some(namespace) => name.namespace.as_ref() == Some(namespace),
            None => name.namespace.is_some(),
        };
        let entries = self.entries.read();
        let names = entries.documents.keys().filter(is_there).cloned();
        names.map(|object| ObjectKey { resource: self.resource.resource.clone(), object }).collect()
    }

    /// The names and uids of the objects that have this one as their controller.
    pub(super) fn children(&self, owner: &Document) -> Vec<(ObjectName, Option<Arc<Document>>)> {
        let entries = self.entries.read();
        let near = |name: &&ObjectName| owner.id.namespace.is_none() || name.namespace == owner.id.namespace;
        let document = |name: &ObjectName| entries.documents.get(name).map(|kept| Arc::clone(&kept.document));
        let children = entries.children(&owner.id.uid).filter(near);
        children.map(|name| (name.clone(), document(name))).collect()
    }

    /// The objects of which our policies own something.
    pub(super) fn owned(&self) -> Vec<(ObjectKey, Arc<Document>)> {
        let entries = self.entries.read();
        let owned = entries.owned.iter().filter_map(|name| {
            let key = ObjectKey { resource: self.resource.resource.clone(), object: name.clone() };
            Some((key, Arc::clone(&entries.documents.get(name)?.document)))
        });
        owned.collect()
    }

    /// Of how many of the objects that count our policies own something; no more than `most` are looked for.
    pub fn count_owned(&self, most: usize, counts: impl Fn(&ObjectName, &Document) -> bool) -> usize {
        let entries = self.entries.read();
        let counts = |name: &&ObjectName| {
            entries.documents.get(*name).is_some_and(|kept| counts(name, &kept.document))
        };
        entries.owned.iter().filter(counts).take(most).count()
    }

    /// The document of an object.
    pub fn get(&self, name: &ObjectName) -> Option<Arc<Document>> {
        self.entries.read().documents.get(name).map(|kept| Arc::clone(&kept.document))
    }

    /// The names of all objects.
    pub fn names(&self) -> Vec<ObjectName> {
        self.entries.read().documents.keys().cloned().collect()
    }

    /// Those of some names that are not here.
    pub(super) fn lacks(&self, names: Vec<ObjectName>) -> Vec<ObjectName> {
        let entries = self.entries.read();
        names.into_iter().filter(|name| !entries.documents.contains_key(name)).collect()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.entries.read().documents.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// About how many bytes the documents take, with what finds them.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether all that the server held was once on the shelf.
    pub fn is_synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }

    /// Whether it was synced and works, when the fleet last looked.
    pub(super) fn is_followed(&self) -> bool {
        self.is_synced() && self.state() == TargetState::Synced
    }

    /// What it holds the objects of, as far as no selector leaves some out.
    pub fn place(&self) -> Place {
        Place { resource: self.resource.resource.clone(), namespace: self.namespace.clone() }
    }

    /// Whether it holds all objects of a place, as they are at this moment.
    pub fn shows_all(&self, place: &Place) -> bool {
        let is_there = self.namespace.is_none() || self.namespace == place.namespace;
        self.resource.resource == place.resource && is_there && !self.is_selected && self.is_followed()
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

impl Drop for Shelf {
    fn drop(&mut self) {
        self.room.give_back(self.bytes());
    }
}

/// An object that cannot be read, and why. Nor are its labels kept: how large they are, nobody bounds.
fn bare(document: Document, why: Exceeded) -> Document {
    Document { root: Err(why.to_string().into()), labels: Box::default(), ..document }
}

/// Beside what a document has on the heap: its struct, its entry, and what finds it by uid and controller.
const ENTRY: usize = size_of::<Document>() + size_of::<Kept>() + 4 * size_of::<ObjectName>();

fn cost(document: &Document) -> usize {
    document.heap_bytes() + ENTRY
}
