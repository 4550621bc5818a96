//! One target, and what must be true of it and of others while its requests meet a fault.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::harness::{ControlPlane, Operator, eventually};
use crate::proxy::{Asked, Fault, FaultProxy, Rule, Verb};
use crate::world::{DEADLINE, Policy, World, crd, install, namespace, series};

/// As often as there is a request.
pub(super) const ALWAYS: usize = usize::MAX;
/// How long a lasting fault lasts.
pub(super) const LASTS: Duration = Duration::from_secs(6);
/// Short waits, small pages.
const ARGS: &[&str] = &[
    "--access-check",
    "1s",
    "--status-interval",
    "300ms",
    "--relist-backoff-max",
    "2s",
    "--list-timeout",
    "2s",
    "--watch-liveness",
    "90s",
    "--page-size",
    "5",
];
/// What nobody hurts, beside everything that is hurt.
pub(super) const BYSTANDER: &str = "bystander.example.com";

/// A world with a proxy before its API server.
pub(super) struct Stage {
    pub(super) world: World<'static>,
    pub(super) proxy: FaultProxy,
}

/// One for all faults of targets: they keep apart by their API groups.
static STAGE: OnceCell<Stage> = OnceCell::const_new();

impl Stage {
    pub(super) async fn start() -> Result<Self> {
        let plane: &ControlPlane = Box::leak(Box::new(ControlPlane::start().await?));
        let proxy = FaultProxy::start(&install(plane).await?).await?;
        let operator = Operator::start(plane, proxy.kubeconfig(), ARGS).await?;
        operator.wait_until_ready().await?;
        let world = World { plane, operator };
        world.grant(BYSTANDER, "gadgets").await?;
        world.install_crd(BYSTANDER, "gadgets", "Gadget").await?;
        world.apply(&namespace("faults")).await?;
        Ok(Self { world, proxy })
    }
}

/// A target of its own for one fault.
pub(super) struct Case {
    pub(super) stage: &'static Stage,
    pub(super) name: &'static str,
    pub(super) group: String,
}

/// An object of a group, of the wanted size 2 or of another.
pub(super) fn object(group: &str, kind: &str, name: &str, size: u8) -> String {
    format!(
        "{{apiVersion: {group}/v1, kind: {kind}, metadata: {{name: {name}, namespace: faults}}, spec: {{size: {size}}}}}"
    )
}

pub(super) fn policy(name: &str, target: &str) -> String {
    format!(
        "
apiVersion: watchpolicy.io/v1alpha1
kind: WatchPolicy
metadata: {{name: {name}}}
spec:
  targets: [{{{target}}}]
  rules: [{{name: size, path: $.spec.size, assert: {{equals: 2}}}}]
"
    )
}

impl Case {
    /// Twelve objects, every third of which is wrong, judged before anything happens.
    pub(super) async fn start(name: &'static str) -> Result<Self> {
        Self::start_as(name, |group| crd(group, "widgets", "Widget")).await
    }

    /// The same of a kind that a group has as defined; objects are written in `v1`.
    pub(super) async fn start_as(name: &'static str, definition: impl Fn(&str) -> String) -> Result<Self> {
        let stage = STAGE.get_or_try_init(Stage::start).await?;
        let case = Self { stage, name, group: format!("{name}.faults.example.com") };
        let world = &case.stage.world;
        world.grant(&case.group, "widgets").await?;
        world.define(&format!("widgets.{}", case.group), &definition(&case.group)).await?;
        let objects: Vec<_> =
            (0..12).map(|n| case.widget(&format!("w-{n:02}"), if n % 3 == 0 { 1 } else { 2 })).collect();
        eventually(DEADLINE, "the kind is served", async || world.apply(&objects.join("\n---\n")).await)
            .await?;
        world.apply(&policy(name, &format!("group: {}, resources: [widgets]", case.group))).await?;
        world.until(name, "it is judged", |p| p.is_ready() && p.count("failed") == 4).await?;
        let beside = format!("group: {BYSTANDER}, resources: [gadgets], names: ['{name}*']");
        world.apply(&policy(&case.beside(), &beside)).await?;
        world.until(&case.beside(), "the bystander is there", |p| p.is_ready()).await?;
        Ok(case)
    }

    fn beside(&self) -> String {
        format!("{}-beside", self.name)
    }

    fn widget(&self, name: &str, size: u8) -> String {
        object(&self.group, "Widget", name, size)
    }

    pub(super) fn bring(&self, verb: Verb, fault: Fault, times: usize) {
        self.stage.proxy.bring(Rule { path: self.group.clone(), verb, fault, times });
    }

    /// The open watch ends in the middle of its next event, so that what follows meets the fault.
    pub(super) fn bring_from_the_next_start(&self, faults: &[(Verb, Fault)]) {
        self.bring(Verb::Watch, Fault::Cut, 1);
        faults.iter().for_each(|(verb, fault)| self.bring(*verb, fault.clone(), ALWAYS));
    }

    /// One object comes, one goes, one becomes right and one wrong.
    pub(super) async fn change(&self, round: usize) -> Result<()> {
        let world = &self.stage.world;
        world.apply(&self.widget(&format!("new-{round}"), 1)).await?;
        world.apply(&self.widget(&format!("w-{:02}", 3 * round), 2)).await?;
        world.apply(&self.widget(&format!("w-{:02}", 3 * round + 1), 7)).await?;
        let gone = format!("w-{:02}", 3 * round + 2);
        world.delete(&["-n", "faults", &format!("widgets.v1.{}", self.group), &gone]).await
    }

