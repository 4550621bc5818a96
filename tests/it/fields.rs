//! Field selectors, as the real server takes them.

use crate::world::{Policy, namespace, shared};

/// By group and version, resource, and the fields that the operator leaves to the server for it.
const BUILTIN: &[(&str, &str, &[&str])] = &[
    ("api/v1", "namespaces", &["metadata.name", "status.phase"]),
    ("api/v1", "nodes", &["metadata.name", "spec.unschedulable"]),
    (
        "api/v1",
        "pods",
        &[
            "metadata.name",
            "metadata.namespace",
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
    ),
    ("api/v1", "replicationcontrollers", &["metadata.name", "metadata.namespace", "status.replicas"]),
    ("api/v1", "secrets", &["metadata.name", "metadata.namespace", "type"]),
    ("api/v1", "services", &["metadata.name", "metadata.namespace", "spec.clusterIP", "spec.type"]),
    ("apis/apps/v1", "deployments", &["metadata.name", "metadata.namespace"]),
    ("apis/batch/v1", "jobs", &["metadata.name", "metadata.namespace", "status.successful"]),
    ("apis/certificates.k8s.io/v1", "certificatesigningrequests", &["metadata.name", "spec.signerName"]),
    (
        "apis/resource.k8s.io/v1",
        "resourceslices",
        &["metadata.name", "spec.nodeName", "spec.driver", "spec.pool.name"],
    ),
];

#[tokio::test]
async fn the_server_selects_its_own_kinds_by_the_fields_of_the_table() {
    let kubectl = shared().await.unwrap().plane.kubectl();
    for (version, resource, fields) in BUILTIN {
        let selector: Vec<_> = fields.iter().map(|field| format!("{field}!=none")).collect();
        let path = format!("/{version}/{resource}?limit=1&fieldSelector={}", selector.join(","));
        kubectl.run(&["get", "--raw", &path]).await.unwrap();
    }
    let others = [
        "apps/v1/replicasets?fieldSelector=status.replicas=1",
        "apps/v1/deployments?fieldSelector=spec.paused=true",
    ];
    for path in others {
        let refused = kubectl.run(&["get", "--raw", &format!("/apis/{path}")]).await;
        assert!(refused.is_err(), "the server selects by more than the table says: {path}");
    }
}

/// A definition whose objects can be selected by a field of their own.
pub(crate) const COLORED: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: balls.fields.example.com}
spec:
  group: fields.example.com
  scope: Namespaced
  names: {plural: balls, singular: ball, kind: Ball}
  versions:
  - name: v1
    served: true
    storage: true
    selectableFields: [{jsonPath: .spec.color}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {color: {type: string}, size: {type: integer}}}
";

fn ball(name: &str, color: &str) -> String {
    format!(
        "{{apiVersion: fields.example.com/v1, kind: Ball, metadata: {{name: {name}, namespace: fields}}, \
         spec: {{color: {color}, size: 1}}}}"
    )
}

fn policy(selector: &str) -> String {
    format!(
        "{{apiVersion: watchpolicy.io/v1alpha1, kind: WatchPolicy, metadata: {{name: fields}}, spec: \
         {{targets: [{{group: fields.example.com, resources: [balls], fieldSelector: '{selector}'}}], \
         rules: [{{name: size, path: $.spec.size, assert: {{equals: 2}}}}]}}}}"
    )
}

#[tokio::test]
async fn a_custom_kind_is_selected_by_the_fields_of_its_definition_and_others_are_told() {
    let world = shared().await.unwrap();
    world.grant("fields.example.com", "balls").await.unwrap();
    world.apply(&namespace("fields")).await.unwrap();
    world.apply(&policy("spec.color=blue")).await.unwrap();
    world.apply(COLORED).await.unwrap();
    let wait = ["wait", "--for=condition=Established", "--timeout=60s", "crd/balls.fields.example.com"];
    world.plane.kubectl().run(&wait).await.unwrap();
    world.apply(&ball("one", "blue")).await.unwrap();
    world.apply(&ball("two", "red")).await.unwrap();
    let judged = |count: i64| {
        move |p: &Policy| p.is_ready() && p.count("failed") == count && p.count("matched") == count
    };
    world.until("fields", "the blue one is judged", judged(1)).await.unwrap();
    world.apply(&ball("two", "blue")).await.unwrap();
    world.until("fields", "both are blue", judged(2)).await.unwrap();
    world.apply(&ball("one", "red")).await.unwrap();
    world.until("fields", "one has left the selection", judged(1)).await.unwrap();

    world.apply(&policy("spec.size=1")).await.unwrap();
    let refused =
        world.until("fields", "the field is refused", |p| p.target("balls") == "Degraded").await.unwrap();
    let message = refused.target_message("balls");
    assert!(
        message.contains("cannot be selected by `spec.size`, only by metadata.name, spec.color"),
        "{message}"
    );
    assert_eq!(
        (refused.reason("TargetsResolved"), refused.reason("Ready"), refused.condition("Ready")),
        ("TargetMismatch", "TargetMismatch", "False")
    );
}

#[tokio::test]
async fn a_field_that_the_definition_does_not_know_is_told_on_the_target_until_it_does() {
    let world = shared().await.unwrap();
    world.grant("misspelt.example.com", "balls").await.unwrap();
    let definition = COLORED.replace("fields.example.com", "misspelt.example.com");
    let policy = policy("spec.color=blue").replace("fields.example.com", "misspelt.example.com");
    world
        .apply(&policy.replace("name: fields", "name: misspelt").replace("$.spec.size", "$.spec.sizes"))
        .await
        .unwrap();
    world.apply(&definition).await.unwrap();
    let told =
        |words: &'static str| move |p: &Policy| p.is_ready() && p.target_message("balls").contains(words);
    let meant = "reads `spec.sizes`, which the definition of the kind does not know; did you mean `size`?";
    world.until("misspelt", "the field is named", told(meant)).await.unwrap();
    world.apply(&definition.replace("size: {", "sizes: {")).await.unwrap();
    let is_known = |p: &Policy| p.is_ready() && p.target_message("balls").is_empty();
    world.until("misspelt", "the definition knows it now", is_known).await.unwrap();
}
