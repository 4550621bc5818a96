use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::*;
use crate::leader::testing::Lead;
use crate::ledger::{Judged, Said};
use crate::observe::wire::Limits;
use crate::policy::PolicyEntry;
use crate::policy::catalog::{ServedResource, ServedVersion};
use crate::report::cases::{at, enter, node, running, target, verdict};
use crate::report::fake::Fake;

/// A writer at work, with a policy `p` on Deployments.
struct Bench {
    fake: Fake,
    ledger: Arc<Ledger>,
    catalog: watch::Sender<Option<Arc<Catalog>>>,
    board: watch::Sender<Arc<Board>>,
    lead: Lead,
    _set: watch::Sender<Arc<PolicySet>>,
    _tasks: JoinSet<()>,
}

fn catalog(served: bool) -> Option<Arc<Catalog>> {
    let resource = |name: &&str| {
        let served = ServedResource { kind: "Kind".into(), namespaced: true, watchable: true };
        (Arc::from(*name), served)
    };
    let version =
        ServedVersion { version: "v1alpha1".into(), resources: RESOURCES.iter().map(resource).collect() };
    let groups = served.then(|| ("openreports.io".into(), vec![version]));
    Some(Arc::new(Catalog { groups: groups.into_iter().collect(), ..Catalog::default() }))
}

fn board(state: TargetState) -> Arc<Board> {
    Arc::new(Board { policies: [("p".into(), [target("deployments", state)].into())].into() })
}

impl Bench {
    fn start(mode: Mode, earlier: &Value) -> Self {
        Self::start_with(Ledger::new(), mode, earlier)
    }

