//! What must hold of every request that would change something, whatever happens.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cluster::Id;
use crate::fields;
use crate::story::{LEASE, RENEW};

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
}

/// Keeps an eye on all that is asked.
#[derive(Default)]
pub(crate) struct Law {
    /// The fields that each field manager may write.
    declared: BTreeMap<String, BTreeSet<String>>,
    /// Managers that only plan.
    plans: BTreeSet<String>,
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
    pub(crate) fn declare(&mut self, policy: &str, pointer: &str, plans: bool) {
        let manager = format!("watchpolicy/{policy}");
        if plans {
            self.plans.insert(manager.clone());
        }
        self.declared.entry(manager).or_default().insert(pointer.to_owned());
    }

    pub(crate) fn stop_writes(&mut self, stopped: bool) {
        self.stopped = stopped.then(Instant::now);
    }

    pub(crate) fn ends(&mut self, who: &str) {
        self.ending.insert(who.to_owned());
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
        let Arrived { id, manager, dry_run, operations, before, after } = *arrived;
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

    /// Whether a status is written as the status of the policy that is there.
    pub(crate) fn judge_status(&mut self, sent: &Sent, arrived: &Arrived<'_>) {
        self.judge_right(sent, &format!("the status of {}", arrived.id.name));
        let uid = json!({"op": "test", "path": "/metadata/uid", "value": arrived.before["metadata"]["uid"]});
        if !arrived.operations.contains(&uid) {
            self.breach(sent, "a status is written without its policy's uid");
        }
        let is_status = |at: &String| at.starts_with("/status/");
        if !fields::changed(arrived.before, arrived.after).iter().all(is_status) {
            self.breach(sent, "more than the status is written");
        }
    }

    fn breach(&mut self, sent: &Sent, what: &str) {
        self.breaches.push(format!("{}: {what}", sent.by));
    }
}

/// A pointer, and those of all that it is in.
fn prefixes(pointer: &str) -> impl Iterator<Item = &str> {
    let ends = pointer.char_indices().skip(1).filter(|(_, letter)| *letter == '/').map(|(at, _)| at);
    ends.chain([pointer.len()]).map(|end| &pointer[..end])
}
