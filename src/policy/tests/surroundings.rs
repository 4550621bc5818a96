//! What judging knows beyond the object: its Namespace and its controller.

use std::sync::Arc;

use crate::jsonpath::{Document, Projection};
use crate::policy::Outcome::{Error, Fail, Pass, Skip};
use crate::policy::{CompiledPolicy, Judgement, Outcome, Relative, Relatives, Subject, is_followed};
use crate::resource::GroupResource;

use super::cases::{compiled, decode, json, now};

const EXISTS: &str = "rules: [{name: r, path: $.a, assert: {exists: true}}]";

/// What a policy reads of an object, and of its Namespace where there is one to be known.
fn judge(
    policy: &CompiledPolicy,
    resource: &GroupResource,
    object: &str,
    namespace: Option<&str>,
) -> Judgement {
    let roots = policy.roots(resource);
    let (mut read, mut around) = (Projection::default(), Projection::default());
    policy.read(resource, &roots, &mut read);
    policy.read_namespace(&mut around);
    let document = decode(&json(object).to_string(), &read);
    let namespace = namespace.map(|namespace| decode(&json(namespace).to_string(), &around));
    policy.judge(&Subject {
        resource,
        kind: "Kind",
        roots: &roots,
        document: &document,
        namespace: namespace.as_ref(),
        now: now(),
    })
}

fn outcome(judgement: &Judgement) -> Option<Outcome> {
    match judgement {
        Judgement::NotTaken | Judgement::Excluded { .. } => None,
        Judgement::Judged(verdict) => Some(verdict.outcome),
    }
}

#[test]
fn a_rule_can_look_at_the_labels_of_the_objects_namespace() {
    let policy = compiled(
        "targets: [{resources: [configmaps]}]\nrules: [{name: r, path: $.team, assert: {equalsPath: \
         $namespace.metadata.labels.team}, message: '{$namespace.metadata.name} is of \
         {$namespace.metadata.labels.team}'}]",
    );
    assert!(policy.reads_namespaces());
    let of = |namespace| judge(&policy, &GroupResource::new("", "configmaps"), "{team: blue}", namespace);
    assert_eq!(outcome(&of(Some("{metadata: {name: default, labels: {team: blue}}}"))), Some(Pass));
    let red = of(Some("{metadata: {name: default, labels: {team: red}}}"));
    let Judgement::Judged(verdict) = &red else { panic!("{red:?}") };
    assert_eq!((verdict.outcome, &*verdict.rules[0].nodes[0].message), (Fail, "default is of red"));
    let unknown = of(None);
    let Judgement::Judged(verdict) = &unknown else { panic!("{unknown:?}") };
    let message = &verdict.rules[0].nodes[0].message;
    assert!(
        verdict.outcome == Error && message.contains("Namespace of this object is not known yet"),
        "{message}"
    );
}

#[test]
fn the_namespace_of_a_namespace_is_itself_and_other_cluster_scoped_objects_have_none() {
    let rule = "rules: [{name: r, path: $namespace.metadata.labels.team, assert: {exists: true}}]";
    let of = |resource: &str, object: &str| {
        let policy = compiled(&format!("targets: [{{resources: [{resource}]}}]\n{rule}"));
        outcome(&judge(&policy, &GroupResource::new("", resource), object, None))
    };
    assert_eq!(of("namespaces", "{metadata: {namespace: '', labels: {team: blue}}}"), Some(Pass));
    assert_eq!(of("namespaces", "{metadata: {namespace: ''}}"), Some(Fail));
    assert_eq!(of("nodes", "{metadata: {namespace: '', labels: {team: blue}}}"), Some(Fail));
}

