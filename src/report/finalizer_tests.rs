use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::*;
use crate::crd::WatchPolicy;
use crate::leader::testing::Lead;
use crate::policy::{PolicyState, compile};
use crate::report::cases::target;
use crate::resource::{ObjectKey, ObjectName};
use TargetState::{Absent, Degraded, Forbidden, Listing, Synced};

const SECOND: Duration = Duration::from_secs(1);

/// A policy on Deployments as its watch shows it.
fn entry(spec: &Value, deleting: bool, finalizers: &[&str]) -> PolicyEntry {
    let mut object = json!({
        "apiVersion": "watchpolicy.io/v1alpha1", "kind": "WatchPolicy",
        "metadata": {"name": "p", "uid": "u", "generation": 3},
        "spec": {
            "mode": "Enforce", "targets": [{"group": "apps", "resources": ["deployments"]}],
            "rules": [{"name": "r", "path": "$.metadata.labels.a", "assert": {"equals": "b"}, "fix": {"set": "b"}}],
            "enforcement": {"onDelete": "Release"},
        },
    });
    object["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    if deleting {
        object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    }
    let policy: WatchPolicy = serde_json::from_value(object).unwrap();
    let state = match compile(&policy, &crate::policy::Settings::default()) {
        Ok(compiled) => PolicyState::Compiled(Arc::new(compiled)),
        Err(faults) => PolicyState::Invalid(Arc::new(faults)),
    };
    PolicyEntry {
        name: "p".into(),
        uid: "u".into(),
        generation: 3,
        mode: Some(policy.spec.mode),
        on_delete: Some(policy.spec.enforcement.unwrap_or_default().on_delete),
        deleting,
        finalizers: finalizers.iter().map(|name| (*name).into()).collect(),
        state,
    }
}

const HELD: &[&str] = &["other.io/x", FINALIZER];

fn wanted_of(spec: &Value, deleting: bool, finalizers: &[&str]) -> Wanted {
    wanted(&entry(spec, deleting, finalizers), Some(&[target("deployments", Synced)]), true, || 0)
}

#[test]
fn it_is_there_while_a_policy_writes_that_takes_back() {
    assert_eq!(wanted_of(&json!({}), false, &[]), Wanted::On);
    assert_eq!(wanted_of(&json!({}), false, HELD), Wanted::AsItIs);
    for never in [json!({"mode": "Plan"}), json!({"enforcement": {}}), json!({"suspend": true})] {
        assert_eq!(wanted_of(&never, false, &[]), Wanted::AsItIs, "{never}");
        assert_eq!(wanted_of(&never, false, HELD), Wanted::Off, "{never}: nothing is left");
    }
    assert_eq!(
        wanted_of(&json!({}), true, &[]),
        Wanted::AsItIs,
        "the server takes none on what is being deleted"
    );
    assert_eq!(
        wanted(&entry(&json!({}), false, &[]), None, false, || 0),
        Wanted::AsItIs,
        "without the consent"
    );
}

#[test]
fn it_stays_until_all_is_looked_through_and_nothing_is_left() {
    let deleted = entry(&json!({}), true, HELD);
    let with = |state, left| wanted(&deleted, Some(&[target("deployments", state)]), true, || left);
    assert_eq!(with(Synced, 0), Wanted::Off);
    assert_eq!(with(Synced, 1), Wanted::Later);
    assert_eq!(with(Absent, 0), Wanted::Off, "a kind that is gone holds nobody");
    for unknown in [Listing, Forbidden, Degraded] {
        assert_eq!(with(unknown, 0), Wanted::Later, "{unknown:?}");
    }
    let older = TargetReport { generation: 2, ..target("deployments", Synced) };
    assert_eq!(wanted(&deleted, Some(&[older]), true, || 0), Wanted::Later, "not looked through since");
    assert_eq!(wanted(&deleted, None, true, || 0), Wanted::Later);
}

#[test]
fn what_cannot_be_taken_back_holds_no_policy() {
    let deleted = entry(&json!({}), true, HELD);
    assert_eq!(wanted(&deleted, None, false, || 9), Wanted::Off, "an operator that writes nothing");
    let edited = entry(&json!({"enforcement": {"onDelete": "Keep"}}), true, HELD);
    assert_eq!(wanted(&edited, None, true, || 9), Wanted::Off, "it keeps now");
    let invalid = json!({"rules": [{"name": "r", "path": "$.[", "assert": {"exists": true}}]});
    assert_eq!(wanted_of(&invalid, true, HELD), Wanted::Off, "nothing is watched for it");
    assert_eq!(wanted_of(&invalid, false, HELD), Wanted::AsItIs, "it may be mended");
}

