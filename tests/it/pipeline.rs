//! The main job, from `kubectl apply` to the violation, as a user meets it: one test for each promise.

use std::time::Instant;

use crate::harness::eventually;
use crate::world::{DEADLINE, Policy, World, namespace, series, shared};

/// A Deployment in a namespace of its own, with or without the annotation that policies here ask for.
fn deployment(namespace: &str, name: &str, annotations: &str, replicas: u32) -> String {
    format!(
        "
apiVersion: v1
kind: Namespace
metadata: {{name: {namespace}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {namespace}, annotations: {{{annotations}}}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{containers: [{{name: web, image: 'ghcr.io/shop/{name}:1'}}]}}
"
    )
}

fn policy(name: &str, target: &str, rules: &str) -> String {
    format!(
        "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {{name: {name}}}
spec:
  targets: [{target}]
  rules: {rules}
"
    )
}

fn widget(group: &str, namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "
apiVersion: {group}/v1
kind: Widget
metadata: {{name: {name}, namespace: {namespace}}}
spec: {spec}
"
    )
}

const OWNER: &str = "[{name: owner, path: \"$.metadata.annotations['corp.io/owner']\", assert: {matches: '[a-z]+@corp[.]com'}}]";

const SIZE: &str = "[{name: size, path: $.spec.size, assert: {equals: 2}}]";

fn in_namespace(namespace: &str) -> String {
    format!("{{group: apps, resources: [deployments], namespaces: [{namespace}]}}")
}

#[tokio::test]
async fn an_object_made_bad_by_an_edit_shows_up_in_status_and_on_the_metrics_page() {
    let world = shared().await.unwrap();
    world.apply(&deployment("edit", "shop", "corp.io/owner: 'team@corp.com'", 1)).await.unwrap();
    world.apply(&policy("edit-owner", &in_namespace("edit"), OWNER)).await.unwrap();
    let good =
        world.until("edit-owner", "the good object passes", |p| p.is_ready() && p.count("passed") == 1);
    assert_eq!(good.await.unwrap().violations(), Vec::<String>::new());

    let edit = ["annotate", "-n", "edit", "deployment/shop", "corp.io/owner=nobody", "--overwrite"];
    world.plane.kubectl().run(&edit).await.unwrap();
    let start = Instant::now();
    let bad = world.until("edit-owner", "the violation is listed", |p| p.count("failed") == 1).await.unwrap();
    println!("from the edit to its violation in status, as kubectl sees it: {:?}", start.elapsed());
    let violations = bad.violations();
    assert_eq!(violations.len(), 1, "{violations:?}");
    assert!(violations[0].starts_with("edit/shop owner: "), "{violations:?}");
    assert!(violations[0].contains("nobody"), "{violations:?}");
    assert_eq!(bad.0["status"]["violations"][0]["path"], "metadata.annotations['corp.io/owner']");

    let page = world.operator.metrics().await.unwrap();
    let labels = [("policy", "edit-owner"), ("severity", "medium")];
    assert_eq!(series(&page, "watchpolicy_violations", &labels).unwrap(), Some(1.0));
    let labels = [("policy", "edit-owner"), ("result", "Fail")];
    assert_eq!(series(&page, "watchpolicy_objects", &labels).unwrap(), Some(1.0));

    world
        .plane
        .kubectl()
        .run(&["annotate", "-n", "edit", "deployment/shop", "corp.io/owner-"])
        .await
        .unwrap();
    let absent = world
        .until("edit-owner", "absence is told apart from a wrong value", |p| {
            p.violations().iter().any(|violation| violation.contains("is not set"))
        })
        .await
        .unwrap();
    assert_eq!(absent.count("violations"), 1);

    world.delete(&["-n", "edit", "deployment/shop"]).await.unwrap();
    world.until("edit-owner", "a deleted object has no verdict", |p| p.count("matched") == 0).await.unwrap();
}

