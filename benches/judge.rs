//! The hot path beside what else could be taken for it, on the same input in one run: `make bench`.
//!
//! - `evaluate`: the paths of 5, 100 and 1,000 rules over one object, together and each alone, beside jsonpath-rust and
//!   serde_json_path, all parsed beforehand.
//! - `judge`: whole policies of so many rules, from a document to verdicts, as the operator's workers do it.
//! - `project`: an item of a list to what four rules read, beside the event that the kube crate would make of it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark that meets the unexpected should stop there and then"
)]

use std::hint::black_box;
use std::ops::ControlFlow;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jsonpath_rust::parser::parse_json_path;
use jsonpath_rust::query::js_path_process;
use kube::core::{DynamicObject, WatchEvent};
use serde_json::Value;
use watchpolicy::jsonpath::{
    Budget, Document, Node, Path, Plan, Planned, Planner, Roots, Scope, Survey, Trail,
};
use watchpolicy::policy::{CompiledPolicy, SharedPaths};

use fixtures::Sample;

#[path = "../tests/fixtures/mod.rs"]
mod fixtures;

const RULES: [usize; 3] = [5, 100, 1_000];

/// Rules in one policy at most.
const RULES_PER_POLICY: usize = 50;

fn samples() -> [Sample; 2] {
    [fixtures::deployment(), fixtures::pod()]
}

/// The paths as RFC 9535 spells them, for those who know no other roots.
fn standard(path: &str, sample: &Sample) -> String {
    let pod = if &*sample.types.kind == "Pod" { "$" } else { "$.spec.template" };
    path.replace("$containers", &format!("{pod}.spec.containers"))
        .replace("$podSpec", &format!("{pod}.spec"))
        .replace("$pod", pod)
}

/// What a visitor of nodes does with each.
fn look_at(node: &Node) -> usize {
    usize::from(!black_box(node).elements().is_empty()) + 1
}

fn plan(paths: &[Path], roots: &Roots) -> (Plan, Vec<Planned>) {
    let mut planner = Planner::new(roots);
    let planned = paths.iter().map(|path| planner.path(path).unwrap()).collect();
    (planner.finish(), planned)
}

fn find_together(plan: &Plan, paths: &[Planned], node: &Node) -> usize {
    let mut survey = Survey::new(plan, node);
    survey.find(paths.iter().copied());
    let found = |path: &Planned| survey.places(*path, &mut Budget::default()).unwrap();
    paths.iter().flat_map(found).flatten().map(|node| look_at(node)).sum()
}

fn find_alone(paths: &[Path], node: &Node, roots: &Roots) -> usize {
    let (scope, mut found) = (Scope::new(node, roots), 0);
    for path in paths {
        let mut count = |node: &Node, _: &Trail<'_>| {
            found += look_at(node);
            ControlFlow::Continue(())
        };
        path.each(&scope, &mut Budget::default(), &mut count).unwrap();
    }
    found
}

fn evaluate(criterion: &mut Criterion) {
    for sample in samples() {
        let mut group = criterion.benchmark_group(format!("evaluate/{}", sample.types.kind));
        let value: Value = serde_json::from_str(&sample.raw).unwrap();
        let (node, roots) = (Node::from(&value), Roots::of_builtin(&sample.resource));
        for rules in RULES {
            let texts: Vec<String> =
                (0..rules).map(|index| standard(&fixtures::path(index), &sample)).collect();
            group.throughput(Throughput::Elements(rules as u64));
            let paths: Vec<Path> = texts.iter().map(|text| Path::parse(text).unwrap()).collect();
            let (plan, planned) = plan(&paths, &roots);
            group.bench_function(BenchmarkId::new("watchpolicy", rules), |bencher| {
                bencher.iter(|| find_together(&plan, &planned, black_box(&node)));
            });
            group.bench_function(BenchmarkId::new("watchpolicy, each alone", rules), |bencher| {
                bencher.iter(|| find_alone(&paths, black_box(&node), &roots));
            });
            let paths: Vec<_> = texts.iter().map(|text| parse_json_path(text).unwrap()).collect();
            group.bench_function(BenchmarkId::new("jsonpath-rust", rules), |bencher| {
                let found = |path| js_path_process(path, black_box(&value)).unwrap().len();
                bencher.iter(|| paths.iter().map(found).sum::<usize>());
            });
            let paths: Vec<_> =
                texts.iter().map(|text| serde_json_path::JsonPath::parse(text).unwrap()).collect();
            group.bench_function(BenchmarkId::new("serde_json_path", rules), |bencher| {
                let found = |path: &serde_json_path::JsonPath| path.query(black_box(&value)).len();
                bencher.iter(|| paths.iter().map(found).sum::<usize>());
            });
        }
    }
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

fn judge(criterion: &mut Criterion) {
    for sample in samples() {
        let mut group = criterion.benchmark_group(format!("judge/{}", sample.types.kind));
        for rules in RULES {
            let policies = policies(&sample, rules);
            let (roots, mut projection) = fixtures::projection(&policies[0], &sample);
            policies.iter().for_each(|policy| projection.merge(&fixtures::projection(policy, &sample).1));
            let document = Document::decode(&sample.raw, &projection, &sample.types).unwrap();
            let shared = SharedPaths::of(policies.iter().map(|policy| (policy, &roots)));
            group.throughput(Throughput::Elements(rules as u64));
            group.bench_function(BenchmarkId::new("watchpolicy", rules), |bencher| {
                bencher.iter(|| {
                    let judgements = fixtures::judge_together(&policies, &shared, &sample, &roots, &document);
                    drop(black_box(judgements));
                });
            });
        }
    }
}

fn project(criterion: &mut Criterion) {
    let sample = fixtures::pod();
    let mut group = criterion.benchmark_group("project/Pod");
    group.throughput(Throughput::Bytes(sample.raw.len() as u64));
    for rules in [4, 100] {
        let paths: Vec<Path> = (0..rules).map(|index| Path::parse(&fixtures::path(index)).unwrap()).collect();
        let (_, mut projection) = fixtures::projection(&fixtures::four_rules(&sample), &sample);
        let roots = Roots::of_builtin(&sample.resource);
        paths.iter().for_each(|path| projection.read(path, &roots, None));
        group.bench_function(BenchmarkId::new("watchpolicy", rules), |bencher| {
            bencher.iter(|| Document::decode(black_box(&sample.raw), &projection, &sample.types).unwrap());
        });
    }
    let object = sample.raw.replacen('{', r#"{"kind":"Pod","apiVersion":"v1","#, 1);
    let event = format!(r#"{{"type":"MODIFIED","object":{object}}}"#);
    group.bench_function("WatchEvent<DynamicObject>", |bencher| {
        let read =
            || serde_json::from_slice::<WatchEvent<DynamicObject>>(black_box(event.as_bytes())).unwrap();
        bencher.iter(read);
    });
    group.bench_function("serde_json::Value", |bencher| {
        bencher.iter(|| serde_json::from_str::<Value>(black_box(&sample.raw)).unwrap());
    });
}

/// Short times: the ratios matter, and are far from each other.
fn short() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(30)
        .without_plots()
}

criterion_group! { name = benches; config = short(); targets = evaluate, judge, project }
criterion_main!(benches);
