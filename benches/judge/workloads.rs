//! What is measured.
//!
//! - `evaluate`: the paths of 5, 100 and 1,000 rules over one object, together and each alone, beside jsonpath-rust and
//!   serde_json_path, all parsed beforehand.
//! - `judge`: whole policies of so many rules, from a document to verdicts, as the operator's workers do it.
//! - `project`: an item of a list to what rules read, beside the event that the kube crate would make of it.

use std::hint::black_box;
use std::ops::ControlFlow;

use jsonpath_rust::parser::parse_json_path;
use jsonpath_rust::query::js_path_process;
use kube::core::{DynamicObject, WatchEvent};
use serde_json::Value;
use watchpolicy::jsonpath::{Budget, Document, Node, Path, Planner, Roots, Scope, Survey, Trail, Tree};
use watchpolicy::policy::{CompiledPolicy, SharedPaths};

use super::fixtures::{self, Sample};
use super::instructions::{Run, Workload};

/// Rules in one policy at most.
const RULES_PER_POLICY: usize = 50;

/// All that is measured.
pub(crate) fn all() -> Vec<Workload> {
    let mut all = Vec::new();
    let mut add = |group, name, size, prepare: Box<dyn Fn() -> Run>| {
        all.push(Workload { group, name, size, prepare });
    };
    let samples: [(_, _, fn() -> Sample); 2] = [
        ("evaluate/Deployment", "judge/Deployment", fixtures::deployment),
        ("evaluate/Pod", "judge/Pod", fixtures::pod),
    ];
    for (evaluate, judge, sample) in samples {
        for rules in [5, 100, 1_000] {
            add(evaluate, "watchpolicy", rules, Box::new(move || together(&sample(), rules)));
            add(evaluate, "watchpolicy, each alone", rules, Box::new(move || alone(&sample(), rules)));
            add(evaluate, "jsonpath-rust", rules, Box::new(move || jsonpath_rust(&sample(), rules)));
            add(evaluate, "serde_json_path", rules, Box::new(move || serde_json_path(&sample(), rules)));
        }
        for rules in [5, 100, 1_000] {
            add(judge, "watchpolicy", rules, Box::new(move || judged(sample(), rules)));
        }
    }
    for rules in [4, 100] {
        add("project/Pod", "watchpolicy", rules, Box::new(move || projected(rules)));
    }
    add("project/Pod", "WatchEvent<DynamicObject>", 0, Box::new(event));
    add("project/Pod", "serde_json::Value", 0, Box::new(value));
    all
}

/// The paths as RFC 9535 spells them, for those who know no other roots.
fn texts(sample: &Sample, rules: usize) -> Vec<String> {
    let pod = if &*sample.types.kind == "Pod" { "$" } else { "$.spec.template" };
    let standard = |path: String| {
        path.replace("$containers", &format!("{pod}.spec.containers"))
            .replace("$podSpec", &format!("{pod}.spec"))
            .replace("$pod", pod)
    };
    (0..rules).map(fixtures::path).map(standard).collect()
}

fn paths(sample: &Sample, rules: usize) -> Vec<Path> {
    texts(sample, rules).iter().map(|text| Path::parse(text).unwrap()).collect()
}

fn node(sample: &Sample) -> Tree {
    sample.raw.parse().unwrap()
}

/// What a visitor of nodes does with each.
fn look_at(node: Node<'_>) -> usize {
    usize::from(black_box(node).elements().next().is_some()) + 1
}

fn together(sample: &Sample, rules: usize) -> Run {
    let (node, roots) = (node(sample), Roots::of_builtin(&sample.resource));
    let mut planner = Planner::new(&roots);
    let planned: Vec<_> = paths(sample, rules).iter().map(|path| planner.path(path).unwrap()).collect();
    let plan = planner.finish();
    Box::new(move || {
        let mut survey = Survey::new(&plan, black_box(&node));
        survey.find(planned.iter().copied());
        let mut found = 0;
        for path in &planned {
            let places = survey.places(*path, &mut Budget::default()).unwrap();
            found += places.iter().flatten().map(|node| look_at(*node)).sum::<usize>();
        }
        black_box(found);
    })
}

