//! What is served, to whom, and how securely.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::switch::SWITCH;
use super::{ConfigError, fault};

/// Flags of what is served.
#[derive(Args, Clone, Debug)]
pub struct ServingFlags {
    /// Serve /violations to whom a TokenReview and a SubjectAccessReview allow to list WatchPolicies
    #[arg(
        long,
        env = "WATCHPOLICY_SERVE_VIOLATIONS",
        value_name = SWITCH,
        default_value_t = true,
        action = ArgAction::Set,
        help_heading = "Serving"
    )]
    pub serve_violations: bool,

    /// Show /metrics to those alone whom a TokenReview and a SubjectAccessReview allow to get that path
    #[arg(long, env = "WATCHPOLICY_METRICS_AUTH", help_heading = "Serving")]
    pub metrics_auth: bool,

    /// Serve over TLS with this chain of certificates in PEM, the server's own first; read again when it changes
    #[arg(long, env = "WATCHPOLICY_TLS_CERT_FILE", value_name = "PATH", help_heading = "Serving")]
    pub tls_cert_file: Option<PathBuf>,

    /// The private key of --tls-cert-file, in PEM
    #[arg(long, env = "WATCHPOLICY_TLS_KEY_FILE", value_name = "PATH", help_heading = "Serving")]
    pub tls_key_file: Option<PathBuf>,
}

/// What is served, to whom, and how securely.
#[derive(Clone, Debug)]
pub struct ServingConfig {
    /// Whether `/violations` is served.
    pub violations: bool,
    /// Whether `/metrics` is guarded.
    pub metrics_auth: bool,
    /// The files of the certificate and its key; `None` serves without TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
}

/// Checks the flags.
pub(super) fn checked(flags: ServingFlags) -> Result<ServingConfig, ConfigError> {
    let ServingFlags { serve_violations, metrics_auth, tls_cert_file, tls_key_file } = flags;
    let alone = |flag, path: PathBuf, other| {
        Err(fault(
            flag,
            path.display(),
            &format!("a certificate and its key go together; give --{other} too"),
        ))
    };
    let tls = match (tls_cert_file, tls_key_file) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(certificate), None) => return alone("tls-cert-file", certificate, "tls-key-file"),
        (None, Some(key)) => return alone("tls-key-file", key, "tls-cert-file"),
    };
    Ok(ServingConfig { violations: serve_violations, metrics_auth, tls })
}
