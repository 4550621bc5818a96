//! The task that brings events to the server. What comes faster than it may write is dropped and counted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::announcement::Announcement;
use super::object::{Place, creation, event, extension};
use super::series::{Moment, Order, Register};
use crate::backoff::Backoff;
use crate::bucket::Bucket;
use crate::leader::{Leadership, Permit};
use crate::ledger::{Ledger, News, Wanted};
use crate::metrics::Metrics;
use crate::policy::PolicySet;
use crate::report::rests::Rests;
use crate::report::server::{self, Fault};

/// Announcements that wait; more are dropped.
const MAX_WAITING: usize = 1024;
/// Events that one policy may write at once, and how soon it may write one more.
const BURST: u32 = 25;
const EVERY: Duration = Duration::from_secs(5);
/// The same of all policies together.
const BURST_OF_ALL: u32 = 100;
const EVERY_OF_ALL: Duration = Duration::from_millis(50);
/// How often one event is tried, and the waits between.
const TRIES: u32 = 3;
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(4) };
/// How long what waits at the end may take.
const FLUSH: Duration = Duration::from_secs(2);
/// What to do about a 403.
const CURE: &str = "the operator may not write Events; add to its Role in the namespace default, or with \
    --events-on-resources to its ClusterRole: \
    {apiGroups: [\"events.k8s.io\"], resources: [\"events\"], verbs: [\"create\", \"patch\"]}";

/// What is told, and by whom.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether objects have events of their own.
    pub on_resources: bool,
    /// The name of this replica.
    pub identity: Arc<str>,
}

/// Where announcements are handed in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Announcer(Option<(mpsc::Sender<Announcement>, Arc<Metrics>)>);

impl Announcer {
    /// Of an operator that writes no events.
    pub fn silent() -> Self {
        Self(None)
    }

    /// Hands something in, or drops it where too much waits already.
    pub(in super::super) fn tell(&self, announcement: Announcement) {
        let Some((sender, metrics)) = &self.0 else { return };
        if sender.try_send(announcement).is_err() {
            metrics.events_dropped(1);
        }
    }
}

/// Writes events.
pub struct EventWriter {
    client: kube::Client,
    settings: Settings,
    metrics: Arc<Metrics>,
    leadership: Leadership,
    announced: mpsc::Receiver<Announcement>,
    register: Register,
    /// One for each policy that told something; those of policies that are gone are dropped.
    budgets: BTreeMap<Arc<str>, Bucket>,
    budget_of_all: Bucket,
    rests: Rests,
}

impl EventWriter {
    /// A writer, and where what it is to write is handed in.
    pub fn new(
        client: kube::Client,
        settings: Settings,
        metrics: Arc<Metrics>,
        leadership: Leadership,
    ) -> (Self, Announcer) {
        let (sender, announced) = mpsc::channel(MAX_WAITING);
        let announcer = Announcer(Some((sender, Arc::clone(&metrics))));
        let budget_of_all = Bucket::new(BURST_OF_ALL, EVERY_OF_ALL, Instant::now().into_std());
        let writer = Self {
            client,
            settings,
            metrics,
            leadership,
            announced,
            register: Register::default(),
            budgets: BTreeMap::new(),
            budget_of_all,
            rests: Rests::default(),
        };
        (writer, announcer)
    }

    /// Writes what is announced, and what the ledger has news of, until told to stop.
    pub async fn run(
        mut self,
        ledger: Arc<Ledger>,
        mut set: watch::Receiver<Arc<PolicySet>>,
        stop: CancellationToken,
    ) {
        ledger.listen(if self.settings.on_resources { Wanted::All } else { Wanted::Fixes });
        // An event that is under way when the end comes is lost: nobody waits for it.
        while stop.run_until_cancelled(self.step(&ledger, &mut set)).await.is_some() {}
        let flushed = timeout(FLUSH, async {
            while let Ok(announcement) = self.announced.try_recv() {
                self.tell(announcement).await;
            }
        });
        if flushed.await.is_err() {
            debug!("the last events were not all written in time");
        }
    }

