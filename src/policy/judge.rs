//! Judging one object by one policy.

use std::ops::ControlFlow;
use std::sync::Arc;

use jiff::Timestamp;

use crate::jsonpath::{Budget, Document, EvalError, NamespaceRoot, Part, Path, Roots, Scope, Trail};
use crate::resource::GroupResource;

use super::assertion::{Complaint, Doubt, Truth};
use super::check::{Check, Hearing, Steps};
use super::clock::Clock;
use super::exception::Granted;
use super::fix::Mends;
use super::message;
use super::meter::Meter;
use super::program::{Body, CompiledPolicy, Rule};
use super::render::NOT_SET;
use super::report::{Case, Report, Role, Setting};
use super::scope::Taken;
use super::sharing::{Share, Shared};
use super::verdict::{Judgement, NodeVerdict, Outcome, RuleVerdict, Verdict};

/// The object that is judged, and when.
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
    /// The Namespace that the object is in, with at least what [`CompiledPolicy::read_namespace`] asks for. `None`
    /// where it is in none, and where nothing is known of it: what depends on it is then an error.
    pub namespace: Option<&'d Document>,
    /// The time that ages and ends are counted from.
    pub now: Timestamp,
}

impl<'d> Subject<'d> {
    /// The Namespace that selectors and `$namespace` speak of, where it is known and can be read: of a Namespace,
    /// itself.
    pub(super) fn whole_namespace(&self) -> Option<&'d Document> {
        let own = (self.roots.part == Part::OwnNamespace).then_some(self.document);
        own.or(self.namespace).filter(|namespace| namespace.root.is_ok())
    }

    fn namespace_root(&self) -> NamespaceRoot<'d> {
        match self.whole_namespace().map(|namespace| &namespace.root) {
            _ if self.document.id.namespace.is_none() => NamespaceRoot::Nothing,
            Some(Ok(root)) => NamespaceRoot::Known(root),
            Some(Err(_)) | None => NamespaceRoot::Unknown,
        }
    }

    fn is_secret(&self) -> bool {
        self.resource.group.is_empty() && &*self.resource.resource == "secrets"
    }
}

impl CompiledPolicy {
    /// Judges an object by all rules. What cannot be told is [`Outcome::Error`], never a pass.
    pub fn judge(&self, subject: &Subject<'_>) -> Judgement {
        self.judge_into(subject, None, None)
    }

    pub(super) fn judge_into(
        &self,
        subject: &Subject<'_>,
        mends: Option<&Mends>,
        mut share: Option<Share<'_, '_>>,
    ) -> Judgement {
        let clock = Clock::new(subject.now);
        let taken = self.takes(subject);
        let root = match (&subject.document.root, taken) {
            (_, Taken::No) => return Judgement::NotTaken,
            (Err(reason), _) => return self.unreadable(subject, reason, &clock),
            (Ok(_), Taken::Unknown) => return self.unknown(subject, &clock),
            (Ok(root), Taken::Yes) => root,
        };
        let scope = Scope::new(root, subject.roots).in_namespace(subject.namespace_root());
        let meter = Meter::default();
        let hearing = Hearing { scope: &scope, clock: &clock, meter: &meter, exempt: None, shared: None };
        let setting = Setting {
            policy: self,
            hearing,
            element: None,
            kind: subject.kind,
            secret: subject.is_secret(),
            mends,
        };
        // What `*` stands for need not have pods.
        let podless = subject.roots.pod.is_none() && self.stands_for(subject.resource);
        let heard = self.conditions.iter().filter(|check| !podless || !check.reads_pod);
        let of_match = self.paths_of_match();
        share.iter_mut().for_each(|share| share.find(..of_match));
        match is_met(heard.clone(), hearing, share.as_ref().map(Share::found)) {
            Truth::No => return Judgement::Excluded { again: clock.again() },
            Truth::Unknown(_) => {
                let mut report = Report::default();
                report_guard((heard, "match"), setting, &mut report);
                let granted = Granted::of(&self.exceptions, subject.document, Some(&scope), &clock);
                return self.all_err(&report, &granted, &clock);
            }
            Truth::Yes => {}
        }
        let granted = Granted::of(&self.exceptions, subject.document, Some(&scope), &clock);
        let skips_all = podless && self.match_reads_pod();
        share.iter_mut().for_each(|share| share.find(of_match..));
        let shared = share.as_ref().map(Share::found);
        let judge = |rule: &Rule| {
            if skips_all || (podless && rule.reads_pod) {
                return told(rule, Outcome::Skip);
            }
            let looked = shared.and_then(|shared| Bench { rule, setting }.look(shared));
            looked.map_or_else(|| judge_rule(rule, setting, &granted), |outcome| told(rule, outcome))
        };
        let rules = self.rules.iter().map(judge).collect();
        Judgement::Judged(Verdict::of(rules, &granted, &clock))
    }

