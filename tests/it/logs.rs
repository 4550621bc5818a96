//! What the log never holds, at any level.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::harness::Operator;
use crate::world::{DEADLINE, QUICK, grant, install, namespace, shared};

/// The members of a JSON object, in order; two of one name are two.
struct Members(Vec<String>);

impl<'de> serde::Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Members;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut names = Vec::new();
                while let Some((name, _)) = map.next_entry::<String, IgnoredAny>()? {
                    names.push(name);
                }
                Ok(Members(names))
            }
        }
        deserializer.deserialize_map(Names)
    }
}

/// A Secret whose value fails a rule that quotes it, and a ConfigMap for comparison.
const OBJECTS: &str = "
apiVersion: v1
kind: Secret
metadata: {name: canary, namespace: logs}
stringData: {token: canary-in-a-secret}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: shown, namespace: logs}
data: {token: shown-in-a-config-map}
";

const POLICY: &str = "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {name: logs}
spec:
  targets: [{resources: [secrets, configmaps], namespaces: [logs], names: [canary, shown]}]
  rules:
  - name: token
    path: $.data.token
    assert: {equals: another}
    message: 'the token is {actual}, wanted {expected}'
";

#[tokio::test]
async fn at_the_lowest_level_no_value_of_a_secret_is_logged_and_each_line_has_each_key_once() {
    // The other replica leads; this one follows, projects and judges the same.
    let world = shared().await.unwrap();
    world.apply(&grant("", "secrets")).await.unwrap();
    world.apply(&namespace("logs")).await.unwrap();
    world.apply(OBJECTS).await.unwrap();
    let kubeconfig = install(world.plane).await.unwrap();
    let loud = [QUICK, &["--log-level", "trace", "--log-verdicts"]].concat();
    let operator = Operator::start(world.plane, &kubeconfig, &loud).await.unwrap();
    operator.wait_until_ready().await.unwrap();
    world.apply(POLICY).await.unwrap();
    let judged =
        world.until("logs", "both are judged", |p| p.is_ready() && p.count("failed") == 2).await.unwrap();
    assert!(judged.violations().iter().any(|violation| violation.contains("<redacted>")), "{judged:?}");
    world.plane.kubectl().run(&["delete", "-n", "logs", "secret/canary"]).await.unwrap();
    world.until("logs", "the deletion is seen", |p| p.count("failed") == 1).await.unwrap();

    let log = operator.log().unwrap();
    assert_eq!(operator.stop(DEADLINE).await.unwrap(), 0);
    assert!(log.contains("\"level\":\"TRACE\""), "the level is the lowest");
    assert!(log.contains("\"result\":\"Fail\""), "verdicts are told");
    // As it is written, and as the server stores it.
    for canary in ["canary-in-a-secret", "Y2FuYXJ5LWluLWEtc2VjcmV0"] {
        let line = log.lines().find(|line| line.contains(canary));
        assert_eq!(line, None);
    }
    for line in log.lines() {
        let Members(names) = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let different: BTreeSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len(), "{line}");
    }
}
