//! `watchpolicy rbac`: the least rights that policies need, as roles to be applied.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};

use crate::crd::{Mode, OnDelete};
use crate::policy::{CompiledPolicy, CompiledTarget};
use crate::resource::GroupResource;

use super::answer::Answer;
use super::format;
use super::input::policies;
use super::kinds::builtin;

/// Roles of this label are the operator's too: the chart makes an aggregated ClusterRole of them.
const AGGREGATE: &str = "rbac.watchpolicy.io/aggregate-to-operator";
/// What the operator does with every target.
const READ: &[&str] = &["list", "watch"];
/// What the roles are called by whoever does not say.
const DEFAULT_NAME: &str = "watchpolicy-targets";
/// What it does besides with one that it fixes: an object is read afresh before it is patched.
const FIX: &[&str] = &["get", "patch"];

/// What can be written after `watchpolicy rbac`.
#[derive(Debug, Args)]
pub struct RbacArgs {
    /// Files or folders of policies; - for standard input
    #[arg(short, long, required = true, value_name = "PATH")]
    pub policies: Vec<PathBuf>,
    /// Give rights on targets that name namespaces by a Role in each of them, instead of in all; bind what is left
    #[arg(long)]
    pub namespaced: bool,
    /// The name of the roles: each run of one name replaces what the one before gave
    #[arg(long, default_value = DEFAULT_NAME)]
    pub name: String,
    /// The operator's service account, to which --namespaced binds
    #[arg(long, value_name = "NAMESPACE/NAME", default_value = "watchpolicy-system/watchpolicy", value_parser = account)]
    pub service_account: Account,
}

/// A service account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    namespace: String,
    name: String,
}

fn account(text: &str) -> Result<Account, String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
            Ok(Account { namespace: namespace.to_owned(), name: name.to_owned() })
        }
        _ => Err("wanted the namespace, `/` and the name of a service account".to_owned()),
    }
}

/// Works out the rights of policies that can be run.
///
/// # Errors
/// A policy cannot be used, or there is none.
pub fn run(args: &RbacArgs) -> anyhow::Result<Answer> {
    let mut troubles = Vec::new();
    let (_, drafts) = policies::open(&args.policies, &mut troubles)?;
    let compiled = policies::compiled(&drafts, &mut troubles);
    let mut rights = Rights::default();
    for policy in compiled.iter().filter(|policy| !policy.program.suspend) {
        rights.of_policy(&policy.program, args.namespaced);
    }
    if !troubles.is_empty() {
        let told: Vec<_> = troubles.iter().map(ToString::to_string).collect();
        bail!("{}", told.join("\n"));
    }
    let mut texts = Vec::new();
    let account = args.namespaced.then_some(&args.service_account);
    for manifest in rights.manifests(&args.name, account) {
        texts.push(format::yaml(&manifest)?);
    }
    let resting = compiled.iter().filter(|policy| policy.program.suspend);
    let resting = resting.map(|policy| {
        format!("{}: policy {} is suspended, and needs no rights", policy.origin, policy.program.name)
    });
    let is_shared = !texts.is_empty() && args.name == DEFAULT_NAME;
    Ok(Answer {
        notes: resting.chain(is_shared.then(replaces)).collect(),
        ..Answer::fine(texts.join("---\n"))
    })
}

/// What nobody sees in a manifest: `kubectl apply` takes away what a role of the same name allowed before.
fn replaces() -> String {
    format!(
        "applied, this replaces what another run gave under the name {DEFAULT_NAME}: name all policies in one run, or \
         give each run a --name of its own"
    )
}

type Verbs = BTreeSet<&'static str>;
/// Everywhere (`None`), or a namespace.
type Place = Option<Arc<str>>;

/// What must be allowed where.
#[derive(Debug, Default)]
struct Rights(BTreeMap<Place, BTreeMap<GroupResource, Verbs>>);

impl Rights {
    fn of_policy(&mut self, policy: &CompiledPolicy, namespaced: bool) {
        let verbs: Verbs = READ.iter().chain(FIX.iter().filter(|_| policy.mends())).copied().collect();
        let between = policy.between();
        let pods = GroupResource::new("", "pods");
        let mut reads_namespaces = false;
        for target in &policy.targets {
            for resource in &target.resources {
                let resource =
                    GroupResource { group: Arc::clone(&target.group), resource: Arc::clone(resource) };
                reads_namespaces |= policy.reads_namespaces() && !is_cluster_scoped(&resource);
                self.allow(&resource, &verbs, places(target, &resource, namespaced));
            }
            for resource in between.iter().filter(|_| target.names(&pods)) {
                self.allow(resource, &reading(), places(target, resource, namespaced));
            }
        }
        if policy.mends() && policy.mode == Mode::Enforce && policy.enforcement.on_delete == OnDelete::Release
        {
            // For its finalizer.
            let policies = GroupResource::new("watchpolicy.io", "watchpolicies");
            self.allow(&policies, &["patch"].into(), vec![None]);
        }
        if reads_namespaces {
            self.allow(&GroupResource::new("", "namespaces"), &reading(), vec![None]);
        }
    }

