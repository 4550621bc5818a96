use std::collections::VecDeque;

use parking_lot::Mutex;

use super::*;
use crate::leader::testing::Lead;
use crate::observe::statuses::Shown;
use crate::policy::FINALIZER;
use crate::report::cases::{at, enter, invalid, node, running, target, verdict};
use crate::resource::{ObjectKey, ObjectName};

const MS: Duration = Duration::from_millis(1);
const INTERVAL: Duration = Duration::from_secs(5);

/// A store that keeps what was written and when, and answers as it was told.
#[derive(Clone, Default)]
struct Fake(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    writes: Vec<(Instant, StatusPatch)>,
    answers: VecDeque<Result<(), WriteFault>>,
    takes: Duration,
    under_way: usize,
    most_under_way: usize,
}

impl StatusStore for Fake {
    async fn store(&self, patch: &StatusPatch, permit: &Permit) -> Result<(), WriteFault> {
        permit.check()?;
        let takes = {
            let mut told = self.0.lock();
            told.writes.push((Instant::now(), patch.clone()));
            told.under_way += 1;
            told.most_under_way = told.most_under_way.max(told.under_way);
            told.takes
        };
        let answered = permit.guard(tokio::time::sleep(takes)).await;
        let mut told = self.0.lock();
        told.under_way -= 1;
        answered?;
        told.answers.pop_front().unwrap_or(Ok(()))
    }
}

/// A writer at work.
struct Bench {
    fake: Fake,
    ledger: Arc<Ledger>,
    metrics: Arc<Metrics>,
    set: watch::Sender<Arc<PolicySet>>,
    board: watch::Sender<Arc<Board>>,
    statuses: Arc<Statuses>,
    lead: Lead,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    start: Instant,
}

impl Bench {
    /// With these policies, all targets synced.
    fn start(entries: Vec<PolicyEntry>) -> Self {
        Self::start_with(entries, Lead::new(true), Arc::default())
    }

    /// Of a process that finds this status of the policy `p`.
    fn restart(stored: Arc<WatchPolicyStatus>) -> Self {
        let statuses = Arc::default();
        show(&statuses, "p", stored);
        Self::start_with(vec![running("p")], Lead::new(true), statuses)
    }

    fn start_with(entries: Vec<PolicyEntry>, lead: Lead, statuses: Arc<Statuses>) -> Self {
        Self::start_noting(entries, lead, statuses, Arc::new(|_policy: &str| 0))
    }

    /// `left` is asked at each look at a policy that ends.
    fn start_noting(entries: Vec<PolicyEntry>, lead: Lead, statuses: Arc<Statuses>, left: Left) -> Self {
        let (fake, ledger, stop) = (Fake::default(), Ledger::new(), CancellationToken::new());
        let metrics = Metrics::new("test").unwrap();
        let board = Board { policies: entries.iter().map(|entry| (entry.name.clone(), synced())).collect() };
        let (set, sets) = watch::channel(Arc::new(set_of(entries)));
        let (board, boards) = watch::channel(Arc::new(board));
        let writer = StatusWriter::new(
            fake.clone(),
            Arc::clone(&ledger),
            Arc::clone(&metrics),
            Settings { interval: INTERVAL, allow_enforce: false, left },
            lead.leadership(),
        );
        let sources = Sources { set: sets, board: boards, statuses: Arc::clone(&statuses) };
        let mut tasks = JoinSet::new();
        tasks.spawn(writer.run(sources, stop.clone()));
        Self { fake, ledger, metrics, set, board, statuses, lead, stop, tasks, start: Instant::now() }
    }

    /// Lets so many milliseconds go by.
    async fn pass(&self, millis: u32) {
        tokio::time::sleep(MS * millis).await;
    }

    fn fails(&self, object: &str) {
        enter(&self.ledger, "p", object, verdict(vec![node("spec.a")]), at(0));
    }

    fn passes(&self, object: &str) {
        enter(&self.ledger, "p", object, verdict(vec![]), at(1));
    }

