//! What somebody else undoes, or does not let through, again and again: it is counted, and left alone for a while.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::sync::Arc;

use tokio::time::Instant;

use super::{BUSY, Fixer, Next, Order};
use crate::enforce::contest::{Fate, Ground, Pause, Scope};
use crate::enforce::proposal::Proposal;
use crate::jsonpath::{Document, FIELD_MANAGER_PREFIX, Node, Tree};
use crate::metrics::Remediation;
use crate::policy::{Change, CompiledPolicy, Patch, last_writer, owner_of};
use crate::resource::ObjectKey;

/// A patch that did not find the object as it was judged.
pub(super) struct Outrun {
    pub(super) proposal: Proposal,
    /// The object that was judged.
    pub(super) document: Arc<Document>,
    pub(super) dry_run: bool,
}

impl Outrun {
    /// Whether a change does not fit an object any more. Who changes one place all the time is not to keep us from mending
    /// the others.
    fn concerns(&self, change: &Change, now: Node<'_>) -> bool {
        let Self { document, .. } = self;
        let judged = document.root.as_ref().map(Tree::node);
        let patch = judged.map(|judged| Patch::new(&document.id.uid, judged, &[change]));
        patch.is_ok_and(|patch| patch.apply(now).is_none())
    }
}

/// What a policy mends on an object, or only plans to.
struct Field<'f> {
    policy: &'f CompiledPolicy,
    key: &'f ObjectKey,
    document: &'f Document,
    dry_run: bool,
}

impl Field<'_> {
    fn ground(&self, scope: Scope) -> Ground {
        let Self { policy: CompiledPolicy { uid: policy, generation, .. }, key, document, dry_run } = *self;
        Ground {
            policy: Arc::clone(policy),
            generation: *generation,
            key: key.clone(),
            uid: Arc::clone(&document.id.uid),
            scope,
            dry_run,
        }
    }

    /// What a change that a rule wants is fought for on, the narrowest first.
    fn grounds(&self, rule: &Arc<str>, change: &Change) -> [Ground; 3] {
        let object = self.document.root.as_ref().map(Tree::node);
        let place = object.map_or_else(|_| change.place.clone(), |object| change.place.by_names(object));
        let scopes = [Scope::Place(Arc::clone(rule), place), Scope::Rule(Arc::clone(rule)), Scope::Object];
        scopes.map(|scope| self.ground(scope))
    }
}

impl Fixer {
    /// Notes what became of a patch that was sent, by rule.
    pub(super) fn note_sent(&self, key: &ObjectKey, order: Order<'_>, fate: impl Fn(Option<&str>) -> Fate) {
        let Order { proposal, document, dry_run, patch: _ } = order;
        self.note_changes(key, (proposal, document, dry_run), |_| true, fate);
    }

    /// Notes that a patch did not find the object as it was judged, for what is not as it was; where nobody knows, for
    /// all of it. `now` is the object as it was read then.
    pub(super) fn note_outrun(&self, key: &ObjectKey, outrun: &Outrun, now: Option<&Document>) {
        let Outrun { proposal, document, dry_run } = outrun;
        let now = now.and_then(|now| now.root.as_ref().ok()).map(Tree::node);
        let concerns = |change: &Change| now.is_none_or(|now| outrun.concerns(change, now));
        let any = proposal.changes.iter().any(concerns);
        let of = (proposal, &**document, *dry_run);
        self.note_changes(key, of, |change| !any || concerns(change), |_| Fate::Outrun);
    }

    fn note_changes(
        &self,
        key: &ObjectKey,
        (proposal, document, dry_run): (&Proposal, &Document, bool),
        concerns: impl Fn(&Change) -> bool,
        fate: impl Fn(Option<&str>) -> Fate,
    ) {
        let field = Field { policy: &proposal.fixing.policy, key, document, dry_run };
        let wanted = proposal.wanted().filter(|(_, change)| concerns(change));
        // Of many places that a rule mends at once, it and the object are counted once.
        let grounds: HashSet<Ground> =
            wanted.flat_map(|(rule, change)| field.grounds(rule, change)).collect();
        let (mut memory, now) = (self.memory.lock(), Instant::now());
        for ground in grounds {
            let fate = fate(ground.scope.rule());
            memory.contests.sent(ground, fate, now);
        }
    }

    /// The object changed each time that it was read and written: it is told, and tried again.
    pub(super) fn give_way(&self, key: &ObjectKey, outrun: &Outrun) -> Next {
        self.note_outrun(key, outrun, None);
        let why = "what is to be fixed changes faster than it can be written; it is tried again";
        self.note(key, &outrun.proposal, outrun.proposal.fixes(Remediation::Waiting, Some(why)));
        Next::After(BUSY)
    }

    /// Holds back what is left alone for a while.
    pub(super) fn leave_contested(
        &self,
        key: &ObjectKey,
        proposal: &mut Proposal,
        document: &Document,
    ) -> Next {
        let Ok(object) = document.root.as_ref().map(Tree::node) else { return Next::Done };
        let policy = Arc::clone(&proposal.fixing.policy);
        let dry_run = proposal.only_plans(self.settings.allow);
        let field = Field { policy: &policy, key, document, dry_run };
        let own = format!("{FIELD_MANAGER_PREFIX}{}", policy.name);
        let now = Instant::now();
        let wait = Cell::new(Next::Done);
        let mut memory = self.memory.lock();
        let contests = RefCell::new(&mut memory.contests);
        proposal.hold_back_of(|rule, change| {
            let by = || {
                let by = owner_of(object, &change.place, &own).or_else(|| last_writer(object, &own));
                by.unwrap_or("somebody else").into()
            };
            let grounds = field.grounds(rule, change);
            let pause =
                grounds.iter().find_map(|ground| contests.borrow_mut().enter(ground, now, by).err())?;
            wait.set(wait.get().and(Next::After(pause.left)));
            Some(said(&pause, dry_run))
        });
        wait.get()
    }
}

/// What is told while something is left alone.
fn said(pause: &Pause, dry_run: bool) -> (Remediation, Box<str>) {
    let Pause { by, fate, left: _ } = pause;
    match (fate, dry_run) {
        (Fate::Unmade(outcome, words), _) => {
            (*outcome, format!("{words}; it is tried again after a while, longer each time").into())
        }
        (_, true) => (
            Remediation::Throttled,
            "what the rule reads changes again and again; it is planned anew after a while, longer each time".into(),
        ),
        (Fate::Held, false) => (
            Remediation::Contested,
            format!("{by} writes the field again and again; it is left alone for a while, longer each time").into(),
        ),
        (Fate::Outrun, false) => (
            Remediation::Contested,
            format!(
                "{by} changes what is to be fixed faster than it can be written; it is left alone for a while, longer each time"
            )
            .into(),
        ),
        (Fate::Vain, false) => (
            Remediation::Ineffective,
            "the server takes the change, and the rule fails all the same; it is tried again after a while, longer each time"
                .into(),
        ),
    }
}

#[cfg(test)]
#[path = "contested_tests.rs"]
mod tests;
