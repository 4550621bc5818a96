//! The work queue beside the scheduler of kube-runtime, which stands behind its controllers: the same million
//! operations on the same 100,000 keys, in turns in one run.
//!
//! In each of two rounds, every key is added, and added again while it waits; then each is taken by one of four workers, half
//! of them are added once more meanwhile, and all are done with. The scheduler is driven in two ways: as a controller with
//! `concurrency(4)` drives it, and as it costs least, which no controller does. What a runner does around it, so that no
//! key is processed twice at a time, is done here as cheaply as can be: a set of the keys in process.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark that meets the unexpected should stop there and then"
)]

use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};
use std::env;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use ahash::RandomState;
use futures::stream::{Stream, poll_fn};
use futures::{FutureExt, StreamExt};
use kube_runtime::scheduler::{ScheduleRequest, Scheduler, scheduler};
use tokio::runtime::Runtime;
use tokio::time::Instant;
use watchpolicy::metrics::{Metrics, Priority};
use watchpolicy::queue::{Claim, Queue, Retries};
use watchpolicy::resource::{GroupResource, ObjectKey, ObjectName};

use instructions::{Run, Workload};

#[path = "judge/instructions.rs"]
mod instructions;

const KEYS: usize = 100_000;
const NAMESPACES: usize = 100;
/// Keys in process at a time.
const WORKERS: usize = 4;
const ROUNDS: usize = 2;
/// In a round, two adds, a take and an end of each key; of half of them three adds, two takes and two ends.
const OPERATIONS: usize = ROUNDS * KEYS / 2 * (4 + 7);
/// How often each side has its turn; the middle one counts.
const TURNS: usize = 15;
/// How often the slow way has one.
const SLOW_TURNS: usize = 3;

/// Who is measured. Whoever was taken first is done with first.
trait Contender {
    fn add(&mut self, key: &ObjectKey);
    /// Takes the next key, if one is ready, and adds it once more if it changes meanwhile.
    fn take(&mut self, changes: bool) -> bool;
    /// How many keys are in process.
    fn busy(&self) -> usize;
    /// Done with the oldest.
    fn end(&mut self);
}

struct Ours {
    queue: Arc<Queue<ObjectKey>>,
    claims: VecDeque<Claim<ObjectKey>>,
}

impl Ours {
    fn new() -> Self {
        let series = Metrics::new("0.0.0").unwrap().queue("objects");
        Self { queue: Queue::new(Retries::default(), 7, series), claims: VecDeque::new() }
    }
}

impl Contender for Ours {
    fn add(&mut self, key: &ObjectKey) {
        self.queue.add(key, Priority::LiveChange);
    }

    fn take(&mut self, changes: bool) -> bool {
        let Some(claim) = self.queue.get().now_or_never().flatten() else { return false };
        if changes {
            self.add(claim.key());
        }
        self.claims.push_back(claim);
        true
    }

    fn busy(&self) -> usize {
        self.claims.len()
    }

    fn end(&mut self) {
        self.claims.pop_front().unwrap().succeeded();
    }
}

type Requests = Rc<RefCell<VecDeque<ScheduleRequest<ObjectKey>>>>;
type Scheduled = Pin<Box<Scheduler<ObjectKey, Pin<Box<dyn Stream<Item = ScheduleRequest<ObjectKey>>>>>>>;

struct Theirs {
    requests: Requests,
    scheduled: Scheduled,
    working: HashSet<ObjectKey, RandomState>,
    order: VecDeque<ObjectKey>,
    way: Way,
}

/// How the scheduler is driven.
#[derive(Clone, Copy)]
enum Way {
    /// As the runner of a controller does it: keys are due now, and what became due while all workers have a key is
    /// pending.
    Controller,
    /// Keys are due in the past, which spares the scheduler its timer: each a little later than the one before, or a key
    /// that waits would be moved each time. Nothing is ever pending but what is in process.
    Least { due: Instant },
}

impl Theirs {
    fn new(way: Way) -> Self {
        let requests = Requests::default();
        let source = Rc::clone(&requests);
        let taken = poll_fn(move |_| {
            source.borrow_mut().pop_front().map_or(Poll::Pending, |one| Poll::Ready(Some(one)))
        });
        let scheduled = Box::pin(scheduler(Box::pin(taken) as Pin<Box<dyn Stream<Item = _>>>));
        Self { requests, scheduled, working: HashSet::default(), order: VecDeque::new(), way }
    }

    fn least() -> Self {
        Self::new(Way::Least { due: Instant::now() - Duration::from_secs(1) })
    }
}

