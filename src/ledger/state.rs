//! What the ledger holds, under its lock.

use std::collections::BTreeSet;
use std::sync::Arc;

use ahash::RandomState;
use hashbrown::HashMap;
use jiff::Timestamp;

use super::book::{Book, Posted};
use super::news::{Followers, News, Noted, Turn};
use super::obstacles::Obstacles;
use super::standing::Standing;
use super::{Judged, Object, Said};
use crate::crd::FixStatus;
use crate::policy::Outcome;
use crate::resource::{GroupResource, ObjectKey, ObjectName};

#[derive(Debug, Default)]
pub(super) struct State {
    /// By resource first: the name of a resource is then not stored with each object.
    pub(super) objects: HashMap<GroupResource, HashMap<ObjectName, Record, RandomState>, RandomState>,
    pub(super) books: HashMap<Arc<str>, Book, RandomState>,
    /// By policy; also of those that do not judge any more.
    pub(super) obstacles: HashMap<Arc<str>, Obstacles, RandomState>,
    pub(super) dirty: BTreeSet<Arc<str>>,
    pub(super) followers: Followers,
    uids: RandomState,
    /// The most bytes that records and findings may take together; `None` for no end.
    most: Option<usize>,
    /// What the records take.
    pub(super) records: usize,
    /// What the findings of all books take.
    pub(super) findings: usize,
}

/// What is known of one object.
#[derive(Debug)]
pub(super) struct Record {
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

    fn place(&self, policy: &str) -> Option<usize> {
        self.standings.binary_search_by(|(name, _)| (**name).cmp(policy)).ok()
    }

    /// What a policy says, with its name.
    fn standing(&self, policy: &str) -> Option<&(Arc<str>, Standing)> {
        self.standings.get(self.place(policy)?)
    }

    /// Takes out what a policy says.
    fn take(&mut self, policy: &str) -> Option<Standing> {
        let place = self.place(policy)?;
        let mut standings = std::mem::take(&mut self.standings).into_vec();
        let (_, standing) = standings.remove(place);
        self.standings = standings.into();
        Some(standing)
    }
}

impl State {
    /// That takes so many bytes at most.
    pub(super) fn bounded(most: usize) -> Self {
        Self { most: Some(most), ..Self::default() }
    }

    /// What policies say of an object.
    pub(super) fn standings(&self, key: &ObjectKey) -> impl Iterator<Item = &(Arc<str>, Standing)> {
        let record = self.objects.get(&key.resource).and_then(|objects| objects.get(&key.object));
        record.into_iter().flat_map(|record| &record.standings)
    }

    pub(super) fn enter(&mut self, judged: Judged<'_>, now: Timestamp) {
        let Judged { key, uid, listed, mut said } = judged;
        said.sort_unstable_by(|one, other| one.policy.cmp(&other.policy));
        let hash = self.uids.hash_one(uid);
        let (same, another) = match self.take(key) {
            Some(record) if record.uid == hash => (record.standings, Box::default()),
            Some(record) => (Box::default(), record.standings),
            None => Default::default(),
        };
        self.strike(key, another, now);
        let mut before = same.into_iter().peekable();
        let mut standings = Vec::with_capacity(said.len());
        for Said { policy, api_version, kind, judgement } in said {
            let object = Object { key, api_version, kind, uid };
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
                let was_told = listed && book.was_told();
                let failed = |rule: &str| old.as_ref().is_some_and(|old| old.place(key, rule).is_some());
                self.followers.compare(&policy, before, after, |rule| was_told || failed(rule));
            }
            standings.extend(standing.map(|standing| (policy, standing)));
        }
        self.strike(key, before, now);
        if !standings.is_empty() {
            let ObjectKey { resource, object } = key.clone();
            let record = Record { uid: hash, standings: standings.into() };
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
    pub(super) fn failing(&self, policy: &str) -> BTreeSet<ObjectKey> {
        let fails = |record: &Record| {
            record.standing(policy).is_some_and(|(_, standing)| {
                standing.places().iter().any(|noted| noted.outcome == Outcome::Fail)
            })
        };
        let failing = |(resource, objects): (&GroupResource, &HashMap<ObjectName, Record, RandomState>)| {
            let objects = objects.iter().filter(|(_, record)| fails(record));
            let key = |object: &ObjectName| ObjectKey { resource: resource.clone(), object: object.clone() };
            objects.map(|(object, _)| key(object)).collect::<Vec<_>>()
        };
        self.objects.iter().flat_map(failing).collect()
    }

    pub(super) fn note_fixes(
        &mut self,
        policy: &str,
        key: &ObjectKey,
        fixes: Vec<(Arc<str>, FixStatus)>,
        now: Timestamp,
    ) {
        let record = self.objects.get(&key.resource).and_then(|objects| objects.get(&key.object));
        let standing = record.and_then(|record| record.standing(policy));
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

    pub(super) fn note_objects(&mut self, noted: Option<Noted>) {
        self.followers.note(noted);
        for (resource, objects) in &self.objects {
            for (object, record) in objects {
                let failing = record.standings.iter().any(|(_, standing)| !standing.places().is_empty());
                let key = ObjectKey { resource: resource.clone(), object: object.clone() };
                self.followers.changed(&key, failing);
            }
        }
    }

    /// Clears obstacles of all policies; `clear` says whether that is news.
    pub(super) fn clear_obstacles(&mut self, mut clear: impl FnMut(&str, &mut Obstacles) -> bool) {
        let Self { obstacles, dirty, .. } = self;
        obstacles.retain(|policy, of_policy| {
            if clear(policy, of_policy) {
                dirty.insert(Arc::clone(policy));
            }
            *of_policy != Obstacles::default()
        });
    }

    pub(super) fn forget(&mut self, key: &ObjectKey, now: Timestamp) {
        let standings = self.take(key).map(|record| record.standings);
        self.strike(key, standings.into_iter().flatten(), now);
        self.clear_obstacles(|_, obstacles| obstacles.forget(key));
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

    pub(super) fn withdraw(&mut self, policy: &str) {
        let Some((name, book)) = self.books.remove_entry(policy) else { return };
        self.findings = self.findings.saturating_sub(book.bytes());
        let mut freed = 0;
        for resource in book.resources() {
            let Some(objects) = self.objects.get_mut(resource) else { continue };
            objects.retain(|object, record| {
                let Some(standing) = record.take(&name) else { return true };
                if self.followers.noted().is_some() {
                    let key = ObjectKey { resource: resource.clone(), object: object.clone() };
                    self.followers.changed(&key, !standing.places().is_empty());
                }
                freed += size_of::<(Arc<str>, Standing)>() + standing.heap_bytes();
                let stays = !record.standings.is_empty();
                freed += if stays { 0 } else { record.bytes() };
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
