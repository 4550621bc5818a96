//! Kinds that are looked through for what ended policies left: watched as a whole, though no policy may want them.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Fleet, Role, Running};
use crate::policy::demand::{WatchSpec, look_through};
use crate::resource::GroupResource;

impl Fleet {
    /// Starts what is missing. A watch of all that runs for whatever reason does, and lingers for it when that ends.
    pub(super) fn look_through(&mut self) {
        let kinds = Arc::clone(&self.parts.looked_through.borrow());
        let missing = kinds.iter().filter(|kind| !self.watches_all_of(kind, |_| true));
        let missing: Vec<WatchSpec> = missing.filter_map(|kind| look_through(kind, &self.served)).collect();
        for spec in missing {
            if self.has_room_for(&spec) {
                self.start(spec, Role::Lingering { until: Instant::now() });
            }
        }
    }

    /// Whether a watch that nobody wants is the one by which its kind is looked through.
    pub(super) fn is_looked_through(&self, running: &Running) -> bool {
        let kind = &running.spec.resource.resource;
        matches!(running.role, Role::Lingering { .. })
            && running.spec.is_of_all()
            && self.parts.looked_through.borrow().contains(kind)
            && !self.watches_all_of(kind, Role::is_current)
    }

    fn watches_all_of(&self, kind: &GroupResource, in_role: impl Fn(&Role) -> bool) -> bool {
        let mut of_kind = self.running.values().filter(|running| running.spec.resource.resource == *kind);
        of_kind.any(|running| running.spec.is_of_all() && in_role(&running.role))
    }
}
