//! The part of an object that programs read, and what is known of every object.

use std::sync::Arc;

use serde::de::Error as _;
use thiserror::Error;

use super::decode;
use super::metadata::{Metadata, Owned, Wanted};
use super::projection::Projection;
use super::scan::Scanner;
use super::tree::{Builder, Span, TooLarge, Tree};
use super::trie::Trie;

/// What the watch knows of all its objects: list items do not carry it, metadata-only objects carry another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeMeta {
    /// Group and version, `apps/v1`; the core group's `v1`.
    pub api_version: Arc<str>,
    /// The kind, `Deployment`.
    pub kind: Arc<str>,
}

/// Which object it is, and in which version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `metadata.name`; never empty.
    pub name: Arc<str>,
    /// `None` for cluster-scoped objects.
    pub namespace: Option<Arc<str>>,
    /// Empty for objects that no server has stored.
    pub uid: Arc<str>,
    /// Empty for objects that no server has stored.
    pub resource_version: Arc<str>,
}

/// An object as far as some program reads it.
#[derive(Clone, Debug)]
pub struct Document {
    /// Which object it is.
    pub id: Identity,
    /// Labels, sorted by name, where the projection asks for them (selectors need them); else empty.
    pub labels: Box<[(Arc<str>, Box<str>)]>,
    /// The uid of the owner that is the controller.
    pub controller: Option<Arc<str>>,
    /// `metadata.deletionTimestamp`, as it is written.
    pub deleting: Option<Box<str>>,
    /// What policies of this operator own of the object; nearly always nothing.
    pub owned: Box<[Owned]>,
    /// What is read of the object; `kind` and `apiVersion`, where read, are those of the watch. `Err` says why the
    /// object cannot be read: it is judged as `Error`, and hides no other.
    pub root: Result<Tree, Box<str>>,
}

/// Why an item is not an object at all.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// Not JSON, or its metadata is not what Kubernetes writes.
    #[error("not a Kubernetes object: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// It cannot be told from others.
    #[error("not a Kubernetes object: `metadata.name` is missing or empty")]
    Nameless,
}

impl Document {
    /// Reads a raw item, of which only what the projection reads is built. What is not read may hold anything that
    /// JSON allows, at any depth.
    ///
    /// # Errors
    /// Only when not even an identity can be found. A part that is read and cannot be (more than 128 levels, `1e400`,
    /// a lone surrogate) makes [`Document::root`] an `Err`.
    pub fn decode(raw: &str, projection: &Projection, types: &TypeMeta) -> Result<Self, DecodeError> {
        let failure = match walk(raw, projection, types) {
            Ok((metadata, root)) => return Self::new(metadata, Ok(root)),
            Err(failure) => failure,
        };
        let mut identity = Projection::default();
        if projection.reads_labels() {
            identity.read_labels();
        }
        let found = walk(raw, &identity, types).or_else(|_| walk(raw, &Projection::default(), types));
        let (metadata, _) = found.map_err(DecodeError::Unreadable)?;
        Self::new(metadata, Err(unreadable(&failure)))
    }

    fn new(metadata: Metadata, root: Result<Tree, Box<str>>) -> Result<Self, DecodeError> {
        let Metadata { name, namespace, uid, resource_version, labels, controller, deleting, owned } =
            metadata;
        let id = Identity {
            name: name.filter(|name| !name.is_empty()).ok_or(DecodeError::Nameless)?,
            namespace: namespace.filter(|namespace| !namespace.is_empty()),
            uid: uid.unwrap_or_default(),
            resource_version: resource_version.unwrap_or_default(),
        };
        Ok(Self { id, labels, controller, deleting, owned, root })
    }

    /// Whether a change of the object changed nothing that is kept: all but the resource version is equal.
    pub fn same_content(&self, other: &Self) -> bool {
        let Self { id, labels, controller, deleting, owned, root } = self;
        let Identity { name, namespace, uid, resource_version: _ } = id;
        *name == other.id.name
            && *namespace == other.id.namespace
            && *uid == other.id.uid
            && *labels == other.labels
            && *controller == other.controller
            && *deleting == other.deleting
            && *owned == other.owned
            && *root == other.root
    }

