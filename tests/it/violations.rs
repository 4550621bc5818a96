//! `GET /violations` and guarded metrics, with tokens and rights of a real API server.

use anyhow::Result;
use serde_json::Value;

use crate::harness::egress::STAND_IN;
use crate::harness::operator::NAMESPACE;
use crate::harness::{ControlPlane, Operator, eventually};
use crate::world::{DEADLINE, QUICK, World, install, namespace, shared};

/// What the owner of a token of a ServiceAccount in the operator's namespace is answered.
pub(crate) async fn violations_as(world: &World<'_>, account: &str) -> Result<(u16, String)> {
    let token = token(world.plane, account, &["--audience", "watchpolicy"]).await?;
    world.operator.get_with("/violations", &format!("x-watchpolicy-token: {token}")).await
}

async fn token(plane: &ControlPlane, account: &str, more: &[&str]) -> Result<String> {
    let create = ["create", "token", "-n", NAMESPACE, account];
    Ok(plane.kubectl().run(&[&create[..], more].concat()).await?.trim().to_owned())
}

const POLICY: &str = "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {name: all-violations}
spec:
  severity: high
  targets: [{resources: [configmaps], namespaces: [all-violations], names: ['map-*']}]
  rules:
  - {name: team, path: $.metadata.labels.team, assert: {exists: true}}
  - {name: owner, path: $.metadata.labels.owner, assert: {exists: true}, severity: low}
";

/// More ConfigMaps without labels than a status has room for.
async fn break_rules(world: &World<'_>) {
    let maps: Vec<_> = (0..25)
        .map(|n| format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: map-{n:02}, namespace: all-violations}}}}"))
        .collect();
    world.apply(&namespace("all-violations")).await.unwrap();
    world.apply(&maps.join("\n---\n")).await.unwrap();
    world.apply(POLICY).await.unwrap();
    world.until("all-violations", "all are found", |p| p.count("violations") == 50).await.unwrap();
}

#[tokio::test]
async fn all_violations_are_told_in_pages_to_those_who_may_list_policies_alone() {
    let world = shared().await.unwrap();
    break_rules(world).await;
    let reader = token(world.plane, "watchpolicy-violations", &["--audience", "watchpolicy"]).await.unwrap();
    let (mut names, mut next) = (Vec::new(), String::new());
    loop {
        let path = format!("/violations?policy=all-violations&severity=high&limit=10&continue={next}");
        let (code, body) =
            world.operator.get_with(&path, &format!("Authorization: Bearer {reader}")).await.unwrap();
        assert_eq!(code, 200, "{body}");
        let page: Value = serde_json::from_str(&body).unwrap();
        let listed = page["violations"].as_array().unwrap();
        names.extend(listed.iter().map(|one| one["object"]["name"].as_str().unwrap().to_owned()));
        match page["continue"].as_str() {
            Some(more) => more.clone_into(&mut next),
            None => break,
        }
    }
    let expected: Vec<_> = (0..25).map(|n| format!("map-{n:02}")).collect();
    assert_eq!(names, expected);

    world.plane.kubectl().run(&["create", "serviceaccount", "-n", NAMESPACE, "stranger"]).await.unwrap();
    assert_eq!(violations_as(world, "stranger").await.unwrap().0, 403);
    assert_eq!(world.operator.get("/violations").await.unwrap().0, 401);
    // A token that the API server takes has no business here.
    let other = token(world.plane, "watchpolicy-violations", &[]).await.unwrap();
    let (code, body) =
        world.operator.get_with("/violations", &format!("x-watchpolicy-token: {other}")).await.unwrap();
    assert_eq!(code, 401);
    assert!(body.contains("--audience watchpolicy") && !body.contains(&other), "{body}");
    assert!(!world.operator.log().unwrap().contains(&other));
}

