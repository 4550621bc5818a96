use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::*;
use crate::crd::{TargetState, WatchPolicy};
use crate::jsonpath::{Document, Projection, TypeMeta};
use crate::leader::testing::Lead;
use crate::policy::{self, Fences, PolicyEntry, PolicyState, compile};
use crate::resource::{GroupResource, Gvr, ObjectName};
use crate::store::{Shelf, Store};

const SECOND: Duration = Duration::from_secs(1);

struct World {
    lead: Lead,
    store: Arc<Store>,
    recorder: Arc<Recorder>,
    ledger: Arc<Ledger>,
    sets: watch::Sender<Arc<PolicySet>>,
    looked_through: watch::Receiver<Places>,
    _tasks: JoinSet<()>,
}

impl World {
    /// A leader that knows that there are no policies, and whose Lease says this.
    async fn new(memo: &str) -> Self {
        let (lead, store) = (Lead::new(true), Arc::<Store>::default());
        lead.lease(memo);
        let leftovers =
            Arc::new(Leftovers::new(Arc::clone(&store), Fences::default(), "watchpolicy-system".into()));
        let (sets, set) = watch::channel(Arc::default());
        let (looks, looked_through) = watch::channel(Places::default());
        let ledger = Ledger::new();
        let recorder = Arc::new(Recorder::new(lead.leadership(), leftovers, set, looks, Arc::clone(&ledger)));
        let mut tasks = JoinSet::new();
        let running = Arc::clone(&recorder);
        tasks.spawn(async move { running.run(CancellationToken::new()).await });
        let world = Self { lead, store, recorder, ledger, sets, looked_through, _tasks: tasks };
        world.pass(2).await;
        assert!(world.looks().is_empty(), "before policies are known nothing has ended");
        world.policies(&[]).await;
        world
    }

    async fn pass(&self, seconds: u32) {
        sleep(SECOND * seconds).await;
        self.lead.renew();
        sleep(SECOND / 10).await;
    }

    /// There are just these policies now.
    async fn policies(&self, specs: &[Value]) {
        let entries = specs.iter().enumerate().map(|(number, spec)| {
            let name: Arc<str> = format!("p{number}").into();
            (Arc::clone(&name), Arc::new(entry(&name, spec)))
        });
        let revision = self.sets.borrow().revision + 1;
        self.sets.send_replace(Arc::new(PolicySet { revision, entries: entries.collect() }));
        self.pass(2).await;
    }

    /// A watch of all ConfigMaps, which is synced.
    fn watch(&self) -> Arc<Shelf> {
        self.watch_all("configmaps")
    }

    fn watch_all(&self, resource: &str) -> Arc<Shelf> {
        let types = TypeMeta { api_version: "v1".into(), kind: "ConfigMap".into() };
        let shelf = Arc::new(Shelf::new(1, Gvr::new("", "v1", resource), types, Arc::default()));
        shelf.sweep();
        shelf.set_state(TargetState::Synced);
        self.store.open(Arc::clone(&shelf));
        shelf
    }

    fn looks(&self) -> Vec<String> {
        self.looked_through.borrow().iter().map(ToString::to_string).collect()
    }
}

/// A policy as its watch shows it.
fn entry(name: &Arc<str>, spec: &Value) -> PolicyEntry {
    let object = json!({
        "apiVersion": "watchpolicy.io/v1alpha1", "kind": "WatchPolicy", "metadata": {"name": &**name}, "spec": spec,
    });
    let policy: WatchPolicy = serde_json::from_value(object).unwrap();
    let compiled = compile(&policy, &policy::Settings::default()).unwrap();
    PolicyEntry {
        name: Arc::clone(name),
        uid: "u".into(),
        generation: 1,
        mode: Some(policy.spec.mode),
        on_delete: None,
        deleting: false,
        finalizers: Box::default(),
        state: PolicyState::Compiled(Arc::new(compiled)),
    }
}

fn on_config_maps(mode: &str) -> Value {
    let rule = json!({"name": "a", "path": "$.data.a", "assert": {"equals": "good"}, "fix": {"set": "good"}});
    json!({"mode": mode, "targets": [{"resources": ["configmaps"]}], "rules": [rule]})
}

