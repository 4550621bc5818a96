//! The status of a policy, made of what is known; pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Serialize;

use super::conditions::{Writes, enforcing, releasing, statements};
use super::reason::Reason;
use super::shown::shown;
use crate::crd::status::{
    MAX_ACTUAL, MAX_API_VERSION, MAX_LABEL, MAX_MESSAGE, MAX_NAME, MAX_OTHER_PATHS, MAX_PATH, MAX_TARGETS,
    MAX_UID, MAX_VIOLATIONS,
};
use crate::crd::{
    ExceptionStatus, FixStatus, Summary, TargetState, TargetStatus, Violation, ViolationObject,
    ViolationResult, WatchPolicyStatus,
};
use crate::ledger::{Finding, Page, Place, Usage};
use crate::observe::board::TargetReport;
use crate::policy::{CompiledException, CompiledPolicy, Outcome, PolicyEntry};
use crate::resource::GroupResource;

/// The most bytes of a status as JSON, with room to spare under the contract's 64 KiB.
const MAX_BYTES: usize = 60 * 1024;

/// How much room the parts of a status get.
struct Limits {
    targets: usize,
    target_message: usize,
    message: usize,
    path: usize,
    other_paths: usize,
    actual: usize,
}

/// What the schema allows, which nearly always fits.
const GENEROUS: Limits = Limits {
    targets: MAX_TARGETS,
    target_message: MAX_MESSAGE,
    message: MAX_MESSAGE,
    path: MAX_PATH,
    other_paths: MAX_OTHER_PATHS,
    actual: MAX_ACTUAL,
};

/// For policies with very many targets, or very long words.
const TIGHT: Limits =
    Limits { targets: 64, target_message: 128, message: 256, path: 256, other_paths: 0, actual: 64 };

/// What a status is made of.
#[derive(Clone, Copy)]
pub struct View<'v> {
    /// The policy.
    pub entry: &'v PolicyEntry,
    /// Its targets; `None` while nothing is known of them.
    pub targets: Option<&'v [TargetReport]>,
    /// Its verdicts.
    pub page: &'v Page,
    /// The status that is stored.
    pub previous: Option<&'v WatchPolicyStatus>,
    /// Whether the operator writes to judged objects at all.
    pub writes: Writes<'v>,
}

impl View<'_> {
    /// The generation that is judged by: while an edit waits for a wider watch, that of the program before it.
    fn generation(&self) -> i64 {
        let written = self.entry.generation;
        let judged = self.targets.unwrap_or_default().iter().map(|target| target.generation).min();
        judged.filter(|_| self.entry.running().is_some()).map_or(written, |judged| judged.min(written))
    }
}

/// Makes the status of a policy, which the CRD's schema takes, whatever the verdicts are: the server refuses a status as
/// a whole, and one long name would hide all that others are to be told. Times have whole seconds, as they are stored.
/// Its JSON is shorter than 64 KiB: texts are cut first, then the largest entries go.
pub fn render(view: &View<'_>, now: Timestamp) -> WatchPolicyStatus {
    let mut status = base(view, whole_seconds(now));
    let running = view.entry.running();
    status.exceptions = running.map(|policy| exceptions(policy, view.page, now)).unwrap_or_default();
    fill(&mut status, view, &GENEROUS);
    if size(&status) > MAX_BYTES {
        fill(&mut status, view, &TIGHT);
    }
    while size(&status) > MAX_BYTES && drop_largest(&mut status) {}
    status
}

/// Drops the entry that takes the most room, rather than many that take little; `false` when there is none.
fn drop_largest(status: &mut WatchPolicyStatus) -> bool {
    match (largest(&status.violations), largest(&status.targets)) {
        (Some((size, place)), target) if target.is_none_or(|(other, _)| other <= size) => {
            status.violations.remove(place);
            status.violations_truncated = Some(status.violations_truncated.unwrap_or_default() + 1);
        }
        (_, Some((_, place))) => drop(status.targets.remove(place)),
        _ => return false,
    }
    true
}

/// The size and place of the largest entry, of equal ones the last.
fn largest<T: Serialize>(entries: &[T]) -> Option<(usize, usize)> {
    entries.iter().map(size).zip(0..).max()
}