#[tokio::test]
async fn a_policy_follows_the_labels_of_namespaces() {
    let world = shared().await.unwrap();
    let (wild, prod) = (deployment("labels-wild", "shop", "", 1), deployment("labels-prod", "shop", "", 1));
    world.apply(&wild).await.unwrap();
    world.apply(&prod).await.unwrap();
    let kubectl = world.plane.kubectl();
    kubectl.run(&["label", "namespace", "labels-prod", "labels-test=prod"]).await.unwrap();
    let target =
        "{group: apps, resources: [deployments], namespaceSelector: {matchLabels: {labels-test: prod}}}";
    let team = "[{name: team, path: $namespace.metadata.labels.team, assert: {exists: true}}]";
    world.apply(&policy("labels-team", target, team)).await.unwrap();
    let one = world
        .until("labels-team", "the selected namespace is judged", |p| p.is_ready() && p.count("failed") == 1);
    let violations = one.await.unwrap().violations();
    assert!(violations[0].contains("$namespace.metadata.labels.team is not set"), "{violations:?}");
    kubectl.run(&["label", "namespace", "labels-wild", "labels-test=prod"]).await.unwrap();
    world.until("labels-team", "a label selects another", |p| p.count("failed") == 2).await.unwrap();
    kubectl.run(&["label", "namespace", "labels-prod", "team=blue"]).await.unwrap();
    world
        .until("labels-team", "a label mends", |p| p.count("passed") == 1 && p.count("failed") == 1)
        .await
        .unwrap();
    kubectl.run(&["label", "namespace", "labels-wild", "labels-test-"]).await.unwrap();
    world.until("labels-team", "a label takes it out", |p| p.count("matched") == 1).await.unwrap();
}

#[tokio::test]
async fn a_defect_of_a_deployment_is_reported_there_and_not_at_each_of_its_pods() {
    let world = shared().await.unwrap();
    world.apply(&deployment("owned", "shop", "", 2)).await.unwrap();
    let target = "{group: apps, resources: [deployments], namespaces: [owned]}, {resources: [pods], namespaces: [owned]}";
    let registry = "[{name: registry, path: '$containers[*].image', assert: {like: 'registry.corp.io/*'}}]";
    world.apply(&policy("owned-registry", target, registry)).await.unwrap();
    let once = world.until("owned-registry", "the Pods are left to their Deployment", |p| {
        p.is_ready() && p.count("owned") == 2 && p.count("failed") == 1
    });
    assert_eq!(once.await.unwrap().violations().len(), 1);
}

#[tokio::test]
async fn kubectl_get_shows_the_columns_of_the_contract() {
    let world = shared().await.unwrap();
    world.apply(&deployment("columns", "shop", "", 1)).await.unwrap();
    world.apply(&policy("columns-owner", &in_namespace("columns"), OWNER)).await.unwrap();
    world.until("columns-owner", "one violation", |p| p.count("violations") == 1).await.unwrap();
    let table = world.plane.kubectl().run(&["get", "wpol", "columns-owner"]).await.unwrap();
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(lines.next().unwrap(), ["NAME", "MODE", "READY", "TARGETS", "VIOLATIONS", "AGE"]);
    assert_eq!(lines.next().unwrap()[..5], ["columns-owner", "Audit", "True", "1/1", "1"]);
}

#[tokio::test]
async fn ten_policies_on_one_resource_open_one_watch() {
    let world = shared().await.unwrap();
    let group = "ten.example.com";
    world.grant(group, "widgets").await.unwrap();
    world.install_crd(group, "widgets", "Widget").await.unwrap();
    let target = format!("{{group: {group}, resources: [widgets]}}");
    let manifests: Vec<_> = (0..10)
        .map(|n| {
            policy(
                &format!("ten-{n}"),
                &target,
                &format!("[{{name: size, path: $.spec.size{n}, assert: {{exists: true}}}}]"),
            )
        })
        .collect();
    world.apply(&manifests.join("---")).await.unwrap();
    for n in 0..10 {
        world.until(&format!("ten-{n}"), "each policy is synced", |p| p.is_ready()).await.unwrap();
    }
    one_watch_is_open(world, group).await;
}

/// Those that were opened while policies came one by one end when their successor is synced.
async fn one_watch_is_open(world: &World<'_>, group: &str) {
    let one = async || match world.open_watches(group, "widgets") {
        Ok(1) => Ok(()),
        other => Err(format!("{other:?}")),
    };
    eventually(DEADLINE, "one watch is open", one).await.unwrap();
}

