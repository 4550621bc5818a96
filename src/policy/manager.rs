//! Who owns a field: `metadata.managedFields` as server-side apply keeps it (KEP-555, FieldsV1).

use crate::jsonpath::{Members, Node, Tree};

use super::pointer::{Pointer, Token};

/// The manager, other than our own, that owns a place; also one that is empty, in a value that the manager owns as a
/// whole. An empty value hides nothing of its owner's, and cannot be told from one of which each member has its own.
pub fn owner_of<'o>(object: Node<'o>, place: &Pointer, own: &str) -> Option<&'o str> {
    entries(object).filter(|(manager, _)| *manager != own).find_map(|(manager, entry)| {
        let fields = entry.get("fieldsV1")?;
        owns(fields, object, place.tokens()).then_some(manager)
    })
}

/// The manager, other than our own, that wrote the object last; status alone does not count.
pub fn last_writer<'o>(object: Node<'o>, own: &str) -> Option<&'o str> {
    let others = entries(object).filter(|(manager, entry)| {
        *manager != own && entry.get("subresource").and_then(Node::as_str) != Some("status")
    });
    let time = |entry: Node<'_>| entry.get("time").and_then(Node::as_str).unwrap_or_default().to_owned();
    others.max_by_key(|(_, entry)| time(*entry)).map(|(manager, _)| manager)
}

fn entries(object: Node<'_>) -> impl Iterator<Item = (&str, Node<'_>)> {
    let entries = object.get("metadata").and_then(|metadata| metadata.get("managedFields"));
    entries
        .into_iter()
        .flat_map(Node::elements)
        .filter_map(|entry| Some((entry.get("manager")?.as_str()?, entry)))
}

/// Whether a set of fields has the place, or has what it is in as a whole.
fn owns(fields: Node<'_>, value: Node<'_>, tokens: &[Token]) -> bool {
    let Node::Object(fields) = fields else { return false };
    let Some((token, rest)) = tokens.split_first() else { return true };
    let below = match token {
        Token::Name(name) => fields.get(&format!("f:{name}")).map(|below| (below, value.get(name))),
        Token::Index(index) => {
            let element = value.as_array().and_then(|elements| elements.get(*index));
            element.and_then(|element| Some((element_fields(fields, element, *index)?, Some(element))))
        }
    };
    below.is_some_and(|(below, value)| {
        let is_whole = matches!(below, Node::Object(members) if members.is_empty());
        let is_empty = matches!(value, Some(Node::Object(members)) if members.is_empty());
        match is_whole {
            true => rest.is_empty() || !is_empty,
            false => owns(below, value.unwrap_or(Node::Null), rest),
        }
    })
}

/// The fields of an element of a list: by its keys, as a member of a set, or by its index.
fn element_fields<'f>(fields: Members<'f>, element: Node<'_>, index: usize) -> Option<Node<'f>> {
    let found = fields.iter().find(|(name, _)| match name.split_once(':') {
        Some(("k", keys)) => keys.parse::<Tree>().is_ok_and(|keys| has_keys(element, keys.node())),
        Some(("v", value)) => value.parse::<Tree>().is_ok_and(|value| value.node() == element),
        Some(("i", at)) => at.parse() == Ok(index),
        _ => false,
    });
    found.map(|(_, below)| below)
}

fn has_keys(element: Node<'_>, keys: Node<'_>) -> bool {
    let Node::Object(keys) = keys else { return false };
    keys.iter().all(|(name, value)| element.get(name) == Some(value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object() -> Tree {
        Tree::from(&json!({
            "metadata": {
                "annotations": {"corp.io/owner": "me"},
                "managedFields": [
                    {"manager": "kubectl", "time": "2026-01-01T00:00:00Z", "fieldsV1": {
                        "f:metadata": {"f:annotations": {".": {}, "f:corp.io/owner": {}}},
                        "f:spec": {"f:containers": {r#"k:{"name":"a"}"#: {".": {}, "f:image": {}}}, "f:selector": {},
                                   "f:securityContext": {}},
                    }},
                    {"manager": "watchpolicy/owners", "time": "2026-01-02T00:00:00Z", "fieldsV1": {
                        "f:metadata": {"f:labels": {"f:team": {}}}}},
                    {"manager": "kubelet", "time": "2026-01-03T00:00:00Z", "subresource": "status", "fieldsV1": {}},
                ],
            },
            "spec": {"containers": [{"name": "b", "image": "x"}, {"name": "a", "image": "y"}], "selector": {"x": 1},
                     "securityContext": {}},
        }))
    }

    /// The place of a value that stands nowhere else in the object.
    fn owner(tokens: &[&str]) -> Option<String> {
        let tokens = tokens.iter().map(|token| match token.parse() {
            Ok(index) => Token::Index(index),
            Err(_) => Token::Name((*token).into()),
        });
        owner_of(object().node(), &tokens.collect(), "watchpolicy/owners").map(str::to_owned)
    }

    #[test]
    fn the_owner_of_a_field_is_found_through_names_keys_and_whole_values() {
        let kubectl = Some("kubectl".to_owned());
        assert_eq!(owner(&["metadata", "annotations", "corp.io/owner"]), kubectl);
        assert_eq!(owner(&["spec", "containers", "1", "image"]), kubectl);
        assert_eq!(owner(&["spec", "selector", "x"]), kubectl, "what is in an atomic value");
        assert_eq!(owner(&["spec", "selector", "y"]), kubectl, "what would be in one");
        for nobodys in [
            &["spec", "securityContext", "runAsNonRoot"][..],
            &["metadata", "labels", "team"],
            &["spec", "containers", "0", "image"],
            &["metadata", "annotations", "other"],
        ] {
            assert_eq!(owner(nobodys), None, "{nobodys:?}");
        }
    }

    #[test]
    fn the_last_writer_is_neither_we_nor_who_writes_status() {
        assert_eq!(last_writer(object().node(), "watchpolicy/owners"), Some("kubectl"));
    }
}
