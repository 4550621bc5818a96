//! Judging what a list brings, as it comes: a document lives as long as its turn, but for the few that are looked at
//! again.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use jiff::Timestamp;

use crate::cli::results::{Entry, ObjectRef, Summary};
use crate::jsonpath::{Document, Roots, TypeMeta};
use crate::policy::demand::WatchSpec;
use crate::policy::{CompiledPolicy, Judgement, Outcome, Subject, is_followed};

use super::kin::{Kin, Relation};
use super::pages::Taker;
use super::progress::Progress;

/// What is kept of a scan at most, in results of rules and in documents: some hundred megabytes.
pub(super) const MOST_KEPT: usize = 1_000_000;

/// What policies read of Namespaces, by name.
pub(super) type Namespaces = BTreeMap<Arc<str>, Arc<Document>>;

/// What every list of a scan is judged with.
pub(super) struct Bench<'b> {
    /// `None` where they could not be had: who reads them judges nothing in them.
    pub(super) namespaces: Option<Namespaces>,
    pub(super) now: Timestamp,
    /// Whether what is well is kept too.
    pub(super) keeps_all: bool,
    /// Whether some policy leaves to controllers what is reported there.
    pub(super) skips_owned: bool,
    pub(super) progress: &'b Progress,
}

/// What came of a list, or of all.
#[derive(Default)]
pub(super) struct Haul {
    pub(super) entries: Vec<Entry>,
    pub(super) summary: Summary,
    /// Fails, and has a controller that may fail too.
    pub(super) pending: Vec<Pending>,
    /// Who may be such a controller.
    pub(super) kin: Vec<Relation>,
    /// Items without so much as a name, and what is wrong with the first.
    pub(super) nameless: Option<(usize, String)>,
    /// The documents themselves, where they are what is wanted.
    pub(super) documents: Namespaces,
    kept: usize,
}

/// An object that is judged again when everything was seen.
pub(super) struct Pending {
    policy: Arc<CompiledPolicy>,
    roots: Arc<Roots>,
    relation: Relation,
}

impl Haul {
    /// Whether more than [`MOST_KEPT`] is kept.
    pub(super) fn is_full(&self) -> bool {
        self.kept > MOST_KEPT
    }

    /// Takes in what came of another list.
    pub(super) fn absorb(&mut self, other: Self) {
        let Self { entries, summary, pending, kin, nameless: _, documents: _, kept } = other;
        self.entries.extend(entries);
        self.summary += summary;
        self.pending.extend(pending);
        self.kin.extend(kin);
        self.kept += kept;
    }

    fn enter(&mut self, entry: Option<Entry>, keeps_all: bool) {
        let Some(entry) = entry else { return };
        self.summary.add(&entry);
        if keeps_all || entry.findings().next().is_some() {
            self.kept += entry.rules.len();
            self.entries.push(entry);
        }
    }

    /// Judges again, with what is known of controllers, what waits for it.
    pub(super) fn settle(&mut self, bench: &Bench<'_>) {
        let kin = Kin::from_iter(std::mem::take(&mut self.kin));
        for Pending { policy, roots, relation } in std::mem::take(&mut self.pending) {
            let Some(subject) = bench.subject(&policy, &roots, &relation) else { continue };
            let judgement = policy.judge_among(&subject, &kin);
            self.enter(Entry::new(&policy.name, reference(&relation), judgement), bench.keeps_all);
        }
    }
}

impl Bench<'_> {
    /// `None` where what the policy reads of the object's Namespace could not be had.
    fn subject<'d>(
        &'d self,
        policy: &CompiledPolicy,
        roots: &'d Roots,
        relation: &'d Relation,
    ) -> Option<Subject<'d>> {
        let Relation { spec, document } = relation;
        let namespace = match &document.id.namespace {
            Some(name) if policy.reads_namespaces() => self.namespaces.as_ref()?.get(name),
            _ => None,
        };
        Some(Subject {
            resource: &spec.resource.resource,
            kind: &spec.served.kind,
            roots,
            document,
            namespace: namespace.map(|namespace| &**namespace),
            now: self.now,
        })
    }
}

/// Takes one list.
pub(super) struct Sweep<'b> {
    bench: &'b Bench<'b>,
    spec: Arc<WatchSpec>,
    types: TypeMeta,
    haul: Haul,
    seen: usize,
}

impl<'b> Sweep<'b> {
    pub(super) fn new(bench: &'b Bench<'b>, spec: &Arc<WatchSpec>) -> Self {
        let api_version = spec.resource.api_version().into();
        let types = TypeMeta { api_version, kind: Arc::clone(&spec.served.kind) };
        Self { bench, spec: Arc::clone(spec), types, haul: Haul::default(), seen: 0 }
    }

    pub(super) fn haul(self) -> Haul {
        self.haul
    }

    fn judge(&mut self, relation: &Relation) {
        let spec = Arc::clone(&self.spec);
        let is_owned = relation.document.controller.is_some();
        let mut is_reported = false;
        for (policy, roots) in &spec.policies {
            let Some(subject) = self.bench.subject(policy, roots, relation) else { continue };
            let judgement = policy.judge(&subject);
            let fails = has(&judgement, Outcome::Fail);
            is_reported |= policy.skips_owned() && (fails || has(&judgement, Outcome::Error));
            if fails && is_owned && policy.skips_owned() {
                let (policy, roots, relation) = (Arc::clone(policy), Arc::clone(roots), relation.clone());
                self.haul.pending.push(Pending { policy, roots, relation });
                self.haul.kept += 1;
            } else {
                let entry = Entry::new(&policy.name, reference(relation), judgement);
                self.haul.enter(entry, self.bench.keeps_all);
            }
        }
        let leads_on = self.bench.skips_owned && is_owned && is_followed(&spec.resource.resource);
        if is_reported || leads_on {
            self.haul.kin.push(relation.clone());
            self.haul.kept += 1;
        }
        if !spec.around.is_empty() {
            let document = &relation.document;
            self.haul.documents.insert(Arc::clone(&document.id.name), Arc::clone(document));
        }
    }
}

impl Taker for Sweep<'_> {
    fn begin(&mut self) {
        (self.haul, self.seen) = (Haul::default(), 0);
    }

    fn take(&mut self, raw: &str) {
        self.seen += 1;
        match Document::decode(raw, &self.spec.projection, &self.types) {
            Ok(document) => {
                let relation = Relation { spec: Arc::clone(&self.spec), document: Arc::new(document) };
                self.judge(&relation);
            }
            Err(error) => {
                self.haul.nameless.get_or_insert_with(|| (0, error.to_string())).0 += 1;
            }
        }
    }

    fn turn(&mut self) -> ControlFlow<()> {
        self.bench.progress.seen(std::mem::take(&mut self.seen), &self.spec.resource.resource);
        if self.haul.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

fn has(judgement: &Judgement, outcome: Outcome) -> bool {
    matches!(judgement, Judgement::Judged(verdict) if verdict.rules.iter().any(|rule| rule.outcome == outcome))
}

fn reference(relation: &Relation) -> ObjectRef {
    let Relation { spec, document } = relation;
    ObjectRef {
        api_version: spec.resource.api_version().into(),
        kind: (*spec.served.kind).into(),
        namespace: document.id.namespace.as_deref().map(Box::from),
        name: (*document.id.name).into(),
    }
}

#[cfg(test)]
#[path = "sweep_tests.rs"]
mod tests;
