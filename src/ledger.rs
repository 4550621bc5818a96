//! Verdicts by policy and object.
//!
//! Every verdict on an object is entered here and replaces what was known of it. Counts are kept as verdicts come and
//! go, and violations stand in the order in which a status lists them, so that reading a policy's page costs what it
//! shows and not what there is. An object that passes costs its name and a few words; only failing and erring rules
//! are stored.
//!
//! What bounds it: one record for each object that a target takes, of some words a policy; and [`Ledger::bounded`], past
//! which findings are counted and not listed, the least severe of the policy with the most of them first. One mutex,
//! held for one object or one page at a time.

mod book;
mod finding;
mod news;
mod obstacles;
mod standing;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use ahash::RandomState;
use hashbrown::HashMap;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

use book::{Book, Posted};
pub use book::{Page, Tally, Usage};
pub use finding::{Finding, Place};
use news::Followers;
pub use news::{News, Noted, Turn, Wanted};
pub use obstacles::Obstacles;
use standing::Standing;

use crate::crd::{FixStatus, WatchPolicyStatus};
use crate::policy::{Judgement, Outcome};
use crate::resource::{GroupResource, ObjectKey, ObjectName};

/// What all policies say of one object at one time.
#[derive(Debug)]
pub struct Judged<'o> {
    /// The object's place.
    pub key: &'o ObjectKey,
    /// The `apiVersion` in which it was judged.
    pub api_version: &'o Arc<str>,
    /// The object's kind.
    pub kind: &'o Arc<str>,
    /// The object's uid; another one at the same place is another object.
    pub uid: &'o Arc<str>,
    /// It is judged because a list showed it, and not because it changed: an earlier run may have told it all.
    pub listed: bool,
    /// One judgement of each policy; a policy that is not here has nothing to say of the object any more.
    pub judgements: Vec<(Arc<str>, Judgement)>,
}

/// The object of [`Judged`].
#[derive(Clone, Copy)]
struct Object<'o> {
    key: &'o ObjectKey,
    api_version: &'o Arc<str>,
    kind: &'o Arc<str>,
    uid: &'o Arc<str>,
}

/// Verdicts, counts and violations of all policies.
#[derive(Debug, Default)]
pub struct Ledger {
    state: Mutex<State>,
    changed: Notify,
    news: Notify,
    objects: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// By resource first: the name of a resource is then not stored with each object.
    objects: HashMap<GroupResource, HashMap<ObjectName, Record, RandomState>, RandomState>,
    books: HashMap<Arc<str>, Book, RandomState>,
    /// By policy; also of those that do not judge any more.
    obstacles: HashMap<Arc<str>, Obstacles, RandomState>,
    dirty: BTreeSet<Arc<str>>,
    followers: Followers,
    uids: RandomState,
    /// The most bytes that records and findings may take together; `None` for no end.
    most: Option<usize>,
    /// What the records take.
    records: usize,
    /// What the findings of all books take.
    findings: usize,
}

/// What is known of one object.
#[derive(Debug)]
struct Record {
    /// A hash: it only has to tell one object from the next at the same place.
    uid: u64,
    /// By policy, in the order of their names, so that the next verdicts find them in one walk.
    standings: Box<[(Arc<str>, Standing)]>,
}

impl Record {
    /// About how many bytes it takes, with its entry.
    fn bytes(&self) -> usize {
        let heap: usize = self.standings.iter().map(|(_, standing)| standing.heap_bytes()).sum();
        size_of::<(ObjectName, Self)>() + size_of_val::<[_]>(&self.standings) + heap
    }
}

impl Ledger {
    /// An empty ledger without a bound.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// An empty ledger that takes about so many bytes at most, as long as records alone take less.
    pub fn bounded(most: usize) -> Arc<Self> {
        let state = State { most: Some(most), ..State::default() };
        Arc::new(Self { state: Mutex::new(state), ..Self::default() })
    }

    /// About how many bytes it takes.
    pub fn bytes(&self) -> usize {
        let state = self.state.lock();
        state.records + state.findings
    }

    /// Enters what all policies say of an object, in place of all that was known of it. A rule that failed before on
    /// the same object keeps the time at which it was first seen to fail.
    pub fn enter(&self, judged: Judged<'_>, now: Timestamp) {
        self.change(|state| state.enter(judged, now));
    }

    /// Forgets an object that is gone, or that no policy takes any more.
    pub fn forget(&self, key: &ObjectKey, now: Timestamp) {
        self.change(|state| state.forget(key, now));
    }

    /// Forgets all verdicts of a policy that is gone, suspended or not valid any more.
    pub fn withdraw(&self, policy: &str) {
        self.change(|state| state.withdraw(policy));
    }

