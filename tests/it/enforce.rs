//! Plan and Enforce, against a real API server: what no fake can prove.

use serde_json::Value;

use crate::events::event;
use crate::harness::operator::USER;
use crate::harness::{ControlPlane, eventually};
use crate::world::{DEADLINE, Policy, QUICK, World, namespace, role};

/// Lets the operator fix a resource.
pub(crate) fn grant_fixes(group: &str, plural: &str) -> String {
    let rule = format!("{{apiGroups: ['{group}'], resources: ['{plural}'], verbs: [get, patch]}}");
    role(&format!("fix-{plural}.{group}"), None, &rule)
}

pub(crate) fn deployment(name: &str) -> String {
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: shop}}
spec:
  replicas: 0
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{containers: [{{name: a, image: nginx}}]}}
"
    )
}

pub(crate) fn config_map(name: &str, data: &str) -> String {
    format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}, namespace: shop}}, data: {data}}}")
}

/// A policy of one rule on Deployments, of which a target may say more.
pub(crate) fn on_deployments(name: &str, mode: &str, target: &str, rule: &str) -> String {
    format!(
        "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {{name: {name}}}
spec:
  mode: {mode}
  targets: [{{group: apps, resources: [deployments]{target}}}]
  rules: [{{name: r, {rule}}}]
"
    )
}

/// A policy on the ConfigMaps of a name.
pub(crate) fn on_config_maps(name: &str, of: &str, rest: &str) -> String {
    format!(
        "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {{name: {name}}}
spec:
  mode: Enforce
  targets: [{{resources: [configmaps], names: ['{of}']}}]
  {rest}
"
    )
}

/// The group of a custom kind, beside which Deployments are fixed.
const STORY: &str = "story.example.com";

fn owners(mode: &str) -> String {
    format!(
        "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {{name: owners}}
spec:
  mode: {mode}
  targets:
  - {{group: apps, resources: [deployments]}}
  - {{group: {STORY}, resources: [gadgets]}}
  rules:
  - name: owner
    path: $.metadata.annotations['corp.io/owner']
    assert: {{like: '*@corp.com'}}
    fix: {{set: nobody@corp.com}}
"
    )
}

/// What became of the fix of the first violation.
pub(crate) fn fix<'p>(policy: &'p Policy, field: &str) -> &'p str {
    policy.0["status"]["violations"][0]["fix"][field].as_str().unwrap_or_default()
}

pub(crate) async fn object(world: &World<'_>, what: &[&str]) -> Value {
    let text =
        world.plane.kubectl().run(&[&["get", "-n", "shop", "-o", "json"], what].concat()).await.unwrap();
    serde_json::from_str(&text).unwrap()
}

pub(crate) async fn annotate(world: &World<'_>, deployment: &str, value: &str) {
    let annotation = format!("corp.io/owner={value}");
    let args = ["annotate", "--overwrite", "-n", "shop", "deployment", deployment, &annotation];
    world.plane.kubectl().run(&args).await.unwrap();
}

/// Waits until a Deployment has an owner.
pub(crate) async fn until_owned(world: &World<'_>, deployment: &str, owner: &str) -> Value {
    let look = async || {
        let object = object(world, &["deployment", deployment]).await;
        if object["metadata"]["annotations"]["corp.io/owner"] == owner {
            Ok(object)
        } else {
            Err(object.to_string())
        }
    };
    eventually(DEADLINE, "the owner is written", look).await.unwrap()
}

pub(crate) async fn annotate_lease(world: &World<'_>, annotation: &str) {
    let args = ["annotate", "lease", "-n", "watchpolicy-system", "watchpolicy", "--overwrite", annotation];
    world.plane.kubectl().run(&args).await.unwrap();
}

/// How many patches of Deployments were sent.
fn patches(world: &World<'_>) -> usize {
    let requests = world.plane.requests(|user| user == USER).unwrap();
    requests.iter().filter(|request| request.verb == "patch" && request.resource == "deployments").count()
}

