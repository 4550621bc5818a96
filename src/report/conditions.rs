//! The conditions of a policy, as the API conventions and kstatus read them.
//!
//! `Reconciling` and `Stalled` are there only while they are true. Violations never make `Ready` false.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::reason::Reason;
use super::shown::{shown, shown_lines};
use crate::crd::{Mode, TargetState};
use crate::ledger::Obstacles;
use crate::observe::board::TargetReport;
use crate::policy::{CompiledPolicy, Contradiction, FINALIZER, PolicyEntry, PolicyState};

/// The most bytes of the message that lists all faults of a policy; others are one line.
const MAX_FAULTS: usize = 8 * 1024;
/// The most bytes of any other message.
const MAX_MESSAGE: usize = 1024;

const TRUE: &str = "True";
const FALSE: &str = "False";
const UNKNOWN: &str = "Unknown";

/// A condition without its times.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) kind: &'static str,
    pub(super) status: &'static str,
    pub(super) reason: Reason,
    pub(super) message: String,
}

impl Statement {
    fn new(kind: &'static str, status: &'static str, reason: Reason, message: impl Into<String>) -> Self {
        Self { kind, status, reason, message: message.into() }
    }

    /// The condition; since when it has its status is kept from the one before.
    pub(super) fn condition(self, generation: i64, before: &[Condition], now: Timestamp) -> Condition {
        let same = before.iter().find(|old| old.type_ == self.kind && old.status == self.status);
        let message = match self.kind {
            "Validated" => shown_lines(&self.message, MAX_FAULTS),
            _ => shown(&self.message, MAX_MESSAGE),
        };
        Condition {
            last_transition_time: same.map_or(Time(now), |old| old.last_transition_time.clone()),
            message,
            observed_generation: Some(generation),
            reason: self.reason.as_str().to_owned(),
            status: self.status.to_owned(),
            type_: self.kind.to_owned(),
        }
    }
}

/// The condition `Ready` of a policy. `targets` is `None` while nothing is known of them.
pub(super) fn ready(entry: &PolicyEntry, targets: Option<&[TargetReport]>) -> Statement {
    match &entry.state {
        PolicyState::Compiled(_) if entry.deleting => {
            Statement::new("Ready", FALSE, Reason::Deleting, "the policy is being deleted: nothing is judged")
        }
        PolicyState::Compiled(policy) if policy.suspend => Statement::new(
            "Ready",
            TRUE,
            Reason::Suspended,
            "the policy is suspended: nothing is watched or judged",
        ),
        PolicyState::Compiled(_) => Survey::of(targets).ready(),
        PolicyState::Invalid(faults) => {
            let first = faults.iter().next().map(ToString::to_string).unwrap_or_default();
            let reason = faults.reason().into();
            Statement::new("Ready", FALSE, reason, format!("the policy is not run: {first}"))
        }
        PolicyState::Unreadable(_) => {
            let message = "the policy is not run: this version of the operator cannot read it";
            Statement::new("Ready", FALSE, Reason::Unreadable, message)
        }
    }
}

/// All conditions of a policy, `Ready` first.
pub(super) fn statements(entry: &PolicyEntry, targets: Option<&[TargetReport]>) -> Vec<Statement> {
    let ready = ready(entry, targets);
    let valid = || Statement::new("Validated", TRUE, Reason::Valid, "the policy is understood as a whole");
    let mut statements = match &entry.state {
        PolicyState::Compiled(_) if entry.deleting => {
            let mut statements = vec![valid()];
            statements
                .extend(unasked(Reason::Deleting, "nothing is judged for a policy that is being deleted"));
            statements
        }
        PolicyState::Compiled(policy) if policy.suspend => {
            let mut statements = vec![valid()];
            statements.extend(unasked(Reason::Suspended, "nothing is watched while the policy is suspended"));
            statements
        }
        PolicyState::Compiled(policy) => {
            let survey = Survey::of(targets);
            let mut statements = vec![valid(), survey.resolved(policy.left_out()), survey.authorized()];
            // kstatus believes the first of the two that it meets, and what needs somebody ends no wait by itself.
            statements.extend(survey.stalled().or_else(|| survey.reconciling()));
            statements
        }
        PolicyState::Invalid(faults) => refused(faults.reason().into(), faults.to_string()),
        PolicyState::Unreadable(error) => refused(
            Reason::Unreadable,
            format!(
                "the policy was stored in a form that this version of the operator cannot read: {error}; install the CRD of this version and apply the policy again"
            ),
        ),
    };
    statements.insert(0, ready);
    statements
}

