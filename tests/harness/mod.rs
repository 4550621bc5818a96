//! A real control plane, and the operator as a process, for tests and for the demo.
//!
//! [`ControlPlane`] runs etcd, kube-apiserver and kube-controller-manager on free loopback ports; every test of a
//! run shares [`ControlPlane::shared`] and keeps to namespaces, groups and policies of its own, or starts one for
//! itself. [`Operator`] installs the chart in it, by [`Helm`], and runs the built binary against it. Nothing that was started outlives the process that
//! started it, however that one ends: see [`child`].

pub(crate) mod access;
pub(crate) mod audit;
pub(crate) mod child;
pub(crate) mod controlplane;
pub(crate) mod egress;
pub(crate) mod eventually;
pub(crate) mod helm;
pub(crate) mod kubectl;
pub(crate) mod operator;
pub(crate) mod ports;
pub(crate) mod tools;

pub(crate) use audit::Request;
pub(crate) use controlplane::ControlPlane;
pub(crate) use eventually::eventually;
pub(crate) use helm::Helm;
pub(crate) use operator::Operator;