#[test]
fn the_patch_tests_the_uid_the_generation_and_the_whole_list() {
    let patch = FinalizerPatch {
        name: "p".into(),
        uid: "u".into(),
        generation: 3,
        before: Box::default(),
        after: [FINALIZER.into()].into(),
    };
    let request = request(&patch).unwrap();
    assert_eq!(request.uri().path(), "/apis/watchpolicy.io/v1alpha1/watchpolicies/p");
    let body: Value = serde_json::from_slice(request.body()).unwrap();
    let expected = json!([
        {"op": "test", "path": "/metadata/uid", "value": "u"},
        {"op": "test", "path": "/metadata/generation", "value": 3},
        {"op": "test", "path": "/metadata/finalizers", "value": null},
        {"op": "add", "path": "/metadata/finalizers", "value": [FINALIZER]},
    ]);
    assert_eq!(body, expected);
}

/// Notes what it is to store, and answers as it is told to.
#[derive(Clone, Default)]
struct Fake(Arc<Mutex<Vec<FinalizerPatch>>>, Arc<Mutex<Option<FinalizerFault>>>);

impl FinalizerStore for Fake {
    async fn store(&self, patch: &FinalizerPatch, _permit: &Permit) -> Result<(), FinalizerFault> {
        self.0.lock().push(patch.clone());
        self.1.lock().clone().map_or(Ok(()), Err)
    }
}

/// A writer of the finalizers of one policy, and what it has written.
struct Bench {
    fake: Fake,
    ledger: Arc<Ledger>,
    set: watch::Sender<Arc<PolicySet>>,
    _tasks: tokio::task::JoinSet<()>,
    _lead: Lead,
}

impl Bench {
    fn new(allow_enforce: bool, fault: FinalizerFault, entry: PolicyEntry) -> Self {
        let (fake, ledger, lead) = (Fake::default(), Ledger::new(), Lead::new(true));
        *fake.1.lock() = Some(fault);
        let settings = Settings { interval: SECOND, allow_enforce, left: Arc::new(|_: &str| 0) };
        let finalizers = Finalizers::new(fake.clone(), Arc::clone(&ledger), settings, lead.leadership());
        let (set, sets) = watch::channel(Arc::new(set_of(entry)));
        let (_, boards) = watch::channel(Arc::default());
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(finalizers.run(sets, boards, CancellationToken::new()));
        Self { fake, ledger, set, _tasks: tasks, _lead: lead }
    }

    fn written(&self) -> usize {
        self.fake.0.lock().len()
    }

    fn obstacles(&self) -> String {
        self.ledger.page("p", &[], 0).obstacles.to_string()
    }
}

