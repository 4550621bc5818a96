//! The work queue beside the scheduler of kube-runtime, which stands behind its controllers: the same million
//! operations on the same 100,000 keys, in turns in one run.
//!
//! In each of two rounds, every key is added, and added again while it waits; then each is taken by a worker, half of them are
//! added once more meanwhile, and all are done with. What a runner does around that scheduler, so that no key is
//! processed twice at a time, is done here as cheaply as can be: a set of the keys in process.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark that meets the unexpected should stop there and then"
)]

use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};
use std::hint::black_box;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use ahash::RandomState;
use futures::stream::{Stream, poll_fn};
use futures::{FutureExt, StreamExt};
use kube_runtime::scheduler::{ScheduleRequest, Scheduler, scheduler};
use watchpolicy::metrics::{Metrics, Priority};
use watchpolicy::queue::{Claim, Queue, Retries};
use watchpolicy::resource::{GroupResource, ObjectKey, ObjectName};

const KEYS: usize = 100_000;
const NAMESPACES: usize = 100;
/// Keys in process at a time.
const WORKERS: usize = 4;
const ROUNDS: usize = 2;
/// In a round, two adds, a take and an end of each key; of half of them three adds, two takes and two ends.
const OPERATIONS: usize = ROUNDS * KEYS / 2 * (4 + 7);
/// How often each side has its turn; the middle one counts.
const TURNS: usize = 15;

/// What both are.
trait Contender {
    fn add(&mut self, key: &ObjectKey);
    /// Takes the next key, and is done with the one that was taken so many takes ago.
    fn next(&mut self) -> Option<ObjectKey>;
    fn finish(&mut self);
}

struct Ours {
    queue: Arc<Queue<ObjectKey>>,
    claims: VecDeque<Claim<ObjectKey>>,
}

impl Contender for Ours {
    fn add(&mut self, key: &ObjectKey) {
        self.queue.add(key.clone(), Priority::LiveChange);
    }

    fn next(&mut self) -> Option<ObjectKey> {
        if self.claims.len() >= WORKERS {
            self.end();
        }
        let claim = self.queue.get().now_or_never().flatten()?;
        let key = claim.key().clone();
        self.claims.push_back(claim);
        Some(key)
    }

    fn finish(&mut self) {
        while !self.claims.is_empty() {
            self.end();
        }
    }
}

impl Ours {
    fn end(&mut self) {
        if let Some(claim) = self.claims.pop_front() {
            self.queue.forget(claim.key());
        }
    }
}

type Requests = Rc<RefCell<VecDeque<ScheduleRequest<ObjectKey>>>>;
type Scheduled = Pin<Box<Scheduler<ObjectKey, Pin<Box<dyn Stream<Item = ScheduleRequest<ObjectKey>>>>>>>;

struct Theirs {
    requests: Requests,
    scheduled: Scheduled,
    working: HashSet<ObjectKey, RandomState>,
    order: VecDeque<ObjectKey>,
    /// When the next key is due: in the past, since a key that is due now comes with the next tick of the timer, up to a
    /// millisecond later; and later than the one before, or a key that waits would be moved each time.
    due: tokio::time::Instant,
}

impl Theirs {
    fn new() -> Self {
        let requests = Requests::default();
        let source = Rc::clone(&requests);
        let taken = poll_fn(move |_| {
            source.borrow_mut().pop_front().map_or(Poll::Pending, |one| Poll::Ready(Some(one)))
        });
        let scheduled = Box::pin(scheduler(Box::pin(taken) as Pin<Box<dyn Stream<Item = _>>>));
        let due = tokio::time::Instant::now() - Duration::from_secs(1);
        Self { requests, scheduled, working: HashSet::default(), order: VecDeque::new(), due }
    }

    fn end(&mut self) {
        if let Some(key) = self.order.pop_front() {
            self.working.remove(&key);
        }
    }
}

impl Contender for Theirs {
    fn add(&mut self, key: &ObjectKey) {
        self.due += Duration::from_nanos(1);
        let request = ScheduleRequest { message: key.clone(), run_at: self.due };
        self.requests.borrow_mut().push_back(request);
    }

    fn next(&mut self) -> Option<ObjectKey> {
        if self.order.len() >= WORKERS {
            self.end();
        }
        let working = &self.working;
        let mut held = self.scheduled.as_mut().hold_unless(|key| !working.contains(key));
        let key = held.next().now_or_never().flatten()?;
        self.working.insert(key.clone());
        self.order.push_back(key.clone());
        Some(key)
    }

    fn finish(&mut self) {
        while !self.order.is_empty() {
            self.end();
        }
    }
}

/// Keys of four resources, spread over namespaces.
fn keys() -> Vec<ObjectKey> {
    let resources = [("", "pods"), ("apps", "deployments"), ("", "configmaps"), ("apps", "replicasets")];
    let resources = resources.map(|(group, resource)| GroupResource::new(group, resource));
    let namespaces: Vec<Arc<str>> = (0..NAMESPACES).map(|team| format!("team-{team}").into()).collect();
    let spread = resources.iter().cycle().zip(namespaces.iter().cycle()).take(KEYS).enumerate();
    let key = |(index, (resource, namespace)): (usize, (&GroupResource, &Arc<str>))| ObjectKey {
        resource: resource.clone(),
        object: ObjectName {
            namespace: Some(Arc::clone(namespace)),
            name: format!("workload-{index:06}-7c9d8f").into(),
        },
    };
    spread.map(key).collect()
}

/// Nanoseconds that this thread has had a processor, so that other work on the machine weighs little (proc(5),
/// `schedstat`).
fn spent() -> u64 {
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    spent.split(' ').next().unwrap().parse().unwrap()
}

/// One turn: nanoseconds an operation.
fn turn(keys: &[ObjectKey], contender: &mut impl Contender) -> f64 {
    let before = spent();
    (0..ROUNDS).for_each(|_| round(keys, contender));
    (spent() - before) as f64 / OPERATIONS as f64
}

fn round(keys: &[ObjectKey], contender: &mut impl Contender) {
    keys.iter().for_each(|key| contender.add(key));
    keys.iter().for_each(|key| contender.add(key));
    let mut taken = 0;
    while let Some(key) = contender.next() {
        taken += 1;
        if taken <= KEYS / 2 {
            contender.add(&key);
        }
        black_box(&key);
    }
    contender.finish();
    while contender.next().is_some() {
        taken += 1;
    }
    contender.finish();
    assert_eq!(taken, KEYS + KEYS / 2, "each key is taken once for what it was added for");
}

fn middle(mut times: Vec<f64>) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    let (keys, metrics) = (keys(), Metrics::new("0.0.0").unwrap());
    let queue = Queue::new(Retries::default(), 7, metrics.queue("objects"));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        ours.push(turn(&keys, &mut Ours { queue: Arc::clone(&queue), claims: VecDeque::new() }));
        theirs.push(turn(&keys, &mut Theirs::new()));
    }
    let ratios = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect();
    println!("queue/{KEYS} keys: watchpolicy             {:>7.0} ns an operation", middle(ours));
    println!("queue/{KEYS} keys: kube_runtime::scheduler {:>7.0} ns an operation", middle(theirs));
    println!("queue/{KEYS} keys: ratio {:.3}, the middle of {TURNS}", middle(ratios));
}
