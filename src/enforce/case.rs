//! Who fixes an object, and in which version of it.

use std::sync::Arc;

use super::proposal::Fixing;
use super::worker::namespace_of;
use crate::jsonpath::{Document, TypeMeta};
use crate::resource::{Gvr, ObjectKey};
use crate::store::{Store, View};

/// An object in one version, and the policies that fix it there.
pub(super) struct Case {
    pub(super) resource: Gvr,
    pub(super) types: TypeMeta,
    pub(super) uid: Arc<str>,
    /// What the watch shows of it.
    pub(super) document: Arc<Document>,
    pub(super) fixing: Vec<Fixing>,
    /// Whether the Namespace that it is in is being deleted.
    pub(super) is_ending: bool,
}

impl Case {
    fn new(key: &ObjectKey, view: &View, fixing: Fixing) -> Self {
        let (types, document) = (view.types.clone(), Arc::clone(&view.document));
        let (resource, uid) = (version_of(key, &types), Arc::clone(&document.id.uid));
        Self { resource, types, uid, document, fixing: vec![fixing], is_ending: false }
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
        for served in view.serving.iter().filter(|served| served.policy.mends()) {
            let is_known = |other: &Fixing| other.policy.name == served.policy.name;
            if cases.iter().flat_map(|case| &case.fixing).any(is_known) {
                continue;
            }
            let Some(namespace) = namespace_of(&key.object, &served.policy, store) else { continue };
            let (policy, roots) = (Arc::clone(&served.policy), Arc::clone(&served.roots));
            let fixing = Fixing { policy, roots, namespace };
            match cases.iter_mut().find(|case| case.types.api_version == view.types.api_version) {
                Some(case) => case.fixing.push(fixing),
                None => cases.push(Case::new(key, view, fixing)),
            }
        }
    }
    // Always the same one first, whichever is read first.
    for case in &mut cases {
        case.fixing.sort_by(|one, other| one.policy.name.cmp(&other.policy.name));
    }
    cases
}
