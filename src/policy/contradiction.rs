//! What is demanded of one place of every object by rules that no object can satisfy together. It is known before there
//! is any such object.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::crd::{Measure, Quantifier};
use crate::jsonpath::{Node, Path, Root, Roots};
use crate::resource::GroupResource;

use super::fix::Fix;
use super::operator::{Operator, Test};
use super::order::Case;
use super::program::{Body, CompiledPolicy, CompiledTarget, Rule};
use super::scale::Scale;

/// Demands beyond these are not compared, so that no number of policies keeps anybody busy for long.
const MOST_DEMANDS: usize = 65_536;

impl Rule {
    /// The one value that the rule demands, or writes, at one place of every object, and the path to the place.
    pub(super) fn demanded(&self) -> Option<(&Path, Node<'_>)> {
        let Body::AllOf(checks) = &self.body else { return None };
        let [check] = &**checks else { return None };
        let is_plain = self.when.is_empty()
            && self.for_each.is_none()
            && check.path.is_singular()
            && check.measure == Measure::Value
            && check.quantifier != Quantifier::None;
        if !is_plain {
            return None;
        }
        let manner = &check.assertion.manner;
        let is_exact = matches!(manner.scale, Scale::Json) && matches!(manner.case, Case::Told);
        let equals = check.assertion.operators.iter().find_map(|Operator { test, wanted }| match test {
            Test::Equals(operand) if *wanted && is_exact => Some(operand.written.node()),
            _ => None,
        });
        let value = equals.or(match &self.fix {
            Some(Fix::Set(value)) => Some(value.node()),
            _ => None,
        })?;
        Some((&check.path, value))
    }
}

/// A rule that cannot be mended beside one of another policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// The rule.
    pub rule: Arc<str>,
    /// Where it wants another value, as the rule writes it.
    path: Box<str>,
    resource: GroupResource,
    /// The other policy, and its rule.
    other: (Arc<str>, Arc<str>),
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, path, resource, other: (policy, other) } = self;
        write!(
            f,
            "the rule {rule} wants another value at {path} of {resource} than the rule {other} of the policy {policy}; \
             take one of them out, or let their targets part the objects"
        )
    }
}

/// A place of all objects of a resource. Versions name places outside the metadata differently.
type Place<'p> = (GroupResource, Option<&'p str>, Vec<Arc<str>>);

#[derive(Clone, Copy)]
struct Demand<'p> {
    policy: &'p CompiledPolicy,
    rule: &'p Rule,
    path: &'p Path,
    value: Node<'p>,
}

impl Demand<'_> {
    fn contradicts(&self, other: &Self) -> bool {
        self.policy.name != other.policy.name && self.value != other.value
    }
}

/// Of each policy that mends, by its name, a rule that cannot be mended beside one of another policy. Only what holds of
/// every object is compared: whether selectors, conditions and exceptions leave any object to both cannot be known.
pub fn contradictions<'p>(
    policies: impl IntoIterator<Item = &'p CompiledPolicy>,
) -> BTreeMap<Arc<str>, Contradiction> {
    let mut places: BTreeMap<Place<'p>, Vec<Demand<'p>>> = BTreeMap::new();
    for (place, demand) in policies.into_iter().flat_map(demands).take(MOST_DEMANDS) {
        places.entry(place).or_default().push(demand);
    }
    let mut found = BTreeMap::new();
    for ((resource, ..), demands) in places {
        // Whoever agrees with one of two that differ does not with the other.
        let Some(one) = demands.first() else { continue };
        let Some(another) = demands.iter().find(|demand| demand.contradicts(one)) else { continue };
        for demand in &demands {
            let other = [one, another].into_iter().find(|other| demand.contradicts(other));
            let Some(other) = other else { continue };
            found.entry(Arc::clone(&demand.policy.name)).or_insert_with(|| Contradiction {
                rule: Arc::clone(&demand.rule.name),
                path: demand.path.to_string().into(),
                resource: resource.clone(),
                other: (Arc::clone(&other.policy.name), Arc::clone(&other.rule.name)),
            });
        }
    }
    found
}

/// What a policy demands of all objects of resources.
fn demands(policy: &CompiledPolicy) -> impl Iterator<Item = (Place<'_>, Demand<'_>)> {
    let is_wide = policy.mends() && policy.conditions.is_empty() && policy.exceptions.is_empty();
    let is_wide_target = |target: &&CompiledTarget| target.takes_every_object(None) && !target.takes_all();
    let targets = policy.targets.iter().filter(move |target| is_wide && is_wide_target(target));
    let resources = targets.flat_map(|target| {
        let version = target.version.as_deref();
        target
            .resources
            .iter()
            .map(move |name| (GroupResource::new(target.group.clone(), name.clone()), version))
    });
    resources.flat_map(move |(resource, version)| {
        let roots = policy.roots(&resource);
        let mended = policy.rules.iter().filter(|rule| rule.fix.is_some());
        mended.filter_map(move |rule| {
            let (path, value) = rule.demanded()?;
            let names = place_of(path, &roots)?;
            let version = version.filter(|_| names.first().is_none_or(|first| &**first != "metadata"));
            Some(((resource.clone(), version, names), Demand { policy, rule, path, value }))
        })
    })
}

