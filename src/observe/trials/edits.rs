//! Random edits of policies, definitions and objects, at random distances, while requests fail now and then. At rest, what is watched is what is wanted,
//! what is kept is what a list shows, and verdicts are those of judging everything. In the end nothing is left.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::server::{Fault, Served, Server};
use super::world::{LINGER, World};
use crate::resource::{GroupResource, ObjectName};

/// Edits in `make test`; `WATCHPOLICY_EDITS` says another number, `WATCHPOLICY_SEED` a seed that was printed.
const EDITS: usize = 200;
/// The longest time between a change and rest: a watch starts and lists within it, and what nobody wants has gone.
const REST: Duration = LINGER.saturating_add(Duration::from_secs(20));
/// The same where requests had failed: what a silent watch kept back is found after two minutes.
const RECOVERY: Duration = REST.saturating_add(Duration::from_secs(300));
/// What may fail, watched by the operator for itself and for policies.
const PATHS: [&str; 8] = [
    "/apis/watchpolicy.io/v1alpha1/watchpolicies",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "/api/v1/namespaces",
    "/api/v1/configmaps",
    "/api/v1/namespaces/a/configmaps",
    "/apis/a.example.com/v1/widgets",
    "/apis/a.example.com/v1/namespaces/a/gadgets",
    "/apis/b.example.com/v2/gizmos",
];
const KINDS: [(&str, &str, &str); 4] = [
    ("a.example.com", "widgets", "Widget"),
    ("a.example.com", "gadgets", "Gadget"),
    ("b.example.com", "gizmos", "Gizmo"),
    ("", "configmaps", "ConfigMap"),
];
const NAMESPACES: [&str; 3] = ["a", "b", "c"];

struct Editor {
    world: World,
    dice: StdRng,
    /// Requests have failed, or will, since the last rest.
    faulty: bool,
}

