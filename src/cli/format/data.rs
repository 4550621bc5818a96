//! JSON and YAML: the same shape.

use anyhow::Context;
use serde::Serialize;

/// As JSON, with a newline at the end.
///
/// # Errors
/// Never for what the commands print.
pub(in crate::cli) fn json(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value).context("cannot print as JSON")? + "\n")
}

/// As YAML.
///
/// # Errors
/// Never for what the commands print.
pub(in crate::cli) fn yaml(value: &impl Serialize) -> anyhow::Result<String> {
    serde_saphyr::to_string(value).context("cannot print as YAML")
}
