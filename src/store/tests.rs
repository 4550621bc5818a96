//! Shelves and what is read from them.

use std::sync::Arc;

use super::*;
use crate::crd::TargetState;
use crate::jsonpath::{Document, Identity, Path, Projection, Roots, TypeMeta};
use crate::resource::{Gvr, ObjectKey, ObjectName};

fn types() -> TypeMeta {
    TypeMeta { api_version: "v1".into(), kind: "Widget".into() }
}

fn shelf(epoch: u64) -> Shelf {
    shelf_in(&Arc::default(), epoch)
}

fn shelf_in(room: &Arc<Room>, epoch: u64) -> Shelf {
    Shelf::new(epoch, Gvr::new("example.com", "v1", "widgets"), types(), Arc::clone(room))
}

fn widget(name: &str, size: u32, version: u32) -> Document {
    let mut projection = Projection::default();
    projection.read(&Path::parse("$.spec.size").unwrap(), &Roots::default(), None);
    let raw = format!(
        r#"{{"metadata":{{"name":"{name}","uid":"u-{name}","resourceVersion":"{version}"}},"spec":{{"size":{size}}}}}"#
    );
    Document::decode(&raw, &projection, &types()).unwrap()
}

fn name(name: &str) -> ObjectName {
    ObjectName { namespace: None, name: name.into() }
}

#[test]
fn a_new_version_that_reads_the_same_is_kept_and_is_no_change() {
    let shelf = shelf(1);
    assert_eq!(shelf.put(widget("a", 1, 1)).change, Change::Changed);
    assert_eq!(shelf.put(widget("a", 1, 2)).change, Change::Unchanged);
    assert_eq!(&*shelf.get(&name("a")).unwrap().id.resource_version, "2", "the version is always refreshed");
    assert_eq!(shelf.put(widget("a", 2, 3)).change, Change::Changed);
}

#[test]
fn what_a_list_does_not_show_any_more_is_found_at_its_end() {
    let shelf = shelf(1);
    shelf.put(widget("a", 1, 1));
    shelf.put(widget("b", 1, 1));
    shelf.begin_list();
    assert_eq!(shelf.put(widget("a", 1, 1)).change, Change::Unchanged, "a list again is no change");
    shelf.put(widget("c", 1, 5));
    let swept = || shelf.sweep().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(swept(), [name("b")]);
    assert_eq!(shelf.len(), 2);
    assert_eq!(swept(), []);
}

#[test]
fn a_list_that_was_given_up_in_the_middle_loses_nothing() {
    let shelf = shelf(1);
    shelf.put(widget("a", 1, 1));
    shelf.begin_list();
    shelf.begin_list();
    assert_eq!(shelf.len(), 1);
}

