//! Follows what the cluster serves.
//!
//! The truth is aggregated discovery (`apidiscovery.k8s.io/v2`): one request for everything, by ETag a cheap one.
//! CRDs and APIServices are watched only to know when to ask again; single CRDs are read for the fields that policies
//! select by. Discovery lags a little behind them, so after each
//! change it is asked several times at growing distances; and once a minute in any case.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::definitions::Definitions;
use super::informer::{Phase, Sink};
use super::telling::Telling;
use super::wire::{Collection, Wire, WireError};
use crate::policy::PolicySet;
use crate::policy::catalog::{Catalog, ServedResource, ServedVersion};
use crate::resource::Gvr;

const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
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

/// A sink that keeps nothing: whatever happens, discovery is asked.
pub struct ChangeSink {
    what: &'static str,
    changed: Arc<Notify>,
    telling: Telling,
}

impl ChangeSink {
    /// Wakes `changed` at every event of a collection.
    pub fn new(what: &'static str, changed: Arc<Notify>) -> Self {
        Self { what, changed, telling: Telling::default() }
    }
}

impl Sink for ChangeSink {
    fn listing(&mut self) {}
    fn seen(&mut self, _raw: &str) {
        self.changed.notify_one();
    }
    fn deleted(&mut self, _raw: &str) {
        self.changed.notify_one();
    }
    fn listed(&mut self) {
        self.changed.notify_one();
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

/// What one document of discovery says.
type Groups = BTreeMap<Arc<str>, Vec<ServedVersion>>;

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
        changed: Arc<Notify>,
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
                () = changed.notified() => {
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
                        self.definitions.ask_new().await;
                        self.publish();
                    }
                    continue;
                }
                () = sleep_until(next) => {}
            }
            // A definition is read from where it changed, and does not lag behind.
            if asked == 0 || asked >= AFTER_CHANGE.len() {
                self.definitions.ask().await;
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

    async fn ask(&mut self) -> Result<(), WireError> {
        for path in PATHS {
            let etag = self.etags.get(path).map(String::as_str);
            let Some((body, etag)) = self.wire.get(path, ACCEPT, etag).await? else { continue };
            let known = self.documents.get(path);
            let document = read(&body, known)?;
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

/// What is served at this moment, for those who do not follow it.
///
/// # Errors
/// See [`WireError`].
pub async fn look(wire: Wire) -> Result<Arc<Catalog>, WireError> {
    let (mut discovery, reader) = Discovery::new(wire);
    discovery.ask().await?;
    let catalog = reader.borrow().clone();
    Ok(catalog.unwrap_or_default())
}

// Only what the catalog needs of `APIGroupDiscoveryList` (apidiscovery.k8s.io/v2).
#[derive(Deserialize)]
struct GroupList {
    #[serde(default)]
    items: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    metadata: GroupMetadata,
    #[serde(default)]
    versions: Vec<Version>,
}

#[derive(Default, Deserialize)]
struct GroupMetadata {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Version {
    version: String,
    #[serde(default)]
    resources: Vec<Resource>,
    freshness: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    resource: String,
    response_kind: Option<ResponseKind>,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    verbs: Vec<String>,
}

#[derive(Deserialize)]
struct ResponseKind {
    #[serde(default)]
    kind: String,
}

/// Reads a discovery document. A version that its server could not be asked for (`Stale`) stays as it was known.
fn read(body: &Bytes, known: Option<&Groups>) -> Result<Groups, WireError> {
    let list: GroupList = serde_json::from_slice(body).map_err(|e| {
        WireError::Unintelligible(format!("aggregated discovery (Kubernetes 1.30 or newer): {e}"))
    })?;
    let mut groups = BTreeMap::new();
    for Group { metadata, versions } in list.items {
        let name = Arc::from(metadata.name);
        let before = known.and_then(|known| known.get(&name));
        let versions =
            versions.into_iter().map(|version| served(version, before.map(Vec::as_slice))).collect();
        groups.insert(name, versions);
    }
    Ok(groups)
}

fn served(found: Version, before: Option<&[ServedVersion]>) -> ServedVersion {
    let Version { version, resources, freshness } = found;
    if freshness.as_deref() == Some("Stale")
        && let Some(before) = before.unwrap_or_default().iter().find(|before| *before.version == *version)
    {
        return before.clone();
    }
    let resources = resources
        .into_iter()
        .map(|Resource { resource, response_kind, scope, verbs }| {
            let can = |verb: &str| verbs.iter().any(|known| known == verb);
            let served = ServedResource {
                kind: response_kind.map(|kind| kind.kind).unwrap_or_default().into(),
                namespaced: scope == "Namespaced",
                watchable: can("list") && can("watch"),
            };
            (resource.into(), served)
        })
        .collect();
    ServedVersion { version: version.into(), resources }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::GroupResource;

    const BODY: &str = r#"{"kind":"APIGroupDiscoveryList","items":[{"metadata":{"name":"apps","creationTimestamp":null},
      "versions":[{"version":"v1","freshness":"Current","resources":[
        {"resource":"deployments","responseKind":{"group":"apps","version":"v1","kind":"Deployment"},"scope":"Namespaced","verbs":["get","list","watch"]},
        {"resource":"reviews","scope":"Cluster","verbs":["create"]}]}]}]}"#;

    fn resolve(groups: &Groups, resource: &str) -> Option<ServedResource> {
        let catalog = Catalog { groups: groups.clone(), ..Catalog::default() };
        catalog.resolve(&GroupResource::new("apps", resource), None).ok().map(|found| found.served)
    }

    #[test]
    fn discovery_becomes_a_catalog() {
        let catalog = read(&BODY.into(), None).unwrap();
        let deployments = resolve(&catalog, "deployments").unwrap();
        assert_eq!((&*deployments.kind, deployments.namespaced), ("Deployment", true));
        assert_eq!(resolve(&catalog, "reviews"), None);
    }

    #[test]
    fn a_version_whose_server_does_not_answer_stays_as_it_was_known() {
        let known = read(&BODY.into(), None).unwrap();
        let stale =
            r#"{"items":[{"metadata":{"name":"apps"},"versions":[{"version":"v1","freshness":"Stale"}]}]}"#;
        let catalog = read(&stale.into(), Some(&known)).unwrap();
        assert!(resolve(&catalog, "deployments").is_some());
    }
}
