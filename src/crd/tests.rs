//! What the contract's types and their schema promise each other.

use serde_json::{Value, json};

use super::*;

/// The contract's full example.
const EXAMPLE: &str = include_str!("example.yaml");

fn openapi() -> Value {
    let crd = crd_json().unwrap();
    crd.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap().clone()
}

/// Calls `see` with the place and the schema of everything below `schema`, and whether it is a named property.
fn walk(place: &str, schema: &Value, see: &mut impl FnMut(&str, &Value, bool)) {
    for (name, below) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let place = format!("{place}.{name}");
        see(&place, below, true);
        walk(&place, below, see);
    }
    for (keyword, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if let Some(below) = schema.get(keyword) {
            let place = format!("{place}{mark}");
            see(&place, below, false);
            walk(&place, below, see);
        }
    }
}

/// The places in the schema that `wrong` finds fault with.
fn places(mut wrong: impl FnMut(&Value, bool) -> bool) -> Vec<String> {
    let (mut found, mut seen) = (Vec::new(), 0);
    walk("", &openapi(), &mut |place, schema, property| {
        seen += 1;
        // The API server brings its own schema for metadata.
        if place != ".metadata" && wrong(schema, property) {
            found.push(place.to_owned());
        }
    });
    assert!(seen > 300, "the walk saw only {seen} schemas");
    found
}

fn bounded(schema: &Value) -> bool {
    let has = |keyword: &str| schema.get(keyword).is_some();
    match schema.get("type").and_then(Value::as_str) {
        Some("string") => has("maxLength") || has("enum"),
        Some("array") => has("maxItems"),
        Some("integer") => has("minimum") && (has("maximum") || schema["format"] == "int64"),
        Some("object") => has("properties") || has("maxProperties"),
        Some("boolean") => true,
        None if has("x-kubernetes-int-or-string") => has("maxLength"),
        None => has("maxLength") && has("maxItems") && has("maxProperties"),
        Some(_) => false,
    }
}

/// Fills in the schema's defaults as the API server does: only into objects that are there.
fn fill_in(value: &mut Value, schema: &Value) {
    if let (Some(object), Some(properties)) = (value.as_object_mut(), schema["properties"].as_object()) {
        for (name, property) in properties {
            if let Some(default) = property.get("default") {
                object.entry(name).or_insert_with(|| default.clone());
            }
            if let Some(below) = object.get_mut(name) {
                fill_in(below, property);
            }
        }
    }
    for below in value.as_array_mut().into_iter().flatten() {
        fill_in(below, &schema["items"]);
    }
}

/// Of a policy, what users write: its status is the server's.
fn fill_in_spec(policy: &mut Value) {
    fill_in(&mut policy["spec"], &openapi()["properties"]["spec"]);
}

fn smallest() -> Value {
    json!({
        "apiVersion": "watchpolicy.io/v1alpha1",
        "kind": "WatchPolicy",
        "metadata": {"name": "smallest"},
        "spec": {
            "targets": [{"resources": ["pods"]}],
            "rules": [{"name": "one", "path": "$.a", "assert": {"exists": true}}],
            "enforcement": {},
        },
    })
}

#[test]
fn who_waits_for_a_policy_waits_for_its_first_status() {
    let status = openapi()["properties"]["status"].clone();
    let given: WatchPolicyStatus = serde_json::from_value(status["default"].clone()).unwrap();
    assert!(!given.is_written());
    assert!(WatchPolicyStatus { observed_generation: Some(1), ..given }.is_written());
    assert_eq!(
        status["properties"]["observedGeneration"]["minimum"],
        status["default"]["observedGeneration"]
    );
}

#[test]
fn every_property_is_described() {
    let undescribed = places(|schema, property| {
        property && schema["description"].as_str().is_none_or(|text| text.len() < 8 || text.contains("\n"))
    });
    assert!(undescribed.is_empty(), "say what these are for, in plain sentences: {undescribed:#?}");
}

