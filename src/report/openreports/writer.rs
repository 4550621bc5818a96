//! The task that keeps reports as they should be, for as long as this replica leads and the cluster serves them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::content::{Content, Findings, Identity, Place};
use super::memory::{Memory, Shown};
use super::model::Outcome;
use super::requests::{RESOURCES, application, deletion, listed};
use crate::backoff::Backoff;
use crate::bucket::Bucket;
use crate::crd::TargetState;
use crate::leader::{Leadership, Permit};
use crate::ledger::{Ledger, Noted};
use crate::metrics::{Metrics, ReportWrite};
use crate::observe::board::Board;
use crate::observe::wire::Wire;
use crate::policy::catalog::Catalog;
use crate::policy::{self, PolicySet};
use crate::report::rests::Rests;
use crate::report::server::{self, Fault};
use crate::resource::{GroupResource, ObjectKey, log_object};

/// How often reports that nobody claimed are looked at.
const SWEEP: Duration = Duration::from_secs(10);
/// How often is looked whether reports that were written are there still.
const CHECK: Duration = Duration::from_secs(600);
/// The waits after what may work later.
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(60) };
/// When a report that was not written is tried again.
const AGAIN: Duration = Duration::from_secs(30);
/// The wait after a missing right to list.
const WITHOUT_RIGHT: Duration = Duration::from_secs(60);
/// What to do about a 403.
const CURE: &str = "the operator may not write reports; add to its ClusterRole, or start it with --reports=None: \
    {apiGroups: [\"openreports.io\"], resources: [\"reports\", \"clusterreports\"], \
    verbs: [\"list\", \"create\", \"patch\", \"delete\"]}";

/// What is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Rules that fail or err.
    Failures,
    /// And, for each other policy that judges the object, that it passes or does not apply.
    All,
}

impl Mode {
    fn noted(self) -> Noted {
        match self {
            Self::Failures => Noted::Failing,
            Self::All => Noted::All,
        }
    }

    fn filter(self) -> &'static [Outcome] {
        match self {
            Self::Failures => &[Outcome::Fail, Outcome::Error],
            Self::All => &[Outcome::Pass, Outcome::Fail, Outcome::Error, Outcome::Skip],
        }
    }
}

/// What is told once.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// What is reported.
    pub mode: Mode,
    /// Writes in a second.
    pub per_second: u32,
}

/// Which object is at a place now, if any; asked of objects without findings, which carry that themselves.
pub type Identify = Arc<dyn Fn(&ObjectKey) -> Option<Identity> + Send + Sync>;

/// Where the writer looks.
#[derive(Clone)]
pub struct Sources {
    /// What was found.
    pub ledger: Arc<Ledger>,
    /// The policies.
    pub set: watch::Receiver<Arc<PolicySet>>,
    /// Their targets.
    pub board: watch::Receiver<Arc<Board>>,
    /// What the cluster serves; `None` while that is not known.
    pub catalog: watch::Receiver<Option<Arc<Catalog>>>,
    /// The objects.
    pub identify: Identify,
}

/// Writes reports.
pub struct ReportWriter {
    wire: Wire,
    client: kube::Client,
    sources: Sources,
    settings: Settings,
    metrics: Arc<Metrics>,
    budget: Bucket,
    pause: Duration,
    failures: u32,
    /// What is tried again, the first due first; each object comes into it by one failure at a time.
    later: BTreeSet<(Instant, ObjectKey)>,
    rests: Rests,
}

impl ReportWriter {
    /// A writer that has written nothing yet. The wire is for the list of reports that are there.
    pub fn new(
        (wire, client): (Wire, kube::Client),
        sources: Sources,
        settings: Settings,
        metrics: Arc<Metrics>,
    ) -> Self {
        let per_second = settings.per_second.max(1);
        let pause = Duration::from_secs(1) / per_second;
        let budget = Bucket::new(per_second, pause, Instant::now().into_std());
        let (later, rests) = (BTreeSet::new(), Rests::default());
        Self { wire, client, sources, settings, metrics, budget, pause, failures: 0, later, rests }
    }

    /// Keeps reports until told to stop.
    pub async fn run(mut self, leadership: Leadership, stop: CancellationToken) {
        let mut catalog = self.sources.catalog.clone();
        let work = async {
            loop {
                self.wait_until_served(&mut catalog).await;
                let permit = leads(&leadership).await;
                info!("reports are written: the cluster serves openreports.io, and this replica leads");
                tokio::select! {
                    _lost = permit.guard(self.keep(&permit)) => {}
                    () = until(&mut catalog, |served| !served) => {}
                }
                self.sources.ledger.note_objects(None);
            }
        };
        stop.run_until_cancelled(work).await;
    }

    async fn wait_until_served(&self, catalog: &mut watch::Receiver<Option<Arc<Catalog>>>) {
        until(catalog, |_known| true).await;
        let serves = catalog.borrow().as_deref().is_some_and(serves);
        if !serves {
            info!("the cluster does not serve openreports.io; reports are written as soon as it does");
            until(catalog, |served| served).await;
        }
    }

