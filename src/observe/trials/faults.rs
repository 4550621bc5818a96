//! What goes wrong between a server and whoever watches it: for each fault the right state in time, no other target
//! disturbed, a bounded number of requests, and in the end a store that equals a fresh list.

use std::time::Duration;

use tokio::time::Instant;

use super::server::{Fault, Served, Server};
use super::world::World;
use crate::crd::TargetState::{self, Absent, Degraded, Forbidden, Listing, Synced};
use crate::resource::{GroupResource, ObjectName};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const LIST: &str = "list /apis/example.com/v1/widgets";
const WATCH: &str = "watch /apis/example.com/v1/widgets";
const UNDISTURBED: &str = "watch /api/v1/configmaps";

fn widgets() -> GroupResource {
    GroupResource::new("example.com", "widgets")
}

fn named(name: &str) -> ObjectName {
    ObjectName { namespace: Some("a".into()), name: name.into() }
}

fn put(world: &World, name: &str, spec: &str) {
    let metadata = format!(r#","uid":"u-{name}""#);
    world.server.put(&widgets(), &named(name), &metadata, &format!(r#","spec":{spec}"#));
}

/// Widgets of size 1 pass; `p` judges them, and `q` ConfigMaps, which nothing is wrong with.
async fn world(before: impl FnOnce(&World)) -> World {
    let mut world = World::new(Server::new());
    let served = Served { kind: "Widget", namespaced: true, versions: vec!["v1"] };
    world.server.define(&widgets(), Some(served), &[]);
    put(&world, "one", r#"{"size":1}"#);
    put(&world, "two", r#"{"size":2}"#);
    before(&world);
    let rules = "rules: [{name: r, path: $.spec.size, assert: {equals: 1}}]";
    world.policy("p", &format!("{{targets: [{{group: example.com, resources: [widgets]}}], {rules}}}"));
    world.policy("q", &format!("{{targets: [{{resources: [configmaps]}}], {rules}}}"));
    world.pass(SECOND).await;
    world
}

impl World {
    fn counts(&self) -> (u64, u64, u64) {
        let summary = self.ledger.tally("p").summary;
        (summary.passed, summary.failed, summary.errored)
    }

    /// Waits until `p` is in a state, at most so long; says when.
    async fn until(&self, state: TargetState, most: Duration) -> Duration {
        let start = Instant::now();
        while self.state("p") != state {
            assert!(start.elapsed() <= most, "{:?} after {most:?}, wanted {state:?}", self.target("p"));
            self.pass(Duration::from_millis(200)).await;
        }
        start.elapsed()
    }

    /// How many requests were made about widgets in these minutes, each minute at most `most`.
    async fn minutes(&self, minutes: u32, most: usize) {
        for _ in 0..minutes {
            let start = Instant::now();
            self.pass(MINUTE).await;
            let asked = self.server.requests(start, LIST) + self.server.requests(start, WATCH);
            assert!(asked <= most, "{asked} requests in a minute");
        }
    }

    /// All is well again: synced, nothing is missing, and the other target was never touched.
    async fn heal(self, within: Duration) {
        self.until(Synced, within).await;
        self.check_store();
        self.check_verdicts();
        assert_eq!(self.state("q"), Synced);
        let life = self.server.requests(Instant::now() - self.age(), UNDISTURBED);
        let minutes = self.age().as_secs() / 60;
        assert!(life as u64 <= 2 + minutes, "{life} watches of what is not disturbed in {minutes} minutes");
        self.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_of_a_list_are_degraded_at_once_and_asked_ever_more_rarely() {
    for (code, reason) in
        [(500, "InternalError"), (503, "ServiceUnavailable"), (504, "Timeout"), (429, "TooManyRequests")]
    {
        let world = world(|world| world.server.fail(LIST, vec![Fault::Status(code, reason, None); 12])).await;
        assert_eq!((world.state("p"), world.state("q")), (Degraded, Synced), "{code}");
        assert!(world.target("p").message.unwrap().contains(&code.to_string()));
        world.minutes(1, 12).await;
        world.minutes(1, 5).await;
        world.heal(5 * MINUTE).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_conversion_webhook_that_is_down_is_told_in_the_servers_words() {
    let down = Fault::Status(500, "conversion webhook for example.com/v1, Kind=Widget failed", None);
    let world = world(|world| world.server.fail(LIST, vec![down; 4])).await;
    let message = world.target("p").message.unwrap();
    assert!(message.contains("conversion webhook"), "{message}");
    world.heal(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn an_absurd_retry_after_blinds_for_a_minute_at_most() {
    let absurd = || [Fault::Status(429, "TooManyRequests", Some(86_400))];
    world(|world| world.server.fail(LIST, absurd())).await.heal(MINUTE + 2 * SECOND).await;
    let world = world(|world| world.server.fail(WATCH, absurd())).await;
    assert_eq!(world.state("p"), Degraded);
    world.heal(MINUTE + 2 * SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_list_that_never_answers_holds_up_nobody_else() {
    let world = world(|world| world.server.fail(LIST, vec![Fault::Hangs; 2])).await;
    assert_eq!((world.state("p"), world.state("q")), (Listing, Synced));
    world.until(Degraded, MINUTE + 2 * SECOND).await;
    world.minutes(1, 3).await;
    world.heal(3 * MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn pages_that_expire_half_way_begin_the_list_again() {
    let gone = || Fault::Status(410, "Expired", None);
    let world = world(|world| {
        (0..1200).for_each(|n| put(world, &format!("n{n}"), r#"{"size":1}"#));
        world.server.fail(LIST, [Fault::None, gone(), Fault::None, gone()]);
    });
    let world = world.await;
    world.until(Synced, 10 * SECOND).await;
    assert_eq!(world.counts(), (1201, 1, 0));
    world.heal(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_version_that_expired_means_a_list_that_finds_what_went() {
    for expired in [Fault::Expired, Fault::Status(410, "Expired", None), Fault::Status(404, "NotFound", None)]
    {
        let world = world(|world| world.server.fail(WATCH, [expired.clone()])).await;
        world.server.delete(&widgets(), &named("two"));
        world.until(Synced, 10 * SECOND).await;
        world.pass(10 * SECOND).await;
        assert_eq!(world.counts(), (1, 0, 0), "{expired:?}");
        world.heal(SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_silent_watch_kept_back_is_told_within_two_minutes_by_the_next() {
    let world = world(|world| world.server.fail(WATCH, [Fault::Mute])).await;
    world.server.delete(&widgets(), &named("two"));
    put(&world, "three", r#"{"size":3}"#);
    for _ in 0..120 {
        world.pass(SECOND).await;
        assert_eq!(world.state("p"), Synced, "{:?}", world.target("p"));
    }
    assert_eq!(world.counts(), (1, 1, 0));
    world.heal(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn watches_that_stay_silent_are_degraded_within_two_minutes_and_a_list_tells_what_they_kept_back() {
    let world = world(|world| world.server.fail(WATCH, vec![Fault::Mute; 2])).await;
    world.server.delete(&widgets(), &named("two"));
    put(&world, "three", r#"{"size":3}"#);
    put(&world, "one", r#"{"size":7}"#);
    assert_eq!(world.state("p"), Synced, "nothing is known of it");
    world.until(Degraded, 2 * MINUTE).await;
    assert_eq!(world.counts(), (1, 1, 0), "verdicts are kept");
    world.until(Synced, 10 * SECOND).await;
    world.pass(SECOND).await;
    assert_eq!(world.counts(), (0, 2, 0));
    world.heal(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn watches_that_end_or_break_soon_are_opened_again_and_lose_nothing() {
    for fault in [Fault::Ends, Fault::Cut] {
        let world = world(|world| world.server.fail(WATCH, vec![fault.clone(); 5])).await;
        put(&world, "three", r#"{"size":3}"#);
        world.minutes(1, 14).await;
        world.until(Synced, 2 * MINUTE).await;
        assert_eq!(world.counts(), (1, 2, 0), "{fault:?}");
        world.heal(SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn where_no_bookmark_ever_comes_a_quiet_target_stays_synced() {
    let world = world(|world| world.server.without_bookmarks()).await;
    for _ in 0..600 {
        world.pass(SECOND).await;
        assert_eq!(world.state("p"), Synced, "{:?}", world.target("p"));
    }
    world.minutes(5, 2).await;
    world.heal(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn an_item_that_cannot_be_read_is_an_error_of_its_own_in_lists_and_events_until_it_goes() {
    let deep = format!(r#"{{"size":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    for unreadable in [deep.as_str(), r#"{"size":1e400}"#, r#"{"size":"\ud800"}"#] {
        let world = world(|world| put(world, "listed", unreadable)).await;
        assert_eq!((world.counts(), world.state("p")), ((1, 1, 1), Synced), "{unreadable}");
        put(&world, "told", unreadable);
        put(&world, "one", unreadable);
        world.pass(SECOND).await;
        assert_eq!(world.counts(), (0, 1, 3), "{unreadable}");
        for name in ["listed", "told"] {
            world.server.delete(&widgets(), &named(name));
        }
        put(&world, "one", r#"{"size":1}"#);
        world.pass(SECOND).await;
        assert_eq!(world.counts(), (1, 1, 0), "{unreadable}");
        world.heal(SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_taken_away_and_given_back_costs_two_requests_a_minute() {
    let world = world(|_| {}).await;
    world.server.forbid(&widgets(), true);
    world.until(Forbidden, MINUTE + SECOND).await;
    assert_eq!(world.counts(), (1, 1, 0), "what is known is kept");
    world.minutes(3, 2).await;
    world.server.forbid(&widgets(), false);
    world.heal(MINUTE + SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn of_many_definitions_only_the_one_that_changes_is_read_again() {
    const READS: &str = "list /apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let define = |world: &World, n: usize| {
        let served = Served { kind: "Widget", namespaced: true, versions: vec!["v1"] };
        let of = GroupResource::new("example.com", format!("widgets{n}"));
        world.server.define(&of, Some(served), &["spec.color"]);
    };
    let mut world = world(|world| (0..10).for_each(|n| define(world, n))).await;
    let resources = (0..10).map(|n| format!("widgets{n}")).collect::<Vec<_>>().join(", ");
    let spec = format!(
        "{{targets: [{{group: example.com, resources: [{resources}], fieldSelector: spec.color=red}}],
          rules: [{{name: r, forbid: true}}]}}"
    );
    world.policy("fields", &spec);
    world.pass(20 * SECOND).await;
    let start = Instant::now();
    for _ in 0..5 {
        define(&world, 3);
        world.pass(SECOND).await;
    }
    let reads = world.server.requests(start, READS);
    assert!((1..=5).contains(&reads), "{reads}");
    world.heal(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_definition_that_goes_and_comes_back_is_followed() {
    let world = world(|_| {}).await;
    world.server.define(&widgets(), None, &[]);
    world.until(Absent, 5 * SECOND).await;
    world.pass(SECOND).await;
    assert_eq!(world.counts(), (0, 0, 0));
    let served = Served { kind: "Widget", namespaced: true, versions: vec!["v1"] };
    world.server.define(&widgets(), Some(served), &[]);
    put(&world, "three", r#"{"size":1}"#);
    assert!(world.until(Synced, 5 * SECOND).await <= 2 * SECOND);
    world.heal(SECOND).await;
}