/// Puts a process in the place of a pod of the operator's Service: there are no nodes to run one.
async fn stand_in(plane: &ControlPlane, port: u16) {
    let pod = format!(
        "
apiVersion: v1
kind: Pod
metadata: {{name: stand-in, namespace: {NAMESPACE}}}
spec: {{containers: [{{name: watchpolicy, image: none}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: stand-in, namespace: {NAMESPACE}, labels: {{kubernetes.io/service-name: watchpolicy}}}}
addressType: IPv4
ports: [{{name: http, port: {port}}}]
endpoints:
- addresses: ['{STAND_IN}']
  conditions: {{ready: true}}
  targetRef: {{kind: Pod, name: stand-in, namespace: {NAMESPACE}}}
"
    );
    plane.kubectl().apply(&pod).await.unwrap();
    let status = format!(r#"{{"status": {{"podIP": "{STAND_IN}", "podIPs": [{{"ip": "{STAND_IN}"}}]}}}}"#);
    let patch = ["patch", "pod", "stand-in", "-n", NAMESPACE, "--subresource=status", "--type=merge", "-p"];
    plane.kubectl().run(&[&patch[..], &[&status]].concat()).await.unwrap();
}

/// `watchpolicy violations` by a ServiceAccount, with what it prints.
async fn command(plane: &ControlPlane, account: &str, more: &[&str]) -> Result<String> {
    let kubeconfig = plane.access().service_account_kubeconfig(NAMESPACE, account).await?;
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_watchpolicy"));
    command.args(["violations", "--format", "json", "--policy", "proxied", "--kubeconfig"]).arg(kubeconfig);
    command.args(more);
    let output = command.output().await?;
    let words = String::from_utf8(output.stderr)?;
    anyhow::ensure!(output.status.success(), "{words}");
    Ok(String::from_utf8(output.stdout)?)
}

#[tokio::test]
async fn the_command_reaches_the_operator_through_the_api_servers_proxy_with_the_role_of_the_chart() {
    let world = shared().await.unwrap();
    let kubeconfig = install(world.plane).await.unwrap();
    let operator = Operator::start(world.plane, &kubeconfig, QUICK).await.unwrap();
    operator.wait_until_ready().await.unwrap();
    let _egress = world.plane.open_egress().unwrap();
    stand_in(world.plane, operator.port()).await;
    world.apply(&namespace("proxied")).await.unwrap();
    let policy = POLICY.replace("all-violations", "proxied").replace("map-*", "map");
    world.apply(&policy).await.unwrap();
    let map = "{apiVersion: v1, kind: ConfigMap, metadata: {name: map, namespace: proxied}}";
    world.apply(map).await.unwrap();
    world.until("proxied", "it is found", |p| p.count("violations") == 2).await.unwrap();

    world.plane.kubectl().run(&["create", "serviceaccount", "-n", NAMESPACE, "jane"]).await.unwrap();
    let refused = format!("{:#}", command(world.plane, "jane", &[]).await.unwrap_err());
    assert!(refused.contains("bind yourself to the Role"), "{refused}");
    let subject = format!("--serviceaccount={NAMESPACE}:jane");
    let bind = ["create", "rolebinding", "jane-violations", "-n", NAMESPACE, "--role=watchpolicy-violations"];
    world.plane.kubectl().run(&[&bind[..], &[&subject]].concat()).await.unwrap();
    let look = async |more: &[&str]| {
        let page: Value = serde_json::from_str(&command(world.plane, "jane", more).await?)?;
        let rules: Vec<_> =
            page["violations"].as_array().unwrap().iter().map(|one| one["rule"].clone()).collect();
        anyhow::ensure!(rules == ["team", "owner"], "{page:#}");
        Ok(())
    };
    eventually(DEADLINE, "the violations come through the proxy", async || look(&[]).await).await.unwrap();

    let file = |name: &str| format!("{}/src/http/testdata/{name}", env!("CARGO_MANIFEST_DIR"));
    let (certificate, key) = (file("one.crt"), file("one.key"));
    let tls = ["--tls-cert-file", &certificate, "--tls-key-file", &key];
    let secured = Operator::start(world.plane, &kubeconfig, &[QUICK, &tls].concat()).await.unwrap();
    secured.wait_until_ready().await.unwrap();
    stand_in(world.plane, secured.port()).await;
    let answers = async || look(&["--https"]).await;
    eventually(DEADLINE, "they come by TLS, too", answers).await.unwrap();
    let plain = format!("{:#}", look(&[]).await.unwrap_err());
    assert!(plain.contains("--https"), "{plain}");
}

#[tokio::test]
async fn guarded_metrics_are_shown_to_those_who_may_get_that_path() {
    // The other replica leads, so that this one can go without a gap.
    let plane = shared().await.unwrap().plane;
    let kubeconfig = install(plane).await.unwrap();
    let operator = Operator::start(plane, &kubeconfig, &[QUICK, &["--metrics-auth"]].concat()).await.unwrap();
    let scraper = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: scraper, namespace: watchpolicy-system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: test-scraper}
rules: [{nonResourceURLs: [/metrics], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: test-scraper}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: test-scraper}
subjects: [{kind: ServiceAccount, name: scraper, namespace: watchpolicy-system}]
";
    plane.kubectl().apply(scraper).await.unwrap();
    let asked = async |account: &str| {
        let token = token(plane, account, &[]).await.unwrap();
        operator.get_with("/metrics", &format!("Authorization: Bearer {token}")).await.unwrap()
    };
    assert!(asked("scraper").await.1.contains("watchpolicy_build_info"));
    assert_eq!(asked("watchpolicy-violations").await.0, 403);
    assert_eq!(operator.get("/metrics").await.unwrap().0, 401);
    assert_eq!(operator.get("/livez").await.unwrap().0, 200);
    assert_eq!(operator.stop(DEADLINE).await.unwrap(), 0);
}