#[test]
fn an_object_is_found_by_its_uid_and_by_that_of_its_controller() {
    let child = |name: &str, controller: &str, version: u32| {
        let raw = format!(
            r#"{{"metadata":{{"name":"{name}","namespace":"n","uid":"u-{name}","resourceVersion":"{version}",
            "ownerReferences":[{{"uid":"{controller}","controller":true}}]}}}}"#
        );
        Document::decode(&raw, &Projection::default(), &types()).unwrap()
    };
    let shelf = shelf(1);
    shelf.put(child("a", "u-x", 1));
    shelf.put(child("b", "u-x", 1));
    let owner = |uid: &str, namespace: Option<&str>| {
        let mut owner = child("x", "", 1);
        (owner.id.uid, owner.id.namespace) = (uid.into(), namespace.map(Arc::from));
        owner
    };
    let children = |uid: &str, namespace: Option<&str>| {
        let children = shelf.children(&owner(uid, namespace));
        children.iter().map(|(name, _)| name.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(children("u-x", Some("n")), ["a", "b"]);
    assert_eq!(children("u-x", None), ["a", "b"], "whatever the namespace, for one that is in none");
    assert_eq!(children("u-x", Some("other")), [""; 0]);
    assert!(shelf.of_uid("u-a", Some("n")).is_some() && shelf.of_uid("u-a", Some("other")).is_none());
    shelf.put(child("a", "u-y", 2));
    assert_eq!((children("u-x", None), children("u-y", None)), (vec!["b".into()], vec!["a".into()]));
    shelf.begin_list();
    shelf.put(child("b", "u-x", 1));
    shelf.sweep();
    assert!(shelf.of_uid("u-a", Some("n")).is_none() && children("u-y", None).is_empty());
    let anew =
        Document { id: Identity { uid: "u-new".into(), ..child("b", "u-x", 3).id }, ..child("b", "u-x", 3) };
    let predecessor = shelf.put(anew).predecessor.map(|old| old.id.uid.clone());
    assert_eq!(predecessor.as_deref(), Some("u-b"));
    assert!(shelf.of_uid("u-b", Some("n")).is_none() && shelf.of_uid("u-new", Some("n")).is_some());
}

#[test]
fn bytes_return_to_nothing_with_the_documents() {
    let shelf = shelf(1);
    shelf.put(widget("a", 1, 1));
    shelf.put(widget("b", 1, 1));
    shelf.put(widget("b", 12, 2));
    assert!(shelf.bytes() > 0);
    assert!(shelf.remove(&name("a")).is_some() && shelf.remove(&name("a")).is_none());
    shelf.begin_list();
    shelf.sweep();
    assert_eq!((shelf.len(), shelf.bytes()), (0, 0));
}

#[test]
fn the_newest_synced_watch_is_read_first_and_a_closed_one_not_at_all() {
    let store = Store::default();
    let (old, new) = (Arc::new(shelf(1)), Arc::new(shelf(2)));
    for (shelf, size) in [(&old, 1), (&new, 2)] {
        shelf.put(widget("a", size, size));
        store.open(Arc::clone(shelf));
    }
    let resource = &old.resource.resource;
    let key = ObjectKey { resource: resource.clone(), object: name("a") };
    let versions = || {
        let views = store.views(&key);
        views.iter().map(|view| view.document.id.resource_version.to_string()).collect::<Vec<_>>()
    };
    old.sweep();
    assert_eq!(versions(), ["1", "2"], "a list under way is behind");
    new.sweep();
    assert_eq!(versions(), ["2", "1"]);
    store.close(resource, 2);
    assert_eq!(versions(), ["1"]);
    store.close(resource, 1);
    assert!(store.views(&key).is_empty() && store.shelves().is_empty());
}

#[test]
fn what_is_followed_at_this_moment_is_believed_before_what_is_newer_and_lost() {
    let store = Store::default();
    let (works, lost) = (Arc::new(shelf(1)), Arc::new(shelf(2)));
    for (shelf, state) in [(&works, TargetState::Synced), (&lost, TargetState::Degraded)] {
        shelf.put(widget("a", 1, u32::try_from(shelf.epoch).unwrap()));
        shelf.sweep();
        shelf.set_state(state);
        store.open(Arc::clone(shelf));
    }
    let key = ObjectKey { resource: works.resource.resource.clone(), object: name("a") };
    let first = || store.views(&key)[0].document.id.resource_version.to_string();
    assert_eq!(first(), "1");
    lost.set_state(TargetState::Synced);
    assert_eq!(first(), "2");
}

fn room(limits: Limits) -> Arc<Room> {
    Arc::new(Room::new(limits))
}

/// A widget of which so many bytes are read.
fn large(name: &str, bytes: usize) -> Document {
    let mut projection = Projection::default();
    projection.read(&Path::parse("$.spec.text").unwrap(), &Roots::default(), None);
    let text = "x".repeat(bytes);
    let raw = format!(r#"{{"metadata":{{"name":"{name}","uid":"u-{name}"}},"spec":{{"text":"{text}"}}}}"#);
    Document::decode(&raw, &projection, &types()).unwrap()
}

fn reason(shelf: &Shelf, object: &str) -> String {
    shelf.get(&name(object)).unwrap().root.as_ref().unwrap_err().to_string()
}

#[test]
fn an_object_of_which_too_much_is_read_is_kept_as_one_that_cannot_be() {
    let shelf = shelf_in(&room(Limits { document_bytes: 1000, ..Limits::default() }), 1);
    shelf.put(large("a", 10));
    assert_eq!(shelf.put(large("b", 5000)).change, Change::Changed);
    assert!(shelf.get(&name("a")).unwrap().root.is_ok());
    assert!(reason(&shelf, "b").contains("--max-document-bytes"), "{}", reason(&shelf, "b"));
    assert_eq!(shelf.exceeded(), None, "the target sees everything");
    assert_eq!(shelf.put(large("b", 6000)).change, Change::Unchanged);
    assert_eq!(shelf.put(large("b", 10)).change, Change::Changed);
}

#[test]
fn an_object_whose_labels_or_name_are_too_large_is_an_error_of_its_own() {
    let shelf = shelf_in(&room(Limits { document_bytes: 1000, ..Limits::default() }), 1);
    let labels = vec![(Arc::from("key"), Box::from("v".repeat(50))); 50].into_boxed_slice();
    let long = "n".repeat(3000);
    for document in [Document { labels, ..widget("a", 1, 1) }, widget(&long, 1, 1)] {
        assert_eq!(shelf.put(document).change, Change::Changed);
    }
    for object in ["a", &long] {
        assert!(reason(&shelf, object).contains("--max-document-bytes"), "{}", reason(&shelf, object));
    }
    assert_eq!((shelf.len(), shelf.exceeded()), (2, None), "the target sees everything");
}

#[test]
fn large_shelves_leave_room_for_small_ones() {
    let room = room(Limits { total_bytes: 400_000, targets: 20, ..Limits::default() });
    let large_ones = [shelf_in(&room, 1), shelf_in(&room, 2)];
    for n in 0..200 {
        large_ones.iter().for_each(|shelf| drop(shelf.put(large(&format!("n{n}"), 2000))));
    }
    assert!(large_ones.iter().all(|shelf| shelf.exceeded() == Some(Exceeded::Total(300_000))));
    assert!(room.taken() <= 300_000, "{}", room.taken());
    let small_ones: Vec<_> = (3..23).map(|epoch| shelf_in(&room, epoch)).collect();
    for small in &small_ones {
        small.put(large("a", 2000));
        assert!(small.exceeded().is_none() && small.get(&name("a")).unwrap().root.is_ok());
    }
}

#[test]
fn past_its_number_of_objects_a_shelf_follows_those_that_it_knows() {
    let shelf = shelf_in(&room(Limits { objects: 1, ..Limits::default() }), 1);
    shelf.put(widget("a", 1, 1));
    assert_eq!(shelf.put(widget("b", 1, 1)).change, Change::Refused);
    assert_eq!((shelf.len(), shelf.exceeded()), (1, Some(Exceeded::Objects(1))));
    assert_eq!(shelf.put(widget("a", 2, 2)).change, Change::Changed);
    shelf.remove(&name("a"));
    shelf.begin_list();
    shelf.put(widget("b", 1, 1));
    assert_eq!((shelf.len(), shelf.exceeded()), (1, None), "a list with room for all of it heals");
}

#[test]
fn past_its_bytes_a_shelf_keeps_that_there_are_objects_and_then_nothing() {
    let shelf = shelf_in(&room(Limits { bytes: 10_000, ..Limits::default() }), 1);
    shelf.put(large("a", 4000));
    shelf.put(large("b", 4000));
    assert_eq!(shelf.put(large("c", 4000)).change, Change::Changed);
    assert!(reason(&shelf, "c").contains("--max-bytes-per-target"), "{}", reason(&shelf, "c"));
    assert_eq!(shelf.exceeded(), Some(Exceeded::Bytes(10_000)));
    let refused = (0..30).filter(|n| shelf.put(large(&format!("n{n}"), 4000)).change == Change::Refused);
    assert!(refused.count() > 0 && shelf.bytes() <= 10_000, "{}", shelf.bytes());
    assert_eq!(shelf.put(large("a", 100)).change, Change::Changed, "what shrinks is kept");
    assert!(shelf.get(&name("a")).unwrap().root.is_ok());
}

#[test]
fn all_shelves_share_one_bound_and_a_dropped_one_gives_back_what_it_took() {
    let room = room(Limits { total_bytes: 13_333, ..Limits::default() });
    let (first, second) = (shelf_in(&room, 1), shelf_in(&room, 2));
    first.put(large("a", 8000));
    second.put(large("b", 8000));
    assert_eq!(second.exceeded(), Some(Exceeded::Total(10_000)));
    assert_eq!((first.exceeded(), room.taken()), (None, first.bytes() + second.bytes()));
    drop(first);
    second.begin_list();
    second.put(large("b", 8000));
    assert!(second.exceeded().is_none() && second.get(&name("b")).unwrap().root.is_ok());
    drop(second);
    assert_eq!(room.taken(), 0);
}

fn owned(name: &str, policy: &str) -> Document {
    let raw = format!(
        r#"{{"metadata":{{"name":"{name}","uid":"u-{name}","managedFields":[
            {{"manager":"watchpolicy/{policy}","operation":"Update","fieldsV1":{{}}}}]}}}}"#
    );
    Document::decode(&raw, &Projection::default(), &types()).unwrap()
}