/// Whether the operator writes to judged objects at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Writes<'w> {
    /// It was started with `--allow-enforce`.
    pub allowed: bool,
    /// They are stopped by the annotation of the Lease.
    pub stopped: bool,
    /// Of a policy that takes back what it wrote: on how many objects something is left.
    pub left: Option<u64>,
    /// What cannot be mended beside another policy.
    pub contradiction: Option<&'w Contradiction>,
}

/// What a policy with a finalizer says while it takes back what it wrote, and why it is not done.
pub(super) fn releasing(
    left: u64,
    stopped: bool,
    obstacles: &Obstacles,
    targets: Option<&[TargetReport]>,
) -> [Statement; 2] {
    let mut message = match left {
        0 => "what the policy wrote is taken back: none of the objects that are known has anything left"
            .to_owned(),
        1 => "what the policy wrote is taken back: 1 object is left".to_owned(),
        left => format!("what the policy wrote is taken back: {left} objects are left"),
    };
    let unseen = |target: &&TargetReport| !matches!(target.state, TargetState::Synced | TargetState::Absent);
    let unseen: Vec<_> = targets.unwrap_or_default().iter().filter(unseen).map(name).collect();
    if !unseen.is_empty() {
        message.push_str(&format!("; not all objects are known of {}", unseen.join(", ")));
    }
    if stopped {
        message.push_str(
            "; writes are stopped by the annotation watchpolicy.io/writes of the Lease, take it off to go on",
        );
    }
    if *obstacles != Obstacles::default() {
        message.push_str(&format!("; {obstacles}"));
    }
    message.push_str(&format!("; to leave the rest as it is, take the finalizer {FINALIZER} off the policy"));
    let works = "the policy takes back what it wrote; see the condition Enforcing";
    [
        Statement::new("Enforcing", FALSE, Reason::Releasing, message),
        Statement::new("Reconciling", TRUE, Reason::Releasing, works),
    ]
}

/// Whether a running policy writes; if not, which of the three consents is missing.
pub(super) fn enforcing(policy: &CompiledPolicy, writes: Writes<'_>, obstacles: &Obstacles) -> Statement {
    let denied = obstacles.rights();
    let denied = denied.as_deref();
    let not = |reason, message: String| Statement::new("Enforcing", FALSE, reason, message);
    let unverified = denied.map(|denied| format!("; fixes are not verified: {denied}")).unwrap_or_default();
    let against = writes.contradiction.map(|against| format!("; {against}")).unwrap_or_default();
    match policy.mode {
        Mode::Audit => {
            not(Reason::Audit, "the mode is Audit: the policy reports and writes nothing".to_owned())
        }
        Mode::Plan => {
            let message = "the mode is Plan: fixes are worked out, sent as a dry run, and reported";
            not(Reason::Plan, format!("{message}{unverified}{against}"))
        }
        Mode::Enforce if !policy.mends() => not(Reason::NoFix, "no rule of the policy has a fix".to_owned()),
        Mode::Enforce if !writes.allowed => {
            let message = "the operator does not allow it: start it with --allow-enforce (enforcement.enabled in the \
                           chart); until then fixes are planned";
            not(Reason::NotAllowed, format!("{message}{unverified}{against}"))
        }
        Mode::Enforce if writes.stopped => {
            let message = "writes are stopped for the whole operator, by the annotation watchpolicy.io/writes of its \
                           Lease; take it off to go on";
            not(Reason::Stopped, format!("{message}{unverified}"))
        }
        Mode::Enforce => match denied {
            Some(denied) => not(Reason::Forbidden, format!("{denied}{against}")),
            None => {
                let stays = obstacles.kept_by(policy.generation).into_iter().chain(obstacles.unrecorded());
                let message = ["fixes are written".to_owned()].into_iter().chain(stays);
                let message = message.collect::<Vec<_>>().join("; ");
                Statement::new("Enforcing", TRUE, Reason::Enforcing, message + &against)
            }
        },
    }
}

