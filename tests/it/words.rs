//! What people are told, where it depends on what the server says.

use crate::enforce::{fix, grant_fixes};
use crate::world::{Policy, World, namespace, shared};

const GROUP: &str = "words.example.com";

/// A definition that is particular, in two versions.
const PARTICULAR: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: cups.words.example.com}
spec:
  group: words.example.com
  scope: Namespaced
  names: {plural: cups, singular: cup, kind: Cup}
  versions:
  - name: v2
    served: true
    storage: true
    schema: &schema
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [size]
            x-kubernetes-validations: [{rule: self.size < 9}]
            properties:
              size: {type: integer, minimum: 1}
              color: {type: string, enum: [red, blue]}
              code: {type: string, pattern: '^[a-z]+$', maxLength: 5}
              tags: {type: array, maxItems: 1, items: {type: string}}
  - {name: v1, served: true, storage: false, schema: *schema}
";

/// A cup and a policy of one name, which wants something of it that the server does not take.
async fn want(world: &World<'_>, name: &str, rule: &str) {
    let cup = format!(
        "{{apiVersion: {GROUP}/v2, kind: Cup, metadata: {{name: {name}, namespace: words}}, \
         spec: {{size: 2, color: red, code: abc, tags: [a]}}}}"
    );
    world.apply(&cup).await.unwrap();
    let policy = format!(
        "{{apiVersion: watchpolicy.io/v1alpha1, kind: WatchPolicy, metadata: {{name: {name}}}, spec: {{mode: Plan, \
         targets: [{{group: {GROUP}, resources: [cups], names: [{name}]}}], rules: [{{name: r, {rule}}}]}}}}"
    );
    world.apply(&policy).await.unwrap();
}

async fn prepare(world: &World<'_>) {
    world.apply(&namespace("words")).await.unwrap();
    world.grant(GROUP, "cups").await.unwrap();
    world.apply(&grant_fixes(GROUP, "cups")).await.unwrap();
    world.define(&format!("cups.{GROUP}"), PARTICULAR).await.unwrap();
}

/// A policy, its check and fix, and what is told of it.
const REFUSED: &str = r#"
too-small      | path: $.spec.size, assert: {equals: 0}, fix: {set: 0} | spec.size: the value should be greater than or equal to 1
mistyped       | path: $.spec.size, assert: {equals: x}, fix: {set: x} | spec.size: the value has the wrong type, the field wants an integer
unknown        | path: $.spec.color, assert: {equals: green}, fix: {set: green} | spec.color: the field can only be one of "red", "blue"
patternless    | path: $.spec.code, assert: {equals: ABC}, fix: {set: ABC} | spec.code: the value should match '^[a-z]+$'
too-long       | path: $.spec.code, assert: {equals: abcdef}, fix: {set: abcdef} | spec.code: the value is too long: may not be more than 5 bytes
against-a-rule | path: $.spec.size, assert: {equals: 9}, fix: {set: 9} | spec: the value breaks a rule of the kind's definition: self.size < 9
missing        | path: $.spec.size, assert: {exists: false}, fix: {remove: true} | spec.size: a value is required
too-many       | path: $.spec.tags, assert: {contains: b}, fix: {append: {at: $.spec.tags, value: b}} | spec.tags: it would hold too many: must have at most 1 item
"#;

#[tokio::test]
async fn what_the_server_does_not_take_of_a_fix_is_told_by_what_the_field_wants() {
    let world = shared().await.unwrap();
    prepare(world).await;
    for case in REFUSED.trim().lines() {
        let [name, rule, words] = case.split(" | ").collect::<Vec<_>>().try_into().unwrap();
        want(world, name.trim(), rule).await;
        let refused = |policy: &Policy| fix(policy, "outcome") == "Refused";
        let refused = world.until(name.trim(), "the fix is refused", refused).await.unwrap();
        let told = fix(&refused, "message");
        assert_eq!(told, format!("the API server does not take the change: {words}"), "{case}");
    }
}

#[tokio::test]
async fn a_violation_names_the_version_in_which_its_policy_sees_the_object() {
    let world = shared().await.unwrap();
    prepare(world).await;
    want(world, "newest", "path: $.spec.size, assert: {above: 5}").await;
    let pinned = format!(
        "{{apiVersion: watchpolicy.io/v1alpha1, kind: WatchPolicy, metadata: {{name: pinned}}, spec: {{targets: \
         [{{group: {GROUP}, resources: [cups], version: v1, names: [newest]}}], rules: [{{name: r, path: $.spec.size, \
         assert: {{above: 5}}}}]}}}}"
    );
    world.apply(&pinned).await.unwrap();
    for (policy, version) in [("newest", "v2"), ("pinned", "v1")] {
        let found = world.until(policy, "it fails", |policy| policy.count("failed") == 1).await.unwrap();
        let object = &found.0["status"]["violations"][0]["object"];
        assert_eq!(object["apiVersion"], format!("{GROUP}/{version}"), "{policy}");
    }
}
