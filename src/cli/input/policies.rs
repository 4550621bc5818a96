//! Policies, from documents.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use crate::cli::lint;
use crate::config::{DEFAULT_NAMESPACE, SYSTEM_NAMESPACES};
use crate::crd::WatchPolicy;
use crate::policy::{CompiledPolicy, Faults, Settings, compile};

use super::documents::{self, Written};
use super::files::{self, Text};
use super::{Origin, Trouble};

/// The group of policies, in any version.
const GROUP: &str = "watchpolicy.io/";
const KIND: &str = "WatchPolicy";
const API_VERSION: &str = "watchpolicy.io/v1alpha1";

/// A policy that can be run.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Policy {
    pub(in crate::cli) origin: Origin,
    pub(in crate::cli) program: Arc<CompiledPolicy>,
}

/// A policy as it was written: what lint looks at.
#[derive(Debug)]
pub(in crate::cli) struct Draft {
    pub(in crate::cli) origin: Origin,
    /// Where in its document it is: empty for the document itself, else as `items[2]`.
    pub(in crate::cli) within: String,
    pub(in crate::cli) value: Value,
}

/// What a command opens with: the texts of the files that are named, and the policies in them.
///
/// # Errors
/// There is none, and nothing else that could be told; or standard input is named twice.
pub(in crate::cli) fn open(
    paths: &[PathBuf],
    troubles: &mut Vec<Trouble>,
) -> anyhow::Result<(Vec<Text>, Vec<Draft>)> {
    files::check_once(paths)?;
    let texts = files::read(paths, troubles);
    let drafts = drafts(&texts, troubles);
    if drafts.is_empty() && troubles.is_empty() {
        anyhow::bail!("there is no policy in {}", files::names(paths));
    }
    Ok((texts, drafts))
}

/// The policies among the documents of these texts; other documents are passed over.
pub(in crate::cli) fn drafts(texts: &[Text], troubles: &mut Vec<Trouble>) -> Vec<Draft> {
    let mut drafts = Vec::new();
    for Written { origin, json } in documents::split(texts, troubles) {
        match serde_json::from_str(&json) {
            Ok(value) => collect(value, (&origin, String::new()), &mut drafts, troubles),
            Err(error) => troubles.push(Trouble::at(&origin, error.to_string())),
        }
    }
    drafts
}

fn collect(
    mut value: Value,
    (origin, within): (&Origin, String),
    drafts: &mut Vec<Draft>,
    troubles: &mut Vec<Trouble>,
) {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (version, kind) = (text("apiVersion"), text("kind"));
    let is_ours = version.starts_with(GROUP);
    let is_list = kind == "List" || (is_ours && kind == "WatchPolicyList");
    if is_ours && kind == KIND {
        drafts.push(Draft { origin: origin.clone(), within, value });
    } else if is_list && let Some(Value::Array(items)) = value.get_mut("items").map(Value::take) {
        for (index, item) in items.into_iter().enumerate() {
            let parent = if within.is_empty() { String::new() } else { format!("{within}.") };
            collect(item, (origin, format!("{parent}items[{index}]")), drafts, troubles);
        }
    } else if is_ours || kind.eq_ignore_ascii_case(KIND) {
        let message = format!("apiVersion {version:?}, kind {kind:?}: a policy is {API_VERSION}, {KIND}");
        troubles.push(Trouble::at(origin, message));
    }
}

/// Compiles what was written. Each fault that lint finds is noted: what the server would drop, a policy was not meant
/// to be judged without.
pub(in crate::cli) fn compiled(drafts: &[Draft], troubles: &mut Vec<Trouble>) -> Vec<Policy> {
    let mut policies = Vec::new();
    for draft in drafts {
        let fault = |words: String| Trouble::at(&draft.origin, format!("policy {}: {words}", draft.name()));
        match lint::program_of(draft) {
            Ok(program) => {
                policies.push(Policy { origin: draft.origin.clone(), program: Arc::new(program) });
            }
            Err(faults) => troubles.extend(faults.into_iter().map(fault)),
        }
    }
    policies
}

impl Draft {
    /// The name, as far as there is one.
    pub(in crate::cli) fn name(&self) -> &str {
        self.value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
    }

    /// Reads the types of the contract.
    ///
    /// # Errors
    /// It is of another version, or a field has another type.
    pub(in crate::cli) fn read(&self) -> Result<WatchPolicy, Trouble> {
        let version = self.value.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        if version != API_VERSION {
            let message = format!("policy {}: apiVersion is {version}, wanted {API_VERSION}", self.name());
            return Err(Trouble::at(&self.origin, message));
        }
        WatchPolicy::deserialize(&self.value)
            .map_err(|error| Trouble::at(&self.origin, format!("policy {}: {error}", self.name())))
    }

    /// Compiles the policy as an operator with its defaults, and with its consent to all that a policy may ask for.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(in crate::cli) fn compile(&self, policy: &WatchPolicy) -> Result<CompiledPolicy, Faults> {
        compile(policy, &settings())
    }
}

/// An operator's with its defaults, and with its consent to all that a policy may ask for.
pub(in crate::cli) fn settings() -> Settings {
    let system = SYSTEM_NAMESPACES.split(',').chain([DEFAULT_NAMESPACE]);
    Settings {
        system_namespaces: system.map(Arc::from).collect(),
        allow_system_namespaces: true,
        ..Settings::default()
    }
}
