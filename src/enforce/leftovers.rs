//! What policies that ended, or lost a rule, have left on objects, as far as these are watched.

use std::collections::BTreeSet;
use std::sync::Arc;

use ahash::RandomState;
use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::gate::Edition;
use crate::crd::Mode;
use crate::jsonpath::{Document, Projection};
use crate::leader::AFTERMATH;
use crate::metrics::Priority;
use crate::policy::{Claim, Fences, PolicySet, lets_go};
use crate::resource::{GroupResource, ObjectKey, ObjectName, Place};
use crate::store::{Shelf, Store, View};

/// So many made-up managers go at a time: each is asked about before.
const MOST_TOGETHER: usize = 16;

/// What a policy has left on an object, or all those of which nobody knows any more.
pub(super) struct Leftover {
    pub(super) policies: Vec<Arc<str>>,
    /// What each of them was when this was found; `None` for one that was gone.
    pub(super) editions: Vec<Option<Edition>>,
    /// What it may still write there.
    pub(super) written: Projection,
    pub(super) take_back: bool,
    /// `maxPerMinute`, where the policy can be asked.
    pub(super) per_minute: Option<u32>,
}

impl Leftover {
    /// Whether no policy is there that could be asked, or that would take something back.
    fn is_nobodys(&self) -> bool {
        self.per_minute.is_none() && !self.take_back
    }

    /// The policy that is asked, and in whose name is written; of those of which nobody knows any more, the first.
    pub(super) fn policy(&self) -> &str {
        self.policies.first().map_or("", |policy| policy)
    }

    /// Whose budget pays: one for all that are nobody's, whatever their names.
    pub(super) fn payer(&self) -> Arc<str> {
        if self.is_nobodys() { Arc::from("") } else { Arc::from(self.policy()) }
    }
}

/// Finds what is left.
pub struct Leftovers {
    store: Arc<Store>,
    /// When a write of a policy last had no answer. As many as in [`AFTERMATH`].
    unanswered: Mutex<HashMap<Arc<str>, Instant, RandomState>>,
    /// What no fix writes is let be here too.
    pub(super) fences: Fences,
    namespace: Arc<str>,
}

impl Leftovers {
    /// In all that is watched, but for what the fences keep and the operator's own namespace.
    pub fn new(store: Arc<Store>, fences: Fences, namespace: Arc<str>) -> Self {
        Self { store, unanswered: Mutex::default(), fences, namespace }
    }

    /// A write of a policy had no answer, or none that says what became of it.
    pub(super) fn note_unanswered(&self, policy: &Arc<str>) {
        let now = Instant::now();
        let mut unanswered = self.unanswered.lock();
        unanswered.retain(|_, noted| now.duration_since(*noted) < AFTERMATH);
        unanswered.insert(Arc::clone(policy), now);
    }

    /// Whether a write of a policy may still be carried out, of which nobody knows what became.
    pub fn awaits(&self, policy: &str) -> bool {
        self.unanswered.lock().get(policy).is_some_and(|noted| noted.elapsed() < AFTERMATH)
    }

    /// On how many objects a policy that ended has left something.
    pub fn count(&self, policy: &str) -> u64 {
        let of_policy = |document: &Document| document.owned.iter().any(|owned| *owned.policy == *policy);
        let is_let_be =
            |key: &ObjectKey, document: &Document| self.is_let_be(&key.resource, &key.object, document);
        let owned = self.store.owned();
        let left = owned.iter().filter(|(key, document)| of_policy(document) && !is_let_be(key, document));
        u64::try_from(left.count()).unwrap_or(u64::MAX)
    }

    /// The places in which our policies own something, as far as they are watched.
    pub(super) fn places(&self) -> BTreeSet<Place> {
        let shelves = self.store.shelves().into_iter();
        let places = shelves.map(|shelf| (shelf.place(), shelf));
        places.filter(|(place, shelf)| self.owned_on(shelf, place, 1) > 0).map(|(place, _)| place).collect()
    }

