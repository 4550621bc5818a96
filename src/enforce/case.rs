//! Who fixes an object, and in which version of it.

use std::sync::Arc;

use super::proposal::Fixing;
use super::worker::namespace_of;
use crate::jsonpath::{Document, TypeMeta};
use crate::policy::CompiledPolicy;
use crate::resource::{Gvr, ObjectKey};
use crate::store::Store;

/// An object in one version, and the policies that fix it there.
pub(super) struct Case {
    pub(super) resource: Gvr,
    pub(super) types: TypeMeta,
    pub(super) uid: Arc<str>,
    pub(super) fixing: Vec<Fixing>,
    /// The policies that fix it in other versions.
    pub(super) elsewhere: Vec<Fixing>,
    /// Whether the Namespace that it is in is being deleted.
    pub(super) is_ending: bool,
}

impl Case {
    fn new(key: &ObjectKey, types: TypeMeta, uid: &Arc<str>, fixing: Fixing) -> Self {
        let resource = version_of(key, &types);
        let (uid, fixing) = (Arc::clone(uid), vec![fixing]);
        Self { resource, types, uid, fixing, elsewhere: Vec::new(), is_ending: false }
    }

    /// The object as the watch shows it that has what all policies read, where there is one.
    pub(super) fn known(&self) -> Option<&Arc<Document>> {
        let known = &self.fixing.first()?.known;
        self.fixing.iter().all(|fixing| Arc::ptr_eq(&fixing.known, known)).then_some(known)
    }
}

/// An object's resource in the version in which a watch shows it.
pub(super) fn version_of(key: &ObjectKey, types: &TypeMeta) -> Gvr {
    let version = types.api_version.rsplit('/').next().unwrap_or_default().into();
    Gvr { resource: key.resource.clone(), version }
}

/// The policies that fix an object, each in the version in which its watch shows it, the newest watch first.
pub(super) fn cases(key: &ObjectKey, store: &Store) -> Vec<Case> {
    let views = store.views(key);
    let mut cases: Vec<Case> = Vec::new();
    let Some(uid) = views.first().map(|newest| Arc::clone(&newest.document.id.uid)) else { return cases };
    for view in views.iter().filter(|view| view.document.id.uid == uid) {
        let is_mended = |policy: &CompiledPolicy| policy.mends() && view.judges(policy);
        for served in view.serving.iter().filter(|served| is_mended(&served.policy)) {
            let is_known = |other: &Fixing| other.policy.name == served.policy.name;
            if cases.iter().flat_map(|case| &case.fixing).any(is_known) {
                continue;
            }
            let Some(namespace) = namespace_of(&key.object, &served.policy, store) else { continue };
            let (policy, roots) = (Arc::clone(&served.policy), Arc::clone(&served.roots));
            let known = Arc::clone(&view.document);
            let fixing = Fixing { policy, roots, namespace, known };
            match cases.iter_mut().find(|case| case.types.api_version == view.types.api_version) {
                Some(case) => case.fixing.push(fixing),
                None => cases.push(Case::new(key, view.types.clone(), &uid, fixing)),
            }
        }
    }
    // Always the same one first, whichever is read first.
    for case in &mut cases {
        case.fixing.sort_by(|one, other| one.policy.name.cmp(&other.policy.name));
    }
    let all: Vec<_> = cases.iter().map(|case| case.fixing.clone()).collect();
    for (at, case) in cases.iter_mut().enumerate() {
        let others = all.iter().enumerate().filter(|(other, _)| *other != at);
        case.elsewhere = others.flat_map(|(_, fixing)| fixing).cloned().collect();
    }
    cases
}
