//! What the report on an object says; pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use ring::digest::{SHA256, digest};

use super::model::{
    Configuration, Entry, Limits, Metadata, Outcome, Owner, Reference, Report, Summary, Timestamp,
};
use crate::crd::Violation;
use crate::ledger::{Finding, Place as Found};
use crate::policy;
use crate::report::status::violation;
use crate::resource::ObjectKey;

/// Group and version of all reports.
pub(super) const API_VERSION: &str = "openreports.io/v1alpha1";
/// Who reports.
const SOURCE: &str = "watchpolicy";
/// What the name of each report begins with.
pub(super) const PREFIX: &str = "watchpolicy-";
/// The label that reports are found by, and its value.
pub(super) const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", SOURCE);
/// The annotation with the digest of what a report says, times left out.
pub(super) const DIGEST: &str = "watchpolicy.io/digest";
/// The annotation with the object's resource, as `deployments.apps`.
pub(super) const RESOURCE: &str = "watchpolicy.io/resource";
/// The most results in a report; the summary counts all.
const MAX_RESULTS: usize = 100;
/// The most bytes of a uid that are part of a name.
const MAX_UID: usize = 128;

/// Which object a report is about, beyond its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Group and version in which it was judged.
    pub api_version: Arc<str>,
    /// Its kind.
    pub kind: Arc<str>,
    /// Its uid.
    pub uid: Arc<str>,
}

/// The first half of a SHA-256: texts in a report come from whoever writes objects, and must not be made to look the
/// same.
pub(super) type Digest = [u8; 16];

/// Where a report is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// `None` for a ClusterReport.
    pub(super) namespace: Option<Arc<str>>,
    pub(super) name: Box<str>,
}

impl Place {
    /// That of the report on an object. Other engines name theirs by the uid alone.
    pub(super) fn of(key: &ObjectKey, uid: &str) -> Self {
        let harmless = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = (1..=MAX_UID).contains(&uid.len()) && uid.bytes().all(harmless) && !uid.ends_with('-');
        let name = if fits { uid.to_owned() } else { hex(&digest_of(uid.as_bytes())) };
        Self { namespace: key.object.namespace.clone(), name: format!("{PREFIX}{name}").into() }
    }
}

/// A report that should be there.
pub(super) struct Content {
    pub(super) place: Place,
    pub(super) uid: Arc<str>,
    pub(super) digest: Digest,
    pub(super) json: Vec<u8>,
}

/// What is known of one object.
pub(super) struct Findings<'f> {
    pub(super) key: &'f ObjectKey,
    pub(super) identity: &'f Identity,
    /// Failing and erring rules, by policy.
    pub(super) found: &'f [(Arc<str>, Found, Arc<Finding>)],
    /// Policies that pass the object, or do not apply to it; empty where only failures are reported.
    pub(super) others: &'f [(Arc<str>, policy::Outcome)],
    /// The results that are reported at all.
    pub(super) filter: &'static [Outcome],
}

