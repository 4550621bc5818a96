//! The part of the configuration that is about fixes.

use std::num::NonZeroU32;
use std::sync::Arc;

use super::{ConfigError, RunFlags, fault};

/// What the operator lets policies do beyond judging.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnforcementConfig {
    /// Whether policies in mode Enforce write.
    pub allow: bool,
    /// What fixes may write beyond the contract: kinds as `secrets` and `roles.rbac.authorization.k8s.io`, labels
    /// `pod-security.kubernetes.io/*` by their key.
    pub allow_fix_of: Arc<[Arc<str>]>,
    /// How many fixes all policies together send in a second, dry runs among them.
    pub write_qps: NonZeroU32,
}

pub(super) fn checked(flags: &RunFlags) -> Result<EnforcementConfig, ConfigError> {
    let written = flags.allow_fix_of.iter().filter(|opened| !opened.is_empty());
    let opened = written.map(|opened| kind_or_label(opened)).collect::<Result<_, _>>()?;
    Ok(EnforcementConfig { allow: flags.allow_enforce, allow_fix_of: opened, write_qps: flags.write_qps })
}

fn kind_or_label(written: &str) -> Result<Arc<str>, ConfigError> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    let label = written.strip_prefix("pod-security.kubernetes.io/");
    let name = label.unwrap_or(written);
    if !name.is_empty() && name.chars().all(fits) {
        return Ok(written.into());
    }
    let rule = "name kinds as secrets or roles.rbac.authorization.k8s.io, and labels as \
                pod-security.kubernetes.io/enforce";
    Err(fault("allow-fix-of", format_args!("{written:?}"), rule))
}