    fn allow(&mut self, resource: &GroupResource, verbs: &Verbs, places: Vec<Place>) {
        for place in places {
            self.0.entry(place).or_default().entry(resource.clone()).or_default().extend(verbs);
        }
    }

    /// A ClusterRole for what is needed everywhere, a Role for each namespace that needs more. They are bound to an
    /// account; without one the ClusterRole, which is all there is then, has the label by which the chart's takes it over.
    /// That would not do where the chart's is bound in a few namespaces only.
    fn manifests(&self, name: &str, account: Option<&Account>) -> Vec<Value> {
        let everywhere = self.0.get(&None);
        let mut manifests = Vec::new();
        for (place, allowed) in &self.0 {
            let Some(namespace) = place else {
                manifests.push(cluster_role(name, allowed, account.is_none()));
                manifests.extend(account.map(|account| binding(name, None, account)));
                continue;
            };
            let covered = |resource: &GroupResource, verbs: &Verbs| {
                everywhere.and_then(|all| all.get(resource)).is_some_and(|all| all.is_superset(verbs))
            };
            let more = allowed.iter().filter(|(resource, verbs)| !covered(resource, verbs));
            let more: BTreeMap<GroupResource, Verbs> =
                more.map(|(resource, verbs)| (resource.clone(), verbs.clone())).collect();
            if !more.is_empty() {
                manifests.push(role(name, namespace, &more));
                manifests.extend(account.map(|account| binding(name, Some(namespace), account)));
            }
        }
        manifests
    }
}

fn reading() -> Verbs {
    READ.iter().copied().collect()
}

fn is_cluster_scoped(resource: &GroupResource) -> bool {
    builtin::is_cluster_scoped(&resource.group, &resource.resource)
}

/// Where a resource is looked at. What is said of namespaces says nothing about cluster-scoped resources.
fn places(target: &CompiledTarget, resource: &GroupResource, namespaced: bool) -> Vec<Place> {
    if !namespaced || target.namespaces.is_empty() || is_cluster_scoped(resource) {
        return vec![None];
    }
    target.namespaces.iter().cloned().map(Some).collect()
}

fn cluster_role(name: &str, allowed: &BTreeMap<GroupResource, Verbs>, aggregated: bool) -> Value {
    let metadata =
        if aggregated { json!({"name": name, "labels": {AGGREGATE: "true"}}) } else { json!({"name": name}) };
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": metadata,
        "rules": rules(allowed),
    })
}

fn role(name: &str, namespace: &str, allowed: &BTreeMap<GroupResource, Verbs>) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": name, "namespace": namespace},
        "rules": rules(allowed),
    })
}

/// Of the Role in a namespace, or without one of the ClusterRole.
fn binding(name: &str, namespace: Option<&str>, account: &Account) -> Value {
    let Account { namespace: of, name: to } = account;
    let (kind, role, metadata) = match namespace {
        Some(namespace) => ("RoleBinding", "Role", json!({"name": name, "namespace": namespace})),
        None => ("ClusterRoleBinding", "ClusterRole", json!({"name": name})),
    };
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": to, "namespace": of}],
    })
}

