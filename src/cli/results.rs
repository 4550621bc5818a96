//! The results of judging, in the shape that JSON shows them. `docs/cli.md` documents it; it only ever grows.

use serde::{Serialize, Serializer};

use crate::crd::Severity;
use crate::policy::{Excepted, Judgement, NodeVerdict, Outcome, RuleVerdict, Verdict};

use super::input::Object;
use super::judge::Judged;

/// All results.
#[derive(Debug, Serialize)]
pub(super) struct Results {
    pub(super) results: Vec<Entry>,
    pub(super) summary: Summary,
}

/// How many entries have which result, and how many rules fail on an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Summary {
    pub(super) pass: usize,
    pub(super) fail: usize,
    pub(super) error: usize,
    pub(super) skip: usize,
    pub(super) violations: usize,
}

/// What one policy says of one object.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Entry {
    pub(super) policy: Box<str>,
    pub(super) object: ObjectRef,
    /// Where it is written; left out for what a cluster holds.
    #[serde(flatten)]
    pub(super) place: Option<Place>,
    #[serde(serialize_with = "outcome")]
    pub(super) result: Outcome,
    pub(super) rules: Vec<RuleResult>,
}

/// Where an object is written. Shown as `pods.yaml:12`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Place {
    pub(super) file: Box<str>,
    pub(super) document: usize,
    /// Where the document begins; for formats that point at lines.
    #[serde(skip)]
    pub(super) line: u64,
}

/// Which object it is. In order of version and kind, then of namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ObjectRef {
    pub(super) api_version: Box<str>,
    pub(super) kind: Box<str>,
    /// Left out for cluster-scoped objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) namespace: Option<Box<str>>,
    pub(super) name: Box<str>,
}

/// What one rule says of the object.
#[derive(Clone, Debug, Serialize)]
pub(super) struct RuleResult {
    pub(super) rule: Box<str>,
    pub(super) severity: Severity,
    #[serde(serialize_with = "outcome")]
    pub(super) result: Outcome,
    pub(super) nodes: Vec<Node>,
    /// How many failing nodes are not listed.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) more: usize,
    /// What exceptions cover: the whole object, or the containers beside which the rule was judged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) excepted: Vec<Covered>,
    /// Skipped, since the object's controller fails it too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) owned: bool,
}

/// What one exception covers.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Covered {
    pub(super) exception: Box<str>,
    /// The container's place; left out for the whole object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<Box<str>>,
}

/// A node that fails, or cannot be judged.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Node {
    pub(super) path: Box<str>,
    pub(super) actual: Box<str>,
    pub(super) expected: Box<str>,
    pub(super) message: Box<str>,
}

impl Results {
    /// Gathers what was judged; objects out of scope have no entry.
    pub(super) fn of(judged: Vec<Judged<'_>>) -> Self {
        let results: Vec<Entry> = judged.into_iter().filter_map(Entry::of).collect();
        let summary = Summary::of(results.iter());
        Self { results, summary }
    }

    /// Whether a rule of at least this severity fails.
    pub(super) fn has_violation(&self, least: Severity) -> bool {
        self.results.iter().flat_map(Entry::violations).any(|rule| rule.severity >= least)
    }
}

impl std::ops::AddAssign for Summary {
    fn add_assign(&mut self, other: Self) {
        let Self { pass, fail, error, skip, violations } = other;
        self.pass += pass;
        self.fail += fail;
        self.error += error;
        self.skip += skip;
        self.violations += violations;
    }
}

impl Summary {
    /// A note where there is nothing to sum up though nothing went wrong: it must not look like all being well.
    pub(super) fn note(self, objects: &str) -> Option<String> {
        let note = || {
            format!(
                "nothing was judged: no policy takes any {objects}; look at targets, selectors and `match`"
            )
        };
        (self == Self::default()).then(note)
    }

    pub(super) fn of<'e>(results: impl Iterator<Item = &'e Entry>) -> Self {
        let mut summary = Self::default();
        results.for_each(|entry| summary.add(entry));
        summary
    }

    pub(super) fn add(&mut self, entry: &Entry) {
        *match entry.result {
            Outcome::Pass => &mut self.pass,
            Outcome::Fail => &mut self.fail,
            Outcome::Error => &mut self.error,
            Outcome::Skip => &mut self.skip,
        } += 1;
        self.violations += entry.violations().count();
    }
}

impl Entry {
    pub(super) fn of(judged: Judged<'_>) -> Option<Self> {
        let Judged { policy, object, judgement } = judged;
        let place = Place {
            file: (*object.origin.file).into(),
            document: object.origin.document,
            line: object.origin.line,
        };
        let entry = Self::new(&policy.program.name, ObjectRef::of(object), judgement)?;
        Some(Self { place: Some(place), ..entry })
    }

    /// What a policy says of an object that a cluster holds; `None` of one that is out of scope.
    pub(super) fn new(policy: &str, object: ObjectRef, judgement: Judgement) -> Option<Self> {
        let Judgement::Judged(Verdict { outcome, rules, grants: _, again: _ }) = judgement else {
            return None;
        };
        let rules = rules.into_iter().map(RuleResult::from).collect();
        Some(Self { policy: policy.into(), object, place: None, result: outcome, rules })
    }

    /// The rules that fail.
    pub(super) fn violations(&self) -> impl Iterator<Item = &RuleResult> {
        self.rules.iter().filter(|rule| rule.result == Outcome::Fail)
    }

    /// The rules that fail or err.
    pub(super) fn findings(&self) -> impl Iterator<Item = &RuleResult> {
        self.rules.iter().filter(|rule| matches!(rule.result, Outcome::Fail | Outcome::Error))
    }
}

impl ObjectRef {
    pub(super) fn of(object: &Object) -> Self {
        Self {
            api_version: (*object.types.api_version).into(),
            kind: (*object.types.kind).into(),
            namespace: object.id.namespace.as_deref().map(Box::from),
            name: (*object.id.name).into(),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Shown as `Pod default/web`.
impl std::fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ", self.kind)?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

impl From<RuleVerdict> for RuleResult {
    fn from(verdict: RuleVerdict) -> Self {
        let RuleVerdict { rule, severity, outcome, nodes, more, excepted, owned } = verdict;
        let covered = |Excepted { exception, path }| Covered { exception: (*exception).into(), path };
        Self {
            rule: (*rule).into(),
            severity,
            result: outcome,
            nodes: nodes.into_iter().map(Node::from).collect(),
            more,
            excepted: excepted.into_iter().map(covered).collect(),
            owned,
        }
    }
}

impl From<NodeVerdict> for Node {
    fn from(verdict: NodeVerdict) -> Self {
        let NodeVerdict { path, actual, expected, message } = verdict;
        Self { path, actual, expected, message }
    }
}

fn outcome<S: Serializer>(outcome: &Outcome, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(outcome.as_str())
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}
