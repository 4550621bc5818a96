//! The machine against a scripted server, under paused time.

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use http_body::Frame;
use http_body_util::StreamBody;
use http_body_util::combinators::UnsyncBoxBody;
use parking_lot::Mutex;
use tokio::time::timeout;

use super::*;
use crate::observe::wire::Limits;
use crate::resource::Gvr;

/// What the server does with one request.
#[derive(Clone)]
enum Answer {
    Body(u16, String),
    /// Lines of a watch, then what follows them.
    Watch(Vec<String>, Then),
    /// Lines of a watch, each after so many seconds.
    Drip(Vec<(u64, String)>),
    /// Nothing, for ever.
    Silence,
    RetryAfter(u64),
}

#[derive(Clone, Copy)]
enum Then {
    End,
    Silence,
    Cut,
}

type ServerBody = UnsyncBoxBody<Bytes, std::io::Error>;

fn chunks(parts: Vec<Result<String, std::io::Error>>, then: Then) -> ServerBody {
    let parts = stream::iter(parts).map(|part| part.map(|text| Frame::data(Bytes::from(text))));
    let rest = match then {
        Then::End => stream::empty().boxed(),
        Then::Silence => stream::pending().boxed(),
        Then::Cut => {
            stream::iter([Ok(Frame::data("{\"ty".into())), Err(std::io::Error::other("reset"))]).boxed()
        }
    };
    UnsyncBoxBody::new(StreamBody::new(parts.chain(rest)))
}

/// A server that follows a script, repeats its last answer, and notes every request.
struct Server {
    script: Mutex<VecDeque<Answer>>,
    requests: Mutex<Vec<String>>,
    start: Instant,
}

impl Server {
    fn new(script: impl IntoIterator<Item = Answer>) -> Arc<Self> {
        let script = Mutex::new(script.into_iter().collect());
        Arc::new(Self { script, requests: Mutex::default(), start: Instant::now() })
    }

    fn next(&self, uri: &str) -> Answer {
        self.requests.lock().push(format!("{:?} {uri}", self.start.elapsed().as_secs()));
        let mut script = self.script.lock();
        match script.len() {
            1 => script[0].clone(),
            _ => script.pop_front().expect("the script is not empty"),
        }
    }

    fn client(self: &Arc<Self>) -> kube::Client {
        let server = Arc::clone(self);
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let answer = server.next(&request.uri().to_string());
            async move {
                let response = http::Response::builder();
                Ok::<_, Infallible>(match answer {
                    Answer::Body(code, text) => {
                        response.status(code).body(chunks(vec![Ok(text)], Then::End)).unwrap()
                    }
                    Answer::Watch(lines, then) => response
                        .body(chunks(lines.into_iter().map(|line| Ok(line + "\n")).collect(), then))
                        .unwrap(),
                    Answer::Drip(drops) => {
                        let drops = stream::iter(drops).then(|(seconds, line)| async move {
                            sleep(Duration::from_secs(seconds)).await;
                            Ok(Frame::data(Bytes::from(line + "\n")))
                        });
                        response.body(UnsyncBoxBody::new(StreamBody::new(drops))).unwrap()
                    }
                    Answer::Silence => std::future::pending().await,
                    Answer::RetryAfter(seconds) => response
                        .status(429)
                        .header("retry-after", seconds)
                        .body(chunks(Vec::new(), Then::End))
                        .unwrap(),
                })
            }
        });
        kube::Client::new(service, "default")
    }

    fn requests(&self) -> usize {
        self.requests.lock().len()
    }
}

/// Holds names, as a store would.
#[derive(Default)]
struct Held {
    names: BTreeSet<String>,
    in_list: BTreeSet<String>,
    phases: Vec<Phase>,
    errors: Vec<WatchFailure>,
}

struct TestSink(Arc<Mutex<Held>>);

fn name(raw: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(raw).unwrap();
    value["metadata"]["name"].as_str().unwrap().to_owned()
}

impl Sink for TestSink {
    fn listing(&mut self) {
        self.0.lock().in_list.clear();
    }
    fn seen(&mut self, raw: &str) {
        let mut held = self.0.lock();
        held.names.insert(name(raw));
        held.in_list.insert(name(raw));
    }
    fn deleted(&mut self, raw: &str) {
        self.0.lock().names.remove(&name(raw));
    }
    fn listed(&mut self) {
        let mut held = self.0.lock();
        held.names = held.in_list.clone();
    }
    fn phase(&mut self, phase: Phase) {
        let mut held = self.0.lock();
        if held.phases.last() != Some(&phase) {
            held.phases.push(phase);
        }
    }
    fn count(&mut self, signal: Signal) {
        if let Signal::Failure(failure) = signal {
            self.0.lock().errors.push(failure);
        }
    }
}

