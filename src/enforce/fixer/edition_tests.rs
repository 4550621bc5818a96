use std::sync::atomic::Ordering;

use serde_json::json;
use tokio::time::sleep;

use super::super::tests::{SECOND, World, policy as audits};
use super::*;

/// The watch of policies shows a newer generation of the policy, and nothing else has changed yet.
fn edited(world: &World) {
    world.sets.send_modify(|set| {
        for entry in Arc::make_mut(set).entries.values_mut() {
            Arc::make_mut(entry).generation += 1;
        }
    });
}

fn message(world: &World) -> String {
    let page = world.fixer.parts.ledger.page("good", &[], 1);
    page.worst[0].1.fix.as_ref().and_then(|fix| fix.message.clone()).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn what_nobody_confirms_is_paid_for_by_nobody_and_not_asked_again_at_once() {
    for (code, said) in
        [(200, json!({"items": []})), (500, json!({"message": "no"})), (429, json!({"message": "busy"}))]
    {
        let world = World::new("Enforce", true);
        world.server.says_of_policies(code, &said);
        assert_eq!(world.fix().await, ["GET"], "{said}");
        for _ in 0..5 {
            assert_eq!((world.fix().await, world.outcome()), (Vec::new(), "Waiting".to_owned()), "{said}");
        }
        assert_eq!(world.server.asked.load(Ordering::Relaxed), 1, "{said}");
        sleep(AGAIN).await;
        world.fix().await;
        assert_eq!(world.server.asked.load(Ordering::Relaxed), 2, "{said}");
        let wait = world.fixer.memory.lock().budgets.wait("good", 1, Instant::now());
        assert_eq!(wait, None, "{said}: nothing was sent");
    }
}

#[tokio::test(start_paused = true)]
async fn where_an_edited_policy_is_listed_anew_nobody_is_asked_and_that_is_told() {
    let world = World::new("Enforce", true);
    edited(&world);
    assert!(world.fix().await.is_empty());
    sleep(SECOND * 60).await;
    assert_eq!((world.server.log(), world.server.asked.load(Ordering::Relaxed)), (Vec::new(), 0));
    assert_eq!((world.outcome(), message(&world)), ("Waiting".to_owned(), ANEW.to_owned()));
}

/// An object on which a policy left something, and a server that takes so many seconds for each answer.
fn slow(policy: &str, seconds: u32) -> World {
    let manager = format!("watchpolicy/{policy}");
    let fields = json!({"f:data": {"f:b": {}}});
    let managed = json!([{"manager": manager, "operation": "Update", "fieldsV1": fields}]);
    let world = World::with(audits("Audit"), true, &managed);
    *world.server.slowness.lock() = SECOND * seconds;
    world
}

#[tokio::test(start_paused = true)]
async fn a_slow_server_is_asked_again_before_something_is_taken_back() {
    let world = slow("gone", 6);
    world.fix().await;
    sleep(SECOND * 30).await;
    assert_eq!(world.server.log(), ["GET", "PATCH"]);
    assert_eq!(world.server.asked.load(Ordering::Relaxed), 2);

    // It was made while the object was read.
    let world = slow("gone", 6);
    world.fix().await;
    sleep(SECOND * 7).await;
    world.server.says_of_policies(200, &json!({"items": [{"metadata": {"uid": "new", "generation": 1}}]}));
    sleep(SECOND * 60).await;
    assert!(world.server.log().iter().all(|asked| asked == "GET"));
}

#[tokio::test(start_paused = true)]
async fn what_a_policy_left_is_not_taken_back_by_what_it_was_before_an_edit() {
    let world = slow("good", 4);
    world.fix().await;
    sleep(SECOND * 5).await;
    edited(&world);
    sleep(SECOND * 4).await;
    assert_eq!(world.server.log(), ["GET"]);
    sleep(SECOND * 30).await;
    assert_eq!(world.server.log(), ["GET", "PATCH"], "it is looked at again");
}
