//! What is kept of what a list shows, and what is said of it when all was seen.

use super::*;
use crate::cli::input::policies::settings;
use crate::cli::scan::plan::Plan;
use crate::policy::catalog::{Catalog, ServedResource, ServedVersion};
use crate::policy::compile;

const PODS_AND_DEPLOYMENTS: &str = "[{resources: [pods]}, {group: apps, resources: [deployments]}]";

fn policy(targets: &str, rule: &str) -> Arc<CompiledPolicy> {
    let yaml = format!(
        "{{apiVersion: watchpolicy.io/v1alpha1, kind: WatchPolicy, metadata: {{name: p}}, spec: {{targets: {targets}, \
         rules: [{{name: r, {rule}}}]}}}}"
    );
    Arc::new(compile(&serde_saphyr::from_str(&yaml).unwrap(), &settings()).unwrap())
}

fn catalog() -> Catalog {
    let version = |resources: &[(&str, &str, bool)]| {
        let served = |(name, kind, namespaced): &(&str, &str, bool)| {
            let served = ServedResource { kind: (*kind).into(), namespaced: *namespaced, watchable: true };
            ((*name).into(), served)
        };
        vec![ServedVersion { version: "v1".into(), resources: resources.iter().map(served).collect() }]
    };
    let core = version(&[("pods", "Pod", true), ("namespaces", "Namespace", false)]);
    let apps = version(&[("deployments", "Deployment", true), ("replicasets", "ReplicaSet", true)]);
    Catalog { groups: [("".into(), core), ("apps".into(), apps)].into(), ..Catalog::default() }
}

fn object(name: &str, controller: &str, spec: &str) -> String {
    format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"shop","uid":"{name}","ownerReferences":[{{"uid":"{controller}",
        "controller":true}}]}},"spec":{spec}}}"#
    )
}

/// Judges lists of objects, by the plural names of their resources, in the order in which they are given.
fn scan(
    policy: &Arc<CompiledPolicy>,
    namespaces: Option<Namespaces>,
    keeps_all: bool,
    lists: &[(&str, Vec<String>)],
) -> (Haul, usize) {
    let progress = Progress::of(1).unwrap();
    let policies = [Arc::clone(policy)];
    let plan = Plan::of(&policies, &catalog(), None, &mut Vec::new());
    let bench =
        Bench { namespaces, now: Timestamp::UNIX_EPOCH, keeps_all, skips_owned: true, progress: &progress };
    let mut all = Haul::default();
    for (resource, items) in lists {
        let spec = plan.lists.iter().find(|spec| &*spec.resource.resource.resource == *resource).unwrap();
        let mut sweep = Sweep::new(&bench, &Arc::new(spec.clone()));
        sweep.begin();
        items.iter().for_each(|item| sweep.take(item));
        assert!(sweep.turn().is_continue());
        all.absorb(sweep.haul());
    }
    let documents = all.kin.len();
    all.settle(&bench);
    (all, documents)
}

fn outcomes(haul: &Haul) -> Vec<(String, Outcome, bool)> {
    let mut told: Vec<_> = haul
        .entries
        .iter()
        .map(|entry| (entry.object.to_string(), entry.result, entry.rules[0].owned))
        .collect();
    told.sort_by(|a, b| a.0.cmp(&b.0));
    told
}

fn told(object: &str, outcome: Outcome, owned: bool) -> (String, Outcome, bool) {
    (object.to_owned(), outcome, owned)
}

