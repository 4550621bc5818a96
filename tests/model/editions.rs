//! What the policies say, and said before.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tokio::time::Instant;

/// What a policy says for a time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Edition {
    uid: Value,
    /// What its rules write: the value by the field, null where they take it away.
    writes: BTreeMap<String, Value>,
    pub(crate) enforces: bool,
    /// Of one that is gone, as it was before.
    takes_back: bool,
    /// Whether it has the operator's finalizer.
    pub(crate) is_held: bool,
    is_gone: bool,
}

impl Edition {
    /// What a policy says as the server has it.
    pub(crate) fn of(policy: &Value) -> Self {
        let (metadata, spec) = (&policy["metadata"], &policy["spec"]);
        let is_ending = !metadata["deletionTimestamp"].is_null();
        let finalizers = metadata["finalizers"].as_array();
        let writes = spec["rules"].as_array().into_iter().flatten().map(|rule| {
            let path = rule["path"].as_str().unwrap_or_default();
            (pointer(path), rule["fix"]["set"].clone())
        });
        Self {
            uid: metadata["uid"].clone(),
            writes: writes.collect(),
            enforces: spec["mode"] == "Enforce" && spec["suspend"] != true && !is_ending,
            takes_back: spec["enforcement"]["onDelete"] == "Release",
            is_held: finalizers.is_some_and(|held| held.iter().any(|by| by == "watchpolicy.io/release")),
            is_gone: false,
        }
    }

    fn gone(self) -> Self {
        Self { enforces: false, is_held: false, is_gone: true, ..self }
    }

    /// Whether it would write this at a field; null is nothing.
    pub(crate) fn sets(&self, at: &str, value: &Value) -> bool {
        self.writes.get(at) == Some(value)
    }

    /// Whether a field is its own if it has written it.
    pub(crate) fn wants(&self, at: &str) -> bool {
        self.enforces && self.writes.contains_key(at)
    }

    /// Whether it writes what it will have to take back.
    pub(crate) fn is_to_be_held(&self) -> bool {
        self.enforces && self.takes_back
    }

    /// Whether what it does not want any more is taken off objects.
    pub(crate) fn takes_off(&self) -> bool {
        self.takes_back && !self.is_gone
    }
}

/// What policies said, by field manager, and since when.
#[derive(Default)]
pub(crate) struct Editions(BTreeMap<String, Vec<(Instant, Edition)>>);

impl Editions {
    /// Notes what the policy of a name says now; `None` where there is none.
    pub(crate) fn note(&mut self, name: &str, policy: Option<&Value>) {
        let now = Instant::now();
        let nobody = || vec![(now, Edition::default().gone())];
        let known = self.0.entry(format!("watchpolicy/{name}")).or_insert_with(nobody);
        let last = known.last().map(|(_, last)| last.clone()).unwrap_or_default();
        let edition = policy.map_or_else(|| last.clone().gone(), Edition::of);
        if edition != last {
            known.push((now, edition));
        }
    }

    /// All that a policy ever said.
    pub(crate) fn ever(&self, manager: &str) -> impl Iterator<Item = &Edition> {
        self.0.get(manager).into_iter().flatten().map(|(_, edition)| edition)
    }

    /// What it said at a time, and until another.
    pub(crate) fn between(
        &self,
        manager: &str,
        (from, to): (Instant, Instant),
    ) -> impl Iterator<Item = &Edition> {
        let known = self.0.get(manager).map(Vec::as_slice).unwrap_or_default();
        let first = known.partition_point(|(since, _)| *since <= from).saturating_sub(1);
        let end = known.partition_point(|(since, _)| *since <= to);
        known[first..end.max(first)].iter().map(|(_, edition)| edition)
    }

    /// What it says now.
    pub(crate) fn last(&self, manager: &str) -> Option<&Edition> {
        self.0.get(manager)?.last().map(|(_, edition)| edition)
    }

    /// By manager, the fields that it has written, as far as it wants them no more, or did not all the time.
    fn left(&self) -> impl Iterator<Item = (&String, Left<'_>)> {
        self.0.iter().flat_map(|(manager, known)| {
            let fields: BTreeSet<_> = known.iter().flat_map(|(_, edition)| edition.writes.keys()).collect();
            fields.into_iter().filter_map(move |at| Some((manager, Left::new(at, known)?)))
        })
    }

    /// The fields whose value in the end follows from when exactly a policy ended, or lost its rule: one that keeps what it
    /// wrote, or where others write too.
    pub(crate) fn open(&self, others: &BTreeSet<String>) -> BTreeSet<&String> {
        let is_open = |left: &Left<'_>| left.is_over && (left.was_kept || others.contains(left.at));
        self.left().filter(|(_, left)| is_open(left)).map(|(_, left)| left.at).collect()
    }

    /// Whether a manager's entry may lack a field, though it has written the value: it was to be let go of meanwhile.
    pub(crate) fn may_lack(&self, manager: &str, at: &str) -> bool {
        self.left().any(|(of, left)| of == manager && left.at == at && left.was_kept)
    }

    /// Whether a policy has ended, and what it says of objects follows from when that was.
    pub(crate) fn is_open(&self, name: &str, others: &BTreeSet<String>) -> bool {
        let manager = format!("watchpolicy/{name}");
        let has_ended = self.last(&manager).is_some_and(|last| !last.enforces);
        let open = self.open(others);
        has_ended && self.left().any(|(of, left)| *of == manager && left.is_over && open.contains(left.at))
    }
}

/// A field that a policy enforced, and then did not.
struct Left<'e> {
    at: &'e String,
    /// It does not do so in the end.
    is_over: bool,
    /// The value was to stay at some time when it did not.
    was_kept: bool,
}

impl<'e> Left<'e> {
    fn new(at: &'e String, known: &[(Instant, Edition)]) -> Option<Self> {
        let editions = known.iter().map(|(_, edition)| edition).skip_while(|edition| !edition.wants(at));
        let without: Vec<_> = editions.filter(|edition| !edition.wants(at)).collect();
        let is_over = known.last().is_some_and(|(_, last)| !last.wants(at));
        let was_kept = without.iter().any(|edition| !edition.takes_back);
        (!without.is_empty()).then_some(Self { at, is_over, was_kept })
    }
}

/// The JSON Pointer of a path that names one place.
fn pointer(path: &str) -> String {
    let (names, quoted) = path.split_once("['").unwrap_or((path, ""));
    let pointer = names.trim_start_matches('$').replace('.', "/");
    match quoted.strip_suffix("']") {
        Some(name) => format!("{pointer}/{}", name.replace('/', "~1")),
        None => pointer,
    }
}
