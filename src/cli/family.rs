//! Which of the objects controls which: what a server has stored carries its uid, and that of its controller.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::jsonpath::Document;
use crate::policy::{CompiledPolicy, Relative, Relatives, is_followed};
use crate::resource::GroupResource;

use super::input::Object;

/// An object, as far as the policies read it.
#[derive(Debug)]
pub(super) struct Member<'w> {
    pub(super) resource: &'w GroupResource,
    pub(super) object: &'w Object,
    pub(super) document: Arc<Document>,
}

/// The objects that have a uid, by it. Of several with one, the first in its namespace speaks for them.
#[derive(Debug)]
pub(super) struct Family<'m, 'w>(BTreeMap<&'m str, Vec<&'m Member<'w>>>);

impl<'m, 'w> Family<'m, 'w> {
    pub(super) fn of(members: &'m [Member<'w>]) -> Self {
        let mut by_uid: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for member in members.iter().filter(|member| !member.document.id.uid.is_empty()) {
            by_uid.entry(&member.document.id.uid).or_default().push(member);
        }
        Self(by_uid)
    }
}

impl Relatives for Family<'_, '_> {
    fn find(&self, policy: &CompiledPolicy, uid: &str, namespace: Option<&str>) -> Option<Relative> {
        let is_there = |member: &&&Member<'_>| {
            let of = member.document.id.namespace.as_deref();
            (of.is_none() || of == namespace)
                && (policy.targets(member.resource) || is_followed(member.resource))
        };
        let Member { resource, object, document } = self.0.get(uid)?.iter().find(is_there)?;
        Some(Relative {
            resource: (*resource).clone(),
            kind: Arc::clone(&object.types.kind),
            roots: Some(Arc::new(policy.roots(resource))),
            document: Arc::clone(document),
        })
    }
}