fn object(name: &str, version: u32) -> String {
    format!(r#"{{"metadata":{{"name":"{name}","resourceVersion":"{version}"}}}}"#)
}

fn list(names: &[&str], version: u32, next: &str) -> Answer {
    let items: Vec<_> = names.iter().map(|name| object(name, version)).collect();
    let items = items.join(",");
    Answer::Body(
        200,
        format!(
            r#"{{"kind":"PodList","metadata":{{"resourceVersion":"{version}","continue":"{next}"}},"items":[{items}]}}"#
        ),
    )
}

fn event(kind: &str, name: &str, version: u32) -> String {
    format!(r#"{{"type":"{kind}","object":{}}}"#, object(name, version))
}

fn status(code: u16, reason: &str) -> Answer {
    Answer::Body(code, format!(r#"{{"kind":"Status","code":{code},"reason":"{reason}","message":"no"}}"#))
}

fn review(allowed: bool) -> Answer {
    Answer::Body(201, format!(r#"{{"metadata":{{}},"spec":{{}},"status":{{"allowed":{allowed}}}}}"#))
}

fn watching() -> Answer {
    Answer::Watch(Vec::new(), Then::Silence)
}

/// Runs an informer against a script for a while; gives what it holds and what it asked.
async fn run(script: Vec<Answer>, seconds: u64) -> (Held, Vec<String>) {
    run_within(Limits::default(), script, seconds).await
}

async fn run_within(limits: Limits, script: Vec<Answer>, seconds: u64) -> (Held, Vec<String>) {
    let server = Server::new(script);
    let wire = Wire::new(server.client(), limits);
    let held = Arc::new(Mutex::new(Held::default()));
    let settings = Settings { access_check: Duration::from_secs(100_000), ..Settings::default() };
    let collection = Collection::all(Gvr::new("", "v1", "pods"));
    let informer = Informer::new(wire, collection, settings, TestSink(Arc::clone(&held)));
    let run = informer.run(CancellationToken::new());
    assert!(
        timeout(Duration::from_secs(seconds), run).await.is_err(),
        "an informer ends only when it is told to"
    );
    let held = std::mem::take(&mut *held.lock());
    let requests = server.requests.lock().clone();
    (held, requests)
}

fn names(held: &Held) -> Vec<&str> {
    held.names.iter().map(String::as_str).collect()
}

#[tokio::test(start_paused = true)]
async fn it_lists_in_pages_and_watches_from_the_lists_version() {
    let script = vec![list(&["a"], 5, "more"), list(&["b"], 5, ""), watching()];
    let (held, requests) = run(script, 5).await;
    assert_eq!(names(&held), ["a", "b"]);
    assert_eq!(held.phases, [Phase::Listing, Phase::Synced]);
    assert_eq!(requests[0], "0 /api/v1/pods?limit=500");
    assert_eq!(requests[1], "0 /api/v1/pods?limit=500&continue=more");
    assert!(
        requests[2].contains("watch=true") && requests[2].contains("resourceVersion=5"),
        "{}",
        requests[2]
    );
}

#[tokio::test(start_paused = true)]
async fn events_are_followed_and_a_watch_that_ends_goes_on_from_the_last_version() {
    let events = vec![event("ADDED", "b", 6), event("DELETED", "a", 7), event("BOOKMARK", "", 9)];
    let script = vec![list(&["a"], 5, ""), Answer::Watch(events, Then::End), watching()];
    let (held, requests) = run(script, 5).await;
    assert_eq!(names(&held), ["b"]);
    assert!(requests[2].contains("resourceVersion=9"), "{}", requests[2]);
}

#[tokio::test(start_paused = true)]
async fn an_expired_version_in_the_stream_or_at_the_start_means_a_new_list_that_finds_what_went() {
    let expired = r#"{"type":"ERROR","object":{"code":410,"reason":"Expired"}}"#.to_owned();
    for refused in [Answer::Watch(vec![expired], Then::Silence), status(410, "Gone")] {
        let script = vec![list(&["a", "b"], 5, ""), refused, list(&["b", "c"], 8, ""), watching()];
        let (held, requests) = run(script, 10).await;
        assert_eq!(names(&held), ["b", "c"]);
        assert!(requests[3].contains("resourceVersion=8"), "{}", requests[3]);
        assert_eq!(held.errors, [WatchFailure::Expired]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_expired_continue_token_begins_the_list_again_with_larger_pages() {
    let script = vec![list(&["a"], 5, "old"), status(410, "Expired"), list(&["b"], 6, ""), watching()];
    let (held, requests) = run(script, 10).await;
    assert_eq!(names(&held), ["b"]);
    assert!(requests[2].ends_with("/api/v1/pods?limit=1000"), "{}", requests[2]);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_too_large_is_asked_for_in_smaller_ones_which_grow_again() {
    let large = || list(&[&"x".repeat(1000)], 5, "two");
    let script = vec![
        list(&["a"], 5, "one"),
        large(),
        list(&["b"], 5, "two"),
        list(&["c"], 5, "three"),
        list(&["d"], 5, "four"),
        list(&["e"], 5, ""),
        watching(),
    ];
    let limits = Limits { body_bytes: 1000, ..Limits::default() };
    let (held, requests) = run_within(limits, script, 5).await;
    assert_eq!(names(&held), ["a", "b", "c", "d", "e"]);
    assert_eq!(held.phases, [Phase::Listing, Phase::Synced], "it is no failure");
    let asked: Vec<_> = requests[..6].iter().map(|asked| asked.split("limit=").nth(1).unwrap()).collect();
    assert_eq!(
        asked,
        [
            "500",
            "500&continue=one",
            "125&continue=one",
            "250&continue=two",
            "500&continue=three",
            "500&continue=four"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_list_that_cannot_go_on_behind_a_long_name_comes_as_events() {
    let end = r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"8","annotations":{"k8s.io/initial-events-end":"true"}}}}"#;
    let events = vec![event("ADDED", "b", 6), event("ADDED", "c", 4), end.to_owned()];
    let script =
        vec![list(&["a"], 5, &"long".repeat(20_000)), Answer::Watch(events, Then::Silence), watching()];
    let (held, requests) = run(script, 5).await;
    assert_eq!(names(&held), ["b", "c"]);
    assert_eq!(held.phases, [Phase::Listing, Phase::Synced]);
    assert!(requests[1].contains("sendInitialEvents=true"), "{}", requests[1]);
    assert!(requests[2].contains("resourceVersion=8"), "{}", requests[2]);
    let script = vec![list(&["a"], 5, &"long".repeat(20_000)), status(400, "BadRequest")];
    let script = script.into_iter().cycle().take(40).collect();
    let (held, requests) = run(script, 60).await;
    assert!(matches!(held.phases.last(), Some(Phase::Degraded(_))), "{:?}", held.phases);
    assert!(requests.len() < 40, "{}", requests.len());
}

#[tokio::test(start_paused = true)]
async fn a_list_of_very_many_small_pages_has_an_end() {
    let pages = (0..5000).map(|page| list(&["a"], 5, &format!("{page}")));
    let (held, _) = run(pages.chain([list(&["b"], 5, ""), watching()]).collect(), 5).await;
    assert_eq!(held.phases, [Phase::Listing, Phase::Synced]);
}

#[tokio::test(start_paused = true)]
async fn a_cut_watch_is_taken_up_again_and_loses_nothing() {
    let cut = Answer::Watch(vec![event("ADDED", "b", 6)], Then::Cut);
    let (held, requests) = run(vec![list(&["a"], 5, ""), cut, watching()], 10).await;
    assert_eq!(names(&held), ["a", "b"]);
    assert!(requests[2].contains("resourceVersion=6"), "{}", requests[2]);
    assert_eq!(held.phases, [Phase::Listing, Phase::Synced]);
}

#[tokio::test(start_paused = true)]
async fn three_failed_starts_mean_a_new_list() {
    let fail = || status(503, "ServiceUnavailable");
    let script = vec![list(&["a"], 5, ""), fail(), fail(), fail(), list(&["b"], 9, ""), watching()];
    let (held, _) = run(script, 60).await;
    assert_eq!(names(&held), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn where_no_bookmarks_come_watches_end_before_the_patience() {
    let (_, requests) = run(vec![list(&["a"], 5, ""), watching()], 50).await;
    let seconds: u32 =
        requests[1].split("timeoutSeconds=").nth(1).unwrap().split('&').next().unwrap().parse().unwrap();
    assert!((60..=84).contains(&seconds), "{seconds}");
}

/// The seconds at which a request was made, and for how many seconds a watch was asked for.
fn asked(request: &str) -> (u64, u64) {
    let duration = request.split("timeoutSeconds=").nth(1).and_then(|rest| rest.split('&').next());
    (request.split(' ').next().unwrap().parse().unwrap(), duration.map_or(0, |text| text.parse().unwrap()))
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_falls_silent_is_opened_anew_and_goes_on_without_a_word() {
    let answers = Answer::Watch(vec![event("BOOKMARK", "", 6)], Then::Silence);
    let (held, requests) = run(vec![list(&["a"], 5, ""), watching(), answers], 120).await;
    assert_eq!((held.phases, held.errors), (vec![Phase::Listing, Phase::Synced], vec![]));
    assert!(requests[2].contains("resourceVersion=5"), "{}", requests[2]);
    let ((at, duration), most) = (asked(&requests[2]), 0.8 * 120.0 + 1.0);
    assert!(at as f64 <= most && duration == 6, "{requests:?}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_stays_silent_is_degraded_within_the_liveness_and_a_list_tells_the_truth() {
    let script = vec![list(&["a"], 5, ""), watching(), watching(), list(&["b"], 9, ""), watching()];
    let (held, _) = run(script.clone(), 85).await;
    assert_eq!(held.phases, [Phase::Listing, Phase::Synced]);
    let (held, requests) = run(script, 122).await;
    assert!(
        matches!(&held.phases[2], Phase::Degraded(why) if why.contains("no answer")),
        "{:?}",
        held.phases
    );
    assert_eq!((names(&held), held.phases.last()), (vec!["b"], Some(&Phase::Synced)));
    assert_eq!(requests.len(), 5, "{requests:?}");
    assert!(asked(&requests[3]).0 <= 120, "{requests:?}");
    assert!(asked(&requests[4]).1 > 6, "the list ends the doubt: {requests:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_watch_that_cannot_be_opened_anew_is_degraded_at_once() {
    let script = vec![list(&["a"], 5, ""), watching(), status(503, "ServiceUnavailable")];
    let (held, _) = run(script, 100).await;
    assert!(matches!(held.phases.last(), Some(Phase::Degraded(_))), "{:?}", held.phases);
}

#[tokio::test(start_paused = true)]
async fn patience_counts_from_the_last_sign_of_life_and_from_nothing_else() {
    // With a bookmark on the way the next watch is a long one; it is silent from the start.
    let bookmark = Answer::Drip(vec![(2, event("BOOKMARK", "", 6))]);
    let script = vec![list(&["a"], 5, ""), bookmark, watching(), watching()];
    let (_, requests) = run(script, 110).await;
    assert!((97..=100).contains(&asked(&requests[3]).0), "{requests:?}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_drips_on_after_its_end_is_given_up() {
    let drops = vec![event("MODIFIED", "a", 6); 40].into_iter().map(|line| (50, line));
    let (_, requests) = run(vec![list(&["a"], 5, ""), Answer::Drip(drops.collect()), watching()], 200).await;
    assert!(requests.len() >= 3, "{requests:?}");
}

#[tokio::test(start_paused = true)]
async fn events_before_a_sudden_end_do_not_become_a_storm() {
    let one = || Answer::Watch(vec![event("MODIFIED", "a", 6)], Then::End);
    let (_, requests) = run(vec![list(&["a"], 5, ""), one()], 600).await;
    assert!(requests.len() < 60, "{}", requests.len());
    let expired = r#"{"type":"ERROR","object":{"code":410,"reason":"Expired"}}"#.to_owned();
    let lists = (0..200).flat_map(|_| {
        [list(&["a"], 5, ""), Answer::Watch(vec![event("MODIFIED", "a", 6), expired.clone()], Then::Silence)]
    });
    let (_, requests) = run(lists.collect(), 600).await;
    assert!(requests.len() < 100, "{}", requests.len());
}

#[tokio::test(start_paused = true)]
async fn a_list_that_goes_on_where_it_was_is_an_error_and_no_storm() {
    let (held, requests) = run(vec![list(&["a"], 5, "same")], 600).await;
    assert!(requests.len() < 100, "{}", requests.len());
    assert!(matches!(held.phases.last(), Some(Phase::Degraded(_))));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_list_takes_nothing_away() {
    let script = vec![
        list(&["a"], 5, ""),
        status(410, "Gone"),
        Answer::Body(200, r#"{"kind":"Status","metadata":{},"status":"Failure","code":500}"#.to_owned()),
    ];
    let (held, _) = run(script, 60).await;
    assert_eq!(names(&held), ["a"]);
    assert!(matches!(held.phases.last(), Some(Phase::Degraded(_))));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_opens_and_dies_again_and_again_is_not_called_synced() {
    let dies = Answer::Watch(Vec::new(), Then::Cut);
    let (held, _) = run(
        vec![list(&["a"], 5, ""), dies.clone(), dies.clone(), dies.clone(), list(&["a"], 6, ""), dies],
        60,
    )
    .await;
    assert_eq!(held.phases[..2], [Phase::Listing, Phase::Synced]);
    assert!(matches!(held.phases.last(), Some(Phase::Degraded(_))), "{:?}", held.phases);
    let (held, _) = run(vec![list(&["a"], 5, ""), Answer::RetryAfter(60)], 10).await;
    assert!(matches!(held.phases.last(), Some(Phase::Degraded(_))), "{:?}", held.phases);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_never_answered_is_given_up_and_tried_again() {
    let (held, requests) = run(vec![Answer::Silence], 600).await;
    assert!((6..=10).contains(&requests.len()), "{requests:?}");
    assert!(matches!(held.phases.last(), Some(Phase::Degraded(why)) if why.contains("no answer")));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_everything_is_asked_ever_more_rarely() {
    for refusal in [status(500, "InternalError"), status(404, "NotFound"), status(504, "Timeout")] {
        let (_, requests) = run(vec![refusal], 600).await;
        assert!((20..=45).contains(&requests.len()), "{}", requests.len());
    }
}

#[tokio::test(start_paused = true)]
async fn watches_that_end_as_soon_as_they_begin_do_not_become_a_storm() {
    let (_, requests) = run(vec![list(&["a"], 5, ""), Answer::Watch(Vec::new(), Then::End)], 600).await;
    assert!(requests.len() < 45, "{}", requests.len());
}

#[tokio::test(start_paused = true)]
async fn an_absurd_retry_after_does_not_leave_the_target_blind() {
    let script = vec![Answer::RetryAfter(86_400), list(&["a"], 5, ""), watching()];
    let (held, requests) = run(script, 90).await;
    assert_eq!(names(&held), ["a"]);
    let longest = Settings::default().backoff.longest.as_secs();
    assert!(requests[1].starts_with(&format!("{longest} ")), "{}", requests[1]);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_cannot_be_read_means_a_new_list() {
    let bad = Answer::Watch(vec!["not json".to_owned()], Then::Silence);
    let (held, _) = run(vec![list(&["a"], 5, ""), bad, list(&["b"], 6, ""), watching()], 10).await;
    assert_eq!(names(&held), ["b"]);
    assert_eq!(held.errors, [WatchFailure::Undecodable]);
}

#[tokio::test(start_paused = true)]
async fn a_missing_permission_is_asked_for_at_most_twice_a_minute_and_heals() {
    let script = vec![
        status(403, "Forbidden"),
        review(false),
        review(false),
        review(false),
        review(true),
        list(&["a"], 5, ""),
        watching(),
    ];
    let server = Server::new(script);
    let wire = Wire::new(server.client(), Limits::default());
    let held = Arc::new(Mutex::new(Held::default()));
    let collection = Collection::all(Gvr::new("", "v1", "pods"));
    let informer = Informer::new(wire, collection, Settings::default(), TestSink(Arc::clone(&held)));
    let stop = CancellationToken::new();
    let run = informer.run(stop.clone());
    tokio::pin!(run);
    assert!(timeout(Duration::from_secs(130), &mut run).await.is_err());
    assert_eq!(held.lock().phases, [Phase::Listing, Phase::Forbidden { verb: "list" }]);
    assert!(server.requests() <= 4);
    assert!(timeout(Duration::from_secs(50), &mut run).await.is_err());
    assert_eq!(held.lock().phases.last(), Some(&Phase::Synced));
    stop.cancel();
    run.await;
}

#[tokio::test(start_paused = true)]
async fn a_permission_taken_away_from_an_open_watch_is_noticed_within_the_interval() {
    let script = vec![list(&["a"], 5, ""), watching(), review(true), review(false), review(false)];
    let server = Server::new(script);
    let wire = Wire::new(server.client(), Limits::default());
    let held = Arc::new(Mutex::new(Held::default()));
    let collection = Collection::all(Gvr::new("", "v1", "pods"));
    let informer = Informer::new(
        wire,
        collection,
        Settings { liveness: Duration::from_secs(1000), ..Settings::default() },
        TestSink(Arc::clone(&held)),
    );
    assert!(timeout(Duration::from_secs(125), informer.run(CancellationToken::new())).await.is_err());
    assert_eq!(held.lock().phases.last(), Some(&Phase::Forbidden { verb: "watch" }));
    assert_eq!(held.lock().names.len(), 1, "what is known is kept");
}
