//! What others do to an object between the operator's look at it and its patch, which a proxy holds meanwhile.

use std::sync::Arc;

use anyhow::ensure;
use tokio::sync::Notify;

use crate::enforce::{config_map, grant_fixes, object, on_config_maps};
use crate::harness::{ControlPlane, Operator, eventually};
use crate::proxy::{Fault, FaultProxy, Rule, Verb};
use crate::world::{DEADLINE, QUICK, World, install, namespace, series};

/// A name that passes is left as it is, though it is not the one that the fix would write.
const RULE: &str = "rules: [{name: r, path: $.data.a, assert: {like: 'good*'}, fix: {set: good}}]";

struct Stage<'p> {
    world: World<'p>,
    proxy: FaultProxy,
}

impl<'p> Stage<'p> {
    async fn start(plane: &'p ControlPlane) -> Self {
        let proxy = FaultProxy::start(&install(plane).await.unwrap()).await.unwrap();
        let args = [QUICK, &["--allow-enforce"]].concat();
        let operator = Operator::start(plane, proxy.kubeconfig(), &args).await.unwrap();
        operator.wait_until_ready().await.unwrap();
        let world = World { plane, operator };
        world.apply(&namespace("shop")).await.unwrap();
        world.apply(&grant_fixes("", "configmaps")).await.unwrap();
        Self { world, proxy }
    }

    /// Makes a ConfigMap that fails, and lets something happen to it while the patch that would mend it is held.
    async fn meddle(&self, name: &str, policy: &str, meddling: impl AsyncFnOnce()) {
        let (path, told) = (format!("/configmaps/{name}"), Arc::new(Notify::new()));
        let hold = Fault::Hold(Arc::clone(&told));
        self.proxy.bring(Rule { path: path.clone(), verb: Verb::Patch, fault: hold, times: 1 });
        self.world.apply(&config_map(name, "{a: bad}")).await.unwrap();
        self.world.apply(policy).await.unwrap();
        let is_held = async || {
            let asked = self.proxy.asked(&path);
            ensure!(asked.iter().any(|asked| asked.verb == Verb::Patch), "{asked:?}");
            Ok(())
        };
        eventually(DEADLINE, "the patch is sent", is_held).await.unwrap();
        meddling().await;
        told.notify_one();
    }

    /// Waits until this is what the operator asked about a ConfigMap, and what it was answered. It may look at it again when
    /// its watch shows what others did.
    async fn until_asked(&self, name: &str, wanted: &[(&str, u16)]) {
        let look = async || {
            let mut requests = self.world.requests("", "configmaps")?;
            requests.retain(|request| request.name == name);
            let asked: Vec<_> =
                requests.iter().map(|request| (request.verb.as_str(), request.code)).collect();
            let after = asked.strip_prefix(wanted);
            ensure!(after.is_some_and(|after| after.iter().all(|asked| *asked == ("get", 200))), "{asked:?}");
            Ok(())
        };
        eventually(DEADLINE, &format!("{name} is asked for as it should be"), look).await.unwrap();
    }

    async fn kubectl(&self, args: &[&str]) {
        self.world.plane.kubectl().run(args).await.unwrap();
    }

    async fn write(&self, name: &str, value: &str) {
        let data = format!(r#"{{"data": {{"a": "{value}"}}}}"#);
        self.kubectl(&["patch", "configmap", "-n", "shop", name, "-p", &data]).await;
    }

    async fn value(&self, name: &str) -> String {
        let map = object(&self.world, &["configmap", name]).await;
        map["data"]["a"].as_str().unwrap().to_owned()
    }

    /// How often a policy was told that the server refuses its fix.
    async fn refusals(&self, policy: &str) -> f64 {
        let (page, labels) =
            (self.world.operator.metrics().await.unwrap(), [("policy", policy), ("outcome", "Refused")]);
        series(&page, "watchpolicy_remediations_total", &labels).unwrap().unwrap_or_default()
    }
}

#[tokio::test]
async fn what_others_changed_since_it_was_read_is_judged_again_and_not_overwritten() {
    let plane = ControlPlane::start().await.unwrap();
    let stage = Stage::start(&plane).await;

    let policy = on_config_maps("mended", "mended", RULE);
    stage.meddle("mended", &policy, async || stage.write("mended", "good enough").await).await;
    // A refusal would not be followed by a second look, since the watch shows that nothing fails any more.
    stage.until_asked("mended", &[("get", 200), ("patch", 422), ("get", 200)]).await;
    let passes = stage.world.until("mended", "it passes", |policy| policy.count("passed") == 1);
    passes.await.unwrap();
    assert_eq!(stage.value("mended").await, "good enough");

    let policy = on_config_maps("worse", "worse", RULE);
    stage.meddle("worse", &policy, async || stage.write("worse", "as bad").await).await;
    stage.until_asked("worse", &[("get", 200), ("patch", 422), ("get", 200), ("patch", 200)]).await;
    assert_eq!(stage.value("worse").await, "good");

    for policy in ["mended", "worse"] {
        assert_eq!(stage.refusals(policy).await, 0.0, "{policy}: a failed test is no refusal");
    }
}

#[tokio::test]
async fn another_object_of_the_same_name_and_content_is_not_what_was_judged() {
    let plane = ControlPlane::start().await.unwrap();
    let stage = Stage::start(&plane).await;
    // The policy does not take the new one, so whatever writes to it is the patch that was meant for the old one.
    let leaves_out = "match: [{path: $.metadata.labels.anew, assert: {exists: false}}]";
    let policy = on_config_maps("anew", "anew", &format!("{leaves_out}\n  {RULE}"));
    let makes_it_anew = async || {
        stage.kubectl(&["delete", "configmap", "-n", "shop", "anew"]).await;
        let anew = config_map("anew", "{a: bad}")
            .replace("namespace: shop", "namespace: shop, labels: {anew: yes-it-is}");
        stage.world.apply(&anew).await.unwrap();
    };
    stage.meddle("anew", &policy, makes_it_anew).await;
    stage.until_asked("anew", &[("get", 200), ("patch", 422), ("get", 200)]).await;
    let left_out = stage.world.until("anew", "it is left out", |policy| policy.count("excluded") == 1);
    left_out.await.unwrap();
    assert_eq!((stage.value("anew").await.as_str(), stage.refusals("anew").await), ("bad", 0.0));
}
