//! Events as the server takes them, and the requests that bring them there.

use std::sync::Arc;

use http::Request;
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use serde_json::json;

use super::super::shown::shown;
use super::announcement::{Announcement, Subject, Weight};

/// Who tells.
const CONTROLLER: &str = "watchpolicy.io/operator";
/// Where events about cluster-scoped objects are, as the server wants it.
const DEFAULT_NAMESPACE: &str = "default";
/// The most bytes of a note that the server takes.
const MAX_NOTE: usize = 1024;
/// The most bytes of the name of the one that tells.
const MAX_INSTANCE: usize = 128;
/// The most bytes of what an event's name begins with.
const MAX_PREFIX: usize = 63;

/// Where an event is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) namespace: Arc<str>,
    pub(super) name: String,
}

impl Place {
    /// A place that no other event has: the time is part of its name.
    pub(super) fn new(announcement: &Announcement, digest: u64, now: Timestamp) -> Self {
        let namespace = announcement.regarding.namespace.clone().unwrap_or_else(|| DEFAULT_NAMESPACE.into());
        let prefix = announcement.policy.get(..MAX_PREFIX).unwrap_or(&announcement.policy);
        let name = format!("{prefix}.{digest:016x}{:x}", now.as_microsecond());
        Self { namespace, name }
    }
}

/// The event of a first occurrence.
pub(super) fn event(announcement: &Announcement, place: &Place, instance: &str, now: Timestamp) -> Event {
    let weight = match announcement.what.weight {
        Weight::Normal => "Normal",
        Weight::Warning => "Warning",
    };
    Event {
        metadata: ObjectMeta {
            name: Some(place.name.clone()),
            namespace: Some(place.namespace.to_string()),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(now)),
        type_: Some(weight.to_owned()),
        reason: Some(announcement.what.reason.to_owned()),
        action: Some(announcement.what.action.to_owned()),
        note: Some(shown(&announcement.note, MAX_NOTE)),
        regarding: Some(reference(&announcement.regarding)),
        related: announcement.related.as_ref().map(reference),
        reporting_controller: Some(CONTROLLER.to_owned()),
        reporting_instance: Some(shown(instance, MAX_INSTANCE)),
        ..Event::default()
    }
}

fn reference(subject: &Subject) -> ObjectReference {
    ObjectReference {
        api_version: Some(subject.api_version.to_string()),
        kind: Some(subject.kind.to_string()),
        namespace: subject.namespace.as_deref().map(str::to_owned),
        name: Some(subject.name.to_string()),
        uid: Some(subject.uid.to_string()),
        ..ObjectReference::default()
    }
}

/// A new event.
pub(super) fn creation(event: &Event, place: &Place) -> anyhow::Result<Request<Vec<u8>>> {
    let path =
        format!("/apis/events.k8s.io/v1/namespaces/{}/events?fieldManager=watchpolicy", place.namespace);
    let body = serde_json::to_vec(event)?;
    Ok(Request::post(path).header(CONTENT_TYPE, "application/json").body(body)?)
}

/// How often what an event tells has happened by now, and when last.
pub(super) fn extension(place: &Place, count: u32, last: Timestamp) -> anyhow::Result<Request<Vec<u8>>> {
    let Place { namespace, name } = place;
    let path =
        format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events/{name}?fieldManager=watchpolicy");
    let series = json!({"series": {"count": count, "lastObservedTime": MicroTime(last)}});
    let body = serde_json::to_vec(&series)?;
    Ok(Request::patch(path).header(CONTENT_TYPE, "application/merge-patch+json").body(body)?)
}
