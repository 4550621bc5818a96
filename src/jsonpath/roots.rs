//! Where the named roots are on a resource.

use std::sync::Arc;

use crate::resource::GroupResource;

/// What a document is to a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// The object; its Namespace, if it is in one, is another document.
    #[default]
    Object,
    /// A Namespace that is itself the object.
    OwnNamespace,
    /// The Namespace that the object is in: `$namespace`, and nothing else.
    Namespace,
}

/// Where the named roots are on one resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roots {
    /// The names that lead from the object to `$pod`: none for a Pod itself, `spec`, `template` for a Deployment.
    /// `None` where it is not known; a path that needs it is then an error.
    pub pod: Option<Box<[Arc<str>]>>,
    /// What a document of the resource is.
    pub part: Part,
}

impl Roots {
    /// Of the Namespace that an object is in.
    pub fn of_namespace() -> Self {
        Self { pod: None, part: Part::Namespace }
    }

    /// The contract's table of built-in workloads; nothing known for any other resource but of which part it is.
    pub fn of_builtin(resource: &GroupResource) -> Self {
        let pod: &[&str] = match (&*resource.group, &*resource.resource) {
            ("", "pods") => &[],
            ("", "replicationcontrollers")
            | ("apps", "deployments" | "replicasets" | "statefulsets" | "daemonsets")
            | ("batch", "jobs") => &["spec", "template"],
            ("batch", "cronjobs") => &["spec", "jobTemplate", "spec", "template"],
            ("", "podtemplates") => &["template"],
            ("", "namespaces") => return Self { pod: None, part: Part::OwnNamespace },
            _ => return Self::default(),
        };
        Self { part: Part::Object, pod: Some(pod.iter().map(|name| Arc::from(*name)).collect()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(group: &str, resource: &str) -> Option<String> {
        Roots::of_builtin(&GroupResource::new(group, resource)).pod.map(|names| names.join("."))
    }

    #[test]
    fn the_pod_of_each_builtin_workload_is_known() {
        assert_eq!(pod("", "pods").as_deref(), Some(""));
        for resource in ["deployments", "replicasets", "statefulsets", "daemonsets"] {
            assert_eq!(pod("apps", resource).as_deref(), Some("spec.template"), "{resource}");
        }
        assert_eq!(pod("batch", "jobs").as_deref(), Some("spec.template"));
        assert_eq!(pod("", "replicationcontrollers").as_deref(), Some("spec.template"));
        assert_eq!(pod("batch", "cronjobs").as_deref(), Some("spec.jobTemplate.spec.template"));
        assert_eq!(pod("", "podtemplates").as_deref(), Some("template"));
    }

    #[test]
    fn the_pod_of_other_resources_is_not_known() {
        assert_eq!(pod("", "services"), None);
        assert_eq!(pod("example.com", "deployments"), None);
    }
}
