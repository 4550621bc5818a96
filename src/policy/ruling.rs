//! Judging one object by one rule.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::jsonpath::{Budget, Path, Scope, Trail};

use super::assertion::{Complaint, Doubt, Truth};
use super::check::{Check, Hearing, Steps};
use super::exception::Granted;
use super::message;
use super::meter::Meter;
use super::program::{Body, Rule};
use super::render::NOT_SET;
use super::report::{Case, Report, Role, Setting};
use super::sharing::Shared;
use super::verdict::{NodeVerdict, Outcome, RuleVerdict};

/// What one rule is judged with.
#[derive(Clone, Copy)]
struct Bench<'a> {
    rule: &'a Rule,
    setting: Setting<'a>,
}

/// An outcome that speaks for itself.
pub(super) fn told(rule: &Rule, outcome: Outcome) -> RuleVerdict {
    RuleVerdict {
        rule: Arc::clone(&rule.name),
        severity: rule.severity,
        outcome,
        nodes: Vec::new(),
        more: 0,
        excepted: Vec::new(),
        owned: false,
    }
}

/// Judges a rule, and where it fails, what is left of that beside its exceptions. What does not fail is not mended.
pub(super) fn judge_rule(
    rule: &Rule,
    setting: Setting<'_>,
    granted: &Granted<'_>,
    shared: Option<Shared<'_>>,
) -> RuleVerdict {
    if let Some(outcome) = shared.and_then(|shared| Bench { rule, setting }.look(shared)) {
        return told(rule, outcome);
    }
    let mended = setting.mends.map(|mends| (mends, mends.len()));
    let verdict = judge_excepted(rule, setting, granted);
    if let Some((mends, mended)) = mended.filter(|_| verdict.outcome != Outcome::Fail) {
        mends.truncate(mended);
    }
    verdict
}

fn judge_excepted(rule: &Rule, setting: Setting<'_>, granted: &Granted<'_>) -> RuleVerdict {
    let mended = setting.mends.map(|mends| (mends, mends.len()));
    let verdict = judge_in_full(rule, setting);
    if matches!(verdict.outcome, Outcome::Pass | Outcome::Skip) {
        return verdict;
    }
    if let Some(excused) = granted.excuse(&verdict) {
        return excused;
    }
    let Some(exempt) = granted.exempt(rule) else { return verdict };
    if let Some((mends, mended)) = mended {
        mends.truncate(mended);
    }
    let hearing = Hearing { exempt: Some(&exempt), ..setting.hearing };
    let verdict = judge_in_full(rule, Setting { hearing, ..setting });
    exempt.settle(verdict)
}

fn judge_in_full(rule: &Rule, setting: Setting<'_>) -> RuleVerdict {
    let meter = Meter::default();
    let hearing = Hearing { meter: &meter, ..setting.hearing };
    let bench = Bench { rule, setting: Setting { hearing, ..setting } };
    let mut report = Report::default();
    let mut steps = Steps::default();
    let outcome = match &rule.for_each {
        Some(elements) => bench.each(elements, &mut steps, &mut report),
        None => bench.element(&mut steps, &mut report),
    };
    let Report { nodes, more, .. } = report;
    RuleVerdict {
        rule: Arc::clone(&rule.name),
        severity: rule.severity,
        outcome,
        nodes,
        more,
        excepted: Vec::new(),
        owned: false,
    }
}

