//! What the fleet tells about the targets of each policy.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Fleet, Since};
use crate::crd::TargetState;
use crate::observe::board::{Board, TargetReport};
use crate::observe::standing;
use crate::policy::catalog::Unresolved;
use crate::policy::demand::PolicyTarget;
use crate::resource::{GroupResource, Gvr, Place};

impl Fleet {
    pub(super) fn publish(&mut self) {
        for running in self.running.values() {
            let state = if running.role.is_current() || self.is_looked_through(running) {
                standing::state(&running.stand.borrow().phase)
            } else {
                TargetState::Stopping
            };
            running.shelf.set_state(state);
        }
        let mut policies = BTreeMap::new();
        let mut since = BTreeMap::new();
        for (policy, (generation, targets)) in &self.targets {
            let reports =
                targets.iter().map(|target| self.report(policy, *generation, target, &mut since)).collect();
            policies.insert(Arc::clone(policy), reports);
        }
        self.since = since;
        let board = Board { policies };
        self.board.send_if_modified(|old| {
            let changed = **old != board;
            if changed {
                *old = Arc::new(board);
            }
            changed
        });
    }

    fn report(
        &self,
        policy: &Arc<str>,
        generation: i64,
        target: &PolicyTarget,
        since: &mut Since,
    ) -> TargetReport {
        let refused = target.found.as_ref().ok().and_then(|found| self.refused(target, found));
        let limited = refused.is_some();
        let (state, version, words) = match (&target.found, refused) {
            (Ok(found), None) => return standing::report(policy, target, found, self.running.values()),
            (Ok(found), Some(words)) => (TargetState::Degraded, Some(Arc::clone(&found.version)), words),
            (Err(unresolved), _) => {
                let state = if unresolved.is_fault() { TargetState::Degraded } else { TargetState::Absent };
                (state, target.version.clone(), unresolved.to_string())
            }
        };
        let message = Some(words.as_str().into());
        let key = (Arc::clone(policy), target.resource.clone(), words);
        let start = self.since.get(&key).copied().unwrap_or_else(jiff::Timestamp::now);
        since.insert(key, start);
        TargetReport {
            group: Arc::clone(&target.resource.group),
            resource: Arc::clone(&target.resource.resource),
            version,
            state,
            limited,
            mismatched: target.found.as_ref().is_err_and(Unresolved::is_fault),
            generation,
            since: start,
            message,
        }
    }

    /// Why something that the target needs is not watched at all, if there are too many watches for it.
    fn refused(&self, target: &PolicyTarget, found: &Gvr) -> Option<String> {
        let needed = |Place { resource, namespace }: &&Place| {
            let looks = || match (namespace, &target.namespaces) {
                (Some(namespace), Some(named)) => named.contains(namespace),
                _ => true,
            };
            let around = target.needs_namespaces && *resource == GroupResource::new("", "namespaces");
            around || (*resource == found.resource && looks())
        };
        let Place { resource, namespace } = self.refused.iter().find(needed)?;
        Some(match namespace {
            None => format!(
                "{resource} is not watched, since {} resources are: raise --max-targets, or let policies name less",
                self.settings.limits.targets
            ),
            Some(namespace) => format!(
                "{resource} in namespace {namespace} is not watched, since {} single namespaces are: raise \
                 --max-namespaced-watches, or let the policies look at all namespaces",
                self.settings.limits.namespaced
            ),
        })
    }
}
