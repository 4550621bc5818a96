//! What is kept of every object's metadata, whatever the projection reads.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::decode::{self, KeySeed, Seed};
use super::projection::Projection;
use super::tree::{Builder, Span};
use super::trie::Trie;

/// How the field managers of this operator's writes begin; a policy's name follows.
pub const FIELD_MANAGER_PREFIX: &str = "watchpolicy/";
/// The longest name of a policy.
const MAX_POLICY: usize = 63;
/// What a policy owns of an object is kept up to this length.
const MAX_FIELDS: usize = 16 * 1024;

/// What a policy of this operator owns of an object: its entry in `metadata.managedFields` for updates of the object
/// itself. Anybody may write there: only names that a policy can have are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// The policy's name.
    pub policy: Box<str>,
    /// `fieldsV1` as JSON (KEP-555); empty where it is missing or too long to be kept.
    pub fields: Box<str>,
}

const NAME: &str = "name";
const NAMESPACE: &str = "namespace";
const UID: &str = "uid";
const RESOURCE_VERSION: &str = "resourceVersion";
const LABELS: &str = "labels";
const OWNER_REFERENCES: &str = "ownerReferences";
const DELETION_TIMESTAMP: &str = "deletionTimestamp";
const MANAGED_FIELDS: &str = "managedFields";

/// The fields that are looked at. Labels come last, to be left out where no selector needs them.
const FIELDS: &[&str] =
    &[NAME, NAMESPACE, UID, RESOURCE_VERSION, OWNER_REFERENCES, DELETION_TIMESTAMP, MANAGED_FIELDS, LABELS];

/// Labels, sorted by name.
pub(super) type Labels = Box<[(Arc<str>, Box<str>)]>;

/// What metadata says; each field `None` or empty where it is absent or `null`.
#[derive(Default)]
pub(super) struct Metadata {
    pub(super) name: Option<Arc<str>>,
    pub(super) namespace: Option<Arc<str>>,
    pub(super) uid: Option<Arc<str>>,
    pub(super) resource_version: Option<Arc<str>>,
    pub(super) labels: Labels,
    pub(super) controller: Option<Arc<str>>,
    pub(super) deleting: Option<Box<str>>,
    pub(super) owned: Box<[Owned]>,
}

impl Metadata {
    fn read<'de, D: Deserializer<'de>>(&mut self, field: &str, from: D) -> Result<(), D::Error> {
        match field {
            NAME => self.name = shared(from)?,
            NAMESPACE => self.namespace = shared(from)?,
            UID => self.uid = shared(from)?,
            RESOURCE_VERSION => self.resource_version = shared(from)?,
            LABELS => {
                self.labels = Option::<LabelMap>::deserialize(from)?.map(|map| map.0).unwrap_or_default();
            }
            OWNER_REFERENCES => {
                self.controller = Option::<Controller>::deserialize(from)?.and_then(|found| found.0);
            }
            DELETION_TIMESTAMP => self.deleting = Option::deserialize(from)?,
            MANAGED_FIELDS => {
                self.owned = Option::<Managers>::deserialize(from)?.map(|found| found.0).unwrap_or_default();
            }
            _ => {
                IgnoredAny::deserialize(from)?;
            }
        }
        Ok(())
    }
}

fn shared<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Arc<str>>, D::Error> {
    Ok(Option::<Shared>::deserialize(from)?.map(|text| text.0))
}

/// Reads `metadata` once for both: what is always kept, and what the projection keeps, as a member of this name.
pub(super) struct MetadataSeed<'p, 'b> {
    fields: &'static [&'static str],
    /// What is read of `metadata` itself, if anything.
    read: Option<(Span, &'p Trie)>,
    builder: &'b mut Builder,
}

impl<'p, 'b> MetadataSeed<'p, 'b> {
    pub(super) fn new(
        projection: &Projection,
        read: Option<(Span, &'p Trie)>,
        builder: &'b mut Builder,
    ) -> Self {
        let fields = if projection.reads_labels() {
            FIELDS
        } else {
            FIELDS.split_last().map_or(FIELDS, |(_, all)| all)
        };
        Self { fields, read, builder }
    }
}

impl<'de> DeserializeSeed<'de> for MetadataSeed<'_, '_> {
    type Value = Metadata;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Metadata, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MetadataSeed<'_, '_> {
    type Value = Metadata;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("metadata")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Metadata, A::Error> {
        let Self { fields, read, builder } = self;
        let unread = Trie::default();
        let trie = read.map_or(&unread, |(_, trie)| trie);
        let mut metadata = Metadata::default();
        let mark = builder.mark();
        while let Some(key) = object.next_key_seed(KeySeed { trie, fields, builder: &mut *builder })? {
            match (key.field, key.read) {
                (Some(field), Some((name, trie))) => {
                    let text = object.next_value::<&RawValue>()?.get();
                    read_text(&mut metadata, field, text).map_err(A::Error::custom)?;
                    decode::part(text, Seed { trie, name, builder: &mut *builder })
                        .map_err(A::Error::custom)?;
                }
                (Some(field), None) => object.next_value_seed(Field { metadata: &mut metadata, field })?,
                (None, Some((name, trie))) => {
                    object.next_value_seed(Seed { trie, name, builder: &mut *builder })?;
                }
                (None, None) => {
                    object.next_value::<IgnoredAny>()?;
                }
            }
        }
        if let Some((name, _)) = read {
            builder.close_object(mark, name).map_err(A::Error::custom)?;
        }
        Ok(metadata)
    }
}

fn read_text(metadata: &mut Metadata, field: &'static str, text: &str) -> Result<(), serde_json::Error> {
    Field { metadata, field }.deserialize(&mut serde_json::Deserializer::from_str(text))
}

struct Field<'m> {
    metadata: &'m mut Metadata,
    field: &'static str,
}

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.metadata.read(self.field, deserializer)
    }
}

