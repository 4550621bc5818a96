use std::collections::BTreeMap;
use std::pin::pin;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::*;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const LEASE: Duration = Duration::from_secs(15);
/// From the end of a lease to the next leader: a look.
const LOOK: Duration = Duration::from_millis(2500);

/// What happens to the requests of one replica.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    /// On the way there.
    slow: Duration,
    /// On the way back.
    late: Duration,
    down: bool,
    loses_replies: bool,
    deaf: bool,
}

/// The API server, as far as a Lease and writes with a permit go.
#[derive(Default)]
struct Server {
    lease: Option<Value>,
    version: u64,
    lines: BTreeMap<usize, Line>,
    watches: BTreeMap<usize, watch::Sender<Option<Lease>>>,
    replicas: BTreeMap<usize, Leadership>,
    /// Writes that were sent, and when they arrive.
    under_way: Vec<(usize, Instant)>,
    writes: Vec<(usize, Instant)>,
    requests: usize,
}

impl Server {
    fn store(&mut self, mut object: Value) -> Lease {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = format!("uid-{}", self.version).into();
        }
        self.lease = Some(object.clone());
        self.show();
        Lease::new(object)
    }

    fn show(&self) {
        for (who, watch) in &self.watches {
            if !self.lines[who].deaf && !self.lines[who].down {
                watch.send_replace(self.lease.clone().map(Lease::new));
            }
        }
    }

    fn spec(&self, field: &str) -> Value {
        self.lease.as_ref().map(|lease| lease["spec"][field].clone()).unwrap_or_default()
    }

    /// As `kubectl patch` would.
    fn tamper(&mut self, spec: &Value) {
        let Some(mut object) = self.lease.clone() else { return };
        for (field, value) in spec.as_object().unwrap() {
            object["spec"][field] = value.clone();
        }
        self.store(object);
    }

    fn delete(&mut self) {
        self.lease = None;
        self.show();
    }

    fn leaders(&self) -> Vec<usize> {
        let leads = |(who, leadership): (&usize, &Leadership)| leadership.permit().ok().map(|_| *who);
        self.replicas.iter().filter_map(leads).collect()
    }
}

/// A replica's way to the server.
#[derive(Clone)]
struct Way {
    who: usize,
    server: Arc<Mutex<Server>>,
}

impl Way {
    async fn ask<T>(&self, act: impl FnOnce(&mut Server) -> Result<T, LeaseFault>) -> Result<T, LeaseFault> {
        let line = self.server.lock().lines[&self.who];
        sleep(line.slow + MS).await;
        if line.down {
            return Err(LeaseFault::Failed("connection refused".to_owned()));
        }
        let answer = {
            let mut server = self.server.lock();
            server.requests += 1;
            act(&mut server)
        };
        sleep(line.late).await;
        if line.loses_replies { Err(LeaseFault::Failed("connection reset".to_owned())) } else { answer }
    }
}

impl LeaseStore for Way {
    fn place(&self) -> (&str, &str) {
        ("watchpolicy-system", "watchpolicy")
    }

    async fn read(&self) -> Result<Option<Lease>, LeaseFault> {
        self.ask(|server| Ok(server.lease.clone().map(Lease::new))).await
    }

    async fn create(&self, lease: &Lease) -> Result<Lease, LeaseFault> {
        let object = lease.object().clone();
        self.ask(
            |server| {
                if server.lease.is_some() { Err(LeaseFault::Conflict) } else { Ok(server.store(object)) }
            },
        )
        .await
    }

    async fn replace(&self, lease: &Lease) -> Result<Lease, LeaseFault> {
        let (version, object) = (lease.version().to_owned(), lease.object().clone());
        self.ask(|server| match &server.lease {
            Some(stored) if stored["metadata"]["resourceVersion"] == *version => Ok(server.store(object)),
            Some(_) | None => Err(LeaseFault::Conflict),
        })
        .await
    }
}

/// Does not touch the work while the process is stopped, as SIGSTOP does; time goes on.
async fn stoppable<W: Future>(mut stopped: watch::Receiver<bool>, work: W) -> W::Output {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            Ok(_) = stopped.wait_for(|stopped| *stopped) => {}
            done = &mut work => return done,
        }
        stopped.wait_for(|stopped| !*stopped).await.unwrap();
    }
}

/// Writes whenever it may; a write takes its time to be sent and to arrive.
async fn write(leadership: Leadership, way: Way) {
    loop {
        if let Ok(permit) = leadership.permit() {
            let work = async {
                let slow = way.server.lock().lines[&way.who].slow;
                sleep(slow).await;
                let mut server = way.server.lock();
                assert_eq!(server.leaders(), [way.who], "a write is sent by who alone leads");
                let now = Instant::now();
                server.writes.push((way.who, now));
                // The server may take its time with what it has.
                server.under_way.push((way.who, now + SECOND * 4));
            };
            permit.guard(work).await.unwrap_or_default();
        }
        sleep(MS * 100).await;
    }
}

/// Looks all the time whether two may write, or a late write arrives while another leads.
async fn judge(server: Arc<Mutex<Server>>) {
    loop {
        {
            let mut server = server.lock();
            let (leaders, now) = (server.leaders(), Instant::now());
            assert!(leaders.len() <= 1, "{leaders:?} lead at once");
            let arrived = server.under_way.extract_if(.., |(_, at)| *at <= now).collect::<Vec<_>>();
            for (who, _) in arrived {
                assert!(leaders.iter().all(|leader| *leader == who), "{who} writes while {leaders:?} leads");
            }
        }
        sleep(MS * 5).await;
    }
}

