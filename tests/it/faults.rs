//! The real binary and the real API server with faults between them: for each the right state, no other target
//! disturbed, few requests, and at the end what a fresh list says.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::events::event;
use crate::harness::{ControlPlane, Operator, eventually};
use crate::proxy::{Asked, Fault, FaultProxy, Rule, Verb};
use crate::world::{DEADLINE, Policy, World, install, namespace, series};

/// As often as there is a request.
const ALWAYS: usize = usize::MAX;
/// How long a lasting fault lasts.
const LASTS: Duration = Duration::from_secs(6);
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
const BYSTANDER: &str = "bystander.example.com";

/// One world for all faults: they keep apart by their API groups.
struct Stage {
    world: World<'static>,
    proxy: FaultProxy,
}

static STAGE: OnceCell<Stage> = OnceCell::const_new();

async fn stage() -> Result<&'static Stage> {
    STAGE
        .get_or_try_init(async || {
            let plane: &ControlPlane = Box::leak(Box::new(ControlPlane::start().await?));
            let proxy = FaultProxy::start(&install(plane).await?).await?;
            let operator = Operator::start(plane, proxy.kubeconfig(), ARGS).await?;
            operator.wait_until_ready().await?;
            let world = World { plane, operator };
            world.grant(BYSTANDER, "gadgets").await?;
            world.install_crd(BYSTANDER, "gadgets", "Gadget").await?;
            world.apply(&namespace("faults")).await?;
            Ok(Stage { world, proxy })
        })
        .await
}

/// A target of its own for one fault.
struct Case {
    stage: &'static Stage,
    name: &'static str,
    group: String,
}

/// An object of a group, of the wanted size 2 or of another.
fn object(group: &str, kind: &str, name: &str, size: u8) -> String {
    format!(
        "{{apiVersion: {group}/v1, kind: {kind}, metadata: {{name: {name}, namespace: faults}}, spec: {{size: {size}}}}}"
    )
}

