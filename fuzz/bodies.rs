//! What must hold for any input: no panic, no endless work, and the laws below. Run by the fuzzer on what it makes up,
//! and by `tests/corpus.rs` on `fuzz/seeds`.

#![allow(dead_code, reason = "each fuzz target runs one of them")]

use std::ffi::OsString;
use std::ops::ControlFlow;
use std::{env, fs, iter, process, thread};

use serde_json::value::RawValue;
use watchpolicy::cli::{self, Answer, Command};
use watchpolicy::crd::{WatchPolicy, WatchPolicySpec};
use watchpolicy::jsonpath::{Budget, Document, Node, Path, Projection, Roots, Scope, Trail, Tree, TypeMeta};
use watchpolicy::policy::{CompiledPolicy, Judgement, Outcome, Settings, Subject, compile};
use watchpolicy::resource::GroupResource;

/// How many of the places that a path finds are looked up again.
const LOOKED_UP: usize = 3;

/// A line with a path, then JSON.
///
/// A path is refused at a place that it has, or its normal spelling is a path of the same shape. What it finds is found again
/// at the place that is told.
pub(crate) fn path(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let (text, json) = text.split_once('\n').unwrap_or((text, "null"));
    let path = match Path::parse(text) {
        Ok(path) => path,
        Err(error) => return assert!(error.position <= text.chars().count(), "{error:?}"),
    };
    let normal = path.to_string();
    // The normal spelling can be longer than a path may be; and a number of more than 15 digits in it is read as a
    // neighbour of the nearest double, so that the two paths need not be equal.
    if let Ok(again) = Path::parse(&normal) {
        let shape = |path: &Path| (path.root(), path.is_singular(), path.has_tail(), path.names());
        assert_eq!(shape(&again), shape(&path), "{normal}");
    }
    let Ok(node) = json.parse::<Tree>() else { return };
    let roots = Roots::of_builtin(&GroupResource::new("", "pods"));
    let scope = Scope::new(&node, &roots);
    let mut found = Vec::new();
    let mut keep = |node: Node<'_>, trail: &Trail<'_>| {
        if found.len() < LOOKED_UP {
            found.push((trail.normalized().to_string(), Tree::from(node)));
        }
        ControlFlow::Continue(())
    };
    let _over_budget = path.each(&scope, &mut Budget::default(), &mut keep);
    let _over_budget = path.places(&scope, &mut Budget::default(), &mut |_, _| ControlFlow::Continue(()));
    for (place, wanted) in &found {
        look_up(place, wanted.node(), &scope);
    }
}

fn look_up(place: &str, wanted: Node<'_>, scope: &Scope<'_>) {
    let Ok(path) = Path::parse(place) else { return };
    let mut times = 0;
    let mut same = |node: Node<'_>, _: &Trail<'_>| {
        assert_eq!(node, wanted, "{place}");
        times += 1;
        ControlFlow::Continue(())
    };
    path.each(scope, &mut Budget::default(), &mut same).unwrap_or_else(|error| panic!("{place}: {error}"));
    assert_eq!(times, 1, "{place} is one place");
}

/// The spec of a policy, and an object: two JSON values, one after the other.
///
/// A policy is refused with reasons, or judges the object; by what it reads of it as by the whole. What cannot be read
/// does not pass.
pub(crate) fn policy(input: &[u8]) {
    let mut values = serde_json::Deserializer::from_slice(input).into_iter::<&RawValue>();
    let (Some(Ok(spec)), Some(Ok(object))) = (values.next(), values.next()) else { return };
    let Ok(spec) = serde_json::from_str::<WatchPolicySpec>(spec.get()) else { return };
    let settings = Settings { allow_system_namespaces: true, ..Settings::default() };
    let policy = match compile(&WatchPolicy::new("policy", spec), &settings) {
        Ok(policy) => policy,
        Err(faults) => return assert!(faults.iter().count() > 0),
    };
    let resource = GroupResource::new("", "pods");
    let roots = policy.roots(&resource);
    let mut reads = Projection::default();
    policy.read(&resource, &roots, &mut reads);
    let Ok(part) = Document::decode(object.get(), &reads, &types()) else { return };
    let judged = judge(&policy, &part, &roots);
    if let (Err(_), Judgement::Judged(verdict)) = (&part.root, &judged) {
        assert_ne!(verdict.outcome, Outcome::Pass, "{object}");
    }
    let whole = Document::decode(object.get(), &everything(), &types());
    if let Ok(whole) = whole
        && whole.root.is_ok()
    {
        assert_eq!(judged, judge(&policy, &whole, &roots), "by what is read, and by the whole");
    }
}

fn judge(policy: &CompiledPolicy, document: &Document, roots: &Roots) -> Judgement {
    let resource = GroupResource::new("", "pods");
    let now = jiff::Timestamp::UNIX_EPOCH;
    policy.judge(&Subject { resource: &resource, kind: "Pod", roots, document, namespace: None, now })
}

/// An item as a server sends it.
///
/// Whatever is read, the same object is found; and what is kept is shown as JSON of the same type. Of the same value but
/// for the last digit of a number of more than 15: the parser rounds it to a neighbour of the nearest double.
pub(crate) fn item(input: &[u8]) {
    let Ok(raw) = str::from_utf8(input) else { return };
    let Ok(bare) = Document::decode(raw, &Projection::default(), &types()) else { return };
    let mut some = Projection::default();
    let roots = Roots::of_builtin(&GroupResource::new("", "pods"));
    for path in ["$containers[*].image", "$.metadata.annotations.a", "$podSpec.hostNetwork", "$..a"] {
        some.read(&Path::parse(path).unwrap_or_else(|error| panic!("{error}")), &roots, None);
    }
    for projection in [some, everything()] {
        let document = Document::decode(raw, &projection, &types()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(document.id, bare.id);
        assert!(document.same_content(&document) && document.heap_bytes() > 0);
        if let Ok(root) = &document.root {
            let shown = root.to_string();
            let again = shown.parse::<Tree>().unwrap_or_else(|error| panic!("{error}: {shown}"));
            assert_eq!(again.node().kind(), root.node().kind());
        }
    }
}

fn everything() -> Projection {
    let mut projection = Projection::default();
    projection.read(&Path::parse("$").unwrap_or_else(|error| panic!("{error}")), &Roots::default(), None);
    projection.read_labels();
    projection
}

fn types() -> TypeMeta {
    TypeMeta { api_version: "v1".into(), kind: "Pod".into() }
}

/// A file in YAML or JSON, of policies and of objects.
///
/// The command line answers, whatever is in the file.
pub(crate) fn text(input: &[u8]) {
    let name = format!("watchpolicy-text-{}-{:?}.yaml", process::id(), thread::current().id());
    let file = env::temp_dir().join(name);
    fs::write(&file, input).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let name = file.display().to_string();
    let answers = [
        run(&["lint", "--format", "sarif", &name]),
        run(&["eval", "--format", "junit", "--now", "2026-06-15T12:00:00Z", "-p", &name, "-r", &name]),
    ];
    fs::remove_file(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    for answer in answers.into_iter().flatten() {
        assert!(
            answer.exit <= 2 && (answer.exit != 2 || !answer.notes.is_empty() || !answer.text.is_empty())
        );
    }
}

fn run(written: &[&str]) -> anyhow::Result<Answer> {
    match cli::parse(iter::once("watchpolicy").chain(written.iter().copied()).map(OsString::from)).command {
        Command::Lint(args) => cli::lint::run(&args),
        Command::Eval(args) => cli::eval::run(&args),
        other => panic!("{other:?}"),
    }
}