/// All but the lists.
fn base(view: &View<'_>, now: Timestamp) -> WatchPolicyStatus {
    let View { entry, targets, page, previous, writes } = view;
    let before = previous.map(|previous| &*previous.conditions).unwrap_or_default();
    let generation = view.generation();
    let mut statements = statements(entry, *targets);
    match writes.left {
        None => {
            statements.extend(entry.running().map(|policy| enforcing(policy, *writes, &page.obstacles)));
        }
        Some(left) => {
            statements.retain(|statement| !["Enforcing", "Reconciling"].contains(&statement.kind));
            statements.extend(releasing(left, writes.stopped, &page.obstacles, *targets));
        }
    }
    if let Some(ready) = statements.first_mut()
        && let Some(words) = of_objects(&page.tally.summary, ready.reason)
    {
        ready.message.push_str(&format!("; {words}"));
    }
    let conditions: Vec<_> =
        statements.into_iter().map(|statement| statement.condition(generation, before, now)).collect();
    WatchPolicyStatus {
        observed_generation: Some(generation),
        last_evaluated: page.changed.map(|changed| Time(whole_seconds(changed))),
        targets_summary: targets.map(synced_of),
        reason: conditions.first().map(|ready| ready.reason.clone()),
        summary: entry.running().map(|_| page.tally.summary),
        conditions,
        ..WatchPolicyStatus::default()
    }
}

/// What should be known of the objects beside the targets: a policy that judges none looks like one that finds nothing.
fn of_objects(summary: &Summary, ready: Reason) -> Option<String> {
    let Summary { excluded, matched, errored, skipped, owned, excepted, .. } = *summary;
    let objects = |number: u64| if number == 1 { "1 object".to_owned() } else { format!("{number} objects") };
    if errored > 0 {
        return Some(format!("{} could not be judged, see the violations", objects(errored)));
    }
    match matched {
        _ if !matches!(ready, Reason::Synced | Reason::SomeTargetsAbsent) => None,
        0 if excluded > 0 => Some(format!("{} seen, and `match` leaves all out", objects(excluded))),
        0 => Some(
            "so far no object is taken; if there should be some, see selectors and namespaces".to_owned(),
        ),
        _ if skipped == matched && owned + excepted == 0 => {
            Some(format!("{} taken, and no rule applies: see `when` and `forEach`", objects(matched)))
        }
        _ => None,
    }
}

fn fill(status: &mut WatchPolicyStatus, view: &View<'_>, limits: &Limits) {
    status.targets = targets(view, limits);
    let Page { worst, more, .. } = view.page;
    let listed = worst.iter().take(MAX_VIOLATIONS);
    let mends = view.entry.running().is_some_and(|policy| policy.mends());
    status.violations = listed.map(|(place, finding)| violation_within(place, finding, limits)).collect();
    let before = view.previous.filter(|before| before.observed_generation == status.observed_generation);
    for violation in &mut status.violations {
        violation.fix = match violation.fix.take() {
            // What was tried in another mode says nothing of this one.
            _ if !mends => None,
            None => before.and_then(|before| fix_before(violation, before)),
            fix => fix,
        };
    }
    let unlisted = u64::try_from(worst.len().saturating_sub(MAX_VIOLATIONS)).unwrap_or(u64::MAX);
    let truncated = more.saturating_add(unlisted);
    status.violations_truncated = (truncated > 0).then_some(truncated);
}

/// What each exception of the policy does, whether it does anything or not.
fn exceptions(policy: &CompiledPolicy, page: &Page, now: Timestamp) -> Vec<ExceptionStatus> {
    let status = |exception: &CompiledException| {
        let Usage { used, needless } =
            page.tally.exceptions.get(&exception.name).copied().unwrap_or_default();
        let expired = exception.until.is_some_and(|until| until <= now);
        ExceptionStatus { name: shown(&exception.name, MAX_NAME), used, needless, expired }
    };
    policy.exceptions.iter().map(status).collect()
}

/// Those that need attention first, when there are more than fit.
fn targets(view: &View<'_>, limits: &Limits) -> Vec<TargetStatus> {
    let mut reports: Vec<_> = view.targets.unwrap_or_default().iter().collect();
    if reports.len() > limits.targets {
        reports.sort_by_key(|report| report.state == TargetState::Synced);
        reports.truncate(limits.targets);
    }
    let objects = &view.page.tally.objects;
    let status = |report: &TargetReport| TargetStatus {
        group: shown(&report.group, MAX_NAME),
        resource: shown(&report.resource, MAX_NAME),
        version: report.version.as_deref().map(|version| shown(version, MAX_LABEL)),
        state: report.state,
        objects: objects
            .get(&GroupResource::new(report.group.clone(), report.resource.clone()))
            .copied()
            .unwrap_or_default(),
        since: Some(since(report, view.previous)),
        message: report.message.as_deref().map(|message| shown(message, limits.target_message)),
    };
    reports.into_iter().map(status).collect()
}

