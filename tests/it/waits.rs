//! Who waits for policies: Helm by kstatus, and kubectl.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::harness::{ControlPlane, Helm};
use crate::world::{DEADLINE, World, shared};

/// How long a wait may last that a bad policy is to end.
const PATIENCE: Duration = Duration::from_secs(300);

/// A chart whose one template is this policy.
fn chart(plane: &ControlPlane, policy: &str, path: &str) -> PathBuf {
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
  targets: [{{resources: [configmaps], namespaces: [{policy}]}}]
  rules: [{{name: rule, path: '{path}', assert: {{exists: true}}}}]
"
    );
    std::fs::write(folder.join("templates/policy.yaml"), template).unwrap();
    folder
}

/// `helm install --wait`.
async fn install(world: &World<'_>, policy: &str, path: &str) -> Result<String> {
    let chart = chart(world.plane, policy, path).display().to_string();
    let helm = Helm::with(world.plane.access().admin_kubeconfig()).await?;
    let timeout = format!("{}s", PATIENCE.as_secs());
    helm.run(&["install", policy, &chart, "--namespace", "default", "--wait", "--timeout", &timeout]).await
}

#[tokio::test]
async fn helm_waits_for_a_good_policy_and_fails_fast_on_a_bad_one() {
    let world = shared().await.unwrap();
    install(world, "waits-good", "$.data.a").await.unwrap();
    // Nobody else waited for this.
    let good = world.policy("waits-good").await.unwrap();
    assert_eq!(good["status"]["observedGeneration"], good["metadata"]["generation"], "{good:#}");
    assert_eq!(good["status"]["reason"], "Synced");

    let start = Instant::now();
    let refused = format!("{:#}", install(world, "waits-bad", "$.data[").await.unwrap_err());
    assert!(refused.contains("waits-bad") && refused.contains("Failed"), "{refused}");
    assert!(start.elapsed() < DEADLINE, "{:?}", start.elapsed());
}

#[tokio::test]
async fn kubectl_waits_for_the_condition_ready() {
    let world = shared().await.unwrap();
    let folder = chart(world.plane, "waits-kubectl", "$.data.a");
    let policy = std::fs::read_to_string(folder.join("templates/policy.yaml")).unwrap();
    world.apply(&policy).await.unwrap();
    let wait = ["wait", "--for=condition=Ready", "--timeout=60s", "wpol/waits-kubectl"];
    world.plane.kubectl().run(&wait).await.unwrap();
}
