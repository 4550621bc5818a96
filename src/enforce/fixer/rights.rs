//! The third consent: the rights to read and to patch what policies fix. They are asked for before they are needed, and
//! again and again, since no event tells that they came or went.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Fixer;
use crate::metrics::{Priority, Remediation};
use crate::policy::CompiledPolicy;
use crate::resource::{GroupResource, Gvr};

/// How often they are asked for.
const EVERY: Duration = Duration::from_secs(60);
/// After a policy changed, its watches are there by then.
const SOON: Duration = Duration::from_secs(2);
/// Reading what is fixed, and fixing it.
const VERBS: [&str; 2] = ["get", "patch"];

/// Where a right is asked for; everywhere without a namespace.
type Place = (Gvr, Option<Arc<str>>);

/// Policies, and the resources on which they lack a right.
type Denied = BTreeSet<(Arc<str>, GroupResource)>;

impl Fixer {
    /// Asks for the rights of all policies that fix, while this replica leads, until told to stop.
    pub async fn mind_rights(self: Arc<Self>, stop: CancellationToken) {
        let (mut set, mut leadership) = (self.parts.set.clone(), self.parts.leadership.clone());
        let (mut revision, mut denied, mut due) = (0, Denied::new(), Instant::now() + SOON);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Ok(()) = set.changed() => {
                    let now = set.borrow_and_update().revision;
                    if std::mem::replace(&mut revision, now) != now {
                        due = due.min(Instant::now() + SOON);
                    }
                    continue;
                }
                () = leadership.changed() => {
                    due = due.min(Instant::now() + SOON);
                    continue;
                }
                () = sleep_until(due) => {}
            }
            due = Instant::now() + EVERY;
            if leadership.permit().is_ok() {
                stop.run_until_cancelled(self.ask_for_rights(&mut denied)).await;
            }
        }
    }

    async fn ask_for_rights(&self, denied: &mut Denied) {
        let set = Arc::clone(&self.parts.set.borrow());
        let resources: BTreeSet<_> =
            self.parts.store.shelves().iter().map(|shelf| shelf.resource.clone()).collect();
        let mut known = BTreeMap::new();
        let mut still = Denied::new();
        for policy in set.running().filter(|policy| policy.mends()) {
            for resource in resources.iter().filter(|resource| policy.targets(&resource.resource)) {
                let entry = (Arc::clone(&policy.name), resource.resource.clone());
                match self.lacks(policy, resource, &mut known).await {
                    // Nobody knows at this moment.
                    None if denied.contains(&entry) => drop(still.insert(entry)),
                    None => {}
                    Some(Some(verb)) => {
                        let words = format!("{verb} is not allowed");
                        self.deny(&policy.name, &resource.resource, &words);
                        still.insert(entry);
                    }
                    Some(None) => {
                        self.parts.ledger.note_denied(&policy.name, &resource.resource, None);
                        if denied.contains(&entry) {
                            self.try_again(&entry);
                        }
                    }
                }
            }
        }
        *denied = still;
    }

    /// The right that a policy lacks on a resource, if any; `None` where the server does not say. A right in all the
    /// namespaces that a policy names is as good as one everywhere.
    async fn lacks(
        &self,
        policy: &CompiledPolicy,
        resource: &Gvr,
        known: &mut BTreeMap<Place, Option<Option<&'static str>>>,
    ) -> Option<Option<&'static str>> {
        let everywhere = self.lacks_at((resource.clone(), None), known).await?;
        let namespaces = policy.namespaces_of(&resource.resource);
        if everywhere.is_none() || namespaces.is_empty() {
            return Some(everywhere);
        }
        for namespace in namespaces {
            let lacks = self.lacks_at((resource.clone(), Some(namespace)), known).await?;
            if lacks.is_some() {
                return Some(lacks);
            }
        }
        Some(None)
    }

    async fn lacks_at(
        &self,
        place: Place,
        known: &mut BTreeMap<Place, Option<Option<&'static str>>>,
    ) -> Option<Option<&'static str>> {
        if let Some(known) = known.get(&place) {
            return *known;
        }
        let mut lacks = Some(None);
        for verb in VERBS {
            match self.gate.may(verb, &place.0, place.1.as_deref()).await {
                Ok(true) => {}
                Ok(false) => lacks = Some(Some(verb)),
                Err(_) => lacks = None,
            }
            if lacks != Some(None) {
                break;
            }
        }
        known.insert(place, lacks);
        lacks
    }

    /// A right has come: what was not verified without it is tried at once.
    fn try_again(&self, (policy, resource): &(Arc<str>, GroupResource)) {
        let is_unverified = |outcome: &str| outcome == Remediation::NotVerified.as_str();
        self.memory.lock().rests.retain(|key, of, fixes| {
            of != &**policy
                || key.resource != *resource
                || !fixes.iter().any(|(_, fix)| is_unverified(&fix.outcome))
        });
        let failing = self.parts.ledger.failing(policy).into_iter();
        for key in failing.filter(|key| key.resource == *resource) {
            self.parts.queue.add(&key, Priority::PolicyChange);
        }
    }
}
