//! Follows WatchPolicy objects and keeps the [`PolicySet`] that they come to, and beside it their statuses.
//!
//! Each object is decoded and compiled alone: one that cannot be read, or is wrong, is an entry that says so, and
//! hides no other.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::informer::{Phase, Sink};
use super::statuses::{Shown, Statuses};
use super::telling::Telling;
use super::wire::Collection;
use crate::crd::{WatchPolicy, WatchPolicyStatus};
use crate::jsonpath::{Document, Identity, Projection, TypeMeta};
use crate::policy::{self, PolicyEntry, PolicySet, PolicyState};
use crate::resource::Gvr;

/// The collection of all policies.
pub fn collection() -> Collection {
    Collection::all(Gvr::new("watchpolicy.io", "v1alpha1", "watchpolicies"))
}

/// The sink of the policies' informer.
pub struct PolicySink {
    settings: policy::Settings,
    types: TypeMeta,
    entries: BTreeMap<Arc<str>, Kept>,
    list: u32,
    listed: bool,
    revision: u64,
    telling: Telling,
    set: watch::Sender<Arc<PolicySet>>,
    statuses: Arc<Statuses>,
}

struct Kept {
    entry: Arc<PolicyEntry>,
    list: u32,
}

impl PolicySink {
    /// The set's revision is 0 until the first list is complete, or the kind is known not to be served.
    pub fn new(settings: policy::Settings) -> (Self, watch::Receiver<Arc<PolicySet>>) {
        let (set, reader) = watch::channel(Arc::default());
        let types = TypeMeta { api_version: "watchpolicy.io/v1alpha1".into(), kind: "WatchPolicy".into() };
        let sink = Self {
            settings,
            types,
            entries: BTreeMap::new(),
            list: 0,
            listed: false,
            revision: 0,
            telling: Telling::default(),
            set,
            statuses: Arc::default(),
        };
        (sink, reader)
    }

    /// The statuses of the policies. Each is there before the set has its policy.
    pub fn statuses(&self) -> Arc<Statuses> {
        Arc::clone(&self.statuses)
    }

    fn identity(&self, raw: &str) -> Option<Identity> {
        Document::decode(raw, &Projection::default(), &self.types)
            .inspect_err(|error| tracing::warn!(%error, "a WatchPolicy without identity was passed over"))
            .ok()
            .map(|document| document.id)
    }

    /// The policy, and the status that it has.
    fn read(&self, id: &Identity, raw: &str) -> (PolicyEntry, Option<WatchPolicyStatus>) {
        let policy = match serde_json::from_str::<WatchPolicy>(raw) {
            Ok(policy) => policy,
            Err(error) => return unreadable(id, raw, &error),
        };
        let generation = policy.metadata.generation.unwrap_or_default();
        let deleting = policy.metadata.deletion_timestamp.is_some();
        let known = self.entries.get(&id.name).map(|kept| &kept.entry);
        let state = match known {
            // Only the status is new.
            Some(known) if is_same(known, id, generation) && known.deleting == deleting => {
                known.state.clone()
            }
            _ => match policy::compile(&policy, &self.settings) {
                Ok(compiled) => PolicyState::Compiled(Arc::new(compiled)),
                Err(faults) => PolicyState::Invalid(Arc::new(faults)),
            },
        };
        let entry = PolicyEntry {
            name: Arc::clone(&id.name),
            uid: Arc::clone(&id.uid),
            generation,
            mode: Some(policy.spec.mode),
            on_delete: Some(policy.spec.enforcement.unwrap_or_default().on_delete),
            deleting,
            finalizers: policy
                .metadata
                .finalizers
                .iter()
                .flatten()
                .map(|name| name.as_str().into())
                .collect(),
            state,
        };
        (entry, policy.status)
    }

    fn publish(&mut self, programs: bool) {
        if !self.listed {
            return;
        }
        self.revision += u64::from(programs);
        let entries =
            self.entries.iter().map(|(name, kept)| (Arc::clone(name), Arc::clone(&kept.entry))).collect();
        self.set.send_replace(Arc::new(PolicySet { revision: self.revision, entries }));
    }
}

impl Sink for PolicySink {
    fn listing(&mut self) {
        self.list = self.list.wrapping_add(1);
    }

