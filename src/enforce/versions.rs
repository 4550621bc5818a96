//! Policies that see one object in different versions. What they want of `metadata` can be compared, since it is the same
//! in all versions; what they want elsewhere cannot, and a contest stops them there.

use super::proposal::{Fixing, Fresh, Proposal, after, conflict};
use crate::jsonpath::Document;
use crate::policy::{Change, Changes, Patch, Token};

/// Holds back what a policy of another version wants differently, now or as soon as this one has written.
pub(super) fn hold_back_across(proposals: &mut [Proposal], fresh: Fresh<'_>, elsewhere: &[Fixing]) {
    for proposal in proposals.iter_mut().filter(|proposal| !proposal.changes.is_empty()) {
        for other in elsewhere {
            if proposal.fixing.outranks(other) {
                continue;
            }
            let wanted = wants(other, &proposal.changes, fresh);
            let wanted: Changes<'_, _> = wanted.iter().map(|change| (change, ())).collect();
            proposal.hold_back(|change| {
                let is_against = is_in_metadata(change) && wanted.against(change).is_some();
                is_against.then(|| conflict(&other.policy.name))
            });
        }
    }
}

/// What a policy wants changed of the object as its own watch shows it: as it is, and after these changes.
fn wants(other: &Fixing, changes: &[Change], fresh: Fresh<'_>) -> Vec<Change> {
    let of = |document: &Document| Proposal::new(other, Fresh { document, ..fresh }).changes;
    let mut wanted = of(&other.known);
    let object = other.known.root.as_ref().ok().map(|root| root.node());
    let then = object.and_then(|object| {
        let judged = |change: &Change| change.place.find(object).map(Into::into);
        let made = changes.iter().filter(|change| is_in_metadata(change));
        let made: Vec<_> = made.map(|change| Change { judged: judged(change), ..change.clone() }).collect();
        after(&other.known, &Patch::new(&other.known.id.uid, object, &made.iter().collect::<Vec<_>>()))
    });
    wanted.extend(then.iter().flat_map(|then| of(then)));
    wanted
}

fn is_in_metadata(change: &Change) -> bool {
    matches!(change.place.tokens().first(), Some(Token::Name(name)) if &**name == "metadata")
}

#[cfg(test)]
#[path = "versions_tests.rs"]
mod tests;