    /// Bytes on the heap, without the struct itself.
    pub fn heap_bytes(&self) -> usize {
        let Self { id, labels, controller, deleting, owned, root } = self;
        let Identity { name, namespace, uid, resource_version } = id;
        let texts = [Some(name), namespace.as_ref(), Some(uid), Some(resource_version), controller.as_ref()];
        let pairs = labels.iter().map(|(name, value)| shared_bytes(name) + value.len());
        let entries = owned.iter().map(|owned| owned.policy.len() + owned.fields.len());
        let tree = match root {
            Ok(tree) => tree.heap_bytes(),
            Err(reason) => reason.len(),
        };
        texts.into_iter().flatten().map(|text| shared_bytes(text)).sum::<usize>()
            + size_of_val::<[_]>(labels)
            + pairs.sum::<usize>()
            + deleting.as_ref().map_or(0, |time| time.len())
            + size_of_val::<[_]>(owned)
            + entries.sum::<usize>()
            + tree
    }
}

/// Without the position in the raw text, which moves with every change of the object and would make each a new result.
fn unreadable(failure: &serde_json::Error) -> Box<str> {
    let text = failure.to_string();
    let reason = text.split(" at line ").next().unwrap_or_default();
    format!("a part that a rule reads cannot be read: {reason}").into()
}

/// Bytes on the heap of a shared string: its two counters and its text.
fn shared_bytes(text: &str) -> usize {
    2 * size_of::<usize>() + text.len()
}

const METADATA: &[u8] = b"metadata";
const API_VERSION: &[u8] = b"apiVersion";
const KIND: &[u8] = b"kind";

/// Reads an object once: its metadata, and what the projection reads.
fn walk(raw: &str, projection: &Projection, types: &TypeMeta) -> Result<(Metadata, Tree), serde_json::Error> {
    let (trie, labels) = (projection.trie(), projection.reads_labels());
    let (mut scanner, mut builder, mut metadata) = (Scanner::new(raw), Builder::default(), None);
    let mark = builder.mark();
    scanner.object(|scanner, name| {
        let name = name.bytes()?;
        if matches!(&*name, API_VERSION | KIND) {
            return scanner.value().map(drop);
        }
        let read = decode::read_of(trie, &name, &mut builder)?;
        match (&*name, read) {
            (METADATA, read) => {
                metadata = Some(Metadata::read(scanner, Wanted { labels, read }, &mut builder)?);
                Ok(())
            }
            (_, Some(read)) => decode::part(scanner, read, &mut builder),
            (_, None) => scanner.value().map(drop),
        }
    })?;
    scanner.end()?;
    let filled =
        add_types(&mut builder, trie, types).and_then(|()| builder.close_object(mark, Span::default()));
    filled.map_err(serde_json::Error::custom)?;
    let metadata = metadata.ok_or_else(|| serde_json::Error::missing_field("metadata"))?;
    Ok((metadata, builder.finish()))
}

