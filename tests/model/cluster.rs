//! What an API server keeps: objects with uids, resourceVersions and managedFields, and what happened to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::fields;

/// The kinds that policies can name.
pub(crate) const KINDS: [(&str, &str); 2] = [("configmaps", "ConfigMap"), ("services", "Service")];

/// An object's place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    pub(crate) resource: String,
    /// Empty for cluster-scoped objects.
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Id {
    pub(crate) fn new(resource: &str, namespace: &str, name: &str) -> Self {
        Self { resource: resource.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

/// Something that happened.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) id: Id,
    pub(crate) version: u64,
    /// As a line of a watch.
    pub(crate) line: Arc<str>,
    pub(crate) at: Instant,
}

/// Why nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Absent,
    Conflict,
    /// A `test` failed.
    Unfit,
}

/// The objects.
pub(crate) struct Cluster {
    version: u64,
    uids: u64,
    pub(crate) objects: BTreeMap<Id, Value>,
    pub(crate) events: Vec<Event>,
    /// Watches from earlier versions are refused.
    pub(crate) compacted: u64,
    /// By resource, what its newest version is: those who watch another one are not woken.
    grown: BTreeMap<String, watch::Sender<u64>>,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        Self {
            version: 1,
            uids: 0,
            objects: BTreeMap::new(),
            events: Vec::new(),
            compacted: 0,
            grown: BTreeMap::new(),
        }
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Tells when something happened to a resource.
    pub(crate) fn grown(&mut self, resource: &str) -> watch::Receiver<u64> {
        self.grown_of(resource).subscribe()
    }

    fn grown_of(&mut self, resource: &str) -> &watch::Sender<u64> {
        self.grown.entry(resource.to_owned()).or_insert_with(|| watch::Sender::new(1))
    }

    pub(crate) fn get(&self, id: &Id) -> Option<&Value> {
        self.objects.get(id)
    }

    pub(crate) fn list<'c>(&'c self, resource: &'c str) -> impl Iterator<Item = &'c Value> {
        self.objects.iter().filter(move |(id, _)| id.resource == resource).map(|(_, object)| object)
    }

    /// The objects that policies can name.
    pub(crate) fn judged(&self) -> impl Iterator<Item = &Value> {
        KINDS.iter().flat_map(|(resource, _)| self.list(resource))
    }

    pub(crate) fn create(&mut self, id: &Id, manager: &str, mut object: Value) -> Result<Value, Refused> {
        if self.objects.contains_key(id) {
            return Err(Refused::Conflict);
        }
        self.uids += 1;
        object["metadata"]["uid"] = format!("uid-{}", self.uids).into();
        object["metadata"]["name"] = id.name.clone().into();
        if !id.namespace.is_empty() {
            object["metadata"]["namespace"] = id.namespace.clone().into();
        }
        let nothing = json!({"metadata": {
            "uid": object["metadata"]["uid"],
            "name": object["metadata"]["name"],
            "namespace": object["metadata"]["namespace"],
        }});
        Ok(self.store(id, manager, (&nothing, object), "ADDED"))
    }

    /// Replaces the version that an object was read in.
    pub(crate) fn replace(&mut self, id: &Id, manager: &str, object: Value) -> Result<Value, Refused> {
        let stored = self.objects.get(id).ok_or(Refused::Absent)?.clone();
        if stored["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] {
            return Err(Refused::Conflict);
        }
        Ok(self.store(id, manager, (&stored, object), "MODIFIED"))
    }

    /// What an object would be after a patch.
    pub(crate) fn patched(&self, id: &Id, operations: &[Value]) -> Result<Value, Refused> {
        let stored = self.objects.get(id).ok_or(Refused::Absent)?;
        fields::patched(stored, operations).ok_or(Refused::Unfit)
    }

    /// Stores what somebody made of an object; nothing happens when it is the same.
    pub(crate) fn update(&mut self, id: &Id, manager: &str, object: Value) -> Option<Value> {
        let stored = self.objects.get(id)?.clone();
        if stored == object {
            return Some(stored);
        }
        let goes = !object["metadata"]["deletionTimestamp"].is_null() && !is_held(&object);
        let object = self.store(id, manager, (&stored, object), "MODIFIED");
        if goes {
            self.delete(id);
        }
        Some(object)
    }

    /// Deletes an object at once, or once its last finalizer is gone.
    pub(crate) fn delete(&mut self, id: &Id) {
        let Some(object) = self.objects.get(id) else { return };
        if is_held(object) {
            let mut deleted = object.clone();
            deleted["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
            deleted["metadata"]["generation"] = (generation(&deleted) + 1).into();
            self.update(id, "kubectl", deleted);
        } else if let Some(object) = self.objects.remove(id) {
            self.tell(id, "DELETED", object);
        }
    }

    /// Changes what somebody wants.
    pub(crate) fn edit(&mut self, id: &Id, edit: impl FnOnce(&mut Value)) {
        let Some(mut object) = self.objects.get(id).cloned() else { return };
        edit(&mut object["spec"]);
        object["metadata"]["generation"] = (generation(&object) + 1).into();
        self.update(id, "kubectl", object);
    }

    fn store(&mut self, id: &Id, manager: &str, (before, mut object): (&Value, Value), kind: &str) -> Value {
        if KINDS.iter().any(|(resource, _)| id.resource == *resource) {
            fields::own(manager, before, &mut object);
        }
        // An empty list is none on the wire.
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.retain(|field, value| field != "finalizers" || *value != json!([]));
        }
        let object = self.tell(id, kind, object);
        self.objects.insert(id.clone(), object.clone());
        object
    }

    fn tell(&mut self, id: &Id, kind: &str, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        let line = format!("{}\n", json!({"type": kind, "object": object})).into();
        self.events.push(Event { id: id.clone(), version: self.version, line, at: Instant::now() });
        let version = self.version;
        self.grown_of(&id.resource).send_replace(version);
        object
    }
}

/// Whether it has a finalizer.
fn is_held(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty())
}

fn generation(object: &Value) -> i64 {
    object["metadata"]["generation"].as_i64().unwrap_or_default()
}