    /// Forgets all verdicts of the policies that are not kept.
    pub fn retain_policies(&self, keep: impl Fn(&str) -> bool) {
        self.change(|state| {
            let gone: Vec<_> = state.books.keys().filter(|policy| !keep(policy)).cloned().collect();
            gone.iter().for_each(|policy| state.withdraw(policy));
        });
    }

    /// Takes over from a stored status when its violations were first seen, so that a restart does not make them new.
    /// Only before the first verdict of the policy; later it does nothing.
    pub fn seed_first_seen(&self, policy: &Arc<str>, stored: &WatchPolicyStatus) {
        self.state.lock().books.entry(Arc::clone(policy)).or_default().seed(stored);
    }

    /// Takes over when violations were first seen from a status that another replica stored, since two that judge the
    /// same change do so at different times.
    pub fn adopt_first_seen(&self, policy: &str, stored: &WatchPolicyStatus) {
        if let Some(book) = self.state.lock().books.get_mut(policy) {
            book.adopt(stored);
        }
    }

    /// Notes what became of the fixes of a policy on an object, by rule. What is not a finding any more is not noted.
    pub fn note_fixes(
        &self,
        policy: &str,
        key: &ObjectKey,
        fixes: Vec<(Arc<str>, FixStatus)>,
        now: Timestamp,
    ) {
        self.change(|state| state.note_fixes(policy, key, fixes, now));
    }

    /// Notes which right the fixes of a policy lack on a resource, in words; `None` once they do not.
    pub fn note_denied(&self, policy: &str, resource: &GroupResource, denied: Option<Arc<str>>) {
        self.note_obstacles(policy, |obstacles| obstacles.deny(resource, denied));
    }

    /// Notes what else keeps a policy that ended from letting go of objects; `None` once nothing does.
    pub fn note_stuck(&self, policy: &str, stuck: Option<Arc<str>>) {
        self.note_obstacles(policy, |obstacles| {
            let is_news = obstacles.stuck != stuck;
            obstacles.stuck = stuck;
            is_news
        });
    }

    fn note_obstacles(&self, policy: &str, note: impl FnOnce(&mut Obstacles) -> bool) {
        self.change(|state| {
            let mut obstacles = state.obstacles.remove(policy).unwrap_or_default();
            if note(&mut obstacles) {
                state.dirty.insert(policy.into());
            }
            if obstacles != Obstacles::default() {
                state.obstacles.insert(policy.into(), obstacles);
            }
        });
    }

    /// Forgets what keeps policies from writing that are not there any more.
    pub fn retain_obstacles(&self, keep: impl Fn(&str) -> bool) {
        self.state.lock().obstacles.retain(|policy, _| keep(policy));
    }

    /// The objects on which rules of a policy fail.
    pub fn failing(&self, policy: &str) -> BTreeSet<ObjectKey> {
        let state = self.state.lock();
        match state.books.get(policy) {
            Some(book) if book.is_cut() => state.failing(policy),
            book => book.into_iter().flat_map(|book| book.failing().cloned()).collect(),
        }
    }

    /// Waits until verdicts of some policies changed, and names them. For one caller: what it was told once, nobody is
    /// told again. Cancel safe.
    pub async fn changed(&self) -> BTreeSet<Arc<str>> {
        loop {
            let dirty = std::mem::take(&mut self.state.lock().dirty);
            if !dirty.is_empty() {
                return dirty;
            }
            self.changed.notified().await;
        }
    }

    /// What a policy's status shows: counts, and the worst violations, at most `most` of them. `stale` are resources
    /// whose watch is lost: their verdicts are counted as such.
    pub fn page(&self, policy: &str, stale: &[GroupResource], most: usize) -> Page {
        let state = self.state.lock();
        let page = state.books.get(policy).map(|book| book.page(stale, most)).unwrap_or_default();
        Page { obstacles: state.obstacles.get(policy).cloned().unwrap_or_default(), ..page }
    }

    /// The findings of a policy that stand after a place, in order, at most `most` of them.
    pub fn findings(&self, policy: &str, after: Option<&Place>, most: usize) -> Vec<(Place, Arc<Finding>)> {
        let state = self.state.lock();
        state.books.get(policy).map(|book| book.findings(after, most)).unwrap_or_default()
    }

