//! The fleet over a small server in the process, under paused time.

mod looking;
mod room;
mod series;

use std::convert::Infallible;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body::Frame;
use http_body_util::StreamBody;
use http_body_util::combinators::UnsyncBoxBody;
use parking_lot::Mutex;
use tokio::time::sleep;

use super::*;
use crate::crd::TargetState;
use crate::crd::WatchPolicy;
use crate::observe::wire;
use crate::policy::catalog::{ServedResource, ServedVersion};
use crate::policy::{self, PolicyEntry, PolicyState};
use crate::queue::Retries;
use crate::store;

/// What the server answers to a list of a path; watches of it stay silent.
#[derive(Clone, Copy, PartialEq)]
enum Answer {
    /// One object of this name.
    One(&'static str),
    /// So many objects, in namespace `a`.
    Many(usize),
    /// So many objects, in namespace `a`, on which a policy that is gone has left something.
    Owned(usize),
    /// No object.
    Empty,
    Forbidden,
    /// Never.
    Nothing,
}

#[derive(Default)]
struct Server {
    answers: Mutex<BTreeMap<String, Answer>>,
    requests: Mutex<Vec<String>>,
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

fn whole(text: String) -> Body {
    UnsyncBoxBody::new(StreamBody::new(stream::iter([Ok(Frame::data(Bytes::from(text)))])))
}

impl Server {
    fn client(self: &Arc<Self>) -> kube::Client {
        let server = Arc::clone(self);
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let server = Arc::clone(&server);
            async move { Ok::<_, Infallible>(server.answer(request.uri()).await) }
        });
        kube::Client::new(service, "default")
    }

