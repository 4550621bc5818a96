//! What holds of a status whatever the verdicts and targets are.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::ledger::{Judged, Ledger, Said};
use crate::policy::{Judgement, NodeVerdict, RuleVerdict, Verdict};
use crate::report::cases::{at, running, target};
use crate::resource::{ObjectKey, ObjectName};
use crate::{crd, crd::Severity};

/// The schema of a status, as the API server has it.
fn schema() -> Value {
    let crd = crd::crd_json().unwrap();
    crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/status").unwrap().clone()
}

/// What of a value the schema refuses. A keyword that is not known here may say anything, and is refused too.
fn refused(schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let keyword = |(keyword, said): (&String, &Value)| {
        let bound = said.as_u64().and_then(|bound| usize::try_from(bound).ok());
        match (&**keyword, value) {
            ("type", _) => type_of(value) == *said,
            ("maxLength", Value::String(text)) => text.chars().count() <= bound.unwrap(),
            ("maxItems", Value::Array(items)) => items.len() <= bound.unwrap(),
            ("enum", _) => said.as_array().unwrap().contains(value),
            ("minimum", Value::Number(number)) => number.as_f64() >= said.as_f64(),
            ("required", Value::Object(members)) => {
                said.as_array().unwrap().iter().all(|name| members.contains_key(name.as_str().unwrap()))
            }
            ("properties", Value::Object(members)) => {
                members.keys().all(|name| said.as_object().unwrap().contains_key(name))
            }
            ("format", _) => ["date-time", "int64", "int32"].contains(&said.as_str().unwrap()),
            ("description" | "default" | "items", _) => true,
            (keyword, _) => keyword.starts_with("x-kubernetes-list-"),
        }
    };
    let broken = schema.as_object().unwrap().iter().filter(|entry| !keyword(*entry));
    let mut refusals: Vec<_> = broken.map(|(keyword, said)| format!("{at}: {keyword} {said}")).collect();
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let below = schema.pointer(&format!("/properties/{name}")).unwrap_or(&Value::Null);
                if below.is_object() {
                    refusals.extend(refused(below, member, &format!("{at}.{name}")));
                }
            }
        }
        Value::Array(items) => {
            items.iter().for_each(|item| refusals.extend(refused(&schema["items"], item, at)));
        }
        _ => {}
    }
    refusals
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Texts that names, values and messages may be: short ones, long ones, and ones of characters that grow.
fn text() -> impl Strategy<Value = String> {
    let letters =
        prop::sample::select(vec!['a', '"', '\\', '\n', '\u{1b}', '\u{7f}', '\u{9b}', '\u{202e}', 'é', '🦀']);
    let length = prop_oneof![8 => 0..20_usize, 3 => 200..400_usize, 1 => 3000..70_000_usize];
    prop_oneof![
        2 => "[a-z]{1,20}",
        3 => (letters, length).prop_map(|(letter, length)| letter.to_string().repeat(length)),
    ]
}

fn node() -> impl Strategy<Value = NodeVerdict> {
    (text(), text(), text()).prop_map(|(path, actual, message)| NodeVerdict {
        path: path.into(),
        actual: actual.into(),
        expected: "".into(),
        message: message.into(),
    })
}

/// All that a finding shows: group, resource, version and kind; namespace, name and uid; rule; nodes.
type Found = ([String; 4], [String; 3], String, Vec<NodeVerdict>);

fn found() -> impl Strategy<Value = Found> {
    let texts = || [text(), text(), text(), text()];
    (texts(), [text(), text(), text()], text(), prop::collection::vec(node(), 0..12))
}

fn enter(ledger: &Ledger, found: Found) {
    let ([group, resource, version, kind], [namespace, name, uid], rule, nodes) = found;
    let object = ObjectName { namespace: Some(namespace.into()), name: name.into() };
    let key = ObjectKey { resource: GroupResource::new(&*group, &*resource), object };
    let outcome = if nodes.is_empty() { Outcome::Error } else { Outcome::Fail };
    let rule = RuleVerdict {
        rule: rule.into(),
        severity: Severity::High,
        outcome,
        nodes,
        more: 0,
        excepted: Vec::new(),
        owned: false,
    };
    let judgement =
        Judgement::Judged(Verdict { outcome, rules: vec![rule], grants: Vec::new(), again: None });
    let (api_version, kind) = (&format!("{group}/{version}").into(), &kind.into());
    let said = vec![Said { policy: "p".into(), api_version, kind, judgement }];
    ledger.enter(Judged { key: &key, uid: &uid.into(), listed: false, said }, at(0));
}