    /// The policies' watch shows this.
    fn show(&self, entries: Vec<PolicyEntry>) {
        self.set.send_replace(Arc::new(set_of(entries)));
    }

    /// When writes were sent, in milliseconds, and how many violations they told.
    fn writes(&self) -> Vec<(u128, u64)> {
        let violations = |patch: &StatusPatch| patch.status.summary.map_or(0, |summary| summary.violations);
        let told = self.fake.0.lock();
        told.writes.iter().map(|(at, patch)| ((*at - self.start).as_millis(), violations(patch))).collect()
    }

    fn last(&self) -> StatusPatch {
        self.fake.0.lock().writes.last().unwrap().1.clone()
    }

    async fn end(&mut self) {
        self.stop.cancel();
        while let Some(done) = self.tasks.join_next().await {
            done.unwrap();
        }
    }
}

/// The watch shows this status of a policy.
fn show(statuses: &Statuses, policy: &str, status: Arc<WatchPolicyStatus>) {
    let shown = Shown { uid: running(policy).uid, status: Some(status) };
    statuses.show(&policy.into(), shown);
}

fn set_of(entries: Vec<PolicyEntry>) -> PolicySet {
    let entries = entries.into_iter().map(|entry| (entry.name.clone(), Arc::new(entry))).collect();
    PolicySet { revision: 1, entries }
}

fn synced() -> Arc<[TargetReport]> {
    [target("deployments", TargetState::Synced)].into()
}

/// The board of a policy `p` whose target is being listed.
fn listing() -> Arc<Board> {
    let reports: Arc<[TargetReport]> = [target("deployments", TargetState::Listing)].into();
    Arc::new(Board { policies: [("p".into(), reports)].into() })
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_changes_is_one_write_after_a_short_quiet_time() {
    let bench = Bench::start(vec![running("p")]);
    for object in ["a", "b", "c"] {
        bench.fails(object);
        bench.pass(50).await;
    }
    bench.pass(1000).await;
    assert_eq!(bench.writes(), [(200, 3)]);
}

#[tokio::test(start_paused = true)]
async fn changes_without_pause_are_written_once_an_interval_and_the_last_is_not_lost() {
    let bench = Bench::start(vec![running("p")]);
    for object in 0..60 {
        bench.fails(&object.to_string());
        bench.pass(100).await;
    }
    bench.pass(20_000).await;
    let writes = bench.writes();
    let times: Vec<_> = writes.iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [200, 5200, 10_200]);
    assert_eq!(writes.last().unwrap().1, 60);
}

#[tokio::test(start_paused = true)]
async fn after_a_quiet_time_a_change_is_written_soon_again() {
    let bench = Bench::start(vec![running("p")]);
    bench.pass(60_000).await;
    bench.fails("a");
    bench.pass(1000).await;
    assert_eq!(bench.writes(), [(200, 0), (60_200, 1)]);
}