    /// On how many objects of a place something is left; `None` while not all of them are known.
    pub(super) fn left_in(&self, place: &Place, set: &PolicySet) -> Option<usize> {
        let shelves = self.store.shelves();
        let shelf = shelves.iter().find(|shelf| shelf.shows_all(place))?;
        let is_left = |object: &ObjectName, document: &Document| {
            let key = ObjectKey { resource: place.resource.clone(), object: object.clone() };
            !self.on(&key, document, set).is_empty()
        };
        Some(
            shelf
                .count_owned(usize::MAX, |object, document| place.holds(object) && is_left(object, document)),
        )
    }

    fn owned_on(&self, shelf: &Shelf, place: &Place, most: usize) -> usize {
        shelf.count_owned(most, |object, document| {
            place.holds(object) && !self.is_let_be(&place.resource, object, document)
        })
    }

    /// Whether objects of a kind are watched.
    pub(super) fn are_watched(&self, kind: &GroupResource) -> bool {
        self.store.watches(kind)
    }

    /// All objects on which something is left.
    pub(super) fn everywhere(&self, set: &PolicySet) -> Vec<ObjectKey> {
        let owned = self.store.owned().into_iter();
        owned.filter(|(key, document)| !self.on(key, document, set).is_empty()).map(|(key, _)| key).collect()
    }

    /// What is left on an object.
    pub(super) fn on(&self, key: &ObjectKey, document: &Document, set: &PolicySet) -> Vec<Leftover> {
        if document.owned.is_empty() || self.is_let_be(&key.resource, &key.object, document) {
            return Vec::new();
        }
        let left = |fields: &str, policy: &str| leftover(fields, policy, &key.resource, set);
        let left = document.owned.iter().filter_map(|owned| left(&owned.fields, &owned.policy));
        let (mut left, gone): (Vec<_>, Vec<_>) = left.partition(|left| !left.is_nobodys());
        // Anybody can make such entries, and very many of them: they go together.
        let together = gone.into_iter().take(MOST_TOGETHER).reduce(|mut all, one| {
            all.policies.extend(one.policies);
            all.editions.extend(one.editions);
            all
        });
        left.extend(together);
        left
    }

    /// What is being deleted goes by itself; the rest is not ours to write.
    fn is_let_be(&self, kind: &GroupResource, object: &ObjectName, document: &Document) -> bool {
        document.deleting.is_some()
            || !self.fences.allow_kind(kind)
            || object.namespace.as_ref() == Some(&self.namespace)
    }
}

fn leftover(fields: &str, policy: &str, resource: &GroupResource, set: &PolicySet) -> Option<Leftover> {
    let (written, take_back) = match set.claim(policy) {
        Claim::Unknown => return None,
        Claim::Ended { take_back } => (Projection::default(), take_back),
        Claim::Holds { policy, take_back } => (policy.writes(resource), take_back),
    };
    let entry = set.entries.get(policy);
    let per_minute = entry.and_then(|entry| Some(entry.watching()?.enforcement.max_per_minute));
    lets_go(fields, &written).then(|| Leftover {
        policies: vec![policy.into()],
        editions: vec![Edition::in_set(set, policy)],
        written,
        take_back,
        per_minute,
    })
}

/// Whether policies may have left something on an object: cheap, and sure only when it says no. Who owns something and
/// does not enforce has; who does may have lost a rule, which is looked at when policies change and when lists end.
pub(super) fn may_be_left(views: &[View], priority: Priority) -> bool {
    let Some(newest) = views.first().filter(|newest| !newest.document.owned.is_empty()) else { return false };
    let enforces = |name: &str| {
        let mut serving = views.iter().flat_map(|view| view.serving.iter()).map(|served| &served.policy);
        serving.any(|policy| *policy.name == *name && policy.mode == Mode::Enforce && policy.mends())
    };
    priority != Priority::LiveChange || newest.document.owned.iter().any(|owned| !enforces(&owned.policy))
}
