//! A run: the steps of a plan carried out, until all is as it should be and stays so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::api::{Class, State};
use crate::cluster::{Cluster, Id, KINDS};
use crate::end::{difference, end, ghosts};
use crate::fields;
use crate::law::Law;
use crate::network::{Command, Health, Line, Server};
use crate::policies::{self, Edit};
use crate::replica::Replica;
use crate::story::{LEASE, NAMESPACE, Plan, Step};

/// A killed process is started again so much later.
const RESTART: Duration = Duration::from_secs(2);
/// Who makes a policy of a name that is still taken tries it again so much later, and is done within so long.
const AGAIN: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(300);
/// After the last step, all is put right within this: a lease, back-off that has grown meanwhile, and what is still
/// under way.
const SETTLED: Duration = Duration::from_secs(240);
/// The same where nothing goes wrong.
const CALM: Duration = Duration::from_secs(60);
/// Between two statuses of one policy.
const PACE: Duration = Duration::from_secs(5);
/// And then nothing is written.
const QUIET: Duration = Duration::from_secs(600);
/// For so much of that all replicas go on.
const ALL: Duration = Duration::from_secs(60);

/// What a run came to.
pub(crate) struct Outcome {
    /// The cluster at the end, without what differs from run to run.
    pub(crate) end: Value,
    pub(crate) breaches: Vec<String>,
    /// What happened.
    pub(crate) log: Vec<String>,
    /// How many requests of the writing side there were until one lease after the last step.
    pub(crate) requests: BTreeMap<Class, usize>,
}

/// Carries a plan out; `reference` is the end of the same without faults, if this is not that.
pub(crate) fn run(plan: Plan, reference: Option<&Value>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let mut world = World::new(plan);
        world.play().await;
        world.settle(reference).await;
        world.outcome()
    })
}

struct World {
    plan: Plan,
    server: Arc<Server>,
    commands: mpsc::UnboundedReceiver<Command>,
    replicas: BTreeMap<usize, Replica>,
    /// Those that were told to end, until they have.
    ending: JoinSet<usize>,
    steps: BTreeMap<(Instant, usize), Step>,
    made: usize,
    requests: BTreeMap<Class, usize>,
}

impl World {
    fn new(mut plan: Plan) -> Self {
        let start = Instant::now();
        let mut state = State { cluster: Cluster::new(), law: Law::default(), log: Vec::new(), start };
        for name in policies::FIRST {
            let id = Id::new("watchpolicies", "", name);
            state.cluster.create(&id, "kubectl", policies::policy(name)).unwrap();
            state.note_policy(name);
        }
        let (server, commands) = Server::new(state, std::mem::take(&mut plan.faults));
        let steps = std::mem::take(&mut plan.steps);
        let mut world = Self {
            plan,
            server,
            commands,
            replicas: BTreeMap::new(),
            ending: JoinSet::new(),
            steps: BTreeMap::new(),
            made: 0,
            requests: BTreeMap::new(),
        };
        steps.into_iter().for_each(|(at, step)| world.plan(start + at, step));
        world
    }

    fn plan(&mut self, at: Instant, step: Step) {
        self.made += 1;
        self.steps.insert((at, self.made), step);
    }

    /// Carries out all steps, and what follows from them.
    async fn play(&mut self) {
        // Who was told to end comes back too, after the last step as well.
        while !self.steps.is_empty() || !self.ending.is_empty() {
            let next = self.steps.first_key_value().map(|((at, _), _)| *at);
            let at = next.unwrap_or_else(|| Instant::now() + RESTART);
            tokio::select! {
                biased;
                Some(command) = self.commands.recv() => self.obey(command),
                Some(ended) = self.ending.join_next() => {
                    self.plan(Instant::now() + RESTART, Step::Start(ended.unwrap()));
                }
                () = sleep_until(at) => {
                    if let Some((_, step)) = self.steps.pop_first() {
                        self.step(step);
                    }
                }
            }
            self.look();
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Crashed(slot) => {
                if self.replicas.remove(&slot).is_some() {
                    self.note(&format!("replica {slot} is killed"));
                    self.plan(Instant::now() + RESTART, Step::Start(slot));
                }
            }
            Command::Thaw(slot, time) => {
                self.plan(Instant::now() + time, Step::Thaw(slot));
            }
        }
    }

