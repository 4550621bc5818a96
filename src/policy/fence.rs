//! What no fix writes, whatever a policy says, unless the operator's configuration opens it.

use std::sync::Arc;

use crate::resource::GroupResource;

use super::pointer::{Pointer, Token};

/// Kinds through which a fix could give rights, reach the cluster itself, or write what the operator lives on, by group
/// and plural name (`*` for all of the group).
const KINDS: [(&str, &str); 13] = [
    ("", "secrets"),
    ("", "serviceaccounts"),
    ("", "nodes"),
    ("", "events"),
    ("rbac.authorization.k8s.io", "*"),
    ("admissionregistration.k8s.io", "*"),
    ("apiextensions.k8s.io", "*"),
    ("apiregistration.k8s.io", "*"),
    ("authentication.k8s.io", "*"),
    ("authorization.k8s.io", "*"),
    ("certificates.k8s.io", "*"),
    ("coordination.k8s.io", "*"),
    ("watchpolicy.io", "*"),
];

/// Labels by which the cluster decides how safe pods must be.
const POD_SECURITY: &str = "pod-security.kubernetes.io/";

/// What is opened of that: kinds as `secrets` and `roles.rbac.authorization.k8s.io`, labels by their whole key.
#[derive(Clone, Debug, Default)]
pub struct Fences {
    opened: Arc<[Arc<str>]>,
}

impl Fences {
    /// Fences with these opened in them.
    pub fn new(opened: &Arc<[Arc<str>]>) -> Self {
        Self { opened: Arc::clone(opened) }
    }

    /// Whether fixes may write objects of this kind.
    pub fn allow_kind(&self, resource: &GroupResource) -> bool {
        let fenced = KINDS.iter().any(|(group, plural)| {
            *group == &*resource.group && (*plural == "*" || *plural == &*resource.resource)
        });
        !fenced || self.opens(&resource.to_string())
    }

    /// Why a place may not be written, if it may not.
    pub(super) fn refuse(&self, place: &Pointer) -> Option<String> {
        let name = |token: &Token| match token {
            Token::Name(name) => Some(Arc::clone(name)),
            Token::Index(_) => None,
        };
        let names: Vec<_> = place.tokens().iter().map_while(name).collect();
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        self.refuse_names(&names, names.len() == place.tokens().len())
    }

    /// The same of the names that a place begins with, `whole` if it has no further steps.
    pub(super) fn refuse_names(&self, names: &[&str], whole: bool) -> Option<String> {
        match names {
            [] => {
                Some("no fix writes an object as a whole; start the path with the name of a field".to_owned())
            }
            ["status", ..] => Some("`status` is its controller's, and no fix writes it".to_owned()),
            [name @ ("kind" | "apiVersion"), ..] => Some(format!("no fix writes `{name}`")),
            ["metadata", map @ ("labels" | "annotations")] if whole => Some(format!(
                "no fix writes all {map} at once; name one, as `$.metadata.{map}['corp.io/owner']`"
            )),
            ["metadata", "labels", key, ..] if key.starts_with(POD_SECURITY) && !self.opens(key) => {
                Some(format!(
                    "the label {key} says how safe pods must be, and no fix writes it unless the operator is started with \
                 --allow-fix-of={key}"
                ))
            }
            ["metadata", "labels" | "annotations", ..] => None,
            ["metadata", ..] => {
                Some("of `metadata`, fixes write single labels and annotations only".to_owned())
            }
            _ => None,
        }
    }

    fn opens(&self, what: &str) -> bool {
        self.opened.iter().any(|opened| **opened == *what)
    }
}
