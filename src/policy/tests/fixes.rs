//! From failures to the changes that mend them.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::jsonpath::Tree;
use crate::policy::FaultReason::{FixNotAllowed, Invalid};
use crate::policy::{
    Change, CompiledPolicy, FaultReason, Judgement, Mend, Obstacle, Outcome, Patch, Relative, Relatives,
    Settings, Subject, compile, settle,
};
use crate::resource::GroupResource;

use super::cases::{CONFIG_MAPS, DEPLOYMENTS, compiled, decode, everything, json, now, parse, settings};

/// Knows no other object.
pub(super) struct Nobody;

impl Relatives for Nobody {
    fn find(&self, _: &CompiledPolicy, _: &str, _: Option<&str>) -> Option<Relative> {
        None
    }
}

fn mend(policy: &CompiledPolicy, object: &Value) -> (Outcome, Vec<Mend>) {
    let target = &policy.targets[0];
    let resource = GroupResource::new(target.group.clone(), target.resources[0].clone());
    let roots = policy.roots(&resource);
    let document = decode(&object.to_string(), &everything());
    let subject = Subject {
        resource: &resource,
        kind: "Kind",
        roots: &roots,
        document: &document,
        namespace: None,
        now: now(),
    };
    match policy.mend(&subject, &Nobody) {
        (Judgement::Judged(verdict), mends) => (verdict.outcome, mends),
        other => panic!("{other:?}"),
    }
}

/// The patch of all that can be changed.
fn patch(policy: &CompiledPolicy, object: &Value) -> Value {
    let (_, mut mends) = mend(policy, object);
    let changes = settle(&mut mends);
    serde_json::to_value(Patch::new(
        "1",
        Tree::from(object).node(),
        &changes.iter().collect::<Vec<&Change>>(),
    ))
    .unwrap()
}

fn on_config_maps(rule: &str) -> CompiledPolicy {
    compiled(&format!("{CONFIG_MAPS}\nrules: [{{name: rule, {rule}}}]"))
}

fn on_deployments(rule: &str) -> CompiledPolicy {
    compiled(&format!("{DEPLOYMENTS}\nrules: [{{name: rule, {rule}}}]"))
}

const OWNER: &str = "path: \"$.metadata.annotations['corp.io/owner']\", assert: {like: '*@corp.com'}, fix: {set: nobody@corp.com}";

/// Carries a patch out as the API server does: `test` of null passes where a member is not there.
fn carried_out(patch: &Value, object: &Value) -> Option<Value> {
    let mut object = object.clone();
    for operation in patch.as_array().unwrap() {
        let path = operation["path"].as_str().unwrap();
        if operation["op"] == "test" && operation["value"].is_null() && object.pointer(path).is_none() {
            let (parent, _) = path.rsplit_once('/').unwrap();
            object.pointer(parent)?;
            continue;
        }
        let one: json_patch::Patch = serde_json::from_value(json!([operation])).unwrap();
        json_patch::patch(&mut object, &one).ok()?;
    }
    Some(object)
}

#[test]
fn a_patch_swaps_what_was_judged_of_the_object_that_was_judged() {
    let policy = on_config_maps(OWNER);
    let path = "/metadata/annotations/corp.io~1owner";
    let uid = json!({"op": "test", "path": "/metadata/uid", "value": "1"});
    assert_eq!(
        patch(&policy, &json("{metadata: {annotations: {corp.io/owner: me}}}")),
        json!([uid, {"op": "test", "path": path, "value": "me"}, {"op": "replace", "path": path, "value": "nobody@corp.com"}])
    );
    assert_eq!(
        patch(&policy, &json("{metadata: {annotations: {a: b}}}")),
        json!([uid, {"op": "test", "path": path, "value": null}, {"op": "add", "path": path, "value": "nobody@corp.com"}])
    );
    assert_eq!(
        patch(&policy, &json("{a: 1}")),
        json!([
            uid,
            {"op": "test", "path": "/metadata/annotations", "value": null},
            {"op": "add", "path": "/metadata/annotations", "value": {}},
            {"op": "add", "path": path, "value": "nobody@corp.com"},
        ])
    );
}

