//! What things are called: resources and the objects in them.
//!
//! Names are `Arc<str>`, since one group or namespace is named by very many keys.

use std::fmt;
use std::sync::Arc;

/// A group and a plural resource name, in any version. Shown as `deployments.apps`; the core group's as `pods`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupResource {
    /// The API group; empty for the core group.
    pub group: Arc<str>,
    /// The plural name, as in a URL.
    pub resource: Arc<str>,
}

impl GroupResource {
    /// Names a resource.
    pub fn new(group: impl Into<Arc<str>>, resource: impl Into<Arc<str>>) -> Self {
        Self { group: group.into(), resource: resource.into() }
    }
}

impl fmt::Display for GroupResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        Ok(())
    }
}

/// A resource in one namespace, or everywhere. Shown as `shop/deployments.apps`, or `deployments.apps`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Group and plural name.
    pub resource: GroupResource,
    /// `None` for everywhere.
    pub namespace: Option<Arc<str>>,
}

impl Place {
    /// Whether an object of the resource is there.
    pub fn holds(&self, object: &ObjectName) -> bool {
        self.namespace.is_none() || self.namespace == object.namespace
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        write!(f, "{}", self.resource)
    }
}

/// A resource in one version: what a watch is keyed by. Shown as `deployments.v1.apps`, as kubectl takes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gvr {
    /// Group and plural name.
    pub resource: GroupResource,
    /// The served version.
    pub version: Arc<str>,
}

impl Gvr {
    /// Names a resource in a version.
    pub fn new(
        group: impl Into<Arc<str>>,
        version: impl Into<Arc<str>>,
        resource: impl Into<Arc<str>>,
    ) -> Self {
        Self { resource: GroupResource::new(group, resource), version: version.into() }
    }

    /// The `apiVersion` of its objects: `apps/v1`, or `v1` in the core group.
    pub fn api_version(&self) -> String {
        match &*self.resource.group {
            "" => self.version.to_string(),
            group => format!("{group}/{}", self.version),
        }
    }
}

impl fmt::Display for Gvr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.resource.resource, self.version, self.resource.group)
    }
}

/// The place of an object in the cluster, whichever object has it now. Shown as `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName {
    /// `None` for a cluster-scoped object.
    pub namespace: Option<Arc<str>>,
    /// The object's name.
    pub name: Arc<str>,
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

/// What the work queue holds and results are kept by: an object's place, whatever version it is watched in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// The object's resource.
    pub resource: GroupResource,
    /// The object.
    pub object: ObjectName,
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.resource, self.object)
    }
}

/// A log line about an object. Whatever else it says, the object is told by four fields, of which a cluster-scoped one lacks
/// `namespace`: so one search finds all lines about an object.
macro_rules! log_object {
    (target: $target:expr, $level:ident, $key:expr, $($rest:tt)+) => {
        match $key {
            $crate::resource::ObjectKey { resource, object } => tracing::$level!(
                target: $target,
                group = &*resource.group,
                resource = &*resource.resource,
                namespace = object.namespace.as_deref(),
                name = &*object.name,
                $($rest)+
            ),
        }
    };
    ($level:ident, $($rest:tt)+) => {
        $crate::resource::log_object!(target: module_path!(), $level, $($rest)+)
    };
}
pub(crate) use log_object;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_as_kubectl_writes_them() {
        assert_eq!(GroupResource::new("apps", "deployments").to_string(), "deployments.apps");
        assert_eq!(GroupResource::new("", "pods").to_string(), "pods");
        assert_eq!(Gvr::new("apps", "v1", "deployments").api_version(), "apps/v1");
        assert_eq!(Gvr::new("", "v1", "pods").api_version(), "v1");
    }
}
