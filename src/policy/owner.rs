//! `ownedObjects: Skip`: one defect is reported once, at the root, where it can be mended.
//!
//! A rule that fails on an object is skipped there where it also fails or errs on the object's controller, which is
//! found by the uid in the ownerReference. The rule must fail there for it, so that what was added on the way down is
//! reported all the same.

use std::sync::Arc;

use super::fix::{Mend, Mends};
use super::judge::Subject;
use super::program::CompiledPolicy;
use super::sharing::Share;
use super::verdict::{Judgement, Outcome, Verdict};
use crate::jsonpath::{Document, Roots};
use crate::resource::GroupResource;

/// Controllers that are looked at, one above the other: no chain of workloads is longer.
const MOST_HOPS: usize = 4;

/// An object that is found by its uid.
#[derive(Clone, Debug)]
pub struct Relative {
    /// Which resource it is of.
    pub resource: GroupResource,
    /// Its kind.
    pub kind: Arc<str>,
    /// Where the named roots are, for the policy that asked.
    pub roots: Arc<Roots>,
    /// The object; with what the policy reads, where the policy targets its resource.
    pub document: Arc<Document>,
}

/// Who knows objects by their uids.
pub trait Relatives {
    /// The object of this uid, if it is in this namespace or in none: no other can be a controller there.
    fn find(&self, policy: &CompiledPolicy, uid: &str, namespace: Option<&str>) -> Option<Relative>;
}

/// Whether a controller of this resource is passed on the way to its own controller, where a policy does not target it.
pub fn is_followed(resource: &GroupResource) -> bool {
    matches!((&*resource.group, &*resource.resource), ("apps", "replicasets") | ("batch", "jobs"))
}

fn is_custom(group: &str) -> bool {
    group.contains('.') && !group.ends_with(".k8s.io")
}

impl CompiledPolicy {
    /// Whether what an object shares with its controller is reported there alone.
    pub fn skips_owned(&self) -> bool {
        self.skips_owned
    }

    /// What is passed on the way from Pods to what the policy targets above them, and is not targeted itself: where it
    /// looks at no Pods, or at nothing above, there is nothing to be found.
    pub fn between(&self) -> Vec<GroupResource> {
        let is_way = self.skips_owned && self.targets(&GroupResource::new("", "pods"));
        // What custom kinds own cannot be known.
        let custom = self.targets.iter().any(|target| is_custom(&target.group));
        let leads = [("apps", "replicasets", "deployments"), ("batch", "jobs", "cronjobs")];
        let wanted = leads.into_iter().filter_map(|(group, resource, above)| {
            let (resource, above) = (GroupResource::new(group, resource), GroupResource::new(group, above));
            (is_way && !self.targets(&resource) && (custom || self.targets(&above))).then_some(resource)
        });
        wanted.collect()
    }

    /// Whether objects of a resource are passed on the way from Pods to what controls them, also those that no target
    /// takes.
    pub(super) fn passes(&self, resource: &GroupResource) -> bool {
        self.skips_owned && is_followed(resource) && self.targets(&GroupResource::new("", "pods"))
    }

    /// Judges an object, and leaves to its controller what is reported there.
    pub fn judge_among(&self, subject: &Subject<'_>, relatives: &dyn Relatives) -> Judgement {
        self.judge_among_into((subject, None), relatives, None)
    }

    /// The same, with what policies find together in the document. It changes no judgement, but what it costs.
    pub fn judge_sharing(
        &self,
        subject: &Subject<'_>,
        share: Option<Share<'_, '_>>,
        relatives: &dyn Relatives,
    ) -> Judgement {
        self.judge_among_into((subject, share), relatives, None)
    }

    /// Judges an object, of which the document holds all, and says how what fails here is to be mended. What cannot be
    /// told, is excepted or is left to a controller is not mended.
    pub fn mend(&self, subject: &Subject<'_>, relatives: &dyn Relatives) -> (Judgement, Vec<Mend>) {
        let mends = Mends::default();
        let judgement = self.judge_among_into((subject, None), relatives, Some(&mends));
        let mut mends = mends.into_inner();
        let fails = |rule: &str| match &judgement {
            Judgement::Judged(verdict) => {
                verdict.rules.iter().any(|found| &*found.rule == rule && found.outcome == Outcome::Fail)
            }
            Judgement::NotTaken | Judgement::Excluded { .. } => false,
        };
        mends.retain(|mend| fails(&mend.rule));
        (judgement, mends)
    }

    fn judge_among_into(
        &self,
        (subject, share): (&Subject<'_>, Option<Share<'_, '_>>),
        relatives: &dyn Relatives,
        mends: Option<&Mends>,
    ) -> Judgement {
        let mut judgement = self.judge_into(subject, mends, share);
        if let Judgement::Judged(verdict) = &mut judgement
            && self.skips_owned
            && verdict.rules.iter().any(|rule| rule.outcome == Outcome::Fail)
            && let Some(of_controller) = self.judge_controller(subject, relatives)
        {
            verdict.leave_to(&of_controller);
        }
        judgement
    }

    /// What is said of the nearest controller that a target takes.
    fn judge_controller(&self, subject: &Subject<'_>, relatives: &dyn Relatives) -> Option<Verdict> {
        let namespace = subject.document.id.namespace.as_deref();
        let mut uid = subject.document.controller.clone()?;
        for _ in 0..MOST_HOPS {
            let Relative { resource, kind, roots, document } = relatives.find(self, &uid, namespace)?;
            let namespace = subject.namespace.filter(|_| document.id.namespace.is_some());
            let controller = Subject {
                resource: &resource,
                kind: &kind,
                roots: &roots,
                document: &document,
                namespace,
                now: subject.now,
            };
            match self.judge(&controller) {
                Judgement::Judged(verdict) => return Some(verdict),
                Judgement::NotTaken | Judgement::Excluded { .. } if !is_followed(&resource) => return None,
                Judgement::NotTaken | Judgement::Excluded { .. } => {}
            }
            uid = document.controller.clone()?;
        }
        None
    }
}

impl Verdict {
    /// Skips what fails here and fails or errs on the controller; judged again when that may change there.
    fn leave_to(&mut self, of_controller: &Self) {
        let is_reported = |name: &str| {
            let mut rules = of_controller.rules.iter();
            rules.any(|rule| *rule.rule == *name && matches!(rule.outcome, Outcome::Fail | Outcome::Error))
        };
        for rule in self.rules.iter_mut().filter(|rule| rule.outcome == Outcome::Fail) {
            if is_reported(&rule.rule) {
                (rule.outcome, rule.owned) = (Outcome::Skip, true);
                (rule.nodes, rule.more) = (Vec::new(), 0);
            }
        }
        self.outcome = self.rules.iter().fold(Outcome::Skip, |outcome, rule| outcome.and(rule.outcome));
        self.again = self.again.into_iter().chain(of_controller.again).min();
    }
}
