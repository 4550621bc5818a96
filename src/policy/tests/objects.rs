//! Which objects a policy takes.

use crate::policy::{Judgement, compile};
use crate::resource::{GroupResource, Place};

use super::cases::{compiled, judge_on, names, parse, settings};

/// Whether a policy with one target entry takes an object.
fn takes(target: &str, (group, plural): (&str, &str), metadata: &str) -> bool {
    let rules = "rules: [{name: r, path: $.a, assert: {exists: false}}]";
    let policy = compiled(&format!("targets: [{{{target}}}]\n{rules}"));
    !matches!(judge_on(&policy, group, plural, &format!("{{metadata: {metadata}}}")), Judgement::NotTaken)
}

#[test]
fn a_target_takes_what_all_its_fields_allow() {
    let apps = ("apps", "deployments");
    for (target, metadata, taken) in [
        ("", "{}", true),
        (", namespaces: [default, other]", "{}", true),
        (", namespaces: [other]", "{}", false),
        (", excludeNamespaces: ['def*']", "{}", false),
        (", excludeNamespaces: ['x*']", "{}", true),
        (", namespaces: [default], excludeNamespaces: [default]", "{}", false),
        (", names: ['web-*']", "{name: web-1}", true),
        (", names: ['web-*', obj???]", "{}", true),
        (", names: ['web-*']", "{}", false),
        (", labelSelector: {matchLabels: {a: b}}", "{labels: {a: b}}", true),
        (", labelSelector: {matchLabels: {a: b}}", "{labels: {a: c}}", false),
        (", labelSelector: {matchLabels: {a: b}}", "{}", false),
        (", labelSelector: {matchExpressions: [{key: a, operator: NotIn, values: [b]}]}", "{}", true),
    ] {
        let target = format!("group: apps, resources: [deployments]{target}");
        assert_eq!(takes(&target, apps, metadata), taken, "{target}: {metadata}");
    }
}

#[test]
fn a_target_takes_objects_by_their_fields() {
    let pods = ("", "pods");
    for (selector, taken) in [
        ("metadata.name=web", true),
        ("metadata.name!=web", false),
        ("spec.nodeName=", true),
        ("status.phase=Running", false),
    ] {
        let target = format!("resources: [pods], fieldSelector: '{selector}'");
        assert_eq!(takes(&target, pods, "{name: web}"), taken, "{selector}");
    }
}

#[test]
fn a_target_is_of_its_group_and_resource() {
    assert!(!takes("group: apps, resources: [deployments]", ("apps", "statefulsets"), "{}"));
    assert!(!takes("group: apps, resources: [deployments]", ("extensions", "deployments"), "{}"));
    assert!(takes("resources: [pods, services]", ("", "services"), "{}"));
}

#[test]
fn an_object_is_taken_when_any_entry_takes_it() {
    let policy = compiled(
        "targets: [{resources: [pods], names: [a]}, {resources: [pods], names: [b]}]\n\
         rules: [{name: r, path: $.a, assert: {exists: false}}]",
    );
    let taken = |name: &str| judge_on(&policy, "", "pods", &format!("{{metadata: {{name: {name}}}}}"));
    assert_ne!(taken("a"), Judgement::NotTaken);
    assert_ne!(taken("b"), Judgement::NotTaken);
    assert_eq!(taken("c"), Judgement::NotTaken);
}

#[test]
fn a_policy_looks_where_an_entry_of_its_targets_does() {
    let place = |plural: &str, namespace: Option<&str>| Place {
        resource: GroupResource::new("", plural),
        namespace: namespace.map(Into::into),
    };
    let rules = "rules: [{name: r, path: $.a, assert: {exists: false}}]";
    let targets = "[{resources: [pods], namespaces: [a]}, {resources: [pods], namespaces: [b]}, {resources: [services]}]";
    let policy = compiled(&format!("targets: {targets}\n{rules}"));
    for (plural, namespace, looks) in [
        ("pods", Some("a"), true),
        ("pods", Some("b"), true),
        ("pods", Some("c"), false),
        ("pods", None, true),
        ("services", Some("c"), true),
        ("services", None, true),
        ("configmaps", None, false),
    ] {
        assert_eq!(policy.looks_at(&place(plural, namespace)), looks, "{plural} {namespace:?}");
        let covers = looks && (plural, namespace) != ("pods", None);
        assert_eq!(policy.covers(&place(plural, namespace)), covers, "{plural} {namespace:?}");
    }
    for narrow in ["names: [a]", "labelSelector: {matchLabels: {a: b}}", "excludeNamespaces: [c]"] {
        let policy = compiled(&format!("targets: [{{resources: [pods], {narrow}}}]\n{rules}"));
        assert!(
            policy.looks_at(&place("pods", Some("a"))) && !policy.covers(&place("pods", Some("a"))),
            "{narrow}"
        );
    }
}

