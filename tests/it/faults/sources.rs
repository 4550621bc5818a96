//! Faults of what the operator learns its work from: discovery, WatchPolicies, definitions. What is followed is followed
//! on, what is new is found within the stated time, little is asked meanwhile, and nothing is believed that is not so.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use super::case::{ALWAYS, BYSTANDER, LASTS, Stage, object, policy};
use crate::harness::eventually;
use crate::proxy::{Fault, Rule, Verb};
use crate::world::{DEADLINE, Policy};

/// Whoever hurts these hurts all targets: a world for these faults alone, and one test at a time.
static STAGE: OnceCell<Stage> = OnceCell::const_new();
static TURN: Mutex<()> = Mutex::const_new(());

/// What is in the path of lists and watches of policies, and of nothing else.
const POLICIES: &str = "/watchpolicies?";
const DEFINITIONS: &str = "/customresourcedefinitions?";
const SERVICES: &str = "/apiservices?";

/// A fault of one source, and what is done meanwhile.
struct Case {
    stage: &'static Stage,
    name: &'static str,
    /// What had gone wrong with the bystander before: it may have been watched a moment before it was served.
    errors: Vec<String>,
    _turn: MutexGuard<'static, ()>,
}

impl Case {
    /// A bystander that is judged, and a kind of its own, not yet targeted.
    async fn start(name: &'static str) -> Result<Self> {
        let turn = TURN.lock().await;
        let stage = STAGE.get_or_try_init(Stage::start).await?;
        let mut case = Self { stage, name, errors: Vec::new(), _turn: turn };
        let target = format!("group: {BYSTANDER}, resources: [gadgets], names: ['{name}-*']");
        stage.world.apply(&policy(&case.beside(), &target)).await?;
        stage.world.until(&case.beside(), "the bystander is there", Policy::is_ready).await?;
        case.errors = case.errors_of_others().await?;
        Ok(case)
    }

    async fn errors_of_others(&self) -> Result<Vec<String>> {
        let page = self.stage.world.operator.metrics().await?;
        let errs =
            |line: &&str| line.starts_with("watchpolicy_watch_errors_total") && line.contains(BYSTANDER);
        Ok(page.lines().filter(errs).map(str::to_owned).collect())
    }

    fn beside(&self) -> String {
        format!("{}-beside", self.name)
    }

    fn group(&self, kind: &str) -> String {
        format!("{kind}.{}.sources.example.com", self.name)
    }

    fn bring(&self, path: &str, verb: Verb, fault: &Fault, times: usize) {
        self.stage.proxy.bring(Rule { path: path.to_owned(), verb, fault: fault.clone(), times });
    }

    /// The open watch is cut at its next event, and neither a watch nor a list begins any more.
    fn blind(&self, path: &str, fault: &Fault) {
        self.bring(path, Verb::Watch, &Fault::Cut, 1);
        self.bring(path, Verb::Watch, fault, ALWAYS);
        self.bring(path, Verb::List, fault, ALWAYS);
    }

    /// A kind that was not there before, with a wrong object, and a policy of its name that targets it.
    async fn introduce(&self, kind: &str) -> Result<()> {
        let (world, group) = (&self.stage.world, self.group(kind));
        world.grant(&group, "widgets").await?;
        world.install_crd(&group, "widgets", "Widget").await?;
        world.apply(&policy(&self.of(kind), &format!("group: {group}, resources: [widgets]"))).await?;
        let wrong = object(&group, "Widget", "wrong", 1);
        eventually(DEADLINE, "the kind is served", async || world.apply(&wrong).await).await
    }

    /// The name of the policy of a kind.
    fn of(&self, kind: &str) -> String {
        format!("{}-{kind}", self.name)
    }

    /// So many objects of a kind are wrong, and that is known.
    async fn knows(&self, kind: &str, wrong: i64) -> Result<()> {
        let start = Instant::now();
        let is_so = |p: &Policy| p.is_ready() && p.count("failed") == wrong && p.count("stale") == 0;
        self.stage.world.until(&self.of(kind), "all is known of the new kind", is_so).await?;
        println!("{}: {kind} was judged after {:?}", self.name, start.elapsed());
        Ok(())
    }