fn set_of(entry: PolicyEntry) -> PolicySet {
    PolicySet { revision: 1, entries: [(Arc::clone(&entry.name), Arc::new(entry))].into() }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_taken_is_tried_again_after_longer_and_longer_pauses_and_within_a_minute() {
    let faults = [
        FinalizerFault::Denied("no".to_owned()),
        FinalizerFault::Failed("no".to_owned()),
        FinalizerFault::Changed,
    ];
    for fault in faults {
        let bench = Bench::new(false, fault.clone(), entry(&json!({}), true, HELD));
        sleep(SECOND * 3600).await;
        let tried = bench.written();
        assert!((60..70).contains(&tried), "{fault:?}: {tried} times in an hour");
        *bench.fake.1.lock() = None;
        sleep(SECOND * 61).await;
        assert!(bench.written() > tried);
        // The watch shows the policy as it is.
        let newest = entry(&json!({}), true, &["other.io/y", FINALIZER]);
        bench.set.send_replace(Arc::new(set_of(newest)));
        sleep(SECOND * 3).await;
        assert_eq!(*bench.fake.0.lock().last().unwrap().after, ["other.io/y".into()], "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_in_the_way_is_told_until_the_finalizer_is_as_it_should_be() {
    for fault in [FinalizerFault::Denied("no".to_owned()), FinalizerFault::Failed("no".to_owned())] {
        let bench = Bench::new(true, fault.clone(), entry(&json!({}), false, &[]));
        sleep(SECOND * 5).await;
        assert_eq!(bench.obstacles(), "no");
        let is_right = matches!(fault, FinalizerFault::Denied(_));
        assert_eq!(bench.ledger.page("p", &[], 0).obstacles.rights().is_some(), is_right, "{fault:?}");
        // The write was taken after all: its answer was lost, or somebody else did it.
        bench.set.send(Arc::new(set_of(entry(&json!({}), false, HELD)))).unwrap();
        sleep(SECOND).await;
        assert_eq!(bench.obstacles(), "", "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_goes_some_calm_after_nothing_is_left() {
    let (fake, left, lead) = (Fake::default(), Arc::new(AtomicU64::new(1)), Lead::new(false));
    let counted = Arc::clone(&left);
    let settings = Settings {
        interval: SECOND,
        allow_enforce: true,
        left: Arc::new(move |_policy: &str| counted.load(Ordering::Relaxed)),
    };
    let targets = [target("deployments", Synced)].into();
    let board = Board { policies: [("p".into(), targets)].into() };
    let (_set, sets) = watch::channel(Arc::new(set_of(entry(&json!({}), true, HELD))));
    let (_board, boards) = watch::channel(Arc::new(board));
    let finalizers = Finalizers::new(fake.clone(), Ledger::new(), settings, lead.leadership());
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(finalizers.run(sets, boards, CancellationToken::new()));
    sleep(SECOND * 10).await;
    left.store(0, Ordering::Relaxed);
    sleep(SECOND * 10).await;
    assert_eq!(fake.0.lock().len(), 0, "who does not lead writes nothing");
    left.store(1, Ordering::Relaxed);
    lead.set(true);
    sleep(SECOND * 10).await;
    assert_eq!(fake.0.lock().len(), 0, "something is left");
    left.store(0, Ordering::Relaxed);
    sleep(SECOND).await;
    assert_eq!(fake.0.lock().len(), 0, "a write may be under way");
    sleep(SECOND * 2).await;
    let written = fake.0.lock().first().cloned().unwrap();
    assert_eq!(*written.after, ["other.io/x".into()], "other finalizers stay");
}

#[tokio::test(start_paused = true)]
async fn a_policy_stays_while_something_that_was_sent_for_it_may_still_come() {
    for inherits in [true, false] {
        let (fake, lead, ledger) = (Fake::default(), Lead::new(true), Ledger::new());
        let awaited = Arc::new(AtomicU64::new(u64::from(!inherits)));
        if inherits {
            lead.inherit();
        }
        let (left, awaits) = (Arc::new(|_: &str| 0), Arc::clone(&awaited));
        let awaits = Arc::new(move |_: &str| awaits.load(Ordering::Relaxed) > 0);
        let settings = Settings { interval: SECOND, allow_enforce: true, left };
        let (_set, sets) = watch::channel(Arc::new(set_of(entry(&json!({}), true, HELD))));
        let board = Board { policies: [("p".into(), [target("deployments", Synced)].into())].into() };
        let (_board, boards) = watch::channel(Arc::new(board));
        let finalizers = Finalizers::new(fake.clone(), Arc::clone(&ledger), settings, lead.leadership());
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(finalizers.awaiting(awaits).run(sets, boards, CancellationToken::new()));
        sleep(SECOND * 59).await;
        assert_eq!(fake.0.lock().len(), 0, "{inherits}");
        assert!(ledger.page("p", &[], 0).obstacles.to_string().contains("goes within a minute"));
        awaited.store(0, Ordering::Relaxed);
        sleep(SECOND * 4).await;
        assert_eq!(fake.0.lock().len(), 1, "{inherits}");
        assert_eq!(ledger.page("p", &[], 0).obstacles.to_string(), "");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_awaited_is_told_only_while_it_is_and_takes_no_other_words_away() {
    let (ledger, lead, left) = (Ledger::new(), Lead::new(true), Arc::new(AtomicU64::new(0)));
    let object = ObjectName { namespace: None, name: "web".into() };
    let web = ObjectKey { resource: GroupResource::new("", "pods"), object };
    ledger.note_stuck("p", &web, "web is stuck".into());
    let counted = Arc::clone(&left);
    let counted = Arc::new(move |_: &str| counted.load(Ordering::Relaxed));
    let settings = Settings { interval: SECOND, allow_enforce: true, left: counted };
    let finalizers = Finalizers::new(Fake::default(), Arc::clone(&ledger), settings, lead.leadership());
    let (_set, sets) = watch::channel(Arc::new(set_of(entry(&json!({}), true, HELD))));
    let board = Board { policies: [("p".into(), [target("deployments", Synced)].into())].into() };
    let (_board, boards) = watch::channel(Arc::new(board));
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(finalizers.awaiting(Arc::new(|_: &str| true)).run(sets, boards, CancellationToken::new()));
    let told = || ledger.page("p", &[], 0).obstacles.to_string();
    for (count, awaited) in [(0, true), (1, false), (0, true)] {
        left.store(count, Ordering::Relaxed);
        sleep(SECOND).await;
        assert!(told().starts_with("web is stuck"), "{}", told());
        assert_eq!(told().contains("goes within a minute"), awaited, "{count} left");
    }
}