#[test]
fn elements_are_known_again_by_name_or_as_a_whole_and_are_removed_from_the_back() {
    let policy =
        on_deployments("forEach: '$podSpec.volumes[?@.hostPath]', forbid: true, fix: {remove: true}");
    let volumes = "[{name: a, hostPath: {}}, {name: b}, {hostPath: {path: /}}]";
    let object = json(&format!("{{spec: {{template: {{spec: {{volumes: {volumes}}}}}}}}}"));
    let at = "/spec/template/spec/volumes";
    assert_eq!(
        patch(&policy, &object),
        json!([
            {"op": "test", "path": "/metadata/uid", "value": "1"},
            {"op": "test", "path": format!("{at}/0/name"), "value": "a"},
            {"op": "test", "path": format!("{at}/0"), "value": {"name": "a", "hostPath": {}}},
            {"op": "test", "path": format!("{at}/2"), "value": {"hostPath": {"path": "/"}}},
            {"op": "remove", "path": format!("{at}/2")},
            {"op": "remove", "path": format!("{at}/0")},
        ])
    );
}

#[test]
fn elements_of_one_name_that_change_places_are_not_taken_for_each_other() {
    let policy = on_deployments(
        "forEach: '$podSpec.containers[0].volumeMounts', when: [{path: $.mountPath, assert: {equals: /host}}], \
         path: $.readOnly, assert: {equals: true}, fix: {set: true}",
    );
    let with = |mounts: Value| {
        let containers = json!([{"name": "a", "volumeMounts": mounts}]);
        json!({"metadata": {"name": "web", "uid": "1"}, "spec": {"template": {"spec": {"containers": containers}}}})
    };
    let (host, data) =
        (json!({"name": "v", "mountPath": "/host"}), json!({"name": "v", "mountPath": "/data"}));
    let judged = with(json!([host, data]));
    let patch = patch(&policy, &judged);
    assert!(carried_out(&patch, &judged).is_some());
    assert_eq!(carried_out(&patch, &with(json!([data, host]))), None, "{patch}");
}

#[test]
fn each_container_gets_its_own_change_at_its_real_place() {
    let policy = on_deployments(
        "path: '$containers[*].securityContext.privileged', assert: {notEquals: true}, fix: {set: false}",
    );
    let object = json(
        "{spec: {template: {spec: {containers: [{name: a}, {name: b, securityContext: {privileged: true}}], \
         initContainers: [{name: c, securityContext: {privileged: true}}]}}}}",
    );
    let (_, mends) = mend(&policy, &object);
    let paths: Vec<_> = mends.iter().map(|mend| &*mend.path).collect();
    assert_eq!(
        paths,
        [
            "spec.template.spec.containers[1].securityContext.privileged",
            "spec.template.spec.initContainers[0].securityContext.privileged"
        ]
    );
    assert_eq!(mends[0].from.as_deref(), Some("true"));
    assert_eq!(mends[0].to.as_deref(), Some("false"));
}

#[test]
fn an_element_is_appended_once() {
    let rule = "path: '$podSpec.tolerations[*].key', quantifier: Any, assert: {equals: spot}, \
                fix: {append: {at: $podSpec.tolerations, value: {key: spot, operator: Exists}, key: key}}";
    let policy = on_deployments(rule);
    let spec = |tolerations: &str| json(&format!("{{spec: {{template: {{spec: {{{tolerations}}}}}}}}}"));
    let last = |patch: Value| patch.as_array().unwrap().last().unwrap().clone();
    let value = json!({"key": "spot", "operator": "Exists"});
    assert_eq!(
        last(patch(&policy, &spec("tolerations: [{key: a}]"))),
        json!({"op": "add", "path": "/spec/template/spec/tolerations/-", "value": value})
    );
    assert_eq!(
        last(patch(&policy, &spec(""))),
        json!({"op": "add", "path": "/spec/template/spec/tolerations", "value": [value]})
    );
    assert_eq!(mend(&policy, &spec("tolerations: [{key: spot}]")).1, []);
    let (outcome, mends) = mend(&policy, &spec("tolerations: none"));
    assert_eq!(outcome, Outcome::Fail);
    assert!(
        matches!(&mends[0].change, Err(Obstacle::Impossible(why)) if why.contains("of type string")),
        "{mends:?}"
    );
}

#[test]
fn a_value_is_taken_from_another_place_which_is_tested_too() {
    let policy = on_config_maps(
        "path: $.metadata.labels.app, assert: {equalsPath: $.data.app}, fix: {setFrom: $.data.app}",
    );
    let object = json("{metadata: {labels: {app: a}}, data: {app: b}}");
    let tests = patch(&policy, &object);
    assert!(
        tests.as_array().unwrap().contains(&json!({"op": "test", "path": "/data/app", "value": "b"})),
        "{tests}"
    );
    let (_, mends) = mend(&policy, &json("{metadata: {labels: {app: a}}}"));
    assert!(
        matches!(&mends[0].change, Err(Obstacle::Impossible(why)) if why.contains("finds nothing")),
        "{mends:?}"
    );
}

