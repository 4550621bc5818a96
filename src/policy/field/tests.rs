use crate::jsonpath::TypeMeta;

use super::*;

fn compile(group: &str, resource: &str, text: &str) -> Result<FieldSelector, String> {
    let mut findings = Findings::default();
    let at = Field::root("fieldSelector");
    let selector = FieldSelector::compile(text, (group, &[resource.into()]), &at, &mut findings);
    let faults = findings.finish(()).map_err(|faults| faults.to_string());
    faults.and_then(|()| selector.ok_or_else(|| "everything".to_owned()))
}

fn selects(resource: (&str, &str), text: &str, object: &str) -> bool {
    let selector = compile(resource.0, resource.1, text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
    let mut projection = Projection::default();
    selector.read(&mut projection);
    let types = TypeMeta { api_version: "v1".into(), kind: "Kind".into() };
    let raw = format!(r#"{{"metadata":{{"name":"web","namespace":"shop"}},{object}}}"#);
    selector.matches(&Document::decode(&raw, &projection, &types).unwrap())
}

#[test]
fn selectors_select_as_in_kubernetes() {
    let (pods, jobs, custom) = (("", "pods"), ("batch", "jobs"), ("example.com", "widgets"));
    for (resource, text, object, selected) in [
        (pods, "status.phase=Running", r#""status":{"phase":"Running"}"#, true),
        (pods, "status.phase==Running", r#""status":{"phase":"Running"}"#, true),
        (pods, "status.phase!=Running", r#""status":{"phase":"Running"}"#, false),
        (pods, "status.phase!=Failed,status.phase!=Succeeded", r#""status":{"phase":"Succeeded"}"#, false),
        (pods, "status.phase!=Failed,,metadata.name=web", r#""status":{"phase":"Running"}"#, true),
        (pods, "spec.nodeName=", r#""spec":{}"#, true),
        (pods, "spec.nodeName!=", r#""spec":{}"#, false),
        (pods, "spec.nodeName!=", r#""spec":{"nodeName":"n"}"#, true),
        (pods, "spec.hostNetwork=false", r#""spec":{}"#, true),
        (pods, "spec.hostNetwork=true", r#""spec":{"hostNetwork":true}"#, true),
        (pods, "metadata.namespace=shop", r#""spec":{}"#, true),
        (pods, "metadata.namespace!=shop,metadata.name=web", r#""spec":{}"#, false),
        (("", "secrets"), r"type=a\,b\=c\\", r#""type":"a,b=c\\""#, true),
        (jobs, "status.successful=0", r#""status":{}"#, true),
        (jobs, "status.successful=3", r#""status":{"succeeded":3}"#, true),
        (custom, "spec.size=2,spec.on=true", r#""spec":{"size":2,"on":true}"#, true),
        (custom, "spec.color=", r#""spec":{"color":null}"#, true),
        (custom, "spec.color=blue", r#""spec":{"color":"red"}"#, false),
    ] {
        assert_eq!(selects(resource, text, object), selected, "{text} on {object}");
    }
}

#[test]
fn an_object_whose_field_cannot_be_read_is_not_hidden() {
    assert!(selects(("", "pods"), "spec.nodeName=n", r#""spec":{"nodeName":"\ud800"}"#));
    assert!(!selects(("", "pods"), "spec.nodeName=n,metadata.name=x", r#""spec":{"nodeName":"\ud800"}"#));
}

#[test]
fn selectors_that_say_the_same_are_shown_alike_and_as_the_server_takes_them() {
    let shown = |text: &str| compile("", "pods", text).unwrap().to_string();
    assert_eq!(shown("status.phase==Running,spec.nodeName!=a"), "spec.nodeName!=a,status.phase=Running");
    assert_eq!(
        shown("spec.nodeName!=a,status.phase=Running,spec.nodeName!=a"),
        "spec.nodeName!=a,status.phase=Running"
    );
    let odd = r"spec.nodeName=\,\=\\";
    assert_eq!(shown(odd), odd);
    assert_eq!(shown(&shown(odd)), odd);
}

#[test]
fn a_selector_that_the_server_would_refuse_is_a_fault_that_says_what_would_do() {
    for (group, resource, text, fault) in [
        ("", "pods", "status.phase", "cannot make out `status.phase`; terms are written as"),
        ("", "pods", "=Running", "cannot make out `=Running`"),
        ("", "pods", "status.phase!==x", r"`=` in the value `=x` has another meaning; write `\=`"),
        ("", "pods", r"status.phase=\x", r"write `\\`"),
        (
            "",
            "pods",
            "spec.priority=1",
            "selects pods by no field `spec.priority`: use metadata.name, metadata.namespace, spec.nodeName,",
        ),
        (
            "apps",
            "deployments",
            "spec.paused=true",
            "use metadata.name, metadata.namespace, or a check under `match`",
        ),
        ("example.com", "*", "spec.color=red", "`*` stands for kinds that are selected by different fields"),
        ("example.com", "widgets", "spec['color']=red", "is not a field to select by, such as `spec.color`"),
        ("", "pods", ",", "everything"),
    ] {
        let said = compile(group, resource, text).unwrap_err();
        assert!(said.contains(fault), "{text}: {said}");
    }
}
