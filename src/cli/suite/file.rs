//! A suite as it is written.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cli::input::Yaml;

/// One suite. `docs/cli.md` shows it whole.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Suite {
    /// Files or folders, relative to the suite.
    pub(super) policies: Vec<PathBuf>,
    /// The time by which ages and ends are judged; without it the present.
    pub(super) now: Option<Timestamp>,
    /// Files or folders of objects, relative to the suite.
    #[serde(default)]
    pub(super) resources: Vec<PathBuf>,
    /// Objects written into the suite.
    #[serde(default)]
    pub(super) objects: Vec<Yaml>,
    pub(super) expect: Vec<Expectation>,
}

/// What is expected of objects.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expectation {
    /// May be left out where the suite has one policy.
    pub(super) policy: Option<String>,
    /// If left out, the result over all rules.
    pub(super) rule: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) object: Option<String>,
    #[serde(default)]
    pub(super) objects: Vec<String>,
    pub(super) result: Wanted,
    /// One node must have this path.
    pub(super) path: Option<String>,
    /// One node must have this message.
    pub(super) message: Option<String>,
}

/// A result, or that there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) enum Wanted {
    Pass,
    Fail,
    Error,
    Skip,
    /// Out of scope, or left out by `match`.
    NotTaken,
}

impl Expectation {
    /// The names of the objects that it is about.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.object.iter().chain(&self.objects).map(String::as_str)
    }
}