#[tokio::test(start_paused = true)]
async fn what_changes_and_changes_back_is_not_written() {
    let bench = Bench::start(vec![running("p")]);
    bench.passes("a");
    bench.pass(10_000).await;
    bench.fails("a");
    bench.pass(50).await;
    bench.passes("a");
    bench.pass(10_000).await;
    assert_eq!(bench.writes(), [(200, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_status_that_is_already_stored_is_not_written_again() {
    let first = Bench::start(vec![running("p")]);
    first.fails("a");
    first.pass(1000).await;
    let stored = first.last().status;
    // The echo of the write, by the policy's watch.
    show(&first.statuses, "p", Arc::clone(&stored));
    first.pass(20_000).await;
    assert_eq!(first.writes().len(), 1);
    // The next process finds it.
    let restarted = Bench::restart(stored);
    restarted.pass(50).await;
    enter(&restarted.ledger, "p", "a", verdict(vec![node("spec.a")]), at(500));
    restarted.pass(20_000).await;
    assert_eq!(restarted.writes(), [], "only the time of the evaluation is new");
}

#[tokio::test(start_paused = true)]
async fn a_status_that_somebody_else_changed_is_written_again() {
    let bench = Bench::start(vec![running("p")]);
    bench.fails("a");
    bench.pass(10_000).await;
    let foreign = Arc::new(WatchPolicyStatus::default());
    show(&bench.statuses, "p", foreign);
    bench.pass(10_000).await;
    assert_eq!(bench.writes(), [(200, 1), (10_200, 1)]);
}

#[tokio::test(start_paused = true)]
async fn an_edit_that_shows_an_old_status_again_does_not_hide_what_was_written_since() {
    let bench = Bench::start(vec![running("p")]);
    let old = Arc::new(WatchPolicyStatus::default());
    show(&bench.statuses, "p", Arc::clone(&old));
    bench.fails("a");
    bench.pass(1000).await;
    show(&bench.statuses, "p", old);
    bench.show(vec![PolicyEntry { finalizers: ["example.com/theirs".into()].into(), ..running("p") }]);
    bench.pass(20_000).await;
    assert_eq!(bench.writes(), [(200, 1)]);
}

#[tokio::test(start_paused = true)]
async fn of_a_thousand_policies_only_the_one_that_changed_is_looked_at() {
    let looked: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = Arc::clone(&looked);
    let left: Left = Arc::new(move |policy: &str| {
        noted.lock().push(policy.to_owned());
        1
    });
    let held = |name: &str| PolicyEntry { finalizers: [FINALIZER.into()].into(), ..running(name) };
    let names: Vec<_> = (0..1000).map(|n| format!("p{n:03}")).collect();
    let entries = names.iter().map(|name| held(name)).collect();
    let bench = Bench::start_noting(entries, Lead::new(true), Arc::default(), left);
    // All are looked at once in a while, since they end: the last time at 5.2 s, the next one at 6.2 s.
    bench.pass(5300).await;
    assert_eq!(bench.writes().len(), 1000);
    // The echo of each write.
    let written: Vec<_> = bench.fake.0.lock().writes.iter().map(|(_, patch)| patch.clone()).collect();
    looked.lock().clear();
    for patch in written {
        show(&bench.statuses, &patch.name, patch.status);
    }
    enter(&bench.ledger, "p007", "a", verdict(vec![node("spec.a")]), at(0));
    bench.pass(400).await;
    assert_eq!(*looked.lock(), ["p007"]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_write_is_tried_again_with_growing_waits_and_the_newest_status() {
    let bench = Bench::start(vec![running("p")]);
    let failed = || Err(WriteFault::Failed("the server is down".to_owned()));
    bench.fake.0.lock().answers = [failed(), failed(), failed(), failed(), Ok(())].into();
    bench.pass(7000).await;
    bench.fails("a");
    bench.pass(60_000).await;
    assert_eq!(bench.writes(), [(200, 0), (5200, 0), (10_200, 1), (15_200, 1), (20_200, 1)]);
    let page = bench.metrics.page().unwrap();
    assert!(page.contains("watchpolicy_report_writes_total{outcome=\"failed\"} 4"), "{page}");
    assert!(page.contains("watchpolicy_report_writes_total{outcome=\"written\"} 1"), "{page}");
}

#[tokio::test(start_paused = true)]
async fn a_write_without_an_answer_is_given_up_and_tried_again() {
    let bench = Bench::start(vec![running("p")]);
    bench.fake.0.lock().takes = Duration::from_secs(3600);
    bench.pass(12_000).await;
    assert_eq!(bench.writes(), [(200, 0), (10_700, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_went_is_not_written_to_again() {
    let bench = Bench::start(vec![running("p")]);
    bench.fake.0.lock().answers = [Err(WriteFault::Gone)].into();
    bench.pass(300).await;
    bench.show(vec![]);
    bench.fails("a");
    bench.pass(60_000).await;
    assert_eq!(bench.writes().len(), 1);
    assert_eq!(
        bench.ledger.tally("p").summary.matched,
        0,
        "a late verdict on a policy that is gone is not kept"
    );
}

#[tokio::test(start_paused = true)]
async fn an_edit_that_makes_a_policy_invalid_withdraws_its_verdicts() {
    let bench = Bench::start(vec![running("p"), running("q")]);
    bench.fails("a");
    enter(&bench.ledger, "q", "b", verdict(vec![node("spec.a")]), at(0));
    bench.pass(10_000).await;
    bench.show(vec![invalid("p"), running("q")]);
    bench.pass(1000).await;
    let last = bench.last();
    assert_eq!((&*last.name, last.status.summary), ("p", None));
    assert!(last.status.violations.is_empty());
    assert_eq!(bench.ledger.tally("q").summary.failed, 1, "other policies go on");
}

#[tokio::test(start_paused = true)]
async fn a_policy_created_again_under_its_name_starts_without_verdicts() {
    let bench = Bench::start(vec![running("p")]);
    bench.fails("a");
    bench.pass(10_000).await;
    let object = ObjectName { namespace: None, name: "web".into() };
    let web = ObjectKey { resource: GroupResource::new("", "pods"), object };
    bench.ledger.note_tracked(("p", 1), &web, false);
    bench.show(vec![PolicyEntry { uid: "another".into(), ..running("p") }]);
    bench.pass(1000).await;
    assert_eq!(bench.ledger.page("p", &[], 0).obstacles.kept(), None, "the other one wrote that");
    let last = bench.last();
    assert_eq!((&*last.uid, last.status.violations.len()), ("another", 0));
}

#[tokio::test(start_paused = true)]
async fn a_right_is_missing_no_more_for_a_target_that_its_policy_drops() {
    let bench = Bench::start(vec![running("p")]);
    bench.pass(300).await;
    let names = ["deployments", "statefulsets"].map(|name| GroupResource::new("apps", name));
    let own = GroupResource::new("watchpolicy.io", "watchpolicies");
    for resource in names.iter().chain([&own]) {
        bench.ledger.note_denied("p", resource, Some("no right".into()));
    }
    bench.show(vec![running("p")]);
    bench.pass(1000).await;
    assert_eq!(bench.ledger.page("p", &[], 0).obstacles.denied.len(), 3, "a status alone changes nothing");
    bench.set.send_replace(Arc::new(PolicySet { revision: 2, ..set_of(vec![running("p")]) }));
    bench.pass(1000).await;
    let denied: Vec<_> = bench.ledger.page("p", &[], 0).obstacles.denied.into_keys().collect();
    assert_eq!(denied, [names[0].clone(), own]);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_a_target_is_written_for_its_policies_alone() {
    let bench = Bench::start(vec![running("p"), running("q")]);
    bench.pass(10_000).await;
    let mut board = Board::clone(&bench.board.borrow());
    board.policies.insert("q".into(), [target("deployments", TargetState::Degraded)].into());
    bench.board.send_replace(Arc::new(board));
    bench.pass(1000).await;
    assert_eq!(bench.writes().len(), 3);
    let last = bench.last();
    assert_eq!((&*last.name, last.status.reason.as_deref()), ("q", Some("Degraded")));
}

#[tokio::test(start_paused = true)]
async fn many_policies_are_written_a_few_at_a_time_and_all() {
    let mut bench = Bench::start((0..50).map(|number| running(&format!("p{number}"))).collect());
    bench.fake.0.lock().takes = MS * 100;
    bench.pass(3000).await;
    assert_eq!(bench.writes().len(), 50);
    assert_eq!(bench.fake.0.lock().most_under_way, MAX_WRITES);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn at_the_end_the_last_changes_are_written_at_once() {
    let mut bench = Bench::start(vec![running("p")]);
    bench.pass(1000).await;
    bench.fails("a");
    bench.end().await;
    assert_eq!(bench.writes(), [(200, 0), (1000, 1)]);
}

#[tokio::test(start_paused = true)]
async fn at_the_end_a_server_that_does_not_answer_is_not_waited_for() {
    let mut bench = Bench::start(vec![running("p")]);
    bench.fake.0.lock().takes = Duration::from_secs(3600);
    bench.pass(1000).await;
    let end = Instant::now();
    bench.end().await;
    assert_eq!(end.elapsed(), FLUSH);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_only_looks_like_gone_is_tried_again() {
    let bench = Bench::start(vec![running("p")]);
    bench.fake.0.lock().answers = [Err(WriteFault::Gone)].into();
    bench.pass(60_000).await;
    assert_eq!(bench.writes().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_first_page_waits_a_moment_for_its_verdicts() {
    let bench = Bench::start(vec![running("p")]);
    bench.board.send_replace(listing());
    bench.pass(500).await;
    assert_eq!(bench.writes(), []);
    bench.fails("a");
    bench.board.send_replace(Arc::new(Board { policies: [("p".into(), synced())].into() }));
    bench.pass(300).await;
    assert_eq!(bench.writes().iter().map(|(_, violations)| *violations).collect::<Vec<_>>(), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_is_no_news_while_the_targets_are_listed_anew() {
    let bench = Bench::start(vec![running("p")]);
    bench.fails("a");
    bench.pass(1000).await;
    let restarted = Bench::restart(bench.last().status);
    restarted.board.send_replace(listing());
    restarted.pass(3000).await;
    assert_eq!(restarted.writes(), [], "what is stored is better than half a list");
    restarted.fails("a");
    restarted.fails("b");
    restarted.board.send_replace(Arc::new(Board { policies: [("p".into(), synced())].into() }));
    restarted.pass(400).await;
    assert_eq!(restarted.writes().iter().map(|(_, violations)| *violations).collect::<Vec<_>>(), [2]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_whose_lists_take_too_long_says_so() {
    let bench = Bench::start(vec![running("p")]);
    bench.pass(1000).await;
    let restarted = Bench::restart(bench.last().status);
    restarted.board.send_replace(listing());
    restarted.pass(61_000).await;
    assert_eq!(restarted.writes().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_follower_writes_nothing_and_once_it_leads_only_what_differs() {
    let leader = Bench::start(vec![running("p")]);
    leader.fails("a");
    leader.pass(1000).await;

    let follower = Bench::start_with(vec![running("p"), running("q")], Lead::new(false), Arc::default());
    // It saw the same, later.
    enter(&follower.ledger, "p", "a", verdict(vec![node("spec.a")]), at(7));
    follower.pass(100).await;
    show(&follower.statuses, "p", leader.last().status);
    follower.pass(600_000).await;
    assert_eq!(follower.writes(), []);
    follower.lead.set(true);
    follower.pass(1000).await;
    let told: Vec<_> = follower.fake.0.lock().writes.iter().map(|(_, patch)| patch.name.clone()).collect();
    assert_eq!(told, ["q".into()]);
}

#[tokio::test(start_paused = true)]
async fn what_was_being_written_when_leadership_went_is_written_when_it_is_back() {
    let bench = Bench::start(vec![running("p")]);
    bench.fake.0.lock().takes = MS * 500;
    bench.pass(400).await;
    bench.lead.set(false);
    bench.pass(60_000).await;
    assert_eq!(bench.writes().len(), 1);
    bench.lead.set(true);
    bench.pass(1000).await;
    assert_eq!(bench.writes(), [(200, 0), (60_400, 0)]);
}

#[tokio::test(start_paused = true)]
async fn at_its_end_a_follower_writes_nothing_and_does_not_wait() {
    let mut bench = Bench::start_with(vec![running("p")], Lead::new(false), Arc::default());
    bench.fails("a");
    bench.end().await;
    assert_eq!((bench.writes(), bench.start.elapsed()), (vec![], Duration::ZERO));
}
