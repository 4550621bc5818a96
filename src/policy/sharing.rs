//! What the policies that judge one object find together: each path that several rules have, or begin with, once.

use std::slice::SliceIndex;

use crate::jsonpath::{Budget, Document, Node, Path, Plan, Planned, Planner, Root, Roots, Survey};

use super::check::Check;
use super::program::{CompiledPolicy, Rule};

/// The paths of the policies that judge what one watch shows, planned together.
#[derive(Debug)]
pub struct SharedPaths {
    plan: Plan,
    /// Of each policy, its paths by their numbers; none where its pods are elsewhere.
    policies: Box<[Box<[Option<Planned>]>]>,
}

impl SharedPaths {
    /// Of these policies, with where the named roots are for each.
    pub fn of<'p>(policies: impl IntoIterator<Item = (&'p CompiledPolicy, &'p Roots)>) -> Self {
        let mut policies = policies.into_iter().peekable();
        let roots = policies.peek().map(|(_, roots)| (*roots).clone()).unwrap_or_default();
        let mut planner = Planner::new(&roots);
        let of_policy = |(policy, its): (&CompiledPolicy, &Roots)| {
            if *its == roots { policy.plan(&mut planner) } else { Box::default() }
        };
        let policies = policies.map(of_policy).collect();
        Self { plan: planner.finish(), policies }
    }

    /// What will be found in a document; nothing of one that cannot be read.
    pub fn survey<'d>(&'d self, document: &'d Document) -> Option<Survey<'d>> {
        document.root.as_ref().ok().map(|root| Survey::new(&self.plan, root))
    }

    /// What the policy of this index, as they were given, shares in a survey.
    pub fn of_policy<'a, 'd>(&'a self, index: usize, survey: &'a mut Survey<'d>) -> Option<Share<'a, 'd>> {
        self.policies.get(index).map(|planned| Share { survey, planned })
    }
}

/// What one policy shares with others.
#[derive(Debug)]
pub struct Share<'a, 'd> {
    survey: &'a mut Survey<'d>,
    planned: &'a [Option<Planned>],
}

impl Share<'_, '_> {
    /// Finds the paths of these numbers.
    pub(super) fn find(&mut self, numbers: impl SliceIndex<[Option<Planned>], Output = [Option<Planned>]>) {
        let planned = self.planned.get(numbers).unwrap_or_default();
        self.survey.find(planned.iter().flatten().copied());
    }

    /// What was found.
    pub(super) fn found(&self) -> Shared<'_> {
        Shared { survey: self.survey, planned: self.planned }
    }
}

/// What was found of a policy's paths.
#[derive(Clone, Copy)]
pub(super) struct Shared<'h> {
    survey: &'h Survey<'h>,
    planned: &'h [Option<Planned>],
}

impl<'h> Shared<'h> {
    /// What is at the places of the path of this number; `None` where that is not known, or dearer than the budget.
    pub(super) fn places(self, number: usize, budget: &mut Budget) -> Option<&'h [Option<Node<'h>>]> {
        self.survey.places((*self.planned.get(number)?)?, budget)
    }
}

impl CompiledPolicy {
    /// Gives the paths that are shared their numbers: those of `match`, then those of each rule.
    pub(super) fn number_paths(&mut self) {
        let mut next = 0;
        self.conditions.iter_mut().for_each(|check| check.number_paths(&mut next));
        for rule in &mut self.rules {
            rule.number = next;
            next += usize::from(rule.for_each.is_some());
            rule.checks_mut().for_each(|check| check.number_paths(&mut next));
        }
    }

    /// How many paths `match` has: those of the rules have the numbers from there on.
    pub(super) fn paths_of_match(&self) -> usize {
        self.conditions.iter().map(|check| check.paths().count()).sum()
    }

    fn plan(&self, planner: &mut Planner<'_>) -> Box<[Option<Planned>]> {
        let mut planned = Vec::new();
        for path in self.conditions.iter().flat_map(Check::paths) {
            planned.push(planner.path(path));
        }
        self.rules.iter().for_each(|rule| rule.plan(planner, &mut planned));
        planned.into()
    }
}

impl Rule {
    fn plan(&self, planner: &mut Planner<'_>, planned: &mut Vec<Option<Planned>>) {
        planned.extend(self.for_each.iter().map(|path| planner.elements(path)));
        // Below an element nothing is shared: its own paths are short, and have other budgets.
        let is_shared = |path: &&Path| self.for_each.is_none() || path.root() != Root::Current;
        for path in self.checks().flat_map(Check::paths) {
            planned.push(Some(path).filter(is_shared).and_then(|path| planner.path(path)));
        }
    }
}