    /// The findings on one object, by policy.
    pub fn findings_on(&self, key: &ObjectKey) -> Vec<(Arc<str>, Place, Arc<Finding>)> {
        let state = self.state.lock();
        let record = state.objects.get(&key.resource).and_then(|objects| objects.get(&key.object));
        let found = |(policy, standing): &(Arc<str>, Standing)| {
            let book = state.books.get(policy)?;
            let of_policy = book.findings_on(key, standing).into_iter();
            Some(of_policy.map(|(place, finding)| (Arc::clone(policy), place, finding)).collect::<Vec<_>>())
        };
        record.into_iter().flat_map(|record| &record.standings).filter_map(found).flatten().collect()
    }

    /// The counts of a policy.
    pub fn tally(&self, policy: &str) -> Tally {
        self.state.lock().books.get(policy).map(|book| book.tally(&[])).unwrap_or_default()
    }

    /// What each policy that judges an object says of it as a whole.
    pub fn outcomes_on(&self, key: &ObjectKey) -> Vec<(Arc<str>, Outcome)> {
        let state = self.state.lock();
        let record = state.objects.get(&key.resource).and_then(|objects| objects.get(&key.object));
        let standings = record.into_iter().flat_map(|record| &record.standings);
        standings.filter_map(|(policy, standing)| Some((Arc::clone(policy), standing.outcome()?))).collect()
    }

    /// From now on tells news, to one reader.
    pub fn listen(&self, wanted: Wanted) {
        self.state.lock().followers.listen(wanted);
    }

    /// Waits for news; gives them in order, and how many were lost for want of room. Cancel safe.
    pub async fn news(&self) -> (VecDeque<News>, u64) {
        loop {
            let (news, lost) = self.state.lock().followers.take_news();
            if !news.is_empty() || lost > 0 {
                return (news, lost);
            }
            self.news.notified().await;
        }
    }

    /// From now on notes objects that change, for one reader, or does so no more. Begins with all that would have been
    /// noted had it always been so.
    pub fn note_objects(&self, noted: Option<Noted>) {
        let mut state = self.state.lock();
        state.note_objects(noted);
        drop(state);
        self.objects.notify_one();
    }

    /// Waits for objects of which something changed. Cancel safe.
    pub async fn objects(&self) -> Vec<ObjectKey> {
        loop {
            let objects = self.state.lock().followers.take_objects();
            if !objects.is_empty() {
                return objects;
            }
            self.objects.notified().await;
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        change(&mut state);
        let dirty = !state.dirty.is_empty();
        let (news, objects) = (state.followers.has_news(), state.followers.has_objects());
        drop(state);
        for (_, waiter) in [(dirty, &self.changed), (news, &self.news), (objects, &self.objects)]
            .into_iter()
            .filter(|(due, _)| *due)
        {
            waiter.notify_one();
        }
    }
}

impl State {
    fn enter(&mut self, judged: Judged<'_>, now: Timestamp) {
        let Judged { key, api_version, kind, uid, listed, mut judgements } = judged;
        judgements.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        let object = Object { key, api_version, kind, uid };
        let uid = self.uids.hash_one(uid);
        let (same, another) = match self.take(key) {
            Some(record) if record.uid == uid => (record.standings, Box::default()),
            Some(record) => (Box::default(), record.standings),
            None => Default::default(),
        };
        self.strike(key, another, now);
        let mut before = same.into_iter().peekable();
        let mut standings = Vec::with_capacity(judgements.len());
        for (policy, judgement) in judgements {
            while let Some(silent) = before.next_if(|(other, _)| *other < policy) {
                self.strike(key, [silent], now);
            }
            let old = before.next_if(|(other, _)| *other == policy).map(|(_, standing)| standing);
            let book = self.books.entry(Arc::clone(&policy)).or_default();
            let known = book.bytes();
            let Posted { standing, changed, before, after } = book.post(object, old.as_ref(), judgement, now);
            self.findings = (self.findings + book.bytes()).saturating_sub(known);
            if changed {
                self.dirty.insert(Arc::clone(&policy));
                self.followers.changed(key, !before.is_empty() || !after.is_empty());
                let is_known = listed && book.was_told();
                self.followers.compare(&policy, before, after, is_known);
            }
            standings.extend(standing.map(|standing| (policy, standing)));
        }
        self.strike(key, before, now);
        if !standings.is_empty() {
            let ObjectKey { resource, object } = key.clone();
            let record = Record { uid, standings: standings.into() };
            self.records += record.bytes();
            self.objects.entry(resource).or_default().insert(object, record);
        }
        self.shed();
    }

    /// Drops findings until there is room. They stay counted, and are listed again when they are judged the next time.
    fn shed(&mut self) {
        while self.most.is_some_and(|most| self.records + self.findings > most) {
            let largest = self.books.values_mut().max_by_key(|book| book.bytes());
            let Some(book) = largest.filter(|book| book.bytes() > 0) else { return };
            let known = book.bytes();
            book.unlist_last();
            self.findings = (self.findings + book.bytes()).saturating_sub(known);
        }
    }