impl Findings<'_> {
    /// The report, or none where nothing is to be reported.
    pub(super) fn content(
        &self,
        category: impl Fn(&str) -> Option<Arc<str>>,
    ) -> Option<serde_json::Result<Content>> {
        if self.found.is_empty() && self.others.is_empty() {
            return None;
        }
        Some(self.written(category))
    }

    fn written(&self, category: impl Fn(&str) -> Option<Arc<str>>) -> serde_json::Result<Content> {
        let place = Place::of(self.key, &self.identity.uid);
        let mut report = self.report(&place, category);
        let times: Vec<_> = report.results.iter_mut().map(|entry| entry.timestamp.take()).collect();
        let digest = digest_of(&serde_json::to_vec(&report)?);
        for (entry, time) in report.results.iter_mut().zip(times) {
            entry.timestamp = time;
        }
        report.metadata.annotations.insert(DIGEST, hex(&digest));
        let json = serde_json::to_vec(&report)?;
        Ok(Content { place, uid: Arc::clone(&self.identity.uid), digest, json })
    }

    fn report(&self, place: &Place, category: impl Fn(&str) -> Option<Arc<str>>) -> Report {
        let category = |policy: &str| category(policy).map(|category| category.to_string());
        let mut found: Vec<_> = self.found.iter().collect();
        found.sort_by(|(policy, one, _), (other, another, _)| {
            (one.severity, policy, &one.rule).cmp(&(another.severity, other, &another.rule))
        });
        let failing = found
            .into_iter()
            .map(|(policy, place, finding)| entry(policy, &violation(place, finding), category(policy)));
        let others = self.others.iter().map(|(policy, outcome)| other(policy, *outcome, category(policy)));
        let mut results: Vec<_> = failing.chain(others).collect();
        let summary = summary(&results);
        results.truncate(MAX_RESULTS);
        let limits = Limits { max_results: MAX_RESULTS, status_filter: self.filter };
        Report {
            api_version: API_VERSION,
            kind: if place.namespace.is_some() { "Report" } else { "ClusterReport" },
            metadata: self.metadata(place),
            source: SOURCE,
            scope: self.scope(),
            configuration: Configuration { limits },
            summary,
            results,
        }
    }

    fn metadata(&self, place: &Place) -> Metadata {
        let Identity { api_version, kind, uid } = self.identity;
        let owner = Owner {
            api_version: api_version.to_string(),
            kind: kind.to_string(),
            name: self.key.object.name.to_string(),
            uid: uid.to_string(),
        };
        Metadata {
            name: place.name.to_string(),
            namespace: place.namespace.as_deref().map(str::to_owned),
            labels: [MANAGED_BY].into(),
            annotations: [(RESOURCE, self.key.resource.to_string())].into(),
            owner_references: [owner],
        }
    }

    fn scope(&self) -> Reference {
        let Identity { api_version, kind, uid } = self.identity;
        Reference {
            api_version: api_version.to_string(),
            kind: kind.to_string(),
            namespace: self.key.object.namespace.as_deref().map(str::to_owned),
            name: self.key.object.name.to_string(),
            uid: uid.to_string(),
        }
    }
}

/// A failing or erring rule, in the words of the policy's status.
fn entry(policy: &str, violation: &Violation, category: Option<String>) -> Entry {
    let paths = violation.path.iter().chain(&violation.other_paths).map(String::as_str);
    let path = paths.collect::<Vec<_>>().join(", ");
    let path = Some(path).filter(|path| !path.is_empty());
    let fix = violation.fix.as_ref().map(|fix| fix.outcome.clone());
    let properties = [("path", path), ("fix", fix)].into_iter();
    let result = match violation.result {
        crate::crd::ViolationResult::Fail => Outcome::Fail,
        crate::crd::ViolationResult::Error => Outcome::Error,
    };
    Entry {
        source: SOURCE,
        policy: policy.to_owned(),
        rule: Some(violation.rule.clone()),
        category,
        severity: Some(violation.severity),
        timestamp: violation
            .first_seen
            .as_ref()
            .map(|since| Timestamp { seconds: since.0.as_second(), nanos: since.0.subsec_nanosecond() }),
        result,
        scored: true,
        message: Some(violation.message.clone()),
        properties: properties.filter_map(|(name, value)| Some((name, value?))).collect(),
    }
}

/// What a policy says of an object as a whole.
fn other(policy: &str, outcome: policy::Outcome, category: Option<String>) -> Entry {
    let result = if outcome == policy::Outcome::Pass { Outcome::Pass } else { Outcome::Skip };
    Entry {
        source: SOURCE,
        policy: policy.to_owned(),
        rule: None,
        category,
        severity: None,
        timestamp: None,
        result,
        scored: true,
        message: None,
        properties: BTreeMap::new(),
    }
}

fn summary(results: &[Entry]) -> Summary {
    let count = |outcome| results.iter().filter(|entry| entry.result == outcome).count();
    Summary {
        pass: count(Outcome::Pass),
        fail: count(Outcome::Fail),
        warn: 0,
        error: count(Outcome::Error),
        skip: count(Outcome::Skip),
    }
}

fn digest_of(bytes: &[u8]) -> Digest {
    let whole = digest(&SHA256, bytes);
    whole.as_ref().first_chunk().copied().unwrap_or_default()
}

fn hex(bytes: &Digest) -> String {
    format!("{:032x}", u128::from_be_bytes(*bytes))
}

/// The digest that an annotation holds.
pub(super) fn parsed(annotation: &str) -> Option<Digest> {
    let is_hex = annotation.len() == 32 && annotation.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = is_hex.then(|| u128::from_str_radix(annotation, 16).ok()).flatten()?;
    Some(number.to_be_bytes())
}

#[cfg(test)]
#[path = "content_tests.rs"]
mod tests;