/// Waits until the policy's entries in managedFields are gone: the last that it writes.
async fn until_let_go(world: &World<'_>) {
    let look = async || {
        let all = object(world, &["deployments", "--show-managed-fields"]).await.to_string();
        if all.contains("watchpolicy/owners") { Err(all) } else { Ok(()) }
    };
    eventually(DEADLINE, "the policy's entries in managedFields go", look).await.unwrap();
}

/// A Deployment and an object of a custom kind, and the rights to fix both.
async fn prepare(world: &World<'_>) {
    world.apply(&namespace("shop")).await.unwrap();
    world.apply(&grant_fixes("apps", "deployments")).await.unwrap();
    world.apply(&deployment("web")).await.unwrap();
    world.install_crd(STORY, "gadgets", "Gadget").await.unwrap();
    world.grant(STORY, "gadgets").await.unwrap();
    world.apply(&grant_fixes(STORY, "gadgets")).await.unwrap();
    let gadget = "apiVersion: story.example.com/v1, kind: Gadget, metadata: {name: tool, namespace: shop}";
    world.apply(&format!("{{{gadget}}}")).await.unwrap();
}

#[tokio::test]
async fn a_policy_goes_from_audit_to_plan_to_enforce_and_back_and_says_at_each_step_what_it_does() {
    let plane = ControlPlane::start().await.unwrap();
    let world = World::start(&plane, &[QUICK, &["--allow-enforce"]].concat()).await.unwrap();
    prepare(&world).await;
    world.apply(&owners("Audit")).await.unwrap();
    let audit = world.until("owners", "audited", |policy| policy.count("failed") == 2).await.unwrap();
    assert_eq!((audit.reason("Enforcing"), fix(&audit, "outcome")), ("Audit", ""));
    assert_eq!(patches(&world), 0);

    world.apply(&owners("Plan")).await.unwrap();
    let plan = world.until("owners", "planned", |policy| fix(policy, "outcome") == "Planned").await.unwrap();
    assert_eq!(plan.reason("Enforcing"), "Plan");
    assert_eq!(
        (fix(&plan, "path"), fix(&plan, "to")),
        ("metadata.annotations['corp.io/owner']", "nobody@corp.com")
    );
    let unfixed = object(&world, &["deployment", "web"]).await;
    assert_eq!(unfixed["metadata"]["annotations"]["corp.io/owner"], Value::Null, "a plan writes nothing");

    world.apply(&owners("Enforce")).await.unwrap();
    let web = until_owned(&world, "web", "nobody@corp.com").await;
    assert_eq!(web["spec"], unfixed["spec"], "nothing else was written");
    let enforced = world.until("owners", "enforced", |policy| policy.count("passed") == 2).await.unwrap();
    assert_eq!(enforced.condition("Enforcing"), "True");

    for round in 0..2 {
        annotate(&world, "web", &format!("me-{round}")).await;
        until_owned(&world, "web", "nobody@corp.com").await;
    }
    annotate(&world, "web", "me-again").await;
    let contested =
        world.until("owners", "contested", |policy| fix(policy, "outcome") == "Contested").await.unwrap();
    assert!(fix(&contested, "message").starts_with("kubectl-annotate writes the field"), "{contested:?}");
    let told = event(&plane, "default", "owners", "FixContested").await;
    assert_eq!((&told["type"], &told["related"]["name"]), (&"Warning".into(), &"web".into()), "{told:#}");
    event(&plane, "default", "owners", "EnforcementStarted").await;
    annotate(&world, "web", "me@corp.com").await;

    annotate_lease(&world, "watchpolicy.io/writes=stopped").await;
    world.until("owners", "stopped", |policy| policy.reason("Enforcing") == "Stopped").await.unwrap();
    let before = patches(&world);
    world.apply(&deployment("late")).await.unwrap();
    world.until("owners", "held back", |policy| fix(policy, "outcome") == "Stopped").await.unwrap();
    assert_eq!(patches(&world), before);
    let told = event(&plane, "default", "owners", "EnforcementStopped").await;
    assert!(told["note"].as_str().unwrap().starts_with("Stopped: "), "{told:#}");
    annotate_lease(&world, "watchpolicy.io/writes-").await;
    until_owned(&world, "late", "nobody@corp.com").await;

    world.apply(&owners("Audit")).await.unwrap();
    world.until("owners", "audited", |policy| policy.reason("Enforcing") == "Audit").await.unwrap();
    until_let_go(&world).await;
    let before = patches(&world);
    annotate(&world, "late", "a<b&c").await;
    world.until("owners", "reported", |policy| policy.count("failed") == 1).await.unwrap();
    assert_eq!(patches(&world), before);
    // A policy that writes nothing any more leaves what it wrote.
    world.delete(&["wpol", "owners"]).await.unwrap();
    assert_eq!(owner(&world, "deployment/web").await, "me@corp.com");
    assert_eq!(owner(&world, "gadget/tool").await, "nobody@corp.com");
    a_last_policy_takes_back_what_it_wrote_and_nothing_else(&world).await;
}

