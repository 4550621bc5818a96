use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::super::tests::{SECOND, World};
use super::*;

/// What the API server says of the operator's rights.
#[derive(Default)]
struct Given {
    /// Verbs that are not granted.
    missing: Mutex<Vec<&'static str>>,
    /// Whether nobody answers.
    silent: Mutex<bool>,
    asked: AtomicUsize,
}

impl Rights for Arc<Given> {
    async fn may(&self, verb: &'static str, resource: &Gvr, namespace: Option<&Arc<str>>) -> Option<bool> {
        assert_eq!((resource, namespace), (&Gvr::new("", "v1", "configmaps"), None));
        self.asked.fetch_add(1, Ordering::Relaxed);
        (!*self.silent.lock()).then(|| !self.missing.lock().contains(&verb))
    }
}

const MINUTE: Duration = Duration::from_secs(60);

/// Somebody who asks once a minute what the fixer of this world may do.
fn asks(world: &World, missing: &[&'static str]) -> (Arc<Given>, JoinSet<()>) {
    let given = Arc::new(Given { missing: Mutex::new(missing.to_vec()), ..Given::default() });
    let consents = Consents::new(Arc::clone(&given), Arc::clone(&world.fixer), MINUTE);
    let mut tasks = JoinSet::new();
    tasks.spawn(consents.run(CancellationToken::new()));
    (given, tasks)
}

fn denied(world: &World) -> Option<String> {
    world.fixer.parts.ledger.page("good", &[], 1).obstacles.rights()
}

#[tokio::test(start_paused = true)]
async fn a_missing_right_is_named_before_a_fix_meets_it_and_no_more_once_it_is_given() {
    for verb in VERBS {
        let world = World::new("Enforce", true);
        let (given, _tasks) = asks(&world, &[verb]);
        sleep(SECOND).await;
        let words = denied(&world).unwrap();
        assert!(
            words.starts_with("the operator lacks the right to fix configmaps; add to its ClusterRole"),
            "{words}"
        );
        given.missing.lock().clear();
        sleep(MINUTE + SECOND).await;
        assert_eq!(denied(&world), None);
        assert_eq!(world.server.log(), ["GET", "PATCH"], "what failed meanwhile is looked at");
    }
}

#[tokio::test(start_paused = true)]
async fn what_rests_for_want_of_a_right_is_tried_as_soon_as_that_is_given() {
    let world = World::new("Enforce", true);
    let (given, _tasks) = asks(&world, &["patch"]);
    let refusal = (403, "User \"x\" cannot patch resource \"configmaps\"");
    world.server.refusals.lock().extend([refusal; 10]);
    world.fix().await;
    // Tried after 1, 3, 7 and 15 minutes, and not before 31.
    sleep(MINUTE * 20).await;
    assert_eq!((world.server.log().len(), world.outcome()), (8, "NotVerified".to_owned()));
    world.server.refusals.lock().clear();
    given.missing.lock().clear();
    sleep(MINUTE + SECOND).await;
    assert_eq!(world.server.log(), ["GET", "PATCH"]);
}

#[tokio::test(start_paused = true)]
async fn the_same_is_asked_once_in_an_interval_and_by_the_leader_alone() {
    let world = World::new("Enforce", true);
    world.lead.set(false);
    let (given, _tasks) = asks(&world, &[]);
    sleep(MINUTE * 2).await;
    assert_eq!(given.asked.load(Ordering::Relaxed), 0);
    world.lead.set(true);
    sleep(SECOND * 2).await;
    assert_eq!(given.asked.load(Ordering::Relaxed), VERBS.len());
    sleep(MINUTE * 10).await;
    assert_eq!(given.asked.load(Ordering::Relaxed), VERBS.len() * 11);
}

#[tokio::test(start_paused = true)]
async fn who_gets_no_answer_says_what_was_known() {
    let world = World::new("Enforce", true);
    let (given, _tasks) = asks(&world, &["get"]);
    sleep(SECOND).await;
    *given.silent.lock() = true;
    sleep(MINUTE * 3).await;
    assert!(denied(&world).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_was_met_stands_until_the_next_question() {
    let world = World::new("Enforce", true);
    let (_given, _tasks) = asks(&world, &[]);
    sleep(SECOND).await;
    world.server.unreadable.store(true, Ordering::Relaxed);
    world.fix().await;
    assert!(denied(&world).unwrap().contains("cannot get resource"));
    world.server.unreadable.store(false, Ordering::Relaxed);
    sleep(MINUTE * 2).await;
    assert_eq!((denied(&world), world.server.value()), (None, "good".into()));
}

#[tokio::test(start_paused = true)]
async fn nobody_asks_for_a_policy_that_only_audits() {
    let world = World::new("Audit", true);
    let (given, _tasks) = asks(&world, &["get"]);
    sleep(MINUTE * 3).await;
    assert_eq!((given.asked.load(Ordering::Relaxed), denied(&world)), (0, None));
}