/// An object that says that a policy wrote it.
fn written(shelf: &Shelf, namespace: &str, name: &str) -> ObjectName {
    let entry = json!({"manager": "watchpolicy/gone", "operation": "Update", "fieldsV1": {"f:data": {}}});
    let metadata = json!({"name": name, "namespace": namespace, "uid": name, "managedFields": [entry]});
    let text = json!({"metadata": metadata}).to_string();
    shelf.put(Document::decode(&text, &Projection::default(), &shelf.types).unwrap()).name
}

fn config_maps() -> Place {
    Place { resource: GroupResource::new("", "configmaps"), namespace: None }
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_leader_wrote_is_looked_through_until_nothing_is_left() {
    let world = World::new("configmaps,secrets,No Kind").await;
    assert_eq!(world.looks(), ["configmaps"], "what no fix writes is not looked for");
    let shelf = world.watch();
    let object = written(&shelf, "shop", "a");
    world.pass(90).await;
    assert_eq!((world.looks(), world.lead.memo()), (vec!["configmaps".to_owned()], "configmaps".to_owned()));
    shelf.remove(&object);
    shelf.set_state(TargetState::Degraded);
    world.pass(5).await;
    assert_eq!(world.lead.memo(), "configmaps", "what is not followed proves nothing");
    shelf.set_state(TargetState::Synced);
    world.pass(2).await;
    assert_eq!((world.looks(), world.lead.memo()), (vec![], String::new()));
}

#[tokio::test(start_paused = true)]
async fn a_kind_stays_named_while_a_policy_writes_there_and_is_then_looked_through() {
    let world = World::new("").await;
    world.policies(&[on_config_maps("Enforce")]).await;
    let shelf = world.watch();
    let permit = world.lead.leadership().permit().unwrap();
    assert!(!world.recorder.covers(&config_maps(), &permit).await, "nobody renews the Lease");
    world.lead.renew();
    assert!(world.recorder.covers(&config_maps(), &permit).await);
    world.pass(600).await;
    assert_eq!((world.looks().len(), world.lead.memo()), (0, "configmaps".to_owned()));
    // A write may be under way when the policy ends, and nothing shows it yet.
    assert!(world.recorder.covers(&config_maps(), &permit).await);
    world.policies(&[on_config_maps("Audit")]).await;
    assert_eq!((world.looks().len(), world.lead.memo()), (1, "configmaps".to_owned()));
    written(&shelf, "watchpolicy-system", "let-be");
    world.pass(60).await;
    assert_eq!((world.looks().len(), world.lead.memo()), (0, String::new()));
    // What is named no more is named anew before it is written.
    assert!(!world.recorder.covers(&config_maps(), &permit).await);
}

#[tokio::test(start_paused = true)]
async fn what_is_found_written_is_named_though_nobody_said_so() {
    let world = World::new("").await;
    let shelf = world.watch();
    written(&shelf, "shop", "a");
    world.pass(2).await;
    assert_eq!(world.lead.memo(), "configmaps");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_can_take_back_is_not_watched_for_ever_and_not_forgotten() {
    let world = World::new("configmaps").await;
    written(&world.watch(), "shop", "a");
    world.pass(601).await;
    assert_eq!((world.looks().len(), world.lead.memo()), (0, "configmaps".to_owned()));
    world.policies(&[on_config_maps("Plan")]).await;
    assert_eq!(world.looks(), ["configmaps"], "another policy may have kept it");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_lead_looks_for_nothing_and_whoever_leads_again_reads_the_lease_again() {
    let world = World::new("configmaps").await;
    world.lead.set(false);
    world.pass(2).await;
    assert!(world.looks().is_empty());
    world.lead.set(true);
    world.lead.lease("pods");
    world.pass(2).await;
    assert_eq!(world.looks(), ["configmaps", "pods"]);
    assert_eq!(world.lead.memo(), "configmaps,pods");
}

#[tokio::test(start_paused = true)]
async fn without_a_lease_nothing_is_waited_for() {
    let world = World::new("").await;
    world.lead.set(true);
    let permit = world.lead.leadership().permit().unwrap();
    assert!(world.recorder.covers(&config_maps(), &permit).await);
    world.pass(2).await;
    assert_eq!((world.looks(), world.lead.memo()), (vec!["configmaps".to_owned()], String::new()));
}

#[tokio::test(start_paused = true)]
async fn where_a_policy_names_namespaces_these_are_named_and_looked_through() {
    let world = World::new("").await;
    let mut spec = on_config_maps("Enforce");
    spec["targets"][0]["namespaces"] = json!(["shop"]);
    world.policies(&[spec]).await;
    let permit = world.lead.leadership().permit().unwrap();
    let shop = Place { namespace: Some("shop".into()), ..config_maps() };
    world.recorder.covers(&shop, &permit).await;
    world.pass(2).await;
    assert_eq!((world.looks().len(), world.lead.memo()), (0, "shop/configmaps".to_owned()));
    world.policies(&[]).await;
    assert_eq!(world.looks(), ["shop/configmaps"]);
    // What is elsewhere is no matter of this place.
    let shelf = world.watch();
    let elsewhere = written(&shelf, "other", "a");
    world.pass(62).await;
    assert_eq!(world.lead.memo(), "configmaps", "it is in a place of its own");
    shelf.remove(&elsewhere);
    world.pass(62).await;
    assert_eq!(world.lead.memo(), "");
}

#[tokio::test(start_paused = true)]
async fn what_a_wide_policy_left_is_looked_through_though_a_narrow_one_writes_there_still() {
    let world = World::new("").await;
    let mut narrow = on_config_maps("Enforce");
    narrow["targets"] = json!([{"resources": ["configmaps"], "labelSelector": {"matchLabels": {"a": "b"}}}]);
    let permit = world.lead.leadership().permit().unwrap();
    world.policies(&[narrow.clone(), on_config_maps("Enforce")]).await;
    drop(timeout(SECOND, world.recorder.covers(&config_maps(), &permit)).await);
    world.pass(2).await;
    assert_eq!(world.looks(), [""; 0], "it is all written");
    world.policies(&[narrow.clone()]).await;
    assert_eq!(world.looks(), ["configmaps"]);
    let shelf = world.watch();
    let left = written(&shelf, "shop", "map-1");
    world.pass(65).await;
    assert_eq!(world.looks(), ["configmaps"], "something is left");
    drop(shelf.remove(&left));
    world.pass(65).await;
    assert_eq!(world.looks(), [""; 0], "nothing is left, and the narrow one writes on");
}

#[tokio::test(start_paused = true)]
async fn who_writes_where_there_is_no_room_is_told_so_until_there_is() {
    let kinds: Vec<_> = (0..MOST).map(|number| format!("kind-{number:02}")).collect();
    let world = World::new(&kinds.join(",")).await;
    kinds.iter().for_each(|kind| drop(world.watch_all(kind)));
    world.policies(&[on_config_maps("Enforce")]).await;
    let permit = world.lead.leadership().permit().unwrap();
    assert!(world.recorder.covers(&config_maps(), &permit).await, "nobody waits for what has no room");
    let told = || world.ledger.page("p0", &[], 0).obstacles.unrecorded();
    world.pass(2).await;
    assert!(told().unwrap().contains("not configmaps:"), "{:?}", told());
    world.pass(62).await;
    assert_eq!(
        (told(), world.lead.memo()),
        (None, "configmaps".to_owned()),
        "nothing was left in the others"
    );
}

#[tokio::test(start_paused = true)]
async fn who_writes_where_there_is_no_room_is_told_so_while_it_does() {
    let kinds: Vec<_> = (0..MOST).map(|number| format!("kind-{number:02}")).collect();
    let world = World::new(&kinds.join(",")).await;
    let shelves: Vec<_> = kinds.iter().map(|kind| world.watch_all(kind)).collect();
    shelves.iter().for_each(|shelf| drop(written(shelf, "shop", "a")));
    world.policies(&[on_config_maps("Enforce")]).await;
    let permit = world.lead.leadership().permit().unwrap();
    world.recorder.covers(&config_maps(), &permit).await;
    world.pass(70).await;
    let told = || world.ledger.page("p0", &[], 0).obstacles.unrecorded().is_some();
    assert!(told());
    world.policies(&[on_config_maps("Audit")]).await;
    assert!(!told());
}
