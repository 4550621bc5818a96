//! Several replicas: one writes, and another one when it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::operator::USER;
use crate::harness::{ControlPlane, Operator, Request, eventually};
use crate::world::{DEADLINE, Policy, QUICK, install, namespace, series};

const TEAM: &str = "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {name: team}
spec:
  targets: [{resources: [configmaps], names: ['map-*']}]
  match: [{path: $.metadata.namespace, assert: {equals: shop}}]
  rules: [{name: team, path: $.metadata.labels.team, assert: {exists: true}}]
";
/// Times that a test can wait for.
pub(crate) const SHORT: &[&str] =
    &["--lease-duration", "6s", "--renew-deadline", "4s", "--retry-period", "1s"];

/// Replicas of one operator, by their identities.
struct Replicas {
    plane: ControlPlane,
    kubeconfig: PathBuf,
    running: BTreeMap<&'static str, Operator>,
    maps: u32,
}

impl Replicas {
    async fn start(names: &[&'static str], args: &[&str]) -> Self {
        let plane = ControlPlane::start().await.unwrap();
        let kubeconfig = install(&plane).await.unwrap();
        let mut replicas = Self { plane, kubeconfig, running: BTreeMap::new(), maps: 0 };
        for name in names {
            replicas.add(name, args).await;
        }
        replicas.plane.kubectl().apply(&namespace("shop")).await.unwrap();
        replicas.plane.kubectl().apply(TEAM).await.unwrap();
        replicas
    }

    async fn add(&mut self, name: &'static str, args: &[&str]) {
        let args = [QUICK, &["--identity", name], args].concat();
        let operator = Operator::start(&self.plane, &self.kubeconfig, &args).await.unwrap();
        operator.wait_until_ready().await.unwrap();
        self.running.insert(name, operator);
    }

    /// Makes a violation, and waits until it is in status.
    async fn violate(&mut self) {
        let name = format!("map-{}", self.maps);
        self.plane.kubectl().run(&["create", "configmap", "-n", "shop", &name]).await.unwrap();
        self.maps += 1;
        let wanted = i64::from(self.maps);
        let look = async || {
            let text = self.plane.kubectl().run(&["get", "wpol", "team", "-o", "json"]).await;
            let policy = Policy(serde_json::from_str(&text.map_err(|error| format!("{error:#}"))?).unwrap());
            if policy.count("failed") == wanted { Ok(()) } else { Err(format!("{:#}", policy.0["status"])) }
        };
        eventually(DEADLINE, "the violation is in status", look).await.unwrap();
    }

    /// Those that say of themselves that they lead.
    async fn leaders(&self, but: &str) -> Vec<&'static str> {
        let mut leaders = Vec::new();
        for (name, operator) in self.running.iter().filter(|(name, _)| **name != but) {
            let leads = async || {
                let page = operator.metrics().await;
                let page = page.unwrap_or_else(|error| panic!("{name} does not answer: {error:#}"));
                let leads =
                    series(&page, "leader_election_master_status", &[("name", "watchpolicy")]).unwrap();
                let shows = page.contains("\nwatchpolicy_policies{");
                if (leads == Some(1.0)) == shows { Ok(shows) } else { Err(page) }
            };
            // A page is made series by series: the term may begin or end in between.
            let leads =
                eventually(Duration::from_secs(2), "the leader alone speaks about the cluster", leads).await;
            if leads.unwrap() {
                leaders.push(*name);
            }
        }
        leaders
    }

    /// Waits until another than `but` leads; gives who, and after how long.
    async fn next_leader(&self, but: &str) -> (&'static str, Duration) {
        let start = Instant::now();
        let look = async || self.leaders(but).await.first().copied();
        let leader = eventually(DEADLINE, "another one leads", look).await.unwrap();
        (leader, start.elapsed())
    }

    fn requests(&self) -> Vec<Request> {
        self.plane.requests(|user| user == USER).unwrap()
    }

    /// Who wrote status, in order, each stretch of writes once.
    fn writers(&self) -> Vec<String> {
        let mut writes = self.requests();
        writes.retain(|request| request.subresource == "status");
        writes.sort_by_key(|write| write.at);
        let mut writers: Vec<_> = writes.into_iter().map(|write| replica(&write.agent)).collect();
        writers.dedup();
        writers
    }