/// One rule for each group and set of verbs.
fn rules(allowed: &BTreeMap<GroupResource, Verbs>) -> Vec<Value> {
    let mut rules: BTreeMap<(&str, &Verbs), Vec<&str>> = BTreeMap::new();
    for (GroupResource { group, resource }, verbs) in allowed {
        rules.entry((group, verbs)).or_default().push(resource);
    }
    let rule = |((group, verbs), resources): ((&str, &Verbs), Vec<&str>)| json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
    rules.into_iter().map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::WatchPolicy;
    use crate::policy::{Settings, compile};

    fn compiled(spec: &str) -> CompiledPolicy {
        let policy = WatchPolicy::new("a", serde_saphyr::from_str(spec).unwrap());
        compile(&policy, &Settings::default()).unwrap()
    }

    fn manifests(specs: &[&str], namespaced: bool) -> Vec<Value> {
        let mut rights = Rights::default();
        for spec in specs {
            rights.of_policy(&compiled(spec), namespaced);
        }
        let account = account("ops/operator").unwrap();
        rights.manifests("targets", namespaced.then_some(&account))
    }

    const RULES: &str = "rules: [{name: a, path: $.a, assert: {exists: false}, fix: {remove: true}}]";

    #[test]
    fn one_rule_for_each_group_lists_what_policies_target() {
        let one =
            format!("targets: [{{resources: [pods]}}, {{group: apps, resources: [daemonsets]}}]\n{RULES}");
        let two = format!("targets: [{{resources: [configmaps, pods], namespaces: [a]}}]\n{RULES}");
        let roles = manifests(&[&one, &two], false);
        let rules = json!([
            {"apiGroups": [""], "resources": ["configmaps", "pods"], "verbs": ["list", "watch"]},
            {"apiGroups": ["apps"], "resources": ["daemonsets"], "verbs": ["list", "watch"]},
        ]);
        assert_eq!(roles.len(), 1);
        assert_eq!(roles[0]["rules"], rules);
    }

    #[test]
    fn named_namespaces_get_a_role_for_what_is_not_allowed_everywhere() {
        let one = format!("targets: [{{resources: [pods]}}]\n{RULES}");
        let two = format!(
            "targets: [{{resources: [configmaps, pods, persistentvolumes], namespaces: [a]}}]\n{RULES}"
        );
        let roles = manifests(&[&one, &two], true);
        let kinds: Vec<_> = roles.iter().map(|role| role["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"]);
        assert_eq!(
            roles[0]["rules"][0]["resources"],
            json!(["persistentvolumes", "pods"]),
            "volumes are in no namespace"
        );
        assert_eq!(roles[2]["rules"][0]["resources"], json!(["configmaps"]));
        for binding in [&roles[1], &roles[3]] {
            assert_eq!(binding["subjects"][0]["namespace"], "ops");
        }
        assert_eq!(
            (&roles[1]["roleRef"]["kind"], &roles[3]["roleRef"]["kind"]),
            (&json!("ClusterRole"), &json!("Role"))
        );
    }

    #[test]
    fn what_is_needed_everywhere_is_taken_over_by_its_label_or_else_bound() {
        let spec = format!("targets: [{{resources: [persistentvolumes]}}]\n{RULES}");
        let [labelled, bound] = [false, true].map(|namespaced| manifests(&[&spec], namespaced));
        assert_eq!(labelled.len(), 1);
        assert_eq!(labelled[0]["metadata"]["labels"][AGGREGATE], "true");
        assert_eq!(
            (bound.len(), &bound[0]["metadata"]["labels"]),
            (2, &Value::Null),
            "the label would give it twice"
        );
    }

    #[test]
    fn only_a_policy_that_fixes_needs_to_write() {
        for (mode, verbs) in [
            ("Audit", json!(["list", "watch"])),
            ("Plan", json!(["get", "list", "patch", "watch"])),
            ("Enforce", json!(["get", "list", "patch", "watch"])),
        ] {
            let spec = format!("mode: {mode}\ntargets: [{{resources: [pods]}}]\n{RULES}");
            assert_eq!(manifests(&[&spec], false)[0]["rules"][0]["verbs"], verbs, "{mode}");
        }
    }

    #[test]
    fn a_policy_that_takes_back_what_it_wrote_is_held_by_a_finalizer() {
        let with = |mode| {
            let enforcement = "enforcement: {onDelete: Release}";
            let spec = format!("mode: {mode}\ntargets: [{{resources: [pods]}}]\n{RULES}\n{enforcement}");
            manifests(&[&spec], false)[0]["rules"].clone()
        };
        let held =
            json!({"apiGroups": ["watchpolicy.io"], "resources": ["watchpolicies"], "verbs": ["patch"]});
        assert_eq!(with("Enforce")[1], held);
        assert_eq!(with("Plan").as_array().unwrap().len(), 1);
    }

    #[test]
    fn what_leads_from_pods_to_their_owners_is_read_where_pods_are_and_never_written() {
        let spec = format!(
            "mode: Enforce\ntargets: [{{resources: [pods], namespaces: [a]}}, {{group: apps, resources: \
             [deployments]}}]\n{RULES}"
        );
        let roles = manifests(&[&spec], true);
        assert_eq!(roles[0]["rules"][0]["resources"], json!(["deployments"]));
        assert_eq!(
            roles[2]["rules"][1],
            json!({"apiGroups": ["apps"], "resources": ["replicasets"], "verbs": ["list", "watch"]})
        );
        let alone = manifests(&[&format!("{spec}\nownedObjects: Judge")], true);
        assert_eq!(alone[2]["rules"].as_array().unwrap().len(), 1, "no owner is looked for");
    }

    #[test]
    fn namespaces_are_read_where_objects_are_in_some() {
        let rules = "rules: [{name: a, path: $namespace.metadata.labels.team, assert: {exists: true}}]";
        let roles =
            |resource| manifests(&[&format!("targets: [{{resources: [{resource}]}}]\n{rules}")], false);
        assert_eq!(roles("pods")[0]["rules"][0]["resources"], json!(["namespaces", "pods"]));
        assert_eq!(roles("nodes")[0]["rules"][0]["resources"], json!(["nodes"]));
    }
}
