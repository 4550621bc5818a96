//! The verdicts of one policy: counts by resource, violations in order.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use jiff::Timestamp;

use super::Object;
use super::finding::{Finding, Place};
use super::obstacles::Obstacles;
use super::standing::{Standing, is_found};
use crate::crd::{FixStatus, Severity, Summary, Violation, WatchPolicyStatus};
use crate::policy::{Judgement, Outcome, RuleVerdict};
use crate::resource::{GroupResource, ObjectKey, ObjectName};

/// Counts of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Counts of objects, and of violations.
    pub summary: Summary,
    /// Violations by severity.
    pub severities: BTreeMap<Severity, u64>,
    /// Objects that the policy takes, those that its `match` leaves out among them, by resource.
    pub objects: BTreeMap<GroupResource, u64>,
    /// What the exceptions that fit some object do, by name.
    pub exceptions: BTreeMap<Arc<str>, Usage>,
}

/// What an exception does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Judged objects that it fits.
    pub used: u64,
    /// How many of them no rule would fail or err on without it.
    pub needless: u64,
}

/// What a policy's status shows of its verdicts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// Counts.
    pub tally: Tally,
    /// The worst findings, in order; shared with the ledger, since their texts may be long.
    pub worst: Vec<(Place, Arc<Finding>)>,
    /// How many findings there are beyond these.
    pub more: u64,
    /// When the verdicts last changed; `None` before the first.
    pub changed: Option<Timestamp>,
    /// What keeps the policy from writing.
    pub obstacles: Obstacles,
}

/// Objects of one resource, by what they are to the policy.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    excluded: u64,
    passed: u64,
    failed: u64,
    errored: u64,
    skipped: u64,
    /// Of the skipped.
    excepted: u64,
    owned: u64,
}

impl Counts {
    fn enter(&mut self, standing: &Standing) {
        *self.of(standing) += 1;
        self.excepted += u64::from(standing.is_excepted());
    }

    fn strike(&mut self, standing: &Standing) {
        let count = self.of(standing);
        *count = count.saturating_sub(1);
        self.excepted = self.excepted.saturating_sub(u64::from(standing.is_excepted()));
    }

    fn of(&mut self, standing: &Standing) -> &mut u64 {
        match standing {
            Standing::Excluded => &mut self.excluded,
            Standing::Passed => &mut self.passed,
            Standing::Skipped => &mut self.skipped,
            Standing::Owned => &mut self.owned,
            Standing::Failed(_) => &mut self.failed,
            Standing::Errored(_) => &mut self.errored,
            Standing::Granted(granted) => self.of(&granted.0),
        }
    }

    fn matched(&self) -> u64 {
        self.passed + self.failed + self.errored + self.skipped + self.owned
    }
}

/// When a violation was first seen, from a stored status.
#[derive(Debug)]
struct Seed {
    violation: Violation,
    first_seen: Timestamp,
}

impl Seed {
    /// Whether it is about the place of the object that was judged, if not about that object itself.
    fn is_of(&self, judged: Object<'_>) -> bool {
        let object = &self.violation.object;
        let ObjectKey { resource, object: name } = judged.key;
        let same_place =
            *object.name == *name.name && object.namespace.as_deref() == name.namespace.as_deref();
        // A status cuts long names and escapes odd ones; the uid stays.
        let same_place = same_place || object.uid.as_deref() == Some(&**judged.uid);
        same_place && *object.resource == *resource.resource && *object.group == *resource.group
    }

    fn fits(&self, judged: Object<'_>, rule: &str) -> bool {
        let same_object = self.violation.object.uid.as_deref().is_none_or(|uid| uid == &**judged.uid);
        self.violation.rule == rule && same_object && self.is_of(judged)
    }
}

/// The place of a stored violation.
fn place(violation: &Violation) -> Place {
    let object = &violation.object;
    let name = ObjectName {
        namespace: object.namespace.as_deref().map(Arc::from),
        name: object.name.as_str().into(),
    };
    Place {
        severity: Reverse(violation.severity),
        key: ObjectKey { resource: GroupResource::new(&*object.group, &*object.resource), object: name },
        rule: violation.rule.as_str().into(),
    }
}

/// All verdicts of one policy.
#[derive(Debug, Default)]
pub(super) struct Book {
    counts: BTreeMap<GroupResource, Counts>,
    findings: BTreeMap<Place, Arc<Finding>>,
    /// About how many bytes they take.
    bytes: usize,
    /// Findings that are counted, and for which there was no room.
    unlisted: u64,
    /// Failures by severity, whether they are listed or not.
    failures: BTreeMap<Severity, u64>,
    /// What each exception that fits some object does.
    exceptions: BTreeMap<Arc<str>, Usage>,
    /// At most as many as a status lists.
    seeds: Vec<Seed>,
    /// An earlier run judged by the policy.
    was_told: bool,
    changed: Option<Timestamp>,
}

