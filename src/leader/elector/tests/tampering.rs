//! What somebody does to the Lease itself.

use serde_json::{Value, json};

use super::bench::{Bench, Line};
use super::{LEASE, SECOND};

/// What somebody may write into the Lease of a leader that lives.
pub(super) fn tampered() -> [Value; 6] {
    [
        json!({"holderIdentity": "somebody"}),
        json!({"holderIdentity": null}),
        json!({"holderIdentity": "replica-1"}),
        json!({"leaseDurationSeconds": i32::MAX}),
        json!({"renewTime": "9999-12-31T23:59:59.999999Z", "acquireTime": "9999-12-31T23:59:59.999999Z"}),
        json!({"holderIdentity": null, "leaseDurationSeconds": null, "renewTime": null, "leaseTransitions": i32::MAX}),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_tampered_with_is_put_right_and_never_has_two_leaders() {
    for spec in tampered() {
        for deaf in [false, true] {
            let mut bench = Bench::start(3).await;
            (0..3).for_each(|who| bench.line(who, Line { deaf, ..Line::default() }));
            bench.pass(10_000).await;
            bench.tamper(&spec);
            bench.pass(30_000).await;
            assert_eq!(bench.leaders().len(), 1, "{spec}");
            let server = bench.server.lock();
            assert_eq!(server.spec("leaseDurationSeconds"), 15, "{spec}");
            assert_eq!(server.spec("holderIdentity"), format!("replica-{}", server.leaders()[0]), "{spec}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_of_a_dead_holder_with_a_duration_without_end_is_taken_after_the_longest_honest_one() {
    let mut bench = Bench::start(2).await;
    bench.pass(10_000).await;
    bench.kill(0);
    bench.tamper(&json!({"leaseDurationSeconds": i32::MAX}));
    let took = bench.until_another_leads(0).await;
    assert!(took >= SECOND * 290 && took <= SECOND * 303, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn annotations_do_not_keep_a_dead_leader_alive() {
    let mut bench = Bench::start(2).await;
    bench.pass(10_000).await;
    bench.kill(0);
    for note in 0..17 {
        bench.annotate(&json!({"note": note}));
        bench.pass(1000).await;
    }
    bench.pass(500).await;
    assert_eq!(bench.leaders(), [1]);
    let server = bench.server.lock();
    assert!(server.lease.as_ref().unwrap()["metadata"]["annotations"]["note"].is_number());
}

#[tokio::test(start_paused = true)]
async fn a_deleted_lease_is_made_again_by_its_leader() {
    let mut bench = Bench::start(3).await;
    bench.pass(10_000).await;
    bench.server.lock().delete();
    bench.pass(3000).await;
    assert_eq!(bench.leaders(), [0]);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_lease_takes_no_stop_of_writes_with_it() {
    let mut bench = Bench::start(2).await;
    bench.pass(10_000).await;
    let stopped = |bench: &Bench| bench.server.lock().replicas[&0].stopped();
    bench.annotate(&json!({"watchpolicy.io/writes": "stopped"}));
    bench.pass(3000).await;
    assert!(stopped(&bench));
    bench.server.lock().delete();
    bench.pass(3000).await;
    assert_eq!(bench.leaders(), [0]);
    assert!(stopped(&bench));
    bench.annotate(&json!({}));
    bench.pass(3000).await;
    assert!(!stopped(&bench), "whoever takes the annotation off says so");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_deleted_while_its_leader_hears_nothing_is_left_for_a_whole_duration() {
    let mut bench = Bench::start(2).await;
    bench.pass(10_000).await;
    bench.line(0, Line { down: true, ..Line::default() });
    bench.server.lock().delete();
    let took = bench.until_another_leads(0).await;
    assert!(took >= LEASE, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_others_keep_in_the_lease_stays_beside_what_the_leader_keeps() {
    let mut bench = Bench::start(2).await;
    bench.pass(10_000).await;
    let kept = |bench: &Bench| bench.server.lock().lease.as_ref().unwrap()["metadata"]["annotations"].clone();
    assert_eq!(bench.wish(0, "pods"), Ok(1));
    bench.pass(1000).await;
    assert_eq!(kept(&bench), json!({"watchpolicy.io/wrote-to": "pods"}));
    let annotations = json!({"note": "theirs", "watchpolicy.io/wrote-to": "theirs"});
    bench.annotate(&annotations);
    bench.pass(10_000).await;
    assert_eq!(kept(&bench), annotations, "a wish ends with its term");
    let leader = bench.leaders()[0];
    bench.wish(leader, "pods").unwrap();
    bench.pass(1000).await;
    assert_eq!(kept(&bench), json!({"note": "theirs", "watchpolicy.io/wrote-to": "pods"}));
    bench.wish(leader, "").unwrap();
    bench.pass(1000).await;
    assert_eq!(kept(&bench), json!({"note": "theirs"}));
}