/// A policy that is not run at all.
fn refused(reason: Reason, message: String) -> Vec<Statement> {
    let stalled = "the policy is not run until it is edited; see the condition Validated";
    let mut statements = vec![Statement::new("Validated", FALSE, reason, message)];
    statements.extend(unasked(Reason::NotValidated, "nothing is watched for a policy that is not valid"));
    statements.push(Statement::new("Stalled", TRUE, reason, stalled));
    statements
}

/// What is said of targets that nobody asked about: nothing is known of them, and nothing is written.
fn unasked(reason: Reason, message: &str) -> [Statement; 3] {
    let unknown = |kind| Statement::new(kind, UNKNOWN, reason, message);
    let enforcing = Statement::new("Enforcing", FALSE, reason, format!("nothing is written: {message}"));
    [unknown("TargetsResolved"), unknown("Authorized"), enforcing]
}

/// The targets of a running policy, by state.
struct Survey<'t> {
    targets: &'t [TargetReport],
    /// Nothing was told of the targets yet.
    unknown: bool,
}

impl<'t> Survey<'t> {
    fn of(targets: Option<&'t [TargetReport]>) -> Self {
        Self { targets: targets.unwrap_or_default(), unknown: targets.is_none() }
    }

    fn any(&self, state: TargetState) -> bool {
        self.targets.iter().any(|target| target.state == state)
    }

    /// The targets in a state, by name; three are enough to know where to look.
    fn named(&self, state: TargetState) -> String {
        let names: Vec<_> = self.targets.iter().filter(|target| target.state == state).map(name).collect();
        let shown = names.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ");
        match names.len().saturating_sub(3) {
            0 => shown,
            more => format!("{shown} and {more} more"),
        }
    }

    /// What a person is to know of the targets in a state: the first one's own words, and the names of all.
    fn explained(&self, state: TargetState) -> String {
        let first = self.targets.iter().find(|target| target.state == state);
        with_words(self.named(state), first.and_then(|target| target.message.as_deref()))
    }

    /// What whoever wrote the policy should know of targets that are followed: the first one's words.
    fn remark(&self) -> String {
        let followed =
            |target: &&TargetReport| target.state == TargetState::Synced && target.message.is_some();
        let remarked = self.targets.iter().find(followed);
        remarked.map(|target| format!("; {}", told(target))).unwrap_or_default()
    }

    /// What is served, and not as the policy asks for it.
    fn mismatched(&self) -> Option<String> {
        self.targets.iter().find(|target| target.mismatched).map(told)
    }

    /// Which limit of the operator keeps the policy from seeing everything.
    fn exceeded(&self) -> Option<String> {
        self.targets.iter().find(|target| target.limited).map(told)
    }

    fn resolving(&self) -> bool {
        self.unknown || self.any(TargetState::Resolving) || self.any(TargetState::Stopping)
    }