    /// The objects on which rules of a policy fail, those among them whose findings are not listed.
    fn failing(&self, policy: &str) -> BTreeSet<ObjectKey> {
        let fails = |record: &Record| {
            let mut standings = record.standings.iter().filter(|(name, _)| **name == *policy);
            standings
                .any(|(_, standing)| standing.places().iter().any(|noted| noted.outcome == Outcome::Fail))
        };
        let failing = |(resource, objects): (&GroupResource, &HashMap<ObjectName, Record, RandomState>)| {
            let objects = objects.iter().filter(|(_, record)| fails(record));
            let key = |object: &ObjectName| ObjectKey { resource: resource.clone(), object: object.clone() };
            objects.map(|(object, _)| key(object)).collect::<Vec<_>>()
        };
        self.objects.iter().flat_map(failing).collect()
    }

    fn note_fixes(
        &mut self,
        policy: &str,
        key: &ObjectKey,
        fixes: Vec<(Arc<str>, FixStatus)>,
        now: Timestamp,
    ) {
        let record = self.objects.get(&key.resource).and_then(|objects| objects.get(&key.object));
        let standing = record.and_then(|record| record.standings.iter().find(|(name, _)| **name == *policy));
        let (Some((name, standing)), Some(book)) = (standing, self.books.get_mut(policy)) else { return };
        let known = book.bytes();
        for (rule, fix) in fixes {
            let Some(place) = standing.place(key, &rule) else { continue };
            if let Some(finding) = book.note(&place, fix, now) {
                self.dirty.insert(Arc::clone(name));
                self.followers.changed(key, true);
                self.followers.tell(News { policy: Arc::clone(name), place, finding, turn: Turn::Fix });
            }
        }
        self.findings = (self.findings + book.bytes()).saturating_sub(known);
        self.shed();
    }

    fn note_objects(&mut self, noted: Option<Noted>) {
        self.followers.note(noted);
        for (resource, objects) in &self.objects {
            for (object, record) in objects {
                let failing = record.standings.iter().any(|(_, standing)| !standing.places().is_empty());
                let key = ObjectKey { resource: resource.clone(), object: object.clone() };
                self.followers.changed(&key, failing);
            }
        }
    }

    fn forget(&mut self, key: &ObjectKey, now: Timestamp) {
        let standings = self.take(key).map(|record| record.standings);
        self.strike(key, standings.into_iter().flatten(), now);
    }

    fn take(&mut self, key: &ObjectKey) -> Option<Record> {
        let objects = self.objects.get_mut(&key.resource)?;
        let record = objects.remove(&key.object);
        self.records = self.records.saturating_sub(record.as_ref().map_or(0, Record::bytes));
        if objects.is_empty() {
            self.objects.remove(&key.resource);
        }
        record
    }

    /// Takes an object's standings out of the books.
    fn strike(
        &mut self,
        key: &ObjectKey,
        standings: impl IntoIterator<Item = (Arc<str>, Standing)>,
        now: Timestamp,
    ) {
        for (policy, standing) in standings {
            if let Some(book) = self.books.get_mut(&policy) {
                let known = book.bytes();
                book.strike(key, &standing, now);
                self.findings = (self.findings + book.bytes()).saturating_sub(known);
                self.dirty.insert(policy);
                self.followers.changed(key, !standing.places().is_empty());
            }
        }
    }

    fn withdraw(&mut self, policy: &str) {
        let Some((name, book)) = self.books.remove_entry(policy) else { return };
        self.findings = self.findings.saturating_sub(book.bytes());
        let mut freed = 0;
        for resource in book.resources() {
            let Some(objects) = self.objects.get_mut(resource) else { continue };
            objects.retain(|object, record| {
                let known = record.bytes();
                let standings = std::mem::take(&mut record.standings).into_vec();
                let (gone, kept): (Vec<_>, Vec<_>) =
                    standings.into_iter().partition(|(other, _)| *other == name);
                if let Some((_, standing)) = gone.first()
                    && self.followers.noted().is_some()
                {
                    let key = ObjectKey { resource: resource.clone(), object: object.clone() };
                    self.followers.changed(&key, !standing.places().is_empty());
                }
                record.standings = kept.into();
                let stays = !record.standings.is_empty();
                freed += known - if stays { record.bytes() } else { 0 };
                stays
            });
            if objects.is_empty() {
                self.objects.remove(resource);
            }
        }
        self.records = self.records.saturating_sub(freed);
        self.dirty.insert(name);
    }
}

#[cfg(test)]
mod tests;
