//! All that fixes.

use std::sync::Arc;

use tokio::sync::watch;

use super::Stage;
use super::shared::Shared;
use crate::config::Config;
use crate::enforce::{Consents, Fixer, Gate, Leftovers, Parts, Rights, Settings};
use crate::leader::Leadership;
use crate::observe::wire::{Collection, Wire};
use crate::policy::{Fences, PolicySet};
use crate::resource::Gvr;

/// Objects that are fixed at a time; each waits for the server most of its time.
pub(super) const FIXERS: usize = 4;

/// Starts all that fixes; gives what policies that ended have left, as it becomes less.
pub(super) fn fix(
    config: &Config,
    shared: &Shared,
    (leadership, set): (&Leadership, &watch::Receiver<Arc<PolicySet>>),
    (stop, tasks): &mut Stage,
) -> Arc<Leftovers> {
    let fences = Fences::new(&config.enforcement.allow_fix_of);
    let leftovers =
        Arc::new(Leftovers::new(Arc::clone(&shared.store), fences, Arc::clone(&config.namespace)));
    let parts = Parts {
        queue: Arc::clone(&shared.fixes),
        store: Arc::clone(&shared.store),
        ledger: Arc::clone(&shared.ledger),
        metrics: Arc::clone(&shared.metrics),
        leadership: leadership.clone(),
        set: set.clone(),
        leftovers: Arc::clone(&leftovers),
        looked_through: shared.looked_through.clone(),
    };
    let settings = Settings {
        allow: config.enforcement.allow,
        namespace: Arc::clone(&config.namespace),
        per_second: config.enforcement.write_qps,
    };
    let fixer = Arc::new(Fixer::new(parts, Gate::new(shared.client.clone()), settings, jiff::Timestamp::now));
    tasks.spawn(Arc::clone(&fixer).sweep(stop.clone()));
    // Who never writes leaves what is said of others' writes as it is.
    if config.enforcement.allow {
        tasks.spawn(Arc::clone(&fixer).record(stop.clone()));
    }
    let consents = Consents::new(Reviews(shared.wire.clone()), Arc::clone(&fixer), config.watch.access_check);
    tasks.spawn(consents.run(stop.clone()));
    for _ in 0..FIXERS {
        tasks.spawn(Arc::clone(&fixer).run());
    }
    leftovers
}

/// Reviews of the operator's own rights.
struct Reviews(Wire);

impl Rights for Reviews {
    async fn may(&self, verb: &'static str, resource: &Gvr, namespace: Option<&Arc<str>>) -> Option<bool> {
        let collection = Collection { namespace: namespace.cloned(), ..Collection::all(resource.clone()) };
        self.0.may(verb, &collection).await.ok()
    }
}
