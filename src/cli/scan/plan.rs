//! What must be listed: what the operator would watch, narrowed to what is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::cli::input::Trouble;
use crate::policy::catalog::{Catalog, Unresolved};
use crate::policy::demand::{Demand, WatchSpec, demand};
use crate::policy::{CompiledPolicy, PolicyEntry, PolicySet, PolicyState};
use crate::resource::GroupResource;

use super::refusal;

/// The lists of a scan.
#[derive(Default)]
pub(super) struct Plan {
    /// The Namespaces, where they are judged or read: they must be known before what is in them is judged.
    pub(super) namespaces: Option<WatchSpec>,
    /// All other lists.
    pub(super) lists: Vec<WatchSpec>,
    /// Lists of single namespaces for the policies that name them, in place of a list of everything that is refused.
    pub(super) spares: Vec<WatchSpec>,
}

impl Plan {
    /// Of what the policies target in what the cluster serves; what it does not serve is noted.
    pub(super) fn of(
        policies: &[Arc<CompiledPolicy>],
        catalog: &Catalog,
        namespace: Option<&str>,
        troubles: &mut Vec<Trouble>,
    ) -> Self {
        let wanted = demand(&set(policies), catalog);
        troubles.extend(absent(&wanted));
        let Demand { watches, spares, targets: _ } = wanted;
        let (mut namespaces, lists): (Vec<_>, Vec<_>) = watches.into_iter().partition(is_of_namespaces);
        let narrow = |specs: Vec<WatchSpec>| match namespace {
            Some(namespace) => specs.into_iter().filter_map(|spec| narrowed(spec, namespace)).collect(),
            None => specs,
        };
        // Narrowed, a list that would be a spare is the list itself.
        let spares = if namespace.is_some() { Vec::new() } else { spares };
        Self { namespaces: namespaces.pop(), lists: narrow(lists), spares }
    }

    /// How many lists it is at first.
    pub(super) fn len(&self) -> usize {
        self.lists.len() + usize::from(self.namespaces.is_some())
    }
}

/// The policies as if a cluster had just these.
pub(super) fn set(policies: &[Arc<CompiledPolicy>]) -> PolicySet {
    let entry = |policy: &Arc<CompiledPolicy>| PolicyEntry {
        name: Arc::clone(&policy.name),
        uid: Arc::clone(&policy.uid),
        generation: policy.generation,
        mode: Some(policy.mode),
        on_delete: Some(policy.enforcement.on_delete),
        deleting: false,
        finalizers: Box::default(),
        state: PolicyState::Compiled(Arc::clone(policy)),
    };
    let entries = policies.iter().map(|policy| (Arc::clone(&policy.name), Arc::new(entry(policy))));
    PolicySet { revision: 1, entries: entries.collect() }
}

fn is_of_namespaces(spec: &WatchSpec) -> bool {
    spec.resource.resource == GroupResource::new("", "namespaces")
}

/// The part of a list that is in one namespace.
fn narrowed(spec: WatchSpec, namespace: &str) -> Option<WatchSpec> {
    let is_there = spec.served.namespaced && spec.namespace.as_deref().is_none_or(|of| of == namespace);
    is_there.then(|| WatchSpec { namespace: Some(namespace.into()), ..spec })
}

/// What policies target and the cluster does not serve, once for each resource.
fn absent(wanted: &Demand) -> Vec<Trouble> {
    let mut policies: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (policy, targets) in &wanted.targets {
        for unresolved in targets.iter().filter_map(|target| target.found.as_ref().err()) {
            policies.entry(words(unresolved)).or_default().insert(policy);
        }
    }
    let told = policies.into_iter().map(|(what, policies)| {
        Trouble::of_cluster(format!("{what}; a target of {}", refusal::names(&policies)))
    });
    told.collect()
}