#[tokio::test]
async fn a_crd_installed_after_its_policy_starts_by_itself_and_a_deleted_one_takes_its_results_along() {
    let world = shared().await.unwrap();
    let group = "later.example.com";
    world.grant(group, "widgets").await.unwrap();
    world.apply(&namespace("later")).await.unwrap();
    let target = format!("{{group: {group}, resources: [widgets]}}");
    world.apply(&policy("later", &target, SIZE)).await.unwrap();
    let absent =
        world.until("later", "the target is absent", |p| p.target("widgets") == "Absent").await.unwrap();
    assert_eq!((absent.condition("TargetsResolved"), absent.condition("Ready")), ("False", "True"));
    assert!(absent.target_message("widgets").contains("serves no widgets.later.example.com"));

    world.install_crd(group, "widgets", "Widget").await.unwrap();
    let start = Instant::now();
    world.until("later", "the target is synced", |p| p.target("widgets") == "Synced").await.unwrap();
    println!("from an established CRD to its synced target, as kubectl sees it: {:?}", start.elapsed());
    world.apply(&widget(group, "later", "small", "{size: 1}")).await.unwrap();
    world.until("later", "its objects are judged", |p| p.count("failed") == 1).await.unwrap();

    world.delete(&["crd", "widgets.later.example.com"]).await.unwrap();
    world
        .until("later", "target and results are gone", |p| {
            p.target("widgets") == "Absent" && p.count("matched") == 0
        })
        .await
        .unwrap();
    let page = world.operator.metrics().await.unwrap();
    assert!(!page.contains("later.example.com"), "no series of the target is left");
    let labels = [("policy", "later"), ("severity", "medium")];
    assert_eq!(series(&page, "watchpolicy_violations", &labels).unwrap(), Some(0.0));
    let none = async || (world.open_watches(group, "widgets").ok()? == 0).then_some(());
    eventually(DEADLINE, "no watch is open", none).await.unwrap();

    world.install_crd(group, "widgets", "Widget").await.unwrap();
    world.apply(&widget(group, "later", "small", "{size: 1}")).await.unwrap();
    world.until("later", "installed again, it starts again", |p| p.count("failed") == 1).await.unwrap();
}

#[tokio::test]
async fn a_missing_permission_is_named_with_its_cure_and_heals() {
    let world = shared().await.unwrap();
    let group = "denied.example.com";
    world.install_crd(group, "widgets", "Widget").await.unwrap();
    world.apply(&namespace("denied")).await.unwrap();
    world.apply(&widget(group, "denied", "small", "{size: 1}")).await.unwrap();
    world.apply(&policy("denied", &format!("{{group: {group}, resources: [widgets]}}"), SIZE)).await.unwrap();
    let forbidden = |p: &Policy| p.target("widgets") == "Forbidden";
    let denied = world.until("denied", "the target is forbidden", forbidden).await.unwrap();
    assert_eq!((denied.condition("Ready"), denied.condition("Authorized")), ("False", "False"));
    assert_eq!(denied.condition("Stalled"), "True");
    let message = denied.target_message("widgets");
    assert!(message.contains("may not list widgets.denied.example.com"), "{message}");
    let rule = r#"{apiGroups: ["denied.example.com"], resources: ["widgets"], verbs: ["list", "watch"]}"#;
    assert!(message.contains(rule), "{message}");

    world.grant(group, "widgets").await.unwrap();
    let judged = |p: &Policy| p.is_ready() && p.count("failed") == 1;
    world.until("denied", "with the permission it heals", judged).await.unwrap();

    world.delete(&["clusterrolebinding", "test-widgets.denied.example.com"]).await.unwrap();
    let lost = world.until("denied", "a permission taken away is noticed", forbidden).await.unwrap();
    assert_eq!((lost.count("failed"), lost.count("stale")), (1, 1), "verdicts are kept, and marked");
    world.grant(group, "widgets").await.unwrap();
    let fresh = |p: &Policy| judged(p) && p.count("stale") == 0;
    world.until("denied", "given back, it heals again", fresh).await.unwrap();
}