impl Contender for Theirs {
    fn add(&mut self, key: &ObjectKey) {
        let run_at = match &mut self.way {
            Way::Controller => Instant::now(),
            Way::Least { due } => {
                *due += Duration::from_nanos(1);
                *due
            }
        };
        self.requests.borrow_mut().push_back(ScheduleRequest { message: key.clone(), run_at });
    }

    fn take(&mut self, changes: bool) -> bool {
        let working = &self.working;
        let mut held = self.scheduled.as_mut().hold_unless(|key| !working.contains(key));
        let Some(key) = held.next().now_or_never().flatten() else { return false };
        if changes {
            self.add(&key);
        }
        self.working.insert(key.clone());
        self.order.push_back(key);
        if self.order.len() >= WORKERS && matches!(self.way, Way::Controller) {
            let _nothing = self.scheduled.as_mut().hold().next().now_or_never();
        }
        true
    }

    fn busy(&self) -> usize {
        self.order.len()
    }

    fn end(&mut self) {
        self.working.remove(&self.order.pop_front().unwrap());
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
fn timed(runtime: &Runtime, keys: &[ObjectKey], contender: &mut impl Contender) -> f64 {
    let before = spent();
    turn(runtime, keys, contender);
    (spent() - before) as f64 / OPERATIONS as f64
}

fn turn(runtime: &Runtime, keys: &[ObjectKey], contender: &mut impl Contender) {
    (0..ROUNDS).for_each(|_| runtime.block_on(round(keys, contender)));
}

async fn round(keys: &[ObjectKey], contender: &mut impl Contender) {
    keys.iter().for_each(|key| contender.add(key));
    keys.iter().for_each(|key| contender.add(key));
    let mut taken = 0;
    while taken < KEYS + KEYS / 2 {
        if contender.take(taken < KEYS / 2) {
            taken += 1;
            if contender.busy() >= WORKERS {
                contender.end();
            }
        } else if contender.busy() > 0 {
            contender.end();
        } else {
            // Due with the next tick of the scheduler's timer.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    while contender.busy() > 0 {
        contender.end();
    }
    assert!(!contender.take(false), "each key is taken once for what it was added for");
}

fn middle(mut times: Vec<f64>) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times[times.len() / 2]
}

/// What is counted in instructions.
fn workloads() -> Vec<Workload> {
    fn prepared(make: impl Fn() -> Box<dyn FnMut(&Runtime, &[ObjectKey])>) -> Run {
        let (runtime, keys) = (runtime(), keys());
        let mut turn = {
            let _entered = runtime.enter();
            make()
        };
        Box::new(move || turn(&runtime, &keys))
    }
    let ours = || {
        prepared(|| {
            let mut ours = Ours::new();
            Box::new(move |runtime, keys| turn(runtime, keys, &mut ours))
        })
    };
    let least = || prepared(|| Box::new(|runtime, keys| turn(runtime, keys, &mut Theirs::least())));
    let workload =
        |name, prepare: Box<dyn Fn() -> Run>| Workload { group: "queue", name, size: KEYS, prepare };
    vec![
        workload("watchpolicy", Box::new(ours)),
        workload("kube_runtime::scheduler, at its least", Box::new(least)),
    ]
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

fn main() {
    let workloads = workloads();
    if let Some((name, runs)) = instructions::wanted(env::args()) {
        let workload = workloads.iter().find(|workload| workload.full_name() == name).unwrap();
        let mut run = (workload.prepare)();
        return (0..runs).for_each(|_| run());
    }
    let (runtime, keys) = (runtime(), keys());
    let _entered = runtime.enter();
    let mut queue = Ours::new();
    let (mut ours, mut controller, mut least) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..TURNS {
        ours.push(timed(&runtime, &keys, &mut queue));
        least.push(timed(&runtime, &keys, &mut Theirs::least()));
        if number < SLOW_TURNS {
            controller.push(timed(&runtime, &keys, &mut Theirs::new(Way::Controller)));
        }
    }
    let (ours, controller, least) = (middle(ours), middle(controller), middle(least));
    println!("queue/{KEYS} keys: watchpolicy {ours:.0} ns an operation");
    for (way, theirs) in [("as a controller drives it", controller), ("at its least", least)] {
        let share = ours / theirs;
        println!(
            "queue/{KEYS} keys: kube_runtime::scheduler {way} {theirs:.0} ns an operation: ratio {share:.3}"
        );
    }
    instructions::count(&workloads, OPERATIONS as u64);
}
