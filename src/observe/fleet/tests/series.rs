//! The series of policies that are watched for.

use super::*;

#[test]
fn a_policy_that_fixes_shows_troubles_with_fixes_before_there_are_any() {
    let program = |name: &str, mode: &str| {
        let yaml = format!(
            "{{apiVersion: watchpolicy.io/v1alpha1, kind: WatchPolicy, metadata: {{name: {name}}}, \
             spec: {{mode: {mode}, targets: [{{resources: [pods]}}], \
             rules: [{{name: r, path: $.metadata.labels.team, assert: {{exists: true}}, fix: {{set: a}}}}]}}}}"
        );
        let policy: WatchPolicy = serde_saphyr::from_str(&yaml).unwrap();
        let compiled = policy::compile(&policy, &policy::Settings::default()).unwrap();
        (Arc::new(compiled), Arc::default())
    };
    let metrics = Metrics::new("test").unwrap();
    served(&[program("judges", "Audit"), program("plans", "Plan")], &metrics);
    let page = metrics.page().unwrap();
    let series =
        |policy| format!(r#"watchpolicy_remediations_total{{outcome="Refused",policy="{policy}"}} 0"#);
    assert!(page.contains(&series("plans")) && !page.contains(&series("judges")), "{page}");
}
