//! What holds for every history: the queue beside a naive model, and the bounds of fairness.

use std::collections::{BTreeMap, BTreeSet};

use futures::FutureExt;
use proptest::prelude::*;

use super::Priority::{InitialList, LiveChange, PolicyChange, Resync};
use super::*;
use crate::backoff::Backoff;
use crate::metrics::Metrics;

/// A target and a number.
type Pair = (u8, u32);

impl Key for Pair {
    type Target = u8;

    fn target(&self) -> &u8 {
        &self.0
    }
}

const LONGEST: Duration = Duration::from_secs(8);

fn queue() -> Arc<Queue<Pair>> {
    let backoff = Backoff { first: Duration::from_secs(1), longest: LONGEST };
    Queue::new(Retries { backoff, max: 2 }, 7, Metrics::new("test").unwrap().queue("objects"))
}

fn now(queue: &Arc<Queue<Pair>>) -> Option<Claim<Pair>> {
    queue.get().now_or_never().flatten()
}

#[derive(Clone, Debug)]
enum Step {
    Add(Pair, Priority),
    AddAfter(Pair, u64),
    Get,
    /// The n-th of those in process.
    Done(usize),
    Succeed(usize),
    Fail(usize),
    Forget(Pair),
    Advance(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let key = || (0_u8..3, 0_u32..4);
    prop_oneof![
        6 => (key(), prop::sample::select(&Priority::ALL[..])).prop_map(|(key, priority)| Step::Add(key, priority)),
        2 => (key(), 0_u64..6).prop_map(|(key, seconds)| Step::AddAfter(key, seconds)),
        6 => Just(Step::Get),
        2 => (0_usize..8).prop_map(Step::Done),
        2 => (0_usize..8).prop_map(Step::Succeed),
        2 => (0_usize..8).prop_map(Step::Fail),
        1 => key().prop_map(Step::Forget),
        2 => (0_u64..5).prop_map(Step::Advance),
    ]
}

/// Sets, and no thought of speed or order.
#[derive(Default)]
struct Model {
    dirty: BTreeSet<Pair>,
    delayed: BTreeMap<Pair, Instant>,
    failures: BTreeMap<Pair, u32>,
}

impl Model {
    fn delay(&mut self, key: Pair, at: Instant) {
        self.delayed.entry(key).and_modify(|due| *due = at.min(*due)).or_insert(at);
    }

    fn wake(&mut self, now: Instant) {
        let due: Vec<Pair> = self.delayed.iter().filter(|(_, at)| **at <= now).map(|(key, _)| *key).collect();
        for key in due {
            self.delayed.remove(&key);
            self.dirty.insert(key);
        }
    }

