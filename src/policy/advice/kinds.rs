//! What kinds of Kubernetes have by name, as the types made of its API know it.

use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::batch::v1 as batch;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::networking::v1 as networking;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::value::Error;
use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;

/// An object with fields; of some it is known what they, or their elements, have.
pub(super) struct Kind {
    fields: fn() -> &'static [&'static str],
    below: &'static [(&'static str, &'static Kind)],
}

impl Kind {
    /// The names that it may have.
    pub(super) fn fields(&self) -> &'static [&'static str] {
        (self.fields)()
    }

    /// What is known of a field.
    pub(super) fn below(&self, name: &str) -> Option<&'static Kind> {
        self.below.iter().find(|(field, _)| *field == name).map(|(_, kind)| *kind)
    }

    const fn of<T: for<'de> Deserialize<'de>>(below: &'static [(&'static str, &'static Kind)]) -> Self {
        Self { fields: fields::<T>, below }
    }
}

/// The kind of a resource.
pub(super) fn of_resource(group: &str, plural: &str) -> Option<&'static Kind> {
    RESOURCES.iter().find(|(of, name, _)| (*of, *name) == (group, plural)).map(|(_, _, kind)| *kind)
}

const RESOURCES: [(&str, &str, &Kind); 15] = [
    ("", "pods", &POD),
    ("", "services", &SERVICE),
    ("", "namespaces", &Kind::of::<core::Namespace>(&[("metadata", &METADATA)])),
    ("", "configmaps", &Kind::of::<core::ConfigMap>(&[("metadata", &METADATA)])),
    ("", "secrets", &Kind::of::<core::Secret>(&[("metadata", &METADATA)])),
    ("", "serviceaccounts", &Kind::of::<core::ServiceAccount>(&[("metadata", &METADATA)])),
    ("", "persistentvolumeclaims", &Kind::of::<core::PersistentVolumeClaim>(&[("metadata", &METADATA)])),
    (
        "apps",
        "deployments",
        &Kind::of::<apps::Deployment>(&[("metadata", &METADATA), ("spec", &DEPLOYMENT_SPEC)]),
    ),
    (
        "apps",
        "statefulsets",
        &Kind::of::<apps::StatefulSet>(&[("metadata", &METADATA), ("spec", &STATEFUL_SET_SPEC)]),
    ),
    (
        "apps",
        "daemonsets",
        &Kind::of::<apps::DaemonSet>(&[("metadata", &METADATA), ("spec", &DAEMON_SET_SPEC)]),
    ),
    (
        "apps",
        "replicasets",
        &Kind::of::<apps::ReplicaSet>(&[("metadata", &METADATA), ("spec", &REPLICA_SET_SPEC)]),
    ),
    ("batch", "jobs", &Kind::of::<batch::Job>(&[("metadata", &METADATA), ("spec", &JOB_SPEC)])),
    ("batch", "cronjobs", &Kind::of::<batch::CronJob>(&[("metadata", &METADATA), ("spec", &CRON_JOB_SPEC)])),
    (
        "networking.k8s.io",
        "ingresses",
        &Kind::of::<networking::Ingress>(&[("metadata", &METADATA), ("spec", &INGRESS_SPEC)]),
    ),
    (
        "networking.k8s.io",
        "networkpolicies",
        &Kind::of::<networking::NetworkPolicy>(&[("metadata", &METADATA), ("spec", &NETWORK_POLICY_SPEC)]),
    ),
];

const METADATA: Kind = Kind::of::<ObjectMeta>(&[]);
const POD: Kind = Kind::of::<core::Pod>(&[("metadata", &METADATA), ("spec", &POD_SPEC)]);
/// What `$pod` is.
pub(super) const TEMPLATE: Kind =
    Kind::of::<core::PodTemplateSpec>(&[("metadata", &METADATA), ("spec", &POD_SPEC)]);
/// What `$podSpec` is.
pub(super) const POD_SPEC: Kind = Kind::of::<core::PodSpec>(&[
    ("containers", &CONTAINER),
    ("initContainers", &CONTAINER),
    ("ephemeralContainers", &Kind::of::<core::EphemeralContainer>(OF_CONTAINERS)),
    ("securityContext", &Kind::of::<core::PodSecurityContext>(&[])),
    ("tolerations", &Kind::of::<core::Toleration>(&[])),
    ("volumes", &Kind::of::<core::Volume>(&[("hostPath", &Kind::of::<core::HostPathVolumeSource>(&[]))])),
]);
/// What an element of `$containers` is.
pub(super) const CONTAINER: Kind = Kind::of::<core::Container>(OF_CONTAINERS);
const OF_CONTAINERS: &[(&str, &Kind)] = &[
    ("env", &Kind::of::<core::EnvVar>(&[("valueFrom", &Kind::of::<core::EnvVarSource>(&[]))])),
    ("envFrom", &Kind::of::<core::EnvFromSource>(&[])),
    ("livenessProbe", &PROBE),
    ("ports", &Kind::of::<core::ContainerPort>(&[])),
    ("readinessProbe", &PROBE),
    ("resources", &Kind::of::<core::ResourceRequirements>(&[])),
    ("securityContext", &SECURITY_CONTEXT),
    ("startupProbe", &PROBE),
    ("volumeMounts", &Kind::of::<core::VolumeMount>(&[])),
];
const PROBE: Kind = Kind::of::<core::Probe>(&[]);
const SECURITY_CONTEXT: Kind =
    Kind::of::<core::SecurityContext>(&[("capabilities", &Kind::of::<core::Capabilities>(&[]))]);
const SERVICE: Kind = Kind::of::<core::Service>(&[
    ("metadata", &METADATA),
    ("spec", &Kind::of::<core::ServiceSpec>(&[("ports", &Kind::of::<core::ServicePort>(&[]))])),
]);
const DEPLOYMENT_SPEC: Kind = Kind::of::<apps::DeploymentSpec>(&[("template", &TEMPLATE)]);
const STATEFUL_SET_SPEC: Kind = Kind::of::<apps::StatefulSetSpec>(&[("template", &TEMPLATE)]);
const DAEMON_SET_SPEC: Kind = Kind::of::<apps::DaemonSetSpec>(&[("template", &TEMPLATE)]);
const REPLICA_SET_SPEC: Kind = Kind::of::<apps::ReplicaSetSpec>(&[("template", &TEMPLATE)]);
const JOB_SPEC: Kind = Kind::of::<batch::JobSpec>(&[("template", &TEMPLATE)]);
const CRON_JOB_SPEC: Kind = Kind::of::<batch::CronJobSpec>(&[(
    "jobTemplate",
    &Kind::of::<batch::JobTemplateSpec>(&[("metadata", &METADATA), ("spec", &JOB_SPEC)]),
)]);
const INGRESS_SPEC: Kind = Kind::of::<networking::IngressSpec>(&[
    ("rules", &Kind::of::<networking::IngressRule>(&[])),
    ("tls", &Kind::of::<networking::IngressTLS>(&[])),
]);
const NETWORK_POLICY_SPEC: Kind = Kind::of::<networking::NetworkPolicySpec>(&[]);

/// The names that a type asks for when it is read.
fn fields<T: for<'de> Deserialize<'de>>() -> &'static [&'static str] {
    let mut fields: &'static [&'static str] = &[];
    // Reading ends as soon as they are known.
    drop(T::deserialize(Asked(&mut fields)));
    fields
}

/// Has nothing to be read, and notes what is asked for.
struct Asked<'f>(&'f mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Asked<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("there is nothing to be read"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
