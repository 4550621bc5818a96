//! What the metrics page shows of informers.

use std::collections::BTreeMap;

use super::board::{Board, TargetState};
use crate::metrics::InformerSample;
use crate::store::Store;

/// One sample a watch. One that no policy wants any more is `Stopping`: it lingers, or waits for its successor.
pub fn samples(store: &Store, board: &Board, now: jiff::Timestamp) -> Vec<InformerSample> {
    let reports = board.policies.values().flat_map(|reports| reports.iter());
    let states: BTreeMap<_, _> =
        reports.map(|report| ((&report.group, &report.resource), report.state)).collect();
    let sample = |shelf: &crate::store::Shelf| {
        let target = shelf.resource.resource.clone();
        let state = states.get(&(&target.group, &target.resource)).copied().unwrap_or(TargetState::Stopping);
        InformerSample {
            state: state.as_str(),
            last_event_age: shelf.last_life().and_then(|life| now.duration_since(life).try_into().ok()),
            objects: shelf.len() as u64,
            bytes: shelf.bytes() as u64,
            target,
        }
    };
    store.shelves().iter().map(|shelf| sample(shelf)).collect()
}
