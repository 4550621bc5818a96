//! What a policy is once compiled: programs that share nothing with the text they came from.

use std::sync::Arc;

use jiff::Timestamp;

use crate::crd::{Enforcement, Mode, Severity};
use crate::jsonpath::Path;

use super::check::Check;
use super::exception::CompiledException;
use super::fence::Fences;
use super::field::FieldSelector;
use super::fix::Fix;
use super::glob::Glob;
use super::message::Template;
use super::selector::Selector;
use crate::resource::GroupResource;

/// A policy that can be run. Immutable; made by [`compile()`](super::compile()) alone.
#[derive(Debug)]
pub struct CompiledPolicy {
    /// `metadata.name`.
    pub name: Arc<str>,
    /// `metadata.uid`; empty for a policy that no server has stored.
    pub uid: Arc<str>,
    /// `metadata.generation` of the spec that was compiled.
    pub generation: i64,
    /// What the policy does beyond judging.
    pub mode: Mode,
    /// How fixes are written.
    pub enforcement: Enforcement,
    /// What the policy is about, in one word or a few, where it says so.
    pub category: Option<Arc<str>>,
    /// How bad a violation is where the rule does not say otherwise.
    pub severity: Severity,
    /// Whether the policy rests: no watches, verdicts withdrawn.
    pub suspend: bool,
    /// Whether it is being deleted, and is there only until what it wrote is taken back.
    pub deleting: bool,
    /// What is watched; an object is judged when any entry takes it.
    pub targets: Box<[CompiledTarget]>,
    /// Namespaces that are left out whatever the targets say; empty with the operator's consent.
    pub(super) left_out: Box<[Arc<str>]>,
    /// `match`.
    pub(super) conditions: Box<[Check]>,
    pub(super) rules: Box<[Rule]>,
    /// Who is left alone, in the policy's order.
    pub exceptions: Box<[CompiledException]>,
    /// Whether anything is read of the Namespaces that objects are in.
    pub(super) reads_namespaces: bool,
    /// Whether what an object shares with its controller is reported there alone.
    pub(super) skips_owned: bool,
    /// What its fixes may not write.
    pub(super) fences: Fences,
    /// In words, names that it reads of kinds of Kubernetes and that are nearly what these have; mostly none.
    pub(super) slips: Box<[(GroupResource, Arc<str>)]>,
}

impl CompiledPolicy {
    /// The first end of an exception that is yet to come.
    pub fn next_end(&self, now: Timestamp) -> Option<Timestamp> {
        self.exceptions.iter().filter_map(|exception| exception.until).filter(|until| *until > now).min()
    }

    /// The names of the rules, in the policy's order.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<str>> {
        self.rules.iter().map(|rule| &rule.name)
    }

    /// Whether a rule has a fix.
    pub fn fixes(&self, rule: &str) -> bool {
        self.rules.iter().any(|known| *known.name == *rule && known.fix.is_some())
    }

    /// In words, a name that it reads of a resource, and that is nearly one which its kind has.
    pub(super) fn slip(&self, resource: &GroupResource) -> Option<&Arc<str>> {
        self.slips.iter().find(|(of, _)| of == resource).map(|(_, words)| words)
    }

    /// Whether it judges: one that is suspended, or being deleted, does not.
    pub fn judges(&self) -> bool {
        !self.suspend && !self.deleting
    }

    /// Whether it does more than judge: its mode is not Audit, and a rule has a fix.
    pub fn mends(&self) -> bool {
        self.judges() && self.mode != Mode::Audit && self.rules.iter().any(|rule| rule.fix.is_some())
    }
}

/// The name that stands for all resources of a group.
pub(super) const ALL: &str = "*";

/// One entry of `targets`.
#[derive(Debug)]
pub struct CompiledTarget {
    /// The API group; empty for the core group.
    pub group: Arc<str>,
    /// Plural names, or `*` alone for all of the group.
    pub resources: Box<[Arc<str>]>,
    /// The version to watch; `None` for the one that the server prefers.
    pub version: Option<Arc<str>>,
    /// Names of namespaces; empty for all.
    pub namespaces: Box<[Arc<str>]>,
    /// The label selector; `None` where every object is selected.
    pub labels: Option<Selector>,
    /// The field selector; `None` where every object is selected.
    pub fields: Option<FieldSelector>,
    /// The member names that lead to the pod template, where the target says so.
    pub pod: Option<Box<[Arc<str>]>>,
    /// The label selector on the object's Namespace; `None` where every namespace is selected.
    pub(super) namespace_labels: Option<Selector>,
    pub(super) exclude_namespaces: Box<[Glob]>,
    /// Empty for any name.
    pub(super) names: Box<[Glob]>,
}

/// One rule.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: Arc<str>,
    pub(super) severity: Severity,
    pub(super) when: Box<[Check]>,
    pub(super) for_each: Option<Path>,
    /// The number of `for_each` among the paths of the policy.
    pub(super) number: usize,
    pub(super) body: Body,
    /// `None` where one is written from the rule.
    pub(super) message: Option<Template>,
    /// Whether it reads the pod of an object.
    pub(super) reads_pod: bool,
    /// How a failure is mended, where it can be.
    pub(super) fix: Option<Fix>,
}

/// What a rule demands.
#[derive(Debug)]
pub(super) enum Body {
    /// Checks that must all hold; a single check is a list of one.
    AllOf(Box<[Check]>),
    /// Branches of which one must hold, each with all its checks.
    AnyOf(Box<[Box<[Check]>]>),
    /// That there is no such element, or object, at all.
    Forbid,
}

impl Rule {
    /// All checks, those that say where it applies first.
    pub(super) fn checks(&self) -> impl Iterator<Item = &Check> {
        self.when.iter().chain(self.body.checks())
    }

    /// The same, to be changed.
    pub(super) fn checks_mut(&mut self) -> impl Iterator<Item = &mut Check> {
        self.when.iter_mut().chain(self.body.checks_mut())
    }
}

impl Body {
    /// All checks, in the order in which they are written.
    pub(super) fn checks(&self) -> impl Iterator<Item = &Check> {
        let (all, any): (&[Check], &[Box<[Check]>]) = match self {
            Self::AllOf(checks) => (checks, &[]),
            Self::AnyOf(branches) => (&[], branches),
            Self::Forbid => (&[], &[]),
        };
        all.iter().chain(any.iter().flatten())
    }

    fn checks_mut(&mut self) -> impl Iterator<Item = &mut Check> {
        let (all, any): (&mut [Check], &mut [Box<[Check]>]) = match self {
            Self::AllOf(checks) => (checks, &mut []),
            Self::AnyOf(branches) => (&mut [], branches),
            Self::Forbid => (&mut [], &mut []),
        };
        all.iter_mut().chain(any.iter_mut().flatten())
    }
}
