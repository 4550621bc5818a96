//! Follows what the cluster serves.
//!
//! The truth is aggregated discovery (`apidiscovery.k8s.io/v2`): one request for everything, by ETag a cheap one.
//! CRDs and APIServices are watched only to know when to ask again; single CRDs are read for the fields that policies
//! select by. Discovery lags a little behind them, so after each
//! change it is asked several times at growing distances; and once a minute in any case.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::definitions::{Definitions, Unread};
use super::discovery::{ACCEPT, Groups, Reading};
use super::informer::{Phase, Sink};
use super::telling::Telling;
use super::wire::{Collection, Wire, WireError};
use crate::jsonpath::{Document, Projection, TypeMeta};
use crate::policy::PolicySet;
use crate::policy::catalog::Catalog;
use crate::resource::Gvr;

const PATHS: [&str; 2] = ["/api", "/apis"];
/// When discovery is asked after a change, counted from it.
const AFTER_CHANGE: [Duration; 7] = [
    Duration::ZERO,
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(10),
];
const BURST: Duration = Duration::from_millis(20);
/// An APIService that comes and goes without end does not make more requests than one in so long.
const FLOOR: Duration = Duration::from_millis(300);
const ANYWAY: Duration = Duration::from_secs(60);
const AFTER_FAILURE: Duration = Duration::from_secs(2);

/// What is watched to know when served resources change.
pub fn collections() -> [Collection; 2] {
    let bell = |group, resource| Collection {
        metadata_only: true,
        ..Collection::all(Gvr::new(group, "v1", resource))
    };
    [bell("apiextensions.k8s.io", "customresourcedefinitions"), bell("apiregistration.k8s.io", "apiservices")]
}

/// What changed since discovery was last asked.
#[derive(Default)]
pub struct Changes {
    notify: Notify,
    /// Names of objects; there are no more than there are CRDs and APIServices.
    names: Mutex<BTreeSet<Arc<str>>>,
}

/// A sink that keeps nothing but names: whatever happens, discovery is asked.
pub struct ChangeSink {
    what: &'static str,
    changes: Arc<Changes>,
    telling: Telling,
}

impl ChangeSink {
    /// Notes every event of a collection in `changes`.
    pub fn new(what: &'static str, changes: Arc<Changes>) -> Self {
        Self { what, changes, telling: Telling::default() }
    }
}

impl Sink for ChangeSink {
    fn listing(&mut self) {}
    fn seen(&mut self, raw: &str) {
        let types = TypeMeta { api_version: String::new().into(), kind: String::new().into() };
        let document = Document::decode(raw, &Projection::default(), &types);
        self.changes.names.lock().extend(document.map(|document| document.id.name));
        self.changes.notify.notify_one();
    }
    fn deleted(&mut self, raw: &str) {
        self.seen(raw);
    }
    fn listed(&mut self) {
        self.changes.notify.notify_one();
    }
    fn phase(&mut self, phase: Phase) {
        match phase {
            phase if !self.telling.is_due(&phase) => {}
            Phase::Listing | Phase::Synced => {}
            phase => tracing::warn!(
                what = self.what,
                ?phase,
                "not followed; new resources are found within a minute instead of at once"
            ),
        }
    }
}

/// Keeps the catalog true.
pub struct Discovery {
    wire: Wire,
    etags: BTreeMap<&'static str, String>,
    documents: BTreeMap<&'static str, Groups>,
    definitions: Definitions,
    catalog: watch::Sender<Option<Arc<Catalog>>>,
}

impl Discovery {
    /// The catalog is `None` until discovery has answered.
    pub fn new(wire: Wire) -> (Self, watch::Receiver<Option<Arc<Catalog>>>) {
        let (catalog, reader) = watch::channel(None);
        let definitions = Definitions::new(wire.clone());
        let (etags, documents) = (BTreeMap::new(), BTreeMap::new());
        (Self { wire, etags, documents, definitions, catalog }, reader)
    }

