//! What must hold of every request that would change something, whatever happens.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cluster::Id;
use crate::editions::{Edition, Editions};
use crate::fields;
use crate::story::{LEASE, RENEW};

/// Nothing is written for what a policy said until longer ago: what the server said of it is believed for ten seconds, and
/// a write may wait for the Lease for one more.
const LATE: Duration = Duration::from_secs(12);
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
    pub(crate) editions: Editions,
    /// The fields that others write.
    pub(crate) others: BTreeSet<String>,
    /// When each replica that was stopped went on.
    woken: BTreeMap<String, Instant>,
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
    pub(crate) fn stop_writes(&mut self, stopped: bool) {
        self.stopped = stopped.then(Instant::now);
    }

    pub(crate) fn ends(&mut self, who: &str) {
        self.ending.insert(who.to_owned());
    }

    /// A replica that was stopped goes on.
    pub(crate) fn wakes(&mut self, who: &str) {
        self.woken.insert(who.to_owned(), Instant::now());
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
        let Arrived { id, manager, operations, .. } = *arrived;
        let what = format!("{manager} on {}", id.name);
        if self.stopped.is_some_and(|stopped| sent.at.duration_since(stopped) > RENEW) {
            self.breach(sent, &format!("{what}: written while writes are stopped"));
        }
        let Some(read) = self.read.get(&(sent.by.clone(), id.clone())).cloned() else {
            return self.breach(sent, &format!("{what}: written unread"));
        };
        if !expects(operations, "/metadata/uid", &read["metadata"]["uid"]) {
            self.breach(sent, &format!("{what}: the uid that was read is not tested"));
        }
        if operations.iter().any(lets_go) {
            self.judge_release(sent, arrived, &read);
        } else {
            self.judge_fix(sent, arrived, &read);
        }
    }

    /// Whether a policy writes what it wants, where that is as it was judged.
    fn judge_fix(&mut self, sent: &Sent, arrived: &Arrived<'_>, read: &Value) {
        let Arrived { id, manager, dry_run, operations, before, after, is_named } = *arrived;
        let what = format!("{manager} on {}", id.name);
        if !dry_run && !is_named {
            self.breach(sent, &format!("{what}: written while the Lease does not name its kind"));
        }
        let changed = fields::changed(before, after);
        let wants = |edition: &Edition| {
            let is_held = edition.is_held || !edition.is_to_be_held();
            let mut values = changed.iter().map(|at| (at, after.pointer(at).unwrap_or(&Value::Null)));
            (dry_run || edition.enforces && is_held) && values.all(|(at, value)| edition.sets(at, value))
        };
        let wanted = if dry_run {
            self.editions.ever(manager).any(wants)
        } else {
            self.lately(manager, sent).any(wants)
        };
        if !wanted {
            self.breach(sent, &format!("{what}: {changed:?} is not what its policy wants, or lately wanted"));
        }
        for at in changed {
            let is_tested = match read.pointer(&at) {
                Some(value) => expects(operations, &at, value),
                None => prefixes(&at).any(|prefix| expects(operations, prefix, &Value::Null)),
            };
            if !is_tested {
                self.breach(sent, &format!("{what}: {at} is not tested to be as it was read"));
            }
        }
    }

    /// What a policy may still be thought to say by whoever sends something.
    fn lately(&self, manager: &str, sent: &Sent) -> impl Iterator<Item = &Edition> {
        // Who is stopped between the look and the write does not know, and no term lasts longer.
        let woke_lately = self.woken.get(&sent.by).is_some_and(|woke| sent.at.duration_since(*woke) < LATE);
        let late = if woke_lately { LATE + RENEW } else { LATE };
        self.editions.between(manager, (sent.at.checked_sub(late).unwrap_or(sent.at), sent.at))
    }

    /// Whether a policy lets go of what is its own and not wanted any more, and of nothing else.
    fn judge_release(&mut self, sent: &Sent, arrived: &Arrived<'_>, read: &Value) {
        let Arrived { id, manager, dry_run, operations, before, after, .. } = *arrived;
        let what = format!("{manager} on {}", id.name);
        let mut breaches = Vec::new();
        let mut breach = |words: &str| breaches.push(format!("{}: {what}: {words}", sent.by));
        let is_entry = |operation: &&Value| {
            let path = operation["path"].as_str().unwrap_or_default();
            operation["op"] == "test" && path.starts_with("/metadata/managedFields/")
        };
        if operations.iter().filter(is_entry).any(|entry| entry["value"]["manager"] != manager) {
            breach("more than its own entry is tested, or it is not tested at all");
        }
        let (mut owned, mut left) = (fields::owned(before), fields::owned(after));
        let mut lost = owned.remove(manager).unwrap_or_default();
        let kept = left.remove(manager).unwrap_or_default();
        if owned != left || kept.iter().any(|at| !lost.contains(at)) {
            breach("more than its own entry is changed");
        }
        lost.retain(|at| !kept.contains(at));
        let taken = fields::changed(before, after);
        let lets_go = |edition: &Edition| {
            let takes_off = taken.is_empty() || edition.takes_off();
            takes_off && !lost.is_empty() && !lost.iter().any(|at| edition.wants(at))
        };
        if dry_run || !self.lately(manager, sent).any(lets_go) {
            breach(&format!(
                "{lost:?} is let go of, and {taken:?} taken off, as its policy does not want it"
            ));
        }
        for at in taken {
            let is_own = lost.contains(&at) && !owned.values().flatten().any(|other| *other == at);
            let is_label = at.starts_with("/metadata/annotations/") || at.starts_with("/metadata/labels/");
            if !is_own || !is_label || after.pointer(&at).is_some() {
                breach(&format!("{at} is not its own to take back"));
            }
            let value = read.pointer(&at).unwrap_or(&Value::Null);
            if !expects(operations, &at, value) {
                breach(&format!("{at} is not tested to be as it was read"));
            }
        }
        self.breaches.append(&mut breaches);
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
        let (before, after) = (Edition::of(arrived.before), Edition::of(arrived.after));
        if before.is_held != after.is_held && before.is_to_be_held() != after.is_held {
            self.breach(sent, &format!("{place} is written as the policy does not want it"));
        }
    }

    fn breach(&mut self, sent: &Sent, what: &str) {
        self.breaches.push(format!("{}: {what}", sent.by));
    }
}

/// Whether a patch tests a value.
fn expects(operations: &[Value], at: &str, value: &Value) -> bool {
    operations.contains(&json!({"op": "test", "path": at, "value": value}))
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