    fn start_with(ledger: Arc<Ledger>, mode: Mode, earlier: &Value) -> Self {
        let fake = Fake::default();
        fake.lists(earlier);
        let entry: PolicyEntry = running("p");
        let entries = [(entry.name.clone(), Arc::new(entry))].into();
        let (set, sets) = watch::channel(Arc::new(PolicySet { revision: 1, entries }));
        let (board, boards) = watch::channel(board(TargetState::Synced));
        let (catalog, catalogs) = watch::channel(catalog(true));
        let identify: Identify = Arc::new(|key: &ObjectKey| {
            let uid = Arc::clone(&key.object.name);
            Some(Identity { api_version: "apps/v1".into(), kind: "Deployment".into(), uid })
        });
        let sources =
            Sources { ledger: Arc::clone(&ledger), set: sets, board: boards, catalog: catalogs, identify };
        let (lead, client) = (Lead::new(true), fake.client());
        let wire = Wire::new(client.clone(), Limits::default());
        let settings = Settings { mode, per_second: 20 };
        let writer = ReportWriter::new((wire, client), sources, settings, Metrics::new("test").unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(writer.run(lead.leadership(), CancellationToken::new()));
        Self { fake, ledger, catalog, board, lead, _set: set, _tasks: tasks }
    }

    fn judge(&self, object: &str, fails: &[&str], second: i64) {
        enter(&self.ledger, "p", object, verdict(fails.iter().map(|text| node(text)).collect()), at(second));
    }

    async fn pass(&self, seconds: u64) {
        sleep(Duration::from_secs(seconds)).await;
    }

    /// Method and end of the path of each write so far.
    fn writes(&self) -> Vec<String> {
        let end = |path: &str| path.rsplit('/').next().unwrap().to_owned();
        self.fake.sent().iter().map(|sent| format!("{} {}", sent.method, end(&sent.path))).collect()
    }
}

fn none() -> Value {
    json!([])
}

#[tokio::test(start_paused = true)]
async fn a_report_comes_with_the_first_failure_changes_with_what_it_says_and_goes_with_the_last() {
    let bench = Bench::start(Mode::Failures, &none());
    bench.judge("good", &[], 0);
    bench.judge("a", &["spec.a"], 0);
    bench.pass(1).await;
    assert_eq!(bench.writes(), ["PATCH watchpolicy-a"]);
    assert_eq!(bench.fake.sent()[0].body["results"][0]["message"], "spec.a");
    bench.judge("a", &["spec.a"], 5);
    bench.pass(1).await;
    assert_eq!(bench.writes().len(), 1, "nothing changed but the time");
    bench.judge("a", &["spec.b"], 6);
    bench.pass(1).await;
    bench.judge("a", &[], 7);
    bench.pass(1).await;
    assert_eq!(bench.writes()[1..], ["PATCH watchpolicy-a", "DELETE watchpolicy-a"]);
}

#[tokio::test(start_paused = true)]
async fn reports_go_with_their_policy() {
    let bench = Bench::start(Mode::Failures, &none());
    bench.judge("a", &["spec.a"], 0);
    bench.pass(1).await;
    bench.ledger.withdraw("p");
    bench.pass(1).await;
    assert_eq!(bench.writes(), ["PATCH watchpolicy-a", "DELETE watchpolicy-a"]);
}

#[tokio::test(start_paused = true)]
async fn all_results_are_those_of_passing_policies_too() {
    let bench = Bench::start(Mode::All, &none());
    bench.judge("good", &[], 0);
    bench.pass(1).await;
    assert_eq!(bench.writes(), ["PATCH watchpolicy-good"]);
    assert_eq!(bench.fake.sent()[0].body["results"][0]["result"], "pass");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_or_written_before_the_cluster_serves_reports_and_all_is_once_it_does() {
    let bench = Bench::start(Mode::Failures, &none());
    bench.catalog.send_replace(catalog(false));
    bench.pass(1).await;
    bench.judge("a", &["spec.a"], 0);
    bench.pass(60).await;
    assert_eq!(bench.writes(), [""; 0]);
    bench.catalog.send_replace(catalog(true));
    bench.pass(1).await;
    assert_eq!(bench.writes(), ["PATCH watchpolicy-a"]);
}

#[tokio::test(start_paused = true)]
async fn only_the_leader_writes_and_the_next_one_begins_with_what_it_knows() {
    let bench = Bench::start(Mode::Failures, &none());
    bench.lead.set(false);
    bench.pass(1).await;
    bench.judge("a", &["spec.a"], 0);
    bench.pass(60).await;
    assert_eq!(bench.writes(), [""; 0]);
    bench.lead.set(true);
    bench.pass(1).await;
    assert_eq!(bench.writes(), ["PATCH watchpolicy-a"]);
}

/// Reports of an earlier run as a list shows them.
fn earlier(report: &Value, names: &[&str]) -> Value {
    let item = |name: &&str| {
        let mut metadata = report["metadata"].clone();
        metadata["name"] = (*name).into();
        json!({"metadata": metadata})
    };
    names.iter().map(item).collect()
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_run_wrote_is_taken_over_and_what_is_nobodys_goes_when_all_objects_are_known() {
    let first = Bench::start(Mode::Failures, &none());
    first.judge("a", &["spec.a"], 0);
    first.pass(1).await;
    let report = first.fake.sent()[0].body.clone();

    let bench = Bench::start(
        Mode::Failures,
        &earlier(&report, &["watchpolicy-a", "watchpolicy-gone", "somebody-elses"]),
    );
    bench.board.send_replace(board(TargetState::Listing));
    bench.judge("a", &["spec.a"], 500);
    bench.pass(100).await;
    assert_eq!(bench.writes(), [""; 0], "the same is there already, and objects are still being listed");
    bench.board.send_replace(board(TargetState::Synced));
    bench.pass(40).await;
    // The fake lists the same items as reports and as cluster reports.
    assert!(bench.writes().iter().all(|write| write == "DELETE watchpolicy-gone"), "{:?}", bench.writes());
    assert!(!bench.writes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_report_that_somebody_deleted_or_wrote_over_is_back_within_minutes() {
    let bench = Bench::start(Mode::Failures, &none());
    bench.judge("a", &["spec.a"], 0);
    bench.pass(1).await;
    let report = bench.fake.sent()[0].body.clone();
    let there = earlier(&report, &["watchpolicy-a"]);
    bench.fake.lists(&there);
    bench.pass(1500).await;
    assert_eq!(bench.writes().len(), 1, "it is there");
    bench.fake.lists(&none());
    bench.pass(600).await;
    bench.fake.lists(&there);
    bench.pass(1800).await;
    assert_eq!(bench.writes().len(), 2, "it was written again once");
    let mut other = report;
    other["metadata"]["annotations"]["watchpolicy.io/digest"] = "00".into();
    bench.fake.lists(&earlier(&other, &["watchpolicy-a"]));
    bench.pass(600).await;
    assert_eq!(bench.writes(), ["PATCH watchpolicy-a"; 3]);
}

#[tokio::test(start_paused = true)]
async fn what_may_work_later_is_tried_again_and_holds_nobody_up() {
    let bench = Bench::start(Mode::Failures, &none());
    bench.fake.answers(&[503]);
    bench.judge("a", &["spec.a"], 0);
    bench.pass(2).await;
    bench.judge("b", &["spec.a"], 0);
    bench.pass(2).await;
    assert_eq!(bench.writes(), ["PATCH watchpolicy-a", "PATCH watchpolicy-b"]);
    bench.pass(60).await;
    assert_eq!(bench.writes()[2..], ["PATCH watchpolicy-a"]);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_refuses_reports_holds_up_no_other_and_is_asked_seldom() {
    let bench = Bench::start(Mode::Failures, &none());
    bench.fake.answers(&[403]);
    for object in ["a", "b", "c"] {
        bench.judge(object, &["spec.a"], 0);
    }
    bench.pass(1).await;
    assert_eq!(bench.writes().len(), 1, "one is refused, and the others are not even tried");
    enter_in(&bench.ledger, "other", "d");
    bench.pass(1).await;
    assert_eq!(bench.writes()[1..], ["PATCH watchpolicy-d"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_namespace_refused_is_tried_again_until_it_does_not() {
    let bench = Bench::start(Mode::Failures, &none());
    bench.fake.answers(&[403, 403]);
    for object in ["a", "b", "c"] {
        bench.judge(object, &["spec.a"], 0);
    }
    bench.pass(100).await;
    assert_eq!(bench.writes().len(), 2, "once a minute, then seldom");
    bench.pass(100).await;
    assert_eq!(bench.writes().len(), 5, "all three in the end");
}

/// A failure on a Deployment of a namespace.
fn enter_in(ledger: &Ledger, namespace: &str, object: &str) {
    let object = crate::resource::ObjectName { namespace: Some(namespace.into()), name: object.into() };
    let uid: Arc<str> = object.name.clone();
    let key = ObjectKey { resource: GroupResource::new("apps", "deployments"), object };
    let said = Said {
        policy: "p".into(),
        api_version: &"apps/v1".into(),
        kind: &"Deployment".into(),
        judgement: verdict(vec![node("spec.a")]),
    };
    ledger.enter(Judged { key: &key, uid: &uid, listed: false, said: vec![said] }, at(0));
}

#[tokio::test(start_paused = true)]
async fn what_the_server_refuses_is_not_sent_again_and_again() {
    let bench = Bench::start(Mode::Failures, &none());
    bench.fake.answers(&[422]);
    bench.judge("a", &["spec.a"], 0);
    bench.pass(600).await;
    assert_eq!(bench.writes().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn many_reports_are_written_at_a_pace() {
    let bench = Bench::start(Mode::Failures, &none());
    for object in 0..200 {
        bench.judge(&object.to_string(), &["spec.a"], 0);
    }
    bench.pass(5).await;
    let written = bench.writes().len();
    assert!((100..=125).contains(&written), "{written} in 5 s of 20 a second, after a burst of 20");
    bench.pass(10).await;
    assert_eq!(bench.writes().len(), 200);
}

#[tokio::test(start_paused = true)]
async fn what_the_ledger_has_no_room_for_is_left_as_it_was_reported() {
    let bench = Bench::start_with(Ledger::bounded(1), Mode::Failures, &none());
    bench.judge("a", &["spec.a"], 0);
    bench.pass(60).await;
    assert_eq!(bench.writes(), [""; 0], "nothing is reported of what is only counted, and nothing deleted");
}