    fn ready(&self, working: &[Claim<Pair>]) -> BTreeSet<Pair> {
        self.dirty.iter().filter(|key| !working.iter().any(|claim| claim.key() == *key)).copied().collect()
    }
}

async fn run(steps: Vec<Step>) {
    let (queue, mut model, mut working) = (queue(), Model::default(), Vec::<Claim<Pair>>::new());
    for step in steps {
        match step {
            Step::Add(key, priority) => {
                queue.add(&key, priority);
                model.dirty.insert(key);
                if priority == LiveChange {
                    model.failures.remove(&key);
                }
            }
            Step::AddAfter(key, seconds) => {
                queue.add_after(&key, LiveChange, Duration::from_secs(seconds));
                model.delay(key, Instant::now() + Duration::from_secs(seconds));
            }
            Step::Get => {
                model.wake(Instant::now());
                let ready = model.ready(&working);
                match now(&queue) {
                    Some(claim) => {
                        assert!(ready.contains(claim.key()), "{claim:?} is not one of {ready:?}");
                        model.dirty.remove(claim.key());
                        working.push(claim);
                    }
                    None => assert!(ready.is_empty(), "nothing was given of {ready:?}"),
                }
            }
            Step::Done(nth) if nth < working.len() => drop(working.swap_remove(nth)),
            Step::Succeed(nth) if nth < working.len() => {
                let claim = working.swap_remove(nth);
                model.failures.remove(claim.key());
                claim.succeeded();
            }
            Step::Fail(nth) if nth < working.len() => {
                let claim = working.swap_remove(nth);
                let retry = queue.retry(claim.key());
                let failures = model.failures.entry(*claim.key()).or_default();
                *failures += 1;
                assert_eq!((retry.failures, retry.parked), (*failures, *failures > 2));
                assert!(retry.delay <= LONGEST);
                model.delay(*claim.key(), Instant::now() + retry.delay);
            }
            Step::Forget(key) => {
                queue.forget(&key);
                model.failures.remove(&key);
            }
            Step::Advance(seconds) => tokio::time::advance(Duration::from_secs(seconds)).await,
            Step::Done(_) | Step::Succeed(_) | Step::Fail(_) => {}
        }
        let parked = model.failures.values().filter(|failures| **failures > 2).count();
        assert_eq!(queue.sample().parked, parked);
    }
    settle(&queue, model, working).await;
}

/// After the last step everything that was asked for comes, once, and then nothing is left.
async fn settle(queue: &Arc<Queue<Pair>>, mut model: Model, working: Vec<Claim<Pair>>) {
    drop(working);
    tokio::time::advance(Duration::from_secs(60)).await;
    model.wake(Instant::now());
    let mut rest = Vec::new();
    while let Some(claim) = now(queue) {
        rest.push(*claim.key());
        queue.forget(claim.key());
    }
    rest.sort_unstable();
    assert_eq!(rest, model.dirty.into_iter().collect::<Vec<_>>());
    model.failures.keys().for_each(|key| queue.forget(key));
    assert_eq!(queue.state.lock().known(), 0, "an idle queue keeps nothing");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_history_gives_what_a_naive_model_gives(steps in prop::collection::vec(step(), 0..120)) {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(run(steps));
    }
}

/// What comes out, one key after the other, while nothing is added.
fn drained(queue: &Arc<Queue<Pair>>, most: usize) -> Vec<(Pair, Priority)> {
    std::iter::from_fn(|| now(queue)).take(most).map(|claim| (*claim.key(), claim.priority())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_target_with_very_many_keys_delays_the_one_key_of_another_by_one_turn_of_each() {
    let queue = queue();
    (0..100_000).for_each(|number| queue.add(&(0, number), LiveChange));
    for target in 1..=3 {
        queue.add(&(target, 0), LiveChange);
    }
    let first: Vec<u8> = drained(&queue, 4).into_iter().map(|((target, _), _)| target).collect();
    assert_eq!(first, [0, 1, 2, 3]);
    (1..=3).for_each(|target| queue.add(&(target, 1), LiveChange));
    let next: BTreeSet<u8> = drained(&queue, 4).into_iter().map(|((target, _), _)| target).collect();
    assert_eq!(next.len(), 4, "somebody had two turns: {next:?}");
}

#[tokio::test(start_paused = true)]
async fn a_live_change_overtakes_an_initial_list_of_its_own_target() {
    let queue = queue();
    (0..10_000).for_each(|number| queue.add(&(0, number), InitialList));
    drained(&queue, 777);
    queue.add(&(0, 1_000_000), LiveChange);
    assert_eq!(drained(&queue, 1), [((0, 1_000_000), LiveChange)]);
}

#[tokio::test(start_paused = true)]
async fn each_priority_gets_its_share_while_all_have_keys() {
    let queue = queue();
    for (rank, priority) in (0..).zip(Priority::ALL) {
        (0..1_500).for_each(|number| queue.add(&(0, rank * 10_000 + number), priority));
    }
    let mut shares = BTreeMap::<Priority, usize>::new();
    for (_, priority) in drained(&queue, 1_500) {
        *shares.entry(priority).or_default() += 1;
    }
    let expected = [(LiveChange, 800), (PolicyChange, 400), (InitialList, 200), (Resync, 100)];
    assert_eq!(shares, expected.into());
}

#[tokio::test(start_paused = true)]
async fn very_many_keys_that_are_due_together_all_come() {
    let queue = queue();
    (0..5_000).for_each(|number| queue.add_after(&(0, number), LiveChange, Duration::from_secs(1)));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(drained(&queue, usize::MAX).len(), 5_000);
    assert_eq!(queue.state.lock().known(), 0);
}
