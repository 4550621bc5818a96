use tokio::task::JoinSet;

use super::*;
use crate::leader::testing::Lead;
use crate::report::cases::{at, enter, node, running, verdict};
use crate::report::events::announcement::Happening;
use crate::report::fake::{Fake, Sent};

/// A writer at work, with a policy `p`.
struct Bench {
    fake: Fake,
    ledger: Arc<Ledger>,
    metrics: Arc<Metrics>,
    announcer: Announcer,
    lead: Lead,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    _set: watch::Sender<Arc<PolicySet>>,
}

impl Bench {
    async fn start(on_resources: bool) -> Self {
        let (fake, ledger, stop) = (Fake::default(), Ledger::new(), CancellationToken::new());
        let (lead, metrics) = (Lead::new(true), Metrics::new("test").unwrap());
        let entry = running("p");
        let entries = [(entry.name.clone(), Arc::new(entry))].into();
        let (set, sets) = watch::channel(Arc::new(PolicySet { revision: 1, entries }));
        let settings = Settings { on_resources, identity: "replica-1".into() };
        let (writer, announcer) =
            EventWriter::new(fake.client(), settings, Arc::clone(&metrics), lead.leadership());
        let mut tasks = JoinSet::new();
        tasks.spawn(writer.run(Arc::clone(&ledger), sets, stop.clone()));
        let bench = Self { fake, ledger, metrics, announcer, lead, stop, tasks, _set: set };
        bench.pass(1).await;
        bench
    }

    fn tell(&self, note: &str) {
        let what = Happening::warning("Invalid", "Validate");
        self.announcer.tell(Announcement::on_policy(&running("p"), what, note));
    }

    async fn pass(&self, seconds: u64) {
        sleep(Duration::from_secs(seconds)).await;
    }

    fn dropped(&self) -> u64 {
        let page = self.metrics.page().unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix("watchpolicy_events_dropped_total "));
        line.unwrap().parse().unwrap()
    }

    fn creations(&self) -> Vec<Sent> {
        self.fake.sent().into_iter().filter(|sent| sent.method == "POST").collect()
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_is_what_the_api_wants_it_to_be() {
    let bench = Bench::start(false).await;
    bench.tell("InvalidPath: $.a[ ends too soon");
    bench.pass(1).await;
    let sent = bench.creations().remove(0);
    assert_eq!(sent.path, "/apis/events.k8s.io/v1/namespaces/default/events");
    let event = &sent.body;
    assert_eq!(event["regarding"]["kind"], "WatchPolicy");
    assert_eq!(event["regarding"]["uid"], "uid-of-p");
    assert_eq!(event["reason"], "Invalid");
    assert_eq!(event["action"], "Validate");
    assert_eq!(event["type"], "Warning");
    assert_eq!(event["note"], "InvalidPath: $.a[ ends too soon");
    assert_eq!(event["reportingController"], "watchpolicy.io/operator");
    assert_eq!(event["reportingInstance"], "replica-1");
    assert!(event["eventTime"].as_str().unwrap().contains('.'), "with microseconds: {event}");
}

#[tokio::test(start_paused = true)]
async fn the_same_told_again_is_counted_in_a_series() {
    let bench = Bench::start(false).await;
    for _ in 0..10 {
        bench.tell("again");
        bench.pass(1).await;
    }
    bench.pass(120).await;
    let sent = bench.fake.sent();
    let counts: Vec<_> = sent.iter().map(|sent| sent.body["series"]["count"].clone()).collect();
    assert_eq!(counts, [serde_json::Value::Null, 2.into(), 10.into()]);
    let name = sent[0].body["metadata"]["name"].as_str().unwrap();
    assert!(sent[1].path.ends_with(name), "{}", sent[1].path);
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_tells_too_much_has_the_rest_dropped_and_counted() {
    let bench = Bench::start(false).await;
    for note in 0..100 {
        bench.tell(&note.to_string());
    }
    bench.pass(1).await;
    assert_eq!(bench.creations().len(), 25);
    assert_eq!(bench.dropped(), 75);
    bench.pass(10).await;
    bench.tell("later there is a budget again");
    bench.pass(1).await;
    assert_eq!(bench.creations().len(), 26);
}

#[tokio::test(start_paused = true)]
async fn only_the_leader_writes() {
    let bench = Bench::start(false).await;
    bench.lead.set(false);
    bench.tell("as a follower");
    bench.pass(60).await;
    assert_eq!(bench.fake.sent().len(), 0);
    assert_eq!(bench.dropped(), 0, "the leader tells it");
}

#[tokio::test(start_paused = true)]
async fn what_may_work_later_is_tried_again_and_what_never_will_is_dropped() {
    let bench = Bench::start(false).await;
    bench.fake.answers(&[503, 200]);
    bench.tell("a");
    bench.pass(10).await;
    assert_eq!((bench.creations().len(), bench.dropped()), (2, 0));
    bench.fake.answers(&[422]);
    bench.tell("b");
    bench.pass(10).await;
    assert_eq!((bench.creations().len(), bench.dropped()), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn without_the_right_the_server_is_not_asked_for_each_event() {
    let bench = Bench::start(false).await;
    bench.fake.answers(&[403]);
    for note in 0..10 {
        bench.tell(&note.to_string());
    }
    bench.pass(1).await;
    assert_eq!((bench.creations().len(), bench.dropped()), (1, 10));
    bench.pass(60).await;
    bench.tell("a minute later");
    bench.pass(1).await;
    assert_eq!(bench.creations().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_refuses_events_keeps_those_on_policies_from_nobody() {
    let bench = Bench::start(true).await;
    bench.fake.answers(&[403]);
    enter(&bench.ledger, "p", "web", verdict(vec![node("spec.a is 1")]), at(0));
    bench.pass(1).await;
    bench.tell("in the namespace default");
    bench.pass(1).await;
    let paths: Vec<_> = bench.creations().into_iter().map(|sent| sent.path).collect();
    assert!(paths[0].contains("/shop/") && paths[1].contains("/default/"), "{paths:?}");
}

#[tokio::test(start_paused = true)]
async fn objects_are_told_of_in_their_namespaces_where_that_is_asked_for() {
    for (on_resources, expected) in [(true, vec!["ViolationBegan", "ViolationEnded"]), (false, vec![])] {
        let bench = Bench::start(on_resources).await;
        enter(&bench.ledger, "p", "web", verdict(vec![node("spec.a is 1")]), at(0));
        bench.pass(1).await;
        enter(&bench.ledger, "p", "web", verdict(vec![]), at(1));
        bench.pass(1).await;
        let sent = bench.creations();
        let reasons: Vec<_> = sent.iter().map(|sent| sent.body["reason"].as_str().unwrap()).collect();
        assert_eq!(reasons, expected);
        for sent in &sent {
            assert_eq!(sent.path, "/apis/events.k8s.io/v1/namespaces/shop/events");
            assert_eq!(sent.body["regarding"]["name"], "web");
        }
        if let Some(began) = sent.first() {
            assert_eq!(began.body["note"], "policy p, rule owner: spec.a is 1");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_does_not_wait_for_a_server_that_does_not_answer() {
    let mut bench = Bench::start(false).await;
    bench.fake.answers(&[503; 100]);
    bench.tell("a");
    bench.tell("b");
    let start = Instant::now();
    bench.stop.cancel();
    while let Some(done) = bench.tasks.join_next().await {
        done.unwrap();
    }
    assert!(start.elapsed() <= FLUSH, "{:?}", start.elapsed());
}