    /// One term: takes over what is there, and keeps all reports as they should be.
    async fn keep(&mut self, permit: &Permit) {
        let mut memory = self.take_over().await;
        let ledger = Arc::clone(&self.sources.ledger);
        ledger.note_objects(Some(self.settings.mode.noted()));
        let mut sweep = Instant::now() + SWEEP;
        let mut check = Instant::now() + CHECK;
        (self.later, self.rests) = Default::default();
        loop {
            let later = self.later.first().map(|(due, _)| *due);
            tokio::select! {
                keys = ledger.objects() => {
                    for key in keys {
                        self.persist(key, &mut memory, permit).await;
                    }
                }
                () = sleep_until(later.unwrap_or_else(Instant::now)), if later.is_some() => {
                    if let Some((_, key)) = self.later.pop_first() {
                        self.persist(key, &mut memory, permit).await;
                    }
                }
                () = sleep_until(sweep), if memory.has_orphans() => {
                    self.sweep(&mut memory, permit).await;
                    sweep = Instant::now() + SWEEP;
                }
                () = sleep_until(check) => {
                    for key in self.missing(&mut memory).await {
                        self.persist(key, &mut memory, permit).await;
                    }
                    check = Instant::now() + CHECK;
                }
            }
        }
    }

    async fn take_over(&mut self) -> Memory {
        loop {
            match listed(&self.wire).await {
                Ok((memory, _complete)) => {
                    self.failures = 0;
                    return memory;
                }
                Err(error) if error.is_forbidden() => {
                    warn!(%error, "{CURE}");
                    sleep(WITHOUT_RIGHT).await;
                }
                Err(error) => {
                    warn!(%error, "the reports of earlier runs cannot be listed; it is tried again");
                    sleep(self.backoff()).await;
                }
            }
        }
    }

    /// The objects whose reports somebody deleted, or wrote over. Nothing is written meanwhile: what a list lacks is not
    /// there.
    async fn missing(&self, memory: &mut Memory) -> Vec<ObjectKey> {
        match listed(&self.wire).await {
            Ok((listed, true)) => memory.compare(listed),
            Ok((_, false)) => Vec::new(),
            Err(error) => {
                warn!(%error, "the reports cannot be listed; what somebody deleted is written again later");
                Vec::new()
            }
        }
    }

    /// Makes the report on an object what it should be. What may work later is tried again then: one object that the
    /// server has trouble with holds no other up for long.
    async fn persist(&mut self, key: ObjectKey, memory: &mut Memory, permit: &Permit) {
        let namespace = key.object.namespace.clone();
        if let Some(until) = self.rests.of(namespace.as_ref(), Instant::now()) {
            self.later.insert((until, key));
            return;
        }
        let fault = match self.bring(&key, memory, permit).await {
            Ok(()) => {
                self.failures = 0;
                return;
            }
            Err(fault) => fault,
        };
        let wait = if fault.is_forbidden() {
            let until = self.rest(namespace.as_ref(), &fault);
            self.later.insert((until, key));
            return;
        } else if fault.may_pass() {
            log_object!(warn, &key, error = %fault, "the report on an object is not written yet; it is tried again");
            self.backoff()
        } else if fault.is_of_the_namespace() || fault.code() == Some(404) {
            return log_object!(debug, &key, error = %fault, "the report on an object has no place any more");
        } else {
            return log_object!(
                warn,
                &key,
                error = %fault,
                "the server refuses the report on an object; its next change may be better"
            );
        };
        self.later.insert((Instant::now() + AGAIN, key));
        sleep(wait).await;
    }

    /// What a namespace refuses holds up no other. Until when nothing is written there.
    fn rest(&mut self, namespace: Option<&Arc<str>>, fault: &Fault) -> Instant {
        let place = namespace.map_or("", |namespace| namespace);
        if fault.lacks_right() {
            warn!(namespace = place, error = %fault, "{CURE}");
        } else {
            warn!(namespace = place, error = %fault, "reports are refused; they are tried again later");
        }
        self.rests.begin(namespace, Instant::now())
    }

    fn backoff(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        BACKOFF.wait(self.failures)
    }

    async fn bring(&mut self, key: &ObjectKey, memory: &mut Memory, permit: &Permit) -> Result<(), Fault> {
        if !self.sources.ledger.lists_all_on(key) {
            // There was no room for its findings: what the report says may be old, and is more than nothing.
            return Ok(());
        }
        let wanted = self.wanted(key).transpose();
        let wanted = wanted.map_err(|error| Fault::Unanswered(error.to_string()))?;
        let old = memory.shown(key).filter(|old| wanted.as_ref().is_none_or(|wanted| wanted.uid != old.uid));
        if let Some(old) = old {
            let place = Place::of(key, &old.uid);
            self.delete(&place, permit).await?;
            memory.deleted(key);
        }
        let Some(wanted) = wanted else { return Ok(()) };
        let shown = Shown { uid: Arc::clone(&wanted.uid), digest: wanted.digest };
        if memory.shown(key) == Some(&shown) || memory.adopt(key, &wanted.place, shown.clone()) {
            return Ok(());
        }
        let place = wanted.place.clone();
        self.send(application(wanted), permit).await?;
        self.rests.end(key.object.namespace.as_ref());
        memory.wrote(key, &place, shown);
        Ok(())
    }

