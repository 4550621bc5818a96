//! Who waits for policies: Helm by kstatus, and kubectl.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::harness::{ControlPlane, Helm};
use crate::world::{DEADLINE, World, shared};

/// How long a wait may last that a bad policy is to end.
const PATIENCE: Duration = Duration::from_secs(300);

/// What no object is in.
const NOTHING: &str = "resources: [configmaps], namespaces: [waits]";

/// A chart whose one template is this policy.
fn chart(plane: &ControlPlane, policy: &str, target: &str, path: &str) -> PathBuf {
    let folder = plane.folder().join(policy);
    std::fs::create_dir_all(folder.join("templates")).unwrap();
    let about = format!("{{apiVersion: v2, name: {policy}, version: 0.1.0}}");
    std::fs::write(folder.join("Chart.yaml"), about).unwrap();
    let template = format!(
        "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {{name: {policy}}}
spec:
  targets: [{{{target}}}]
  rules: [{{name: rule, path: '{path}', assert: {{exists: true}}}}]
"
    );
    std::fs::write(folder.join("templates/policy.yaml"), template).unwrap();
    folder
}

/// `helm install --wait`.
async fn install(world: &World<'_>, policy: &str, target: &str, path: &str) -> Result<String> {
    let chart = chart(world.plane, policy, target, path).display().to_string();
    let helm = Helm::with(world.plane.access().admin_kubeconfig()).await?;
    let timeout = format!("{}s", PATIENCE.as_secs());
    helm.run(&["install", policy, &chart, "--namespace", "default", "--wait", "--timeout", &timeout]).await
}

#[tokio::test]
async fn helm_waits_for_a_good_policy_and_fails_fast_on_a_bad_one() {
    let world = shared().await.unwrap();
    install(world, "waits-good", NOTHING, "$.data.a").await.unwrap();
    // Nobody else waited for this.
    let good = world.policy("waits-good").await.unwrap();
    assert_eq!(good["status"]["observedGeneration"], good["metadata"]["generation"], "{good:#}");
    assert_eq!(good["status"]["reason"], "Synced");

    world.install_crd("waits.example.com", "widgets", "Widget").await.unwrap();
    let forbidden = "group: waits.example.com, resources: [widgets]";
    for (policy, target, path, reason) in [
        ("waits-bad", NOTHING, "$.data[", "Invalid"),
        ("waits-forbidden", forbidden, "$.spec.size", "Forbidden"),
    ] {
        let start = Instant::now();
        let refused = format!("{:#}", install(world, policy, target, path).await.unwrap_err());
        assert!(refused.contains(policy) && refused.contains("Failed"), "{refused}");
        assert!(start.elapsed() < DEADLINE, "{policy}: {:?}", start.elapsed());
        assert_eq!(world.policy(policy).await.unwrap()["status"]["reason"], reason);
    }
}

#[tokio::test]
async fn kubectl_waits_for_the_condition_ready() {
    let world = shared().await.unwrap();
    let folder = chart(world.plane, "waits-kubectl", NOTHING, "$.data.a");
    let policy = std::fs::read_to_string(folder.join("templates/policy.yaml")).unwrap();
    world.apply(&policy).await.unwrap();
    let wait = ["wait", "--for=condition=Ready", "--timeout=60s", "wpol/waits-kubectl"];
    world.plane.kubectl().run(&wait).await.unwrap();
}