#[test]
fn what_errs_is_not_mended() {
    let policy = on_config_maps("path: '$.data.*', assert: {atMost: 1}, fix: {set: 1}");
    assert_eq!(mend(&policy, &json("{data: {a: 2}}")).1.len(), 1);
    assert_eq!(mend(&policy, &json("{data: {a: 2, b: many}}")), (Outcome::Error, Vec::new()));
}

#[test]
fn a_place_that_no_fix_may_write_is_left_alone_wherever_a_wildcard_finds_it() {
    let policy =
        on_config_maps("path: '$.metadata.labels.*', assert: {notEquals: privileged}, fix: {remove: true}");
    let (_, mends) = mend(
        &policy,
        &json("{metadata: {labels: {pod-security.kubernetes.io/enforce: privileged, a: privileged}}}"),
    );
    let allowed: Vec<_> = mends.iter().map(|mend| mend.change.is_ok()).collect();
    assert_eq!(allowed, [true, false]);
}

#[test]
fn two_rules_that_want_different_values_at_one_place_change_nothing_there() {
    let rules = "rules: [{name: one, when: [{path: $.a, assert: {exists: true}}], path: $.data.x, assert: {notEquals: 0}, fix: {set: 1}}, \
                 {name: two, path: '$.data.*', assert: {notEquals: 0}, fix: {set: 2}}]";
    let policy = compiled(&format!("{CONFIG_MAPS}\n{rules}"));
    let (_, mut mends) = mend(&policy, &json("{a: 1, data: {x: 0, y: 0}}"));
    let changes = settle(&mut mends);
    assert_eq!(changes.iter().map(|change| change.place.to_string()).collect::<Vec<_>>(), ["/data/y"]);
    assert_eq!(mends[0].change, Err(Obstacle::Clash("two".into())));
}

#[test]
fn values_that_are_secret_are_not_shown_in_a_change() {
    let policy =
        on_deployments("path: '$containers[*].env[*].value', assert: {notLike: 'pw-*'}, fix: {remove: true}");
    let object = json("{spec: {template: {spec: {containers: [{name: a, env: [{name: b, value: pw-1}]}]}}}}");
    assert_eq!(mend(&policy, &object).1[0].from.as_deref(), Some("<redacted>"));
}

fn refused(targets: &str, rule: &str, settings: &Settings) -> Vec<(FaultReason, String)> {
    let spec = format!("{targets}\nrules: [{{name: r, {rule}}}]");
    let faults =
        compile(&parse(&spec), settings).err().map(|faults| faults.iter().cloned().collect::<Vec<_>>());
    faults.unwrap_or_default().into_iter().map(|fault| (fault.reason, fault.to_string())).collect()
}

