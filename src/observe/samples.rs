//! What the metrics page shows of informers.

use crate::metrics::InformerSample;
use crate::store::{Shelf, Store};

/// One sample a watch.
pub fn samples(store: &Store, now: jiff::Timestamp) -> Vec<InformerSample> {
    let sample = |shelf: &Shelf| InformerSample {
        target: shelf.resource.resource.clone(),
        state: shelf.state().as_str(),
        last_event_age: shelf.last_life().and_then(|life| now.duration_since(life).try_into().ok()),
        objects: shelf.len() as u64,
        bytes: shelf.bytes() as u64,
    };
    store.shelves().iter().map(|shelf| sample(shelf)).collect()
}
