//! Aggregated discovery (`apidiscovery.k8s.io/v2`), read group by group as it comes.
//!
//! Whoever defines kinds decides how much discovery says of them: short names and categories are repeated for each
//! version. So a group that is too large, or that cannot be read, is passed over alone, and stays as it was known.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::wire::WireError;
use crate::policy::catalog::{ServedResource, ServedVersion};

/// What is asked for.
pub(super) const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
/// Most bytes of one group. A hundred kinds of three versions have about 150 KiB.
const GROUP_BYTES: usize = 4 << 20;
/// Most bytes of what stands around the groups.
const FRAME_BYTES: usize = 64 << 10;

/// What one document of discovery says.
pub(super) type Groups = BTreeMap<Arc<str>, Vec<ServedVersion>>;

/// A document on its way.
pub(super) struct Reading<'k> {
    known: Option<&'k Groups>,
    groups: Groups,
    cutter: Cutter,
    /// Groups that are passed over, and what is wrong with the first.
    unread: Option<(usize, String)>,
}

impl<'k> Reading<'k> {
    /// What is known already stands in for what cannot be read.
    pub(super) fn new(known: Option<&'k Groups>) -> Self {
        Self { known, groups: Groups::new(), cutter: Cutter::default(), unread: None }
    }

    /// Takes in what comes next.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let Self { known, groups, cutter, unread } = self;
        cutter.push(bytes, |item| {
            let group = item.map_err(|larger| format!("one has more than {larger} bytes"));
            match group.and_then(|item| serde_json::from_slice(item).map_err(|error| error.to_string())) {
                Ok(Group { metadata, versions }) => {
                    let before = known.and_then(|known| known.get(&*metadata.name)).map(Vec::as_slice);
                    let versions = versions.into_iter().map(|version| served(version, before)).collect();
                    groups.insert(metadata.name.into(), versions);
                }
                Err(why) => unread.get_or_insert((0, why)).0 += 1,
            }
        });
    }

    /// What it says as a whole.
    ///
    /// # Errors
    /// [`WireError::Unintelligible`] when it is no such document at all.
    pub(super) fn end(self) -> Result<Groups, WireError> {
        let Self { known, mut groups, cutter, unread } = self;
        let unreadable = |why: &str| {
            WireError::Unintelligible(format!("aggregated discovery (Kubernetes 1.30 or newer): {why}"))
        };
        let Frame { kind, .. } =
            serde_json::from_slice(&cutter.frame).map_err(|error| unreadable(&error.to_string()))?;
        if kind != "APIGroupDiscoveryList" {
            return Err(unreadable("the server answered with something else"));
        }
        if let Some((count, why)) = unread {
            tracing::warn!(count, why, "groups of discovery were passed over; what is known of them stays");
            for (name, versions) in known.into_iter().flatten() {
                groups.entry(Arc::clone(name)).or_insert_with(|| versions.clone());
            }
        }
        Ok(groups)
    }
}

/// Cuts the objects of the array out of a list. What is outside of them is kept as the frame.
#[derive(Default)]
struct Cutter {
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// Whether what is open at the second level is an array.
    in_array: bool,
    in_item: bool,
    /// It is cut at its bound, and no JSON then.
    item: Vec<u8>,
    frame: Vec<u8>,
}

impl Cutter {
    /// Hands over each object that ends; where it is too large, the bound.
    fn push(&mut self, bytes: &[u8], mut take: impl FnMut(Result<&[u8], usize>)) {
        for byte in bytes {
            let before = self.depth;
            self.step(*byte);
            let begins = *byte == b'{' && before == 2 && self.depth == 3 && self.in_array;
            if begins {
                self.in_item = true;
            }
            if self.in_item {
                keep(&mut self.item, *byte, GROUP_BYTES);
                if self.depth == 2 {
                    let item = &*self.item;
                    take(if item.len() > GROUP_BYTES { Err(GROUP_BYTES) } else { Ok(item) });
                    (self.in_item, self.item) = (false, Vec::new());
                }
            } else if !(*byte == b',' && self.depth == 2 && self.in_array) {
                keep(&mut self.frame, *byte, FRAME_BYTES);
            }
        }
    }

    fn step(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' => self.escaped = self.in_string,
            b'"' => self.in_string = !self.in_string,
            _ if self.in_string => {}
            b'{' | b'[' => {
                self.depth += 1;
                if self.depth == 2 {
                    self.in_array = byte == b'[';
                }
            }
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }
}

/// One more than the bound tells that there was more.
fn keep(kept: &mut Vec<u8>, byte: u8, most: usize) {
    if kept.len() <= most {
        kept.push(byte);
    }
}

// Only what the catalog needs of `APIGroupDiscoveryList`.
#[derive(Deserialize)]
struct Frame {
    /// Another kind of answer is none, and must not be taken for a cluster that serves nothing.
    kind: String,
    /// Must be there, though Go writes an empty list as `null`.
    #[serde(rename = "items", deserialize_with = "Option::deserialize")]
    _items: Option<[IgnoredAny; 0]>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    metadata: GroupMetadata,
    #[serde(default)]
    versions: Vec<Version>,
}

