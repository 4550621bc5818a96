//! Fields that rules read and that no object can have.

use super::*;

#[test]
fn a_field_that_a_definition_does_not_know_is_told_of_a_kind_that_is_named() {
    let told = |target: &str, path: &str| {
        let served = ServedResource { kind: "Widget".into(), namespaced: true, watchable: true };
        let version = ServedVersion { version: "v1".into(), resources: [("widgets".into(), served)].into() };
        let groups = [("example.com".into(), vec![version])].into();
        let schema = serde_json::json!({"properties": {"spec": {"properties": {"replicas": {}}}}});
        let shape = Arc::new(Shape::of_kind(&schema));
        let shapes = [(Gvr::new("example.com", "v1", "widgets"), shape)].into();
        let set = set(&[(target, path)]);
        let mut found = demand(&set, &Catalog { groups, shapes, ..Catalog::default() });
        found.targets.remove("p0").unwrap().remove(0).unknown
    };
    let named = "{group: example.com, resources: [widgets]}";
    assert_eq!(told(named, SPEC), None);
    assert!(told(named, "$.spec.replica").unwrap().contains("did you mean `replicas`?"));
    assert_eq!(
        told("{group: example.com, resources: ['*']}", "$.spec.replica"),
        None,
        "meant for another kind"
    );
    let custom: Vec<_> = set(&[(named, SPEC), (DEPLOYMENTS, SPEC)])
        .running()
        .flat_map(|policy| policy.names_custom().map(|resource| resource.to_string()).collect::<Vec<_>>())
        .collect();
    assert_eq!(custom, ["widgets.example.com"]);
}

#[test]
fn a_slip_in_the_name_of_a_field_of_kubernetes_is_told_of_the_kind_that_it_is_of() {
    let told = |target: &str, path: &str| {
        let mut found = demand(&set(&[(target, path)]), &catalog());
        found.targets.remove("p0").unwrap().remove(0).unknown
    };
    let words = told(DEPLOYMENTS, "$.spec.template.spec.contianers[*].image").unwrap();
    assert!(words.contains("`spec.template.spec.contianers`") && words.contains("`containers`"), "{words}");
    let words = told(DEPLOYMENTS, "$containers[*].resources.limit.cpu").unwrap();
    assert!(words.contains("did you mean `limits`?"), "{words}");
    for path in ["$containers[*].resources.limits.cpu", "$.spec.somethingNew", "$.metadata.labels.nmae"] {
        assert_eq!(told(DEPLOYMENTS, path), None, "{path}");
    }
}