#[test]
fn a_namespace_selector_takes_by_the_labels_of_the_namespace() {
    let of = |resource: &str, object: &str, namespace| {
        let policy = compiled(&format!(
            "targets: [{{resources: [{resource}], namespaceSelector: {{matchLabels: {{env: prod}}}}}}]\n{EXISTS}"
        ));
        outcome(&judge(&policy, &GroupResource::new("", resource), object, namespace))
    };
    let (prod, test) = ("{metadata: {labels: {env: prod}}}", "{metadata: {labels: {env: test}}}");
    assert_eq!(of("pods", "{a: 1}", Some(prod)), Some(Pass));
    assert_eq!(of("pods", "{a: 1}", Some(test)), None);
    assert_eq!(of("pods", "{a: 1}", None), Some(Error), "what is not known is no pass, and hides nothing");
    assert_eq!(
        of("nodes", "{a: 1, metadata: {namespace: ''}}", None),
        Some(Pass),
        "says nothing about these"
    );
    let own = |env: &str| format!("{{a: 1, metadata: {{namespace: '', labels: {{env: {env}}}}}}}");
    assert_eq!(of("namespaces", &own("prod"), None), Some(Pass));
    assert_eq!(of("namespaces", &own("test"), None), None);
}

#[test]
fn another_entry_that_takes_the_object_needs_no_namespace() {
    let policy = compiled(&format!(
        "targets: [{{resources: [pods], namespaceSelector: {{matchLabels: {{env: prod}}}}}}, {{resources: [pods], \
         names: [web]}}]\n{EXISTS}"
    ));
    let of = |name: &str| {
        let object = format!("{{a: 1, metadata: {{name: {name}}}}}");
        outcome(&judge(&policy, &GroupResource::new("", "pods"), &object, None))
    };
    assert_eq!((of("web"), of("db")), (Some(Pass), Some(Error)));
}

#[test]
fn who_says_nothing_of_namespaces_reads_none() {
    let labelled = "{name: e, reason: agreed, labelSelector: {matchLabels: {a: b}}}";
    for spec in [
        format!("targets: [{{resources: [pods], namespaceSelector: {{}}}}]\n{EXISTS}"),
        format!("targets: [{{resources: [pods]}}]\nexceptions: [{labelled}]\n{EXISTS}"),
    ] {
        assert!(!compiled(&spec).reads_namespaces(), "{spec}");
    }
}

/// Objects of one policy, by uid.
struct Family<'p> {
    policy: &'p CompiledPolicy,
    members: Vec<(GroupResource, Arc<Document>)>,
}

impl Relatives for Family<'_> {
    fn find(&self, policy: &CompiledPolicy, uid: &str, namespace: Option<&str>) -> Option<Relative> {
        let is_it = |document: &Document| {
            let there = document.id.namespace.is_none() || document.id.namespace.as_deref() == namespace;
            &*document.id.uid == uid && there
        };
        let (resource, document) = self.members.iter().find(|(_, document)| is_it(document))?;
        let found = is_followed(resource) || policy.targets(resource);
        found.then(|| Relative {
            resource: resource.clone(),
            kind: "Kind".into(),
            roots: Some(Arc::new(policy.roots(resource))),
            document: Arc::clone(document),
        })
    }
}

impl<'p> Family<'p> {
    /// Members in flow style: resource, namespace, uid, uid of the controller, images of the containers.
    fn of(policy: &'p CompiledPolicy, members: &[(&str, &str, &str, &str, &str)]) -> Self {
        let member = |&(resource, namespace, uid, controller, images): &(&str, &str, &str, &str, &str)| {
            let group = if resource == "pods" { "" } else { "apps" };
            let resource = GroupResource::new(group, resource);
            let containers: Vec<String> =
                images.split(' ').map(|image| format!("{{image: {image}}}")).collect();
            let spec = format!("{{containers: [{}]}}", containers.join(", "));
            let spec = if group.is_empty() { spec } else { format!("{{template: {{spec: {spec}}}}}") };
            let object = format!(
                "{{metadata: {{name: {uid}, namespace: {namespace}, uid: {uid}, ownerReferences: [{{uid: \
                 '{controller}', controller: true}}]}}, spec: {spec}}}"
            );
            let mut projection = Projection::default();
            policy.read(&resource, &policy.roots(&resource), &mut projection);
            (resource, Arc::new(decode(&json(&object).to_string(), &projection)))
        };
        Self { policy, members: members.iter().map(member).collect() }
    }

