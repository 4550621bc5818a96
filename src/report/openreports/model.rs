//! The types of the API as far as they are written here; source: `openreports.io/v1alpha1`, v0.2.1.

use std::collections::BTreeMap;

use serde::Serialize;

/// A Report, or a ClusterReport.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    pub(super) api_version: &'static str,
    pub(super) kind: &'static str,
    pub(super) metadata: Metadata,
    pub(super) source: &'static str,
    /// The object that all results are about.
    pub(super) scope: Reference,
    pub(super) configuration: Configuration,
    pub(super) summary: Summary,
    pub(super) results: Vec<Entry>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) namespace: Option<String>,
    pub(super) labels: BTreeMap<&'static str, &'static str>,
    pub(super) annotations: BTreeMap<&'static str, String>,
    pub(super) owner_references: [Owner; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Owner {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) uid: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reference {
    pub(super) api_version: String,
    pub(super) kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    pub(super) uid: String,
}

/// What readers may expect to be in the report.
#[derive(Serialize)]
pub(super) struct Configuration {
    pub(super) limits: Limits,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Limits {
    pub(super) max_results: usize,
    pub(super) status_filter: &'static [Outcome],
}

/// Counts of results, those beyond the limit among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Summary {
    pub(super) pass: usize,
    pub(super) fail: usize,
    pub(super) warn: usize,
    pub(super) error: usize,
    pub(super) skip: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    Pass,
    Fail,
    Error,
    Skip,
}

/// One result.
#[derive(Serialize)]
pub(super) struct Entry {
    /// The report's, once more: readers look for it here.
    pub(super) source: &'static str,
    pub(super) policy: String,
    /// Absent where the policy as a whole passes or does not apply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) category: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) severity: Option<crate::crd::Severity>,
    /// Since when it is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timestamp: Option<Timestamp>,
    pub(super) result: Outcome,
    pub(super) scored: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) properties: BTreeMap<&'static str, String>,
}

/// Seconds of the Unix epoch, and their fraction.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Timestamp {
    pub(super) seconds: i64,
    pub(super) nanos: i32,
}
