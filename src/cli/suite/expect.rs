//! Comparing what is expected with what was judged.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::cli::hint;
use crate::cli::judge::Judged;
use crate::cli::results::ObjectRef;
use crate::policy::{Judgement, NodeVerdict, Outcome, RuleVerdict};

use super::file::{Expectation, Wanted};

/// One comparison of one object.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    pub(super) policy: Box<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rule: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) object: Option<ObjectRef>,
    /// What is wrong; `None` where all is as expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) broken: Option<String>,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.policy)?;
        if let Some(rule) = &self.rule {
            write!(f, "/{rule}")?;
        }
        if let Some(object) = &self.object {
            write!(f, " on {object}")?;
        }
        Ok(())
    }
}

/// All comparisons of a suite: those that it writes, and that nothing else is wrong.
pub(super) fn compare(expectations: &[Expectation], judged: &[Judged<'_>]) -> Vec<Comparison> {
    let mut named = vec![false; judged.len()];
    let mut comparisons = Vec::new();
    for expectation in expectations {
        one(expectation, judged, &mut named, &mut comparisons);
    }
    let others = judged.iter().zip(named).filter(|(_, named)| !named);
    comparisons.extend(others.filter_map(|(judged, _)| unexpected(judged)));
    comparisons
}

fn one(wanted: &Expectation, judged: &[Judged<'_>], named: &mut [bool], comparisons: &mut Vec<Comparison>) {
    let broken = |message: String| Comparison {
        policy: wanted.policy.as_deref().or_else(|| only(judged)).unwrap_or("?").into(),
        rule: wanted.rule.as_deref().map(Box::from),
        object: None,
        broken: Some(message),
    };
    let policy = match policy_of(wanted, judged) {
        Ok(policy) => policy,
        Err(message) => return comparisons.push(broken(message)),
    };
    if wanted.names().next().is_none() {
        comparisons.push(broken("names no object: add `object`, or `objects`".into()));
    }
    for name in wanted.names() {
        let before = comparisons.len();
        for (judged, named) in judged.iter().zip(named.iter_mut()) {
            if judged.policy.program.name == policy && is_about(wanted, name, judged) {
                *named = true;
                comparisons.push(against(wanted, judged));
            }
        }
        if comparisons.len() == before {
            comparisons.push(broken(absent(wanted, name, judged)));
        }
    }
}

/// The name of the policy, where there is one only.
fn only<'j>(judged: &'j [Judged<'_>]) -> Option<&'j str> {
    let first = &judged.first()?.policy.program.name;
    judged.iter().all(|judged| judged.policy.program.name == *first).then_some(&**first)
}

/// The policy that an expectation is about.
fn policy_of(wanted: &Expectation, judged: &[Judged<'_>]) -> Result<Arc<str>, String> {
    let mut names: Vec<&Arc<str>> = judged.iter().map(|judged| &judged.policy.program.name).collect();
    names.sort_unstable();
    names.dedup();
    let found = match (&wanted.policy, names.as_slice()) {
        (None, [one]) => return Ok(Arc::clone(one)),
        (None, []) => return Err("no policy takes any object here: look at `suspend` and `targets`".into()),
        (None, _) => return Err("there are several policies: say which by `policy`".into()),
        (Some(policy), _) => policy,
    };
    match names.iter().find(|name| ****name == **found) {
        Some(name) => Ok(Arc::clone(name)),
        None => Err(missing("policy", found, names.iter().map(|name| &***name))),
    }
}

fn is_about(wanted: &Expectation, name: &str, judged: &Judged<'_>) -> bool {
    let object = judged.object;
    let fits =
        |wanted: &Option<String>, is: Option<&str>| wanted.as_deref().is_none_or(|wanted| Some(wanted) == is);
    *object.id.name == *name
        && fits(&wanted.kind, Some(&object.types.kind))
        && fits(&wanted.namespace, object.id.namespace.as_deref())
}

fn absent(wanted: &Expectation, name: &str, judged: &[Judged<'_>]) -> String {
    let mut names: Vec<&str> = judged.iter().map(|judged| &*judged.object.id.name).collect();
    names.sort_unstable();
    names.dedup();
    if names.contains(&name) && (wanted.kind.is_some() || wanted.namespace.is_some()) {
        return format!("there is an object `{name}`, but not of this kind and namespace");
    }
    missing("object", name, names.into_iter())
}

fn missing<'n>(what: &str, name: &str, known: impl Iterator<Item = &'n str>) -> String {
    match hint::nearest(name, known) {
        Some(near) if near != name => format!("there is no {what} `{name}`; did you mean `{near}`?"),
        _ => format!("there is no {what} `{name}` in the suite"),
    }
}

fn against(wanted: &Expectation, judged: &Judged<'_>) -> Comparison {
    Comparison {
        policy: (*judged.policy.program.name).into(),
        rule: wanted.rule.as_deref().map(Box::from),
        object: Some(ObjectRef::of(judged.object)),
        broken: difference(wanted, judged),
    }
}

/// What is not as expected.
fn difference(wanted: &Expectation, judged: &Judged<'_>) -> Option<String> {
    let program = &judged.policy.program;
    if let Some(rule) = &wanted.rule
        && !program.rules().any(|name| **name == **rule)
    {
        return Some(missing("rule", rule, program.rules().map(|name| &**name)));
    }
    let rules: Vec<&RuleVerdict> = match &judged.judgement {
        Judgement::Judged(verdict) => verdict
            .rules
            .iter()
            .filter(|rule| wanted.rule.as_ref().is_none_or(|name| *rule.rule == **name))
            .collect(),
        Judgement::NotTaken | Judgement::Excluded { .. } => Vec::new(),
    };
    let nodes: Vec<&NodeVerdict> = rules.iter().flat_map(|rule| &rule.nodes).collect();
    let got = got(&judged.judgement, wanted.rule.as_deref(), &rules);
    if got != wanted.result {
        return Some(format!("wanted {:?}, got {got:?}{}", wanted.result, listed(&nodes)));
    }
    if let Some(path) = &wanted.path
        && !nodes.iter().any(|node| *node.path == **path)
    {
        return Some(format!("no node has the path `{path}`{}", listed(&nodes)));
    }
    if let Some(message) = &wanted.message
        && !nodes.iter().any(|node| *node.message == **message)
    {
        return Some(format!("no node has the message `{message}`{}", listed(&nodes)));
    }
    None
}

fn got(judgement: &Judgement, rule: Option<&str>, rules: &[&RuleVerdict]) -> Wanted {
    match (judgement, rule, rules) {
        (Judgement::Judged(_), Some(_), [rule]) => of_outcome(rule.outcome),
        (Judgement::Judged(verdict), ..) => of_outcome(verdict.outcome),
        (Judgement::NotTaken | Judgement::Excluded { .. }, ..) => Wanted::NotTaken,
    }
}

const fn of_outcome(outcome: Outcome) -> Wanted {
    match outcome {
        Outcome::Pass => Wanted::Pass,
        Outcome::Fail => Wanted::Fail,
        Outcome::Error => Wanted::Error,
        Outcome::Skip => Wanted::Skip,
    }
}

fn listed(nodes: &[&NodeVerdict]) -> String {
    nodes.iter().map(|node| format!("\n    {}: {}", node.path, node.message)).collect()
}

/// An object that no expectation names may not fail.
fn unexpected(judged: &Judged<'_>) -> Option<Comparison> {
    let Judgement::Judged(verdict) = &judged.judgement else { return None };
    if !matches!(verdict.outcome, Outcome::Fail | Outcome::Error) {
        return None;
    }
    let nodes: Vec<&NodeVerdict> = verdict.rules.iter().flat_map(|rule| &rule.nodes).collect();
    Some(Comparison {
        policy: (*judged.policy.program.name).into(),
        rule: None,
        object: Some(ObjectRef::of(judged.object)),
        broken: Some(format!("no expectation names it, got {}{}", verdict.outcome, listed(&nodes))),
    })
}