    /// What its status says of the target; the longest patience is over by then.
    pub(super) async fn state(&self, state: &str, word: &str) -> Result<()> {
        let what = format!("{} is {state} with {word:?}", self.name);
        eventually(DEADLINE * 2, &what, async || {
            let policy = self.stage.world.policy(self.name).await.map_err(|error| format!("{error:#}"))?;
            let policy = Policy(policy);
            let right = policy.target("widgets") == state && policy.target_message("widgets").contains(word);
            if right { Ok(()) } else { Err(format!("{:#}", policy.0["status"])) }
        })
        .await
    }

    /// Another target is followed meanwhile.
    pub(super) async fn bystander_is_followed(&self) -> Result<()> {
        let world = &self.stage.world;
        world.apply(&object(BYSTANDER, "Gadget", &format!("{}-1", self.name), 1)).await?;
        let start = Instant::now();
        world.until(&self.beside(), "the bystander is judged", |p| p.count("failed") == 1).await?;
        println!("{}: a bystander's change was in status after {:?}", self.name, start.elapsed());
        let page = world.operator.metrics().await?;
        ensure!(
            !page.lines().any(|line| line.starts_with("watchpolicy_watch_errors_total")
                && line.contains(BYSTANDER)
                && !line.ends_with(" 0")),
            "the bystander was disturbed"
        );
        Ok(())
    }

    /// How often the target's lists and watches were begun since then; further pages are the list's.
    pub(super) fn starts(&self, since: Instant) -> usize {
        let counts = |asked: &&Asked| asked.at >= since && matches!(asked.verb, Verb::List | Verb::Watch);
        self.stage.proxy.asked(&self.group).iter().filter(counts).count()
    }

    /// The pauses grow from half a second to two, and half of each is chance: a list and a watch after each.
    pub(super) fn requests_were_few(&self, since: Instant) -> Result<()> {
        let (starts, took) = (self.starts(since), since.elapsed());
        let most = 8 + 2 * usize::try_from(took.as_secs())?;
        println!("{}: {starts} lists and watches in {took:?}", self.name);
        ensure!(starts <= most, "{starts} requests in {took:?}, at most {most} were due");
        Ok(())
    }

    fn failures(&self, page: &str, reason: &str) -> Result<f64> {
        let labels = [("group", &*self.group), ("resource", "widgets"), ("reason", reason)];
        Ok(series(page, "watchpolicy_watch_errors_total", &labels)?.unwrap_or_default())
    }

    pub(super) async fn failed_with(&self, reason: &str) -> Result<()> {
        eventually(DEADLINE, "the failure is counted", async || {
            let page = self.stage.world.operator.metrics().await.map_err(|error| error.to_string())?;
            let seen = self.failures(&page, reason).map_err(|error| error.to_string())?;
            if seen >= 1.0 { Ok(()) } else { Err(format!("no failure with reason {reason}")) }
        })
        .await
    }

    /// What nobody can get wrong: the objects as the server has them at this moment.
    async fn fresh_list(&self) -> Result<(i64, BTreeSet<String>)> {
        let get = ["get", &format!("widgets.v1.{}", self.group), "-A", "-o", "json"];
        let list: Value = serde_json::from_str(&self.stage.world.plane.kubectl().run(&get).await?)?;
        let items = list["items"].as_array().context("no items")?;
        let wrong = items.iter().filter(|item| item["spec"]["size"] != 2);
        let name = |item: &Value| format!("faults/{}", item["metadata"]["name"].as_str().unwrap_or_default());
        Ok((i64::try_from(items.len())?, wrong.map(name).collect()))
    }

    /// The verdicts are those of a fresh list, and nothing is stale.
    pub(super) async fn is_right(&self) -> Result<()> {
        let (count, wrong) = self.fresh_list().await?;
        let right = |p: &Policy| {
            let found: BTreeSet<String> = p
                .violations()
                .iter()
                .filter_map(|violation| violation.split_once(' ').map(|(object, _)| object.to_owned()))
                .collect();
            p.is_ready() && p.count("stale") == 0 && p.count("matched") == count && found == wrong
        };
        let what = format!("{}: the verdicts are those of a fresh list: {count}, wrong {wrong:?}", self.name);
        let start = Instant::now();
        self.stage.world.until(self.name, &what, right).await?;
        println!("{}: right after {:?}", self.name, start.elapsed());
        Ok(())
    }

    /// The fault goes; what happened meanwhile becomes known, and what happens after it.
    pub(super) async fn heals(&self) -> Result<()> {
        self.stage.proxy.heal(&self.group);
        self.is_right().await?;
        self.change(2).await?;
        self.is_right().await
    }

    /// A fault that lasts: the target says so, nobody else notices, and it is not asked without end.
    pub(super) async fn lasts(&self, state: &str, word: &str) -> Result<()> {
        let since = Instant::now();
        self.change(0).await?;
        self.state(state, word).await?;
        self.bystander_is_followed().await?;
        // Long enough that a storm would be one.
        tokio::time::sleep(LASTS.saturating_sub(since.elapsed())).await;
        self.change(1).await?;
        self.requests_were_few(since)?;
        self.heals().await
    }

    /// A fault that passes: nothing is lost by it.
    pub(super) async fn passes(&self) -> Result<()> {
        let since = Instant::now();
        self.change(0).await?;
        self.is_right().await?;
        self.bystander_is_followed().await?;
        self.requests_were_few(since)?;
        self.change(1).await?;
        self.is_right().await
    }
}
