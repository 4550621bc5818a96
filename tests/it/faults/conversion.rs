//! A kind of two versions whose conversion webhook is down: what is stored in one of them cannot be shown in the other.

use std::time::Instant;

use super::case::{Case, LASTS};
use crate::harness::ports;

/// `v2` is the preferred version, `v1` is stored and written.
fn definition(group: &str, conversion: &str) -> String {
    let version = |name: &str, stored: bool| {
        format!(
            "{{name: {name}, served: true, storage: {stored}, schema: {{openAPIV3Schema: {{type: object, properties: \
             {{spec: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}}}}}}}"
        )
    };
    format!(
        "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: widgets.{group}}}
spec:
  group: {group}
  scope: Namespaced
  names: {{plural: widgets, singular: widget, kind: Widget}}
  conversion: {conversion}
  versions: [{}, {}]
",
        version("v1", true),
        version("v2", false)
    )
}

fn webhook(port: u16) -> String {
    format!(
        "{{strategy: Webhook, webhook: {{conversionReviewVersions: [v1], clientConfig: {{url: \
         'https://127.0.0.1:{port}/convert'}}}}}}"
    )
}

const NONE: &str = "{strategy: None}";

#[tokio::test]
async fn a_conversion_webhook_that_is_down_is_named_and_hurts_nobody_else() {
    let case = Case::start_as("conversion", |group| definition(group, NONE)).await.unwrap();
    let world = &case.stage.world;
    let closed = ports::free().unwrap();
    let since = Instant::now();
    world.apply(&definition(&case.group, &webhook(closed))).await.unwrap();
    case.state("Degraded", "conversion webhook").await.unwrap();
    println!("conversion: told {:?} after the edit", since.elapsed());
    case.state("Degraded", &format!("127.0.0.1:{closed}")).await.unwrap();
    case.change(0).await.unwrap();
    case.bystander_is_followed().await.unwrap();
    world.until(case.name, "what is known stays, marked stale", |p| p.count("stale") == 12).await.unwrap();
    let still = Instant::now();
    tokio::time::sleep(LASTS).await;
    case.requests_were_few(still).unwrap();
    case.change(1).await.unwrap();

    world.apply(&definition(&case.group, NONE)).await.unwrap();
    case.heals().await.unwrap();
}
