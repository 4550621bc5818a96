//! In which words what could not be listed is told: what, to whom it matters, and which right would cure it.

use std::collections::BTreeSet;

use crate::cli::input::Trouble;
use crate::observe::wire::WireError;
use crate::policy::demand::WatchSpec;

/// Policies that a sentence names.
const NAMED: usize = 5;

/// Of one list; the policies of its spares have these.
pub(super) fn of_list(spec: &WatchSpec, error: &WireError, spares: &[WatchSpec]) -> Trouble {
    let spares = spares.iter().filter(|spare| spare.resource == spec.resource);
    let served: BTreeSet<&str> = spares.flat_map(judged).collect();
    let place = match &spec.namespace {
        Some(namespace) => format!(" in namespace {namespace}"),
        None if spec.served.namespaced => " in all namespaces".to_owned(),
        None => String::new(),
    };
    let resource = &spec.resource.resource;
    let told = if error.is_forbidden() {
        let narrower =
            if spec.served.namespaced && spec.namespace.is_none() { "--namespace or -p" } else { "-p" };
        format!(
            "you may not list {resource}{place}: {}; be allowed to (apiGroups: [{:?}], resources: [{}], verbs: \
             [list]), or narrow the scan by {narrower}",
            loss(spec, &served),
            resource.group,
            resource.resource
        )
    } else {
        format!("{resource} cannot be listed{place}: {error}: {}", loss(spec, &served))
    };
    Trouble::of_cluster(told)
}

/// Of the one Namespace that a scan is narrowed to.
pub(super) fn of_namespace(spec: &WatchSpec, namespace: &str, error: &WireError) -> Trouble {
    let told = if error.is_forbidden() {
        format!(
            "you may not get the Namespace {namespace}: {}; be allowed to (apiGroups: [\"\"], resources: \
             [namespaces], resourceNames: [{namespace}], verbs: [get])",
            loss(spec, &BTreeSet::new())
        )
    } else {
        format!("the Namespace {namespace} cannot be had: {error}: {}", loss(spec, &BTreeSet::new()))
    };
    Trouble::of_cluster(told)
}

fn judged(spec: &WatchSpec) -> impl Iterator<Item = &str> {
    spec.policies.iter().map(|(policy, _)| &*policy.name)
}

/// Policies as a sentence names them: some, and how many more.
pub(super) fn names(policies: &BTreeSet<&str>) -> String {
    let named: Vec<&str> = policies.iter().copied().take(NAMED).collect();
    let more = match policies.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    named.join(", ") + &more
}

/// What is not judged for it, but for the policies that are served otherwise.
fn loss(spec: &WatchSpec, served: &BTreeSet<&str>) -> String {
    let judged = names(&judged(spec).filter(|policy| !served.contains(policy)).collect());
    let around = names(&spec.around.iter().map(|policy| &*policy.name).collect());
    match (judged.is_empty(), around.is_empty()) {
        (true, true) => {
            "what leads from Pods to their owners is not known, so what they share is reported at the \
                         Pods too"
                .to_owned()
        }
        (false, true) => format!("none of them is judged by {judged}"),
        (true, false) => format!("nothing in them is judged by {around}"),
        (false, false) => format!("none of them is judged by {judged}, and nothing in them by {around}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_names_some_policies_and_counts_the_others() {
        assert_eq!(names(&BTreeSet::from(["b", "a"])), "a, b");
        assert_eq!(names(&BTreeSet::from(["a", "b", "c", "d", "e", "f", "g"])), "a, b, c, d, e and 2 more");
    }
}