    /// Targets that were there before are followed as ever.
    async fn others_are_followed(&self, wrong: i64) -> Result<()> {
        let world = &self.stage.world;
        world.apply(&object(BYSTANDER, "Gadget", &format!("{}-{wrong}", self.name), 1)).await?;
        let judged = |p: &Policy| p.is_ready() && p.count("failed") == wrong && p.count("stale") == 0;
        world.until(&self.beside(), "the bystander is judged", judged).await?;
        let errors = self.errors_of_others().await?;
        ensure!(
            errors == self.errors,
            "the bystander was disturbed: {errors:?}, and before {:?}",
            self.errors
        );
        Ok(())
    }

    /// Requests of some kinds since then, and how many are due at most: a few at once, then two in a second.
    fn few(&self, path: &str, verbs: &[Verb], since: Instant) -> Result<()> {
        let asked = self.stage.proxy.asked(path);
        let count = asked.iter().filter(|asked| asked.at >= since && verbs.contains(&asked.verb)).count();
        let most = 12 + 2 * usize::try_from(since.elapsed().as_secs())?;
        println!("{}: {count} requests of {path} in {:?}", self.name, since.elapsed());
        ensure!(
            count <= most,
            "{count} requests of {path} in {:?}, at most {most} were due",
            since.elapsed()
        );
        Ok(())
    }

    fn heal(&self, path: &str) {
        self.stage.proxy.heal(path);
    }
}

