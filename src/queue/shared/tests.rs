use std::collections::HashMap;

use futures::FutureExt;
use tokio::task::JoinSet;

use super::Priority::{InitialList, LiveChange, PolicyChange, Resync};
use super::*;
use crate::backoff::Backoff;
use crate::metrics::Metrics;

/// One target has all of them.
impl Key for &str {
    type Target = ();

    fn target(&self) -> &() {
        &()
    }
}

fn queue_with(retries: Retries) -> Arc<Queue<&'static str>> {
    Queue::new(retries, 7, Metrics::new("test").unwrap().queue("objects"))
}

fn queue() -> Arc<Queue<&'static str>> {
    queue_with(Retries::default())
}

/// What a getter gets at once, without waiting.
fn now(queue: &Arc<Queue<&'static str>>) -> Option<Claim<&'static str>> {
    queue.get().now_or_never().flatten()
}

#[tokio::test(start_paused = true)]
async fn keys_come_in_the_order_of_adding_and_each_once() {
    let queue = queue();
    for key in ["a", "b", "a", "c", "b"] {
        queue.add(&key, LiveChange);
    }
    assert_eq!(queue.len(), 3);
    let got: Vec<_> = std::iter::from_fn(|| now(&queue)).map(|claim| *claim.key()).collect();
    assert_eq!(got, ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn many_keys_that_are_added_together_wake_all_getters_that_there_is_work_for() {
    let queue = queue();
    let mut getters = JoinSet::new();
    for _ in 0..3 {
        let queue = Arc::clone(&queue);
        // A claim that is kept keeps its getter from taking another one.
        getters.spawn(async move { queue.get().await.map(|claim| (*claim.key(), claim)) });
    }
    tokio::task::yield_now().await;
    queue.add_all(&["a", "b", "a", "c"], InitialList);
    let mut got: Vec<_> = getters.join_all().await.into_iter().flatten().map(|(key, _)| key).collect();
    got.sort_unstable();
    assert_eq!(got, ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_key_added_while_processed_runs_again_after_and_not_beside() {
    let queue = queue();
    queue.add(&"a", LiveChange);
    let claim = now(&queue).unwrap();
    queue.add(&"a", LiveChange);
    queue.add(&"a", LiveChange);
    assert!(now(&queue).is_none(), "a second worker got a key that is being processed");
    drop(claim);
    drop(now(&queue).expect("the change that came meanwhile was lost"));
    assert!(now(&queue).is_none(), "one change ran twice");
}

#[tokio::test(start_paused = true)]
async fn a_delayed_key_comes_when_it_is_due_and_wakes_a_waiting_getter() {
    let queue = queue();
    let start = Instant::now();
    queue.add_after(&"late", LiveChange, Duration::from_secs(9));
    let getter = async {
        let first = *queue.get().await.unwrap().key();
        let second = *queue.get().await.unwrap().key();
        (first, second)
    };
    let adder = async { queue.add_after(&"soon", LiveChange, Duration::from_secs(2)) };
    let (got, ()) = tokio::join!(getter, adder);
    assert_eq!(got, ("soon", "late"));
    assert_eq!(start.elapsed().as_secs(), 9);
}

#[tokio::test(start_paused = true)]
async fn of_several_delays_of_a_key_the_earliest_counts_once() {
    let queue = queue();
    for seconds in [8, 3, 5] {
        queue.add_after(&"a", LiveChange, Duration::from_secs(seconds));
    }
    let start = Instant::now();
    drop(queue.get().await);
    assert_eq!(start.elapsed().as_secs(), 3);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert!(now(&queue).is_none());
}

#[tokio::test(start_paused = true)]
async fn each_failure_doubles_the_wait_up_to_the_longest_and_then_parks_the_key() {
    let longest = Duration::from_secs(1);
    let backoff = Backoff { first: Duration::from_millis(100), longest };
    let queue = queue_with(Retries { backoff, max: 5 });
    for (failures, full) in [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1000), (6, 1000), (7, 1000)] {
        let retry = queue.retry(&"a");
        let full = Duration::from_millis(full);
        assert!(retry.delay <= full && retry.delay >= full.mul_f64(0.75), "{retry:?}");
        assert_eq!((retry.failures, retry.parked, retry.parks), (failures, failures > 5, failures == 6));
    }
    queue.forget(&"a");
    assert_eq!(queue.retry(&"a").failures, 1);
    assert_eq!(queue.retry(&"other").failures, 1, "failures are counted for each key");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_failed_comes_back_even_after_very_many_failures() {
    let queue = queue();
    for _ in 0..200 {
        queue.retry(&"a");
        drop(queue.get().await.unwrap());
    }
    let retry = queue.retry(&"a");
    assert!(retry.parked && retry.delay <= Duration::from_secs(1000));
}

#[tokio::test(start_paused = true)]
async fn shutdown_hands_out_what_is_ready_drops_delays_and_releases_every_getter() {
    let queue = queue();
    let mut getters = JoinSet::new();
    for _ in 0..3 {
        let queue = Arc::clone(&queue);
        getters.spawn(async move { queue.get().await.map(|claim| *claim.key()) });
    }
    tokio::task::yield_now().await;
    queue.add(&"ready", LiveChange);
    queue.add_after(&"delayed", LiveChange, Duration::from_secs(1));
    queue.shutdown();
    queue.add(&"too late", LiveChange);
    let mut got = getters.join_all().await;
    got.sort_unstable();
    assert_eq!(got, [None, None, Some("ready")]);
}

#[tokio::test(start_paused = true)]
async fn many_workers_process_every_key_and_none_twice_at_a_time() {
    let queue = queue();
    let keys: Vec<&'static str> = vec!["a", "b", "c", "d", "e", "f"];
    let running = Arc::new(Mutex::new(HashMap::<&str, u32>::new()));
    let mut workers = JoinSet::new();
    for _ in 0..4 {
        let (queue, running) = (Arc::clone(&queue), Arc::clone(&running));
        workers.spawn(async move {
            let mut done = 0_usize;
            while let Some(claim) = queue.get().await {
                let others = running.lock().insert(claim.key(), 1);
                assert_eq!(others, None, "{claim:?} is processed by two workers");
                tokio::time::sleep(Duration::from_millis(3)).await;
                running.lock().remove(claim.key());
                done += 1;
            }
            done
        });
    }
    for _ in 0..50 {
        keys.iter().for_each(|key| queue.add(key, LiveChange));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    queue.shutdown();
    assert_eq!(workers.join_all().await.iter().sum::<usize>(), 50 * keys.len());
}

/// The value of a series on the page of metrics.
fn shown(metrics: &Metrics, series: &str) -> Option<f64> {
    let page = metrics.page().unwrap();
    page.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

#[tokio::test(start_paused = true)]
async fn the_series_tell_depth_waiting_working_and_what_runs() {
    let metrics = Metrics::new("test").unwrap();
    let queue = Queue::new(Retries::default(), 7, metrics.queue("objects"));
    let work: std::sync::Weak<Queue<&'static str>> = Arc::downgrade(&queue);
    metrics.follow_queue("objects", work, 3);
    let of = |series: &str, priority: &str| {
        let labels = r#"controller="objects",name="objects",priority="#;
        shown(&metrics, &format!("workqueue_{series}{{{labels}\"{priority}\"}}")).unwrap()
    };
    let workers = |series: &str| shown(&metrics, &format!("controller_runtime_{series}")).unwrap();
    queue.add(&"a", LiveChange);
    queue.add(&"b", InitialList);
    tokio::time::advance(Duration::from_secs(2)).await;
    let claim = queue.get().await.unwrap();
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!((of("depth", "0"), of("depth", "-100")), (0.0, 1.0));
    assert_eq!((of("adds_total", "0"), of("adds_total", "-100")), (1.0, 1.0));
    assert_eq!(
        (of("unfinished_work_seconds", "0"), of("longest_running_processor_seconds", "0")),
        (3.0, 3.0)
    );
    assert_eq!(workers(r#"active_workers{controller="objects"}"#), 1.0);
    assert_eq!(workers(r#"max_concurrent_reconciles{controller="objects"}"#), 3.0);
    assert_eq!((claim.waited(), claim.priority()), (Duration::from_secs(2), LiveChange));
    drop(claim);
    assert_eq!(of("queue_duration_seconds_sum", "0"), 2.0);
    assert_eq!(of("work_duration_seconds_sum", "0"), 3.0);
    assert_eq!(of("unfinished_work_seconds", "0"), 0.0);
    assert_eq!(workers(r#"active_workers{controller="objects"}"#), 0.0);
}

#[tokio::test(start_paused = true)]
async fn the_series_tell_how_each_processing_ended() {
    let metrics = Metrics::new("test").unwrap();
    let queue = Queue::new(Retries::default(), 7, metrics.queue("objects"));
    let work: std::sync::Weak<Queue<&'static str>> = Arc::downgrade(&queue);
    metrics.follow_queue("objects", work, 1);
    for key in ["done", "later", "failed"] {
        queue.add(&key, PolicyChange);
    }
    drop(now(&queue));
    let later = now(&queue).unwrap();
    queue.add_after(&"later", LiveChange, Duration::from_secs(60));
    drop(later);
    let failed = now(&queue).unwrap();
    queue.retry(failed.key());
    drop(failed);
    let ended = |result: &str| {
        let series =
            format!(r#"controller_runtime_reconcile_total{{controller="objects",result="{result}"}}"#);
        shown(&metrics, &series).unwrap()
    };
    assert_eq!((ended("success"), ended("requeue_after"), ended("error")), (1.0, 1.0, 1.0));
    let errors = r#"controller_runtime_reconcile_errors_total{controller="objects"}"#;
    assert_eq!(shown(&metrics, errors), Some(1.0));
    let seconds = r#"controller_runtime_reconcile_time_seconds_count{controller="objects"}"#;
    assert_eq!(shown(&metrics, seconds), Some(3.0));
    let retries = r#"workqueue_retries_total{controller="objects",name="objects",priority="-50"}"#;
    assert_eq!(shown(&metrics, retries), Some(1.0), "a retry keeps the priority of its claim");
}

#[tokio::test(start_paused = true)]
async fn a_parked_key_is_counted_until_it_is_forgotten_and_comes_back_meanwhile() {
    let metrics = Metrics::new("test").unwrap();
    let queue = Queue::new(Retries { max: 2, ..Retries::default() }, 7, metrics.queue("objects"));
    let work: std::sync::Weak<Queue<&'static str>> = Arc::downgrade(&queue);
    metrics.follow_queue("objects", work, 1);
    let parked = || shown(&metrics, r#"watchpolicy_parked_keys{controller="objects"}"#).unwrap();
    queue.add(&"a", LiveChange);
    for expected in [0.0, 0.0, 1.0, 1.0] {
        let claim = queue.get().await.unwrap();
        queue.retry(claim.key());
        drop(claim);
        assert_eq!(parked(), expected);
    }
    let start = Instant::now();
    let claim = queue.get().await.unwrap();
    assert!((750..=1000).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    queue.forget(claim.key());
    assert_eq!(parked(), 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_newer_version_begins_without_the_failures_of_the_one_before_and_nothing_else_does() {
    let queue = queue();
    queue.retry(&"a");
    queue.add(&"a", PolicyChange);
    queue.add_after(&"a", LiveChange, Duration::from_secs(1));
    assert_eq!(queue.retry(&"a").failures, 2);
    queue.add(&"a", LiveChange);
    assert_eq!(queue.retry(&"a").failures, 1);
}

#[tokio::test(start_paused = true)]
async fn success_forgets_failures_and_being_done_alone_does_not() {
    let queue = queue();
    queue.add(&"a", PolicyChange);
    let claim = queue.get().await.unwrap();
    queue.retry(claim.key());
    drop(claim);
    drop(queue.get().await);
    assert_eq!(queue.retry(&"a").failures, 2);
    queue.get().await.unwrap().succeeded();
    assert_eq!(queue.state.lock().known(), 0);
    assert_eq!(queue.retry(&"a").failures, 1);
}

#[tokio::test(start_paused = true)]
async fn a_getter_that_gives_up_leaves_its_call_to_another() {
    let queue = queue();
    let mut gives_up = Box::pin(queue.get());
    assert!(futures::poll!(gives_up.as_mut()).is_pending());
    let mut others = JoinSet::new();
    let shared = Arc::clone(&queue);
    others.spawn(async move { shared.get().await.map(|claim| *claim.key()) });
    tokio::task::yield_now().await;
    queue.add(&"a", LiveChange);
    drop(gives_up);
    assert_eq!(others.join_all().await, [Some("a")]);
    assert_eq!(queue.state.lock().idle, 0, "nobody waits any more");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_for_more_patience_gets_it() {
    let queue = queue();
    let asked = Duration::from_secs(7);
    assert_eq!(queue.retry_after(&"a", asked).delay, asked);
    let start = Instant::now();
    drop(queue.get().await);
    assert_eq!(start.elapsed(), asked);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_waits_becomes_more_urgent_and_never_less() {
    let queue = queue();
    for (key, priority) in [("list", InitialList), ("raised", InitialList), ("policy", PolicyChange)] {
        queue.add(&key, priority);
    }
    queue.add(&"raised", LiveChange);
    queue.add(&"raised", Resync);
    let got: Vec<_> =
        std::iter::from_fn(|| now(&queue)).map(|claim| (*claim.key(), claim.priority())).collect();
    assert_eq!(got, [("raised", LiveChange), ("policy", PolicyChange), ("list", InitialList)]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_of_keys_that_are_done_with() {
    let queue = queue();
    queue.add(&"a", LiveChange);
    queue.add_after(&"b", LiveChange, Duration::from_secs(1));
    queue.retry(&"c");
    for _ in 0..3 {
        let claim = queue.get().await.unwrap();
        queue.forget(claim.key());
    }
    assert_eq!(queue.state.lock().known(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_changed_while_processed_is_drained_at_shutdown_too() {
    let queue = queue();
    queue.add(&"a", LiveChange);
    let claim = now(&queue).unwrap();
    queue.add(&"a", LiveChange);
    queue.shutdown();
    drop(claim);
    assert_eq!(now(&queue).map(|claim| *claim.key()), Some("a"));
    assert_eq!(queue.get().await.map(|claim| *claim.key()), None);
}
