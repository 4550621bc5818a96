//! The kinds that every cluster serves.

use crate::cli::hint;

/// Group, kind, plural name. Served by Kubernetes 1.37; those that older versions served are at the end of each group.
const NAMESPACED: &[(&str, &str, &str)] = &[
    ("", "Binding", "bindings"),
    ("", "ConfigMap", "configmaps"),
    ("", "Endpoints", "endpoints"),
    ("", "Event", "events"),
    ("", "LimitRange", "limitranges"),
    ("", "PersistentVolumeClaim", "persistentvolumeclaims"),
    ("", "Pod", "pods"),
    ("", "PodTemplate", "podtemplates"),
    ("", "ReplicationController", "replicationcontrollers"),
    ("", "ResourceQuota", "resourcequotas"),
    ("", "Secret", "secrets"),
    ("", "Service", "services"),
    ("", "ServiceAccount", "serviceaccounts"),
    ("apps", "ControllerRevision", "controllerrevisions"),
    ("apps", "DaemonSet", "daemonsets"),
    ("apps", "Deployment", "deployments"),
    ("apps", "ReplicaSet", "replicasets"),
    ("apps", "StatefulSet", "statefulsets"),
    ("authorization.k8s.io", "LocalSubjectAccessReview", "localsubjectaccessreviews"),
    ("autoscaling", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    ("batch", "CronJob", "cronjobs"),
    ("batch", "Job", "jobs"),
    ("coordination.k8s.io", "Lease", "leases"),
    ("coordination.k8s.io", "LeaseCandidate", "leasecandidates"),
    ("discovery.k8s.io", "EndpointSlice", "endpointslices"),
    ("events.k8s.io", "Event", "events"),
    ("networking.k8s.io", "Ingress", "ingresses"),
    ("networking.k8s.io", "NetworkPolicy", "networkpolicies"),
    ("policy", "PodDisruptionBudget", "poddisruptionbudgets"),
    ("rbac.authorization.k8s.io", "Role", "roles"),
    ("rbac.authorization.k8s.io", "RoleBinding", "rolebindings"),
    ("resource.k8s.io", "ResourceClaim", "resourceclaims"),
    ("resource.k8s.io", "ResourceClaimTemplate", "resourceclaimtemplates"),
    ("storage.k8s.io", "CSIStorageCapacity", "csistoragecapacities"),
];

const CLUSTER_SCOPED: &[(&str, &str, &str)] = &[
    ("", "ComponentStatus", "componentstatuses"),
    ("", "Namespace", "namespaces"),
    ("", "Node", "nodes"),
    ("", "PersistentVolume", "persistentvolumes"),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicy", "mutatingadmissionpolicies"),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings"),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
    ("apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions"),
    ("apiregistration.k8s.io", "APIService", "apiservices"),
    ("authentication.k8s.io", "SelfSubjectReview", "selfsubjectreviews"),
    ("authentication.k8s.io", "TokenReview", "tokenreviews"),
    ("authorization.k8s.io", "SelfSubjectAccessReview", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "SelfSubjectRulesReview", "selfsubjectrulesreviews"),
    ("authorization.k8s.io", "SubjectAccessReview", "subjectaccessreviews"),
    ("certificates.k8s.io", "CertificateSigningRequest", "certificatesigningrequests"),
    ("certificates.k8s.io", "ClusterTrustBundle", "clustertrustbundles"),
    ("flowcontrol.apiserver.k8s.io", "FlowSchema", "flowschemas"),
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration", "prioritylevelconfigurations"),
    ("networking.k8s.io", "IPAddress", "ipaddresses"),
    ("networking.k8s.io", "IngressClass", "ingressclasses"),
    ("networking.k8s.io", "ServiceCIDR", "servicecidrs"),
    ("node.k8s.io", "RuntimeClass", "runtimeclasses"),
    ("rbac.authorization.k8s.io", "ClusterRole", "clusterroles"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding", "clusterrolebindings"),
    ("resource.k8s.io", "DeviceClass", "deviceclasses"),
    ("resource.k8s.io", "ResourceSlice", "resourceslices"),
    ("scheduling.k8s.io", "PriorityClass", "priorityclasses"),
    ("storage.k8s.io", "CSIDriver", "csidrivers"),
    ("storage.k8s.io", "CSINode", "csinodes"),
    ("storage.k8s.io", "StorageClass", "storageclasses"),
    ("storage.k8s.io", "VolumeAttachment", "volumeattachments"),
    ("storage.k8s.io", "VolumeAttributesClass", "volumeattributesclasses"),
    ("watchpolicy.io", "WatchPolicy", "watchpolicies"),
];

/// The plural name of a built-in kind, and whether its objects live in namespaces.
pub(in crate::cli) fn resource(group: &str, kind: &str) -> Option<(&'static str, bool)> {
    let find = |table: &'static [(&str, &str, &'static str)]| {
        table.iter().find(|(g, k, _)| *g == group && *k == kind).map(|(_, _, plural)| *plural)
    };
    find(NAMESPACED)
        .map(|plural| (plural, true))
        .or_else(|| find(CLUSTER_SCOPED).map(|plural| (plural, false)))
}

