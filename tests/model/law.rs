//! What must hold of every request that would change something, whatever happens.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cluster::Id;
use crate::fields;
use crate::story::{LEASE, RENEW};

/// A policy that ended is known to have by then, whatever has become of the watch that tells it.
const LATE: Duration = Duration::from_secs(30);
/// A request that arrives sooner than this arrives while nobody else can have taken the Lease.
const GAP: Duration = LEASE.saturating_sub(RENEW);

/// Who sent a request, and how the Lease stood then.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) by: String,
    pub(crate) at: Instant,
    holder: String,
    /// When the sender's last claim that the server took was sent.
    renewed: Option<Instant>,
}

/// A patch that has arrived.
pub(crate) struct Arrived<'a> {
    pub(crate) id: &'a Id,
    pub(crate) manager: &'a str,
    pub(crate) dry_run: bool,
    pub(crate) operations: &'a [Value],
    pub(crate) before: &'a Value,
    pub(crate) after: &'a Value,
    /// Whether the Lease names the object's kind as one that is written.
    pub(crate) is_named: bool,
}

/// Keeps an eye on all that is asked.
#[derive(Default)]
pub(crate) struct Law {
    /// The fields that each field manager may write.
    declared: BTreeMap<String, BTreeSet<String>>,
    /// Managers that only plan.
    plans: BTreeSet<String>,
    /// Managers that take back what they wrote.
    take_back: BTreeSet<String>,
    /// When policies ended, by manager.
    ended: BTreeMap<String, Instant>,
    renewed: BTreeMap<String, Instant>,
    holder: String,
    /// The objects as each replica last read them.
    read: BTreeMap<(String, Id), Value>,
    stopped: Option<Instant>,
    /// Those who were told to end: they give the Lease back while a request may be under way.
    ending: BTreeSet<String>,
    /// Writes that changed something, the Lease aside.
    pub(crate) writes: usize,
    pub(crate) breaches: Vec<String>,
}

impl Law {
    pub(crate) fn declare(&mut self, policy: &str, pointer: &str, plans: bool, takes_back: bool) {
        let manager = format!("watchpolicy/{policy}");
        if plans {
            self.plans.insert(manager.clone());
        }
        if takes_back {
            self.take_back.insert(manager.clone());
        }
        self.declared.entry(manager).or_default().insert(pointer.to_owned());
    }

    pub(crate) fn stop_writes(&mut self, stopped: bool) {
        self.stopped = stopped.then(Instant::now);
    }

    pub(crate) fn ends(&mut self, who: &str) {
        self.ending.insert(who.to_owned());
    }

    /// Somebody ended a policy.
    pub(crate) fn end_policy(&mut self, policy: &str) {
        self.ended.entry(format!("watchpolicy/{policy}")).or_insert_with(Instant::now);
    }

    /// What policies that ended, and keep what they wrote, were declared to write: what others write there stands as
    /// it happened to be when they ended.
    pub(crate) fn left(&self) -> BTreeSet<&String> {
        let kept = self.ended.keys().filter(|manager| !self.take_back.contains(*manager));
        kept.flat_map(|manager| &self.declared[manager]).collect()
    }

    /// Whether a policy ended that keeps what it wrote: what it says in the end follows from when that was.
    pub(crate) fn keeps(&self, policy: &str) -> bool {
        let manager = format!("watchpolicy/{policy}");
        self.has_ended(&manager) && !self.take_back.contains(&manager)
    }

    /// Whether a policy ended.
    pub(crate) fn has_ended(&self, manager: &str) -> bool {
        self.ended.contains_key(manager)
    }

    /// Who holds the Lease.
    pub(crate) fn holder(&self) -> &str {
        &self.holder
    }

    /// To be called in the moment in which a request leaves its sender.
    pub(crate) fn sent(&self, by: &str) -> Sent {
        let renewed = self.renewed.get(by).copied();
        Sent { by: by.to_owned(), at: Instant::now(), holder: self.holder.clone(), renewed }
    }

    /// The server took a claim, or the Lease back.
    pub(crate) fn claimed(&mut self, sent: &Sent, holder: &str) {
        let before = std::mem::replace(&mut self.holder, holder.to_owned());
        let lasts = self.renewed.get(&before).is_some_and(|renewed| renewed.elapsed() < RENEW);
        if !before.is_empty() && before != sent.by && lasts {
            self.breach(sent, &format!("took the Lease from {before}, whose term lasts"));
        }
        if holder == sent.by {
            self.renewed.insert(holder.to_owned(), sent.at);
        } else if !holder.is_empty() {
            self.breach(sent, &format!("wrote {holder} into the Lease"));
        }
    }

    /// Notes what a replica was given.
    pub(crate) fn was_read(&mut self, by: &str, id: &Id, object: &Value) {
        self.read.insert((by.to_owned(), id.clone()), object.clone());
    }

    /// Whether a write, wherever to, was the sender's to send.
    pub(crate) fn judge_right(&mut self, sent: &Sent, what: &str) {
        let Sent { by, at, holder, renewed } = sent;
        if holder != by {
            self.breach(sent, &format!("{what}: sent while {holder:?} held the Lease"));
        }
        if renewed.is_none_or(|renewed| at.duration_since(renewed) > RENEW) {
            self.breach(sent, &format!("{what}: sent when the term was over"));
        }
        if self.holder != *by && at.elapsed() < GAP && !self.ending.contains(by) {
            self.breach(sent, &format!("{what}: arrived in no time, and {:?} holds the Lease", self.holder));
        }
    }

