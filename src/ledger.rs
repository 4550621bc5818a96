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
mod state;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;

use book::Book;
pub use book::{Page, Tally, Usage};
pub use finding::{Finding, Place};
pub use news::{News, Noted, Turn, Wanted};
pub use obstacles::Obstacles;
use standing::Standing;
use state::State;

use crate::bell::Bell;
use crate::crd::{FixStatus, WatchPolicyStatus};
use crate::policy::{Judgement, Outcome};
use crate::resource::{self, GroupResource, ObjectKey};

/// What all policies say of one object at one time.
#[derive(Debug)]
pub struct Judged<'o> {
    /// The object's place.
    pub key: &'o ObjectKey,
    /// The object's uid; another one at the same place is another object.
    pub uid: &'o Arc<str>,
    /// It is judged because a list showed it, and not because it changed: an earlier run may have told it all.
    pub listed: bool,
    /// One of each policy; a policy that is not here has nothing to say of the object any more.
    pub said: Vec<Said<'o>>,
}

/// What one policy says of the object.
#[derive(Debug)]
pub struct Said<'o> {
    /// The policy's name.
    pub policy: Arc<str>,
    /// The `apiVersion` in which the policy sees the object; others may see it in another one.
    pub api_version: &'o Arc<str>,
    /// The object's kind.
    pub kind: &'o Arc<str>,
    /// What it says.
    pub judgement: Judgement,
}

/// The object of [`Judged`], as one policy sees it.
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
    changed: Bell,
    news: Bell,
    objects: Bell,
}

