//! `ownedObjects: Skip`: one defect is reported once, at the root, where it can be mended.
//!
//! A rule that fails on an object is skipped there where it also fails or errs on the object's controller, which is
//! found by the uid in the ownerReference. Each defect must be found there too, so that what was added on the way down is
//! reported all the same; and the chain of controllers must have an end, since a ring has no root to report anything.

use std::sync::Arc;

use super::fix::{Mend, Mends};
use super::judge::Subject;
use super::program::CompiledPolicy;
use super::sharing::Share;
use super::verdict::{Judgement, NodeVerdict, Outcome, RuleVerdict, Verdict};
use crate::jsonpath::{Document, Roots};
use crate::resource::GroupResource;

/// Controllers that are looked at, one above the other: no chain of workloads is longer.
const MOST_HOPS: usize = 8;

/// An object that is found by its uid.
#[derive(Clone, Debug)]
pub struct Relative {
    /// Which resource it is of.
    pub resource: GroupResource,
    /// Its kind.
    pub kind: Arc<str>,
    /// Where the named roots are, for the policy that asked; `None` where the document may lack what it reads, and only
    /// leads on.
    pub roots: Option<Arc<Roots>>,
    /// The object.
    pub document: Arc<Document>,
}

/// Who knows objects by their uids.
pub trait Relatives {
    /// The object of this uid, if it is in this namespace or in none: no other can be a controller there.
    fn find(&self, policy: &CompiledPolicy, uid: &str, namespace: Option<&str>) -> Option<Relative>;
}

/// Whether a controller of this resource is passed on the way to its own controller, where no target takes it.
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

    /// What is passed on the way from Pods to what the policy targets above them: where it looks at no Pods, or at
    /// nothing above, there is nothing to be found.
    pub fn between(&self) -> Vec<GroupResource> {
        let is_way = self.skips_owned && self.targets(&GroupResource::new("", "pods"));
        // What custom kinds own cannot be known.
        let custom = self.targets.iter().any(|target| is_custom(&target.group));
        let leads = [("apps", "replicasets", "deployments"), ("batch", "jobs", "cronjobs")];
        let wanted = leads.into_iter().filter_map(|(group, resource, above)| {
            let (resource, above) = (GroupResource::new(group, resource), GroupResource::new(group, above));
            (is_way && (custom || self.targets(&above))).then_some(resource)
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
        for Relative { resource, kind, roots, document } in self.controllers(subject, relatives)? {
            let Some(roots) = roots else { continue };
            let controller = Subject {
                resource: &resource,
                kind: &kind,
                roots: &roots,
                document: &document,
                namespace: subject.namespace.filter(|_| document.id.namespace.is_some()),
                now: subject.now,
            };
            match self.judge(&controller) {
                Judgement::Judged(verdict) => return Some(verdict),
                Judgement::NotTaken | Judgement::Excluded { .. } if !is_followed(&resource) => return None,
                Judgement::NotTaken | Judgement::Excluded { .. } => {}
            }
        }
        None
    }

    /// The controllers above an object, the nearest first; `None` where they have no end. Whoever may write an object may
    /// write its ownerReferences, and each member of a ring would leave everything to the next.
    fn controllers(&self, subject: &Subject<'_>, relatives: &dyn Relatives) -> Option<Vec<Relative>> {
        let Document { id, controller, .. } = subject.document;
        let (mut above, mut next) = (Vec::<Relative>::new(), controller.clone());
        while let Some(uid) = next.take() {
            let comes_back = *uid == *id.uid || above.iter().any(|passed| passed.document.id.uid == uid);
            if comes_back || above.len() == MOST_HOPS {
                return None;
            }
            let Some(relative) = relatives.find(self, &uid, id.namespace.as_deref()) else { break };
            next = relative.document.controller.clone();
            above.push(relative);
        }
        Some(above)
    }
}

impl Verdict {
    /// Skips what fails here and is reported at the controller; judged again when that may change there.
    fn leave_to(&mut self, of_controller: &Self) {
        for rule in self.rules.iter_mut().filter(|rule| rule.outcome == Outcome::Fail) {
            let above = of_controller.rules.iter().find(|above| above.rule == rule.rule);
            if above.is_some_and(|above| rule.is_reported_by(above)) {
                (rule.outcome, rule.owned) = (Outcome::Skip, true);
                (rule.nodes, rule.more) = (Vec::new(), 0);
            }
        }
        self.outcome = self.rules.iter().fold(Outcome::Skip, |outcome, rule| outcome.and(rule.outcome));
        self.again = self.again.into_iter().chain(of_controller.again).min();
    }
}

impl RuleVerdict {
    /// Whether all that fails here fails above as well. An index may differ, where something was put before.
    fn is_reported_by(&self, above: &Self) -> bool {
        match above.outcome {
            Outcome::Error => true,
            Outcome::Pass | Outcome::Skip => false,
            Outcome::Fail => {
                let mut left: Vec<_> = above.nodes.iter().collect();
                let mut take = |node: &NodeVerdict| {
                    left.iter().position(|above| is_of(node, above)).map(|found| left.swap_remove(found))
                };
                self.more == 0 && self.nodes.iter().all(|node| take(node).is_some())
            }
        }
    }
}

/// Whether a node is what a controller's template makes of one of its own.
fn is_of(node: &NodeVerdict, above: &NodeVerdict) -> bool {
    let (here, there) = (without_indices(&node.path), without_indices(&above.path));
    let place = there.strip_suffix(&*here);
    node.actual == above.actual && place.is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

fn without_indices(path: &str) -> String {
    let mut parts = path.split('[');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let index = part.trim_start_matches(|digit: char| digit.is_ascii_digit());
        text.push('[');
        text.push_str(if index.starts_with(']') { index } else { part });
    }
    text
}