    async fn answer(&self, uri: &http::Uri) -> http::Response<Body> {
        let response = http::Response::builder();
        if uri.path().contains("selfsubjectaccessreviews") {
            return response
                .body(whole(r#"{"metadata":{},"spec":{},"status":{"allowed":true}}"#.into()))
                .unwrap();
        }
        let watch = uri.query().is_some_and(|query| query.contains("watch=true"));
        self.requests.lock().push(format!("{} {}", if watch { "watch" } else { "list" }, uri.path()));
        let answer = self.answers.lock().get(uri.path()).copied();
        match answer {
            Some(Answer::Forbidden) => response.status(403).body(whole("{}".into())).unwrap(),
            Some(Answer::Nothing) => std::future::pending().await,
            _ if watch => {
                response.body(UnsyncBoxBody::new(StreamBody::new(stream::pending().boxed()))).unwrap()
            }
            Some(Answer::One(name)) => {
                let namespace =
                    uri.path().split('/').nth_back(1).filter(|_| uri.path().contains("namespaces"));
                let namespace = namespace.unwrap_or("a");
                let item = format!(
                    r#"{{"metadata":{{"name":"{name}","namespace":"{namespace}","uid":"u","resourceVersion":"3"}},"spec":{{"size":1}}}}"#
                );
                let list =
                    format!(r#"{{"kind":"List","metadata":{{"resourceVersion":"5"}},"items":[{item}]}}"#);
                response.body(whole(list)).unwrap()
            }
            Some(answer @ (Answer::Many(count) | Answer::Owned(count))) => {
                let managed = match answer {
                    Answer::Owned(_) => {
                        r#"{"manager":"watchpolicy/gone","operation":"Update","fieldsV1":{"f:spec":{}}}"#
                    }
                    _ => "",
                };
                let item = |n| {
                    format!(
                        r#"{{"metadata":{{"name":"x{n}","namespace":"a","uid":"u{n}","resourceVersion":"3","managedFields":[{managed}]}},"spec":{{"size":1}}}}"#
                    )
                };
                let items = (0..count).map(item).collect::<Vec<_>>().join(",");
                let list =
                    format!(r#"{{"kind":"List","metadata":{{"resourceVersion":"5"}},"items":[{items}]}}"#);
                response.body(whole(list)).unwrap()
            }
            Some(Answer::Empty) | None => response
                .body(whole(r#"{"kind":"List","metadata":{"resourceVersion":"5"},"items":[]}"#.into()))
                .unwrap(),
        }
    }
}

const LINGER: Duration = Duration::from_secs(60);
const ALL: &str = "/apis/example.com/v1/widgets";
const IN_A: &str = "/apis/example.com/v1/namespaces/a/widgets";
const IN_B: &str = "/apis/example.com/v1/namespaces/b/widgets";

struct Harbour {
    server: Arc<Server>,
    store: Arc<Store>,
    queue: Arc<Queue<ObjectKey>>,
    policies: watch::Sender<Arc<PolicySet>>,
    catalog: watch::Sender<Option<Arc<Catalog>>>,
    looked_through: watch::Sender<Arc<BTreeSet<Place>>>,
    board: watch::Receiver<Arc<Board>>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    revision: u64,
}

impl Harbour {
    fn new(answers: &[(&str, Answer)]) -> Self {
        Self::with(answers, Limits::default(), store::Limits::default())
    }

    fn with(answers: &[(&str, Answer)], limits: Limits, kept: store::Limits) -> Self {
        let informer = informer::Settings::default();
        Self::under(answers, Settings { informer, linger: LINGER, resync: None, limits }, kept)
    }

    fn under(answers: &[(&str, Answer)], settings: Settings, kept: store::Limits) -> Self {
        let server = Arc::new(Server::default());
        let (looked_through, kinds) = watch::channel(Arc::default());
        *server.answers.lock() = answers.iter().map(|(path, answer)| ((*path).to_owned(), *answer)).collect();
        let metrics = Metrics::new("test").unwrap();
        let store = Arc::new(Store::new(kept));
        let queue = Queue::new(Retries::default(), 1, metrics.queue("objects"));
        let parts = Parts {
            wire: Wire::new(server.client(), wire::Limits::default()),
            store: Arc::clone(&store),
            queue: Arc::clone(&queue),
            metrics,
            looked_through: kinds,
        };
        let (fleet, board) = Fleet::new(parts, settings);
        let (policies, sets) = watch::channel(Arc::default());
        let (catalog, catalogs) = watch::channel(Some(Arc::new(serving(&["v1"]))));
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(fleet.run(sets, catalogs, stop.clone()));
        Self { server, store, queue, policies, catalog, looked_through, board, stop, tasks, revision: 0 }
    }

    /// Has these groups' widgets looked through, in these namespaces.
    fn look_through(&self, places: &[(&str, Option<&str>)]) {
        let places = places.iter().map(|(group, namespace)| Place {
            resource: GroupResource::new(*group, "widgets"),
            namespace: namespace.map(Into::into),
        });
        self.looked_through.send_replace(Arc::new(places.collect()));
    }

    /// Shows these policies: name, generation, namespaces, path.
    async fn show(&mut self, policies: &[(&str, i64, &str, &str)]) {
        self.revision += 1;
        let entries = policies.iter().map(|(name, generation, namespaces, path)| {
            let entry = entry(name, *generation, namespaces, path);
            (Arc::clone(&entry.name), Arc::new(entry))
        });
        self.policies
            .send_replace(Arc::new(PolicySet { revision: self.revision, entries: entries.collect() }));
        self.pass(3).await;
    }

    async fn pass(&self, seconds: u64) {
        sleep(Duration::from_secs(seconds)).await;
    }

    /// State and judging generation of a policy's one target.
    fn target(&self, policy: &str) -> (TargetState, i64) {
        let board = self.board.borrow();
        let report = &board.policies[policy][0];
        (report.state, report.generation)
    }

    fn message(&self, policy: &str) -> String {
        self.board.borrow().policies[policy][0].message.as_deref().unwrap_or_default().to_owned()
    }

    /// Who is judged by what is known of an object in namespace `a`, with the generation; the best view first. As a
    /// worker does it: who reads Namespaces that are not known is judged by an older view, if there is one.
    fn judged(&self, name: &str) -> Vec<(String, i64)> {
        let object = ObjectName { namespace: Some("a".into()), name: name.into() };
        let key = ObjectKey { resource: GroupResource::new("example.com", "widgets"), object };
        let mut judged: Vec<(String, i64)> = Vec::new();
        for view in self.store.views(&key) {
            for served in view.serving.iter() {
                let knows = !served.policy.reads_namespaces() || self.store.around(&served.policy).is_some();
                if knows
                    && view.judges(&served.policy)
                    && !judged.iter().any(|(name, _)| **name == *served.policy.name)
                {
                    judged.push((served.policy.name.to_string(), served.policy.generation));
                }
            }
        }
        judged
    }

    fn lists(&self) -> usize {
        self.server.requests.lock().iter().filter(|request| request.starts_with("list")).count()
    }

    async fn end(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

fn serving(versions: &[&str]) -> Catalog {
    let served = ServedResource { kind: "Widget".into(), namespaced: true, watchable: true };
    let version = |version: &&str| ServedVersion {
        version: (*version).into(),
        resources: [("widgets".into(), served.clone())].into(),
    };
    let namespaces = ServedResource { kind: "Namespace".into(), namespaced: false, watchable: true };
    let core = ServedVersion { version: "v1".into(), resources: [("namespaces".into(), namespaces)].into() };
    let groups = [("".into(), vec![core]), ("example.com".into(), versions.iter().map(version).collect())];
    Catalog { groups: groups.into(), ..Catalog::default() }
}

fn entry(name: &str, generation: i64, namespaces: &str, path: &str) -> PolicyEntry {
    let target = format!("{{group: example.com, resources: [widgets], namespaces: {namespaces}}}");
    entry_of(name, generation, &target, path)
}

fn entry_of(name: &str, generation: i64, target: &str, path: &str) -> PolicyEntry {
    let yaml = format!(
        "{{apiVersion: watchpolicy.io/v1alpha1, kind: WatchPolicy, \
         metadata: {{name: {name}, uid: u-{name}, generation: {generation}}}, \
         spec: {{targets: [{target}], \
         rules: [{{name: r, path: '{path}', assert: {{exists: true}}}}]}}}}"
    );
    let policy: WatchPolicy = serde_saphyr::from_str(&yaml).unwrap();
    let compiled = policy::compile(&policy, &policy::Settings::default()).unwrap();
    let state = PolicyState::Compiled(Arc::new(compiled));
    PolicyEntry {
        name: name.into(),
        uid: format!("u-{name}").into(),
        generation,
        mode: Some(crate::crd::Mode::Audit),
        on_delete: None,
        deleting: false,
        finalizers: Box::default(),
        state,
    }
}

const SIZE: &str = "$.spec.size";
const COLOR: &str = "$.spec.color";

#[tokio::test(start_paused = true)]
async fn a_namespace_that_is_refused_to_one_policy_is_no_matter_of_another() {
    let mut harbour = Harbour::new(&[(IN_A, Answer::One("x")), (IN_B, Answer::Forbidden)]);
    harbour.show(&[("p", 1, "[a]", SIZE), ("q", 1, "[b]", SIZE)]).await;
    assert_eq!(harbour.target("p").0, TargetState::Synced);
    assert_eq!(harbour.target("q").0, TargetState::Forbidden);
    assert!(harbour.message("q").contains("in namespace b"), "{}", harbour.message("q"));
    assert_eq!(harbour.judged("x"), [("p".to_owned(), 1)]);
    harbour.end().await;
}

#[tokio::test(start_paused = true)]
async fn who_names_namespaces_sees_them_though_the_watch_of_everything_is_refused() {
    let mut harbour = Harbour::new(&[(ALL, Answer::Forbidden), (IN_A, Answer::One("x"))]);
    harbour.show(&[("p", 1, "[a]", SIZE), ("q", 1, "[]", SIZE)]).await;
    assert_eq!((harbour.target("p").0, harbour.target("q").0), (TargetState::Synced, TargetState::Forbidden));
    assert_eq!(harbour.judged("x"), [("p".to_owned(), 1)]);
    harbour.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_edit_that_reads_more_judges_by_the_old_program_until_the_wider_watch_is_synced() {
    let mut harbour = Harbour::new(&[(ALL, Answer::One("x"))]);
    harbour.show(&[("p", 1, "[]", SIZE)]).await;
    harbour.server.answers.lock().insert(ALL.into(), Answer::Nothing);
    harbour.show(&[("p", 2, "[]", COLOR)]).await;
    assert_eq!(harbour.judged("x"), [("p".to_owned(), 1)]);
    assert_eq!(harbour.target("p").1, 1, "and says so");
    harbour.server.answers.lock().insert(ALL.into(), Answer::One("x"));
    harbour.pass(120).await;
    assert_eq!(harbour.target("p"), (TargetState::Synced, 2));
    assert_eq!(harbour.judged("x"), [("p".to_owned(), 2)]);
    assert_eq!(harbour.store.shelves().len(), 1, "the old watch is stopped");
    harbour.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_edit_that_reads_no_more_judges_at_once_and_lists_nothing() {
    let mut harbour = Harbour::new(&[(ALL, Answer::One("x"))]);
    harbour.show(&[("p", 1, "[]", SIZE), ("q", 1, "[]", COLOR)]).await;
    let lists = harbour.lists();
    harbour.show(&[("p", 2, "[]", COLOR), ("q", 1, "[]", COLOR)]).await;
    assert_eq!((harbour.target("p"), harbour.lists()), ((TargetState::Synced, 2), lists));
    harbour.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_new_preferred_version_takes_over_without_a_gap() {
    let mut harbour = Harbour::new(&[(ALL, Answer::One("x"))]);
    harbour.show(&[("p", 1, "[]", SIZE)]).await;
    let v2 = "/apis/example.com/v2/widgets";
    harbour.server.answers.lock().insert(v2.into(), Answer::Nothing);
    harbour.catalog.send_replace(Some(Arc::new(serving(&["v2", "v1"]))));
    harbour.pass(3).await;
    assert_eq!(harbour.judged("x"), [("p".to_owned(), 1)], "the old version serves");
    harbour.server.answers.lock().insert(v2.into(), Answer::One("x"));
    harbour.pass(120).await;
    assert_eq!(harbour.judged("x"), [("p".to_owned(), 1)]);
    assert_eq!(&*harbour.store.shelves()[0].resource.version, "v2");
    harbour.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_lingers_for_a_policy_that_comes_back_and_then_leaves_nothing() {
    let mut harbour = Harbour::new(&[(ALL, Answer::One("x"))]);
    harbour.show(&[("p", 1, "[]", SIZE)]).await;
    harbour.show(&[]).await;
    assert_eq!(harbour.judged("x"), [], "nobody is judged meanwhile");
    harbour.pass(30).await;
    harbour.show(&[("p", 1, "[]", SIZE)]).await;
    assert_eq!((harbour.judged("x").len(), harbour.lists()), (1, 1));
    harbour.show(&[]).await;
    harbour.pass(61).await;
    assert!(harbour.store.shelves().is_empty());
    harbour.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_no_longer_served_is_stopped_at_once_and_its_objects_are_enqueued() {
    let mut harbour = Harbour::new(&[(ALL, Answer::One("x"))]);
    harbour.show(&[("p", 1, "[]", SIZE)]).await;
    while !harbour.queue.is_empty() {
        drop(harbour.queue.get().await);
    }
    harbour.catalog.send_replace(Some(Arc::default()));
    harbour.pass(1).await;
    assert_eq!(harbour.target("p").0, TargetState::Absent);
    assert!(harbour.store.shelves().is_empty());
    assert_eq!(harbour.queue.len(), 1, "its verdicts are to be withdrawn");
    harbour.end().await;
}

#[tokio::test(start_paused = true)]
async fn policies_that_come_together_cost_one_list() {
    let mut harbour = Harbour::new(&[(ALL, Answer::One("x"))]);
    harbour.revision = 1;
    for (revision, path) in [(1, SIZE), (2, COLOR)] {
        let entries = (1..=revision).map(|n| {
            let entry = entry(&format!("p{n}"), 1, "[]", if n == 1 { SIZE } else { path });
            (Arc::clone(&entry.name), Arc::new(entry))
        });
        harbour.policies.send_replace(Arc::new(PolicySet { revision, entries: entries.collect() }));
        sleep(Duration::from_millis(20)).await;
    }
    harbour.pass(3).await;
    assert_eq!((harbour.judged("x").len(), harbour.lists()), (2, 1));
    harbour.end().await;
}

const NAMESPACES: &str = "/api/v1/namespaces";
const OF_NAMESPACE: &str = "$namespace.metadata.labels.team";
/// Reads both; the quotes are those of the path in [`entry`].
const COLOR_OF_NAMESPACE: &str =
    "$.spec.color', fallbacks: ['$namespace.metadata.labels.team'], message: 'none";

#[tokio::test(start_paused = true)]
async fn a_target_is_not_synced_before_the_namespaces_that_it_reads_are() {
    let mut harbour = Harbour::new(&[(ALL, Answer::One("x")), (NAMESPACES, Answer::Nothing)]);
    harbour.show(&[("p", 1, "[]", OF_NAMESPACE), ("q", 1, "[]", SIZE)]).await;
    assert_eq!((harbour.target("p").0, harbour.target("q").0), (TargetState::Listing, TargetState::Synced));
    assert!(harbour.message("p").contains("reads the Namespaces"), "{}", harbour.message("p"));
    while !harbour.queue.is_empty() {
        drop(harbour.queue.get().await);
    }
    harbour.server.answers.lock().insert(NAMESPACES.into(), Answer::Empty);
    harbour.pass(120).await;
    assert_eq!((harbour.target("p").0, harbour.message("p").as_str()), (TargetState::Synced, ""));
    assert_eq!(harbour.queue.len(), 1, "its object can be judged now");
    harbour.end().await;
}

#[tokio::test(start_paused = true)]
async fn namespaces_that_are_refused_are_told_with_the_cure() {
    let mut harbour = Harbour::new(&[(ALL, Answer::One("x")), (NAMESPACES, Answer::Forbidden)]);
    harbour.show(&[("p", 1, "[a]", OF_NAMESPACE)]).await;
    assert_eq!(harbour.target("p").0, TargetState::Forbidden);
    let message = harbour.message("p");
    assert!(message.contains("resources: [\"namespaces\"]") && message.contains("ClusterRole"), "{message}");
    assert!(message.contains("may not list namespaces; give it by"), "they are in none: {message}");
    harbour.end().await;
}

impl Harbour {
    /// Whether the policy's one target is short of room, as it is told.
    fn is_limited(&self, policy: &str) -> bool {
        let limited = self.board.borrow().policies[policy][0].limited;
        assert_eq!(limited, self.target(policy).0 == TargetState::Degraded, "{}", self.message(policy));
        limited
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_with_too_many_objects_says_so_and_heals_when_there_are_less() {
    let kept = store::Limits { objects: 3, ..store::Limits::default() };
    let mut harbour =
        Harbour::with(&[(IN_A, Answer::Many(4)), (IN_B, Answer::One("x"))], Limits::default(), kept);
    harbour.show(&[("p", 1, "[a]", SIZE), ("q", 1, "[b]", SIZE)]).await;
    assert!(harbour.is_limited("p") && harbour.message("p").contains("--max-objects-per-target"));
    assert_eq!(harbour.target("q").0, TargetState::Synced, "the rest goes on");
    assert_eq!(harbour.judged("x0").len(), 1, "what is kept is judged");
    harbour.server.answers.lock().insert(IN_A.into(), Answer::Many(3));
    harbour.pass(600).await;
    assert_eq!((harbour.target("p").0, harbour.message("p").as_str()), (TargetState::Synced, ""));
    harbour.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_edit_that_newly_reads_namespaces_judges_by_the_old_program_until_they_are_listed() {
    let mut harbour = Harbour::new(&[(ALL, Answer::One("x")), (NAMESPACES, Answer::Nothing)]);
    harbour.show(&[("p", 1, "[]", SIZE), ("q", 1, "[]", SIZE)]).await;
    harbour.show(&[("p", 2, "[]", OF_NAMESPACE), ("q", 1, "[]", SIZE)]).await;
    assert_eq!(harbour.judged("x")[0], ("p".to_owned(), 1));
    assert_eq!(harbour.target("p"), (TargetState::Listing, 1), "and says so");
    let lists = |path: &str| {
        harbour.server.requests.lock().iter().filter(|request| **request == format!("list {path}")).count()
    };
    assert_eq!((lists(ALL), lists(NAMESPACES)), (1, 1));
    harbour.server.answers.lock().insert(NAMESPACES.into(), Answer::Empty);
    harbour.pass(120).await;
    assert_eq!(harbour.judged("x")[0], ("p".to_owned(), 2));
    assert_eq!(harbour.target("p"), (TargetState::Synced, 2));
    harbour.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_edit_that_needs_a_wider_watch_and_newly_reads_namespaces_keeps_its_verdicts_until_both_are_there()
{
    for first in [ALL, NAMESPACES] {
        let mut harbour = Harbour::new(&[(ALL, Answer::One("x")), (NAMESPACES, Answer::Nothing)]);
        harbour.show(&[("p", 1, "[]", SIZE)]).await;
        harbour.server.answers.lock().insert(ALL.into(), Answer::Nothing);
        harbour.show(&[("p", 2, "[]", COLOR_OF_NAMESPACE)]).await;
        assert_eq!((harbour.judged("x"), harbour.target("p").1), (vec![("p".to_owned(), 1)], 1));

        harbour.server.answers.lock().insert(first.into(), Answer::One("x"));
        harbour.pass(150).await;
        assert_eq!(
            (harbour.judged("x"), harbour.target("p").1),
            (vec![("p".to_owned(), 1)], 1),
            "{first} alone"
        );
        harbour.show(&[("p", 2, "[]", COLOR_OF_NAMESPACE), ("q", 1, "[]", SIZE)]).await;
        assert!(harbour.judged("x").contains(&("p".to_owned(), 1)), "also when another policy comes");

        for path in [ALL, NAMESPACES] {
            harbour.server.answers.lock().insert(path.into(), Answer::One("x"));
        }
        harbour.pass(150).await;
        assert!(harbour.judged("x").contains(&("p".to_owned(), 2)));
        assert_eq!(harbour.target("p"), (TargetState::Synced, 2));
        assert_eq!(harbour.store.shelves().len(), 2, "the old watches are stopped");
        harbour.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_resync_judges_all_again_from_the_store_without_a_list() {
    let resync = Some(Duration::from_secs(600));
    // Or the silent watches of this server would be listed again.
    let informer =
        informer::Settings { liveness: Duration::from_secs(7200), ..informer::Settings::default() };
    let settings = Settings { informer, linger: LINGER, resync, limits: Limits::default() };
    let mut harbour = Harbour::under(&[(ALL, Answer::Many(3))], settings, store::Limits::default());
    harbour.show(&[("p", 1, "[]", SIZE)]).await;
    while !harbour.queue.is_empty() {
        drop(harbour.queue.get().await);
    }
    let lists = harbour.lists();
    harbour.pass(590).await;
    assert_eq!(harbour.queue.len(), 0);
    harbour.pass(10).await;
    assert_eq!((harbour.queue.len(), harbour.lists()), (3, lists));
    assert_eq!(harbour.queue.get().await.unwrap().priority(), Priority::Resync);
    harbour.end().await;
}

#[tokio::test(start_paused = true)]
async fn who_names_namespaces_is_told_the_roles_that_would_do() {
    let mut harbour = Harbour::new(&[(ALL, Answer::Forbidden), (IN_A, Answer::Forbidden)]);
    harbour.show(&[("p", 1, "[a]", SIZE), ("q", 1, "[]", SIZE)]).await;
    let (narrow, wide) = (harbour.message("p"), harbour.message("q"));
    assert!(narrow.contains("in namespace a") && narrow.contains("a Role there"), "{narrow}");
    // The chart's label is no cure where the chart is bound in a few namespaces.
    assert!(
        wide.contains("in all namespaces; give it by a ClusterRole, bound to its ServiceAccount"),
        "{wide}"
    );
    for message in [narrow, wide] {
        assert!(message.len() < 300 && message.ends_with(r#", verbs: ["list", "watch"]}"#), "{message}");
    }
    harbour.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_is_served_and_not_as_it_is_asked_for_is_no_absent_one() {
    let harbour = Harbour::new(&[]);
    let target =
        "{group: example.com, resources: [widgets], version: v9}, {group: example.com, resources: [none]}";
    let entry = entry_of("p", 1, target, SIZE);
    let entries = [(Arc::clone(&entry.name), Arc::new(entry))].into();
    harbour.policies.send_replace(Arc::new(PolicySet { revision: 1, entries }));
    harbour.pass(3).await;
    let told: Vec<_> = harbour.board.borrow().policies["p"].iter().map(|report| report.mismatched).collect();
    assert_eq!(told, [false, true], "none, and widgets");
    harbour.end().await;
}

/// Paths that each read something else.
const MORE: [&str; 4] = [SIZE, COLOR, "$.spec.weight", "$.spec.age"];

#[tokio::test(start_paused = true)]
async fn edits_of_a_policy_that_is_refused_leave_one_watch_and_say_the_newest_generation() {
    let mut harbour = Harbour::new(&[(ALL, Answer::Forbidden)]);
    for (generation, path) in (1..).zip(MORE) {
        harbour.show(&[("p", generation, "[]", path)]).await;
        assert_eq!(harbour.target("p"), (TargetState::Forbidden, generation));
        assert_eq!(harbour.store.shelves().len(), 1, "what has nothing to serve with is stopped");
    }
    harbour.end().await;
}

#[tokio::test(start_paused = true)]
async fn edits_of_a_policy_that_is_served_by_a_spare_leave_neither_spares_nor_generations_behind() {
    let mut harbour = Harbour::new(&[(ALL, Answer::One("x")), (IN_A, Answer::One("x"))]);
    harbour.show(&[("p", 1, "[a]", SIZE), ("q", 1, "[]", SIZE)]).await;
    harbour.server.answers.lock().insert(ALL.into(), Answer::Forbidden);
    // A silent watch ends, and its list is refused.
    harbour.pass(150).await;
    assert_eq!((harbour.target("p").0, harbour.target("q").0), (TargetState::Synced, TargetState::Forbidden));
    for (generation, path) in (1..).zip(MORE) {
        harbour.show(&[("p", generation, "[a]", path), ("q", 1, "[]", SIZE)]).await;
        assert_eq!(harbour.target("p"), (TargetState::Synced, generation), "{path}");
        assert_eq!(harbour.target("q"), (TargetState::Forbidden, 1));
        let judged = harbour.judged("x");
        assert!(judged.contains(&("p".to_owned(), generation)) && judged.contains(&("q".to_owned(), 1)));
    }
    let watched = harbour.store.shelves().len();
    assert!(watched <= 3, "what all once was, all as it is wanted, and a spare: {watched}");
    harbour.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_while_the_watch_of_everything_is_refused_is_gone_for_who_is_served_by_a_spare() {
    let mut harbour = Harbour::new(&[(ALL, Answer::One("x")), (IN_A, Answer::One("x"))]);
    harbour.show(&[("p", 1, "[a]", SIZE), ("q", 1, "[]", SIZE)]).await;
    harbour.server.answers.lock().insert(ALL.into(), Answer::Forbidden);
    harbour.pass(150).await;
    while !harbour.queue.is_empty() {
        drop(harbour.queue.get().await);
    }
    harbour.server.answers.lock().insert(IN_A.into(), Answer::Empty);
    harbour.pass(150).await;
    assert_eq!(harbour.target("p").0, TargetState::Synced);
    assert_eq!(harbour.judged("x"), [("q".to_owned(), 1)], "q knows no better, and says so");
    assert_eq!(harbour.queue.len(), 1, "it is judged again");
    harbour.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_deleted_before_a_spare_has_shown_its_namespace_is_judged_again_then() {
    let mut harbour = Harbour::new(&[(ALL, Answer::One("x")), (IN_A, Answer::Nothing)]);
    harbour.show(&[("p", 1, "[a]", SIZE), ("q", 1, "[]", SIZE)]).await;
    harbour.server.answers.lock().insert(ALL.into(), Answer::Forbidden);
    harbour.pass(150).await;
    while !harbour.queue.is_empty() {
        drop(harbour.queue.get().await);
    }
    harbour.server.answers.lock().insert(IN_A.into(), Answer::Empty);
    harbour.pass(150).await;
    assert_eq!((harbour.judged("x"), harbour.queue.len()), (vec![("q".to_owned(), 1)], 1));
    harbour.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_edit_that_meets_a_limit_is_worked_in_and_says_so() {
    let kept = store::Limits { objects: 3, ..store::Limits::default() };
    let mut harbour = Harbour::with(&[(ALL, Answer::Many(4))], Limits::default(), kept);
    harbour.show(&[("p", 1, "[]", SIZE)]).await;
    harbour.show(&[("p", 2, "[]", COLOR)]).await;
    assert_eq!(harbour.target("p"), (TargetState::Degraded, 2));
    assert_eq!(harbour.store.shelves().len(), 1, "the old watch is stopped");
    assert_eq!(harbour.judged("x0"), [("p".to_owned(), 2)]);
    harbour.end().await;
}

#[tokio::test(start_paused = true)]
async fn who_reads_namespaces_is_judged_by_the_old_program_until_a_wider_watch_is_synced() {
    let mut harbour = Harbour::new(&[(ALL, Answer::One("x"))]);
    harbour.show(&[("p", 1, "[]", OF_NAMESPACE)]).await;
    assert_eq!(harbour.judged("x"), [("p".to_owned(), 1)]);
    harbour.server.answers.lock().insert(ALL.into(), Answer::Nothing);
    harbour.show(&[("p", 2, "[]", COLOR_OF_NAMESPACE)]).await;
    assert_eq!(harbour.judged("x"), [("p".to_owned(), 1)], "its Namespaces are still known to it");
    harbour.server.answers.lock().insert(ALL.into(), Answer::One("x"));
    harbour.pass(150).await;
    assert_eq!((harbour.judged("x"), harbour.target("p").1), (vec![("p".to_owned(), 2)], 2));
    harbour.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_resource_in_two_versions_is_at_fault_and_not_waited_for() {
    let mut harbour = Harbour::new(&[(ALL, Answer::One("x"))]);
    let named_and_all = "[], version: v1}, {group: example.com, resources: ['*'], version: v2";
    harbour.show(&[("p", 1, named_and_all, SIZE)]).await;
    assert_eq!(harbour.judged("x").len(), 1, "v2 is not served");
    harbour.catalog.send_replace(Some(Arc::new(serving(&["v1", "v2"]))));
    harbour.pass(3).await;
    let report = harbour.board.borrow().policies["p"][0].clone();
    assert_eq!((report.state, report.limited), (TargetState::Degraded, false));
    assert!(harbour.message("p").contains("in two versions, v1 by its name and v2 by `*`"), "{report:?}");
    assert_eq!(harbour.judged("x"), []);
    harbour.end().await;
}
