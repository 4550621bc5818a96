//! What the policies want changed of one object; pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::crd::{FixStatus, Mode, OnConflict};
use crate::jsonpath::{Document, FIELD_MANAGER_PREFIX, Node, Roots};
use crate::metrics::Remediation;
use crate::policy::{
    Change, Changes, CompiledPolicy, Judgement, Mend, Obstacle, Outcome, Patch, Pointer, Relatives, Subject,
    Token, owner_of, settle,
};
use crate::resource::GroupResource;

use super::rest::Fixes;

/// A policy that fixes objects of a resource, with where `$pod` is there.
#[derive(Clone)]
pub(super) struct Fixing {
    pub(super) policy: Arc<CompiledPolicy>,
    pub(super) roots: Arc<Roots>,
    /// The Namespace that the object is in, where the policy reads it.
    pub(super) namespace: Option<Arc<Document>>,
    /// The object as the watch shows it, with all that the policy reads.
    pub(super) known: Arc<Document>,
}

impl Fixing {
    /// Whether the policy enforces, and the other only tries something out.
    pub(super) fn outranks(&self, other: &Self) -> bool {
        self.policy.mode == Mode::Enforce && other.policy.mode != Mode::Enforce
    }
}

/// An object as it was read to be written.
#[derive(Clone, Copy)]
pub(super) struct Fresh<'f> {
    pub(super) resource: &'f GroupResource,
    pub(super) kind: &'f str,
    pub(super) document: &'f Document,
    pub(super) now: Timestamp,
    /// Who knows its controller.
    pub(super) relatives: &'f dyn Relatives,
}

impl Fresh<'_> {
    pub(super) fn subject<'s>(&'s self, fixing: &'s Fixing) -> Subject<'s> {
        let Self { resource, kind, document, now, relatives: _ } = *self;
        let namespace = fixing.namespace.as_deref();
        Subject { resource, kind, roots: &fixing.roots, document, namespace, now }
    }
}

/// What one policy wants changed, and what keeps parts of it from being done.
pub(super) struct Proposal {
    pub(super) fixing: Fixing,
    mends: Vec<Mend>,
    pub(super) changes: Vec<Change>,
    /// Of each mend, what became of it already, before anything is sent.
    settled: Vec<Option<(Remediation, Box<str>)>>,
    /// What a change of the pod template does to the pods.
    rollout: Option<&'static str>,
}

impl Proposal {
    /// Judges the object, and works the changes out.
    pub(super) fn new(fixing: &Fixing, fresh: Fresh<'_>) -> Self {
        let (_, mut mends) = fixing.policy.mend(&fresh.subject(fixing), fresh.relatives);
        let changes = settle(&mut mends);
        let settled = mends.iter().map(|mend| mend.change.as_ref().err().map(said)).collect();
        let rollout = fresh.document.root.as_ref().ok();
        let rollout = rollout.and_then(|object| rollout_of(fresh.resource, object.node()));
        Self { fixing: fixing.clone(), mends, changes, settled, rollout }
    }

    /// Whether nothing fails that the policy has a fix for.
    pub(super) fn is_empty(&self) -> bool {
        self.mends.is_empty()
    }

    /// Takes changes out, and says for their rules why.
    pub(super) fn hold_back(&mut self, why: impl Fn(&Change) -> Option<(Remediation, Box<str>)>) {
        self.hold_back_of(|_, change| why(change));
    }

    /// The same, told also which rule wants a change.
    pub(super) fn hold_back_of(
        &mut self,
        why: impl Fn(&Arc<str>, &Change) -> Option<(Remediation, Box<str>)>,
    ) {
        let Self { mends, changes, settled, .. } = self;
        changes.retain(|change| {
            let wants = |mend: &Mend| mend.change.as_ref() == Ok(change);
            let mut wanting = mends.iter().filter(|mend| wants(mend));
            let Some(why) = wanting.find_map(|mend| why(&mend.rule, change)) else { return true };
            for (_, settled) in mends.iter().zip(&mut *settled).filter(|(mend, _)| wants(mend)) {
                *settled = Some(why.clone());
            }
            false
        });
    }

    /// Leaves alone what another manager owns, where the policy yields.
    pub(super) fn yield_to_owners(&mut self, object: Node<'_>) {
        let policy = Arc::clone(&self.fixing.policy);
        if policy.enforcement.on_conflict != OnConflict::Yield {
            return;
        }
        let own = format!("{FIELD_MANAGER_PREFIX}{}", policy.name);
        self.hold_back(|change| {
            let manager = owner_of(object, &change.place, &own)?;
            Some((Remediation::Yielded, format!("{manager} owns the field, and the policy yields").into()))
        });
    }