impl Ledger {
    /// An empty ledger without a bound.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// An empty ledger that takes about so many bytes at most, as long as records alone take less.
    pub fn bounded(most: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::bounded(most)), ..Self::default() })
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

    /// Notes a right to fix a resource that the server, when asked, says is missing: that replaces what stood.
    pub fn note_lacking(&self, policy: &str, resource: &GroupResource, words: Arc<str>) {
        self.note_obstacles(policy, |obstacles| obstacles.lack(resource, words));
    }

    /// Notes what else keeps a policy that ended from letting go of an object.
    pub fn note_stuck(&self, policy: &str, key: &ObjectKey, words: Arc<str>) {
        self.note_obstacles(policy, |obstacles| obstacles.stick(key, words));
    }

    /// Notes that nothing is left on an object of any policy that is not kept, so that nothing keeps it there.
    pub fn retain_stuck_on(&self, key: &ObjectKey, keep: impl Fn(&str) -> bool) {
        self.clear_obstacles(|policy, obstacles| !keep(policy) && obstacles.free(key));
    }

    /// Forgets what kept policies from letting go of objects: nobody has tried since somebody else did.
    pub fn forget_stuck(&self) {
        self.clear_obstacles(|_, obstacles| obstacles.stuck.take().is_some());
    }

    /// Notes what keeps the finalizer of a policy from being as it should; `None` once nothing does.
    pub fn note_held(&self, policy: &str, held: Option<Arc<str>>) {
        self.note_obstacles(policy, |obstacles| {
            let is_news = obstacles.held != held;
            obstacles.held = held;
            is_news
        });
    }

    /// Notes a place to which a policy writes and that the Lease does not name, for want of room; `None` once it does.
    pub fn note_unnamed(&self, policy: &str, place: Option<resource::Place>) {
        self.note_obstacles(policy, |obstacles| {
            let is_news = obstacles.unnamed != place;
            obstacles.unnamed = place;
            is_news
        });
    }

    /// Notes whether an object that was written for a generation of a policy says so in `managedFields`.
    pub fn note_tracked(&self, (policy, generation): (&str, i64), key: &ObjectKey, is_tracked: bool) {
        self.note_obstacles(policy, |obstacles| obstacles.track(key, generation, is_tracked));
    }

    /// Forgets what does not say so of what was written for the policy that had a name before.
    pub fn forget_untracked(&self, policy: &str) {
        self.note_obstacles(policy, |obstacles| obstacles.untracked.take().is_some());
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

    /// Forgets the missing rights on resources that are not kept, by policy: nothing is to be written there any more.
    pub fn retain_denied(&self, keep: impl Fn(&str, &GroupResource) -> bool) {
        self.clear_obstacles(|policy, obstacles| {
            let known = obstacles.denied.len();
            obstacles.denied.retain(|resource, _| keep(policy, resource));
            obstacles.denied.len() < known
        });
    }

    /// Has obstacles of all policies cleared, of those of which that is news.
    fn clear_obstacles(&self, clear: impl FnMut(&str, &mut Obstacles) -> bool) {
        self.change(|state| state.clear_obstacles(clear));
    }

    /// The objects on which rules of a policy fail.
    pub fn failing(&self, policy: &str) -> BTreeSet<ObjectKey> {
        let state = self.state.lock();
        match state.books.get(policy) {
            Some(book) if book.unlisted() > 0 => state.failing(policy),
            book => book.into_iter().flat_map(|book| book.failing().cloned()).collect(),
        }
    }

    /// Waits until verdicts of some policies changed, and names them. For one caller: what it was told once, nobody is
    /// told again. Cancel safe.
    pub async fn changed(&self) -> BTreeSet<Arc<str>> {
        let take = || std::mem::take(&mut self.state.lock().dirty);
        self.changed.taken(|| Some(take()).filter(|dirty| !dirty.is_empty())).await
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

    /// How many findings of a policy are counted, and not listed for want of room.
    pub fn unlisted(&self, policy: &str) -> u64 {
        self.state.lock().books.get(policy).map_or(0, Book::unlisted)
    }

    /// The findings on one object, by policy.
    pub fn findings_on(&self, key: &ObjectKey) -> Vec<(Arc<str>, Place, Arc<Finding>)> {
        let state = self.state.lock();
        let found = |(policy, standing): &(Arc<str>, Standing)| {
            let book = state.books.get(policy)?;
            let of_policy = book.findings_on(key, standing).into_iter();
            Some(of_policy.map(|(place, finding)| (Arc::clone(policy), place, finding)).collect::<Vec<_>>())
        };
        state.standings(key).filter_map(found).flatten().collect()
    }

    /// The counts of a policy.
    pub fn tally(&self, policy: &str) -> Tally {
        self.state.lock().books.get(policy).map(|book| book.tally(&[])).unwrap_or_default()
    }

    /// What each policy that judges an object says of it as a whole.
    pub fn outcomes_on(&self, key: &ObjectKey) -> Vec<(Arc<str>, Outcome)> {
        let state = self.state.lock();
        let outcome =
            |(policy, standing): &(Arc<str>, Standing)| Some((Arc::clone(policy), standing.outcome()?));
        state.standings(key).filter_map(outcome).collect()
    }

    /// Whether all findings on an object are listed: those that there was no room for are only counted.
    pub fn lists_all_on(&self, key: &ObjectKey) -> bool {
        let state = self.state.lock();
        let lists = |(policy, standing): &(Arc<str>, Standing)| {
            let listed = state.books.get(policy).map(|book| book.findings_on(key, standing).len());
            listed.unwrap_or_default() == standing.places().len()
        };
        state.standings(key).all(lists)
    }

    /// From now on tells news, to one reader.
    pub fn listen(&self, wanted: Wanted) {
        self.state.lock().followers.listen(wanted);
    }

    /// Waits for news; gives them in order, and how many were lost for want of room. Cancel safe.
    pub async fn news(&self) -> (VecDeque<News>, u64) {
        let take = || self.state.lock().followers.take_news();
        self.news.taken(|| Some(take()).filter(|(news, lost)| !news.is_empty() || *lost > 0)).await
    }

    /// From now on notes objects that change, for one reader, or does so no more. Begins with all that would have been
    /// noted had it always been so.
    pub fn note_objects(&self, noted: Option<Noted>) {
        let mut state = self.state.lock();
        state.note_objects(noted);
        drop(state);
        self.objects.ring();
    }

    /// Waits for objects of which something changed. Cancel safe.
    pub async fn objects(&self) -> Vec<ObjectKey> {
        let take = || self.state.lock().followers.take_objects();
        self.objects.taken(|| Some(take()).filter(|objects| !objects.is_empty())).await
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        change(&mut state);
        let dirty = !state.dirty.is_empty();
        let (news, objects) = (state.followers.has_news(), state.followers.has_objects());
        drop(state);
        for (_, bell) in [(dirty, &self.changed), (news, &self.news), (objects, &self.objects)]
            .into_iter()
            .filter(|(due, _)| *due)
        {
            bell.ring();
        }
    }
}

#[cfg(test)]
mod tests;