#[tokio::test]
async fn a_policy_edited_deleted_and_created_again_starts_and_stops_exactly_what_it_must() {
    let world = shared().await.unwrap();
    let group = "edited.example.com";
    world.grant(group, "widgets").await.unwrap();
    world.install_crd(group, "widgets", "Widget").await.unwrap();
    world.apply(&namespace("edited")).await.unwrap();
    world.apply(&widget(group, "edited", "small", "{size: 1, color: red}")).await.unwrap();
    let target = format!("{{group: {group}, resources: [widgets]}}");
    let with = |rules: &str| policy("edited", &target, rules);
    world.apply(&with(SIZE)).await.unwrap();
    world.until("edited", "the first rule fails", |p| p.count("failed") == 1).await.unwrap();
    let watch_of = |requests: Vec<crate::harness::Request>| requests.iter().filter(|r| r.is_watch()).count();
    let (lists, watches) =
        (world.lists(group, "widgets").unwrap(), watch_of(world.requests(group, "widgets").unwrap()));

    world.apply(&with("[{name: size, path: $.spec.size, assert: {equals: 1}}]")).await.unwrap();
    world.until("edited", "judged anew", |p| p.is_ready() && p.count("passed") == 1).await.unwrap();
    assert_eq!(world.lists(group, "widgets").unwrap(), lists, "the same fields: judged from the store");
    assert_eq!(watch_of(world.requests(group, "widgets").unwrap()), watches);

    world.apply(&with("[{name: color, path: $.spec.color, assert: {equals: blue}}]")).await.unwrap();
    let color = |p: &Policy| p.is_ready() && p.violations().iter().any(|v| v.contains(" color: "));
    let bad = world.until("edited", "a new field is read", color).await.unwrap();
    assert!(bad.violations()[0].contains("red"), "{:?}", bad.violations());
    assert_eq!(world.lists(group, "widgets").unwrap(), lists + 1, "a new field: one more list");
    one_watch_is_open(world, group).await;

    world.delete(&["wpol", "edited"]).await.unwrap();
    let gone = async || !world.operator.metrics().await.is_ok_and(|page| page.contains("policy=\"edited\""));
    eventually(DEADLINE, "a deleted policy has no series", async || gone().await.then_some(()))
        .await
        .unwrap();
    world.apply(&with("[{name: color, path: $.spec.color, assert: {equals: blue}}]")).await.unwrap();
    world.until("edited", "created again, it judges at once", color).await.unwrap();
    assert_eq!(world.lists(group, "widgets").unwrap(), lists + 1, "within the linger: no list");

    world.delete(&["wpol", "edited"]).await.unwrap();
    let none = async || (world.open_watches(group, "widgets").ok()? == 0).then_some(());
    eventually(DEADLINE, "after the linger no watch is left", none).await.unwrap();
    let page = world.operator.metrics().await.unwrap();
    assert!(!page.contains(group), "nor a series");
}

