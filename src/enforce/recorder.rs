//! Keeps the record of where something may be left: in the Lease, so that whoever leads next finds what policies have left
//! that went while nobody was there, and has these places watched, though no policy may look at them any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::leftovers::Leftovers;
use super::record::{MOST, NOBODY, Record};
use crate::leader::{Leadership, Lost, Permit};
use crate::ledger::Ledger;
use crate::policy::{CompiledPolicy, PolicySet};
use crate::resource::{GroupResource, Place};

/// How often is looked what is left.
const LOOK: Duration = Duration::from_secs(1);
/// How long a write waits for the Lease; then it is tried again.
const WAIT: Duration = Duration::from_secs(1);

/// Places that are to be watched though no policy may look at them.
pub type Places = Arc<BTreeSet<Place>>;

/// Keeps the record.
pub(super) struct Recorder {
    leadership: Leadership,
    leftovers: Arc<Leftovers>,
    set: watch::Receiver<Arc<PolicySet>>,
    looked_through: watch::Sender<Places>,
    ledger: Arc<Ledger>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    record: Record,
    /// The term in which the Lease was read.
    permit: Option<Permit>,
    /// The policies when it was last looked what keeps something.
    revision: u64,
    /// Places for which there is no room; no more of them than are named.
    unnamed: BTreeSet<Place>,
    /// The policies that were told so.
    told: BTreeSet<Arc<str>>,
}

impl Recorder {
    /// Nothing is read or asked for before something is written, or [`Recorder::run`]. What is to be looked through is sent
    /// to `looked_through`; where there is no room, the ledger has it.
    pub(super) fn new(
        leadership: Leadership,
        leftovers: Arc<Leftovers>,
        set: watch::Receiver<Arc<PolicySet>>,
        looked_through: watch::Sender<Places>,
        ledger: Arc<Ledger>,
    ) -> Self {
        Self { leadership, leftovers, set, looked_through, ledger, state: Mutex::default() }
    }

    /// Looks what is left, until told to stop.
    pub(super) async fn run(&self, stop: CancellationToken) {
        let mut leadership = self.leadership.clone();
        loop {
            self.look();
            tokio::select! {
                () = stop.cancelled() => return,
                () = leadership.changed() => {}
                () = sleep(LOOK) => {}
            }
        }
    }

    /// Has the Lease name a place in which something is about to be written, and waits until it does: then nothing is lost if
    /// the process ends right after the write. Whether it may be written now.
    pub(super) async fn covers(&self, place: &Place, permit: &Permit) -> bool {
        // Where there is no room for it nothing is waited for; nor where the term is over, as whoever writes will see.
        let Some(wish) = self.wish(place, permit) else { return true };
        timeout(WAIT, permit.until_kept(wish)).await.is_ok()
    }

    fn wish(&self, place: &Place, permit: &Permit) -> Option<u64> {
        let (mut state, now) = (self.state.lock(), Instant::now());
        self.meet(&mut state, permit).ok()?;
        self.add(&mut state, place);
        state.record.write(place, now).or_else(|| {
            self.keep(&mut state, permit);
            state.record.write(place, now)
        })
    }

    /// In a new term, reads what the Lease says.
    fn meet(&self, state: &mut State, permit: &Permit) -> Result<(), Lost> {
        let memo = permit.memo()?;
        if state.permit.as_ref().is_none_or(|known| known.check().is_err()) {
            let allows = |place: &Place| self.leftovers.fences.allow_kind(&place.resource);
            state.record.begin(&memo.unwrap_or_default(), Instant::now(), allows);
            state.permit = Some(permit.clone());
        }
        Ok(())
    }

    fn add(&self, state: &mut State, place: &Place) {
        if state.record.add(place, |known| !self.leftovers.are_watched(&known.resource)) {
            state.unnamed.remove(place);
        } else if state.unnamed.len() < MOST {
            if state.unnamed.is_empty() {
                let Place { resource: GroupResource { group, resource }, namespace } = place;
                warn!(
                    group = &**group,
                    resource = &**resource,
                    namespace = namespace.as_deref(),
                    "the lease names as many places as it may: what is left in others is not found when their policies go \
                     while no operator runs"
                );
            }
            state.unnamed.insert(place.clone());
        }
    }

    fn keep(&self, state: &mut State, permit: &Permit) {
        let wish = self.leadership.keep(permit, &state.record.to_string());
        state.record.wished(wish);
    }

    fn look(&self) {
        let now = Instant::now();
        let set = Arc::clone(&self.set.borrow());
        // Before policies are known, none of them has ended.
        let permit = self.leadership.permit().ok().filter(|_| set.revision > 0);
        let Some(permit) = permit else { return self.show(BTreeSet::new()) };
        let mut state = self.state.lock();
        if self.meet(&mut state, &permit).is_err() {
            return;
        }
        let waiting = state.unnamed.clone();
        for place in self.leftovers.places().union(&waiting) {
            self.add(&mut state, place);
        }
        let writers: Vec<_> = set.entries.values().filter_map(|entry| entry.enforcing()).collect();
        let is_covered = |place: &Place| writers.iter().any(|policy| policy.covers(place));
        let changes = std::mem::replace(&mut state.revision, set.revision) != set.revision;
        let stopped = self.leadership.stopped();
        let writers_in = |place: &Place| fingerprint(writers.iter().filter(|policy| policy.looks_at(place)));
        state.record.meet(changes, writers_in);
        state.record.look_anew(|place| stopped || is_covered(place));
        let ended: Vec<_> = state.record.places().filter(|place| !is_covered(place)).cloned().collect();
        for place in ended {
            state.record.look(&place, self.leftovers.left_in(&place, &set), now);
        }
        self.tell_unnamed(&mut state, &writers);
        self.keep(&mut state, &permit);
        self.show(state.record.looked_through(now).cloned().collect());
    }

    /// Tells the policies that write to a place that is not named, and those that were told so and do no more.
    fn tell_unnamed(&self, State { unnamed, told, .. }: &mut State, writers: &[&Arc<CompiledPolicy>]) {
        let place =
            |policy: &Arc<CompiledPolicy>| unnamed.iter().find(|place| policy.looks_at(place)).cloned();
        let of_policy = |policy: &&Arc<CompiledPolicy>| Some((Arc::clone(&policy.name), place(policy)?));
        let tell: BTreeMap<_, _> = writers.iter().filter_map(of_policy).collect();
        for policy in std::mem::take(told).difference(&tell.keys().cloned().collect()) {
            self.ledger.note_unnamed(policy, None);
        }
        for (policy, place) in tell {
            self.ledger.note_unnamed(&policy, Some(place));
            told.insert(policy);
        }
    }

    fn show(&self, places: BTreeSet<Place>) {
        self.looked_through.send_if_modified(|shown| {
            let is_new = **shown != places;
            if is_new {
                *shown = Arc::new(places);
            }
            is_new
        });
    }
}

/// Who writes somewhere, and by what.
fn fingerprint<'p>(mut writers: impl Iterator<Item = &'p &'p Arc<CompiledPolicy>>) -> u64 {
    let Some(first) = writers.next() else { return NOBODY };
    let hasher = RandomState::with_seeds(1, 2, 3, 4);
    let one = |policy: &CompiledPolicy| hasher.hash_one((&policy.uid, policy.generation));
    writers.fold(one(first), |all, policy| hasher.hash_one((all, one(policy)))).max(NOBODY + 1)
}

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;