    /// An object of which it depends on its Namespace whether it is taken.
    fn unknown(&self, subject: &Subject<'_>, clock: &Clock) -> Judgement {
        let message = format!(
            "cannot tell whether `namespaceSelector` takes this {}: {}",
            subject.kind,
            EvalError::NoNamespace
        );
        let mut report = Report::default();
        report.error(NodeVerdict {
            path: "$namespace.metadata.labels".into(),
            actual: NOT_SET.into(),
            expected: "labels to select by".into(),
            message: message.into(),
        });
        self.all_err(&report, &Granted::of(&self.exceptions, subject.document, None, clock), clock)
    }

    /// An object that could not be decoded.
    fn unreadable(&self, subject: &Subject<'_>, reason: &str, clock: &Clock) -> Judgement {
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
        self.all_err(&report, &Granted::of(&self.exceptions, subject.document, None, clock), clock)
    }

    /// What is wrong before any rule is judged is wrong with each of them.
    fn all_err(&self, report: &Report, granted: &Granted<'_>, clock: &Clock) -> Judgement {
        let verdict = |rule: &Rule| {
            let verdict = RuleVerdict {
                rule: Arc::clone(&rule.name),
                severity: rule.severity,
                outcome: Outcome::Error,
                nodes: report.nodes.clone(),
                more: report.more,
                excepted: Vec::new(),
                owned: false,
            };
            granted.excuse(&verdict).unwrap_or(verdict)
        };
        Judgement::Judged(Verdict::of(self.rules.iter().map(verdict).collect(), granted, clock))
    }
}

impl Verdict {
    fn of(rules: Vec<RuleVerdict>, granted: &Granted<'_>, clock: &Clock) -> Self {
        let outcome = rules.iter().fold(Outcome::Skip, |outcome, rule| outcome.and(rule.outcome));
        Self { outcome, rules, grants: granted.grants(), again: clock.again() }
    }
}

/// What one rule is judged with.
#[derive(Clone, Copy)]
struct Bench<'a> {
    rule: &'a Rule,
    setting: Setting<'a>,
}

/// An outcome that speaks for itself.
fn told(rule: &Rule, outcome: Outcome) -> RuleVerdict {
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
fn judge_rule(rule: &Rule, setting: Setting<'_>, granted: &Granted<'_>) -> RuleVerdict {
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
        for element in elements.iter().flatten() {
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
        let applies = all(&self.rule.when, guard, steps, Doubt::YieldsToNo);
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

/// Whether `match` takes the object. What the shared nodes leave in doubt is looked at once more, without them.
fn is_met<'c>(
    conditions: impl Iterator<Item = &'c Check> + Clone,
    hearing: Hearing<'_>,
    shared: Option<Shared<'_>>,
) -> Truth {
    let judge = |hearing| all(conditions.clone(), hearing, &mut Steps::default(), Doubt::YieldsToNo);
    let met = shared.map(|shared| judge(Hearing { shared: Some(shared), ..hearing }));
    met.filter(|met| !matches!(met, Truth::Unknown(_))).unwrap_or_else(|| judge(hearing))
}

/// Whether all checks hold. No later check can change a sure no where that decides, nor a doubt where that does.
fn all<'c>(
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
fn report_guard<'c>(
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