    /// What is left to be changed, with each rule that wants it.
    pub(super) fn wanted(&self) -> impl Iterator<Item = (&Arc<str>, &Change)> {
        let wanted = self.mends.iter().filter_map(|mend| Some((&mend.rule, mend.change.as_ref().ok()?)));
        wanted.filter(|(_, change)| self.changes.contains(change))
    }

    /// The patch that does what is left.
    pub(super) fn as_patch(&self, document: &Document, object: Node<'_>) -> Patch {
        Patch::new(&document.id.uid, object, &self.changes.iter().collect::<Vec<_>>())
    }

    /// What became of each rule, where all that was sent has one outcome.
    pub(super) fn fixes(&self, outcome: Remediation, message: Option<&str>) -> Fixes {
        let is_planned = outcome == Remediation::NotVerified;
        self.fixes_by(|mend| {
            let rollout = is_planned.then(|| self.rollout_by(mend)).flatten();
            let told: Vec<_> = message.into_iter().chain(rollout).collect();
            (outcome, (!told.is_empty()).then(|| told.join("; ").into()))
        })
    }

    /// What became of each rule by what the server made of the object.
    pub(super) fn fixes_after(&self, after: Fresh<'_>, dry_run: bool) -> Fixes {
        let judgement = self.fixing.policy.judge_among(&after.subject(&self.fixing), after.relatives);
        let holds = |rule: &str| match &judgement {
            Judgement::Judged(verdict) => verdict
                .rules
                .iter()
                .any(|found| &*found.rule == rule && matches!(found.outcome, Outcome::Pass | Outcome::Skip)),
            Judgement::NotTaken | Judgement::Excluded { .. } => true,
        };
        self.fixes_by(|mend| match (holds(&mend.rule), dry_run) {
            (false, _) => {
                let why = "the server took the change, and the rule fails all the same; a schema or a webhook may undo it";
                (Remediation::Ineffective, Some(why.into()))
            }
            (true, false) => (Remediation::Fixed, None),
            (true, true) => (Remediation::Planned, self.rollout_by(mend).map(Box::from)),
        })
    }

    fn fixes_by(&self, outcome: impl Fn(&Mend) -> (Remediation, Option<Box<str>>)) -> Fixes {
        let mut rules: Vec<(&Arc<str>, Vec<Told<'_>>)> = Vec::new();
        for (mend, settled) in self.mends.iter().zip(&self.settled) {
            let (outcome, why) = match settled {
                Some((outcome, why)) => (*outcome, Some(why.clone())),
                None => outcome(mend),
            };
            let told = Told { mend, outcome, why };
            match rules.iter_mut().find(|(rule, _)| **rule == mend.rule) {
                Some((_, places)) => places.push(told),
                None => rules.push((&mend.rule, vec![told])),
            }
        }
        rules.into_iter().filter_map(|(rule, places)| Some((Arc::clone(rule), in_one(&places)?))).collect()
    }

    /// What the change does to the pods of a workload, if it is in their template.
    fn rollout_by(&self, mend: &Mend) -> Option<&'static str> {
        let template = self.fixing.roots.pod.as_ref()?;
        let template: Pointer = template.iter().map(|name| Token::Name(Arc::clone(name))).collect();
        let is_inside = mend.change.as_ref().is_ok_and(|change| template.holds(&change.place));
        self.rollout.filter(|_| is_inside)
    }

    /// Whether the policy only plans.
    pub(super) fn only_plans(&self, allowed: bool) -> bool {
        self.fixing.policy.mode != Mode::Enforce || !allowed
    }
}

const ROLLS: &str = "the change is in the pod template: its pods would be replaced";
const MAY_ROLL: &str =
    "the change is in the pod template: its pods would be replaced, unless its update strategy is OnDelete";

