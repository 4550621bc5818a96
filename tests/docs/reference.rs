//! The reference of the kind WatchPolicy.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use crate::blocks::{read, root};

/// The page that is being written, and where each object was explained first: what has the same members is not told twice.
struct Page {
    text: String,
    explained: BTreeMap<String, String>,
}

/// A schema's type, with its choices and bounds.
fn type_of(schema: &Value) -> String {
    if let Some(choices) = schema["enum"].as_array() {
        return choices.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
    }
    let bound = |least: &str, most: &str| match (schema[least].as_i64(), schema[most].as_i64()) {
        (Some(least), Some(most)) if least > 0 => format!(" ({least} to {most})"),
        (_, Some(most)) => format!(" (at most {most})"),
        (Some(least), None) if least > 0 => format!(" (at least {least})"),
        _ => String::new(),
    };
    match schema["type"].as_str() {
        Some("array") => format!("list{} of {}", bound("minItems", "maxItems"), type_of(&schema["items"])),
        Some("string") if schema["format"] == "date-time" => "time".to_owned(),
        Some("string") => format!("string{}", bound("minLength", "maxLength")),
        Some("integer") => format!("integer{}", bound("minimum", "maximum")),
        Some(other) => other.to_owned(),
        None if schema["x-kubernetes-int-or-string"] == true => "integer or string".to_owned(),
        None => "anything".to_owned(),
    }
}

impl Page {
    fn members(&mut self, schema: &Value, path: &str) {
        for (name, member) in schema["properties"].as_object().into_iter().flatten() {
            let list = if member["type"] == "array" { "[]" } else { "" };
            let below = if list.is_empty() { member } else { &member["items"] };
            let place = format!("{path}{name}{list}");
            let known = self.seen(below, &place);
            let words =
                member["description"].as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|");
            let default = member.get("default").map(|value| format!("`{value}`")).unwrap_or_default();
            let like = known
                .as_ref()
                .map(|first| format!(" Its members are those of `{first}`."))
                .unwrap_or_default();
            writeln!(self.text, "| `{path}{name}` | {} | {default} | {words}{like} |", type_of(member))
                .unwrap();
            if known.is_none() {
                self.members(below, &format!("{place}."));
            }
        }
    }

    /// Where an object with the same members was explained before.
    fn seen(&mut self, schema: &Value, place: &str) -> Option<String> {
        let members = schema["properties"].as_object()?;
        let known = self.explained.get(&serde_json::to_string(members).unwrap()).cloned();
        if known.is_none() {
            self.explained.insert(serde_json::to_string(members).unwrap(), place.to_owned());
        }
        known
    }
}

/// The reference of the kind, from its definition.
fn reference() -> String {
    let crd: Value = serde_saphyr::from_str(&read("crds/watchpolicy.yaml")).unwrap();
    let text = "# Reference of WatchPolicy\n\n`watchpolicy.io/v1alpha1`, cluster-scoped, short name `wpol`. What `kubectl explain wpol --recursive` tells, from the \
        same [definition](../crds/watchpolicy.yaml). What rules mean is in [Concepts](concepts.md), how paths are written in [Paths](jsonpath.md). Written by \
        `UPDATE_DOCS=1 cargo test --test docs`.\n";
    let mut page = Page { text: text.to_owned(), explained: BTreeMap::new() };
    for part in ["spec", "status"] {
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"][part];
        write!(page.text, "\n## {part}\n\n| field | type | default | meaning |\n| --- | --- | --- | --- |\n")
            .unwrap();
        page.members(schema, "");
    }
    page.text
}

#[test]
fn the_reference_of_the_kind_is_what_its_definition_says() {
    let page = root().join("docs/reference.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&page, reference()).unwrap();
    }
    let same = std::fs::read_to_string(&page).is_ok_and(|held| held == reference());
    assert!(
        same,
        "docs/reference.md says otherwise than the CRD: run `UPDATE_DOCS=1 cargo test --test docs`"
    );
}
