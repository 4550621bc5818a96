//! Objects, from documents: lists unpacked, each with what is known of it before anybody judges it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::jsonpath::{Document, Identity, Projection, TypeMeta};

use super::documents::Written;
use super::{Origin, Trouble};

/// How deep lists are unpacked that hold lists.
const MAX_LISTS: usize = 8;

/// One object as it was written.
#[derive(Debug)]
pub(in crate::cli) struct Object {
    pub(in crate::cli) origin: Origin,
    pub(in crate::cli) types: TypeMeta,
    pub(in crate::cli) id: Identity,
    pub(in crate::cli) json: Box<str>,
}

/// The objects of the documents. What is not an object is noted.
pub(in crate::cli) fn unpack(documents: &[Written], troubles: &mut Vec<Trouble>) -> Vec<Object> {
    let mut objects = Vec::new();
    for Written { origin, json } in documents {
        let mut unpacking = Unpacking { origin, objects: &mut objects, troubles };
        unpacking.unpack(json, None, MAX_LISTS);
    }
    objects
}

/// The members that say what a document is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head<'t> {
    #[serde(default)]
    api_version: Option<String>,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default, borrow)]
    items: Option<&'t RawValue>,
}

struct Unpacking<'u> {
    origin: &'u Origin,
    objects: &'u mut Vec<Object>,
    troubles: &'u mut Vec<Trouble>,
}

impl Unpacking<'_> {
    /// `within` is what the items of a typed list are, which need not say it themselves.
    fn unpack(&mut self, json: &str, within: Option<&TypeMeta>, depth: usize) {
        let head: Head<'_> = match serde_json::from_str(json) {
            Ok(head) => head,
            Err(_) => return self.note("not a Kubernetes object: wanted apiVersion, kind and metadata"),
        };
        let or = |text: Option<String>, of: fn(&TypeMeta) -> &Arc<str>| {
            text.filter(|text| !text.is_empty())
                .map(Arc::from)
                .or_else(|| within.map(|types| Arc::clone(of(types))))
        };
        let Some(api_version) = or(head.api_version, |types| &types.api_version) else {
            return self.note("not a Kubernetes object: apiVersion is missing");
        };
        let Some(kind) = or(head.kind, |types| &types.kind) else {
            return self.note("not a Kubernetes object: kind is missing");
        };
        let types = TypeMeta { api_version, kind };
        match (types.kind.strip_suffix("List"), head.items) {
            (Some(of), Some(items)) => self.list(&types, of, items, depth),
            _ => self.object(json, types),
        }
    }

    fn list(&mut self, types: &TypeMeta, of: &str, items: &RawValue, depth: usize) {
        let within = (!of.is_empty())
            .then(|| TypeMeta { api_version: Arc::clone(&types.api_version), kind: of.into() });
        let Ok(items) = serde_json::from_str::<Option<Vec<&RawValue>>>(items.get()) else {
            return self.note("`items` of a list must be an array");
        };
        if depth == 0 {
            return self.note("lists in lists in lists are not unpacked any further");
        }
        for item in items.unwrap_or_default() {
            self.unpack(item.get(), within.as_ref(), depth - 1);
        }
    }

    fn object(&mut self, json: &str, types: TypeMeta) {
        match Document::decode(json, &Projection::default(), &types) {
            Ok(document) => {
                let origin = self.origin.clone();
                self.objects.push(Object { origin, types, id: document.id, json: json.into() });
            }
            Err(error) => self.note(&format!("{} {}", types.kind, reason(&error.to_string()))),
        }
    }

    fn note(&mut self, message: &str) {
        self.troubles.push(Trouble::at(self.origin, message));
    }
}

/// Why an object cannot be read, without what is written there, which may be of a Secret, and without a position, which
/// is one in a copy that nobody sees.
fn reason(error: &str) -> String {
    let error = error.split(" at line ").next().unwrap_or_default();
    let told = match (error.split_once(" \""), error.rsplit_once('"')) {
        (Some((before, _)), Some((_, after))) => format!("{before}{after}"),
        _ => error.to_owned(),
    };
    if told.contains("invalid type: boolean") {
        return told
            + "; y, n, yes, no, on and off are booleans in YAML 1.1: put what is meant as text in quotes";
    }
    told
}

impl Object {
    /// The API group; empty for the core group.
    pub(in crate::cli) fn group(&self) -> &str {
        self.types.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    /// Puts the object into a namespace or out of it, as the server does.
    pub(in crate::cli) fn put_into(&mut self, namespace: Option<&str>) {
        if let Some(json) = in_namespace(&self.json, namespace) {
            self.json = json;
            self.id.namespace = namespace.map(Into::into);
        }
    }
}

/// The same text with this `metadata.namespace`; all other values keep their spelling.
fn in_namespace(json: &str, namespace: Option<&str>) -> Option<Box<str>> {
    let mut object: BTreeMap<String, Box<RawValue>> = serde_json::from_str(json).ok()?;
    let mut metadata: BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(object.get("metadata")?.get()).ok()?;
    match namespace {
        Some(namespace) => {
            metadata.insert("namespace".into(), serde_json::value::to_raw_value(namespace).ok()?)
        }
        None => metadata.remove("namespace"),
    };
    object.insert("metadata".into(), serde_json::value::to_raw_value(&metadata).ok()?);
    Some(serde_json::to_string(&object).ok()?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_told_without_its_value_and_without_a_position_in_a_copy() {
        let told =
            reason("not an object: invalid type: string \"hunter2\", expected a map at line 1 column 9");
        assert_eq!(told, "not an object: invalid type: string, expected a map");
        let told = reason("invalid type: boolean `false`, expected a string at line 1 column 93");
        assert!(told.ends_with("put what is meant as text in quotes"), "{told}");
    }
}
