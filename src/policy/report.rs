//! What is said of the places that fail or cannot be judged. Only made for rules that did not pass.

use std::ops::ControlFlow;

use crate::crd::Quantifier;
use crate::jsonpath::{Budget, Due, Node, Path, Scope, Trail};

use super::assertion::{Complaint, Doubt, Truth};
use super::check::{Check, Place, Steps};
use super::message::{self, Fact};
use super::program::{CompiledPolicy, Rule};
use super::render::{self, NOT_SET};
use super::verdict::{NODES_PER_RULE, NodeVerdict};

/// The nodes of one rule.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) nodes: Vec<NodeVerdict>,
    pub(super) more: usize,
    /// Whether an erring node is listed, without which an `Error` would stay unexplained.
    explained: bool,
    steps: Steps,
}

/// A check that did not pass, and all that its messages may speak of.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) policy: &'a CompiledPolicy,
    pub(super) role: Role<'a>,
    pub(super) check: &'a Check,
    pub(super) scope: &'a Scope<'a>,
    /// Whether the object is a Secret.
    pub(super) secret: bool,
}

/// What the check is for.
#[derive(Clone, Copy)]
pub(super) enum Role<'a> {
    /// The body of a rule: what fails it is reported.
    Body(&'a Rule),
    /// `match` or `when`: only what cannot be told is.
    Guard(&'static str),
}

/// A place that is reported.
struct Finding {
    path: Box<str>,
    actual: Box<str>,
    expected: Box<str>,
}

impl Report {
    /// Reports every place at which the check fails or errs.
    pub(super) fn check(&mut self, case: &Case<'_>) {
        let mut steps = std::mem::take(&mut self.steps);
        let due = case.check.walk(case.scope, &mut steps, &mut |place, trail| {
            self.place(case, place, trail);
            ControlFlow::Continue(())
        });
        self.steps = steps;
        match due {
            Ok(Due::Places) => {}
            Ok(Due::Nothing) => self.nothing(case),
            Err(error) => {
                let complaint = Complaint::Path(error);
                self.add(true, || {
                    case.unknown(complaint, case.finding(case.check.path.to_string(), NOT_SET), None)
                });
            }
        }
    }

    /// Reports one thing that makes the whole rule an error.
    pub(super) fn error(&mut self, node: NodeVerdict) {
        self.add(true, || node);
    }

    fn place(&mut self, case: &Case<'_>, place: Place<'_>, trail: &Trail<'_>) {
        let truth = case.check.truth(place, case.doubt());
        if let Truth::Unknown(complaint) = truth {
            let value = if let Place::Found(node) = place { Some(node) } else { None };
            self.add(true, || case.unknown(complaint, case.finding_at(place, trail), value));
        } else if case.fails(truth) {
            self.add(false, || case.failed(place, case.finding_at(place, trail)));
        }
    }

    /// The path found nothing: no real place can be named.
    fn nothing(&mut self, case: &Case<'_>) {
        let truth = case.check.truth_of_nothing(case.doubt());
        let fails = match case.check.quantifier {
            Quantifier::Any => truth != Some(Truth::Yes),
            Quantifier::All | Quantifier::None => truth.is_some_and(|truth| case.fails(truth)),
        };
        if fails && let Role::Body(rule) = case.role {
            self.add(false, || {
                let finding = case.finding(case.check.path.to_string(), NOT_SET);
                let message = format!("{} finds nothing, wanted {}", finding.path, finding.expected);
                case.node(rule, finding, message)
            });
        }
    }

    /// Lists a node, or counts it when there are enough; the first one that errs is always listed.
    fn add(&mut self, errs: bool, node: impl FnOnce() -> NodeVerdict) {
        if self.nodes.len() >= NODES_PER_RULE {
            self.more += 1;
            if !errs || self.explained {
                return;
            }
            self.nodes.pop();
        }
        self.explained |= errs;
        self.nodes.push(node());
    }
}

impl Case<'_> {
    fn doubt(&self) -> Doubt {
        match self.role {
            Role::Body(_) => Doubt::Prevails,
            Role::Guard(_) => Doubt::YieldsToNo,
        }
    }

    fn fails(&self, truth: Truth) -> bool {
        let failing = if self.check.quantifier == Quantifier::None { Truth::Yes } else { Truth::No };
        matches!(self.role, Role::Body(_)) && truth == failing
    }

    fn finding(&self, path: String, actual: &str) -> Finding {
        Finding { path: path.into(), actual: actual.into(), expected: message::expected(self.check) }
    }

    fn finding_at(&self, place: Place<'_>, trail: &Trail<'_>) -> Finding {
        let actual = match place {
            Place::Found(node) => render::found(node, trail, self.secret),
            Place::Default(node) => render::operand(node),
            Place::Absent | Place::Unknown(_) => NOT_SET.into(),
        };
        self.finding(trail.to_string(), &actual)
    }

    fn unknown(&self, complaint: Complaint, finding: Finding, value: Option<&Node>) -> NodeVerdict {
        let Finding { path, actual, expected } = finding;
        let why = message::complaint(complaint, &path, &actual, value);
        let message = match self.role {
            Role::Body(_) => why,
            Role::Guard(field) => format!("cannot tell whether `{field}` holds: {why}").into(),
        };
        NodeVerdict { path, actual, expected, message }
    }

    fn failed(&self, place: Place<'_>, finding: Finding) -> NodeVerdict {
        let Finding { path, actual, expected } = &finding;
        let is = match place {
            Place::Default(_) => format!("{path} is not set, which stands for {actual}"),
            _ => format!("{path} is {actual}"),
        };
        let hint = match place {
            Place::Absent if self.check.assertion.exists.is_none() => "; if that is fine: whenAbsent: Pass",
            _ => "",
        };
        let message = format!("{is}, wanted {expected}{hint}");
        match self.role {
            Role::Body(rule) => self.node(rule, finding, message),
            Role::Guard(_) => finding.saying(message.into()),
        }
    }

    /// A failing node, in the rule's own words if it has some.
    fn node(&self, rule: &Rule, finding: Finding, default: String) -> NodeVerdict {
        let Some(template) = &rule.message else { return finding.saying(default.into()) };
        let fact = |fact| match fact {
            Fact::Actual => finding.actual.clone(),
            Fact::Expected => finding.expected.clone(),
            Fact::Path => finding.path.clone(),
            Fact::Rule => (*rule.name).into(),
            Fact::Policy => (*self.policy.name).into(),
        };
        let message = template.render(&fact, &|path| self.value_at(path));
        finding.saying(message)
    }

    /// What a placeholder's path finds.
    fn value_at(&self, path: &Path) -> Box<str> {
        let mut value = None;
        let ended = path.each(self.scope, &mut Budget::default(), &mut |node, trail| {
            if !(trail.is_member() && matches!(node, Node::Null)) {
                value = Some(render::found(node, trail, self.secret));
            }
            ControlFlow::Break(())
        });
        // A message is no verdict: where its path cannot be evaluated, there is nothing to show.
        value.filter(|_| ended.is_ok()).unwrap_or_else(|| NOT_SET.into())
    }
}

impl Finding {
    fn saying(self, message: Box<str>) -> NodeVerdict {
        let Self { path, actual, expected } = self;
        NodeVerdict { path, actual, expected, message }
    }
}
