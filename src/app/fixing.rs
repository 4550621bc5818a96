//! All that fixes.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::enforce::{Consents, Fixer, Gate, Parts, Rights, Settings};
use crate::observe::wire::{Collection, Wire};
use crate::resource::Gvr;

/// Objects that are fixed at a time; each waits for the server most of its time.
pub(super) const FIXERS: usize = 4;

/// Starts all that fixes.
pub(super) fn fix(
    config: &Config,
    parts: Parts,
    (wire, client): (Wire, kube::Client),
    (stop, tasks): &mut (CancellationToken, JoinSet<()>),
) {
    let settings = Settings {
        allow: config.enforcement.allow,
        namespace: Arc::clone(&config.namespace),
        per_second: config.enforcement.write_qps,
    };
    let fixer = Arc::new(Fixer::new(parts, Gate::new(client), settings, jiff::Timestamp::now));
    tasks.spawn(Arc::clone(&fixer).sweep(stop.clone()));
    // Who never writes leaves what is said of others' writes as it is.
    if config.enforcement.allow {
        tasks.spawn(Arc::clone(&fixer).record(stop.clone()));
    }
    let consents = Consents::new(Reviews(wire), Arc::clone(&fixer), config.watch.access_check);
    tasks.spawn(consents.run(stop.clone()));
    for _ in 0..FIXERS {
        tasks.spawn(Arc::clone(&fixer).run());
    }
}

/// Reviews of the operator's own rights.
struct Reviews(Wire);

impl Rights for Reviews {
    async fn may(&self, verb: &'static str, resource: &Gvr, namespace: Option<&Arc<str>>) -> Option<bool> {
        let collection = Collection { namespace: namespace.cloned(), ..Collection::all(resource.clone()) };
        self.0.may(verb, &collection).await.ok()
    }
}