#[test]
fn fixes_that_no_policy_may_make_are_refused_with_words() {
    let any = "assert: {exists: true}";
    for (rule, reason, words) in [
        (format!("path: $.status.x, {any}, fix: {{set: 1}}"), FixNotAllowed, "`status` is its controller's"),
        (format!("path: $.metadata.finalizers, {any}, fix: {{set: [a]}}"), FixNotAllowed, "single labels"),
        (format!("path: $.metadata.labels.a, {any}, fix: {{set: 1.30}}"), Invalid, "quote what is to be there"),
        (format!("path: $pod.metadata.annotations.a, {any}, fix: {{set: yes}}"), Invalid, "true is none"),
        (format!("path: $.spec.template.metadata.labels.a, {any}, fix: {{set: 1}}"), Invalid, "1 is none"),
        (format!("path: $.metadata.labels, {any}, fix: {{set: {{a: b}}}}"), FixNotAllowed, "all labels at once"),
        (format!("path: $object.kind, {any}, fix: {{set: A}}"), FixNotAllowed, "no fix writes `kind`"),
        (format!("path: '$..image', {any}, fix: {{set: A}}"), FixNotAllowed, "start the path with the name"),
        (format!("forEach: $.status.conditions, path: $.type, {any}, fix: {{set: A}}"), FixNotAllowed, "`status`"),
        (
            format!("path: \"$.metadata.labels['pod-security.kubernetes.io/enforce']\", {any}, fix: {{set: baseline}}"),
            FixNotAllowed,
            "--allow-fix-of=pod-security.kubernetes.io/enforce",
        ),
        (format!("path: $namespace.metadata.name, {any}, fix: {{set: a}}"), FixNotAllowed, "single labels"),
        ("path: $.a, fallbacks: [$.status.a], assert: {equals: 1}, fix: {set: 1}".to_owned(), FixNotAllowed, "`status`"),
        (format!("path: $.a, {any}, fix: {{set: null}}"), Invalid, "null counts as absent"),
        (format!("path: $.a, {any}, fix: {{}}"), Invalid, "is one change"),
        (format!("path: $.a, {any}, fix: {{set: 1, remove: true}}"), Invalid, "is one change"),
        (format!("path: $.a, {any}, fix: {{setFrom: '$.b[*]'}}"), Invalid, "can find many"),
        ("forbid: true, fix: {remove: true}".to_owned(), Invalid, "no fix deletes an object"),
        ("forEach: '$.a[?@.b]', forbid: true, fix: {set: 1}".to_owned(), Invalid, "say `remove: true`"),
        ("path: $.a, measure: Keys, assert: {notLike: x}, fix: {set: 1}".to_owned(), Invalid, "name of a member"),
        ("path: '$.a[*]', measure: Count, assert: {atMost: 1}, fix: {remove: true}".to_owned(), Invalid, "no single place"),
        ("path: '$.a[*]', quantifier: Any, assert: {equals: 1}, fix: {set: 1}".to_owned(), Invalid, "`Any` wants one"),
        (
            "anyOf: [{path: $.a, assert: {exists: true}}, {path: $.b, assert: {exists: true}}], fix: {set: 1}".to_owned(),
            Invalid,
            "several places",
        ),
        (format!("path: $.a, {any}, fix: {{append: {{at: $.b}}}}"), Invalid, "say which element"),
        (format!("path: $.a, {any}, fix: {{append: {{at: $containers, value: {{}}}}}}"), Invalid, "several lists"),
        (format!("path: $.a, {any}, fix: {{append: {{at: $.status.b, value: 1}}}}"), FixNotAllowed, "`status`"),
        (format!("path: $.a, {any}, fix: {{append: {{at: $.b, value: 1, key: name}}}}"), Invalid, "no member `name`"),
    ] {
        let found = refused(CONFIG_MAPS, &rule, &settings());
        assert!(matches!(&*found, [(of, said)] if *of == reason && said.contains(words)), "{rule}: {found:?}");
    }
}

#[test]
fn kinds_that_give_rights_are_fixed_only_where_the_operator_opens_them() {
    let rule = "path: $.data.x, assert: {exists: true}, fix: {set: 1}";
    for (group, plural) in [("", "secrets"), ("rbac.authorization.k8s.io", "roles"), ("", "nodes")] {
        let targets = format!("targets: [{{group: '{group}', resources: [{plural}]}}]");
        let found = refused(&targets, rule, &settings());
        let resource = GroupResource::new(group, plural).to_string();
        assert!(matches!(&*found, [(FixNotAllowed, said)] if said.contains(&resource)), "{found:?}");
        let opened = Settings { allow_fix_of: [resource.as_str().into()].into(), ..settings() };
        assert_eq!(refused(&targets, rule, &opened), []);
    }
}

#[test]
fn two_rules_that_demand_different_values_at_one_place_are_a_fault() {
    let policy = |second: &str| {
        format!(
            "{CONFIG_MAPS}\nrules: [{{name: a, path: $.data.x, assert: {{equals: 1}}}}, {{name: b, {second}}}]"
        )
    };
    for second in
        ["path: $.data.x, assert: {equals: 2}", "path: '{.data.x}', assert: {atLeast: 0}, fix: {set: 2}"]
    {
        let faults = compile(&parse(&policy(second)), &settings()).unwrap_err();
        assert!(faults.to_string().contains("the rule `a` wants 1 there"), "{faults}");
    }
    for second in [
        "path: $.data.x, assert: {equals: 1.0}",
        "path: $.data.y, assert: {equals: 2}",
        "when: [{path: $.a, assert: {exists: true}}], path: $.data.x, assert: {equals: 2}",
    ] {
        compiled(&policy(second));
    }
}

/// Objects in which the places that the rules below look at are there, absent, or of another type.
fn objects() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(json!(null)), Just(json!(1)), Just(json!("x")), Just(json!(true))];
    let value = leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[abx]", inner, 0..4).prop_map(|map| json!(map)),
        ]
    });
    prop::collection::hash_map("[abx]", value, 0..4).prop_map(|map| {
        let mut object = json!(map);
        object["metadata"] = json!({"name": "o", "namespace": "default", "uid": "1"});
        object
    })
}

