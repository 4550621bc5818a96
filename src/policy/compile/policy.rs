//! The policy as a whole.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::crd::{MAX_MATCH, OwnedObjects, SystemNamespaces, WatchPolicy, WatchPolicySpec};
use crate::jsonpath::Projection;
use crate::policy::advice::misspelt;
use crate::policy::fault::{FaultReason, Faults, Field, Findings};
use crate::policy::fence::Fences;
use crate::policy::program::{ALL, CompiledPolicy, CompiledTarget};
use crate::resource::GroupResource;

use super::{exception, rule, target};

/// The longest name of a policy: it becomes part of a field manager's name, which has 128 bytes.
const NAME_LIMIT: usize = 63;

/// What compiling must know of the operator.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The system namespaces, the operator's own among them.
    pub system_namespaces: Box<[Arc<str>]>,
    /// Whether policies may judge objects in them.
    pub allow_system_namespaces: bool,
    /// What fixes may write beyond the contract: kinds as `secrets` and `roles.rbac.authorization.k8s.io`, labels
    /// `pod-security.kubernetes.io/*` by their key.
    pub allow_fix_of: Arc<[Arc<str>]>,
}

/// Notes a name that the API server would not take: one that is no DNS subdomain of RFC 1123, or too long for a manager's.
fn check_name(name: &str, findings: &mut Findings) {
    let is_inner = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'-';
    let is_label = |label: &str| {
        label.bytes().all(is_inner) && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    if name.len() > NAME_LIMIT || !name.split('.').all(is_label) {
        let message = format!(
            "a policy has a name of 1 to {NAME_LIMIT} lowercase letters, digits, `-` and `.`, with a letter or digit at \
             both ends and beside each `.`"
        );
        findings.invalid(&Field::root("metadata").name("name"), message);
    }
}

/// Compiles a policy.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub fn compile(policy: &WatchPolicy, settings: &Settings) -> Result<CompiledPolicy, Faults> {
    let WatchPolicy { metadata, spec, status: _ } = policy;
    let mut findings = Findings::default();
    let name = metadata.name.as_deref().unwrap_or_default();
    check_name(name, &mut findings);
    let root = Field::root("spec");
    let at = &root;
    let WatchPolicySpec {
        // Words for people.
        title: _,
        description: _,
        category,
        severity,
        mode,
        suspend,
        targets,
        match_,
        rules,
        exceptions,
        enforcement,
        owned_objects,
        system_namespaces,
    } = spec;
    let left_out = left_out(*system_namespaces, settings, at, &mut findings);
    let targets = target::compile_all(targets, &at.name("targets"), &mut findings);
    let conditions = rule::compile_checks(match_, 0..=MAX_MATCH, &at.name("match"), &mut findings);
    let exceptions = exception::compile_all(exceptions, rules, &at.name("exceptions"), &mut findings);
    let fences = Fences::new(&settings.allow_fix_of);
    let rules = rule::compile_all(rules, (*severity, &fences, &targets), &at.name("rules"), &mut findings);
    let mut compiled = CompiledPolicy {
        name: name.into(),
        uid: metadata.uid.as_deref().unwrap_or_default().into(),
        generation: metadata.generation.unwrap_or_default(),
        mode: *mode,
        enforcement: enforcement.clone().unwrap_or_default(),
        category: category.as_deref().map(Arc::from),
        severity: *severity,
        suspend: *suspend,
        deleting: metadata.deletion_timestamp.is_some(),
        targets,
        left_out,
        conditions,
        rules,
        exceptions,
        reads_namespaces: false,
        skips_owned: *owned_objects == OwnedObjects::Skip,
        fences,
        slips: Box::default(),
    };
    complete(&mut compiled);
    findings.finish(compiled)
}

/// Notes what follows from the policy as a whole.
fn complete(compiled: &mut CompiledPolicy) {
    for check in &mut compiled.conditions {
        check.reads_pod = check.finds_pod();
    }
    for rule in &mut compiled.rules {
        rule.reads_pod = rule.finds_pod();
    }
    compiled.number_paths();
    let mut of_namespaces = Projection::default();
    compiled.read_namespace(&mut of_namespaces);
    compiled.reads_namespaces = of_namespaces != Projection::default();
    compiled.slips = slips(compiled);
}

/// Names that are slips of the pen, by the resource of which they are read.
fn slips(policy: &CompiledPolicy) -> Box<[(GroupResource, Arc<str>)]> {
    let named = |target: &CompiledTarget| {
        let names = target.resources.iter().filter(|name| &***name != ALL);
        let resource = |name| GroupResource::new(Arc::clone(&target.group), Arc::clone(name));
        names.map(resource).collect::<Vec<_>>()
    };
    let slip = |resource: GroupResource| {
        let mut read = Projection::default();
        policy.read(&resource, &policy.roots(&resource), &mut read);
        let words = misspelt(read.level(), &resource)?;
        Some((resource, words.into()))
    };
    policy.targets.iter().flat_map(named).filter_map(slip).collect()
}

fn left_out(
    wanted: SystemNamespaces,
    settings: &Settings,
    at: &Field<'_>,
    findings: &mut Findings,
) -> Box<[Arc<str>]> {
    if wanted == SystemNamespaces::Exclude {
        return settings.system_namespaces.clone();
    }
    if !settings.allow_system_namespaces {
        let message =
            "`Include` needs the operator's consent; start it with --allow-system-namespaces (extraArgs in the chart)"
                .to_owned();
        findings.push(FaultReason::TargetNotAllowed, &at.name("systemNamespaces"), message);
    }
    Box::default()
}

/// Notes a list that is longer or shorter than the contract allows: the API server refuses it, a file does not.
pub(super) fn check_length(
    length: usize,
    bounds: RangeInclusive<usize>,
    at: &Field<'_>,
    findings: &mut Findings,
) {
    if !bounds.contains(&length) {
        let (least, most) = bounds.into_inner();
        findings.invalid(at, format!("has {length} entries, and must have {least} to {most}"));
    }
}
