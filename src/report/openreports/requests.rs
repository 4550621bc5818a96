//! The requests: reports are applied, deleted, and listed, by names and annotations alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Request;
use http::header::{ACCEPT, CONTENT_TYPE};
use serde::Deserialize;

use super::content::{API_VERSION, Content, DIGEST, MANAGED_BY, PREFIX, Place, RESOURCE, parsed};
use super::memory::Memory;
use crate::observe::wire::{Collection, Wire, WireError};
use crate::resource::Gvr;

/// Only metadata is wanted back.
const ANSWER: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
/// Reports on one page of a list.
const PAGE: u32 = 500;
/// The plural names.
pub(super) const RESOURCES: [&str; 2] = ["reports", "clusterreports"];

fn path(place: &Place) -> String {
    let name = &place.name;
    match &place.namespace {
        Some(namespace) => format!("/apis/{API_VERSION}/namespaces/{namespace}/reports/{name}"),
        None => format!("/apis/{API_VERSION}/clusterreports/{name}"),
    }
}

/// Makes the report what it should be, whether it is there or not: a server-side apply, under a name that is ours alone.
pub(super) fn application(content: Content) -> http::Result<Request<Vec<u8>>> {
    let path = format!("{}?fieldManager=watchpolicy&force=true", path(&content.place));
    Request::patch(path)
        .header(CONTENT_TYPE, "application/apply-patch+yaml")
        .header(ACCEPT, ANSWER)
        .body(content.json)
}

pub(super) fn deletion(place: &Place) -> http::Result<Request<Vec<u8>>> {
    Request::delete(path(place)).header(ACCEPT, "application/json").body(Vec::new())
}

/// Of a report in a list, what is read.
#[derive(Deserialize)]
struct Item {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    namespace: Option<String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// All reports that are there, and whether these are really all.
pub(super) async fn listed(wire: &Wire) -> Result<(Memory, bool), WireError> {
    let (mut memory, mut complete) = (Memory::default(), true);
    let (label, value) = MANAGED_BY;
    for resource in RESOURCES {
        let collection = Collection {
            labels: Some(format!("{label}={value}").into()),
            metadata_only: true,
            ..Collection::all(Gvr::new("openreports.io", "v1alpha1", resource))
        };
        let mut next = None;
        loop {
            let page = wire.list(&collection, PAGE, next.as_deref()).await?;
            let mut has_room = true;
            let end = page.each(|raw| has_room &= take(raw, &mut memory))?;
            if !has_room {
                complete = false;
                tracing::warn!(
                    "there are too many reports of earlier runs; some of them are left where they are"
                );
            }
            next = end.next.filter(|_| has_room);
            if next.is_none() {
                break;
            }
        }
    }
    Ok((memory, complete))
}

/// An item that cannot be read, or has the label and not the name, is no report of ours.
fn take(raw: &str, memory: &mut Memory) -> bool {
    let Ok(Item { metadata }) = serde_json::from_str::<Item>(raw) else { return true };
    if !metadata.name.starts_with(PREFIX) {
        return true;
    }
    let place = Place { namespace: metadata.namespace.as_deref().map(Arc::from), name: metadata.name.into() };
    let digest = metadata.annotations.get(DIGEST).and_then(|text| parsed(text));
    let resource = metadata.annotations.get(RESOURCE).map(String::as_str).unwrap_or_default();
    memory.found(place, digest, resource.into())
}
