//! Leaders that are lost in the middle of fixing: who follows does the rest, and nothing is written twice.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::ensure;
use jiff::Timestamp;

use crate::enforce::{config_map, grant_fixes, on_config_maps};
use crate::harness::operator::USER;
use crate::harness::{ControlPlane, Operator, Request, eventually};
use crate::leader::{SHORT, replica};
use crate::world::{DEADLINE, QUICK, World, install, namespace};

const MAPS: usize = 40;
/// Of these so many are fixed before the leader is lost.
const FIXED: usize = 5;
/// As many fixes as an operator sends at a time.
const IN_FLIGHT: usize = 4;
const RULE: &str = "rules: [{name: r, path: $.data.a, assert: {equals: good}, fix: {set: good}}]";

/// What a leader begins to fix, and its follower.
struct Round<'p> {
    name: &'static str,
    /// The identity of the follower.
    second: String,
    world: World<'p>,
}

impl<'p> Round<'p> {
    /// Both work, and some of the fixes are written. Gives the leader too.
    async fn start(plane: &'p ControlPlane, kubeconfig: &Path, name: &'static str) -> (Operator, Self) {
        let second = format!("{name}-two");
        let start = async |identity: &str| {
            let slow = ["--allow-enforce", "--write-qps", "10", "--identity", identity];
            let args = [QUICK, SHORT, &slow].concat();
            let operator = Operator::start(plane, kubeconfig, &args).await.unwrap();
            operator.wait_until_ready().await.unwrap();
            operator
        };
        let first = start(&format!("{name}-one")).await;
        let round = Self { name, world: World { plane, operator: start(&second).await }, second };
        let maps: Vec<_> = (0..MAPS).map(|n| config_map(&format!("{name}-{n}"), "{a: x}")).collect();
        round.world.apply(&maps.join("\n---\n")).await.unwrap();
        round.world.apply(&on_config_maps(name, &format!("{name}-*"), RULE)).await.unwrap();
        round.until_patched("some are fixed", |patches| patches.len() >= FIXED).await;
        (first, round)
    }

    /// The patches of the round's objects.
    fn patches(&self) -> Vec<Request> {
        let mut requests = self.world.requests("", "configmaps").unwrap();
        requests.retain(|request| request.verb == "patch" && request.name.starts_with(self.name));
        requests
    }

    async fn until_patched(&self, what: &str, wanted: impl Fn(&[Request]) -> bool) {
        let look = async || {
            let patches = self.patches();
            ensure!(wanted(&patches), "{} patches", patches.len());
            Ok(())
        };
        eventually(DEADLINE, what, look).await.unwrap();
    }

    /// Waits until the second replica goes on.
    async fn until_followed(&self) {
        let is_second = |patch: &Request| replica(&patch.agent) == self.second;
        self.until_patched("the second goes on", |patches| patches.iter().any(is_second)).await;
    }

    async fn until_all_pass(&self) {
        let all = i64::try_from(MAPS).unwrap();
        let pass = self.world.until(self.name, "all are fixed", |policy| policy.count("passed") == all);
        pass.await.unwrap();
    }

    /// No object was written twice, nor was one forgotten. What was under way when the leader was lost may have been
    /// written without an answer that could be told.
    fn each_was_written_once(&self, untold: usize) {
        let mut patches = self.patches();
        let refused = patches.extract_if(.., |patch| patch.code != 200).count();
        let objects: BTreeSet<_> = patches.iter().map(|patch| &patch.name).collect();
        println!("{}: {} writes of {MAPS} objects, {refused} without success", self.name, patches.len());
        assert_eq!(objects.len(), patches.len(), "none twice: {patches:?}");
        assert!(patches.len() + untold >= MAPS, "each once: {patches:?}");
    }
}

/// Asks a replica to end, as a rollout does.
async fn terminate(replica: Operator) {
    assert_eq!(replica.stop(DEADLINE).await.unwrap(), 0);
}

/// Those that the first replica sent since then.
fn late<'r>(requests: &'r [Request], round: &Round<'_>, since: Timestamp) -> Vec<&'r Request> {
    requests.iter().filter(|request| request.at > since && replica(&request.agent) != round.second).collect()
}

#[tokio::test]
async fn whoever_follows_a_leader_that_is_lost_in_the_middle_does_the_rest_once() {
    let plane = ControlPlane::start().await.unwrap();
    let kubeconfig = install(&plane).await.unwrap();
    plane.kubectl().apply(&namespace("shop")).await.unwrap();
    plane.kubectl().apply(&grant_fixes("", "configmaps")).await.unwrap();

    let (first, round) = Round::start(&plane, &kubeconfig, "terminated").await;
    terminate(first).await;
    round.until_followed().await;
    round.until_all_pass().await;
    round.each_was_written_once(IN_FLIGHT);
    terminate(round.world.operator).await;

    let (first, round) = Round::start(&plane, &kubeconfig, "killed").await;
    // Dropping it kills it.
    drop(first);
    round.until_followed().await;
    round.until_all_pass().await;
    round.each_was_written_once(IN_FLIGHT);
    terminate(round.world.operator).await;

    let (mut first, round) = Round::start(&plane, &kubeconfig, "stopped").await;
    first.signal("STOP").unwrap();
    round.until_followed().await;
    // It wakes with a queue full of what it had been about to fix, most of which the other has yet to come to.
    let resumed = Timestamp::now();
    first.signal("CONT").unwrap();
    round.until_all_pass().await;
    // What it had sent before, the server did, and told.
    round.each_was_written_once(0);
    let patch = ["patch", "configmap", "-n", "shop", "stopped-0", "-p", r#"{"data": {"a": "x"}}"#];
    let broken = Timestamp::now();
    plane.kubectl().run(&patch).await.unwrap();
    let is_fixed = |patches: &[Request]| patches.iter().any(|patch| patch.at > broken);
    round.until_patched("what breaks later is fixed too", is_fixed).await;
    let requests = plane.requests(|user| user == USER).unwrap();
    assert!(!late(&requests, &round, resumed).is_empty(), "it goes on asking");
    assert_eq!(late(&round.patches(), &round, resumed), Vec::<&Request>::new());
    terminate(first).await;
    terminate(round.world.operator).await;
}