    /// Whether a patch of a judged object does what was declared, to what was judged.
    pub(crate) fn judge_patch(&mut self, sent: &Sent, arrived: &Arrived<'_>) {
        self.judge_right(sent, &format!("{:?}", arrived.id));
        let Arrived { id, manager, dry_run, operations, before, after, is_named } = *arrived;
        let what = format!("{manager} on {}", id.name);
        if self.stopped.is_some_and(|stopped| sent.at.duration_since(stopped) > RENEW) {
            self.breach(sent, &format!("{what}: written while writes are stopped"));
        }
        if self.plans.contains(manager) && !dry_run {
            self.breach(sent, &format!("{what}: a plan is carried out"));
        }
        let Some(read) = self.read.get(&(sent.by.clone(), id.clone())).cloned() else {
            return self.breach(sent, &format!("{what}: written unread"));
        };
        let expects =
            |at: &str, value: &Value| operations.contains(&json!({"op": "test", "path": at, "value": value}));
        if !expects("/metadata/uid", &read["metadata"]["uid"]) {
            self.breach(sent, &format!("{what}: the uid that was read is not tested"));
        }
        if operations.iter().any(lets_go) {
            return self.judge_release(sent, arrived, &read);
        }
        if !dry_run && !is_named {
            self.breach(sent, &format!("{what}: written while the Lease does not name its kind"));
        }
        let ended = self.ended.get(manager);
        if !dry_run && ended.is_some_and(|ended| sent.at.saturating_duration_since(*ended) > LATE) {
            self.breach(sent, &format!("{what}: fixed for a policy that has ended"));
        }
        for at in fields::changed(before, after) {
            if !self.declared.get(manager).is_some_and(|declared| declared.contains(&at)) {
                self.breach(sent, &format!("{what}: {at} is not declared"));
            }
            let is_tested = match read.pointer(&at) {
                Some(value) => expects(&at, value),
                None => prefixes(&at).any(|prefix| expects(prefix, &Value::Null)),
            };
            if !is_tested {
                self.breach(sent, &format!("{what}: {at} is not tested to be as it was read"));
            }
        }
    }

    /// Whether a policy that ended lets go of what is its own, and of nothing else.
    fn judge_release(&mut self, sent: &Sent, arrived: &Arrived<'_>, read: &Value) {
        let Arrived { id, manager, dry_run, operations, before, after, is_named: _ } = *arrived;
        let what = format!("{manager} on {}", id.name);
        let mut breach = |words: &str| self.breaches.push(format!("{}: {what}: {words}", sent.by));
        if dry_run || !self.ended.contains_key(manager) {
            breach("let go of by a policy that has not ended");
        }
        let is_entry = |operation: &&Value| {
            let path = operation["path"].as_str().unwrap_or_default();
            operation["op"] == "test" && path.starts_with("/metadata/managedFields/")
        };
        if operations.iter().filter(is_entry).any(|entry| entry["value"]["manager"] != manager) {
            breach("more than its own entry is tested, or it is not tested at all");
        }
        let (mut owned, left) = (fields::owned(before), fields::owned(after));
        let own = owned.remove(manager).unwrap_or_default();
        if own.is_empty() || owned != left {
            breach("more than its own entry goes, or less");
        }
        for at in fields::changed(before, after) {
            let is_own = own.contains(&at) && !owned.values().flatten().any(|other| *other == at);
            let is_label = at.starts_with("/metadata/annotations/") || at.starts_with("/metadata/labels/");
            if !is_own || !is_label || !self.take_back.contains(manager) || after.pointer(&at).is_some() {
                breach(&format!("{at} is not its own to take back"));
            }
            let value = read.pointer(&at).unwrap_or(&Value::Null);
            if !operations.contains(&json!({"op": "test", "path": at, "value": value})) {
                breach(&format!("{at} is not tested to be as it was read"));
            }
        }
    }

    /// Whether a policy's status, or its finalizers, are written as those of the policy that is there.
    pub(crate) fn judge_policy(&mut self, sent: &Sent, arrived: &Arrived<'_>, place: &str) {
        self.judge_right(sent, &format!("{place} of {}", arrived.id.name));
        let uid = json!({"op": "test", "path": "/metadata/uid", "value": arrived.before["metadata"]["uid"]});
        if !arrived.operations.contains(&uid) {
            self.breach(sent, &format!("{place} is written without its policy's uid"));
        }
        if !fields::changed(arrived.before, arrived.after).iter().all(|at| at.starts_with(place)) {
            self.breach(sent, &format!("more than {place} is written"));
        }
    }

    fn breach(&mut self, sent: &Sent, what: &str) {
        self.breaches.push(format!("{}: {what}", sent.by));
    }
}

/// Whether an operation changes who owns what.
fn lets_go(operation: &Value) -> bool {
    operation["op"] != "test"
        && operation["path"].as_str().is_some_and(|path| path.starts_with("/metadata/managedFields"))
}

/// A pointer, and those of all that it is in.
fn prefixes(pointer: &str) -> impl Iterator<Item = &str> {
    let ends = pointer.char_indices().skip(1).filter(|(_, letter)| *letter == '/').map(|(at, _)| at);
    ends.chain([pointer.len()]).map(|end| &pointer[..end])
}
