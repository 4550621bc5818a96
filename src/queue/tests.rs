use futures::FutureExt;
use tokio::task::JoinSet;

use super::*;
use crate::metrics::Metrics;

fn queue_with(backoff: Backoff) -> Arc<Queue<&'static str>> {
    Queue::new(backoff, 7, Metrics::new("test").unwrap().queue("objects"))
}

fn queue() -> Arc<Queue<&'static str>> {
    queue_with(Backoff::default())
}

/// What a getter gets at once, without waiting.
fn now(queue: &Arc<Queue<&'static str>>) -> Option<Claim<&'static str>> {
    queue.get().now_or_never().flatten()
}

#[tokio::test(start_paused = true)]
async fn keys_come_in_the_order_of_adding_and_each_once() {
    let queue = queue();
    for key in ["a", "b", "a", "c", "b"] {
        queue.add(key);
    }
    assert_eq!(queue.len(), 3);
    let got: Vec<_> = std::iter::from_fn(|| now(&queue)).map(|claim| *claim.key()).collect();
    assert_eq!(got, ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_key_added_while_processed_runs_again_after_and_not_beside() {
    let queue = queue();
    queue.add("a");
    let claim = now(&queue).unwrap();
    queue.add("a");
    queue.add("a");
    assert!(now(&queue).is_none(), "a second worker got a key that is being processed");
    drop(claim);
    drop(now(&queue).expect("the change that came meanwhile was lost"));
    assert!(now(&queue).is_none(), "one change ran twice");
}

#[tokio::test(start_paused = true)]
async fn a_delayed_key_comes_when_it_is_due_and_wakes_a_waiting_getter() {
    let queue = queue();
    let start = Instant::now();
    queue.add_after("late", Duration::from_secs(9));
    let getter = async {
        let first = *queue.get().await.unwrap().key();
        let second = *queue.get().await.unwrap().key();
        (first, second)
    };
    let adder = async { queue.add_after("soon", Duration::from_secs(2)) };
    let (got, ()) = tokio::join!(getter, adder);
    assert_eq!(got, ("soon", "late"));
    assert_eq!(start.elapsed().as_secs(), 9);
}

#[tokio::test(start_paused = true)]
async fn of_several_delays_of_a_key_the_earliest_counts_once() {
    let queue = queue();
    for seconds in [8, 3, 5] {
        queue.add_after("a", Duration::from_secs(seconds));
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
    let queue = queue_with(Backoff { base: Duration::from_millis(100), longest, max_retries: 5 });
    for (failures, full) in [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1000), (6, 1000), (7, 1000)] {
        let retry = queue.retry(&"a");
        let full = Duration::from_millis(full);
        assert!(retry.delay <= full && retry.delay >= full.mul_f64(0.75), "{retry:?}");
        assert_eq!((retry.failures, retry.parked), (failures, failures > 5));
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
    queue.add("ready");
    queue.add_after("delayed", Duration::from_secs(1));
    queue.shutdown();
    queue.add("too late");
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
        keys.iter().for_each(|key| queue.add(key));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    queue.shutdown();
    assert_eq!(workers.join_all().await.iter().sum::<usize>(), 50 * keys.len());
}

#[tokio::test(start_paused = true)]
async fn the_series_tell_depth_waiting_working_and_what_runs() {
    let metrics = Metrics::new("test").unwrap();
    let series = metrics.queue("objects");
    let queue = Queue::new(Backoff::default(), 7, series.clone());
    queue.add("a");
    queue.add("b");
    tokio::time::advance(Duration::from_secs(2)).await;
    let claim = queue.get().await.unwrap();
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!((series.depth.get(), series.adds.get()), (1, 2));
    assert_eq!(queue.running(), (Duration::from_secs(3), Duration::from_secs(3)));
    assert_eq!(claim.waited(), Duration::from_secs(2));
    drop(claim);
    assert_eq!(series.waited.get_sample_sum(), 2.0);
    assert_eq!(series.worked.get_sample_sum(), 3.0);
    assert_eq!(queue.running(), Default::default());
}
