//! What is kept of every object's metadata, whatever the projection reads.

use std::borrow::Cow;
use std::sync::Arc;

use serde::de::Error as _;
use serde_json::Error;

use super::decode::{self, Read};
use super::scan::Scanner;
use super::tree::Builder;
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

/// What of metadata is kept.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'p> {
    /// Whether selectors need the labels.
    pub(super) labels: bool,
    /// What the projection reads of `metadata` itself.
    pub(super) read: Option<Read<'p>>,
}

impl Metadata {
    /// Reads `metadata` once for both: what is always kept, and what the projection keeps.
    pub(super) fn read(
        scanner: &mut Scanner<'_>,
        wanted: Wanted<'_>,
        builder: &mut Builder,
    ) -> Result<Self, Error> {
        let unread = Trie::default();
        let trie = wanted.read.map_or(&unread, |(_, trie)| trie);
        let mut metadata = Self::default();
        let mark = builder.mark();
        scanner.object(|scanner, name| {
            let name = name.bytes()?;
            match decode::read_of(trie, &name, builder)? {
                None => metadata.field(&name, scanner, wanted.labels),
                Some(read) => {
                    let text = scanner.value()?;
                    metadata.field(&name, &mut Scanner::new(text), wanted.labels)?;
                    decode::part(&mut Scanner::new(text), read, builder)
                }
            }
        })?;
        if let Some((name, _)) = wanted.read {
            builder.close_object(mark, name).map_err(Error::custom)?;
        }
        Ok(metadata)
    }

    fn field(&mut self, name: &[u8], scanner: &mut Scanner<'_>, labels: bool) -> Result<(), Error> {
        match name {
            b"name" => self.name = shared(scanner)?,
            b"namespace" => self.namespace = shared(scanner)?,
            b"uid" => self.uid = shared(scanner)?,
            b"resourceVersion" => self.resource_version = shared(scanner)?,
            b"deletionTimestamp" => self.deleting = scanner.text()?.map(Cow::into_owned).map(Box::from),
            b"ownerReferences" if scanner.peek() != Some(b'n') => self.controller = controller(scanner)?,
            b"managedFields" if scanner.peek() != Some(b'n') => self.owned = owned(scanner)?,
            b"labels" if labels && scanner.peek() != Some(b'n') => self.labels = self::labels(scanner)?,
            _ => drop(scanner.value()?),
        }
        Ok(())
    }
}

fn shared(scanner: &mut Scanner<'_>) -> Result<Option<Arc<str>>, Error> {
    Ok(scanner.text()?.map(Arc::from))
}

fn labels(scanner: &mut Scanner<'_>) -> Result<Labels, Error> {
    let mut labels: Vec<(Arc<str>, Box<str>)> = Vec::with_capacity(4);
    scanner.object(|scanner, name| {
        // The server stores a null label as "".
        let value = scanner.text()?.unwrap_or_default();
        labels.push((Arc::from(name.text()?), Box::from(value)));
        Ok(())
    })?;
    // Of a name that is there twice the last counts, as for the server.
    labels.reverse();
    labels.sort_by(|(left, _), (right, _)| left.cmp(right));
    labels.dedup_by(|(later, _), (first, _)| later == first);
    Ok(labels.into_boxed_slice())
}

/// The uid of the owner that is the controller.
fn controller(scanner: &mut Scanner<'_>) -> Result<Option<Arc<str>>, Error> {
    let mut found = None;
    scanner.array(|scanner| {
        let (mut uid, mut controls) = (None, false);
        scanner.object(|scanner, name| {
            match &*name.bytes()? {
                b"uid" => uid = scanner.text()?,
                b"controller" => {
                    controls = serde_json::from_str::<Option<bool>>(scanner.value()?)?.unwrap_or_default();
                }
                _ => drop(scanner.value()?),
            }
            Ok(())
        })?;
        if controls {
            found = uid.map(Arc::from);
        }
        Ok(())
    })?;
    Ok(found)
}

/// The entries of this operator's policies.
fn owned(scanner: &mut Scanner<'_>) -> Result<Box<[Owned]>, Error> {
    let mut found = Vec::new();
    scanner.array(|scanner| {
        found.extend(entry(scanner)?);
        Ok(())
    })?;
    Ok(found.into())
}

/// An entry, if it is for updates, of the object itself, by a policy. Other names are not copied.
fn entry(scanner: &mut Scanner<'_>) -> Result<Option<Owned>, Error> {
    let (mut manager, mut updates, mut whole, mut fields) = (None, false, true, None);
    scanner.object(|scanner, name| {
        match &*name.bytes()? {
            b"manager" => manager = scanner.text()?,
            b"operation" => updates = scanner.text()?.as_deref() == Some("Update"),
            b"subresource" => whole = scanner.value()? == "null",
            b"fieldsV1" => fields = Some(scanner.value()?).filter(|text| *text != "null"),
            _ => drop(scanner.value()?),
        }
        Ok(())
    })?;
    let policy = manager.as_deref().and_then(|manager| manager.strip_prefix(FIELD_MANAGER_PREFIX));
    Ok(policy.filter(|policy| updates && whole && is_policy_name(policy)).map(|policy| {
        let fields = fields.filter(|text| text.len() <= MAX_FIELDS).unwrap_or_default();
        Owned { policy: policy.into(), fields: fields.into() }
    }))
}

/// Whether a policy can have this name (RFC 1123, as the API server checks names).
fn is_policy_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    (1..=MAX_POLICY).contains(&name.len()) && name.bytes().all(plain)
}