/// What a judgement changed.
pub(super) struct Posted {
    pub(super) standing: Option<Standing>,
    pub(super) changed: bool,
    /// The object's findings before, and after.
    pub(super) before: Vec<(Place, Arc<Finding>)>,
    pub(super) after: Vec<(Place, Arc<Finding>)>,
}

impl Book {
    /// Enters a judgement in place of the old standing.
    pub(super) fn post(
        &mut self,
        judged: Object<'_>,
        old: Option<&Standing>,
        judgement: Judgement,
        now: Timestamp,
    ) -> Posted {
        let new = Standing::of(&judgement);
        let before = self.remove_findings(judged.key, old);
        let after = self.new_findings(judged, judgement, &before, now);
        // What was not listed before is news only where the standing says so.
        let changed = old != new.as_ref() || before.iter().any(|found| !after.contains(found));
        for mark in new.iter().flat_map(Standing::places).filter(|mark| mark.outcome == Outcome::Fail) {
            *self.failures.entry(mark.severity).or_default() += 1;
        }
        for (place, finding) in &after {
            self.bytes += finding.bytes();
            self.findings.insert(place.clone(), Arc::clone(finding));
        }
        self.seeds.retain(|seed| !seed.is_of(judged));
        if let Some(old) = old {
            self.discount(&judged.key.resource, old);
        }
        if let Some(new) = &new {
            self.counts.entry(judged.key.resource.clone()).or_default().enter(new);
            for grant in new.grants() {
                let usage = self.exceptions.entry(Arc::clone(&grant.exception)).or_default();
                usage.used += 1;
                usage.needless += u64::from(!grant.needed);
            }
        }
        if changed {
            self.changed = Some(now);
        }
        Posted { standing: new, changed, before, after }
    }

    /// Whether what a list shows may have been told by an earlier run.
    pub(super) fn was_told(&self) -> bool {
        self.was_told
    }

    /// Takes out an object.
    pub(super) fn strike(&mut self, key: &ObjectKey, standing: &Standing, now: Timestamp) {
        self.remove_findings(key, Some(standing));
        self.discount(&key.resource, standing);
        self.changed = Some(now);
    }

    fn discount(&mut self, resource: &GroupResource, standing: &Standing) {
        let Some(counts) = self.counts.get_mut(resource) else { return };
        counts.strike(standing);
        if *counts == Counts::default() {
            self.counts.remove(resource);
        }
        for grant in standing.grants() {
            let Some(usage) = self.exceptions.get_mut(&grant.exception) else { continue };
            usage.used = usage.used.saturating_sub(1);
            usage.needless = usage.needless.saturating_sub(u64::from(!grant.needed));
            if *usage == Usage::default() {
                self.exceptions.remove(&grant.exception);
            }
        }
    }

    fn remove_findings(
        &mut self,
        key: &ObjectKey,
        standing: Option<&Standing>,
    ) -> Vec<(Place, Arc<Finding>)> {
        let places = standing.map(Standing::places).unwrap_or_default();
        let mut removed = Vec::with_capacity(places.len());
        for mark in places {
            if mark.outcome == Outcome::Fail {
                self.failures.entry(mark.severity).and_modify(|count| *count = count.saturating_sub(1));
            }
            match self.findings.remove_entry(&mark.place(key)) {
                Some(found) => {
                    self.bytes = self.bytes.saturating_sub(found.1.bytes());
                    removed.push(found);
                }
                None => self.unlisted = self.unlisted.saturating_sub(1),
            }
        }
        self.failures.retain(|_, count| *count > 0);
        removed
    }

    /// Drops the least severe finding, which is still counted.
    pub(super) fn unlist_last(&mut self) {
        if let Some((_, finding)) = self.findings.pop_last() {
            self.bytes = self.bytes.saturating_sub(finding.bytes());
            self.unlisted += 1;
        }
    }

    /// About how many bytes its findings take; 0 without any.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Findings that are only counted.
    pub(super) fn unlisted(&self) -> u64 {
        self.unlisted
    }

    fn new_findings(
        &self,
        judged: Object<'_>,
        judgement: Judgement,
        before: &[(Place, Arc<Finding>)],
        now: Timestamp,
    ) -> Vec<(Place, Arc<Finding>)> {
        let Judgement::Judged(verdict) = judgement else { return Vec::new() };
        let finding = |rule: RuleVerdict| {
            let place = Place {
                severity: Reverse(rule.severity),
                key: judged.key.clone(),
                rule: Arc::clone(&rule.rule),
            };
            let finding = Finding {
                api_version: Arc::clone(judged.api_version),
                kind: Arc::clone(judged.kind),
                uid: Arc::clone(judged.uid),
                outcome: rule.outcome,
                first_seen: self.first_seen(judged, &rule.rule, before).unwrap_or(now),
                nodes: rule.nodes.into(),
                fix: None,
            };
            let known = before.iter().find(|(other, _)| *other == place);
            // What became of a fix stays true while what it mends is the same.
            let fix =
                known.filter(|(_, old)| old.nodes == finding.nodes).and_then(|(_, old)| old.fix.clone());
            (place, Arc::new(Finding { fix, ..finding }))
        };
        verdict.rules.into_iter().filter(is_found).map(finding).collect()
    }