    fn seen(&mut self, raw: &str) {
        let Some(id) = self.identity(raw) else { return };
        let (entry, status) = self.read(&id, raw);
        let status = status.filter(WatchPolicyStatus::is_written);
        self.statuses.show(&id.name, Shown { uid: id.uid, status: status.map(Arc::new) });
        if let Some(kept) = self.entries.get_mut(&id.name)
            && runs_as(&kept.entry, &entry)
        {
            kept.list = self.list;
            if kept.entry.finalizers != entry.finalizers {
                kept.entry = Arc::new(entry);
                self.publish(false);
            }
            return;
        }
        self.entries.insert(id.name, Kept { entry: Arc::new(entry), list: self.list });
        self.publish(true);
    }

    fn deleted(&mut self, raw: &str) {
        let Some(id) = self.identity(raw) else { return };
        if self.entries.remove(&id.name).is_some() {
            self.statuses.forget(&id.name);
            self.publish(true);
        }
    }

    fn listed(&mut self) {
        let list = self.list;
        self.entries.retain(|_, kept| kept.list == list);
        self.statuses.retain(|policy| self.entries.contains_key(policy));
        self.listed = true;
        self.publish(true);
    }

    fn phase(&mut self, phase: Phase) {
        if self.telling.is_due(&phase) {
            tell(&phase);
        }
        // Of a kind that is not served there are no objects: that is read as well as an empty list is.
        if phase == Phase::Absent && !self.listed {
            self.listed = true;
            self.publish(true);
        }
    }
}

fn tell(phase: &Phase) {
    match phase {
        Phase::Listing | Phase::Synced => tracing::info!(?phase, "policies"),
        Phase::Absent => tracing::error!(
            "the CRD watchpolicies.watchpolicy.io is not installed: apply what `watchpolicy crd` prints"
        ),
        Phase::Forbidden { verb } => tracing::error!(
            "the operator may not {verb} watchpolicies.watchpolicy.io: its ClusterRole must allow it"
        ),
        Phase::Degraded(why) | Phase::LimitExceeded(why) => {
            tracing::warn!(why, "policies cannot be followed at this moment");
        }
    }
}

/// Whether the known state still holds. What could not be read may be readable by now: a repaired CRD prunes, defaults
/// or converts without a new generation.
fn is_same(known: &PolicyEntry, id: &Identity, generation: i64) -> bool {
    let readable = !matches!(known.state, PolicyState::Unreadable(_));
    readable && known.uid == id.uid && known.generation == generation
}

/// Whether what is watched and judged for two states of a policy is the same.
fn runs_as(known: &PolicyEntry, new: &PolicyEntry) -> bool {
    let same_state = match (&known.state, &new.state) {
        (PolicyState::Compiled(known), PolicyState::Compiled(new)) => Arc::ptr_eq(known, new),
        (PolicyState::Invalid(known), PolicyState::Invalid(new)) => Arc::ptr_eq(known, new),
        (PolicyState::Unreadable(known), PolicyState::Unreadable(new)) => known == new,
        _ => false,
    };
    let of = |entry: &PolicyEntry| (entry.generation, entry.deleting, entry.is_held());
    same_state && known.uid == new.uid && of(known) == of(new)
}