async fn owner(world: &World<'_>, what: &str) -> Value {
    let object = object(world, &[what]).await;
    object["metadata"]["annotations"]["corp.io/owner"].clone()
}

/// `late` fails by now, `tool` is made to, and `web` is somebody else's.
async fn a_last_policy_takes_back_what_it_wrote_and_nothing_else(world: &World<'_>) {
    let annotate = ["annotate", "--overwrite", "-n", "shop", "gadget/tool", "corp.io/owner=me"];
    world.plane.kubectl().run(&annotate).await.unwrap();
    world.apply(&grant_fixes("watchpolicy.io", "watchpolicies")).await.unwrap();
    let releases = format!("{}  enforcement: {{onDelete: Release}}\n", owners("Enforce"));
    world.apply(&releases).await.unwrap();
    world.until("owners", "all is mended", |policy| policy.count("passed") == 3).await.unwrap();
    world.delete(&["wpol", "owners"]).await.unwrap();
    assert_eq!(owner(world, "deployment/web").await, "me@corp.com");
    assert_eq!(owner(world, "deployment/late").await, Value::Null);
    assert_eq!(owner(world, "gadget/tool").await, Value::Null);
}

const DENIES: &str = "
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-fixed}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
    - {apiGroups: [''], apiVersions: [v1], operations: [UPDATE], resources: [configmaps]}
  validations:
  - {expression: \"!has(object.data) || !('refused' in object.data) || object.data.refused != 'fixed'\", message: nobody fixes this}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-fixed}
spec: {policyName: no-fixed, validationActions: [Deny]}
";

const PRUNED: &str = "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {name: pruned}
spec:
  mode: Enforce
  targets: [{group: enforce.example.com, resources: [widgets]}]
  rules: [{name: size, path: $.extra.size, assert: {exists: true}, fix: {set: 1}}]
";

#[tokio::test]
async fn what_cannot_be_fixed_says_why_and_is_not_tried_again_and_again() {
    let plane = ControlPlane::start().await.unwrap();
    let world = World::start(&plane, &[QUICK, &["--allow-enforce"]].concat()).await.unwrap();
    world.apply(&namespace("shop")).await.unwrap();
    let rule = |field: &str, value: &str| {
        format!(
            "rules: [{{name: r, path: $.data.{field}, assert: {{equals: {value}}}, fix: {{set: {value}}}}}]"
        )
    };
    let outcome = async |policy: &str, wanted: &str| {
        let what = format!("{policy} is {wanted}");
        world.until(policy, &what, |policy| fix(policy, "outcome") == wanted).await.unwrap()
    };

    world.apply(&config_map("unverified", "{a: x}")).await.unwrap();
    world.apply(&on_config_maps("unverified", "unverified", &rule("a", "good"))).await.unwrap();
    let denied = world
        .until("unverified", "a right is missing", |policy| policy.reason("Enforcing") == "Forbidden")
        .await
        .unwrap();
    let cure = r#"{apiGroups: [""], resources: ["configmaps"], verbs: ["get", "patch"]}"#;
    assert!(denied.message("Enforcing").contains(cure), "{denied:?}");
    world.delete(&["wpol", "unverified"]).await.unwrap();
    world.apply(&grant_fixes("", "configmaps")).await.unwrap();

    world.apply(DENIES).await.unwrap();
    world.apply(&config_map("refused", "{refused: x}")).await.unwrap();
    // The server takes a moment to learn of an admission policy.
    let denies = async || {
        let patch = r#"patch configmap -n shop refused --dry-run=server -p {"data":{"refused":"fixed"}}"#;
        let patch: Vec<_> = patch.split(' ').collect();
        world.plane.kubectl().run(&patch).await.is_err().then_some(())
    };
    eventually(DEADLINE, "the admission policy works", denies).await.unwrap();
    world.apply(&on_config_maps("refused", "refused", &rule("refused", "fixed"))).await.unwrap();
    let refused = outcome("refused", "Refused").await;
    assert!(fix(&refused, "message").contains("nobody fixes this"), "{refused:?}");
    event(&plane, "default", "refused", "FixRefused").await;

    world.install_crd("enforce.example.com", "widgets", "Widget").await.unwrap();
    world.grant("enforce.example.com", "widgets").await.unwrap();
    world.apply(&grant_fixes("enforce.example.com", "widgets")).await.unwrap();
    world
        .apply("{apiVersion: enforce.example.com/v1, kind: Widget, metadata: {name: w, namespace: shop}, spec: {}}")
        .await
        .unwrap();
    world.apply(PRUNED).await.unwrap();
    outcome("pruned", "Ineffective").await;
    event(&plane, "default", "pruned", "FixIneffective").await;

    world.apply(&config_map("owned", "{a: x}")).await.unwrap();
    let yields = format!("enforcement: {{onConflict: Yield}}\n  {}", rule("a", "good"));
    world.apply(&on_config_maps("yields", "owned", &yields)).await.unwrap();
    let yielded = outcome("yields", "Yielded").await;
    assert!(fix(&yielded, "message").contains("kubectl"), "{yielded:?}");

    world.apply(&config_map("torn", "{a: good}")).await.unwrap();
    world.apply(&on_config_maps("one", "torn", &rule("a", "good"))).await.unwrap();
    world.until("one", "one passes", |policy| policy.count("passed") == 1).await.unwrap();
    world.apply(&on_config_maps("two", "torn", &rule("a", "other"))).await.unwrap();
    let conflict = outcome("two", "Conflict").await;
    assert!(fix(&conflict, "message").contains("the policy one wants something else"), "{conflict:?}");
    assert_eq!(object(&world, &["configmap", "torn"]).await["data"]["a"], "good");

    let writes = world.requests("", "configmaps").unwrap();
    let writes = writes.iter().filter(|request| request.verb == "patch").count();
    assert!(writes <= 4, "{writes} writes of ConfigMaps: what is refused rests");
    a_plan_stops_no_enforcement(&world, &rule("a", "other"), &rule("a", "good")).await;
}

async fn a_plan_stops_no_enforcement(world: &World<'_>, tried: &str, enforced: &str) {
    world.apply(&config_map("tried", "{a: x}")).await.unwrap();
    let tries = on_config_maps("tries", "tried", tried).replace("mode: Enforce", "mode: Plan");
    world.apply(&tries).await.unwrap();
    world.until("tries", "it is planned", |policy| fix(policy, "outcome") == "Planned").await.unwrap();
    world.apply(&on_config_maps("enforces", "tried", enforced)).await.unwrap();
    world.until("enforces", "it is written", |policy| policy.count("passed") == 1).await.unwrap();
    world.until("tries", "it is told", |policy| fix(policy, "outcome") == "Conflict").await.unwrap();
}