    fn step(&mut self, step: Step) {
        self.note(&format!("{step:?}"));
        match step {
            Step::Write { name, make, merge } => self.write(&name, make, &merge),
            Step::Delete(name) => self.server.state.lock().cluster.delete(&place(&name).0),
            Step::Edit(policy, edit) => self.edit_policy(policy, edit),
            Step::StopWrites(stopped) => self.stop_writes(stopped),
            Step::Start(slot) => self.start(slot),
            Step::Terminate(slot) => self.terminate(slot),
            Step::Depose => self.leader().into_iter().for_each(|slot| self.terminate(slot)),
            Step::Kill(slot) => {
                if let Some(replica) = self.replicas.remove(&slot) {
                    replica.line.die();
                    self.plan(Instant::now() + RESTART, Step::Start(slot));
                }
            }
            Step::Freeze(slot, time) => {
                self.health(slot, |health| health.frozen = true);
                self.plan(Instant::now() + time, Step::Thaw(slot));
            }
            Step::Thaw(slot) => {
                if let Some(replica) = self.replicas.get(&slot) {
                    self.server.state.lock().law.wakes(&replica.line.identity);
                }
                self.health(slot, |health| health.frozen = false);
            }
            Step::Behind(leads) => {
                let leader = self.leader();
                let behind = (0..self.plan.replicas).filter(|slot| (leader == Some(*slot)) == leads);
                behind.for_each(|slot| self.health(slot, |health| health.behind = true));
            }
            Step::CatchUp => {
                (0..self.plan.replicas).for_each(|slot| self.health(slot, |health| health.behind = false));
            }
            Step::Down(slot, down) => self.health(slot, |health| health.down = down),
            Step::Cut => self.cut(),
            Step::Compact => {
                let mut state = self.server.state.lock();
                state.cluster.compacted = state.cluster.version() + 1;
                drop(state);
                self.cut();
            }
        }
    }

    fn start(&mut self, slot: usize) {
        let seed = self.plan.seed.wrapping_mul(1000).wrapping_add(self.made as u64);
        let identity = format!("replica-{slot}_{}", self.made).into();
        let line = Line::new(slot, identity, Arc::clone(&self.server), seed);
        self.replicas.insert(slot, Replica::start(line, seed));
    }

    fn terminate(&mut self, slot: usize) {
        if let Some(replica) = self.replicas.remove(&slot) {
            self.server.state.lock().law.ends(&replica.line.identity);
            self.ending.spawn(async move {
                replica.terminate().await;
                slot
            });
        }
    }

    fn leader(&self) -> Option<usize> {
        let state = self.server.state.lock();
        let leads = |replica: &Replica| *replica.line.identity == *state.law.holder();
        self.replicas.iter().find(|(_, replica)| leads(replica)).map(|(slot, _)| *slot)
    }

    fn health(&self, slot: usize, change: impl FnOnce(&mut Health)) {
        if let Some(replica) = self.replicas.get(&slot) {
            replica.line.health.send_modify(change);
        }
    }

    fn cut(&self) {
        (0..self.plan.replicas).for_each(|slot| self.health(slot, |health| health.cuts += 1));
    }

    fn write(&self, name: &str, make: bool, merge: &Value) {
        let mut state = self.server.state.lock();
        state.law.others.extend(fields::leaves(merge).into_keys());
        let (id, kind) = place(name);
        let Some(mut object) = state.cluster.get(&id).cloned() else {
            if make {
                let mut object = json!({"apiVersion": "v1", "kind": kind, "metadata": {}});
                json_patch::merge(&mut object, merge);
                state.cluster.create(&id, "kubectl", object).unwrap();
            }
            return;
        };
        json_patch::merge(&mut object, merge);
        state.cluster.update(&id, "kubectl", object);
    }