    /// What the report on an object should say now.
    fn wanted(&self, key: &ObjectKey) -> Option<serde_json::Result<Content>> {
        let Sources { ledger, set, identify, .. } = &self.sources;
        let found = ledger.findings_on(key);
        let others = match self.settings.mode {
            Mode::Failures => Vec::new(),
            Mode::All => {
                let passing = |outcome: policy::Outcome| {
                    matches!(outcome, policy::Outcome::Pass | policy::Outcome::Skip)
                };
                ledger.outcomes_on(key).into_iter().filter(|(_, outcome)| passing(*outcome)).collect()
            }
        };
        let of_finding = found.first().map(|(_, _, finding)| Identity {
            api_version: Arc::clone(&finding.api_version),
            kind: Arc::clone(&finding.kind),
            uid: Arc::clone(&finding.uid),
        });
        let identity = of_finding.or_else(|| identify(key))?;
        let filter = self.settings.mode.filter();
        let set = Arc::clone(&set.borrow());
        let category = |policy: &str| set.entries.get(policy)?.running()?.category.clone();
        Findings { key, identity: &identity, found: &found, others: &others, filter }.content(category)
    }

    /// Deletes what earlier runs left and no object claims.
    async fn sweep(&mut self, memory: &mut Memory, permit: &Permit) {
        let (set, board) = (self.sources.set.borrow().clone(), self.sources.board.borrow().clone());
        for place in memory.nobodys(|resource| is_known(resource, &set, &board)) {
            if self.rests.of(place.namespace.as_ref(), Instant::now()).is_some() {
                continue;
            }
            match self.delete(&place, permit).await {
                Ok(()) => memory.deleted_orphan(&place),
                Err(fault) if fault.is_forbidden() => drop(self.rest(place.namespace.as_ref(), &fault)),
                // It is looked at again.
                Err(fault) => {
                    return warn!(error = %fault, "a report of an earlier run is not deleted; it is tried again");
                }
            }
        }
    }

    async fn delete(&mut self, place: &Place, permit: &Permit) -> Result<(), Fault> {
        match self.send(deletion(place), permit).await {
            // It went with its object.
            Err(fault) if fault.code() == Some(404) => Ok(()),
            sent => sent,
        }
    }

    /// Sends a request when the budget allows it.
    async fn send(
        &mut self,
        request: http::Result<http::Request<Vec<u8>>>,
        permit: &Permit,
    ) -> Result<(), Fault> {
        let request = request.map_err(|error| Fault::Unanswered(error.to_string()))?;
        while !self.budget.take(Instant::now().into_std()) {
            sleep(self.pause).await;
        }
        let sent = server::send(&self.client, request, permit).await;
        self.metrics.report_write(match &sent {
            Ok(()) => ReportWrite::Written,
            Err(fault) if fault.code() == Some(404) => ReportWrite::Gone,
            Err(_) => ReportWrite::Failed,
        });
        sent
    }
}

/// Waits for leadership.
async fn leads(leadership: &Leadership) -> Permit {
    let mut leadership = leadership.clone();
    loop {
        if let Ok(permit) = leadership.permit() {
            return permit;
        }
        leadership.changed().await;
    }
}

fn serves(catalog: &Catalog) -> bool {
    RESOURCES.iter().all(|resource| {
        catalog.resolve(&GroupResource::new("openreports.io", *resource), Some("v1alpha1")).is_ok()
    })
}

/// Waits until reports are served, or are not. For ever, when nobody tells any more.
async fn until(catalog: &mut watch::Receiver<Option<Arc<Catalog>>>, wanted: impl Fn(bool) -> bool) {
    let is_wanted =
        |catalog: &Option<Arc<Catalog>>| catalog.as_deref().is_some_and(|known| wanted(serves(known)));
    let ended = catalog.wait_for(is_wanted).await.is_err();
    if ended {
        std::future::pending::<()>().await;
    }
}

/// Whether all objects of a resource that policies target are known: then they have been judged, or soon are.
fn is_known(resource: &str, set: &PolicySet, board: &Board) -> bool {
    set.running().all(|policy| {
        let Some(targets) = board.policies.get(&policy.name) else { return false };
        let is_it = |group: &str, name: &str| GroupResource::new(group, name).to_string() == resource;
        targets.iter().filter(|target| is_it(&target.group, &target.resource)).all(|target| {
            matches!(target.state, TargetState::Synced | TargetState::Absent | TargetState::Stopping)
        })
    })
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