#[tokio::test]
async fn a_suspended_policy_withdraws_its_verdicts_and_resumes() {
    let world = shared().await.unwrap();
    world.apply(&deployment("rest", "shop", "", 1)).await.unwrap();
    world.apply(&policy("rest-owner", &in_namespace("rest"), OWNER)).await.unwrap();
    world.until("rest-owner", "it judges", |p| p.count("failed") == 1).await.unwrap();
    let suspend = |value: bool| format!(r#"{{"spec":{{"suspend":{value}}}}}"#);
    let patch = async |value| {
        let patch = suspend(value);
        world
            .plane
            .kubectl()
            .run(&["patch", "wpol", "rest-owner", "--type=merge", "-p", &patch])
            .await
            .unwrap()
    };
    patch(true).await;
    let resting = world.until("rest-owner", "it rests", |p| p.reason("Ready") == "Suspended").await.unwrap();
    assert_eq!((resting.condition("Ready"), resting.count("matched")), ("True", 0));
    patch(false).await;
    world.until("rest-owner", "it judges again", |p| p.count("failed") == 1).await.unwrap();
}

#[tokio::test]
async fn targets_take_exactly_the_objects_that_they_describe() {
    let world = shared().await.unwrap();
    for (namespace, name) in [("take-a", "web"), ("take-a", "job-1"), ("take-b", "web"), ("take-c", "web")] {
        world.apply(&deployment(namespace, name, "", 1)).await.unwrap();
    }
    world.apply(&deployment("kube-system", "take-system", "", 1)).await.unwrap();
    world.apply(&deployment("take-c", "take-system", "", 1)).await.unwrap();
    world.plane.kubectl().run(&["label", "-n", "take-b", "deployment/web", "tier=gold"]).await.unwrap();
    let cases = [
        ("take-names", "namespaces: [take-a, take-b], names: ['we*']", vec!["take-a/web", "take-b/web"]),
        ("take-exclude", "excludeNamespaces: ['*-a', '*-c'], names: [web]", vec!["take-b/web"]),
        ("take-system", "names: [take-system]", vec!["take-c/take-system"]),
        (
            "take-labels",
            "namespaces: [take-a, take-b, take-c], labelSelector: {matchLabels: {tier: gold}}",
            vec!["take-b/web"],
        ),
        (
            "take-without",
            "namespaces: [take-b, take-c], labelSelector: {matchExpressions: [{key: tier, operator: DoesNotExist}]}",
            vec!["take-c/take-system", "take-c/web"],
        ),
    ];
    for (name, target, expected) in cases {
        let target = format!("{{group: apps, resources: [deployments], version: v1, {target}}}");
        world.apply(&policy(name, &target, OWNER)).await.unwrap();
        let taken = |p: &Policy| {
            let mut taken: Vec<_> =
                p.violations().iter().map(|v| v.split(' ').next().unwrap().to_owned()).collect();
            taken.sort();
            taken
        };
        let right = |p: &Policy| {
            p.is_ready() && taken(p) == expected && usize::try_from(p.count("matched")) == Ok(expected.len())
        };
        world.until(name, "the described objects are taken", right).await.unwrap();
    }
}

#[tokio::test]
async fn few_namespaces_need_only_a_role_in_each() {
    let world = shared().await.unwrap();
    let group = "role.example.com";
    world.install_crd(group, "widgets", "Widget").await.unwrap();
    world.apply(&namespace("role-a")).await.unwrap();
    world.apply(&widget(group, "role-a", "small", "{size: 1}")).await.unwrap();
    let role = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: watchpolicy, namespace: role-a}
rules: [{apiGroups: [role.example.com], resources: [widgets], verbs: [list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: watchpolicy, namespace: role-a}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: watchpolicy}
subjects: [{kind: ServiceAccount, name: watchpolicy, namespace: watchpolicy-system}]
";
    world.apply(role).await.unwrap();
    let target = format!("{{group: {group}, resources: [widgets], namespaces: [role-a]}}");
    world.apply(&policy("role", &target, SIZE)).await.unwrap();
    world
        .until("role", "the one namespace is watched", |p| p.is_ready() && p.count("failed") == 1)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_policy_that_cannot_be_compiled_says_where_it_is_wrong_and_others_go_on() {
    let world = shared().await.unwrap();
    world.apply(&deployment("wrong", "shop", "", 1)).await.unwrap();
    world
        .apply(&policy(
            "wrong-path",
            &in_namespace("wrong"),
            "[{name: bad, path: '$.spec[', assert: {exists: true}}]",
        ))
        .await
        .unwrap();
    let fenced = "[{name: ready, path: $.status.replicas, assert: {exists: true}, fix: {set: 1}}]";
    world.apply(&policy("wrong-fix", &in_namespace("wrong"), fenced)).await.unwrap();
    world.apply(&policy("wrong-not", &in_namespace("wrong"), OWNER)).await.unwrap();

    let invalid =
        world.until("wrong-path", "it is invalid", |p| p.condition("Validated") == "False").await.unwrap();
    assert_eq!((invalid.condition("Ready"), invalid.condition("Stalled")), ("False", "True"));
    let message = invalid.message("Validated");
    assert!(message.contains("spec.rules[0] (bad).path") && message.contains("at character"), "{message}");

    let refused = world
        .until("wrong-fix", "its fix is refused", |p| p.condition("Validated") == "False")
        .await
        .unwrap();
    assert_eq!(refused.reason("Validated"), "FixNotAllowed");
    let message = refused.message("Validated");
    assert!(message.contains("spec.rules[0] (ready).fix"), "{message}");
    world.until("wrong-not", "others go on", |p| p.count("failed") == 1).await.unwrap();

    world.apply(&policy("wrong-path", &in_namespace("wrong"), OWNER)).await.unwrap();
    world.until("wrong-path", "mended, it runs", |p| p.is_ready() && p.count("failed") == 1).await.unwrap();
    world
        .apply(&policy(
            "wrong-path",
            &in_namespace("wrong"),
            "[{name: bad, path: 'spec..', assert: {exists: true}}]",
        ))
        .await
        .unwrap();
    let broken = |p: &Policy| p.condition("Validated") == "False" && p.count("matched") == 0;
    world.until("wrong-path", "broken again, its verdicts are withdrawn", broken).await.unwrap();
}

#[tokio::test]
async fn an_object_that_cannot_be_read_is_an_error_and_hides_no_other() {
    let world = shared().await.unwrap();
    let group = "unreadable.example.com";
    world.grant(group, "widgets").await.unwrap();
    world.install_crd(group, "widgets", "Widget").await.unwrap();
    world.apply(&namespace("unreadable")).await.unwrap();
    world.apply(&widget(group, "unreadable", "small", "{size: 1}")).await.unwrap();
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let object = format!(
        r#"{{"apiVersion":"{group}/v1","kind":"Widget","metadata":{{"name":"deep","namespace":"unreadable"}},"spec":{{"size":{deep}}}}}"#
    );
    world
        .plane
        .kubectl()
        .run_with(
            &["create", "--raw", &format!("/apis/{group}/v1/namespaces/unreadable/widgets"), "-f", "-"],
            &object,
        )
        .await
        .unwrap();
    world
        .apply(&policy("unreadable", &format!("{{group: {group}, resources: [widgets]}}"), SIZE))
        .await
        .unwrap();
    let both = world.until("unreadable", "both are judged", |p| p.count("matched") == 2).await.unwrap();
    assert_eq!((both.count("errored"), both.count("failed")), (1, 1), "{:?}", both.violations());
    world.delete(&["-n", "unreadable", "widgets.unreadable.example.com", "deep"]).await.unwrap();
    world.until("unreadable", "its deletion is seen", |p| p.count("errored") == 0).await.unwrap();
}

#[tokio::test]
async fn every_series_on_the_metrics_page_can_be_parsed_and_none_names_an_object() {
    let world = shared().await.unwrap();
    world.apply(&deployment("page", "an-object-of-its-own", "", 1)).await.unwrap();
    world.apply(&policy("page-owner", &in_namespace("page"), OWNER)).await.unwrap();
    world.until("page-owner", "it judges", |p| p.count("failed") == 1).await.unwrap();
    let page = world.operator.metrics().await.unwrap();
    let scrape = prometheus_parse::Scrape::parse(page.lines().map(|line| Ok(line.to_owned()))).unwrap();
    for name in [
        "watchpolicy_build_info",
        "watchpolicy_policies",
        "watchpolicy_violations",
        "watchpolicy_objects",
        "watchpolicy_evaluations_total",
        "watchpolicy_informers",
        "watchpolicy_informer_last_event_age_seconds",
        "watchpolicy_watch_events_total",
        "watchpolicy_cached_objects",
        "watchpolicy_cached_bytes",
        "watchpolicy_unchanged_total",
        "watchpolicy_report_writes_total",
        "workqueue_depth",
        "workqueue_adds_total",
        "rest_client_requests_total",
        "process_resident_memory_bytes",
    ] {
        assert!(scrape.samples.iter().any(|sample| sample.metric == name), "{name} is missing");
    }
    for name in [
        "watchpolicy_evaluation_duration_seconds",
        "watchpolicy_change_to_verdict_seconds",
        "watchpolicy_list_duration_seconds",
    ] {
        assert!(page.contains(&format!("{name}_bucket")), "{name} is missing");
    }
    assert!(!page.contains("an-object-of-its-own"));
}