#[test]
fn what_our_policies_own_something_of_is_found_and_forgotten() {
    let (store, shelf) = (Store::default(), Arc::new(shelf(1)));
    store.open(Arc::clone(&shelf));
    shelf.put(widget("a", 1, 1));
    shelf.put(owned("b", "p"));
    shelf.put(owned("c", "p"));
    let found = || store.owned().into_keys().map(|key| key.object.name.to_string()).collect::<Vec<_>>();
    assert_eq!(found(), ["b", "c"]);
    assert_eq!(shelf.put(widget("b", 1, 2)).change, Change::Changed);
    assert_eq!(found(), ["c"]);
    shelf.remove(&name("c"));
    assert_eq!(found(), [""; 0]);
}

#[test]
fn a_namespace_ends_as_a_synced_watch_of_namespaces_says() {
    let store = Store::default();
    let shelf = Arc::new(Shelf::new(1, Gvr::new("", "v1", "namespaces"), types(), Arc::default()));
    store.open(Arc::clone(&shelf));
    let namespace = |name: &str, deleting: &str| {
        let raw = format!(r#"{{"metadata":{{"name":"{name}"{deleting}}}}}"#);
        Document::decode(&raw, &Projection::default(), &types()).unwrap()
    };
    shelf.put(namespace("stays", ""));
    shelf.put(namespace("ends", r#","deletionTimestamp":"2026-01-01T00:00:00Z""#));
    assert_eq!(store.is_ending(&"ends".into()), None, "not before it is synced");
    shelf.sweep();
    shelf.put(namespace("stays", ""));
    shelf.put(namespace("ends", r#","deletionTimestamp":"2026-01-01T00:00:00Z""#));
    assert_eq!(store.is_ending(&"ends".into()), Some(true));
    assert_eq!(store.is_ending(&"stays".into()), Some(false));
    assert_eq!(store.is_ending(&"unseen".into()), None);
}