/// What can be said of a policy that was stored by another version of the CRD.
fn unreadable(
    id: &Identity,
    raw: &str,
    error: &serde_json::Error,
) -> (PolicyEntry, Option<WatchPolicyStatus>) {
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct Readable {
        metadata: Metadata,
        status: Option<WatchPolicyStatus>,
    }
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct Metadata {
        generation: i64,
        #[serde(rename = "deletionTimestamp")]
        deleting: Option<serde::de::IgnoredAny>,
        finalizers: Option<Vec<Box<str>>>,
    }
    let Readable { metadata, status } = serde_json::from_str(raw).unwrap_or_default();
    let entry = PolicyEntry {
        name: Arc::clone(&id.name),
        uid: Arc::clone(&id.uid),
        generation: metadata.generation,
        mode: None,
        on_delete: None,
        deleting: metadata.deleting.is_some(),
        finalizers: metadata.finalizers.unwrap_or_default().into(),
        state: PolicyState::Unreadable(error.to_string().into()),
    };
    (entry, status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_that_is_not_served_is_read_as_no_policies() {
        let (mut sink, set) = PolicySink::new(policy::Settings::default());
        sink.listing();
        assert_eq!(set.borrow().revision, 0);
        sink.phase(Phase::Absent);
        assert_eq!((set.borrow().revision, set.borrow().entries.len()), (1, 0));
        sink.phase(Phase::Absent);
        assert_eq!(set.borrow().revision, 1);
    }

    #[test]
    fn a_finalizer_or_a_deletion_is_a_change_of_what_is_watched_and_a_status_is_none() {
        let (mut sink, set) = PolicySink::new(policy::Settings::default());
        let raw = |metadata: &str, rest: &str| {
            format!(
                r#"{{"metadata":{{"name":"p","uid":"u","generation":1{metadata}}},"spec":{{"targets":
                [{{"resources":["pods"]}}],"rules":[{{"name":"r","forbid":true}}]}}{rest}}}"#
            )
        };
        sink.listing();
        sink.seen(&raw("", ""));
        sink.listed();
        let after = |sink: &mut PolicySink, raw: &str| {
            let before = set.borrow().revision;
            sink.seen(raw);
            let entry = Arc::clone(&set.borrow().entries["p"]);
            (set.borrow().revision > before, entry.watching().is_some(), entry.running().is_some())
        };
        let (held, deleted) =
            (r#","finalizers":["watchpolicy.io/release"]"#, r#","deletionTimestamp":"2026-01-01T00:00:00Z""#);
        assert_eq!(after(&mut sink, &raw("", r#","status":{"reason":"Synced"}"#)), (false, true, true));
        assert_eq!(after(&mut sink, &raw(held, "")), (true, true, true));
        assert_eq!(after(&mut sink, &raw(&format!("{held}{deleted}"), "")), (true, true, false));
        assert_eq!(after(&mut sink, &raw(deleted, "")), (true, false, false));
    }

    #[test]
    fn a_status_that_was_written_is_told_of_its_policy_and_leaves_the_set_as_it_is() {
        let (mut sink, mut set) = PolicySink::new(policy::Settings::default());
        let statuses = sink.statuses();
        let raw = |name: &str, rest: &str| {
            format!(
                r#"{{"metadata":{{"name":"{name}","uid":"u-{name}","generation":1}},"spec":{{"targets":
                [{{"resources":["pods"]}}],"rules":[{{"name":"r","forbid":true}}]}}{rest}}}"#
            )
        };
        let names: Vec<_> = (0..1000).map(|n| format!("p{n}")).collect();
        sink.listing();
        names.iter().for_each(|name| sink.seen(&raw(name, "")));
        sink.listed();
        assert_eq!(told(&statuses).len(), 1000);
        set.mark_unchanged();
        for name in &names {
            sink.seen(&raw(name, r#","status":{"reason":"Synced"}"#));
            assert_eq!(told(&statuses), [name.as_str().into()].into());
        }
        assert!(!set.has_changed().unwrap(), "who follows the policies has nothing to do");
        // Nor does a list that shows what was known.
        sink.listing();
        names.iter().for_each(|name| sink.seen(&raw(name, r#","status":{"reason":"Synced"}"#)));
        assert_eq!((told(&statuses).len(), set.has_changed().unwrap()), (0, false));
        sink.listed();
        assert_eq!(set.borrow().entries.len(), 1000);
    }

    #[test]
    fn the_status_that_the_server_gives_a_new_policy_is_none() {
        let (mut sink, _set) = PolicySink::new(policy::Settings::default());
        let raw = |generation: i64| {
            format!(
                r#"{{"metadata":{{"name":"p","uid":"u","generation":1}},"spec":{{"targets":[{{"resources":["pods"]}}],
                "rules":[{{"name":"r","forbid":true}}]}},"status":{{"observedGeneration":{generation}}}}}"#
            )
        };
        sink.seen(&raw(-1));
        assert!(sink.statuses().of("p").unwrap().status.is_none());
        sink.seen(&raw(1));
        assert!(sink.statuses().of("p").unwrap().status.is_some());
    }

    #[test]
    fn a_policy_that_cannot_be_read_is_met_once_whatever_its_status() {
        let (mut sink, mut set) = PolicySink::new(policy::Settings::default());
        let raw =
            |rest: &str| format!(r#"{{"metadata":{{"name":"p","uid":"u","generation":1}},"spec":7{rest}}}"#);
        sink.listing();
        sink.seen(&raw(""));
        sink.listed();
        set.mark_unchanged();
        sink.seen(&raw(r#","status":{"reason":"Unreadable"}"#));
        assert!(!set.has_changed().unwrap());
        let shown = sink.statuses().of("p").unwrap().status.unwrap();
        assert_eq!(shown.reason.as_deref(), Some("Unreadable"));
    }

    /// The policies of which a status was told, without waiting.
    fn told(statuses: &Statuses) -> std::collections::BTreeSet<Arc<str>> {
        use futures::FutureExt;
        statuses.changed().now_or_never().unwrap_or_default()
    }
}