    fn edit_policy(&mut self, name: &'static str, edit: Edit) {
        let id = Id::new("watchpolicies", "", name);
        let mut state = self.server.state.lock();
        match edit {
            Edit::Make(_) if state.cluster.get(&id).is_some() => {
                drop(state);
                return self.make_later(name, edit);
            }
            Edit::Make(value) => {
                let policy = policies::policy_that_wants(name, value);
                state.cluster.create(&id, "kubectl", policy).unwrap();
            }
            Edit::Delete => state.cluster.delete(&id),
            edit => state.cluster.edit(&id, |spec| edit.change(spec)),
        }
        state.note_policy(name);
    }

    /// The name is still taken.
    fn make_later(&mut self, name: &'static str, edit: Edit) {
        let now = Instant::now();
        if now.duration_since(self.server.state.lock().start) < PATIENCE {
            self.plan(now + AGAIN, Step::Edit(name, edit));
        } else {
            self.breach(format!("the policy {name} was deleted, and does not go"));
        }
    }

    fn stop_writes(&self, stopped: bool) {
        let mut state = self.server.state.lock();
        let id = Id::new("leases", NAMESPACE, "watchpolicy");
        let Some(mut lease) = state.cluster.get(&id).cloned() else { return };
        let value = if stopped { json!("stopped") } else { Value::Null };
        json_patch::merge(
            &mut lease,
            &json!({"metadata": {"annotations": {"watchpolicy.io/writes": value}}}),
        );
        state.cluster.update(&id, "kubectl", lease);
        state.law.stop_writes(stopped);
    }

    /// What is wrong with a replica itself.
    fn look(&mut self) {
        for (slot, replica) in &mut self.replicas {
            if replica.is_broken() {
                let breach = format!("a part of replica {slot} ended unasked");
                self.server.state.lock().law.breaches.push(breach);
            }
        }
    }

    fn note(&self, what: &str) {
        self.server.state.lock().note(&format!("-- {what}"));
    }

    /// Waits until all is as without faults, and looks whether it stays so.
    async fn settle(&mut self, reference: Option<&Value>) {
        // What has not gone wrong by now does not any more; and where nobody leads, somebody takes over.
        self.server.faults.lock().at.clear();
        sleep(LEASE).await;
        self.requests = self.server.faults.lock().sent.clone();
        sleep(LEASE).await;
        match reference {
            Some(reference) => self.come_right(reference).await,
            None => sleep(CALM).await,
        }
        // A status that is right may be told once more, for another time in it, at its pace.
        sleep(PACE * 2).await;
        let (end, writes) = (self.end(), self.server.state.lock().law.writes);
        let ghosts = ghosts(&self.server.state.lock());
        self.server.state.lock().law.breaches.extend(ghosts);
        self.note("all is settled");
        sleep(ALL).await;
        // Who does not lead cannot write, and takes its time of the machine all the same.
        let holder = self.server.state.lock().law.holder().to_owned();
        self.replicas.retain(|_, replica| *replica.line.identity == *holder);
        sleep(QUIET - ALL).await;
        self.look();
        if self.server.state.lock().law.writes != writes {
            self.breach("something is written when nothing is to be written".to_owned());
        }
        if self.end() != end {
            self.breach(format!("it does not stay as it is: {}", difference(&end, &self.end())));
        }
    }

    /// Waits until all is as it is without faults.
    async fn come_right(&mut self, reference: &Value) {
        let deadline = Instant::now() + SETTLED;
        while self.end() != *reference {
            if Instant::now() >= deadline {
                return self
                    .breach(format!("it does not come right: {}", difference(reference, &self.end())));
            }
            sleep(Duration::from_secs(1)).await;
            self.play().await;
        }
    }

    fn breach(&self, what: String) {
        self.server.state.lock().law.breaches.push(what);
    }

    fn end(&self) -> Value {
        end(&self.server.state.lock())
    }

    fn outcome(self) -> Outcome {
        let end = self.end();
        let mut state = self.server.state.lock();
        Outcome {
            end,
            breaches: std::mem::take(&mut state.law.breaches),
            log: std::mem::take(&mut state.log),
            requests: self.requests.clone(),
        }
    }
}

/// Where an object is, and its kind.
fn place(name: &str) -> (Id, &'static str) {
    let (resource, kind) = KINDS[usize::from(name.starts_with("lone"))];
    (Id::new(resource, "shop", name), kind)
}