fn pod(name: &str, controller: &str, image: &str) -> String {
    object(name, controller, &format!(r#"{{"containers":[{{"name":"a","image":"{image}"}}]}}"#))
}

fn deployment(name: &str, image: &str) -> String {
    object(
        name,
        "nobody",
        &format!(r#"{{"template":{{"spec":{{"containers":[{{"name":"a","image":"{image}"}}]}}}}}}"#),
    )
}

#[test]
fn what_an_object_shares_with_its_controller_is_reported_there_whichever_was_seen_first() {
    let policy = policy(PODS_AND_DEPLOYMENTS, "path: '$containers[*].image', assert: {equals: good}");
    let pods = vec![
        pod("below", "r", "bad"),
        pod("injected", "fine-r", "bad"),
        pod("forged", "stranger", "bad"),
        pod("good", "r", "good"),
    ];
    let between = vec![object("r", "d", "{}"), object("fine-r", "fine", "{}"), object("alone", "", "{}")];
    let deployments = vec![deployment("d", "bad"), deployment("fine", "good")];
    let mut lists = [("pods", pods), ("replicasets", between), ("deployments", deployments)];
    for _ in 0..2 {
        let (haul, _) = scan(&policy, None, true, &lists);
        assert_eq!(
            outcomes(&haul),
            [
                told("Deployment shop/d", Outcome::Fail, false),
                told("Deployment shop/fine", Outcome::Pass, false),
                told("Pod shop/below", Outcome::Skip, true),
                told("Pod shop/forged", Outcome::Fail, false),
                told("Pod shop/good", Outcome::Pass, false),
                told("Pod shop/injected", Outcome::Fail, false),
            ]
        );
        assert_eq!((haul.summary.fail, haul.summary.skip, haul.summary.violations), (3, 1, 3));
        lists.reverse();
    }
}

#[test]
fn what_leads_to_a_controller_is_followed_where_it_is_no_target_and_judged_by_nothing_there() {
    let targets = "[{resources: [pods], namespaces: [shop]}, {group: apps, resources: [deployments]}, \
                   {group: apps, resources: [replicasets], namespaces: [zoo]}]";
    let policy = policy(targets, "path: '$containers[*].image', assert: {equals: good}");
    let between = vec![object("r", "d", "{}")];
    let lists = [
        ("pods", vec![pod("below", "r", "bad")]),
        ("replicasets", between),
        ("deployments", vec![deployment("d", "bad")]),
    ];
    let (haul, _) = scan(&policy, None, true, &lists);
    assert_eq!(
        outcomes(&haul),
        [told("Deployment shop/d", Outcome::Fail, false), told("Pod shop/below", Outcome::Skip, true)]
    );
}

#[test]
fn what_is_well_is_counted_and_not_kept_where_nobody_asks_for_it() {
    let policy = policy(PODS_AND_DEPLOYMENTS, "path: '$containers[*].image', assert: {equals: good}");
    let pods = (0..1000).map(|n| pod(&format!("p{n}"), "r", "good")).chain([pod("bad", "", "bad")]).collect();
    let (haul, documents) = scan(&policy, None, false, &[("pods", pods)]);
    assert_eq!((haul.entries.len(), haul.summary.pass, haul.summary.fail), (1, 1000, 1));
    assert_eq!(documents, 1, "of a thousand that pass no document is kept");
}

#[test]
fn nothing_is_said_of_what_depends_on_namespaces_that_could_not_be_had() {
    let selects = "[{resources: [pods], namespaceSelector: {matchLabels: {env: prod}}}]";
    let policy = policy(selects, "path: $.spec.x, assert: {exists: true}");
    let pods = || vec![("pods", vec![pod("a", "", "x")])];
    let (unknown, _) = scan(&policy, None, true, &pods());
    assert!(unknown.entries.is_empty());
    let raw = r#"{"metadata":{"name":"shop","labels":{"env":"prod"}}}"#;
    let mut read = crate::jsonpath::Projection::default();
    policy.read_namespace(&mut read);
    let types = TypeMeta { api_version: "v1".into(), kind: "Namespace".into() };
    let shop = Document::decode(raw, &read, &types).unwrap();
    let (known, _) = scan(&policy, Some([("shop".into(), Arc::new(shop))].into()), true, &pods());
    assert_eq!(outcomes(&known), [told("Pod shop/a", Outcome::Fail, false)]);
    let (missing, _) = scan(&policy, Some(Namespaces::new()), true, &pods());
    assert_eq!(outcomes(&missing), [told("Pod shop/a", Outcome::Error, false)]);
}

#[test]
fn an_item_without_a_name_is_counted_and_hides_no_other() {
    let policy = policy("[{resources: [pods]}]", "path: $.spec.x, assert: {exists: true}");
    let progress = Progress::of(1).unwrap();
    let plan = Plan::of(&[Arc::clone(&policy)], &catalog(), None, &mut Vec::new());
    let bench = Bench {
        namespaces: None,
        now: Timestamp::UNIX_EPOCH,
        keeps_all: false,
        skips_owned: true,
        progress: &progress,
    };
    let mut sweep = Sweep::new(&bench, &Arc::new(plan.lists[0].clone()));
    for raw in ["{}", "[]", &pod("a", "", "x"), r#"{"metadata":{"name":"deep"},"spec":{"x":1e400}}"#] {
        sweep.take(raw);
    }
    let mut haul = sweep.haul();
    haul.settle(&bench);
    assert_eq!(haul.nameless.as_ref().map(|(count, _)| *count), Some(2));
    let told: Vec<_> = outcomes(&haul).into_iter().map(|(_, outcome, _)| outcome).collect();
    assert_eq!(told, [Outcome::Error, Outcome::Fail]);
}