fn policy(name: &str, target: &str) -> String {
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
    async fn start(name: &'static str) -> Result<Self> {
        let case = Self { stage: stage().await?, name, group: format!("{name}.faults.example.com") };
        let world = &case.stage.world;
        world.grant(&case.group, "widgets").await?;
        world.install_crd(&case.group, "widgets", "Widget").await?;
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

    fn bring(&self, verb: Verb, fault: Fault, times: usize) {
        self.stage.proxy.bring(Rule { path: self.group.clone(), verb, fault, times });
    }

    /// The open watch ends in the middle of its next event, so that what follows meets the fault.
    fn bring_from_the_next_start(&self, faults: &[(Verb, Fault)]) {
        self.bring(Verb::Watch, Fault::Cut, 1);
        faults.iter().for_each(|(verb, fault)| self.bring(*verb, fault.clone(), ALWAYS));
    }

    /// One object comes, one goes, one becomes right and one wrong.
    async fn change(&self, round: usize) -> Result<()> {
        let world = &self.stage.world;
        world.apply(&self.widget(&format!("new-{round}"), 1)).await?;
        world.apply(&self.widget(&format!("w-{:02}", 3 * round), 2)).await?;
        world.apply(&self.widget(&format!("w-{:02}", 3 * round + 1), 7)).await?;
        let gone = format!("w-{:02}", 3 * round + 2);
        world.delete(&["-n", "faults", &format!("widgets.{}", self.group), &gone]).await
    }

    /// What its status says of the target; the longest patience is over by then.
    async fn state(&self, state: &str, word: &str) -> Result<()> {
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
    async fn bystander_is_followed(&self) -> Result<()> {
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
    fn starts(&self, since: Instant) -> usize {
        let counts = |asked: &&Asked| asked.at >= since && matches!(asked.verb, Verb::List | Verb::Watch);
        self.stage.proxy.asked(&self.group).iter().filter(counts).count()
    }

    /// The pauses grow from half a second to two, and half of each is chance: a list and a watch after each.
    fn requests_were_few(&self, since: Instant) -> Result<()> {
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

    async fn failed_with(&self, reason: &str) -> Result<()> {
        eventually(DEADLINE, "the failure is counted", async || {
            let page = self.stage.world.operator.metrics().await.map_err(|error| error.to_string())?;
            let seen = self.failures(&page, reason).map_err(|error| error.to_string())?;
            if seen >= 1.0 { Ok(()) } else { Err(format!("no failure with reason {reason}")) }
        })
        .await
    }

    /// What nobody can get wrong: the objects as the server has them at this moment.
    async fn fresh_list(&self) -> Result<(i64, BTreeSet<String>)> {
        let get = ["get", &format!("widgets.{}", self.group), "-A", "-o", "json"];
        let list: Value = serde_json::from_str(&self.stage.world.plane.kubectl().run(&get).await?)?;
        let items = list["items"].as_array().context("no items")?;
        let wrong = items.iter().filter(|item| item["spec"]["size"] != 2);
        let name = |item: &Value| format!("faults/{}", item["metadata"]["name"].as_str().unwrap_or_default());
        Ok((i64::try_from(items.len())?, wrong.map(name).collect()))
    }

    /// The verdicts are those of a fresh list, and nothing is stale.
    async fn is_right(&self) -> Result<()> {
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
    async fn heals(&self) -> Result<()> {
        self.stage.proxy.heal(&self.group);
        self.is_right().await?;
        self.change(2).await?;
        self.is_right().await
    }

    /// A fault that lasts: the target says so, nobody else notices, and it is not asked without end.
    async fn lasts(&self, state: &str, word: &str) -> Result<()> {
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
    async fn passes(&self) -> Result<()> {
        let since = Instant::now();
        self.change(0).await?;
        self.is_right().await?;
        self.bystander_is_followed().await?;
        self.requests_were_few(since)?;
        self.change(1).await?;
        self.is_right().await
    }
}

#[tokio::test]
async fn a_connection_cut_in_the_middle_of_a_line_loses_nothing() {
    let case = Case::start("cut").await.unwrap();
    case.bring(Verb::Watch, Fault::Cut, 3);
    case.passes().await.unwrap();
    case.failed_with("connection").await.unwrap();
}

#[tokio::test]
async fn a_watch_that_ends_in_order_before_its_event_loses_nothing() {
    let case = Case::start("end").await.unwrap();
    case.bring(Verb::Watch, Fault::End, 2);
    case.passes().await.unwrap();
}

#[tokio::test]
async fn a_410_in_the_stream_is_answered_with_a_list() {
    let case = Case::start("gone").await.unwrap();
    let before = case.starts(Instant::now() - DEADLINE * 60);
    case.bring(Verb::Watch, Fault::error_event(410, "Expired"), 1);
    case.passes().await.unwrap();
    case.failed_with("expired").await.unwrap();
    let lists = case.stage.proxy.asked(&case.group);
    assert!(lists.iter().skip(before).any(|asked| asked.verb == Verb::List), "{lists:#?}");
}

#[tokio::test]
async fn lines_that_are_no_events_are_answered_with_a_list() {
    let case = Case::start("garbage").await.unwrap();
    for line in
        ["{\"type\":\"ADDED\",\"object\"\n", "\u{0}\u{0}\n", "{\"type\":\"SHRUGGED\",\"object\":{}}\n"]
    {
        case.bring(Verb::Watch, Fault::Line(line.to_owned()), 1);
    }
    case.passes().await.unwrap();
    case.failed_with("undecodable").await.unwrap();
}

#[tokio::test]
async fn events_that_drip_byte_by_byte_are_read_whole() {
    let case = Case::start("drip").await.unwrap();
    case.bring(Verb::Watch, Fault::Drip, 4);
    case.passes().await.unwrap();
}

#[tokio::test]
async fn continue_tokens_that_have_expired_lead_to_larger_pages() {
    let case = Case::start("expired").await.unwrap();
    case.bring(Verb::Watch, Fault::error_event(410, "Expired"), 1);
    case.bring(Verb::Continue, Fault::Refuse(410, "Expired", None), ALWAYS);
    // Five objects a page, then ten, then twenty: the last list needs no token.
    case.passes().await.unwrap();
}

#[tokio::test]
async fn a_watch_that_is_410_at_every_start_is_degraded_and_not_asked_without_end() {
    let case = Case::start("stale").await.unwrap();
    case.bring_from_the_next_start(&[(Verb::Watch, Fault::Refuse(410, "Expired", None))]);
    case.lasts("Degraded", "410").await.unwrap();
    let degraded = event(case.stage.world.plane, "default", "stale", "TargetDegraded").await;
    assert_eq!(degraded["type"], "Warning");
    assert!(
        degraded["note"].as_str().unwrap().contains("widgets.stale.faults.example.com: "),
        "{degraded:#}"
    );
    event(case.stage.world.plane, "default", "stale", "TargetSynced").await;
}

#[tokio::test]
async fn a_403_is_forbidden_with_a_cure_and_heals_by_itself() {
    let case = Case::start("forbidden").await.unwrap();
    let forbidden = Fault::Refuse(403, "Forbidden", None);
    case.bring_from_the_next_start(&[(Verb::Watch, forbidden.clone()), (Verb::List, forbidden)]);
    case.lasts("Forbidden", "may not").await.unwrap();
}

#[tokio::test]
async fn a_server_that_throttles_is_believed_for_as_long_as_we_are_willing_to_wait() {
    let case = Case::start("throttled").await.unwrap();
    let throttled = Fault::Refuse(429, "TooManyRequests", Some(86_400));
    case.bring_from_the_next_start(&[(Verb::Watch, throttled.clone()), (Verb::List, throttled)]);
    case.lasts("Degraded", "429").await.unwrap();
    case.failed_with("throttled").await.unwrap();
}

#[tokio::test]
async fn servers_that_fail_are_asked_with_growing_pauses() {
    for (name, code) in [("failing", 500), ("unavailable", 503), ("late", 504)] {
        let case = Case::start(name).await.unwrap();
        let failing = Fault::Refuse(code, "InternalError", None);
        case.bring_from_the_next_start(&[(Verb::Watch, failing.clone()), (Verb::List, failing)]);
        case.lasts("Degraded", &code.to_string()).await.unwrap();
        case.failed_with("server").await.unwrap();
    }
}

#[tokio::test]
async fn a_list_that_is_never_answered_is_degraded_and_keeps_nobody_waiting() {
    let case = Case::start("hanging").await.unwrap();
    let gone = Fault::error_event(410, "Expired");
    case.bring(Verb::Watch, gone, 1);
    case.bring(Verb::List, Fault::Hang, ALWAYS);
    case.lasts("Degraded", "no answer within 2s").await.unwrap();
    case.failed_with("timeout").await.unwrap();
}

#[tokio::test]
async fn a_page_that_drips_for_longer_than_a_list_may_take_is_given_up() {
    let case = Case::start("slow").await.unwrap();
    case.bring(Verb::Watch, Fault::error_event(410, "Expired"), 1);
    case.bring(Verb::List, Fault::Drip, ALWAYS);
    case.lasts("Degraded", "no answer within 2s").await.unwrap();
}

#[tokio::test]
async fn a_black_hole_is_noticed_within_the_patience_and_what_it_kept_back_is_found() {
    let case = Case::start("silent").await.unwrap();
    case.bring(Verb::Watch, Fault::Silence, 1);
    let since = Instant::now();
    case.change(0).await.unwrap();
    case.bystander_is_followed().await.unwrap();
    // Four fifths of the patience after the last sign of life; the list is due at once.
    case.state("Degraded", "no answer").await.unwrap();
    println!("silent: noticed {:?} after the last sign of life", since.elapsed());
    case.is_right().await.unwrap();
    case.requests_were_few(since).unwrap();
    case.heals().await.unwrap();
}
