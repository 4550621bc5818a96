use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::super::tests::{SECOND, World, policy};
use crate::resource::{ObjectKey, ObjectName};

/// Managed fields of which a policy that is gone has some.
fn of_a_policy_that_is_gone() -> Value {
    owned_by("gone")
}

/// Managed fields of which a policy has some.
fn owned_by(policy: &str) -> Value {
    let fields = json!({"f:data": {"f:b": {}}});
    json!([
        {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:data": {"f:a": {}}}},
        {"manager": format!("watchpolicy/{policy}"), "operation": "Update", "fieldsV1": fields},
    ])
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_is_gone_leaves_no_ghost_of_a_manager() {
    let world = World::with(policy("Audit"), true, &of_a_policy_that_is_gone());
    assert_eq!(world.fixer.parts.leftovers.count("gone"), 1);
    assert_eq!(world.fix().await, ["GET", "PATCH"]);
    let left = world.server.object.lock()["metadata"]["managedFields"].clone();
    assert_eq!((left.as_array().unwrap().len(), &left[0]["manager"]), (1, &json!("kubectl")));
    assert_eq!(world.fix().await, ["GET"], "once");
}

#[tokio::test(start_paused = true)]
async fn who_may_not_write_lets_go_of_nothing_either() {
    let world = World::with(policy("Audit"), false, &of_a_policy_that_is_gone());
    assert_eq!(world.fix().await, [""; 0], "without the consent of the operator");
    let world = World::with(policy("Audit"), true, &of_a_policy_that_is_gone());
    world.lead.set(false);
    assert_eq!(world.fix().await, [""; 0], "without leadership");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_not_let_go_of_is_tried_again_slowly() {
    let world = World::with(policy("Audit"), true, &of_a_policy_that_is_gone());
    world.server.refusals.lock().push_back((403, "admission webhook denied the request"));
    assert_eq!(world.fix().await, ["GET", "PATCH"]);
    sleep(SECOND * 3500).await;
    assert_eq!(world.server.log(), [""; 0]);
    sleep(SECOND * 200).await;
    assert_eq!(world.server.log(), ["GET", "PATCH"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_remembered_of_objects_whose_kind_is_watched_no_more() {
    let world = World::with(policy("Enforce"), true, &of_a_policy_that_is_gone());
    let parts = &world.fixer.parts;
    world.server.prunes.store(true, Ordering::Relaxed);
    world.fix().await;
    parts.ledger.note_denied("good", &world.key.resource, Some("no right".into()));
    let remembered = || {
        let memory = world.fixer.memory.lock();
        (memory.rests.len(), memory.kept.len(), parts.ledger.page("good", &[], 0).obstacles.denied.len())
    };
    assert_eq!(remembered(), (1, 1, 1));
    parts.store.close(&world.key.resource, 1);
    sleep(SECOND * 61).await;
    assert_eq!(remembered(), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn who_begins_to_lead_lets_go_of_what_policies_left_that_ended_before() {
    let world = World::with(policy("Audit"), true, &of_a_policy_that_is_gone());
    world.lead.set(false);
    let mut tasks = JoinSet::new();
    tasks.spawn(Arc::clone(&world.fixer).sweep(CancellationToken::new()));
    world.lead.set(true);
    sleep(SECOND).await;
    assert_eq!(world.server.log(), ["GET", "PATCH"]);
}

#[tokio::test(start_paused = true)]
async fn who_makes_managers_up_keeps_nobody_busy() {
    let world = World::with(policy("Audit"), true, &json!([]));
    let mut asked = Vec::new();
    for round in 0..180 {
        let mut object = world.server.object.lock().clone();
        let ghost = |number| {
            json!({"manager": format!("watchpolicy/ghost-{round}-{number}"), "operation": "Update",
                   "fieldsV1": {"f:data": {"f:b": {}}}})
        };
        let kubectl =
            json!({"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:data": {"f:a": {}}}});
        let entries: Vec<_> = (0..8).map(ghost).chain([kubectl]).collect();
        object["metadata"]["managedFields"] = entries.into();
        world.show(&object);
        asked.extend(world.fix().await);
        if round == 0 {
            let left = world.server.object.lock()["metadata"]["managedFields"].clone();
            assert_eq!(left.as_array().unwrap().len(), 1, "all of them go at once");
        }
        sleep(SECOND / 5).await;
    }
    assert_eq!(asked, ["GET", "PATCH"].repeat(3));
}

#[tokio::test(start_paused = true)]
async fn what_changes_before_each_patch_that_takes_it_back_is_soon_left_alone() {
    let world = World::with(policy("Audit"), true, &owned_by("good"));
    let object = world.server.object.lock().clone();
    let failed_test = "the server rejected our request due to an error in our request";
    *world.server.refuses.lock() = Some((422, failed_test));
    let mut patches = 0;
    for second in 1..=600 {
        world.show(&object);
        patches += world.fix().await.iter().filter(|asked| *asked == "PATCH").count();
        sleep(SECOND).await;
        assert!(second > 50 || patches <= 9, "{second}: {patches}");
    }
    assert!((10..=20).contains(&patches), "{patches}");
    let told = world.fixer.parts.ledger.page("good", &[], 0).obstacles.to_string();
    assert!(told.contains("changes faster than it can be taken back"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_let_go_of_where_the_watch_of_policies_is_behind() {
    let world = World::with(policy("Audit"), true, &of_a_policy_that_is_gone());
    // It was made a moment ago, and the watch does not show it yet.
    world.server.says_of_policies(200, &json!({"items": [{"metadata": {"uid": "new", "generation": 1}}]}));
    assert!(world.fix().await.is_empty());
    world.server.says_of_policies(500, &json!({"message": "no"}));
    sleep(SECOND * 10).await;
    assert_eq!(world.server.log(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_keeps_one_object_is_told_whatever_becomes_of_another() {
    let world = World::with(policy("Audit"), true, &owned_by("good"));
    let ledger = &world.fixer.parts.ledger;
    let told = || ledger.page("good", &[], 0).obstacles.to_string();
    let other = ObjectName { namespace: Some("n".into()), name: "other".into() };
    let other = ObjectKey { object: other, ..world.key.clone() };
    ledger.note_stuck("good", &other, "the other is stuck".into());
    assert_eq!(world.fix().await, ["GET", "PATCH"]);
    assert_eq!((world.fix().await, told()), (vec!["GET".to_owned()], "the other is stuck".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn what_keeps_an_object_is_told_until_it_is_let_go_of_by_whomever() {
    for heal in [false, true] {
        let world = World::with(policy("Audit"), true, &owned_by("good"));
        let told = || world.fixer.parts.ledger.page("good", &[], 0).obstacles.to_string();
        world.server.refusals.lock().push_back((403, "admission webhook denied the request"));
        world.fix().await;
        assert!(told().starts_with("configmaps n/c: "), "{}", told());
        if heal {
            sleep(SECOND * 21).await;
        } else {
            world.show(&json!({"metadata": {"name": "c", "namespace": "n", "uid": "u"}, "data": {}}));
            world.fix().await;
        }
        assert_eq!(told(), "", "{heal}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_kept_an_object_is_told_no_more_when_another_has_its_name_or_it_is_being_deleted() {
    for change in [json!({"uid": "another"}), json!({"deletionTimestamp": "2026-01-01T00:00:00Z"})] {
        let world = World::with(policy("Audit"), true, &owned_by("good"));
        let ledger = &world.fixer.parts.ledger;
        ledger.note_stuck("good", &world.key, "it was stuck".into());
        json_patch::merge(&mut world.server.object.lock()["metadata"], &change);
        assert_eq!(world.fix().await, ["GET"]);
        assert_eq!(ledger.page("good", &[], 0).obstacles.to_string(), "", "{change}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_stuck_before_others_led_is_told_no_more() {
    let world = World::with(policy("Audit"), true, &json!([]));
    let ledger = &world.fixer.parts.ledger;
    ledger.note_stuck("good", &world.key, "it was stuck".into());
    let mut tasks = JoinSet::new();
    tasks.spawn(Arc::clone(&world.fixer).sweep(CancellationToken::new()));
    sleep(SECOND).await;
    assert_eq!(ledger.page("good", &[], 0).obstacles.to_string(), "");
}
