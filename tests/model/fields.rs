//! Objects as trees of fields: what changed between two of them, and who owns what (KEP-555, FieldsV1).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Every field of an object that is no object itself, by its JSON Pointer.
pub(crate) fn leaves(object: &Value) -> BTreeMap<String, Value> {
    fn walk(at: &str, value: &Value, found: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(members) => members.iter().for_each(|(name, below)| {
                let name = name.replace('~', "~0").replace('/', "~1");
                walk(&format!("{at}/{name}"), below, found);
            }),
            leaf => drop(found.insert(at.to_owned(), leaf.clone())),
        }
    }
    let mut found = BTreeMap::new();
    walk("", object, &mut found);
    found
}

/// The fields that differ, without what the server itself writes.
pub(crate) fn changed(before: &Value, after: &Value) -> Vec<String> {
    let (before, after) = (leaves(before), leaves(after));
    let all = before.keys().chain(after.keys());
    let mut changed: Vec<_> = all.filter(|at| before.get(*at) != after.get(*at)).cloned().collect();
    changed.retain(|at| !at.starts_with("/metadata/managedFields") && at != "/metadata/resourceVersion");
    changed.sort_unstable();
    changed.dedup();
    changed
}

/// Notes in `metadata.managedFields` of the new object that a manager wrote what differs from the old one. Who writes these
/// entries has them taken as written.
pub(crate) fn own(manager: &str, before: &Value, after: &mut Value) {
    let changed = changed(before, after);
    let fields = leaves(after);
    let mut owned = owned(after);
    for of_manager in owned.values_mut() {
        of_manager.retain(|at| !changed.contains(at));
    }
    let written = changed.into_iter().filter(|at| fields.contains_key(at));
    owned.entry(manager.to_owned()).or_default().extend(written);
    owned.retain(|_, of_manager| !of_manager.is_empty());
    let entries = owned.iter().map(|(manager, of_manager)| {
        json!({
            "manager": manager, "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
            "time": "2026-01-01T00:00:00Z", "fieldsV1": as_fields(of_manager),
        })
    });
    after["metadata"]["managedFields"] = entries.collect();
}

/// The pointers that each manager owns.
pub(crate) fn owned(object: &Value) -> BTreeMap<String, Vec<String>> {
    fn walk(at: &str, fields: &Value, found: &mut Vec<String>) {
        let members = fields.as_object().into_iter().flatten();
        let mut below =
            members.filter_map(|(name, below)| Some((name.strip_prefix("f:")?, below))).peekable();
        if below.peek().is_none() {
            return found.push(at.to_owned());
        }
        for (name, fields) in below {
            walk(&format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), fields, found);
        }
    }
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    // Who owns nothing and has no name is nobody.
    let owned = entries.filter_map(|entry| {
        let mut found = Vec::new();
        walk("", &entry["fieldsV1"], &mut found);
        Some((entry["manager"].as_str()?.to_owned(), found))
    });
    owned.collect()
}

fn as_fields(pointers: &[String]) -> Value {
    let mut fields = Value::Object(Map::new());
    for pointer in pointers {
        let names = pointer.split('/').skip(1).map(|name| name.replace("~1", "/").replace("~0", "~"));
        let mut at = &mut fields;
        for name in names {
            at = at.as_object_mut().unwrap().entry(format!("f:{name}")).or_insert_with(|| json!({}));
        }
    }
    fields
}

/// Carries a JSON Patch out as the API server does: `test … null` passes where the member is absent.
pub(crate) fn patched(object: &Value, operations: &[Value]) -> Option<Value> {
    let mut object = object.clone();
    for operation in operations {
        let absent = object.pointer(operation["path"].as_str()?).is_none();
        let expects_absence = operation["op"] == "test" && operation["value"].is_null();
        let one: json_patch::Patch = serde_json::from_value(json!([operation])).ok()?;
        if !(expects_absence && absent) && json_patch::patch(&mut object, &one).is_err() {
            return None;
        }
    }
    Some(object)
}