#[test]
fn an_optional_choice_is_described_by_its_field_and_not_by_its_type() {
    for place in
        ["rules/items/properties/severity", "rules/items/properties/as", "rules/items/properties/whenAbsent"]
    {
        let schema = openapi();
        let text = schema.pointer(&format!("/properties/spec/properties/{place}/description"));
        assert!(text.unwrap().as_str().unwrap().contains("If left out"), "{place}: {text:?}");
    }
}

#[test]
fn every_list_map_string_and_number_is_bounded() {
    let unbounded = places(|schema, _| !bounded(schema));
    assert!(unbounded.is_empty(), "add length or range to these fields: {unbounded:#?}");
}

#[test]
fn every_list_says_how_writers_share_it() {
    let silent = places(|schema, _| schema["type"] == "array" && schema["x-kubernetes-list-type"].is_null());
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn only_what_nothing_can_stand_in_for_is_required() {
    let mut required = std::collections::BTreeSet::new();
    walk("", &json!({"properties": {"root": openapi()}}), &mut |place, schema, _| {
        for name in schema["required"].as_array().into_iter().flatten() {
            if !place.starts_with(".root.status") {
                required.insert(name.as_str().unwrap().to_owned());
            }
        }
    });
    let expected = [
        "assert",
        "at",
        "key",
        "name",
        "operator",
        "path",
        "reason",
        "resources",
        "rules",
        "spec",
        "targets",
    ];
    assert_eq!(required.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

#[test]
fn the_server_and_the_types_fill_in_the_same_defaults() {
    let mut filled = smallest();
    fill_in_spec(&mut filled);
    assert_eq!(filled.pointer("/spec/mode"), Some(&json!("Audit")));
    assert_eq!(filled.pointer("/spec/enforcement/maxPerMinute"), Some(&json!(60)));

    let by_server: WatchPolicy = serde_json::from_value(filled.clone()).unwrap();
    let by_types: WatchPolicy = serde_json::from_value(smallest()).unwrap();
    assert_eq!(by_server, by_types);
    assert_eq!(serde_json::to_value(by_types).unwrap(), filled, "the types write what the server stores");
}

#[test]
fn the_contracts_example_loses_nothing_when_read_and_written() {
    let mut written: Value = serde_saphyr::from_str(EXAMPLE).unwrap();
    let policy: WatchPolicy = serde_saphyr::from_str(EXAMPLE).unwrap();
    assert_eq!(policy.spec.rules.len(), 3);
    assert_eq!(policy.spec.rules[1].check.measure, Measure::ImageRegistry);

    fill_in_spec(&mut written);
    assert_eq!(serde_json::to_value(policy).unwrap(), written);
}

#[test]
fn null_is_told_from_a_field_that_is_not_there() {
    let given: Assert = serde_json::from_value(json!({"equals": null})).unwrap();
    assert_eq!(given.equals, Some(Value::Null));
    assert_eq!(given.not_equals, None);
}

#[test]
fn a_pattern_that_is_none_is_kept_for_the_compiler_to_refuse() {
    let read = |value: Value| serde_json::from_value::<Patterns>(value).unwrap();
    assert_eq!(read(json!("a*")).as_slice(), Ok(["a*".to_owned()].as_slice()));
    assert_eq!(read(json!(["a", "b"])).as_slice(), Ok(["a".to_owned(), "b".to_owned()].as_slice()));
    assert_eq!(read(json!(8080)).as_slice(), Err(&json!(8080)));
    assert_eq!(read(json!(["a", 1])).as_slice(), Err(&json!(["a", 1])));
}

#[test]
fn a_policy_that_does_not_say_skips_owned_objects() {
    let mut filled = smallest();
    fill_in(&mut filled, &openapi());
    let silent: WatchPolicy = serde_json::from_value(filled).unwrap();
    assert_eq!(silent.spec.owned_objects, OwnedObjects::Skip);
}

#[test]
fn severities_are_ordered_from_the_mildest() {
    assert!(Severity::Critical > Severity::High && Severity::Low > Severity::Info);
}