    fn first_seen(
        &self,
        judged: Object<'_>,
        rule: &Arc<str>,
        before: &[(Place, Arc<Finding>)],
    ) -> Option<Timestamp> {
        let known =
            before.iter().find(|(place, _)| place.rule == *rule).map(|(_, finding)| finding.first_seen);
        known.or_else(|| self.seeds.iter().find(|seed| seed.fits(judged, rule)).map(|seed| seed.first_seen))
    }

    pub(super) fn seed(&mut self, stored: &WatchPolicyStatus) {
        if self.changed.is_none() {
            let seed = |violation: &Violation| {
                let first_seen = violation.first_seen.as_ref()?.0;
                Some(Seed { violation: violation.clone(), first_seen })
            };
            self.seeds = stored.violations.iter().filter_map(seed).collect();
            self.was_told = stored.summary.is_some();
        }
    }

    pub(super) fn adopt(&mut self, stored: &WatchPolicyStatus) {
        for violation in &stored.violations {
            if let Some(first_seen) = &violation.first_seen
                && let Some(finding) = self.findings.get_mut(&place(violation))
                && violation.object.uid.as_deref().is_none_or(|uid| uid == &*finding.uid)
            {
                Arc::make_mut(finding).first_seen = first_seen.0;
            }
        }
    }

    /// Notes what became of the fix of a rule; gives the finding if that is news.
    pub(super) fn note(&mut self, place: &Place, fix: FixStatus, now: Timestamp) -> Option<Arc<Finding>> {
        let finding = self.findings.get_mut(place)?;
        if finding.fix.as_ref() == Some(&fix) {
            return None;
        }
        self.bytes = self.bytes.saturating_sub(finding.bytes());
        Arc::make_mut(finding).fix = Some(fix);
        self.bytes += finding.bytes();
        self.changed = Some(now);
        Some(Arc::clone(finding))
    }

    /// The objects on which rules fail.
    pub(super) fn failing(&self) -> impl Iterator<Item = &ObjectKey> {
        self.findings
            .iter()
            .filter(|(_, finding)| finding.outcome == Outcome::Fail)
            .map(|(place, _)| &place.key)
    }

    pub(super) fn resources(&self) -> impl Iterator<Item = &GroupResource> {
        self.counts.keys()
    }

    pub(super) fn tally(&self, stale: &[GroupResource]) -> Tally {
        let mut summary = Summary::default();
        let mut objects = BTreeMap::new();
        for (resource, counts) in &self.counts {
            let Counts { excluded, passed, failed, errored, skipped, excepted, owned } = counts;
            summary.excluded += excluded;
            summary.passed += passed;
            summary.failed += failed;
            summary.errored += errored;
            summary.skipped += skipped + owned;
            summary.excepted += excepted;
            summary.owned += owned;
            summary.matched += counts.matched();
            *objects.entry(resource.clone()).or_default() += excluded + counts.matched();
            if stale.contains(resource) {
                summary.stale += counts.matched();
            }
        }
        summary.violations = self.failures.values().sum();
        Tally { summary, severities: self.failures.clone(), objects, exceptions: self.exceptions.clone() }
    }

    pub(super) fn findings(&self, after: Option<&Place>, most: usize) -> Vec<(Place, Arc<Finding>)> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let found = self.findings.range((start, Bound::Unbounded));
        found.take(most).map(|(place, finding)| (place.clone(), Arc::clone(finding))).collect()
    }

    pub(super) fn findings_on(&self, key: &ObjectKey, standing: &Standing) -> Vec<(Place, Arc<Finding>)> {
        let places = standing.places().iter().map(|mark| mark.place(key));
        let found = |place: Place| self.findings.get(&place).cloned().map(|finding| (place, finding));
        places.filter_map(found).collect()
    }

    pub(super) fn page(&self, stale: &[GroupResource], most: usize) -> Page {
        let worst: Vec<_> = self
            .findings
            .iter()
            .take(most)
            .map(|(place, finding)| (place.clone(), Arc::clone(finding)))
            .collect();
        let more = u64::try_from(self.findings.len().saturating_sub(worst.len())).unwrap_or(u64::MAX);
        Page {
            tally: self.tally(stale),
            worst,
            more: more.saturating_add(self.unlisted),
            changed: self.changed,
            obstacles: Obstacles::default(),
        }
    }
}