impl Bench<'_> {
    /// The outcome of a rule that surely passes or is skipped, told by what rules found together. Whatever else it may
    /// be is told by judging it in full, under budgets of its own.
    fn look(&self, shared: Shared<'_>) -> Option<Outcome> {
        let meter = Meter::default();
        let hearing = Hearing { meter: &meter, shared: Some(shared), ..self.setting.hearing };
        let this = Bench { setting: Setting { hearing, ..self.setting }, ..*self };
        let mut steps = Steps::default();
        if self.rule.for_each.is_none() {
            return this.sure_outcome(&mut steps);
        }
        let elements = shared.places(self.rule.number, &mut Budget::default())?;
        let mut all = None;
        for element in elements.iter().flatten().copied() {
            let nowhere = Trail::root(element);
            let scope = hearing.scope.within(element, &nowhere);
            let outcome = this.at(&scope, &nowhere).sure_outcome(&mut steps)?;
            all = Some(all.map_or(outcome, |all: Outcome| all.and(outcome)));
        }
        Some(all.unwrap_or(Outcome::Pass))
    }

    fn sure_outcome(&self, steps: &mut Steps) -> Option<Outcome> {
        let (_, outcome) = self.outcome(self.setting.hearing, steps);
        matches!(outcome, Outcome::Pass | Outcome::Skip).then_some(outcome)
    }

    /// Judges each element; without any, nothing is wrong.
    fn each(&self, elements: &Path, steps: &mut Steps, report: &mut Report) -> Outcome {
        let Setting { hearing, .. } = self.setting;
        let mut outcome: Option<Outcome> = None;
        let walked = elements.elements(hearing.scope, &mut Budget::default(), &mut |element, trail| {
            let scope = hearing.scope.within(element, trail);
            let this = self.at(&scope, trail).element(steps, report);
            outcome = Some(outcome.map_or(this, |outcome| outcome.and(this)));
            ControlFlow::Continue(())
        });
        match walked {
            Ok(()) => outcome.unwrap_or(Outcome::Pass),
            Err(error) => {
                let path = elements.to_string();
                let message = message::complaint(Complaint::Path(error), &path, NOT_SET, None);
                report.error(NodeVerdict {
                    path: path.into(),
                    actual: NOT_SET.into(),
                    expected: "elements to judge".into(),
                    message: message.into(),
                });
                Outcome::Error
            }
        }
    }

    /// The same rule on an element.
    fn at<'e>(&'e self, scope: &'e Scope<'e>, element: &'e Trail<'e>) -> Bench<'e> {
        let hearing = Hearing { scope, ..self.setting.hearing };
        Bench { rule: self.rule, setting: Setting { hearing, element: Some(element), ..self.setting } }
    }

    fn element(&self, steps: &mut Steps, report: &mut Report) -> Outcome {
        let Self { rule, setting } = *self;
        // What is exempt from a rule is so from its body: a guard looks at everything.
        let guard = Setting { hearing: Hearing { exempt: None, ..setting.hearing }, ..setting };
        let (applies, outcome) = self.outcome(guard.hearing, steps);
        if matches!(outcome, Outcome::Pass | Outcome::Skip) {
            return outcome;
        }
        if setting.element.is_some_and(|element| setting.hearing.leaves_out(element)) {
            return Outcome::Skip;
        }
        match applies {
            Truth::Unknown(_) => report_guard((&*rule.when, "when"), guard, report),
            Truth::Yes | Truth::No => {
                self.report(report);
                setting.mend_by_appending(rule);
            }
        }
        outcome
    }

    /// Whether the rule applies, which its guards are heard for, and what becomes of it.
    fn outcome(&self, guard: Hearing<'_>, steps: &mut Steps) -> (Truth, Outcome) {
        let applies = all(&*self.rule.when, guard, steps, Doubt::YieldsToNo);
        let outcome = match applies {
            Truth::No => Outcome::Skip,
            Truth::Unknown(_) => Outcome::Error,
            Truth::Yes => match self.body(steps) {
                Truth::Yes => Outcome::Pass,
                Truth::No => Outcome::Fail,
                Truth::Unknown(_) => Outcome::Error,
            },
        };
        (applies, outcome)
    }

    fn body(&self, steps: &mut Steps) -> Truth {
        let hearing = self.setting.hearing;
        match &self.rule.body {
            Body::AllOf(checks) => all(&**checks, hearing, steps, Doubt::Prevails),
            Body::AnyOf(branches) => {
                let mut any = Truth::No;
                for branch in branches {
                    any = any.or(all(&**branch, hearing, steps, Doubt::Prevails));
                    if any == Truth::Yes {
                        break;
                    }
                }
                any
            }
            Body::Forbid => Truth::No,
        }
    }

    /// Reports what kept the body from passing.
    fn report(&self, report: &mut Report) {
        let Self { rule, setting } = *self;
        report.begin_element();
        let mut all_of = |checks: &[Check], role: Role<'_>| {
            for check in checks {
                // Beside others a check may hold, and some of its values not satisfy it all the same.
                if checks.len() == 1 || report.truth(check, setting.hearing, Doubt::Prevails) != Truth::Yes {
                    report.check(&Case { setting, role, check });
                }
            }
        };
        match &rule.body {
            Body::AllOf(checks) => all_of(checks, Role::Body(rule)),
            Body::AnyOf(branches) => {
                for (index, branch) in branches.iter().enumerate() {
                    all_of(branch, Role::Branch(rule, index));
                }
            }
            Body::Forbid => report.forbidden(&setting, rule),
        }
    }
}

/// Whether all checks hold. No later check can change a sure no where that decides, nor a doubt where that does.
pub(super) fn all<'c>(
    checks: impl IntoIterator<Item = &'c Check>,
    hearing: Hearing<'_>,
    steps: &mut Steps,
    doubt: Doubt,
) -> Truth {
    let mut all = Truth::Yes;
    for check in checks {
        all = all.and(check.judge(hearing, steps, doubt), doubt);
        let is_decided = match doubt {
            Doubt::Prevails => matches!(all, Truth::Unknown(_)),
            Doubt::YieldsToNo => all == Truth::No,
        };
        if is_decided {
            break;
        }
    }
    all
}

/// Reports what made a guard err.
pub(super) fn report_guard<'c>(
    (checks, field): (impl IntoIterator<Item = &'c Check>, &'static str),
    setting: Setting<'_>,
    report: &mut Report,
) {
    for check in checks {
        if matches!(report.truth(check, setting.hearing, Doubt::YieldsToNo), Truth::Unknown(_)) {
            report.check(&Case { setting, role: Role::Guard(field), check });
        }
    }
}