    /// Waits for one thing to do, and does it.
    async fn step(&mut self, ledger: &Ledger, set: &mut watch::Receiver<Arc<PolicySet>>) {
        let due = self.register.next();
        tokio::select! {
            Some(announcement) = self.announced.recv() => self.tell(announcement).await,
            (news, lost) = ledger.news() => {
                self.metrics.events_dropped(lost);
                let set = Arc::clone(&set.borrow());
                for news in news {
                    self.tell_news(&news, &set).await;
                }
            }
            Ok(()) = set.changed() => {
                let set = set.borrow_and_update();
                self.budgets.retain(|policy, _| set.entries.contains_key(policy));
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.extend().await,
            else => std::future::pending().await,
        }
    }

    async fn tell_news(&mut self, news: &News, set: &PolicySet) {
        let Some(entry) = set.entries.get(&news.policy) else { return };
        for announcement in Announcement::of_news(news, entry, self.settings.on_resources) {
            self.tell(announcement).await;
        }
    }

    /// Tells something, unless another replica leads: that one tells it.
    async fn tell(&mut self, announcement: Announcement) {
        let Ok(permit) = self.leadership.permit() else { return };
        let now = Moment { wall: Timestamp::now(), instant: Instant::now() };
        let policy = Arc::clone(&announcement.policy);
        let Some(order) = self.register.hear(announcement, now) else { return };
        if self.may_write(&policy, order.place()) {
            self.write(order, &permit).await;
        } else {
            self.drop_event(&order);
        }
    }

    /// Writes a repetition that is due. Those that there is no budget for are dropped like others.
    async fn extend(&mut self) {
        let Some(order) = self.register.due(Instant::now()) else { return };
        let Ok(permit) = self.leadership.permit() else { return };
        self.write(order, &permit).await;
    }

    fn may_write(&mut self, policy: &Arc<str>, place: &Place) -> bool {
        let now = Instant::now();
        if self.rests.of(Some(&place.namespace), now).is_some() {
            return false;
        }
        let now = now.into_std();
        let budget = self.budgets.entry(Arc::clone(policy)).or_insert_with(|| Bucket::new(BURST, EVERY, now));
        budget.take(now)
    }

    fn drop_event(&mut self, order: &Order) {
        let (Order::Create(announcement, _) | Order::Extend(announcement, ..)) = order;
        self.register.forget(announcement);
        self.metrics.events_dropped(1);
    }

    /// Writes one event, and tries again a few times where that may help.
    async fn write(&mut self, order: Order, permit: &Permit) {
        while !self.budget_of_all.take(Instant::now().into_std()) {
            sleep(EVERY_OF_ALL).await;
        }
        for tried in 1..=TRIES {
            match self.send(&order, permit).await {
                Ok(()) => return self.rests.end(Some(&order.place().namespace)),
                // Sent before, and the answer was lost.
                Err(fault) if fault.code() == Some(409) && tried > 1 => return,
                Err(fault) if fault.may_pass() && tried < TRIES => sleep(BACKOFF.wait(tried)).await,
                Err(fault) => {
                    self.complain(&fault, order.place());
                    break;
                }
            }
        }
        self.drop_event(&order);
    }

    async fn send(&self, order: &Order, permit: &Permit) -> Result<(), Fault> {
        let request = match order {
            Order::Create(announcement, place) => {
                let event = event(announcement, place, &self.settings.identity, Timestamp::now());
                creation(&event, place)
            }
            Order::Extend(_, place, count, last) => extension(place, *count, *last),
        };
        let request = request.map_err(|error| Fault::Unanswered(error.to_string()))?;
        server::send(&self.client, request, permit).await
    }

    fn complain(&mut self, fault: &Fault, place: &Place) {
        let namespace = &place.namespace;
        if fault.is_forbidden() {
            self.rests.begin(Some(namespace), Instant::now());
        }
        if fault.lacks_right() {
            warn!(%namespace, error = %fault, "{CURE}");
        } else {
            debug!(%namespace, error = %fault, "an event was not written");
        }
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