/// Like a condition's, the time is kept while the state is the stored one: a restart is no change of a target.
fn since(report: &TargetReport, previous: Option<&WatchPolicyStatus>) -> Time {
    let is_same = |target: &&TargetStatus| {
        *target.group == *report.group
            && *target.resource == *report.resource
            && target.version.as_deref() == report.version.as_deref()
            && target.state == report.state
    };
    let known = previous.and_then(|previous| previous.targets.iter().find(is_same)?.since.clone());
    known.unwrap_or_else(|| Time(whole_seconds(report.since)))
}

fn synced_of(targets: &[TargetReport]) -> String {
    let synced = targets.iter().filter(|target| target.state == TargetState::Synced).count();
    format!("{synced}/{}", targets.len())
}

/// A finding as users read it.
pub(super) fn violation(place: &Place, finding: &Finding) -> Violation {
    violation_within(place, finding, &GENEROUS)
}

fn violation_within(place: &Place, finding: &Finding, limits: &Limits) -> Violation {
    let Place { severity, key, rule } = place;
    let first = finding.nodes.first();
    let others = finding.nodes.iter().skip(1).take(limits.other_paths);
    Violation {
        object: ViolationObject {
            api_version: Some(shown(&finding.api_version, MAX_API_VERSION)),
            group: shown(&key.resource.group, MAX_NAME),
            resource: shown(&key.resource.resource, MAX_NAME),
            kind: Some(shown(&finding.kind, MAX_LABEL)),
            namespace: key.object.namespace.as_deref().map(|namespace| shown(namespace, MAX_LABEL)),
            name: shown(&key.object.name, MAX_NAME),
            uid: Some(shown(&finding.uid, MAX_UID)),
        },
        rule: shown(rule, MAX_LABEL),
        severity: severity.0,
        result: match finding.outcome {
            Outcome::Error => ViolationResult::Error,
            Outcome::Fail | Outcome::Pass | Outcome::Skip => ViolationResult::Fail,
        },
        path: first.map(|node| shown(&node.path, limits.path)),
        other_paths: others.map(|node| shown(&node.path, limits.path)).collect(),
        actual: first.map(|node| shown(&node.actual, limits.actual)),
        message: first.map(|node| shown(node.message.trim_end(), limits.message)).unwrap_or_default(),
        first_seen: Some(Time(whole_seconds(finding.first_seen))),
        fix: finding.fix.as_ref().map(|fix| fix_status(fix, limits)),
    }
}

/// What is stored of the fix of the same violation: whoever begins to lead has not tried it yet, and tells no less than
/// the leader before.
fn fix_before(violation: &Violation, before: &WatchPolicyStatus) -> Option<FixStatus> {
    let of = |violation: &Violation| {
        let Violation { object, rule, path, actual, message, .. } = violation.clone();
        (object, rule, path, actual, message)
    };
    let same = before.violations.iter().find(|other| of(other) == of(violation))?;
    same.fix.clone()
}

fn fix_status(fix: &FixStatus, limits: &Limits) -> FixStatus {
    let FixStatus { outcome, path, from, to, message } = fix;
    let within = |text: &Option<String>, most| text.as_deref().map(|text| shown(text, most));
    FixStatus {
        outcome: outcome.clone(),
        path: within(path, limits.path),
        from: within(from, limits.actual),
        to: within(to, limits.actual),
        message: within(message, limits.message),
    }
}

/// Times are stored with whole seconds; a finer one would never equal what is read back.
fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// Bytes of the JSON that the API server makes of it: Go also escapes what acts in HTML and in JavaScript.
fn size(part: &impl Serialize) -> usize {
    let more = |letter| match letter {
        '<' | '>' | '&' => "\\u0000".len() - 1,
        '\u{2028}' | '\u{2029}' => "\\u0000".len() - letter.len_utf8(),
        _ => 0,
    };
    let size = |json: String| json.len() + json.chars().map(more).sum::<usize>();
    serde_json::to_string(part).map_or(usize::MAX, size)
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "status_laws.rs"]
mod laws;