fn words(unresolved: &Unresolved) -> String {
    match unresolved {
        Unresolved::Absent { resource, hint: None } => format!("the cluster serves no {resource}"),
        Unresolved::Absent { resource, hint: Some(hint) } => {
            format!("the cluster serves no {resource}: {hint}")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::input::policies::settings;
    use crate::observe::wire::WireError;
    use crate::policy::catalog::{ServedResource, ServedVersion};
    use crate::policy::compile;

    fn policy(name: &str, targets: &str) -> Arc<CompiledPolicy> {
        let yaml = format!(
            "{{apiVersion: watchpolicy.io/v1alpha1, kind: WatchPolicy, metadata: {{name: {name}}}, spec: {{targets: \
             {targets}, rules: [{{name: a, forbid: true}}]}}}}"
        );
        Arc::new(compile(&serde_saphyr::from_str(&yaml).unwrap(), &settings()).unwrap())
    }

    fn catalog() -> Catalog {
        let served = |namespaced| ServedResource { kind: "Kind".into(), namespaced, watchable: true };
        let resources =
            [("pods", true), ("configmaps", true), ("nodes", false), ("namespaces", false)].into_iter();
        let resources = resources.map(|(name, namespaced)| (name.into(), served(namespaced))).collect();
        Catalog {
            groups: [("".into(), vec![ServedVersion { version: "v1".into(), resources }])].into(),
            ..Catalog::default()
        }
    }

    fn plan(policies: &[Arc<CompiledPolicy>], namespace: Option<&str>) -> (Plan, Vec<String>) {
        let mut troubles = Vec::new();
        let plan = Plan::of(policies, &catalog(), namespace, &mut troubles);
        (plan, troubles.iter().map(ToString::to_string).collect())
    }

    fn lists(specs: &[WatchSpec]) -> Vec<String> {
        let shown = |spec: &WatchSpec| {
            format!("{} {}", spec.resource.resource, spec.namespace.as_deref().unwrap_or("*"))
        };
        specs.iter().map(shown).collect()
    }

    #[test]
    fn a_namespace_narrows_what_is_in_one_and_leaves_out_what_is_in_none() {
        let policies = [
            policy("a", "[{resources: [pods, nodes]}]"),
            policy("b", "[{resources: [configmaps], namespaces: [shop, bank]}]"),
        ];
        let (all, _) = plan(&policies, None);
        assert_eq!(lists(&all.lists), ["configmaps bank", "configmaps shop", "nodes *", "pods *"]);
        let (shop, _) = plan(&policies, Some("shop"));
        assert_eq!(lists(&shop.lists), ["configmaps shop", "pods shop"]);
        let (other, _) = plan(&policies, Some("other"));
        assert_eq!(lists(&other.lists), ["pods other"]);
    }

    #[test]
    fn namespaces_are_listed_before_all_else_where_they_are_read() {
        let selects = "[{resources: [pods], namespaceSelector: {matchLabels: {env: prod}}}]";
        let (plan, _) = plan(&[policy("a", selects)], None);
        assert_eq!((plan.namespaces.unwrap().around.len(), lists(&plan.lists)), (1, vec!["pods *".into()]));
    }

    #[test]
    fn who_has_lists_of_single_namespaces_misses_nothing_when_that_of_all_is_refused() {
        let policies =
            [policy("a", "[{resources: [pods]}]"), policy("b", "[{resources: [pods], namespaces: [shop]}]")];
        let (plan, _) = plan(&policies, None);
        assert_eq!(
            (lists(&plan.lists), lists(&plan.spares)),
            (vec!["pods *".into()], vec!["pods shop".into()])
        );
        let refused = WireError::Refused {
            code: 403,
            reason: "Forbidden".to_owned(),
            message: String::new(),
            retry_after: None,
        };
        let told = refusal::of_list(&plan.lists[0], &refused, &plan.spares).to_string();
        assert!(told.contains("pods in all namespaces: none of them is judged by a;"), "{told}");
        assert!(told.ends_with("or narrow the scan by --namespace or -p"), "{told}");
        let told = refusal::of_list(&plan.spares[0], &refused, &[]).to_string();
        assert!(told.ends_with("or narrow the scan by -p"), "it is narrowed already: {told}");
    }

    #[test]
    fn what_is_not_served_is_told_once_with_what_may_have_been_meant() {
        let policies = [policy("a", "[{resources: [pod]}]"), policy("b", "[{resources: [pod, pods]}]")];
        let (_, troubles) = plan(&policies, None);
        assert_eq!(
            troubles,
            [
                "the cluster serves no pod: did you mean pods? resources are plural and lower case; a target of a, b"
            ]
        );
    }
}