#[derive(Default, Deserialize)]
struct GroupMetadata {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Version {
    version: String,
    #[serde(default)]
    resources: Vec<Resource>,
    freshness: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    resource: String,
    response_kind: Option<ResponseKind>,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    verbs: Vec<String>,
}

#[derive(Deserialize)]
struct ResponseKind {
    #[serde(default)]
    kind: String,
}

/// A version that its server could not be asked for (`Stale`) stays as it was known.
fn served(found: Version, before: Option<&[ServedVersion]>) -> ServedVersion {
    let Version { version, resources, freshness } = found;
    if freshness.as_deref() == Some("Stale")
        && let Some(before) = before.unwrap_or_default().iter().find(|before| *before.version == *version)
    {
        return before.clone();
    }
    let resources = resources
        .into_iter()
        .map(|Resource { resource, response_kind, scope, verbs }| {
            let can = |verb: &str| verbs.iter().any(|known| known == verb);
            let served = ServedResource {
                kind: response_kind.map(|kind| kind.kind).unwrap_or_default().into(),
                namespaced: scope == "Namespaced",
                watchable: can("list") && can("watch"),
            };
            (resource.into(), served)
        })
        .collect();
    ServedVersion { version: version.into(), resources }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::catalog::Catalog;
    use crate::resource::GroupResource;

    const APPS: &str = r#"{"metadata":{"name":"apps","creationTimestamp":null},"versions":[{"version":"v1",
        "freshness":"Current","resources":[{"resource":"deployments","responseKind":{"group":"apps","version":"v1",
        "kind":"Deployment"},"scope":"Namespaced","verbs":["get","list","watch"]},
        {"resource":"reviews","scope":"Cluster","verbs":["create"]}]}]}"#;

    fn list(groups: &[&str]) -> String {
        let groups = groups.join(",");
        format!(
            r#"{{"kind":"APIGroupDiscoveryList","metadata":{{"a":{{}},"b":["{{[,\""]}},"items":[{groups}]}}"#
        )
    }

    fn read(body: &str, known: Option<&Groups>) -> Result<Groups, WireError> {
        let mut reading = Reading::new(known);
        // As if each byte came alone, and nothing depended on how they come.
        body.as_bytes().chunks(1).for_each(|chunk| reading.push(chunk));
        let found = reading.end();
        let mut at_once = Reading::new(known);
        at_once.push(body.as_bytes());
        assert_eq!(at_once.end().ok(), found.as_ref().ok().cloned());
        found
    }

    fn resolve(groups: &Groups, resource: &str) -> Option<ServedResource> {
        let catalog = Catalog { groups: groups.clone(), ..Catalog::default() };
        catalog.resolve(&GroupResource::new("apps", resource), None).ok().map(|found| found.served)
    }

    #[test]
    fn discovery_becomes_a_catalog() {
        let catalog = read(&list(&[APPS, r#"{"metadata":{"name":"batch"}}"#]), None).unwrap();
        let deployments = resolve(&catalog, "deployments").unwrap();
        assert_eq!((&*deployments.kind, deployments.namespaced), ("Deployment", true));
        assert_eq!((resolve(&catalog, "reviews"), catalog.len()), (None, 2));
    }

    #[test]
    fn a_version_whose_server_does_not_answer_stays_as_it_was_known() {
        let known = read(&list(&[APPS]), None).unwrap();
        let stale = r#"{"metadata":{"name":"apps"},"versions":[{"version":"v1","freshness":"Stale"}]}"#;
        let catalog = read(&list(&[stale]), Some(&known)).unwrap();
        assert!(resolve(&catalog, "deployments").is_some());
    }

    #[test]
    fn a_group_that_is_too_large_or_cannot_be_read_hides_no_other_and_stays_as_it_was_known() {
        let small = r#"{"metadata":{"name":"big.example.com"},"versions":[{"version":"v1"}]}"#;
        let known = read(&list(&[small]), None).unwrap();
        let names = vec![r#""n""#; GROUP_BYTES / 4].join(",");
        let large = small
            .replace("\"v1\"", &format!(r#""v1","resources":[{{"resource":"x","shortNames":[{names}]}}]"#));
        for odd in [large.as_str(), r#"{"metadata":{"name":"big.example.com"},"versions":{"a":"}]"}}"#] {
            let body = list(&[odd, APPS]);
            let mut reading = Reading::new(Some(&known));
            body.as_bytes().chunks(10_007).for_each(|chunk| reading.push(chunk));
            let found = reading.end().unwrap();
            assert!(resolve(&found, "deployments").is_some());
            assert_eq!(found["big.example.com"], known["big.example.com"]);
        }
    }

    #[test]
    fn what_is_no_discovery_is_not_taken_for_a_cluster_that_serves_nothing() {
        for body in [
            "",
            "{}",
            r#"{"kind":"APIGroupList","apiVersion":"v1","groups":[{"name":"apps"}]}"#,
            r#"{"kind":"APIVersions","versions":["v1"]}"#,
            r#"{"kind":"APIGroupDiscoveryList"}"#,
            r#"{"kind":"APIGroupDiscoveryList","items":[{"metadata":{"name":"apps"}}"#,
            r#"{"kind":"APIGroupDiscoveryList","items":[1]}"#,
            r#"{"kind":"Status","items":[]}"#,
        ] {
            assert!(matches!(read(body, None), Err(WireError::Unintelligible(_))), "{body}");
        }
        assert_eq!(read(r#"{"kind":"APIGroupDiscoveryList","items":null}"#, None).unwrap().len(), 0);
    }
}
