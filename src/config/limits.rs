//! How much the operator watches and keeps.

use super::{ConfigError, RunFlags, fault};

/// The least that makes sense of one object: its labels and a few fields.
const LEAST_DOCUMENT: usize = 4 << 10;

/// The least that is worth listing.
const LEAST_VERDICTS: usize = 1 << 20;

/// The checked limits. Sizes are bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Objects of one watch.
    pub objects: usize,
    /// What is kept of the objects of one watch.
    pub bytes: usize,
    /// What is kept of all objects.
    pub total_bytes: usize,
    /// What is kept of violations.
    pub verdict_bytes: usize,
    /// What is kept of one object.
    pub document_bytes: usize,
    /// Resources that are watched.
    pub targets: usize,
    /// Single namespaces of resources that are watched.
    pub namespaced_watches: usize,
}

pub(super) fn checked(flags: &RunFlags) -> Result<LimitsConfig, ConfigError> {
    for (flag, value) in [
        ("max-objects-per-target", flags.max_objects_per_target),
        ("max-targets", flags.max_targets),
        ("max-namespaced-watches", flags.max_namespaced_watches),
    ] {
        if value == 0 {
            return Err(fault(flag, value, "nothing could be watched; give at least 1"));
        }
    }
    for (flag, value, least, of) in [
        (
            "max-document-bytes",
            flags.max_document_bytes,
            LEAST_DOCUMENT,
            "an object's labels and a few fields",
        ),
        (
            "max-bytes-per-target",
            flags.max_bytes_per_target,
            flags.max_document_bytes,
            "--max-document-bytes",
        ),
        ("max-cached-bytes", flags.max_cached_bytes, flags.max_bytes_per_target, "--max-bytes-per-target"),
        (
            "max-verdict-bytes",
            flags.max_verdict_bytes,
            LEAST_VERDICTS,
            "what the status of a few policies lists",
        ),
    ] {
        if value < least {
            let rule = format!("smaller than {of}; give at least {least}");
            return Err(fault(flag, value, &rule));
        }
    }
    Ok(LimitsConfig {
        objects: flags.max_objects_per_target,
        bytes: flags.max_bytes_per_target,
        total_bytes: flags.max_cached_bytes,
        verdict_bytes: flags.max_verdict_bytes,
        document_bytes: flags.max_document_bytes,
        targets: flags.max_targets,
        namespaced_watches: flags.max_namespaced_watches,
    })
}