    /// What is said of the last of them, and whether it is left to its controller.
    fn last(&self) -> (Outcome, bool) {
        let Some((resource, document)) = self.members.last() else { panic!("no members") };
        let roots = self.policy.roots(resource);
        let subject =
            Subject { resource, kind: "Kind", roots: &roots, document, namespace: None, now: now() };
        match self.policy.judge_among(&subject, self) {
            Judgement::Judged(verdict) => (verdict.outcome, verdict.rules.iter().any(|rule| rule.owned)),
            other => panic!("{other:?}"),
        }
    }
}

fn on(resources: &str, more: &str) -> CompiledPolicy {
    compiled(&format!(
        "targets: [{{resources: [pods]}}, {{group: apps, resources: [{resources}]}}]\n{more}\nrules: [{{name: r, path: \
         '$containers[*].image', assert: {{notEquals: bad}}}}]"
    ))
}

#[test]
fn a_defect_is_reported_once_at_its_root() {
    let policy = on("deployments", "");
    let bad = [
        ("deployments", "ns", "d", "", "bad"),
        ("replicasets", "ns", "r", "d", "bad"),
        ("pods", "ns", "p", "r", "bad"),
    ];
    assert_eq!(Family::of(&policy, &bad).last(), (Skip, true), "the ReplicaSet is no target, and leads on");
    let both = on("deployments, replicasets", "");
    assert_eq!(Family::of(&both, &bad).last(), (Skip, true));
    assert_eq!(Family::of(&both, &bad[..2]).last(), (Skip, true));
    assert_eq!(Family::of(&both, &bad[..1]).last(), (Fail, false), "the root itself");
    let judging = on("deployments", "ownedObjects: Judge");
    assert_eq!(Family::of(&judging, &bad).last(), (Fail, false));
}

#[test]
fn what_was_added_on_the_way_down_is_reported_where_it_is() {
    let policy = on("deployments", "");
    let injected = [
        ("deployments", "ns", "d", "", "good"),
        ("replicasets", "ns", "r", "d", "good"),
        ("pods", "ns", "p", "r", "good bad"),
    ];
    assert_eq!(Family::of(&policy, &injected).last(), (Fail, false));
    let beside = [("deployments", "ns", "d", "", "bad good"), ("pods", "ns", "p", "d", "good bad good bad")];
    assert_eq!(Family::of(&policy, &beside).last(), (Fail, false), "one more than the controller has");
    let shifted = [("deployments", "ns", "d", "", "bad good"), ("pods", "ns", "p", "d", "good bad good")];
    assert_eq!(Family::of(&policy, &shifted).last(), (Skip, true), "what is put before changes no defect");
}

#[test]
fn a_reference_that_leads_nowhere_hides_nothing() {
    let policy = on("deployments", "");
    for (members, what) in [
        (&[("pods", "ns", "p", "gone", "bad")][..], "no such object"),
        (&[("deployments", "other", "d", "", "bad"), ("pods", "ns", "p", "d", "bad")], "another namespace"),
        (
            &[("statefulsets", "ns", "s", "", "bad"), ("pods", "ns", "p", "s", "bad")],
            "no target of the policy",
        ),
        (&[("replicasets", "ns", "p2", "p2", "bad"), ("pods", "ns", "p", "p2", "bad")], "a ring"),
        (&[("pods", "ns", "p", "p", "bad")], "itself"),
        (&[("deployments", "ns", "d", "p", "bad"), ("pods", "ns", "p", "d", "bad")], "a ring of targets"),
    ] {
        assert_eq!(Family::of(&policy, members).last(), (Fail, false), "{what}");
    }
}

#[test]
fn what_is_excepted_at_the_root_is_reported_below_it_unless_it_is_excepted_there_too() {
    let bad = [
        ("deployments", "ns", "d", "", "bad"),
        ("replicasets", "ns", "r", "d", "bad"),
        ("pods", "ns", "p", "r", "bad"),
    ];
    for (names, below) in [("[d]", (Fail, false)), ("[d, p]", (Skip, false)), ("[other]", (Skip, true))] {
        let policy = on("deployments", &format!("exceptions: [{{name: e, reason: agreed, names: {names}}}]"));
        assert_eq!(Family::of(&policy, &bad).last(), below, "{names}");
    }
}
