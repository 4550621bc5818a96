//! The finalizer of policies with `onDelete: Release`.
//!
//! It is there before such a policy first writes, and goes when nothing of what the policy wrote is left, so that a
//! policy that is deleted waits until then. Nobody else's object ever gets one. What cannot be taken back because its
//! kind is gone, or because the operator writes nothing at all, holds no policy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::server::{self, Fault, Refused};
use super::writer::Settings;
use crate::backoff::Backoff;
use crate::crd::TargetState;
use crate::leader::{Leadership, Lost, Permit};
use crate::ledger::Ledger;
use crate::observe::board::{Board, TargetReport};
use crate::policy::{FINALIZER, PolicyEntry, PolicySet};
use crate::resource::GroupResource;

/// How often is looked while a policy waits.
const LOOK: Duration = Duration::from_millis(500);
/// For so long nothing must be left: a write under way when the policy ended is seen by then.
const CALM: Duration = Duration::from_secs(2);
/// The pauses between two writes of one policy, whatever became of the first; longer while the watch of policies shows
/// none of it: who goes by an old view is refused each time.
const PAUSES: Backoff = Backoff { first: Duration::from_secs(2), longest: Duration::from_secs(60) };
const AWAITED: &str = "a write that had no answer, or one of the replica that led before, may still arrive and be carried out; \
    the finalizer goes within a minute";
/// What to do about a 403.
const CURE: &str = "the operator may not put its finalizer on policies with onDelete: Release, nor take it off; add to \
    its ClusterRole: {apiGroups: [\"watchpolicy.io\"], resources: [\"watchpolicies\"], verbs: [\"patch\"]} \
    (rbac.finalizers in the chart)";

/// What a policy's finalizers are to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinalizerPatch {
    /// The policy's name.
    pub name: Arc<str>,
    /// The policy's uid; a policy of another uid is left alone.
    pub uid: Arc<str>,
    /// Its generation; a policy that says something else by now is left alone.
    pub generation: i64,
    /// What they must be still.
    pub before: Box<[Box<str>]>,
    /// What they become.
    pub after: Box<[Box<str>]>,
}

/// Why finalizers were not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FinalizerFault {
    /// The policy is gone, or not as it was seen.
    Changed,
    /// Leadership was lost before the answer came.
    Lost(Lost),
    /// The operator may not, and what to do about it.
    Denied(String),
    /// It may work later.
    Failed(String),
}

/// Where finalizers are stored; a seam, as [`StatusStore`](super::StatusStore) is.
pub trait FinalizerStore: Send + Sync + 'static {
    /// Stores them while the permit is valid, and sends nothing after.
    fn store(
        &self,
        patch: &FinalizerPatch,
        permit: &Permit,
    ) -> impl Future<Output = Result<(), FinalizerFault>> + Send;
}

impl FinalizerStore for kube::Client {
    async fn store(&self, patch: &FinalizerPatch, permit: &Permit) -> Result<(), FinalizerFault> {
        let request = request(patch).map_err(|error| FinalizerFault::Failed(error.to_string()))?;
        server::send(self, request, permit).await.map_err(|fault| match fault {
            Fault::Lost(lost) => FinalizerFault::Lost(lost),
            Fault::Refused(Refused { code: 404 | 422, .. }) => FinalizerFault::Changed,
            Fault::Refused(refused) if refused.code == 403 => {
                FinalizerFault::Denied(format!("{CURE}; the server says: {}", refused.words))
            }
            other => FinalizerFault::Failed(other.to_string()),
        })
    }
}

/// A compare-and-swap of the whole list, which is short. Absence is tested by `null`, as fixes do. The generation is
/// tested too: who knows a policy as it was before it enforced again would take its finalizer off.
fn request(patch: &FinalizerPatch) -> anyhow::Result<http::Request<Vec<u8>>> {
    let FinalizerPatch { name, uid, generation, before, after } = patch;
    let before = if before.is_empty() { json!(null) } else { json!(before) };
    let operations = json!([
        {"op": "test", "path": "/metadata/uid", "value": &**uid},
        {"op": "test", "path": "/metadata/generation", "value": generation},
        {"op": "test", "path": "/metadata/finalizers", "value": before},
        {"op": "add", "path": "/metadata/finalizers", "value": after},
    ]);
    let path = format!("/apis/watchpolicy.io/v1alpha1/watchpolicies/{name}?fieldManager=watchpolicy");
    Ok(http::Request::patch(path)
        .header(CONTENT_TYPE, "application/json-patch+json")
        .header(ACCEPT, "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")
        .body(serde_json::to_vec(&operations)?)?)
}

