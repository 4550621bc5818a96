//! What is said of the places that fail or cannot be judged. Only made for rules that did not pass.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::ops::ControlFlow;

use crate::crd::{MAX_MESSAGE, MAX_PATH, Measure, Quantifier};
use crate::jsonpath::{Budget, Due, Node, Path, Trail};

use super::assertion::{Bearings, Complaint, Doubt, Truth};
use super::check::{Check, Hearing, Place, Spot, Steps};
use super::container;
use super::fix::Mends;
use super::message::{self, Fact};
use super::meter::Meter;
use super::program::{CompiledPolicy, Rule};
use super::render::{self, Cut, NOT_SET};
use super::verdict::{NODES_PER_RULE, NodeVerdict};

/// The nodes of one rule.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) nodes: Vec<NodeVerdict>,
    pub(super) more: usize,
    /// Whether an erring node is listed, without which an `Error` would stay unexplained.
    explained: bool,
    /// The containers of the element of which the rule's own words were said, for an `anyOf`; `None` for no container.
    told: BTreeSet<Option<Box<str>>>,
    /// What is reported is looked at once more; for all elements of a rule together that costs no more than judging.
    steps: Steps,
    meter: Meter,
}

/// What all messages about an object or element may speak of.
#[derive(Clone, Copy)]
pub(super) struct Setting<'a> {
    pub(super) policy: &'a CompiledPolicy,
    pub(super) hearing: Hearing<'a>,
    /// The element of `forEach`, where there is one.
    pub(super) element: Option<&'a Trail<'a>>,
    /// The object's kind.
    pub(super) kind: &'a str,
    /// Whether the object is a Secret.
    pub(super) secret: bool,
    /// Where the changes go that mend what is reported, if somebody asks for them.
    pub(super) mends: Option<&'a Mends>,
}

/// A check that did not pass.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) setting: Setting<'a>,
    pub(super) role: Role<'a>,
    pub(super) check: &'a Check,
}