/// A watch begins with the Lease as it was when the watch was asked for, which may be late.
async fn begin_to_show(
    who: usize,
    server: Arc<Mutex<Server>>,
    shown: watch::Sender<Option<Lease>>,
    before: Option<Lease>,
) {
    sleep(MS * 5).await;
    if before.is_some() {
        shown.send_replace(before);
    }
    sleep(MS * 5).await;
    let mut server = server.lock();
    server.watches.insert(who, shown);
    server.show();
}

struct Running {
    stop: CancellationToken,
    stopped: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

/// A server and replicas.
struct Bench {
    server: Arc<Mutex<Server>>,
    replicas: BTreeMap<usize, Running>,
    judge: JoinSet<()>,
    start: Instant,
}

impl Bench {
    async fn start(replicas: usize) -> Self {
        let server = Arc::new(Mutex::new(Server::default()));
        let mut checks = JoinSet::new();
        checks.spawn(judge(Arc::clone(&server)));
        let mut bench = Self { server, replicas: BTreeMap::new(), judge: checks, start: Instant::now() };
        for who in 0..replicas {
            bench.add(who, Timestamp::now);
            bench.pass(100).await;
        }
        bench
    }

    fn add(&mut self, who: usize, wall: fn() -> Timestamp) {
        let settings = Settings {
            identity: format!("replica-{who}").into(),
            lease: LEASE,
            renew: SECOND * 10,
            retry: SECOND * 2,
        };
        let way = Way { who, server: Arc::clone(&self.server) };
        let (elector, leadership) = Elector::new(way.clone(), settings, u64::try_from(who).unwrap(), wall);
        let (shown, seen) = watch::channel(None);
        let (stopped, stops) = watch::channel(false);
        let stop = CancellationToken::new();
        let before = {
            let mut server = self.server.lock();
            server.lines.insert(who, Line::default());
            server.replicas.insert(who, leadership.clone());
            server.lease.clone().map(Lease::new)
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(begin_to_show(who, Arc::clone(&self.server), shown, before));
        tasks.spawn(stoppable(stops.clone(), elector.run(seen, stop.clone())));
        tasks.spawn(stoppable(stops, write(leadership, way)));
        self.replicas.insert(who, Running { stop, stopped, tasks });
    }

    async fn pass(&mut self, millis: u32) {
        sleep(MS * millis).await;
        while let Some(done) = self.judge.try_join_next() {
            done.unwrap();
        }
        for replica in self.replicas.values_mut() {
            while let Some(done) = replica.tasks.try_join_next() {
                done.unwrap();
            }
        }
    }

    fn line(&self, who: usize, line: Line) {
        self.server.lock().lines.insert(who, line);
        self.server.lock().show();
    }

    fn leaders(&self) -> Vec<usize> {
        self.server.lock().leaders()
    }

    /// Waits for a leader among the others; gives how long that took.
    async fn until_another_leads(&mut self, than: usize) -> Duration {
        let start = Instant::now();
        loop {
            self.pass(1).await;
            if self.leaders().iter().any(|who| *who != than) {
                return start.elapsed();
            }
            assert!(start.elapsed() < SECOND * 600, "nobody leads");
        }
    }

    fn kill(&mut self, who: usize) {
        self.replicas.remove(&who);
        let mut server = self.server.lock();
        server.replicas.remove(&who);
        server.watches.remove(&who);
    }

    /// SIGTERM.
    fn terminate(&self, who: usize) {
        self.replicas[&who].stop.cancel();
    }

    fn stop(&self, who: usize, stopped: bool) {
        self.replicas[&who].stopped.send_replace(stopped);
    }

    fn tamper(&self, spec: &Value) {
        self.server.lock().tamper(spec);
    }

    fn last_write(&self, who: usize) -> Duration {
        let server = self.server.lock();
        server.writes.iter().rev().find(|(writer, _)| *writer == who).unwrap().1 - self.start
    }
}

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

/// What somebody may write into the Lease of a leader that lives.
fn tampered() -> [Value; 6] {
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
        let object = bench.server.lock().lease.clone();
        if let Some(mut object) = object {
            object["metadata"]["annotations"] = json!({"note": note});
            bench.server.lock().store(object);
        }
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
    let stop = |bench: &Bench, annotations: Value| {
        let mut server = bench.server.lock();
        let mut object = server.lease.clone().unwrap();
        object["metadata"]["annotations"] = annotations;
        server.store(object);
    };
    let stopped = |bench: &Bench| bench.server.lock().replicas[&0].stopped();
    stop(&bench, json!({"watchpolicy.io/writes": "stopped"}));
    bench.pass(3000).await;
    assert!(stopped(&bench));
    bench.server.lock().delete();
    bench.pass(3000).await;
    assert_eq!(bench.leaders(), [0]);
    assert!(stopped(&bench));
    stop(&bench, json!({}));
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

/// Everything that may happen, in an order that a seed makes; the judge looks on.
async fn storm(seed: u64) {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut bench = Bench::start(3).await;
    bench.pass(5000).await;
    for _ in 0..40 {
        let who = random.random_range(0..3);
        let short = Duration::from_millis(random.random_range(0..6000));
        match random.random_range(0..12) {
            0..3 => bench.stop(who, true),
            3 | 4 => bench.stop(who, false),
            5 => bench.line(who, Line { down: true, ..Line::default() }),
            6 => bench.line(who, Line { loses_replies: true, deaf: true, ..Line::default() }),
            7 => bench.line(who, Line { slow: short, late: short / 2, ..Line::default() }),
            8 | 9 => bench.line(who, Line::default()),
            10 => bench.tamper(&tampered()[random.random_range(0..6)]),
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