/// The names that lead from the object to the place of a path, if nothing but names does.
fn place_of(path: &Path, roots: &Roots) -> Option<Vec<Arc<str>>> {
    let names = path.names()?.into_vec();
    let pod = || Some(roots.pod.as_ref()?.to_vec());
    let root = match path.root() {
        Root::Current | Root::Object => Vec::new(),
        Root::Pod => pod()?,
        Root::PodSpec => [pod()?, vec!["spec".into()]].concat(),
        Root::Containers | Root::AppContainers | Root::Namespace => return None,
    };
    Some([root, names].concat())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::crd::WatchPolicy;
    use crate::policy::{Settings, compile};

    fn policy(name: &str, spec: &Value) -> CompiledPolicy {
        let object = json!({
            "apiVersion": "watchpolicy.io/v1alpha1", "kind": "WatchPolicy", "metadata": {"name": name}, "spec": spec,
        });
        let policy: WatchPolicy = serde_json::from_value(object).unwrap();
        compile(&policy, &Settings::default()).unwrap()
    }

    fn spec(path: &str, value: &str) -> Value {
        json!({
            "mode": "Enforce",
            "targets": [{"group": "apps", "resources": ["deployments", "statefulsets"]}],
            "rules": [{"name": "r", "path": path, "assert": {"equals": value}, "fix": {"set": value}}],
        })
    }

    /// Whom each policy contradicts.
    fn found(specs: &[(&str, Value)]) -> Vec<(String, String)> {
        let policies: Vec<_> = specs.iter().map(|(name, spec)| policy(name, spec)).collect();
        let found = contradictions(&policies);
        found.iter().map(|(name, found)| (name.to_string(), found.other.0.to_string())).collect()
    }

    const PLACE: &str = "$.metadata.labels.tier";

    #[test]
    fn policies_that_demand_different_values_at_one_place_name_each_other() {
        let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(one, other)| ((*one).into(), (*other).into())).collect()
        };
        let (x, y) = (spec(PLACE, "x"), spec(PLACE, "y"));
        let three = [("a", x.clone()), ("b", y), ("c", x.clone())];
        assert_eq!(found(&three), pairs(&[("a", "b"), ("b", "a"), ("c", "b")]));
        assert_eq!(found(&[("a", x.clone()), ("b", x.clone())]), []);
        assert_eq!(found(&[("a", x), ("b", spec("$.metadata.labels.other", "y"))]), []);
        let template = "$.spec.template.spec.hostname";
        let one_place = [("a", spec("$podSpec.hostname", "x")), ("b", spec(template, "y"))];
        assert_eq!(found(&one_place), pairs(&[("a", "b"), ("b", "a")]), "however it is written");
    }

    #[test]
    fn what_may_be_parted_or_is_not_mended_is_no_contradiction() {
        let narrow = json!({"group": "apps", "resources": ["deployments"], "labelSelector": {"matchLabels": {"a": "b"}}});
        let some = json!({"group": "apps", "resources": ["deployments"], "namespaces": ["a"]});
        let other = json!({"group": "batch", "resources": ["jobs"]});
        let conditions = json!([{"path": "$.metadata.labels.a", "assert": {"exists": true}}]);
        let exceptions = json!([{"name": "e", "reason": "r", "namespaces": ["b*"]}]);
        for (field, value) in [
            ("targets", json!([narrow])),
            ("targets", json!([some])),
            ("targets", json!([other])),
            ("targets", json!([{"group": "apps", "resources": ["*"]}])),
            ("match", conditions),
            ("exceptions", exceptions),
            ("mode", json!("Audit")),
            ("suspend", json!(true)),
        ] {
            let mut spec = spec(PLACE, "x");
            spec[field] = value;
            assert_eq!(found(&[("a", spec), ("b", self::spec(PLACE, "y"))]), [], "{field}");
        }
    }

    #[test]
    fn versions_share_their_metadata_and_nothing_else() {
        let of_version = |path: &str, value: &str, version: &str| {
            let mut spec = spec(path, value);
            spec["targets"][0]["version"] = json!(version);
            spec
        };
        let both = |path| found(&[("a", of_version(path, "x", "v1")), ("b", of_version(path, "y", "v2"))]);
        assert_eq!(both(PLACE).len(), 2);
        assert_eq!(both("$.spec.a"), []);
    }

    #[test]
    fn what_is_told_names_both_rules_and_no_value() {
        let policies = [policy("a", &spec(PLACE, "hunter2")), policy("b", &spec(PLACE, "y"))];
        let found = contradictions(&policies)["b"].to_string();
        assert!(
            found.contains("the rule r wants another value at $.metadata.labels.tier of deployments.apps")
        );
        assert!(found.contains("the rule r of the policy a") && !found.contains("hunter2"), "{found}");
    }
}