#[test]
fn system_namespaces_are_left_out_unless_the_operator_consents() {
    let pods = "resources: [pods]";
    assert!(!takes(pods, ("", "pods"), "{namespace: kube-system}"));
    assert!(!takes("resources: [pods], namespaces: [kube-system]", ("", "pods"), "{namespace: kube-system}"));
    let spec = "targets: [{resources: [pods]}]\nsystemNamespaces: Include\nrules: [{name: r, path: $.a, \
                assert: {exists: false}}]";
    let faults = compile(&parse(spec), &settings()).expect_err("no consent").to_string();
    assert!(faults.starts_with("spec.systemNamespaces: `Include` needs the operator's consent"), "{faults}");
    let consenting = crate::policy::Settings { allow_system_namespaces: true, ..settings() };
    let policy = compile(&parse(spec), &consenting).expect("consent");
    assert_ne!(judge_on(&policy, "", "pods", "{metadata: {namespace: kube-system}}"), Judgement::NotTaken);
}

#[test]
fn fields_on_namespaces_mean_a_namespace_itself_and_say_nothing_about_other_cluster_scoped_objects() {
    let restricted =
        |resource: &str| format!("resources: [{resource}], namespaces: [a], excludeNamespaces: ['b*']");
    // The empty string is how an object without a namespace gets past the default of these tests.
    assert!(takes(&restricted("nodes"), ("", "nodes"), "{name: x, namespace: ''}"));
    assert!(takes(&restricted("namespaces"), ("", "namespaces"), "{name: a, namespace: ''}"));
    assert!(!takes(&restricted("namespaces"), ("", "namespaces"), "{name: b, namespace: ''}"));
    assert!(!takes("resources: [namespaces]", ("", "namespaces"), "{name: kube-system, namespace: ''}"));
    assert!(takes("resources: [nodes]", ("", "nodes"), "{name: kube-system, namespace: ''}"));
}

#[test]
fn a_compiled_policy_keeps_what_its_watches_need() {
    let policy = compiled(
        "suspend: true\ntargets: [{group: apps, resources: [deployments], version: v1, namespaces: [a, b], \
         labelSelector: {matchLabels: {x: y}}}, {group: example.com, resources: [clusters], pod: '{.spec.template}', \
         labelSelector: {}}]\nrules: [{name: r, path: $.a, assert: {exists: false}}]",
    );
    let [apps, clusters] = &*policy.targets else { panic!("two targets") };
    assert_eq!(apps.namespaces.to_vec(), names(&["a", "b"]));
    assert_eq!(apps.version.as_deref(), Some("v1"));
    assert_eq!(apps.labels.as_ref().map(ToString::to_string).as_deref(), Some("x in (y)"));
    assert_eq!(clusters.pod.as_deref().map(<[_]>::to_vec), Some(names(&["spec", "template"])));
    assert!(clusters.labels.is_none(), "an empty selector selects all");
    assert!(policy.suspend);
    assert_eq!(policy.rules().cloned().collect::<Vec<_>>(), names(&["r"]));
}

#[test]
fn a_star_takes_all_that_its_group_serves_but_what_can_never_be_judged() {
    let all = |group: &str| format!("group: {group}, resources: ['*']");
    assert!(takes(&all("apps"), ("apps", "deployments"), "{}"));
    assert!(!takes(&all("apps"), ("batch", "jobs"), "{}"));
    assert!(!takes(&all("coordination.k8s.io"), ("coordination.k8s.io", "leases"), "{}"));
    assert!(takes(&all("coordination.k8s.io"), ("coordination.k8s.io", "leasecandidates"), "{}"));
}
