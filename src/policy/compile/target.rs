//! Targets: what is watched, and what can never be.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::crd::Target;
use crate::jsonpath::{Root, Roots};
use crate::policy::fault::{FaultReason, Field, Findings};
use crate::policy::field::FieldSelector;
use crate::policy::glob::Glob;
use crate::policy::program::{ALL, CompiledTarget};
use crate::policy::scope::is_never_judged;
use crate::policy::selector::Selector;
use crate::resource::GroupResource;

use super::policy::check_length;

pub(super) fn compile_all(
    targets: &[Target],
    at: &Field<'_>,
    findings: &mut Findings,
) -> Box<[CompiledTarget]> {
    check_length(targets.len(), 1..=32, at, findings);
    let compiled: Box<[_]> = targets
        .iter()
        .enumerate()
        .map(|(index, target)| compile(target, &at.index(index), findings))
        .collect();
    refuse_disagreement(&compiled, at, findings);
    compiled
}

fn compile(target: &Target, at: &Field<'_>, findings: &mut Findings) -> CompiledTarget {
    let Target {
        group,
        resources,
        version,
        namespaces,
        exclude_namespaces,
        names,
        namespace_selector,
        label_selector,
        field_selector,
        pod,
    } = target;
    if !group.is_empty() {
        let what = match group.as_str() {
            ALL => "an API group: give each group an entry of its own",
            _ => "an API group, such as apps",
        };
        check_name(group, what, &at.name("group"), findings);
    }
    if let Some(version) = version {
        check_name(version, "a version, such as v1", &at.name("version"), findings);
    }
    check_resources(group, resources, &at.name("resources"), findings);
    check_namespaces(namespaces, &at.name("namespaces"), findings);
    let mut select = |selector: &Option<LabelSelector>, field| {
        let selector = Selector::compile(selector.as_ref()?, &at.name(field), findings);
        (!selector.is_empty()).then_some(selector)
    };
    let labels = select(label_selector, "labelSelector");
    let namespace_labels = select(namespace_selector, "namespaceSelector");
    let resources = shared(resources);
    let fields = field_selector.as_deref().and_then(|selector| {
        FieldSelector::compile(selector, (group, &resources), &at.name("fieldSelector"), findings)
    });
    CompiledTarget {
        group: group.as_str().into(),
        resources,
        version: version.as_deref().map(Arc::from),
        namespaces: shared(namespaces),
        labels,
        fields,
        namespace_labels,
        pod: pod.as_deref().and_then(|pod| compile_pod(pod, target, &at.name("pod"), findings)),
        exclude_namespaces: exclude_namespaces.iter().map(|glob| Glob::new(glob)).collect(),
        names: names.iter().map(|glob| Glob::new(glob)).collect(),
    }
}

fn shared(texts: &[String]) -> Box<[Arc<str>]> {
    texts.iter().map(|text| text.as_str().into()).collect()
}

fn check_resources(group: &str, resources: &[String], at: &Field<'_>, findings: &mut Findings) {
    check_length(resources.len(), 1..=32, at, findings);
    for (index, resource) in resources.iter().enumerate() {
        let at = at.index(index);
        if resource == ALL {
            refuse_ambiguous(group, resources.len(), &at, findings);
        } else {
            let what = match resource.split_once('/') {
                Some(_) => {
                    "the name of a resource but of a subresource, which has no objects: leave the end from `/` out"
                }
                None => "the plural name of a resource, such as deployments",
            };
            check_name(resource, what, &at, findings);
        }
        if is_never_judged(group, resource) {
            let shown = GroupResource::new(group, resource.as_str());
            let message =
                format!("{shown} can never be a target: the operator writes it itself; leave it out");
            findings.push(FaultReason::TargetNotAllowed, &at, message);
        }
    }
}

/// What the CRD refuses too, but a file may say.
fn refuse_ambiguous(group: &str, resources: usize, at: &Field<'_>, findings: &mut Findings) {
    if group.is_empty() {
        let message = "`*` cannot be used with the core group; list its resources by name";
        findings.invalid(at, message.to_owned());
    }
    if resources > 1 {
        let message = "`*` already stands for every resource of the group; leave the others out";
        findings.invalid(at, message.to_owned());
    }
}

fn check_namespaces(namespaces: &[String], at: &Field<'_>, findings: &mut Findings) {
    check_length(namespaces.len(), 0..=64, at, findings);
    for (index, namespace) in namespaces.iter().enumerate() {
        let what = "the name of a namespace; globs are for excludeNamespaces";
        check_name(namespace, what, &at.index(index), findings);
    }
}

/// These names become parts of URLs.
fn check_name(name: &str, what: &str, at: &Field<'_>, findings: &mut Findings) {
    let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let ends_well = name.starts_with(is_letter) && name.ends_with(is_letter);
    let is_dns = name.len() <= 253 && name.chars().all(|c| is_letter(c) || matches!(c, '-' | '.'));
    if !ends_well || !is_dns {
        findings.invalid(at, format!("`{name}` is not {what}"));
    }
}

fn compile_pod(
    text: &str,
    target: &Target,
    at: &Field<'_>,
    findings: &mut Findings,
) -> Option<Box<[Arc<str>]>> {
    for resource in &target.resources {
        if resource == ALL {
            let message = "`*` stands for kinds that have their pods in different places; give those of which \
                           `pod` is to be said their own entry";
            findings.invalid(at, message.to_owned());
        }
        let resource = GroupResource::new(target.group.as_str(), resource.as_str());
        if Roots::of_builtin(&resource).pod.is_some() {
            let message =
                format!("the pod of {resource} is known; leave `pod` out, or give others their own entry");
            findings.invalid(at, message);
        }
    }
    let path = findings.path(text, at)?;
    let from_object = matches!(path.root(), Root::Current | Root::Object);
    let names = path.names().filter(|_| from_object && path.is_singular());
    if names.is_none() {
        findings.invalid(at, format!("`{path}` is not a path of names from `$`, such as `$.spec.template`"));
    }
    names
}

/// Two entries may take different objects of a resource, but must agree on its version and on its pod.
fn refuse_disagreement(targets: &[CompiledTarget], at: &Field<'_>, findings: &mut Findings) {
    let mut first: BTreeMap<(&str, &str), &CompiledTarget> = BTreeMap::new();
    for (index, target) in targets.iter().enumerate() {
        for resource in &target.resources {
            let known = *first.entry((&target.group, resource)).or_insert(target);
            let shown = GroupResource::new(Arc::clone(&target.group), Arc::clone(resource));
            let at = at.index(index);
            if known.version != target.version {
                let message =
                    format!("{shown} is targeted in two versions; name the same `version` in both entries");
                findings.invalid(&at.name("version"), message);
            }
            if known.pod != target.pod {
                let message = format!(
                    "two entries disagree on where the pod of {shown} is; name the same `pod` in both"
                );
                findings.invalid(&at.name("pod"), message);
            }
        }
    }
}
