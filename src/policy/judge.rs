//! Judging one object by one policy.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::jsonpath::{Budget, Document, Path, Roots, Scope};
use crate::resource::GroupResource;

use super::assertion::{Complaint, Doubt, Truth};
use super::check::{Check, Steps};
use super::message;
use super::program::{CompiledPolicy, Rule};
use super::render::NOT_SET;
use super::report::{Case, Report, Role};
use super::verdict::{Judgement, NodeVerdict, Outcome, RuleVerdict, Verdict};

/// The object that is judged.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'d> {
    /// Which resource it is of.
    pub resource: &'d GroupResource,
    /// Its kind.
    pub kind: &'d str,
    /// Where the named roots are, as [`CompiledPolicy::roots`] says for this policy.
    pub roots: &'d Roots,
    /// The object, with at least what [`CompiledPolicy::read`] asks for.
    pub document: &'d Document,
}

impl Subject<'_> {
    fn is_secret(&self) -> bool {
        self.resource.group.is_empty() && &*self.resource.resource == "secrets"
    }
}

/// What the checks of one rule are judged with.
#[derive(Clone, Copy)]
struct Bench<'a> {
    policy: &'a CompiledPolicy,
    rule: &'a Rule,
    secret: bool,
}

impl CompiledPolicy {
    /// Judges an object by all rules. What cannot be told is [`Outcome::Error`], never a pass.
    pub fn judge(&self, subject: &Subject<'_>) -> Judgement {
        if !self.takes(subject.resource, subject.document) {
            return Judgement::NotTaken;
        }
        let root = match &subject.document.root {
            Ok(root) => root,
            Err(reason) => return self.unreadable(subject, reason),
        };
        let scope = Scope::new(root, subject.roots);
        let secret = subject.is_secret();
        match guard(&self.conditions, &scope, &mut Steps::default()) {
            Truth::No => return Judgement::Excluded,
            Truth::Unknown(_) => {
                let mut report = Report::default();
                report_guard(self, (&self.conditions, "match"), &scope, secret, &mut report);
                return self.all_err(&report);
            }
            Truth::Yes => {}
        }
        let rules =
            self.rules.iter().map(|rule| Bench { policy: self, rule, secret }.judge(&scope)).collect();
        Judgement::Judged(Verdict::of(rules))
    }

    /// An object that could not be decoded.
    fn unreadable(&self, subject: &Subject<'_>, reason: &str) -> Judgement {
        let kind = subject.kind;
        let message =
            format!("this {kind} cannot be read: {reason}; mend it, or leave it out of the targets");
        let mut report = Report::default();
        report.error(NodeVerdict {
            path: "$".into(),
            actual: NOT_SET.into(),
            expected: "a readable object".into(),
            message: message.into(),
        });
        self.all_err(&report)
    }

    /// What is wrong before any rule is judged is wrong with each of them.
    fn all_err(&self, report: &Report) -> Judgement {
        let verdict = |rule: &Rule| RuleVerdict {
            rule: Arc::clone(&rule.name),
            severity: rule.severity,
            outcome: Outcome::Error,
            nodes: report.nodes.clone(),
            more: report.more,
        };
        Judgement::Judged(Verdict::of(self.rules.iter().map(verdict).collect()))
    }
}

impl Verdict {
    fn of(rules: Vec<RuleVerdict>) -> Self {
        let outcome = rules.iter().fold(Outcome::Skip, |outcome, rule| outcome.and(rule.outcome));
        Self { outcome, rules }
    }
}

impl Bench<'_> {
    fn judge(&self, scope: &Scope<'_>) -> RuleVerdict {
        let mut report = Report::default();
        let mut steps = Steps::default();
        let outcome = match &self.rule.for_each {
            Some(elements) => self.each(elements, scope, &mut steps, &mut report),
            None => self.element(scope, &mut steps, &mut report),
        };
        let Report { nodes, more, .. } = report;
        RuleVerdict { rule: Arc::clone(&self.rule.name), severity: self.rule.severity, outcome, nodes, more }
    }

    /// Judges each element; without any, nothing is wrong.
    fn each(&self, elements: &Path, scope: &Scope<'_>, steps: &mut Steps, report: &mut Report) -> Outcome {
        let mut outcome: Option<Outcome> = None;
        let walked = elements.elements(scope, &mut Budget::default(), &mut |element, trail| {
            let this = self.element(&scope.within(element, trail), steps, report);
            outcome = Some(outcome.map_or(this, |outcome| outcome.and(this)));
            ControlFlow::Continue(())
        });
        match walked {
            Ok(()) => outcome.unwrap_or(Outcome::Pass),
            Err(error) => {
                let path = elements.to_string();
                let message = message::complaint(Complaint::Path(error), &path, NOT_SET, None);
                let expected = message::expected(&self.rule.body);
                report.error(NodeVerdict { path: path.into(), actual: NOT_SET.into(), expected, message });
                Outcome::Error
            }
        }
    }

    fn element(&self, scope: &Scope<'_>, steps: &mut Steps, report: &mut Report) -> Outcome {
        let Self { policy, rule, secret } = *self;
        match guard(&rule.when, scope, steps) {
            Truth::No => return Outcome::Skip,
            Truth::Unknown(_) => {
                report_guard(policy, (&rule.when, "when"), scope, secret, report);
                return Outcome::Error;
            }
            Truth::Yes => {}
        }
        let outcome = match rule.body.judge(scope, steps, Doubt::Prevails) {
            Truth::Yes => return Outcome::Pass,
            Truth::No => Outcome::Fail,
            Truth::Unknown(_) => Outcome::Error,
        };
        report.check(&Case { policy, role: Role::Body(rule), check: &rule.body, scope, secret });
        outcome
    }
}

/// Whether all checks hold; one sure no decides.
fn guard(checks: &[Check], scope: &Scope<'_>, steps: &mut Steps) -> Truth {
    let mut all = Truth::Yes;
    for check in checks {
        all = all.and(check.judge(scope, steps, Doubt::YieldsToNo), Doubt::YieldsToNo);
        if all == Truth::No {
            break;
        }
    }
    all
}

/// Reports what made a guard err.
fn report_guard(
    policy: &CompiledPolicy,
    (checks, field): (&[Check], &'static str),
    scope: &Scope<'_>,
    secret: bool,
    report: &mut Report,
) {
    let errs = |check: &&Check| {
        matches!(check.judge(scope, &mut Steps::default(), Doubt::YieldsToNo), Truth::Unknown(_))
    };
    for check in checks.iter().filter(errs) {
        report.check(&Case { policy, role: Role::Guard(field), check, scope, secret });
    }
}
