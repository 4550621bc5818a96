//! The fields by which Kubernetes lets its own kinds be selected, beside their names: those that its API server converts
//! (`AddFieldLabelConversionFunc` in `k8s.io/kubernetes/pkg/apis`).

use std::sync::Arc;

use crate::policy::program::ALL;
use crate::resource::GroupResource;

use super::{NAME, NAMESPACE, Place};

/// A field, and what it is where it is not set: Go's zero value, as text.
type Column = (&'static str, &'static str);

/// By group and plural name. A field is where its name says, but for [`ELSEWHERE`].
const KINDS: &[(&str, &str, &[Column])] = &[
    ("", "namespaces", &[("status.phase", "")]),
    ("", "nodes", &[("spec.unschedulable", "false")]),
    (
        "",
        "pods",
        &[
            ("spec.nodeName", ""),
            ("spec.restartPolicy", ""),
            ("spec.schedulerName", ""),
            ("spec.serviceAccountName", ""),
            ("spec.hostNetwork", "false"),
            ("status.phase", ""),
            ("status.podIP", ""),
            ("status.nominatedNodeName", ""),
        ],
    ),
    ("", "replicationcontrollers", &[("status.replicas", "0")]),
    ("", "secrets", &[("type", "")]),
    ("", "services", &[("spec.clusterIP", ""), ("spec.type", "")]),
    ("batch", "jobs", &[("status.successful", "0")]),
    ("certificates.k8s.io", "certificatesigningrequests", &[("spec.signerName", "")]),
    ("certificates.k8s.io", "clustertrustbundles", &[("spec.signerName", "")]),
    (
        "certificates.k8s.io",
        "podcertificaterequests",
        &[("spec.signerName", ""), ("spec.podName", ""), ("spec.nodeName", "")],
    ),
    (
        "resource.k8s.io",
        "resourceslices",
        &[("spec.nodeName", ""), ("spec.driver", ""), ("spec.pool.name", "")],
    ),
];

/// Fields that objects have under another name.
const ELSEWHERE: [(&str, &[&str]); 1] = [("status.successful", &["status", "succeeded"])];

/// The groups of Kubernetes itself whose names have a dot. Others with `.k8s.io` are of projects beside it.
const GROUPS: [&str; 15] = [
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "internal.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
];

/// Whether the kinds of a group are those of Kubernetes, so that what they can be selected by is known.
pub(in crate::policy) fn is_builtin_group(group: &str) -> bool {
    !group.contains('.') || GROUPS.contains(&group)
}

/// Where a resource has a field, and what it is where it is not set.
///
/// # Errors
/// When objects of the resource cannot be selected by it, in words that say by what they can be.
pub(super) fn field(resource: &GroupResource, label: &str) -> Result<(Place, &'static str), String> {
    match label {
        NAME => return Ok((Place::Name, "")),
        NAMESPACE => return Ok((Place::Namespace, "")),
        _ if &*resource.resource == ALL => {
            return Err(format!(
                "`*` stands for kinds that are selected by different fields; give those of which `{label}` is one \
                 their own entry"
            ));
        }
        _ => {}
    }
    if !is_builtin_group(&resource.group) {
        // The server takes any path of members that the definition names.
        return match is_path(label) {
            true => Ok((members(label.split('.')), "")),
            false => Err(format!("`{label}` is not a field to select by, such as `spec.color`")),
        };
    }
    let GroupResource { group, resource: plural } = resource;
    let known = KINDS.iter().find(|(of, name, _)| *of == &**group && *name == &**plural);
    let columns = known.map(|(_, _, columns)| *columns).unwrap_or_default();
    let Some((_, unset)) = columns.iter().find(|(known, _)| *known == label) else {
        let labels: Vec<_> =
            [NAME, NAMESPACE].into_iter().chain(columns.iter().map(|(label, _)| *label)).collect();
        let labels = labels.join(", ");
        return Err(format!(
            "the API server selects {resource} by no field `{label}`: use {labels}, or a check under `match`"
        ));
    };
    let elsewhere = ELSEWHERE.iter().find(|(known, _)| *known == label);
    let place =
        elsewhere.map_or_else(|| members(label.split('.')), |(_, path)| members(path.iter().copied()));
    Ok((place, unset))
}

fn members<'n>(names: impl Iterator<Item = &'n str>) -> Place {
    Place::Members(names.map(Arc::from).collect())
}

fn is_path(label: &str) -> bool {
    let is_name = |name: &str| {
        let first = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        first && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
    };
    label.split('.').all(is_name)
}