/// What the check is for.
#[derive(Clone, Copy)]
pub(super) enum Role<'a> {
    /// The body of a rule, or one of those that must all hold: what fails it is reported.
    Body(&'a Rule),
    /// In a branch of a rule's `anyOf`, of which none holds.
    Branch(&'a Rule, usize),
    /// `match` or `when`: only what cannot be told is.
    Guard(&'static str),
}

/// A place that is reported.
struct Finding {
    path: Box<str>,
    actual: Box<str>,
    expected: Box<str>,
    /// The name of the nearest place that has one; only where the rule's message asks for it.
    container: Option<Box<str>>,
}

impl Report {
    /// Reports every place at which the check fails or errs.
    pub(super) fn check(&mut self, case: &Case<'_>) {
        let Hearing { clock, .. } = case.setting.hearing;
        let (mut steps, meter) = (std::mem::take(&mut self.steps), std::mem::take(&mut self.meter));
        let hearing = Hearing { meter: &meter, ..case.setting.hearing };
        let peers = case.check.peers(hearing, &mut steps);
        let by = Bearings { peers: &peers, clock, meter: &meter, doubt: case.doubt() };
        let mut visited = false;
        let due = case.check.walk(hearing, &mut steps, &mut |place, spot| {
            visited = true;
            let truth = case.check.truth(place, by);
            if !case.check.leaves_out(truth, spot, hearing) {
                self.place(case, truth, place, spot);
            }
            ControlFlow::Continue(())
        });
        let of_nothing = case.check.truth_of_nothing(by);
        drop(peers);
        (self.steps, self.meter) = (steps, meter);
        match due {
            Ok(Due::Places | Due::Nothing) if visited => {}
            Ok(due) => {
                self.nothing(case, of_nothing.filter(|_| due == Due::Nothing));
            }
            Err(error) => {
                let complaint = Complaint::Path(error);
                self.add(true, || {
                    case.unknown(complaint, case.finding(case.check.path.to_string(), NOT_SET), None)
                });
            }
        }
    }

    /// Begins with another element, or with the object.
    pub(super) fn begin_element(&mut self) {
        self.told.clear();
    }

    /// Whether a check holds, at the report's cost.
    pub(super) fn truth(&mut self, check: &Check, hearing: Hearing<'_>, doubt: Doubt) -> Truth {
        check.judge(Hearing { meter: &self.meter, ..hearing }, &mut self.steps, doubt)
    }

    /// Reports an element, or object, that should not be there.
    pub(super) fn forbidden(&mut self, setting: &Setting<'_>, rule: &Rule) {
        let path = setting.element.map_or_else(|| "$".to_owned(), Trail::to_string);
        let message = match setting.element {
            Some(_) => format!("{path} is there, and should not be"),
            None => format!("this {} is there, and should not be", setting.kind),
        };
        let finding = Finding {
            path: path.into(),
            actual: "there".into(),
            expected: "nothing there".into(),
            container: None,
        };
        self.add(false, || setting.node(rule, finding, message));
        if let Some(element) = setting.element {
            setting.mend(rule, element);
        }
    }

    /// Reports one thing that makes the whole rule an error.
    pub(super) fn error(&mut self, node: NodeVerdict) {
        self.add(true, || node);
    }

    fn place(&mut self, case: &Case<'_>, truth: Truth, place: Place<'_>, spot: Spot<'_>) {
        if let Truth::Unknown(complaint) = truth {
            let value = match place {
                Place::Found(value) => Some(value),
                Place::Unknown(_, value) => value,
                Place::Default(_) | Place::Absent => None,
            };
            self.add(true, || case.unknown(complaint, case.finding_at(place, spot), value));
        } else if case.fails(truth) {
            if !self.repeats(case, Some(spot)) {
                self.add(false, || case.failed(place, case.finding_at(place, spot)));
            }
            case.mend(place, spot);
        }
    }

    /// The path found nothing: no real place can be named.
    fn nothing(&mut self, case: &Case<'_>, truth: Option<Truth>) {
        let fails = match case.check.quantifier {
            Quantifier::Any => truth != Some(Truth::Yes),
            Quantifier::All | Quantifier::None => truth.is_some_and(|truth| case.fails(truth)),
        };
        if fails
            && let Some(rule) = case.role.rule()
            && !self.repeats(case, None)
        {
            self.add(false, || {
                let finding = case.finding(case.check.path.to_string(), NOT_SET);
                let message = format!("{} finds nothing, wanted {}", finding.path, finding.expected);
                case.setting.node(rule, finding, case.role.said(message))
            });
        }
    }

    /// Whether a failing branch would say once more, in the rule's own words, what another one said already.
    fn repeats(&mut self, case: &Case<'_>, spot: Option<Spot<'_>>) -> bool {
        let Role::Branch(Rule { message: Some(template), .. }, _) = case.role else { return false };
        if template.names_place() {
            return false;
        }
        let container = spot.and_then(|spot| case.container(spot));
        let of_element = || case.setting.name_of_element().filter(|_| template.names_container());
        !self.told.insert(container.or_else(of_element))
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

impl<'a> Role<'a> {
    pub(super) fn rule(self) -> Option<&'a Rule> {
        match self {
            Self::Body(rule) | Self::Branch(rule, _) => Some(rule),
            Self::Guard(_) => None,
        }
    }

    /// A message, and what the check is for where that is not plain.
    fn said(self, message: String) -> String {
        match self {
            Self::Body(_) => message,
            Self::Branch(_, index) => format!("no branch of anyOf holds; in anyOf[{index}], {message}"),
            Self::Guard(field) => format!("cannot tell whether `{field}` holds: {message}"),
        }
    }
}

impl Case<'_> {
    fn doubt(&self) -> Doubt {
        match self.role {
            Role::Body(_) | Role::Branch(..) => Doubt::Prevails,
            Role::Guard(_) => Doubt::YieldsToNo,
        }
    }

    fn fails(&self, truth: Truth) -> bool {
        let failing = if self.check.quantifier == Quantifier::None { Truth::Yes } else { Truth::No };
        self.role.rule().is_some() && truth == failing
    }

    fn finding(&self, path: String, actual: &str) -> Finding {
        let expected = message::expected(self.check);
        Finding { path: path.into(), actual: actual.into(), expected, container: None }
    }

    fn finding_at(&self, place: Place<'_>, spot: Spot<'_>) -> Finding {
        let actual = match place {
            Place::Found(node) | Place::Unknown(_, Some(node)) => {
                render::found(node, spot.at, self.setting.secret)
            }
            Place::Default(node) => render::operand(node),
            Place::Absent | Place::Unknown(_, None) => NOT_SET.into(),
        };
        let path = match self.check.measure {
            // A count is of no single place.
            Measure::Count => self.check.path.to_string(),
            // A member's name has no limit but that of its object.
            _ => Cut::write(MAX_PATH, |cut| write!(cut, "{}", spot.at)).into(),
        };
        Finding { container: self.container(spot), ..self.finding(path, &actual) }
    }

    /// Where a fallback found the value, the place where it was due says what it belongs to.
    fn container(&self, spot: Spot<'_>) -> Option<Box<str>> {
        let template = self.role.rule()?.message.as_ref()?;
        let Setting { hearing, secret, .. } = self.setting;
        if template.names_container() { container::name(spot.due, hearing.scope, secret) } else { None }
    }

    fn unknown(&self, complaint: Complaint, finding: Finding, value: Option<Node<'_>>) -> NodeVerdict {
        let Finding { path, actual, .. } = &finding;
        let message = self.role.said(message::complaint(complaint, path, actual, value));
        finding.saying(message.into())
    }

    fn failed(&self, place: Place<'_>, finding: Finding) -> NodeVerdict {
        let Finding { path, actual, expected, .. } = &finding;
        let what = message::measured(self.check.measure, path);
        let is = match place {
            Place::Default(_) => format!("{what} is not set, which stands for {actual}"),
            _ => format!("{what} is {actual}"),
        };
        let hint = match place {
            Place::Absent if self.check.assertion.exists.is_none() => "; if that is fine: whenAbsent: Pass",
            _ => "",
        };
        let message = self.role.said(format!("{is}, wanted {expected}{hint}"));
        match self.role.rule() {
            Some(rule) => self.setting.node(rule, finding, message),
            None => finding.saying(message.into()),
        }
    }
}

impl Setting<'_> {
    /// A failing node, in the rule's own words if it has some.
    fn node(&self, rule: &Rule, finding: Finding, default: String) -> NodeVerdict {
        let Some(template) = &rule.message else { return finding.saying(default.into()) };
        let fact = |fact| match fact {
            Fact::Actual => finding.actual.clone(),
            Fact::Expected => finding.expected.clone(),
            Fact::Path => finding.path.clone(),
            Fact::Rule => (*rule.name).into(),
            Fact::Policy => (*self.policy.name).into(),
            Fact::Container => self.container(&finding),
        };
        let message = template.render(&fact, &|path| self.value_at(path));
        finding.saying(message)
    }

    /// What a place belongs to; one that belongs to nothing with a name belongs to the element that is judged.
    fn container(&self, finding: &Finding) -> Box<str> {
        let of_element = || self.name_of_element();
        finding.container.clone().or_else(of_element).unwrap_or_else(|| NOT_SET.into())
    }

    fn name_of_element(&self) -> Option<Box<str>> {
        container::name_of_element(self.element?, self.hearing.scope, self.secret)
    }

    /// What a placeholder's path finds.
    fn value_at(&self, path: &Path) -> Box<str> {
        let mut value = None;
        let ended = path.each(self.hearing.scope, &mut Budget::default(), &mut |node, trail| {
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
        let Self { path, actual, expected, container: _ } = self;
        let message = if message.len() > MAX_MESSAGE {
            Cut::write(MAX_MESSAGE, |cut| cut.write_str(&message))
        } else {
            message
        };
        NodeVerdict { path, actual, expected, message }
    }
}