/// Whether a policy is there, with our finalizer, and takes back what it wrote.
pub(super) fn ends(entry: &PolicyEntry) -> bool {
    entry.is_held() && !writes(entry)
}

/// Whether it is one that writes, and will have to take it back.
fn writes(entry: &PolicyEntry) -> bool {
    entry.enforcing().is_some() && entry.takes_back()
}

/// What is to become of a policy's finalizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    AsItIs,
    On,
    Off,
    /// It goes when nothing is left.
    Later,
}

fn wanted(
    entry: &PolicyEntry,
    targets: Option<&[TargetReport]>,
    allowed: bool,
    left: impl FnOnce() -> u64,
) -> Wanted {
    if !ends(entry) {
        return if writes(entry) && !entry.is_held() && allowed { Wanted::On } else { Wanted::AsItIs };
    }
    if !entry.takes_back() || !allowed {
        return Wanted::Off;
    }
    if !entry.deleting && entry.watching().is_none() {
        // It cannot be run as it is, and may be mended.
        return Wanted::AsItIs;
    }
    if is_looked_through(entry, targets) && left() == 0 { Wanted::Off } else { Wanted::Later }
}

/// Whether all objects that the policy may have written are known, as far as there are any.
fn is_looked_through(entry: &PolicyEntry, targets: Option<&[TargetReport]>) -> bool {
    let known = |target: &TargetReport| match target.state {
        TargetState::Absent => true,
        state => state == TargetState::Synced && target.generation >= entry.generation,
    };
    // For one that cannot be run nothing is watched.
    entry.watching().is_none() || targets.is_some_and(|targets| targets.iter().all(known))
}

/// Whether something that was sent for the policy of a name may still be carried out.
pub type Awaits = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Puts the finalizer on and takes it off.
pub struct Finalizers<S> {
    store: S,
    ledger: Arc<Ledger>,
    settings: Settings,
    leadership: Leadership,
    awaits: Awaits,
    /// Since when nothing is left, by policy.
    calm: BTreeMap<Arc<str>, Instant>,
    /// What was last sent, by policy.
    written: BTreeMap<Arc<str>, Written>,
    /// Policies of which something was noted that is in the way.
    told: BTreeSet<Arc<str>>,
    /// Policies of which was noted that something may still be written.
    awaiting: BTreeSet<Arc<str>>,
}

/// A policy's finalizers were written, or refused.
struct Written {
    at: Instant,
    /// The policy as it was known then.
    entry: Arc<PolicyEntry>,
    /// How often, by the same view of the policy.
    times: u32,
}

impl<S: FinalizerStore> Finalizers<S> {
    /// Missing rights are noted in the ledger.
    pub fn new(store: S, ledger: Arc<Ledger>, settings: Settings, leadership: Leadership) -> Self {
        let awaits = Arc::new(|_: &str| false);
        let (calm, written, told, awaiting) = Default::default();
        Self { store, ledger, settings, leadership, awaits, calm, written, told, awaiting }
    }

    /// The finalizer stays while something may still be written.
    pub fn awaiting(self, awaits: Awaits) -> Self {
        Self { awaits, ..self }
    }

    /// Works until told to stop.
    pub async fn run(
        mut self,
        mut set: watch::Receiver<Arc<PolicySet>>,
        mut board: watch::Receiver<Arc<Board>>,
        stop: CancellationToken,
    ) {
        let mut leadership = self.leadership.clone();
        loop {
            let (policies, targets) =
                (Arc::clone(&set.borrow_and_update()), Arc::clone(&board.borrow_and_update()));
            let step = stop.run_until_cancelled(self.step(&policies, &targets)).await;
            let Some(waits) = step else { return };
            tokio::select! {
                () = stop.cancelled() => return,
                Ok(()) = set.changed() => {}
                Ok(()) = board.changed() => {}
                () = leadership.changed() => {}
                () = sleep(LOOK), if waits => {}
            }
        }
    }