/// What is wrong with answers, by a name for it.
fn faults() -> [(&'static str, Fault); 6] {
    [
        ("cut", Fault::Cut),
        ("ended", Fault::End),
        ("garbage", Fault::Line("{\"kind\":\"APIGroupDiscoveryList\",\n".to_owned())),
        (
            "another",
            Fault::Line("{\"kind\":\"APIGroupList\",\"apiVersion\":\"v1\",\"groups\":[]}\n".to_owned()),
        ),
        ("throttled", Fault::Refuse(429, "TooManyRequests", Some(86_400))),
        ("failing", Fault::Refuse(500, "InternalError", None)),
    ]
}

#[tokio::test]
async fn discovery_that_fails_now_and_then_takes_nothing_away_and_loses_nothing() {
    let case = Case::start("discovery").await.unwrap();
    let since = Instant::now();
    for (nth, (kind, fault)) in (1..).zip(faults()) {
        case.bring("/apis", Verb::Discovery, &fault, 2);
        case.introduce(kind).await.unwrap();
        case.others_are_followed(nth).await.unwrap();
        case.knows(kind, 1).await.unwrap();
        case.heal("/apis");
    }
    // Each new kind is a change or two, after each of which discovery is asked several times, since it lags behind.
    let asked = case.stage.proxy.asked("/apis");
    let count = asked.iter().filter(|asked| asked.verb == Verb::Discovery && asked.at >= since).count();
    println!("discovery: asked {count} times in {:?}", since.elapsed());
    assert!(count <= 6 * 24, "{count}");
}

#[tokio::test]
async fn discovery_that_does_not_answer_leaves_what_is_known_and_is_asked_seldom() {
    let case = Case::start("unknown").await.unwrap();
    for (nth, (kind, fault)) in
        (1..).zip([("refused", Fault::Refuse(500, "InternalError", None)), ("hanging", Fault::Hang)])
    {
        let since = Instant::now();
        case.bring("/apis", Verb::Discovery, &fault, ALWAYS);
        case.introduce(kind).await.unwrap();
        case.others_are_followed(nth).await.unwrap();
        tokio::time::sleep(LASTS.saturating_sub(since.elapsed())).await;
        let unknown = case.stage.world.policy(&case.of(kind)).await.unwrap();
        assert_eq!(Policy(unknown).target("widgets"), "Absent", "nobody can know of it");
        case.few("/apis", &[Verb::Discovery], since).unwrap();
        case.heal("/apis");
        case.knows(kind, 1).await.unwrap();
    }
}

#[tokio::test]
async fn an_aggregated_server_that_is_away_hurts_its_own_group_alone() {
    let case = Case::start("away").await.unwrap();
    let kubectl = case.stage.world.plane.kubectl();
    case.introduce("taken").await.unwrap();
    case.knows("taken", 1).await.unwrap();
    let service = format!("v1.{}", case.group("taken"));
    // Whoever takes this label away answers for the object from then on.
    let ours = ["label", "apiservice", &service, "kube-aggregator.kubernetes.io/automanaged-"];
    kubectl.run(&ours).await.unwrap();
    let nowhere =
        r#"{"spec": {"service": {"name": "nobody", "namespace": "default"}, "insecureSkipTLSVerify": true}}"#;
    kubectl.run(&["patch", "apiservice", &service, "--type", "merge", "-p", nowhere]).await.unwrap();
    let away = ["wait", "apiservice", &service, "--for", "condition=Available=False", "--timeout=60s"];
    kubectl.run(&away).await.unwrap();

    case.introduce("beside").await.unwrap();
    case.knows("beside", 1).await.unwrap();
    case.others_are_followed(1).await.unwrap();
    let known = Policy(case.stage.world.policy(&case.of("taken")).await.unwrap());
    assert_ne!(known.target("widgets"), "Absent", "its server is away, the resource is not");
    assert_eq!(known.count("failed"), 1, "what is known stays");

    kubectl.run(&["delete", "apiservice", &service]).await.unwrap();
    let one_more = object(&case.group("taken"), "Widget", "wrong-too", 1);
    let world = &case.stage.world;
    eventually(DEADLINE, "the group is served", async || world.apply(&one_more).await).await.unwrap();
    case.knows("taken", 2).await.unwrap();
}

#[tokio::test]
async fn a_watch_of_policies_that_breaks_loses_none_of_them() {
    let case = Case::start("policies").await.unwrap();
    let world = &case.stage.world;
    case.introduce("edited").await.unwrap();
    case.knows("edited", 1).await.unwrap();
    let target = format!("group: {}, resources: [widgets]", case.group("edited"));
    let since = Instant::now();
    let faults = [
        Fault::Cut,
        Fault::End,
        Fault::error_event(410, "Expired"),
        Fault::Line("{\"type\":\"ADDED\",\"object\"\n".to_owned()),
    ];
    for fault in faults {
        case.bring(POLICIES, Verb::Watch, &fault, 1);
        // Of the wanted size is the one object at one time, and not at another.
        let anew = policy(&case.of("edited"), &target).replace("equals: 2", "equals: 1");
        world.apply(&anew).await.unwrap();
        case.knows("edited", 0).await.unwrap();
        world.apply(&policy(&case.of("edited"), &target)).await.unwrap();
        case.knows("edited", 1).await.unwrap();
    }
    case.few(POLICIES, &[Verb::List, Verb::Watch], since).unwrap();
    case.others_are_followed(1).await.unwrap();
}

#[tokio::test]
async fn policies_that_cannot_be_read_judge_as_they_were_known_until_they_can() {
    let case = Case::start("unread").await.unwrap();
    let world = &case.stage.world;
    case.introduce("deleted").await.unwrap();
    case.introduce("edited").await.unwrap();
    case.knows("edited", 1).await.unwrap();
    case.knows("deleted", 1).await.unwrap();
    let target = format!("group: {}, resources: [widgets]", case.group("edited"));

    let since = Instant::now();
    case.blind(POLICIES, &Fault::Refuse(500, "InternalError", None));
    world.delete(&["wpol", &case.of("deleted")]).await.unwrap();
    world.apply(&policy(&case.of("edited"), &target).replace("equals: 2", "equals: 1")).await.unwrap();
    // No status of these can be awaited: it is compared with what was stored when policies were last read.
    world.apply(&object(BYSTANDER, "Gadget", "unread-1", 1)).await.unwrap();
    tokio::time::sleep(LASTS.saturating_sub(since.elapsed())).await;
    case.few(POLICIES, &[Verb::List, Verb::Watch], since).unwrap();
    let page = world.operator.metrics().await.unwrap();
    let failed = |policy: &str| {
        let labels = [("policy", policy), ("result", "Fail")];
        crate::world::series(&page, "watchpolicy_objects", &labels).unwrap()
    };
    assert_eq!(failed(&case.beside()), Some(1.0), "objects are followed, and judged");
    assert_eq!(failed(&case.of("deleted")), Some(1.0), "nobody can know that it is gone");

    let healed = Instant::now();
    case.heal(POLICIES);
    case.knows("edited", 0).await.unwrap();
    println!("unread: right {:?} after it could be read again", healed.elapsed());
    eventually(DEADLINE, "what a deleted policy said is withdrawn", async || {
        let page = world.operator.metrics().await?;
        ensure!(!page.contains(&format!("policy=\"{}\"", case.of("deleted"))), "it is still told");
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
#[ignore = "takes more than a minute: make soak"]
async fn definitions_that_cannot_be_followed_are_found_within_a_minute() {
    let case = Case::start("deaf").await.unwrap();
    let since = Instant::now();
    for path in [DEFINITIONS, SERVICES] {
        case.blind(path, &Fault::Refuse(500, "InternalError", None));
    }
    // The first cuts the watches; what follows it is noticed by nobody.
    case.introduce("first").await.unwrap();
    tokio::time::sleep(LASTS).await;
    case.introduce("second").await.unwrap();
    case.others_are_followed(1).await.unwrap();
    let alone = Instant::now();
    eventually(Duration::from_secs(75), "discovery is asked once a minute all the same", async || {
        let policy = Policy(case.stage.world.policy(&case.of("second")).await?);
        ensure!(policy.is_ready() && policy.count("failed") == 1, "{:#}", policy.0["status"]);
        Ok(())
    })
    .await
    .unwrap();
    println!("deaf: found {:?} after it came", alone.elapsed());
    for path in [DEFINITIONS, SERVICES] {
        case.few(path, &[Verb::List, Verb::Watch], since).unwrap();
        case.heal(path);
    }
    case.introduce("third").await.unwrap();
    case.knows("third", 1).await.unwrap();
}

#[tokio::test]
#[ignore = "takes more than a minute: make soak"]
async fn silent_watches_of_policies_and_definitions_are_noticed_within_the_patience() {
    let case = Case::start("mute").await.unwrap();
    let world = &case.stage.world;
    case.introduce("edited").await.unwrap();
    case.knows("edited", 1).await.unwrap();
    for path in [POLICIES, DEFINITIONS, SERVICES] {
        case.bring(path, Verb::Watch, &Fault::Silence, 1);
    }
    let since = Instant::now();
    let target = format!("group: {}, resources: [widgets]", case.group("edited"));
    world.apply(&policy(&case.of("edited"), &target).replace("equals: 2", "equals: 1")).await.unwrap();
    world.apply(&object(BYSTANDER, "Gadget", "mute-1", 1)).await.unwrap();
    let is_right = |p: &Policy| p.is_ready() && p.count("failed") == 0;
    eventually(Duration::from_secs(100), "the edit is found by a list", async || {
        let policy = Policy(world.policy(&case.of("edited")).await?);
        ensure!(is_right(&policy), "{:#}", policy.0["status"]);
        Ok(())
    })
    .await
    .context("four fifths of 90 s")
    .unwrap();
    println!("mute: noticed after {:?}", since.elapsed());
    case.introduce("after").await.unwrap();
    case.knows("after", 1).await.unwrap();
    case.others_are_followed(1).await.unwrap();
    for path in [POLICIES, DEFINITIONS, SERVICES] {
        case.few(path, &[Verb::List, Verb::Watch], since).unwrap();
    }
}
