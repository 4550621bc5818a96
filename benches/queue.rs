//! The work queue beside the scheduler of kube_runtime, on 100,000 keys: each is added, claimed and done.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark that meets the unexpected should stop there and then"
)]

use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures::channel::mpsc;
use futures::{FutureExt, StreamExt};
use kube_runtime::scheduler::{ScheduleRequest, scheduler};
use tokio::time::Instant;
use watchpolicy::metrics::{Metrics, Priority};
use watchpolicy::queue::{Queue, Retries};
use watchpolicy::resource::{GroupResource, ObjectKey, ObjectName};

const KEYS: usize = 100_000;
const NAMESPACES: usize = 100;

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

fn through_the_queue(keys: Vec<ObjectKey>, queue: &Arc<Queue<ObjectKey>>) {
    let count = keys.len();
    keys.into_iter().for_each(|key| queue.add(key, Priority::LiveChange));
    for _ in 0..count {
        let claim = queue.get().now_or_never().flatten().unwrap();
        queue.forget(claim.key());
    }
}

fn through_the_scheduler(keys: Vec<ObjectKey>) {
    let (requests, received) = mpsc::unbounded();
    let mut scheduled = Box::pin(scheduler(received));
    let (count, run_at) = (keys.len(), Instant::now());
    for message in keys {
        requests.unbounded_send(ScheduleRequest { message, run_at }).unwrap();
    }
    for _ in 0..count {
        scheduled.as_mut().hold_unless(|_| true).next().now_or_never().flatten().unwrap();
    }
}

fn pass(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    let (keys, metrics) = (keys(), Metrics::new("0.0.0").unwrap());
    let mut group = criterion.benchmark_group("pass/100000 keys");
    group.throughput(Throughput::Elements(KEYS as u64));
    group.bench_function("watchpolicy", |bencher| {
        let queue = Queue::new(Retries::default(), 7, metrics.queue("objects"));
        bencher.iter_batched(
            || keys.clone(),
            |keys| through_the_queue(keys, &queue),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("kube_runtime::scheduler", |bencher| {
        bencher.iter_batched(|| keys.clone(), through_the_scheduler, BatchSize::PerIteration);
    });
}

fn short() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(5))
        .sample_size(20)
        .without_plots()
}

criterion_group! { name = benches; config = short(); targets = pass }
criterion_main!(benches);