    /// Looks at all policies; whether one waits for something.
    async fn step(&mut self, set: &PolicySet, board: &Board) -> bool {
        self.calm.retain(|name, _| set.entries.contains_key(name));
        self.written.retain(|name, _| set.entries.contains_key(name));
        self.told.retain(|name| set.entries.contains_key(name));
        self.awaiting.retain(|name| set.entries.contains_key(name));
        let Ok(permit) = self.leadership.permit() else { return false };
        let mut waits = false;
        for entry in set.entries.values() {
            let targets = board.policies.get(&entry.name).map(AsRef::as_ref);
            let mut wanted =
                wanted(entry, targets, self.settings.allow_enforce, || (self.settings.left)(&entry.name));
            let awaits = wanted == Wanted::Off && self.may_still_write(entry, &permit);
            if awaits {
                wanted = Wanted::Later;
            }
            self.tell_awaited(&entry.name, awaits);
            match wanted {
                Wanted::AsItIs => self.settle(&entry.name),
                Wanted::On | Wanted::Off | Wanted::Later => waits = true,
            }
            if self.is_due(entry, wanted) {
                self.write(entry, wanted == Wanted::On, &permit).await;
            }
        }
        waits
    }

    /// Whether something may still be written for a policy that takes it back: who takes the finalizer off before would
    /// leave it for good.
    fn may_still_write(&self, entry: &PolicyEntry, permit: &Permit) -> bool {
        let takes_back = entry.takes_back() && self.settings.allow_enforce;
        takes_back && (permit.predecessor_may_write() || (self.awaits)(&entry.name))
    }

    /// Says that the finalizer waits for what may still be written, in each step in which it does and in no other.
    fn tell_awaited(&mut self, policy: &Arc<str>, awaits: bool) {
        if awaits && self.awaiting.insert(Arc::clone(policy)) {
            self.ledger.note_held(policy, Some(AWAITED.into()));
        } else if !awaits && self.awaiting.remove(policy) {
            self.ledger.note_held(policy, None);
        }
    }

    fn is_due(&mut self, entry: &Arc<PolicyEntry>, wanted: Wanted) -> bool {
        let now = Instant::now();
        let pause = |written: &Written| {
            PAUSES.wait(if Arc::ptr_eq(&written.entry, entry) { written.times } else { 1 })
        };
        let written = self.written.get(&entry.name);
        let rests = written.is_some_and(|written| now.duration_since(written.at) < pause(written));
        let is_calm = match wanted {
            Wanted::Off => {
                let since = *self.calm.entry(Arc::clone(&entry.name)).or_insert(now);
                now.duration_since(since) >= CALM
            }
            Wanted::AsItIs | Wanted::Later | Wanted::On => {
                self.calm.remove(&entry.name);
                wanted == Wanted::On
            }
        };
        is_calm && !rests
    }

    async fn write(&mut self, entry: &Arc<PolicyEntry>, on: bool, permit: &Permit) {
        let policy = &*entry.name;
        let others = entry.finalizers.iter().filter(|finalizer| &***finalizer != FINALIZER).cloned();
        let patch = FinalizerPatch {
            name: Arc::clone(&entry.name),
            uid: Arc::clone(&entry.uid),
            generation: entry.generation,
            before: entry.finalizers.clone(),
            after: others.chain(on.then(|| FINALIZER.into())).collect(),
        };
        let before = self.written.get(policy).filter(|written| Arc::ptr_eq(&written.entry, entry));
        let times = before.map_or(1, |before| before.times.saturating_add(1));
        match self.store.store(&patch, permit).await {
            Ok(()) => {
                info!(policy, on, "the finalizer was written");
                self.settle(policy);
            }
            Err(FinalizerFault::Changed) => {
                debug!(policy, on, "the policy is not as it was last seen; its watch has yet to show it");
            }
            // Nothing is known to have been sent.
            Err(FinalizerFault::Lost(_)) => return,
            Err(FinalizerFault::Denied(words)) => {
                self.ledger.note_denied(policy, &policies(), Some(complain(policy, words)));
                self.told.insert(Arc::clone(&entry.name));
            }
            Err(FinalizerFault::Failed(words)) => {
                self.ledger.note_held(policy, Some(complain(policy, words)));
                self.told.insert(Arc::clone(&entry.name));
            }
        }
        let written = Written { at: Instant::now(), entry: Arc::clone(entry), times };
        self.written.insert(Arc::clone(&entry.name), written);
    }

    /// Nothing is in the way any more: also where a write was done of which no answer came.
    fn settle(&mut self, policy: &str) {
        if self.told.remove(policy) {
            self.ledger.note_denied(policy, &policies(), None);
            self.ledger.note_held(policy, None);
        }
    }
}

fn policies() -> GroupResource {
    GroupResource::new("watchpolicy.io", "watchpolicies")
}

fn complain(policy: &str, words: String) -> Arc<str> {
    warn!(policy, error = words, "cannot write the finalizer; it is tried again");
    words.into()
}

#[cfg(test)]
#[path = "finalizer_tests.rs"]
mod tests;
