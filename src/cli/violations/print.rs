//! Violations for people and for programs.

use super::command::ViolationsFormat;
use crate::cli::format::{json, plain, yaml};
use crate::cli::severity::text;
use crate::crd::{ViolationObject, ViolationResult};
use crate::report::{Listed, Listing};

/// All violations in a format.
pub(super) fn print(listing: &Listing, format: ViolationsFormat) -> anyhow::Result<String> {
    match format {
        ViolationsFormat::Table if listing.violations.is_empty() => Ok(match &*listing.not_ready {
            [] => "no violations\n".to_owned(),
            _ => "no violations are known; why there may be some is told on stderr\n".to_owned(),
        }),
        ViolationsFormat::Table => {
            let header = ["POLICY", "SEVERITY", "RESULT", "OBJECT", "RULE", "PATH", "MESSAGE"];
            Ok(plain(&header, &listing.violations.iter().map(row).collect::<Vec<_>>()))
        }
        ViolationsFormat::Json => json(listing),
        ViolationsFormat::Yaml => yaml(listing),
    }
}

fn row(Listed { policy, violation }: &Listed) -> Vec<String> {
    let result = match violation.result {
        ViolationResult::Fail => "Fail",
        ViolationResult::Error => "Error",
    };
    vec![
        policy.clone(),
        text(violation.severity).to_owned(),
        result.to_owned(),
        object(&violation.object),
        violation.rule.clone(),
        violation.path.clone().unwrap_or_default(),
        violation.message.clone(),
    ]
}

/// As `kubectl get` takes it: `deployments.apps/checkout -n shop`.
fn object(object: &ViolationObject) -> String {
    let ViolationObject { group, resource, namespace, name, .. } = object;
    let group = if group.is_empty() { String::new() } else { format!(".{group}") };
    let namespace = namespace.as_deref().map(|namespace| format!(" -n {namespace}")).unwrap_or_default();
    format!("{resource}{group}/{name}{namespace}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn listing() -> Listing {
        serde_json::from_value(json!({"violations": [{
            "policy": "owners", "rule": "owner", "severity": "high", "result": "Fail", "path": "metadata.labels.owner",
            "object": {"group": "apps", "resource": "deployments", "namespace": "shop", "name": "checkout"},
            "message": "is not set\nat all",
        }]}))
        .unwrap()
    }

    #[test]
    fn a_row_names_the_object_as_kubectl_takes_it_and_keeps_to_its_line() {
        let table = print(&listing(), ViolationsFormat::Table).unwrap();
        assert_eq!(table.lines().count(), 2, "{table}");
        assert!(table.contains("deployments.apps/checkout -n shop"), "{table}");
        assert!(table.contains(r"is not set\nat all"), "{table}");
        assert_eq!(print(&Listing::default(), ViolationsFormat::Table).unwrap(), "no violations\n");
    }

    #[test]
    fn programs_get_what_the_operator_answers() {
        let printed = print(&listing(), ViolationsFormat::Json).unwrap();
        assert_eq!(serde_json::from_str::<Listing>(&printed).unwrap(), listing());
        assert!(print(&listing(), ViolationsFormat::Yaml).unwrap().contains("policy: owners"));
    }
}
