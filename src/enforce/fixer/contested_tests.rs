use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::super::tests::{SECOND, World, compiled, generous, named};

/// How many patches there are, whatever was answered.
fn patches(asked: &[String]) -> usize {
    asked.iter().filter(|asked| asked.starts_with("PATCH")).count()
}

fn reads(asked: &[String]) -> usize {
    asked.iter().filter(|asked| *asked == "GET").count()
}

/// A rule that wants a member of `data` to be `good`.
fn rule(member: &str) -> Value {
    json!({"name": member, "path": format!("$.data.{member}"), "assert": {"equals": "good"}, "fix": {"set": "good"}})
}

/// What is asked while somebody changes `data.a` each time that so much time has passed.
async fn harassed(world: &World, each: Duration, time: Duration) -> Vec<String> {
    let (mut asked, start) = (Vec::new(), Instant::now());
    while start.elapsed() < time {
        let bad = format!("bad {:?}", start.elapsed());
        world.change(&json!({"data": {"a": bad}}));
        asked.extend(world.fix().await);
        sleep(each.saturating_sub(SECOND / 10)).await;
    }
    asked
}

/// The same, who also changes `data.a` between each read and the patch that follows.
async fn outrun(world: &World, each: Duration, time: Duration) -> Vec<String> {
    let worse = |number| json!({"a": format!("worse {number}")});
    world.server.meddling.lock().extend((0..1000).map(worse));
    harassed(world, each, time).await
}

/// A minute at five changes a second, and then an hour of one each five seconds.
async fn keeps_to_its_limits(world: &World, outruns: bool, what: &str) {
    for (each, minutes, most) in [(SECOND / 5, 1, 10), (SECOND * 5, 60, 12)] {
        let asked = match outruns {
            true => outrun(world, each, SECOND * 60 * minutes).await,
            false => harassed(world, each, SECOND * 60 * minutes).await,
        };
        let (patches, reads) = (patches(&asked), reads(&asked));
        assert!((1..=most).contains(&patches), "{what}: {patches} patches in {minutes} minutes");
        let in_vain = usize::try_from(minutes * 6).unwrap();
        assert!(reads <= patches + in_vain, "{what}: {reads} reads in {minutes} minutes");
    }
}

#[tokio::test(start_paused = true)]
async fn who_breaks_a_rule_all_the_time_is_left_alone_for_longer_and_longer() {
    for (mode, outcome) in [("Enforce", "Contested"), ("Plan", "Throttled")] {
        let world = generous(mode);
        keeps_to_its_limits(&world, false, mode).await;
        assert_eq!(world.outcome(), outcome);
    }
}

