//! Judging one object by one policy.

use std::sync::Arc;

use jiff::Timestamp;

use crate::jsonpath::{Document, EvalError, NamespaceRoot, Part, Roots, Scope};
use crate::resource::GroupResource;

use super::assertion::{Doubt, Truth};
use super::check::{Check, Hearing, Steps};
use super::clock::Clock;
use super::exception::Granted;
use super::fix::Mends;
use super::meter::Meter;
use super::program::{CompiledPolicy, Rule};
use super::render::NOT_SET;
use super::report::{Report, Setting};
use super::ruling::{all, judge_rule, report_guard, told};
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
        let of_match = self.paths_of_match();
        share.iter_mut().for_each(|share| share.find(..of_match));
        match self.is_met(podless, hearing, share.as_ref().map(Share::found)) {
            Truth::No => return Judgement::Excluded { again: clock.again() },
            Truth::Unknown(_) => {
                let mut report = Report::default();
                report_guard((self.asked(podless), "match"), setting, &mut report);
                let granted = Granted::of(&self.exceptions, subject.document, Some(&scope), &clock);
                return self.all_err(&report, &granted, &clock);
            }
            Truth::Yes => {}
        }
        let granted = Granted::of(&self.exceptions, subject.document, Some(&scope), &clock);
        share.iter_mut().for_each(|share| share.find(of_match..));
        let shared = share.as_ref().map(Share::found);
        let skips_all = podless && self.match_reads_pod();
        let judge = |rule: &Rule| {
            if skips_all || (podless && rule.reads_pod) {
                told(rule, Outcome::Skip)
            } else {
                judge_rule(rule, setting, &granted, shared)
            }
        };
        let rules = self.rules.iter().map(judge).collect();
        Judgement::Judged(Verdict::of(rules, &granted, &clock))
    }

    /// What `match` asks; of an object without pods, nothing that reads them.
    fn asked(&self, podless: bool) -> impl Iterator<Item = &Check> {
        self.conditions.iter().filter(move |check| !podless || !check.reads_pod)
    }

    /// Whether `match` takes the object.
    fn is_met(&self, podless: bool, hearing: Hearing<'_>, shared: Option<Shared<'_>>) -> Truth {
        let judge = |hearing| all(self.asked(podless), hearing, &mut Steps::default(), Doubt::YieldsToNo);
        let met = shared.map(|shared| judge(Hearing { shared: Some(shared), ..hearing }));
        met.filter(|met| !matches!(met, Truth::Unknown(_))).unwrap_or_else(|| judge(hearing))
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