/// A string, copied once.
struct Shared(Arc<str>);

impl<'de> Deserialize<'de> for Shared {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Shared;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E>(self, text: &str) -> Result<Shared, E> {
                Ok(Shared(text.into()))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

struct LabelMap(Labels);

impl<'de> Deserialize<'de> for LabelMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = LabelMap;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("labels")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<LabelMap, A::Error> {
                let mut labels = Vec::with_capacity(4);
                while let Some((name, value)) = object.next_entry::<Shared, Option<Box<str>>>()? {
                    // The server stores a null label as "".
                    labels.push((name.0, value.unwrap_or_default()));
                }
                // Of a name that is there twice the last counts, as for the server.
                labels.reverse();
                labels.sort_by(|left, right| left.0.cmp(&right.0));
                labels.dedup_by(|later, first| later.0 == first.0);
                Ok(LabelMap(labels.into_boxed_slice()))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// The uid of the owner that is the controller.
struct Controller(Option<Arc<str>>);

impl<'de> Deserialize<'de> for Controller {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Owner {
            controller: Option<bool>,
            uid: Option<Shared>,
        }
        struct Owners;
        impl<'de> Visitor<'de> for Owners {
            type Value = Controller;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("owner references")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut owners: A) -> Result<Controller, A::Error> {
                let mut found = None;
                while let Some(owner) = owners.next_element::<Owner>()? {
                    if owner.controller == Some(true) {
                        found = owner.uid.map(|uid| uid.0);
                    }
                }
                Ok(Controller(found))
            }
        }
        deserializer.deserialize_seq(Owners)
    }
}

/// The entries of this operator's policies.
struct Managers(Box<[Owned]>);

impl<'de> Deserialize<'de> for Managers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Entry<'e> {
            manager: Option<Ours>,
            operation: Option<Update>,
            subresource: Option<IgnoredAny>,
            #[serde(borrow, rename = "fieldsV1")]
            fields: Option<&'e RawValue>,
        }
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Managers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("managed fields")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Managers, A::Error> {
                let mut found = Vec::new();
                while let Some(entry) = entries.next_element::<Entry<'de>>()? {
                    let Entry { manager, operation, subresource, fields } = entry;
                    let updates = operation.is_some_and(|update| update.0) && subresource.is_none();
                    if let Some(policy) = manager.and_then(|ours| ours.0).filter(|_| updates) {
                        let fields = fields.map(RawValue::get).filter(|text| text.len() <= MAX_FIELDS);
                        found.push(Owned { policy, fields: fields.unwrap_or_default().into() });
                    }
                }
                Ok(Managers(found.into()))
            }
        }
        deserializer.deserialize_seq(Entries)
    }
}

/// The policy that a field manager's name is of, if it is one of ours. Other names are not copied.
struct Ours(Option<Box<str>>);

impl<'de> Deserialize<'de> for Ours {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Prefix;
        impl Visitor<'_> for Prefix {
            type Value = Ours;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field manager")
            }

            fn visit_str<E>(self, name: &str) -> Result<Ours, E> {
                let policy = name.strip_prefix(FIELD_MANAGER_PREFIX);
                Ok(Ours(policy.filter(|policy| is_policy_name(policy)).map(Box::from)))
            }
        }
        deserializer.deserialize_str(Prefix)
    }
}

/// Whether a policy can have this name (RFC 1123, as the API server checks names).
fn is_policy_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    (1..=MAX_POLICY).contains(&name.len()) && name.bytes().all(plain)
}

/// Whether an operation is `Update`.
struct Update(bool);

impl<'de> Deserialize<'de> for Update {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = Update;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an operation")
            }

            fn visit_str<E>(self, name: &str) -> Result<Update, E> {
                Ok(Update(name == "Update"))
            }
        }
        deserializer.deserialize_str(Name)
    }
}
