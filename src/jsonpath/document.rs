//! The part of an object that programs read, and what is known of every object.

use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use thiserror::Error;

use super::decode::{KeySeed, Seed};
use super::metadata::{Metadata, MetadataSeed};
use super::node::{Node, shared_bytes};
use super::projection::{Projection, Trie};

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
    /// Whether a field manager of this operator is on the object.
    pub managed: bool,
    /// What is read of the object; `kind` and `apiVersion`, where read, are those of the watch. `Err` says why the
    /// object cannot be read: it is judged as `Error`, and hides no other.
    pub root: Result<Node, Box<str>>,
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
        let failure = match walk(raw, projection) {
            Ok((metadata, root)) => {
                return Self::new(metadata, Ok(with_types(root, projection.trie(), types)));
            }
            Err(failure) => failure,
        };
        let mut identity = Projection::default();
        if projection.reads_labels() {
            identity.read_labels();
        }
        let found = walk(raw, &identity).or_else(|_| walk(raw, &Projection::default()));
        let (metadata, _) = found.map_err(DecodeError::Unreadable)?;
        Self::new(metadata, Err(failure.to_string().into_boxed_str()))
    }

    fn new(metadata: Metadata, root: Result<Node, Box<str>>) -> Result<Self, DecodeError> {
        let Metadata { name, namespace, uid, resource_version, labels, controller, deleting, managed } =
            metadata;
        let id = Identity {
            name: name.filter(|name| !name.is_empty()).ok_or(DecodeError::Nameless)?,
            namespace: namespace.filter(|namespace| !namespace.is_empty()),
            uid: uid.unwrap_or_default(),
            resource_version: resource_version.unwrap_or_default(),
        };
        Ok(Self { id, labels, controller, deleting, managed, root })
    }

    /// Whether a change of the object changed nothing that is kept: all but the resource version is equal.
    pub fn same_content(&self, other: &Self) -> bool {
        let Self { id, labels, controller, deleting, managed, root } = self;
        let Identity { name, namespace, uid, resource_version: _ } = id;
        *name == other.id.name
            && *namespace == other.id.namespace
            && *uid == other.id.uid
            && *labels == other.labels
            && *controller == other.controller
            && *deleting == other.deleting
            && *managed == other.managed
            && *root == other.root
    }

    /// Bytes on the heap, without the struct itself.
    pub fn heap_bytes(&self) -> usize {
        let Self { id, labels, controller, deleting, managed: _, root } = self;
        let Identity { name, namespace, uid, resource_version } = id;
        let texts = [Some(name), namespace.as_ref(), Some(uid), Some(resource_version), controller.as_ref()];
        let pairs = labels.iter().map(|(name, value)| shared_bytes(name) + value.len());
        let tree = match root {
            Ok(node) => node.heap_bytes(),
            Err(reason) => reason.len(),
        };
        texts.into_iter().flatten().map(|text| shared_bytes(text)).sum::<usize>()
            + size_of_val::<[_]>(labels)
            + pairs.sum::<usize>()
            + deleting.as_ref().map_or(0, |time| time.len())
            + tree
    }
}

type Members = Vec<(Arc<str>, Node)>;

/// `kind` and `apiVersion`, where they are read, come from the watch.
fn with_types(mut members: Members, trie: &Trie, types: &TypeMeta) -> Node {
    let TypeMeta { api_version, kind } = types;
    for (name, value) in [(API_VERSION, api_version), (KIND, kind)] {
        if let Some((shared, below)) = trie.member(name.as_bytes()) {
            let text = if below.whole { Box::from(&**value) } else { Box::default() };
            members.push((shared.cloned().unwrap_or_else(|| name.into()), Node::String(text)));
        }
    }
    Node::Object(members.into())
}

const METADATA: &str = "metadata";
const API_VERSION: &str = "apiVersion";
const KIND: &str = "kind";

fn walk(raw: &str, projection: &Projection) -> Result<(Metadata, Members), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(raw);
    let found = Item { projection }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(found)
}

/// Reads an object once: its metadata, and what the projection reads.
struct Item<'p> {
    projection: &'p Projection,
}

impl<'de> DeserializeSeed<'de> for Item<'_> {
    type Value = (Metadata, Members);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Item<'_> {
    type Value = (Metadata, Members);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let Self { projection } = self;
        let (trie, unread) = (projection.trie(), Trie::default());
        let mut metadata = None;
        let mut members = Vec::with_capacity(trie.expected_members());
        while let Some(key) =
            object.next_key_seed(KeySeed { trie, fields: &[METADATA, API_VERSION, KIND] })?
        {
            match (key.field, key.read) {
                (Some(METADATA), read) => {
                    let below = read.as_ref().map_or(&unread, |(_, below)| below);
                    let (found, node) = object.next_value_seed(MetadataSeed::new(projection, below))?;
                    metadata = Some(found);
                    members.extend(read.map(|(name, _)| (name, node)));
                }
                (None, Some((name, below))) => members.push((name, object.next_value_seed(Seed(below))?)),
                (Some(_), _) | (None, None) => {
                    object.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok((metadata.ok_or_else(|| A::Error::missing_field(METADATA))?, members))
    }
}