#[tokio::test(start_paused = true)]
async fn who_changes_a_value_faster_than_it_can_be_written_is_left_alone_as_well() {
    for (mode, outcome) in [("Enforce", "Contested"), ("Plan", "Throttled")] {
        let world = generous(mode);
        keeps_to_its_limits(&world, true, mode).await;
        assert_eq!(world.outcome(), outcome);
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_server_does_not_take_is_not_sent_at_each_change_of_the_value() {
    let refusals = [
        (403, "admission webhook denied the request", "Refused"),
        (500, "failed calling webhook", "Waiting"),
        (429, "busy", "Waiting"),
        (403, "User \"x\" cannot patch resource \"configmaps\"", "NotVerified"),
    ];
    for (code, words, outcome) in refusals {
        for mode in ["Enforce", "Plan"] {
            let world = generous(mode);
            *world.server.refuses.lock() = Some((code, words));
            keeps_to_its_limits(&world, false, outcome).await;
            assert_eq!(world.outcome(), outcome, "{mode}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_given_ends_the_pause_of_what_lacked_it() {
    let world = generous("Enforce");
    *world.server.refuses.lock() = Some((403, "User \"x\" cannot patch resource \"configmaps\""));
    harassed(&world, SECOND, SECOND * 10).await;
    *world.server.refuses.lock() = None;
    assert_eq!(patches(&world.fix().await), 0);
    sleep(SECOND * 60).await;
    world.server.log();
    world.fixer.granted("good", &world.key.resource);
    sleep(SECOND).await;
    assert_eq!(world.server.value(), "good");
}

#[tokio::test(start_paused = true)]
async fn what_changed_three_times_while_it_was_fixed_is_told_and_tried_again_soon() {
    let world = generous("Enforce");
    world.server.meddling.lock().extend((0..3).map(|number| json!({"a": format!("worse {number}")})));
    assert_eq!(patches(&world.fix().await), 3);
    assert_eq!(world.outcome(), "Waiting");
    sleep(SECOND * 2).await;
    assert_eq!(world.server.value(), "good");
}

#[tokio::test(start_paused = true)]
async fn who_changes_one_place_all_the_time_keeps_no_other_from_being_fixed() {
    let targets = json!([{"resources": ["configmaps"]}]);
    let spec = json!({"mode": "Enforce", "targets": targets, "rules": [rule("a"), rule("b")]});
    let policy = compiled("good", &spec);
    let world = World::of(vec![policy], true, &json!({"data": {"a": "bad", "b": "bad"}}));
    outrun(&world, SECOND, SECOND * 10).await;
    let data = world.server.object.lock()["data"].clone();
    assert_eq!(data["b"], "good");
    assert_ne!(data["a"], "good");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_stands_still_again_is_planned_anew() {
    let world = generous("Plan");
    harassed(&world, SECOND / 10, SECOND * 50).await;
    assert_eq!(world.outcome(), "Throttled");
    sleep(SECOND * 70).await;
    assert_eq!(world.outcome(), "Planned");
}

/// A rule on each of `items`.
fn of_items() -> World {
    let rule = json!({
        "name": "image", "forEach": "$.items", "path": "$.image", "assert": {"equals": "good"}, "fix": {"set": "good"},
    });
    let policy = named("good", "Enforce", &rule, &json!({"maxPerMinute": 6000}));
    World::of(vec![policy], true, &json!({"items": [{"name": "first", "image": "bad"}]}))
}

#[tokio::test(start_paused = true)]
async fn another_place_of_the_same_rule_is_no_fight_and_moving_on_is_no_way_round() {
    let world = of_items();
    let mut counts = Vec::new();
    for round in 0..20 {
        let mut items = world.server.object.lock()["items"].as_array().unwrap().clone();
        items.insert(0, json!({"name": format!("item-{round}"), "image": "bad"}));
        world.change(&json!({"items": items}));
        counts.push(patches(&world.fix().await));
        sleep(SECOND).await;
    }
    assert_eq!(counts[..10], [1; 10]);
    assert_eq!(counts[10..], [0; 10]);
    assert_eq!(world.outcome(), "Contested");
}

#[tokio::test(start_paused = true)]
async fn an_element_that_is_moved_is_the_same_place() {
    let world = of_items();
    let mut sent = 0;
    for round in 0..10 {
        let before = (0..round).map(|number| json!({"name": format!("x{number}"), "image": "good"}));
        let items: Vec<_> = before.chain([json!({"name": "one", "image": "bad"})]).collect();
        world.change(&json!({"items": items}));
        sent += patches(&world.fix().await);
    }
    assert_eq!((sent, world.outcome()), (3, "Contested".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn one_object_uses_up_no_budget_whatever_is_broken_in_it() {
    let members: Vec<String> = (0..30).map(|number| format!("m{number}")).collect();
    let rules: Vec<_> = members.iter().map(|member| rule(member)).collect();
    let spec = json!({
        "mode": "Enforce", "targets": [{"resources": ["configmaps"]}], "rules": rules,
        "enforcement": {"maxPerMinute": 6000},
    });
    let policy = compiled("good", &spec);
    let data: serde_json::Map<_, _> = members.iter().map(|member| (member.clone(), "good".into())).collect();
    let world = World::of(vec![policy], true, &json!({"data": data}));
    let mut sent = 0;
    for round in 0..90 {
        world.change(&json!({"data": {(members[round % 30].as_str()): "bad"}}));
        sent += patches(&world.fix().await);
    }
    assert_eq!(sent, 20);
}

#[tokio::test(start_paused = true)]
async fn what_changes_all_the_time_is_seldom_read_whatever_stands_in_the_way() {
    let planned = named("b", "Plan", &rule("b"), &json!({}));
    let fought = named("good", "Enforce", &rule("a"), &json!({"maxPerMinute": 6000}));
    let world = World::of(vec![planned, fought], true, &json!({"data": {"a": "bad", "b": "bad"}}));
    let asked = harassed(&world, SECOND / 10, SECOND * 50).await;
    assert_eq!(patches(&asked), 4, "three writes and one plan");
    assert!(reads(&asked) <= 9, "{asked:?}");
    assert_eq!(world.outcome(), "Contested", "what was told stays told");
}

#[tokio::test(start_paused = true)]
async fn who_yields_reads_what_changes_all_the_time_seldom() {
    let policy = named("good", "Enforce", &rule("a"), &json!({"onConflict": "Yield"}));
    let managed = json!([{"manager": "team", "operation": "Update", "fieldsV1": {"f:data": {"f:a": {}}}}]);
    let world = World::with(policy, true, &managed);
    let asked = harassed(&world, SECOND / 10, SECOND * 50).await;
    assert_eq!((patches(&asked), reads(&asked)), (0, 5));
    assert_eq!(world.outcome(), "Yielded");
    sleep(SECOND * 60).await;
    assert_eq!(world.server.log(), ["GET"], "it is looked at again when it stands still");
}

#[tokio::test(start_paused = true)]
async fn who_breaks_it_again_and_again_is_left_alone_after_three_fixes() {
    let world = World::new("Enforce", true);
    let mut patches = 0;
    for round in 0..8 {
        world.server.object.lock()["data"] = json!({"a": format!("bad {round}")});
        patches += world.fix().await.iter().filter(|request| *request == "PATCH").count();
    }
    assert_eq!((patches, world.outcome()), (3, "Contested".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn what_the_server_takes_in_vain_is_nobodys_fault() {
    let world = generous("Enforce");
    world.server.prunes.store(true, Ordering::Relaxed);
    world.fix().await;
    for _ in 0..20 {
        sleep(SECOND * 60).await;
        assert_eq!(world.outcome(), "Ineffective");
    }
    let patches = world.server.log().iter().filter(|asked| *asked == "PATCH").count();
    assert!((2..=6).contains(&patches), "{patches}");
}

#[tokio::test(start_paused = true)]
async fn who_makes_an_object_anew_fights_nobody() {
    let world = World::new("Enforce", true);
    for round in 0..5 {
        let mut object = world.server.object.lock().clone();
        object["metadata"]["uid"] = format!("u{round}").into();
        object["data"]["a"] = "bad".into();
        world.show(&object);
        assert_eq!(world.fix().await, ["GET", "PATCH"], "round {round}");
        sleep(SECOND * 15).await;
    }
}