const RULES: [&str; 7] = [
    "path: $.a.b.x, assert: {equals: 1}, fix: {set: 1}",
    "path: '$.a[*].x', assert: {equals: x}, fix: {set: x}",
    "path: '$.a[*]', assert: {notEquals: 1}, fix: {remove: true}",
    "path: '$.b.*.x', assert: {exists: false}, fix: {remove: true}",
    "path: $.a, measure: Keys, whenAbsent: Pass, assert: {notEquals: x}, fix: {remove: true}",
    "forEach: '$.x[?@.a]', forbid: true, fix: {remove: true}",
    "path: '$.x[*]', quantifier: Any, assert: {equals: true}, fix: {append: {at: $.x, value: true}}",
];

proptest! {
    #[test]
    fn what_is_patched_passes_and_what_was_changed_meanwhile_is_left_alone(object in objects(), rule in 0..RULES.len()) {
        let policy = on_config_maps(RULES[rule]);
        let (before, mut mends) = mend(&policy, &object);
        let blocked = mends.iter().any(|mend| mend.change.is_err());
        let changes = settle(&mut mends);
        if changes.is_empty() {
            return Ok(());
        }
        prop_assert_eq!(before, Outcome::Fail);
        let node = Tree::from(&object);
        let patch = Patch::new("1", node.node(), &changes.iter().collect::<Vec<_>>());
        let sent = serde_json::to_value(&patch).unwrap();
        let after = carried_out(&sent, &object);
        prop_assert_eq!(after.as_ref().map(Tree::from), patch.apply(node.node()), "{}", sent);
        let after = after.unwrap();
        if !blocked {
            prop_assert_eq!(mend(&policy, &after).0, Outcome::Pass, "{} {}", sent, after);
        }
        prop_assert_eq!(carried_out(&sent, &after), None, "once done, it does not fit any more: {}", sent);
        let mut other = object;
        other["metadata"]["uid"] = json!("2");
        prop_assert_eq!(carried_out(&sent, &other), None);
    }
}

#[test]
fn what_is_hidden_is_not_copied_to_where_it_shows() {
    let policy = compiled(&format!(
        "{DEPLOYMENTS}\nrules: [{{name: r, path: $.metadata.annotations.a, assert: {{exists: true}}, \
         fix: {{setFrom: '$podSpec.containers[0].env[0].value'}}}}]"
    ));
    let env = json!([{"name": "P", "value": "hunter2"}]);
    let spec = json!({"template": {"spec": {"containers": [{"name": "c", "env": env}]}}});
    let (_, mends) = mend(&policy, &json!({"metadata": {"name": "o", "uid": "1"}, "spec": spec}));
    assert!(matches!(mends[0].change, Err(Obstacle::NotAllowed(_))), "{mends:?}");
    assert!(!format!("{mends:?}").contains("hunter2"), "{mends:?}");
}

#[test]
fn one_rule_takes_an_element_out_of_a_list_and_another_adds_one_to_it() {
    let rules = "rules:\n- {name: bad, forEach: $podSpec.tolerations, when: [{path: $.key, assert: {equals: bad}}], forbid: true, fix: {remove: true}}\n- {name: good, path: '$podSpec.tolerations[*].key', quantifier: Any, assert: {equals: good}, fix: {append: {at: $podSpec.tolerations, value: {key: good}, key: key}}}";
    let policy = compiled(&format!("{DEPLOYMENTS}\n{rules}"));
    let with = |tolerations: Value| json!({"metadata": {"name": "web", "uid": "1"}, "spec": {"template": {"spec": {"tolerations": tolerations}}}});
    let before = with(json!([{"key": "bad"}, {"key": "other"}]));
    let after = carried_out(&patch(&policy, &before), &before).unwrap();
    assert_eq!(after, with(json!([{"key": "other"}, {"key": "good"}])));
}

#[test]
fn an_element_that_the_server_filled_in_is_not_appended_again() {
    let rule = "path: '$.data.ports[*]', quantifier: Any, assert: {equals: {port: 80}}, \
                fix: {append: {at: $.data.ports, value: {port: 80}}}";
    let object = |port| json!({"metadata": {"name": "o", "uid": "1"}, "data": {"ports": [port]}});
    let (outcome, mends) = mend(&on_config_maps(rule), &object(json!({"port": 80, "protocol": "TCP"})));
    assert_eq!((outcome, &mends[0].change), (Outcome::Fail, &Err(Obstacle::Pointless)));
    let (_, mends) = mend(&on_config_maps(rule), &object(json!({"port": 81, "protocol": "TCP"})));
    assert!(mends[0].change.is_ok(), "{mends:?}");
}
