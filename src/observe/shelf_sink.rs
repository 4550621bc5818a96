//! From raw items to documents on a shelf, and from changed documents to keys in the queue.

use std::sync::Arc;

use tokio::sync::{Notify, watch};

use super::fleet::Stand;
use super::informer::{Phase, Signal, Sink};
use crate::jsonpath::{Document, Projection};
use crate::metrics::{Priority, TargetSeries, WatchFailure};
use crate::queue::Queue;
use crate::resource::{GroupResource, ObjectKey, ObjectName};
use crate::store::{Change, Shelf};

/// The sink of a target's informer.
pub(super) struct ShelfSink {
    pub(super) shelf: Arc<Shelf>,
    pub(super) projection: Arc<Projection>,
    pub(super) queue: Arc<Queue<ObjectKey>>,
    pub(super) series: TargetSeries,
    pub(super) stand: watch::Sender<Stand>,
    pub(super) woken: Arc<Notify>,
    /// Of what is seen now: found by a list, or told by the watch.
    pub(super) priority: Priority,
}

impl ShelfSink {
    fn enqueue(&self, object: ObjectName) {
        self.queue.add(ObjectKey { resource: self.shelf.resource.resource.clone(), object }, self.priority);
    }

    /// `None` for an item that has not even a name: it cannot be judged, only counted.
    fn decode(&self, raw: &str) -> Option<Document> {
        Document::decode(raw, &self.projection, &self.shelf.types)
            .inspect_err(|error| {
                self.series.failure(WatchFailure::Undecodable);
                tracing::warn!(resource = %self.shelf.resource, %error, "an item without identity was passed over");
            })
            .ok()
    }
}

impl Sink for ShelfSink {
    fn listing(&mut self) {
        self.priority = Priority::InitialList;
        self.shelf.begin_list();
    }

    fn seen(&mut self, raw: &str) {
        let Some(document) = self.decode(raw) else { return };
        let (name, change) = self.shelf.put(document);
        match change {
            Change::Changed => self.enqueue(name),
            Change::Unchanged => self.series.unchanged(),
        }
    }

    fn deleted(&mut self, raw: &str) {
        let Some(Document { id, .. }) = self.decode(raw) else { return };
        let name = ObjectName { namespace: id.namespace, name: id.name };
        if self.shelf.remove(&name) {
            self.enqueue(name);
        }
    }

    fn listed(&mut self) {
        for name in self.shelf.sweep() {
            self.enqueue(name);
        }
        self.priority = Priority::LiveChange;
    }

    fn phase(&mut self, phase: Phase) {
        let changed = self.stand.send_if_modified(|stand| {
            let changed = stand.phase != phase;
            if changed {
                tell(&self.shelf.resource.resource, &phase);
                *stand = Stand { phase, since: jiff::Timestamp::now() };
            }
            changed
        });
        if changed {
            self.woken.notify_one();
        }
    }

    fn alive(&mut self) {
        self.shelf.alive(jiff::Timestamp::now());
    }

    fn count(&mut self, signal: Signal) {
        match signal {
            Signal::Event(kind) => self.series.event(kind),
            Signal::Failure(failure) => self.series.failure(failure),
            Signal::Listed(took) => self.series.listed(took),
        }
    }
}

/// The field is not called `target`: log lines have one of that name, the module.
fn tell(resource: &GroupResource, phase: &Phase) {
    match phase {
        Phase::Listing => tracing::debug!(%resource, "listing"),
        Phase::Synced => tracing::info!(%resource, "synced"),
        Phase::Absent => tracing::info!(%resource, "not served at this moment"),
        Phase::Forbidden { verb } => {
            tracing::warn!(%resource, verb, "forbidden; the policy's status has the cure");
        }
        Phase::Degraded(why) => tracing::warn!(%resource, why, "degraded"),
    }
}
