//! Who controls whom, among what was kept of a scan.
//!
//! A controller matters to what is below it only where it fails or errs itself, or leads on to one that may: so only
//! those are kept, and not every object of the cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::jsonpath::Document;
use crate::policy::demand::WatchSpec;
use crate::policy::{CompiledPolicy, Relative, Relatives, is_followed};

/// An object that may control others, and the list that showed it.
#[derive(Clone)]
pub(super) struct Relation {
    pub(super) spec: Arc<WatchSpec>,
    pub(super) document: Arc<Document>,
}

/// By uid. A resource that is listed in two versions has each object twice.
#[derive(Default)]
pub(super) struct Kin(BTreeMap<Arc<str>, Vec<Relation>>);

impl FromIterator<Relation> for Kin {
    fn from_iter<I: IntoIterator<Item = Relation>>(relations: I) -> Self {
        let mut by_uid: BTreeMap<_, Vec<_>> = BTreeMap::new();
        // What has no uid can be nobody's controller.
        for relation in relations.into_iter().filter(|relation| !relation.document.id.uid.is_empty()) {
            by_uid.entry(Arc::clone(&relation.document.id.uid)).or_default().push(relation);
        }
        Self(by_uid)
    }
}

impl Relatives for Kin {
    fn find(&self, policy: &CompiledPolicy, uid: &str, namespace: Option<&str>) -> Option<Relative> {
        let known = self.0.get(uid)?;
        let is_there = |Relation { document, .. }: &&Relation| {
            let of = document.id.namespace.as_deref();
            of.is_none() || of == namespace
        };
        let roots = |Relation { spec, .. }: &Relation| Some(Arc::clone(&spec.program(&policy.name)?.1));
        let is_passed = |Relation { spec, .. }: &&Relation| is_followed(&spec.resource.resource);
        let mut near = known.iter().filter(is_there);
        // A list of another policy leads on, and is no list to judge by.
        let judged = near.clone().find_map(|relation| Some((relation, Some(roots(relation)?))));
        let (Relation { spec, document }, roots) = judged.or_else(|| Some((near.find(is_passed)?, None)))?;
        Some(Relative {
            resource: spec.resource.resource.clone(),
            kind: Arc::clone(&spec.served.kind),
            roots,
            document: Arc::clone(document),
        })
    }
}
