//! Places that are looked through for what ended policies left: watched as a whole, though no policy may want them.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Fleet, Role, Running};
use crate::policy::demand::{WatchSpec, look_through};
use crate::resource::Place;

impl Fleet {
    /// Starts what is missing. A watch of all that runs for whatever reason does, and lingers for it when that ends.
    pub(super) fn look_through(&mut self) {
        let places = Arc::clone(&self.parts.looked_through.borrow());
        let missing = places.iter().filter(|place| !self.watches_all_of(place, |_| true));
        let missing: Vec<WatchSpec> = missing.filter_map(|place| look_through(place, &self.served)).collect();
        for spec in missing {
            if self.has_room_for(&spec) {
                self.start(spec, Role::Lingering { until: Instant::now() });
            }
        }
    }

    /// Whether a watch that nobody wants is one by which a place is looked through.
    pub(super) fn is_looked_through(&self, running: &Running) -> bool {
        let places = self.parts.looked_through.borrow();
        matches!(running.role, Role::Lingering { .. })
            && places
                .iter()
                .any(|place| running.spec.is_of_all(place) && !self.watches_all_of(place, Role::is_current))
    }

    fn watches_all_of(&self, place: &Place, in_role: impl Fn(&Role) -> bool) -> bool {
        self.running.values().any(|running| running.spec.is_of_all(place) && in_role(&running.role))
    }
}