/// What becomes of the pods of a workload when their template changes. Other kinds with a template, such as CronJobs and
/// ReplicaSets, keep the pods that they have.
fn rollout_of(resource: &GroupResource, object: Node<'_>) -> Option<&'static str> {
    match (&*resource.group, &*resource.resource) {
        ("apps", "deployments") => Some(ROLLS),
        ("apps", "statefulsets" | "daemonsets") => {
            let strategy = object.get("spec").and_then(|spec| spec.get("updateStrategy"));
            match strategy.and_then(|strategy| strategy.get("type")) {
                Some(Node::String("OnDelete")) => None,
                Some(_) => Some(ROLLS),
                // The server always fills it in: not all of the object is known.
                None => Some(MAY_ROLL),
            }
        }
        _ => None,
    }
}

fn said(obstacle: &Obstacle) -> (Remediation, Box<str>) {
    match obstacle {
        Obstacle::NotAllowed(why) => (Remediation::NotAllowed, why.clone()),
        Obstacle::Impossible(why) => (Remediation::Impossible, why.clone()),
        Obstacle::Pointless => (
            Remediation::Ineffective,
            "what the fix would write is there, and the rule fails all the same".into(),
        ),
        Obstacle::Clash(rule) => {
            (Remediation::Conflict, format!("the rule {rule} wants something else at the same place").into())
        }
    }
}

/// What became of one place.
struct Told<'m> {
    mend: &'m Mend,
    outcome: Remediation,
    why: Option<Box<str>>,
}

/// What became of the places of a rule: one that was not mended speaks for all, and where they differ it says so.
fn in_one(places: &[Told<'_>]) -> Option<FixStatus> {
    let is_mended = |told: &&Told<'_>| matches!(told.outcome, Remediation::Fixed | Remediation::Planned);
    let Told { mend, outcome, why } = places.iter().find(|told| !is_mended(told)).or(places.first())?;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for told in places {
        *counts.entry(told.outcome.as_str()).or_default() += 1;
    }
    let counts = (counts.len() > 1).then(|| {
        let counts: Vec<_> = counts.iter().map(|(outcome, count)| format!("{outcome} {count}")).collect();
        format!("its {} places: {}", places.len(), counts.join(", "))
    });
    let message: Vec<_> = why.as_deref().map(str::to_owned).into_iter().chain(counts).collect();
    Some(FixStatus {
        outcome: outcome.as_str().to_owned(),
        path: Some(mend.path.clone().into()),
        from: mend.from.clone().map(Into::into),
        to: mend.to.clone().map(Into::into),
        message: (!message.is_empty()).then(|| message.join("; ")),
    })
}

/// Holds back what two policies want differently: at once, or as soon as one of them has written. A policy that only
/// plans holds back none that enforces. `after` gives the object as it would be after a patch.
pub(super) fn hold_back_conflicts(
    proposals: &mut [Proposal],
    fresh: Fresh<'_>,
    after: impl Fn(&Proposal) -> Option<Arc<Document>>,
) {
    let mut conflicts: Vec<(usize, Change, Arc<str>)> = Vec::new();
    for (at, proposal) in proposals.iter().enumerate().filter(|(_, proposal)| !proposal.changes.is_empty()) {
        let document = after(proposal);
        for (other_at, other) in proposals.iter().enumerate().filter(|(other, _)| *other != at) {
            let then =
                document.as_deref().map(|document| Proposal::new(&other.fixing, Fresh { document, ..fresh }));
            let mut then = then.map(|then| then.changes).unwrap_or_default();
            // Elements have moved there: their places are not those of before.
            then.retain(|then| !proposal.changes.iter().any(|change| change.moves(&then.place)));
            let wanted: Changes<'_, _> =
                other.changes.iter().chain(&then).map(|change| (change, ())).collect();
            for change in &proposal.changes {
                if let Some((against, ())) = wanted.against(change) {
                    if !proposal.fixing.outranks(&other.fixing) {
                        conflicts.push((at, change.clone(), Arc::clone(&other.fixing.policy.name)));
                    }
                    if !other.fixing.outranks(&proposal.fixing) {
                        conflicts.push((other_at, against.clone(), Arc::clone(&proposal.fixing.policy.name)));
                    }
                }
            }
        }
    }
    for (at, change, policy) in conflicts {
        if let Some(proposal) = proposals.get_mut(at) {
            proposal.hold_back(|wanted| (*wanted == change).then(|| conflict(&policy)));
        }
    }
}

pub(super) fn conflict(policy: &str) -> (Remediation, Box<str>) {
    (Remediation::Conflict, format!("the policy {policy} wants something else there").into())
}

/// An object as a watch shows it, as it would be after a patch.
pub(super) fn after(known: &Document, patch: &Patch) -> Option<Arc<Document>> {
    let root = patch.effect(known.root.as_ref().ok()?.node())?;
    Some(Arc::new(Document { root: Ok(root), ..known.clone() }))
}

#[cfg(test)]
#[path = "proposal_tests.rs"]
mod tests;