impl Editor {
    fn one<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts.choose(&mut self.dice).unwrap()
    }

    fn kind(&mut self) -> (GroupResource, &'static str) {
        let (group, plural, kind) = *KINDS.choose(&mut self.dice).unwrap();
        (GroupResource::new(group, plural), kind)
    }

    fn edit(&mut self) {
        match self.dice.random_range(0..20) {
            0..=6 => self.write_policy(),
            7..=9 => {
                let name = self.one(&["p0", "p1", "p2", "p3", "p4", "p5"]);
                println!("delete policy {name}");
                self.world.forget_policy(name);
            }
            10..=12 => self.define(),
            13 => {
                let (name, team) = (self.one(&NAMESPACES), self.one(&["red", "blue"]));
                println!("namespace {name} {team}");
                self.namespace(name, team);
            }
            _ => self.write_object(),
        }
    }

    /// Has some of the next requests fail.
    fn fail(&mut self) {
        let (verb, path) = (self.one(&["list", "watch"]), self.one(&PATHS));
        let faults = [
            Fault::Status(500, "InternalError", None),
            Fault::Status(410, "Expired", None),
            Fault::Status(404, "NotFound", None),
            Fault::Hangs,
            Fault::Mute,
            Fault::Ends,
            Fault::Cut,
            Fault::Expired,
        ];
        let (fault, times) = (faults.choose(&mut self.dice).unwrap().clone(), self.dice.random_range(1..4));
        println!("{verb} {path} fails {times} times: {fault:?}");
        self.world.server.fail(&format!("{verb} {path}"), vec![fault; times]);
        self.faulty = true;
    }

    fn namespace(&self, name: &str, team: &str) {
        let name = ObjectName { namespace: None, name: name.into() };
        let metadata = format!(r#","uid":"u-{}","labels":{{"team":"{team}"}}"#, name.name);
        self.world.server.put(&GroupResource::new("", "namespaces"), &name, &metadata, "");
    }

    fn write_policy(&mut self) {
        let name = self.one(&["p0", "p1", "p2", "p3", "p4", "p5"]);
        let (of, _) = self.kind();
        let resource = if of.group.is_empty() || self.dice.random_bool(0.8) { &*of.resource } else { "'*'" };
        let namespaces = self.one(&["[]", "[]", "[a]", "[b]", "[a, b]", "[a, b, c]"]);
        // What a definition does not name would be no target, which is told elsewhere.
        let custom = ["", "", ", fieldSelector: spec.color=red", ", fieldSelector: 'spec.color!=red'"];
        let named = ["", ", fieldSelector: 'metadata.name!=x'", ", fieldSelector: metadata.namespace=a"];
        let by_field = !of.group.is_empty() && resource != "'*'";
        let fields = if by_field { self.one(&custom) } else { self.one(&named) };
        let selector = self.one(&["", "", "", ", namespaceSelector: {matchLabels: {team: red}}"]);
        let path = self.one(&[
            "$.spec.size",
            "$.spec.color",
            "$.metadata.labels.x",
            "$namespace.metadata.labels.team",
        ]);
        let equals = self.one(&["1", "red", "blue"]);
        let suspend = self.dice.random_bool(0.1);
        let spec = format!(
            "{{suspend: {suspend}, targets: [{{group: '{}', resources: [{resource}], namespaces: {namespaces}{fields}{selector}}}], \
             rules: [{{name: r, path: '{path}', assert: {{equals: {equals}}}}}]}}",
            of.group
        );
        println!("{name}: {spec}");
        self.world.policy(name, &spec);
    }

    fn define(&mut self) {
        let (of, kind) = self.kind();
        if of.group.is_empty() {
            return;
        }
        let namespaced = self.dice.random_bool(0.7);
        let versions = [vec!["v1"], vec!["v2", "v1"], vec!["v2"]].choose(&mut self.dice).unwrap().clone();
        let served = self.dice.random_bool(0.7).then_some(Served { kind, namespaced, versions });
        println!("{of}: {served:?}");
        self.world.server.define(&of, served, &["spec.color"]);
    }

    fn write_object(&mut self) {
        let (of, _) = self.kind();
        let Some(served) = self.world.server.served(&of) else { return };
        let namespace = served.namespaced.then(|| self.one(&NAMESPACES).into());
        let name = ObjectName { namespace, name: self.one(&["x", "y", "z"]).into() };
        if self.dice.random_bool(0.3) {
            return self.world.server.delete(&of, &name);
        }
        let (size, color) = (self.one(&["1", "2"]), self.one(&["red", "blue"]));
        // Now and then it is another object of the same name.
        let (place, number) = (name.namespace.as_deref().unwrap_or_default(), self.dice.random_range(0..3));
        let metadata = format!(r#","uid":"{}-{place}-{}-{number}""#, of.resource, name.name);
        let rest = format!(r#","spec":{{"size":{size},"color":"{color}"}}"#);
        self.world.server.put(&of, &name, &metadata, &rest);
    }

    async fn rest(&mut self) {
        self.world.server.mend();
        self.world.pass(if std::mem::take(&mut self.faulty) { RECOVERY } else { REST }).await;
        self.world.check_watches();
        self.world.check_store();
        self.world.check_verdicts();
        assert!(self.world.queue.is_empty());
    }
}

/// What of the process is about single policies and targets.
fn series(world: &World) -> Vec<String> {
    let page = world.metrics.page().unwrap();
    let lines = page.lines().filter(|line| line.contains("policy=\"") || line.contains("group=\""));
    lines.map(str::to_owned).collect()
}

fn from_environment(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn after_any_edits_what_is_watched_is_what_is_wanted_and_in_the_end_nothing_is_left() {
    let seed = from_environment("WATCHPOLICY_SEED", rand::random());
    let edits = from_environment("WATCHPOLICY_EDITS", EDITS as u64);
    println!("WATCHPOLICY_SEED={seed} WATCHPOLICY_EDITS={edits}");
    let world = World::new(Server::new());
    let mut editor = Editor { world, dice: StdRng::seed_from_u64(seed), faulty: false };
    NAMESPACES.iter().for_each(|name| editor.namespace(name, "red"));
    editor.rest().await;
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let (tasks, open) = (alive(), editor.world.server.open());
    let start = std::time::Instant::now();
    for edit in 0..edits {
        editor.edit();
        if editor.dice.random_bool(0.05) {
            editor.fail();
        }
        let pauses = [0, 0, 0, 1, 50, 150, 500, 3000];
        let pause = *pauses.choose(&mut editor.dice).unwrap();
        editor.world.pass(Duration::from_millis(pause)).await;
        if editor.dice.random_bool(0.15) || edit + 1 == edits {
            editor.rest().await;
        }
    }
    for policy in ["p0", "p1", "p2", "p3", "p4", "p5"] {
        editor.world.forget_policy(policy);
    }
    editor.rest().await;
    println!("{edits} edits in {:?}", start.elapsed());
    assert_eq!((alive(), editor.world.server.open()), (tasks, open), "tasks and connections");
    let World { store, ledger, queue, .. } = &editor.world;
    assert_eq!((store.shelves().len(), store.room().taken()), (0, 0), "documents");
    assert_eq!((ledger.bytes(), queue.len()), (0, 0), "verdicts and keys");
    assert_eq!(series(&editor.world), Vec::<String>::new());
    editor.world.end().await;
}