    async fn lease(&self) -> Value {
        let lease = ["get", "lease", "-n", "watchpolicy-system", "watchpolicy", "-o", "json"];
        serde_json::from_str(&self.plane.kubectl().run(&lease).await.unwrap()).unwrap()
    }
}

/// The identity in a user agent.
pub(crate) fn replica(agent: &str) -> String {
    agent.split_once('(').unwrap().1.trim_end_matches(')').to_owned()
}

#[tokio::test]
async fn of_three_replicas_one_writes_and_another_takes_over_when_it_is_terminated_or_killed() {
    let mut replicas = Replicas::start(&["one", "two", "three"], &[]).await;
    replicas.violate().await;
    assert_eq!(replicas.leaders("").await, ["one"]);

    let first = replicas.running.remove("one").unwrap();
    let start = Instant::now();
    let (ended, (second, _)) = tokio::join!(first.stop(Duration::from_secs(30)), replicas.next_leader("one"));
    let terminated = start.elapsed();
    assert_eq!(ended.unwrap(), 0);
    assert!(terminated < Duration::from_secs(3), "{terminated:?}");
    replicas.violate().await;

    drop(replicas.running.remove(second).unwrap());
    let (third, killed) = replicas.next_leader(second).await;
    assert!(killed < Duration::from_secs(20), "{killed:?}");
    replicas.violate().await;
    println!("hand-over, default times: {terminated:?} after SIGTERM, {killed:?} after SIGKILL");

    assert_eq!(replicas.writers(), ["one", second, third], "one writer at any time");
    let lease = replicas.lease().await;
    assert_eq!(
        (&lease["spec"]["holderIdentity"], &lease["spec"]["leaseTransitions"]),
        (&third.into(), &2.into())
    );
    let mut leases = replicas.requests();
    leases.retain(|request| request.resource == "leases");
    let verbs: BTreeSet<_> = leases.iter().map(|request| request.verb.as_str()).collect();
    assert_eq!(verbs, ["create", "get", "update", "watch"].into(), "the verbs that the role grants");
    assert!(leases.iter().all(|request| request.code != 403));
}

#[tokio::test]
async fn a_leader_that_was_stopped_for_longer_than_its_lease_writes_nothing_when_it_goes_on() {
    let mut replicas = Replicas::start(&["one", "two"], SHORT).await;
    replicas.violate().await;
    assert_eq!(replicas.leaders("").await, ["one"]);
    // Stopped with something to write.
    replicas.plane.kubectl().run(&["create", "configmap", "-n", "shop", "map-x"]).await.unwrap();
    replicas.maps += 1;
    replicas.running.get_mut("one").unwrap().signal("STOP").unwrap();
    let (second, took) = replicas.next_leader("one").await;
    println!("hand-over, lease of 6 s: {took:?} after SIGSTOP");
    assert_eq!(second, "two");
    replicas.violate().await;
    let resumed = jiff::Timestamp::now();
    replicas.running.get_mut("one").unwrap().signal("CONT").unwrap();
    for _ in 0..3 {
        replicas.violate().await;
    }
    // Both have seen all of it by now, and one of them wrote.
    assert_eq!(replicas.leaders("").await, ["two"]);
    let mut late = replicas.requests();
    late.retain(|write| write.at > resumed && replica(&write.agent) == "one");
    assert!(!late.is_empty(), "it goes on asking");
    late.retain(|write| write.subresource == "status");
    assert_eq!(late, []);
    assert_eq!(replicas.writers(), ["one", "two"]);
}

#[tokio::test]
async fn an_outage_of_the_server_ends_with_one_leader_and_nothing_lost() {
    let mut replicas = Replicas::start(&["one", "two"], SHORT).await;
    replicas.violate().await;
    replicas.plane.pause_apiserver().unwrap();
    let nobody = async || replicas.leaders("").await.is_empty().then_some(());
    let start = Instant::now();
    eventually(DEADLINE, "nobody leads whom nobody confirms", nobody).await.unwrap();
    println!("an API server that hangs: nobody leads after {:?}", start.elapsed());
    replicas.plane.resume_apiserver().unwrap();
    replicas.violate().await;
    assert_eq!(replicas.leaders("").await.len(), 1);
}