fn report() -> impl Strategy<Value = TargetReport> {
    let states = [TargetState::Synced, TargetState::Forbidden, TargetState::Absent, TargetState::Degraded];
    let state = prop::sample::select(states.to_vec());
    (text(), text(), text(), text(), state).prop_map(|(group, resource, version, message, state)| {
        TargetReport {
            group: group.into(),
            resource: resource.into(),
            version: Some(version.into()),
            message: Some(message.into()),
            ..target("", state)
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_server_takes_every_status_and_a_terminal_every_text_of_it(
        found in prop::collection::vec(found(), 0..30),
        targets in prop::collection::vec(report(), 0..40),
        repeated in 1..10_usize,
    ) {
        let ledger = Ledger::new();
        found.into_iter().for_each(|found| enter(&ledger, found));
        let page = ledger.page("p", &[], MAX_VIOLATIONS);
        let (entry, targets) = (running("p"), vec![targets; repeated].concat());
        let status = render(&View { entry: &entry, targets: Some(&targets), page: &page, previous: None, writes: Writes::default() }, at(1));
        let json = serde_json::to_value(&status).unwrap();
        prop_assert_eq!(refused(&schema(), &json, "status"), Vec::<String>::new());
        prop_assert!(size(&status) < 64 * 1024);
        let listed = u64::try_from(status.violations.len()).unwrap();
        let all = page.more + u64::try_from(page.worst.len()).unwrap();
        prop_assert_eq!(listed + status.violations_truncated.unwrap_or_default(), all);
        let raw = json.to_string();
        for escape in ["\\u00", "\\n", "\u{7f}", "\u{9b}", "\u{202e}"] {
            let unescaped = raw.replace("\\\\", "");
            prop_assert!(!unescaped.contains(escape), "{escape:?} in {raw}");
        }
    }
}

/// The status of a policy on whose page stand objects of these names, each with a short message.
fn of_names(names: &[String]) -> WatchPolicyStatus {
    let ledger = Ledger::new();
    for (number, name) in names.iter().enumerate() {
        let kinds = ["rbac.authorization.k8s.io", "roles", "v1", "Role"].map(str::to_owned);
        let object = ["prod".to_owned(), name.clone(), format!("uid-{number}")];
        let node = NodeVerdict {
            path: "metadata.labels.owner".into(),
            actual: "not set".into(),
            expected: "".into(),
            message: "no owner".into(),
        };
        enter(&ledger, (kinds, object, "owner".to_owned(), vec![node]));
    }
    let (entry, page) = (running("p"), ledger.page("p", &[], MAX_VIOLATIONS));
    render(
        &View { entry: &entry, targets: Some(&[]), page: &page, previous: None, writes: Writes::default() },
        at(1),
    )
}

#[test]
fn one_very_long_name_is_cut_and_keeps_its_uid_and_hides_no_other() {
    for length in [300, 61_000] {
        let status = of_names(&["a".repeat(length), "good".to_owned()]);
        let [long, good] = &*status.violations else { panic!("{:?}", status.violations) };
        assert_eq!((long.object.name.len(), long.object.uid.as_deref()), (253, Some("uid-0")));
        assert!(long.object.name.ends_with("aaa…"), "{}", long.object.name);
        assert_eq!((&*good.object.name, status.violations_truncated), ("good", None));
    }
}

#[test]
fn a_name_that_acts_on_a_terminal_is_shown_escaped() {
    let status = of_names(&["x\n\u{1b}[31mINJECT".to_owned()]);
    assert_eq!(status.violations[0].object.name, "x\\n\\u{1b}[31mINJECT");
}

#[test]
fn when_not_all_fit_the_largest_entry_goes_and_not_the_last() {
    let mut status = of_names(&["a".to_owned(), "b".to_owned(), "c".to_owned()]);
    status.violations[1].message = "long ".repeat(10);
    assert!(drop_largest(&mut status));
    let names: Vec<_> = status.violations.iter().map(|violation| &*violation.object.name).collect();
    assert_eq!((names, status.violations_truncated), (vec!["a", "c"], Some(1)));
    assert!(drop_largest(&mut status) && drop_largest(&mut status));
    assert!(!drop_largest(&mut status), "nothing is left");
}