/// Whether a plural name is of a built-in resource whose objects live in no namespace.
pub(in crate::cli) fn is_cluster_scoped(group: &str, plural: &str) -> bool {
    CLUSTER_SCOPED.iter().any(|(g, _, known)| *g == group && *known == plural)
}

/// What is odd about targeting a resource, if anything: in a group of Kubernetes nobody else serves any.
pub(in crate::cli) fn oddity(group: &str, plural: &str) -> Option<String> {
    let all = || NAMESPACED.iter().chain(CLUSTER_SCOPED);
    let of_group = || all().filter(|(g, _, _)| *g == group);
    if matches!(group, "core" | "v1" | "api") {
        return Some("the core group has no name: leave `group` out".to_owned());
    }
    if of_group().next().is_none() || plural == "*" || of_group().any(|(_, _, known)| *known == plural) {
        return None;
    }
    let meant = match all().find(|(_, _, known)| *known == plural) {
        Some(("", ..)) => "they are of the core group: leave `group` out".to_owned(),
        Some((other, ..)) => format!("they are of group {other}"),
        None => match hint::nearest(plural, of_group().map(|(_, _, known)| *known)) {
            Some(near) => format!("did you mean {near}?"),
            None => "plural names are wanted, as `kubectl api-resources` shows them".to_owned(),
        },
    };
    let place = if group.is_empty() { "the core group".to_owned() } else { format!("group {group}") };
    Some(format!("Kubernetes has no {plural} in {place}; {meant}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_no_cluster_serves_is_told_with_what_was_meant() {
        for (group, plural, words) in [
            ("apps", "deployment", "did you mean deployments?"),
            ("core", "pods", "leave `group` out"),
            ("v1", "pods", "leave `group` out"),
            ("", "deployments", "of group apps"),
            ("apps", "pods", "of the core group"),
            ("networking.k8s.io", "ingress", "did you mean ingresses?"),
        ] {
            let said = oddity(group, plural).unwrap();
            assert!(said.contains(words), "{said}");
        }
        for (group, plural) in [("apps", "deployments"), ("", "pods"), ("example.com", "x"), ("apps", "*")] {
            assert_eq!(oddity(group, plural), None);
        }
    }

    #[test]
    fn plurals_that_no_rule_would_give_are_in_the_table() {
        assert_eq!(resource("", "Endpoints"), Some(("endpoints", true)));
        assert_eq!(resource("networking.k8s.io", "NetworkPolicy"), Some(("networkpolicies", true)));
        assert_eq!(resource("", "Namespace"), Some(("namespaces", false)));
        assert_eq!(resource("example.com", "Pod"), None);
    }
}