    fn ready(&self) -> Statement {
        let not = |reason, message| Statement::new("Ready", FALSE, reason, message);
        if self.any(TargetState::Forbidden) {
            not(Reason::Forbidden, self.explained(TargetState::Forbidden))
        } else if let Some(mismatched) = self.mismatched() {
            not(Reason::TargetMismatch, mismatched)
        } else if let Some(exceeded) = self.exceeded() {
            not(Reason::LimitExceeded, exceeded)
        } else if self.any(TargetState::Degraded) {
            not(Reason::Degraded, self.explained(TargetState::Degraded))
        } else if self.resolving() {
            not(Reason::Resolving, "what the cluster serves of the targets is being looked up".to_owned())
        } else if self.any(TargetState::Listing) {
            not(Reason::Listing, format!("objects are being listed: {}", self.named(TargetState::Listing)))
        } else if !self.any(TargetState::Synced) {
            let message =
                format!("no target exists in the cluster yet: {}", self.explained(TargetState::Absent));
            Statement::new("Ready", TRUE, Reason::TargetsAbsent, message)
        } else if self.any(TargetState::Absent) {
            let message =
                format!("followed, but for what does not exist: {}", self.explained(TargetState::Absent));
            let message = message + &self.remark();
            Statement::new("Ready", TRUE, Reason::SomeTargetsAbsent, message)
        } else {
            let message = format!("every target is followed{}", self.remark());
            Statement::new("Ready", TRUE, Reason::Synced, message)
        }
    }

    fn resolved(&self, left_out: &[Arc<str>]) -> Statement {
        let resolved =
            |status, reason, message: String| Statement::new("TargetsResolved", status, reason, message);
        if let Some(mismatched) = self.mismatched() {
            resolved(FALSE, Reason::TargetMismatch, mismatched)
        } else if self.any(TargetState::Absent) {
            resolved(FALSE, Reason::Absent, self.explained(TargetState::Absent))
        } else if self.resolving() {
            resolved(UNKNOWN, Reason::Resolving, "the targets are being looked up".to_owned())
        } else {
            let except = match left_out {
                [] => String::new(),
                names => format!("; system namespaces are left out: {}", names.join(", ")),
            };
            resolved(TRUE, Reason::Resolved, format!("the cluster serves every target{except}"))
        }
    }

    fn authorized(&self) -> Statement {
        let allowed = [TargetState::Listing, TargetState::Synced, TargetState::Degraded];
        if self.any(TargetState::Forbidden) {
            Statement::new("Authorized", FALSE, Reason::Forbidden, self.explained(TargetState::Forbidden))
        } else if allowed.iter().any(|state| self.any(*state)) {
            Statement::new("Authorized", TRUE, Reason::Allowed, "the operator may list and watch the targets")
        } else {
            Statement::new("Authorized", UNKNOWN, Reason::NothingToAsk, "no target is served yet")
        }
    }

    fn reconciling(&self) -> Option<Statement> {
        let failing = |target: &TargetReport| target.state == TargetState::Degraded && !target.limited;
        let reason = if self.targets.iter().any(failing) {
            Reason::Degraded
        } else if self.resolving() {
            Reason::Resolving
        } else if self.any(TargetState::Listing) {
            Reason::Listing
        } else {
            return None;
        };
        Some(Statement::new("Reconciling", TRUE, reason, "the operator is working on it; see the targets"))
    }

    fn stalled(&self) -> Option<Statement> {
        let forbidden =
            || Statement::new("Stalled", TRUE, Reason::Forbidden, self.explained(TargetState::Forbidden));
        let mismatched =
            || self.mismatched().map(|words| Statement::new("Stalled", TRUE, Reason::TargetMismatch, words));
        let exceeded =
            || self.exceeded().map(|words| Statement::new("Stalled", TRUE, Reason::LimitExceeded, words));
        self.any(TargetState::Forbidden).then(forbidden).or_else(mismatched).or_else(exceeded)
    }
}

/// A target's words, after its name.
fn told(target: &TargetReport) -> String {
    with_words(name(target), target.message.as_deref())
}

/// Words after what they are about, unless they name it themselves.
fn with_words(name: String, words: Option<&str>) -> String {
    match words.unwrap_or_default() {
        "" => name,
        words if words.contains(&name) => words.to_owned(),
        words => format!("{name}: {words}"),
    }
}

fn name(target: &TargetReport) -> String {
    crate::resource::GroupResource::new(target.group.clone(), target.resource.clone()).to_string()
}

#[cfg(test)]
#[path = "conditions_tests.rs"]
mod tests;