    /// Asks when something changed, and once in a while, until told to stop.
    pub async fn run(
        mut self,
        changes: Arc<Changes>,
        mut policies: watch::Receiver<Arc<PolicySet>>,
        stop: CancellationToken,
    ) {
        let mut change = Instant::now();
        let mut asked = 0;
        let mut last = change;
        loop {
            let next = match AFTER_CHANGE.get(asked) {
                Some(after) => change + *after,
                None => last + ANYWAY,
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = changes.notify.notified() => {
                    // A burst of changes is one change, and cannot put the question off for ever.
                    if asked > 0 {
                        change = (Instant::now() + BURST).max(last + FLOOR);
                        asked = 0;
                    }
                    continue;
                }
                Ok(()) = policies.changed() => {
                    let set = Arc::clone(&policies.borrow_and_update());
                    if self.definitions.meet(&set) {
                        let unread = self.definitions.ask_new().await;
                        unread.iter().for_each(|unread| tracing::warn!("{unread}"));
                        self.publish();
                    }
                    continue;
                }
                () = sleep_until(next) => {}
            }
            // A definition is read from where it changed, and does not lag behind.
            if asked == 0 {
                let names = std::mem::take(&mut *changes.names.lock());
                self.ask_definitions(Some(&names)).await;
            } else if asked >= AFTER_CHANGE.len() {
                self.ask_definitions(None).await;
            }
            asked += 1;
            last = Instant::now();
            if let Err(error) = self.ask().await {
                tracing::warn!(%error, "discovery failed; what is known stays");
                change = Instant::now() + AFTER_FAILURE;
                asked = 0;
            }
        }
    }

    /// Asks for definitions of these names, or for all.
    async fn ask_definitions(&mut self, names: Option<&BTreeSet<Arc<str>>>) {
        let unread = match names {
            Some(names) => self.definitions.ask_named(names).await,
            None => self.definitions.ask().await,
        };
        for unread in unread {
            tracing::warn!("{unread}");
        }
    }

    async fn ask(&mut self) -> Result<(), WireError> {
        for path in PATHS {
            let etag = self.etags.get(path).map(String::as_str);
            let mut reading = Reading::new(self.documents.get(path));
            let Some(etag) = self.wire.read(path, ACCEPT, etag, |bytes| reading.push(bytes)).await? else {
                continue;
            };
            let document = reading.end()?;
            self.documents.insert(path, document);
            match etag {
                Some(etag) => self.etags.insert(path, etag),
                None => self.etags.remove(path),
            };
        }
        self.publish();
        Ok(())
    }

    /// Nothing is told before discovery has answered for the first time.
    fn publish(&self) {
        if self.documents.len() < PATHS.len() {
            return;
        }
        let groups = self.documents.values().flat_map(Clone::clone).collect();
        let (selectable, shapes) = (self.definitions.selectable(), self.definitions.shapes());
        let catalog = Some(Arc::new(Catalog { groups, selectable, shapes }));
        self.catalog.send_if_modified(|old| {
            let changed = *old != catalog;
            if changed {
                *old = catalog;
            }
            changed
        });
    }
}

/// What is served at this moment as far as these policies need it, for those who do not follow it; and which definition
/// cannot be read, where some policy selects by fields.
///
/// # Errors
/// See [`WireError`].
pub async fn look(wire: Wire, policies: &PolicySet) -> Result<(Arc<Catalog>, Option<Unread>), WireError> {
    let (mut discovery, reader) = Discovery::new(wire);
    discovery.definitions.meet(policies);
    let unread = discovery.definitions.ask().await.pop();
    let missed = discovery.definitions.missed(policies);
    discovery.ask().await?;
    let catalog = reader.borrow().clone();
    let unread = unread.zip(missed).map(|(unread, missed)| unread.of(missed));
    Ok((catalog.unwrap_or_default(), unread))
}
