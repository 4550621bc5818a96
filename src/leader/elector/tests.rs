//! Who leads, when, and that never two do.

mod bench;
mod tampering;

use serde_json::json;

use super::*;
use bench::{Bench, Line};
use tampering::tampered;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const LEASE: Duration = Duration::from_secs(15);
/// From the end of a lease to the next leader: a look.
const LOOK: Duration = Duration::from_millis(2500);

#[tokio::test(start_paused = true)]
async fn the_first_one_leads_and_stays() {
    let mut bench = Bench::start(3).await;
    for _ in 0..60 {
        bench.pass(1000).await;
        assert_eq!(bench.leaders(), [0]);
    }
    let server = bench.server.lock();
    assert_eq!(
        (server.spec("holderIdentity"), server.spec("leaseTransitions")),
        (json!("replica-0"), json!(0))
    );
    assert!(server.requests < 130, "{} requests in a minute", server.requests);
}

#[tokio::test(start_paused = true)]
async fn a_killed_leader_is_replaced_after_the_lease_that_was_seen_and_never_earlier() {
    for late in 0..20 {
        let mut bench = Bench::start(2).await;
        bench.pass(10_000 + late * 100).await;
        bench.kill(0);
        let took = bench.until_another_leads(0).await;
        // The last renewal was at most one retry period before the end.
        assert!(took > LEASE - SECOND * 2 - MS * 100 && took <= LEASE + LOOK, "{took:?}");
        assert_eq!(bench.server.lock().spec("leaseTransitions"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_terminated_leader_is_replaced_at_once_even_when_nobody_watches() {
    for (deaf, limit) in [(false, MS * 50), (true, LOOK)] {
        let mut bench = Bench::start(2).await;
        bench.line(1, Line { deaf, ..Line::default() });
        bench.pass(10_000).await;
        bench.terminate(0);
        let took = bench.until_another_leads(0).await;
        assert!(took <= limit, "{took:?}");
        assert_eq!(bench.server.lock().spec("holderIdentity"), "replica-1");
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_one_gives_the_lease_back_as_client_go_does() {
    let mut bench = Bench::start(1).await;
    bench.pass(5000).await;
    bench.terminate(0);
    bench.pass(100).await;
    let server = bench.server.lock();
    let fields = ["holderIdentity", "leaseDurationSeconds", "leaseTransitions"];
    assert_eq!(fields.map(|field| server.spec(field)), [json!(""), json!(1), json!(0)]);
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_is_not_put_off_by_a_late_sight_of_the_lease_that_it_took() {
    let mut bench = Bench::start(1).await;
    bench.terminate(0);
    bench.pass(100).await;
    bench.add(1, Timestamp::now);
    bench.until_another_leads(0).await;
    for _ in 0..50 {
        bench.pass(1).await;
        assert_eq!(bench.leaders(), [1]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_changed_just_before_the_end_is_still_given_back() {
    let mut bench = Bench::start(1).await;
    bench.pass(5000).await;
    bench.tamper(&json!({"strategy": "OldestEmulationVersion"}));
    bench.terminate(0);
    bench.pass(100).await;
    assert_eq!(bench.server.lock().spec("holderIdentity"), "");
}

#[tokio::test(start_paused = true)]
async fn a_claim_under_way_at_the_end_is_given_back() {
    let mut bench = Bench::start(0).await;
    bench.add(0, Timestamp::now);
    bench.pass(1).await;
    // The claim is stored, its answer is on the way.
    bench.line(0, Line { late: MS * 500, ..Line::default() });
    bench.pass(100).await;
    bench.terminate(0);
    bench.pass(3000).await;
    assert_eq!(bench.server.lock().spec("holderIdentity"), "");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_reach_the_server_stops_before_another_begins() {
    let mut bench = Bench::start(2).await;
    bench.pass(10_000).await;
    bench.line(0, Line { down: true, ..Line::default() });
    let cut = bench.start.elapsed();
    let took = bench.until_another_leads(0).await;
    assert!(took > SECOND * 10 && took <= LEASE + LOOK, "{took:?}");
    let last = bench.last_write(0);
    assert!(last <= cut + SECOND * 10, "{last:?}");
    bench.line(0, Line::default());
    bench.pass(60_000).await;
    assert_eq!(bench.leaders(), [1], "the old one follows");
}

#[tokio::test(start_paused = true)]
async fn an_outage_for_all_ends_with_the_same_leader_when_nobody_took_over() {
    let mut bench = Bench::start(3).await;
    bench.pass(10_000).await;
    let down = Line { down: true, ..Line::default() };
    (0..3).for_each(|who| bench.line(who, down));
    bench.pass(11_000).await;
    assert_eq!(bench.leaders(), [0_usize; 0]);
    bench.pass(60_000).await;
    (0..3).for_each(|who| bench.line(who, Line::default()));
    bench.pass(3000).await;
    assert_eq!(bench.leaders().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_was_stopped_for_longer_than_the_lease_writes_nothing_when_it_wakes() {
    let mut bench = Bench::start(2).await;
    bench.pass(10_050).await;
    bench.stop(0, true);
    bench.until_another_leads(0).await;
    bench.pass(30_000).await;
    let last = bench.last_write(0);
    bench.stop(0, false);
    bench.pass(60_000).await;
    assert_eq!((bench.last_write(0), bench.leaders()), (last, vec![1]));
}

#[tokio::test(start_paused = true)]
async fn a_short_pause_changes_nothing() {
    let mut bench = Bench::start(2).await;
    bench.pass(10_000).await;
    bench.stop(0, true);
    bench.pass(7000).await;
    bench.stop(0, false);
    bench.pass(60_000).await;
    assert_eq!((bench.leaders(), bench.server.lock().spec("leaseTransitions")), (vec![0], json!(0)));
}

#[tokio::test(start_paused = true)]
async fn lost_replies_lose_no_leadership_that_the_server_has_confirmed_in_time() {
    let mut bench = Bench::start(2).await;
    bench.pass(10_000).await;
    bench.line(0, Line { loses_replies: true, ..Line::default() });
    bench.pass(5000).await;
    bench.line(0, Line::default());
    bench.pass(5000).await;
    assert_eq!((bench.leaders(), bench.server.lock().spec("leaseTransitions")), (vec![0], json!(0)));
    // For long: the server takes every renewal, and nobody hears of it.
    bench.line(0, Line { loses_replies: true, ..Line::default() });
    bench.pass(60_000).await;
    assert_eq!(bench.leaders(), [1], "what is not confirmed is not held");
}

#[tokio::test(start_paused = true)]
async fn slow_renewals_keep_it_and_too_slow_ones_do_not() {
    let mut bench = Bench::start(2).await;
    bench.pass(10_000).await;
    bench.line(0, Line { slow: SECOND * 2, late: SECOND * 2, ..Line::default() });
    for _ in 0..60 {
        bench.pass(1000).await;
        assert_eq!(bench.leaders(), [0]);
    }
    bench.line(0, Line { slow: SECOND * 6, ..Line::default() });
    let took = bench.until_another_leads(0).await;
    assert!(took > SECOND * 10, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn wall_clocks_that_jump_or_stand_still_change_nothing() {
    fn jumps() -> Timestamp {
        use std::sync::atomic::{AtomicI64, Ordering};
        static CALLS: AtomicI64 = AtomicI64::new(0);
        let day = CALLS.fetch_add(1, Ordering::Relaxed) * 7919 % 40_000;
        Timestamp::from_second((day - 20_000) * 86_400).unwrap()
    }
    fn stands() -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
    for wall in [jumps, stands] {
        let mut bench = Bench::start(0).await;
        for who in 0..2 {
            bench.add(who, wall);
            bench.pass(100).await;
        }
        for _ in 0..120 {
            bench.pass(1000).await;
            assert_eq!(bench.leaders(), [0]);
        }
        bench.kill(0);
        let took = bench.until_another_leads(0).await;
        assert!(took <= LEASE + LOOK, "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_lease_is_to_keep_is_there_soon_and_whoever_leads_next_reads_it() {
    let mut bench = Bench::start(2).await;
    bench.pass(10_000).await;
    let permit = |bench: &Bench, who| bench.server.lock().replicas[&who].permit().unwrap();
    let (start, wish) = (Instant::now(), bench.wish(0, "pods").unwrap());
    permit(&bench, 0).until_kept(wish).await.unwrap();
    assert!(start.elapsed() < MS * 250, "{:?}", start.elapsed());
    assert_eq!(permit(&bench, 0).memo().unwrap().as_deref(), Some("pods"));

    // Many wishes are few renewals.
    let before = bench.server.lock().requests;
    for wish in 0..100 {
        bench.wish(0, &format!("wish-{wish}")).unwrap();
        bench.pass(10).await;
    }
    let asked = bench.server.lock().requests - before;
    assert!((4..=8).contains(&asked), "{asked} requests in a second");

    // One that is lost on its way is stored with the next renewal.
    bench.line(0, Line { down: true, ..Line::default() });
    let wish = bench.wish(0, "pods,nodes").unwrap();
    bench.pass(3000).await;
    bench.line(0, Line::default());
    permit(&bench, 0).until_kept(wish).await.unwrap();
    assert_eq!(bench.leaders(), [0], "to be wished for more costs nobody the lease");

    bench.terminate(0);
    bench.until_another_leads(0).await;
    assert_eq!(permit(&bench, 1).memo().unwrap().as_deref(), Some("pods,nodes"));
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_leader_wished_is_not_stored_when_it_leads_again() {
    let mut bench = Bench::start(2).await;
    bench.pass(10_000).await;
    bench.line(0, Line { down: true, ..Line::default() });
    bench.wish(0, "stale").unwrap();
    bench.until_another_leads(0).await;
    bench.line(0, Line::default());
    bench.wish(1, "new").unwrap();
    bench.pass(3000).await;
    bench.kill(1);
    bench.until_another_leads(1).await;
    bench.pass(10_000).await;
    let memo = bench.server.lock().replicas[&0].permit().unwrap().memo();
    assert_eq!(memo.unwrap().as_deref(), Some("new"));
}

/// Everything that may happen, in an order that a seed makes; the judge looks on.
async fn storm(seed: u64) {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut bench = Bench::start(3).await;
    bench.pass(5000).await;
    for _ in 0..40 {
        let who = random.random_range(0..3);
        let short = Duration::from_millis(random.random_range(0..6000));
        match random.random_range(0..14) {
            0..3 => bench.stop(who, true),
            3 | 4 => bench.stop(who, false),
            5 => bench.line(who, Line { down: true, ..Line::default() }),
            6 => bench.line(who, Line { loses_replies: true, deaf: true, ..Line::default() }),
            7 => bench.line(who, Line { slow: short, late: short / 2, ..Line::default() }),
            8 | 9 => bench.line(who, Line::default()),
            10 => bench.tamper(&tampered()[random.random_range(0..6)]),
            // Who does not lead has nobody to ask.
            11 | 12 => drop(bench.wish(who, &format!("{short:?}"))),
            _ => bench.server.lock().delete(),
        }
        bench.pass(random.random_range(0..12_000)).await;
    }
    for who in 0..3 {
        bench.line(who, Line::default());
        bench.stop(who, false);
    }
    bench.pass(320_000).await;
    let leaders = bench.leaders();
    assert_eq!(leaders.len(), 1, "one leads when the storm is over");
    for _ in 0..30 {
        bench.pass(1000).await;
        assert_eq!(bench.leaders(), leaders);
    }
}

#[test]
fn two_never_lead_at_once_whatever_happens() {
    for seed in 0..30 {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let storm = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(storm(seed))));
        assert!(storm.is_ok(), "seed {seed}");
    }
}