/// `kind` and `apiVersion`, where they are read, come from the watch.
fn add_types(builder: &mut Builder, trie: &Trie, types: &TypeMeta) -> Result<(), TooLarge> {
    let TypeMeta { api_version, kind } = types;
    for (name, value) in [("apiVersion", api_version), ("kind", kind)] {
        if let Some(below) = trie.child(name) {
            let name = builder.name(name)?;
            builder.string(name, if below.whole { value } else { "" })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::resource::GroupResource;

    use super::super::{Path, Roots};
    use super::*;

    const POD: &str = include_str!("testdata/pod.json");

    fn types() -> TypeMeta {
        TypeMeta { api_version: "v1".into(), kind: "Pod".into() }
    }

    fn reading(paths: &[&str]) -> Projection {
        let roots = Roots::of_builtin(&GroupResource::new("", "pods"));
        let mut projection = Projection::default();
        paths.iter().for_each(|path| projection.read(&Path::parse(path).unwrap(), &roots, None));
        projection
    }

    fn decode(raw: &str, paths: &[&str]) -> Document {
        Document::decode(raw, &reading(paths), &types()).unwrap()
    }

    fn object(rest: &str) -> String {
        format!(r#"{{"metadata":{{"name":"a","uid":"u"}},{rest}}}"#)
    }

    #[test]
    fn only_what_is_read_is_kept() {
        let document = decode(POD, &["$containers[*].image", "$.spec.hostNetwork", "$.metadata.labels.team"]);
        assert_eq!(
            document.root.unwrap().to_string(),
            r#"{"metadata":{"labels":{"team":"payments"}},"spec":{"containers":[{"image":"registry.corp.io/shop/checkout:2.14.1"},{"image":"ghcr.io/example/proxy:1.9.0"}]}}"#
        );
    }

    #[test]
    fn identity_and_owner_are_known_whatever_is_read() {
        for paths in
            [&[][..], &["$.metadata"], &["$"], &["$.metadata.ownerReferences[*].name", "$.metadata.uid"]]
        {
            let document = decode(POD, paths);
            assert_eq!(&*document.id.name, "checkout-7d9c5b6f4d-x2v8k", "{paths:?}");
            assert_eq!(document.id.namespace.as_deref(), Some("shop"));
            assert_eq!(&*document.id.resource_version, "48213377");
            assert_eq!(&*document.id.uid, "0b0f6c0e-6c1e-4d0a-9a53-5e1d6f2a7b11");
            assert_eq!(document.controller.as_deref(), Some("d5a3f8b2-1e53-4f0b-8c7e-2b9a4c6d8e10"));
            assert_eq!((document.deleting, document.owned.len(), document.labels.len()), (None, 0, 0));
        }
    }

    #[test]
    fn a_whole_document_is_the_object_with_its_type() {
        let mut value: serde_json::Value = serde_json::from_str(POD).unwrap();
        value["kind"] = "Pod".into();
        value["apiVersion"] = "v1".into();
        assert_eq!(decode(POD, &["$"]).root, Ok(Tree::from(&value)));
    }

    #[test]
    fn kind_and_version_are_those_of_the_watch() {
        let partial = object(r#""kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1""#);
        for raw in [partial, object(r#""spec":{}"#)] {
            let root = decode(&raw, &["$object.kind", "$.apiVersion"]).root.unwrap();
            assert_eq!(root.to_string(), r#"{"apiVersion":"v1","kind":"Pod"}"#);
        }
        assert_eq!(decode(&object(r#""kind":"X""#), &["$.spec"]).root.unwrap().to_string(), "{}");
    }

    #[test]
    fn labels_deletion_and_our_field_manager_are_seen() {
        let raw = r#"{"metadata":{"labels":{"b":"0","b":"2","a":"1"},"name":"a","deletionTimestamp":"2026-01-01T00:00:00Z",
            "managedFields":[{"manager":"kubectl"},
            {"manager":"watchpolicy/owner","operation":"Update","fieldsV1":{"f:data":{}}},
            {"manager":"watchpolicy/applied","operation":"Apply","fieldsV1":{}},
            {"manager":"watchpolicy/status","operation":"Update","fieldsV1":{},"subresource":"status"},
            {"manager":"watchpolicy/x&dryRun=All","operation":"Update","fieldsV1":{}}]}}"#;
        let mut projection = Projection::default();
        projection.read_labels();
        let document = Document::decode(raw, &projection, &types()).unwrap();
        assert_eq!(&*document.labels, [("a".into(), "1".into()), ("b".into(), "2".into())]);
        assert_eq!(document.deleting.as_deref(), Some("2026-01-01T00:00:00Z"));
        let owned = Owned { policy: "owner".into(), fields: r#"{"f:data":{}}"#.into() };
        assert_eq!(*document.owned, [owned], "updates by names that a policy can have");
        assert_eq!(decode(raw, &[]).labels.len(), 0);
    }

    #[test]
    fn only_the_owner_that_controls_is_the_controller() {
        let raw = |controller| {
            format!(
                r#"{{"metadata":{{"name":"a","ownerReferences":[{{"uid":"x"}},{{"uid":"y","controller":{controller}}}]}}}}"#
            )
        };
        assert_eq!(decode(&raw(true), &[]).controller.as_deref(), Some("y"));
        assert_eq!(decode(&raw(false), &[]).controller, None);
    }

    #[test]
    fn what_cannot_be_read_matters_only_where_it_is_read() {
        let deep = format!(r#""x":{}{}"#, "[".repeat(5000), "]".repeat(5000));
        let hostile = [deep.as_str(), r#""x":1e400"#, r#""x":"\ud800""#, r#""x":{"\ud800":1}"#];
        for rest in hostile {
            let raw = object(&format!(r#"{rest},"y":1"#));
            assert_eq!(decode(&raw, &["$.y"]).root.unwrap().to_string(), r#"{"y":1}"#, "{rest}");
            let document = decode(&raw, &["$.x", "$.y"]);
            assert!(document.root.is_err(), "{rest}");
            assert_eq!(&*document.id.name, "a");
            let moved = object(&format!(r#""w":1,{rest},"y":2"#));
            assert!(document.same_content(&decode(&moved, &["$.x", "$.y"])), "the reason stands still");
        }
        let name_that_nobody_reads = object(r#""\ud800":1,"y":1"#);
        assert!(decode(&name_that_nobody_reads, &["$.y"]).root.is_ok());
    }

    #[test]
    fn why_a_part_cannot_be_read_is_said() {
        let reason = |rest| decode(&object(rest), &["$.x"]).root.unwrap_err();
        assert_eq!(&*reason(r#""x":1e400"#), "a part that a rule reads cannot be read: number out of range");
        let annotation = r#"{"metadata":{"name":"a","labels":{"x":"\ud800"}}}"#;
        let mut projection = reading(&["$.metadata.labels.x"]);
        projection.read_labels();
        let document = Document::decode(annotation, &projection, &types()).unwrap();
        assert!(document.root.is_err() && document.labels.is_empty() && &*document.id.name == "a");
    }

    #[test]
    fn of_members_with_one_name_the_last_counts() {
        let raw = r#"{"metadata":{"name":"a","name":"b"},"spec":{"x":1,"x":2},"spec":{"x":3,"x":4}}"#;
        let document = decode(raw, &["$.spec.x"]);
        assert_eq!(
            (&*document.id.name, document.root.unwrap().to_string().as_str()),
            ("b", r#"{"spec":{"x":4}}"#)
        );
    }

    #[test]
    fn what_has_no_name_is_no_object() {
        for raw in [
            "{}",
            "[]",
            "null",
            "1",
            "",
            "{",
            r#"{"metadata":null}"#,
            r#"{"metadata":{}}"#,
            r#"{"metadata":{"name":""}}"#,
        ] {
            assert!(Document::decode(raw, &Projection::default(), &types()).is_err(), "{raw}");
        }
        let two = format!("{0}{0}", object(r#""x":1"#));
        assert!(Document::decode(&two, &Projection::default(), &types()).is_err());
    }

    #[test]
    fn a_change_that_nobody_reads_is_the_same_content() {
        let changed = POD.replace("48213377", "48213378").replace("Burstable", "BestEffort");
        let paths = ["$containers[*].image", "$.metadata.annotations['corp.io/owner']"];
        assert!(decode(POD, &paths).same_content(&decode(&changed, &paths)));
        let moved = POD.replace("checkout:2.14.1", "checkout:2.14.2");
        assert!(!decode(POD, &paths).same_content(&decode(&moved, &paths)));
        let deleted = POD.replace(r#""generation":1,"#, r#""deletionTimestamp":"2026-01-01T00:00:00Z","#);
        assert!(!decode(POD, &paths).same_content(&decode(&deleted, &paths)));
    }

    #[test]
    fn four_rules_on_a_pod_keep_at_most_450_bytes_beside_the_identity() {
        assert!(POD.len() > 8_000, "the Pod is a real one of {} bytes", POD.len());
        let paths = [
            "$containers[*].image",
            "$.metadata.annotations['corp.io/owner']",
            "$podSpec.hostNetwork",
            "$pod.metadata.labels.team",
        ];
        let projection = reading(&paths);
        let document = Document::decode(POD, &projection, &types()).unwrap();
        let identity = Document::decode(POD, &Projection::default(), &types()).unwrap().heap_bytes();
        let all = document.heap_bytes();
        assert!(
            all - identity <= 450 && identity <= 200,
            "{all} bytes, of which {identity} are the identity"
        );
    }
}