fn alone(sample: &Sample, rules: usize) -> Run {
    let (node, roots, paths) = (node(sample), Roots::of_builtin(&sample.resource), paths(sample, rules));
    Box::new(move || {
        let (scope, mut found) = (Scope::new(black_box(&node), &roots), 0);
        for path in &paths {
            let mut visit = |node: Node<'_>, _: &Trail<'_>| {
                found += look_at(node);
                ControlFlow::Continue(())
            };
            path.each(&scope, &mut Budget::default(), &mut visit).unwrap();
        }
        black_box(found);
    })
}

fn jsonpath_rust(sample: &Sample, rules: usize) -> Run {
    let value: Value = serde_json::from_str(&sample.raw).unwrap();
    let paths: Vec<_> = texts(sample, rules).iter().map(|text| parse_json_path(text).unwrap()).collect();
    Box::new(move || {
        let found = |path| js_path_process(path, black_box(&value)).unwrap().len();
        black_box(paths.iter().map(found).sum::<usize>());
    })
}

fn serde_json_path(sample: &Sample, rules: usize) -> Run {
    let value: Value = serde_json::from_str(&sample.raw).unwrap();
    let parse = |text: &String| serde_json_path::JsonPath::parse(text).unwrap();
    let paths: Vec<_> = texts(sample, rules).iter().map(parse).collect();
    Box::new(move || {
        let found = |path: &serde_json_path::JsonPath| path.query(black_box(&value)).len();
        black_box(paths.iter().map(found).sum::<usize>());
    })
}

/// Policies with so many rules together.
fn policies(sample: &Sample, rules: usize) -> Vec<CompiledPolicy> {
    let rule = |index| {
        format!("path: \"{}\", whenAbsent: Pass, assert: {{notEquals: nothing}}", fixtures::path(index))
    };
    let starts = (0..rules).step_by(RULES_PER_POLICY);
    let ends = starts.map(|start| start..rules.min(start + RULES_PER_POLICY));
    ends.map(|range| fixtures::policy(sample, range.map(rule))).collect()
}

fn judged(sample: Sample, rules: usize) -> Run {
    let policies = policies(&sample, rules);
    let (roots, mut projection) = fixtures::projection(&policies[0], &sample);
    policies.iter().for_each(|policy| projection.merge(&fixtures::projection(policy, &sample).1));
    let document = Document::decode(&sample.raw, &projection, &sample.types).unwrap();
    let shared = SharedPaths::of(policies.iter().map(|policy| (policy, &roots)));
    Box::new(move || {
        let judgements = fixtures::judge_together(&policies, &shared, &sample, &roots, black_box(&document));
        drop(black_box(judgements));
    })
}

fn projected(rules: usize) -> Run {
    let sample = fixtures::pod();
    let (roots, mut projection) = fixtures::projection(&fixtures::four_rules(&sample), &sample);
    paths(&sample, rules).iter().for_each(|path| projection.read(path, &roots, None));
    Box::new(move || {
        let document = Document::decode(black_box(&sample.raw), &projection, &sample.types);
        drop(black_box(document.unwrap()));
    })
}

fn event() -> Run {
    let object = fixtures::pod().raw.replacen('{', r#"{"kind":"Pod","apiVersion":"v1","#, 1);
    let event = format!(r#"{{"type":"MODIFIED","object":{object}}}"#);
    Box::new(move || {
        let event = serde_json::from_slice::<WatchEvent<DynamicObject>>(black_box(event.as_bytes()));
        drop(black_box(event.unwrap()));
    })
}

fn value() -> Run {
    let sample = fixtures::pod();
    Box::new(move || drop(black_box(serde_json::from_str::<Value>(black_box(&sample.raw)).unwrap())))
}
