//! The flags of `watchpolicy run`, as written.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};

use super::duration::parse;
use super::reporting::ReportingFlags;
use super::serving::ServingFlags;
use super::size::parse as size;
use super::switch::{SWITCH, switch};

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Flags of `watchpolicy run`; each has an environment twin `WATCHPOLICY_…`, and the flag goes before it.
#[derive(Args, Clone, Debug)]
#[command(mut_args = switch)]
pub struct RunFlags {
    /// Kubeconfig file; without it $KUBECONFIG, ~/.kube/config or the pod's ServiceAccount is used
    #[arg(long, env = "WATCHPOLICY_KUBECONFIG", value_name = "PATH", help_heading = "Cluster")]
    pub kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig; without it the current one
    #[arg(long, env = "WATCHPOLICY_CONTEXT", value_name = "NAME", help_heading = "Cluster")]
    pub context: Option<String>,

    /// The operator's own namespace, always left out like the system namespaces; without it $POD_NAMESPACE, the
    /// namespace of the pod's ServiceAccount, or watchpolicy-system
    #[arg(long, env = "WATCHPOLICY_NAMESPACE", value_name = "NAME", help_heading = "Cluster")]
    pub namespace: Option<String>,

    /// Address that serves /metrics, /violations, /livez and /readyz
    #[arg(long, env = "WATCHPOLICY_LISTEN", value_name = "ADDRESS", default_value = "0.0.0.0:8080", value_parser = address)]
    pub listen: SocketAddr,

    /// What is served, to whom, and how securely.
    #[command(flatten)]
    pub serving: ServingFlags,

    /// Objects judged at a time; without it the number of CPUs
    #[arg(long, env = "WATCHPOLICY_WORKERS", value_name = "N")]
    pub workers: Option<NonZeroUsize>,

    /// Failures in a row, each waited for twice as long as the one before, after which an object is tried again only
    /// every 1000 s; watchpolicy_parked_keys counts them
    #[arg(long, env = "WATCHPOLICY_MAX_RETRIES", value_name = "N", default_value_t = 15)]
    pub max_retries: u32,

    /// Shortest time between two status writes of one policy
    #[arg(long, env = "WATCHPOLICY_STATUS_INTERVAL", value_name = "DURATION", default_value = "5s", value_parser = parse)]
    pub status_interval: Duration,

    /// Namespaces that every policy leaves out unless it says systemNamespaces: Include
    #[arg(
        long,
        env = "WATCHPOLICY_SYSTEM_NAMESPACES",
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = super::SYSTEM_NAMESPACES,
        help_heading = "Policies"
    )]
    pub system_namespaces: Vec<String>,

    /// Let policies say systemNamespaces: Include
    #[arg(long, env = "WATCHPOLICY_ALLOW_SYSTEM_NAMESPACES", help_heading = "Policies")]
    pub allow_system_namespaces: bool,

    /// Let policies in mode Enforce write to the objects they judge; without it they plan, as in mode Plan
    #[arg(long, env = "WATCHPOLICY_ALLOW_ENFORCE", help_heading = "Enforcement")]
    pub allow_enforce: bool,

    /// Kinds and labels that fixes may write though the contract fences them off, such as
    /// secrets,roles.rbac.authorization.k8s.io,pod-security.kubernetes.io/enforce
    #[arg(
        long,
        env = "WATCHPOLICY_ALLOW_FIX_OF",
        value_name = "NAMES",
        value_delimiter = ',',
        help_heading = "Enforcement"
    )]
    pub allow_fix_of: Vec<String>,

    /// Fixes that all policies together send in a second, dry runs among them
    #[arg(
        long,
        env = "WATCHPOLICY_WRITE_QPS",
        value_name = "N",
        default_value = "10",
        help_heading = "Enforcement"
    )]
    pub write_qps: NonZeroU32,

    /// What is told beside the status of policies.
    #[command(flatten)]
    pub reporting: ReportingFlags,

    /// Objects in one page of a list
    #[arg(
        long,
        env = "WATCHPOLICY_PAGE_SIZE",
        value_name = "N",
        default_value_t = 500,
        help_heading = "Watching"
    )]
    pub page_size: u32,

    /// How long a watch stays open that no policy wants any more
    #[arg(
        long,
        env = "WATCHPOLICY_WATCH_LINGER",
        value_name = "DURATION",
        default_value = "60s",
        value_parser = parse,
        help_heading = "Watching"
    )]
    pub watch_linger: Duration,

    /// How often every object is judged again by what is known of it, which asks nothing of the API server; 0 for never,
    /// since changes are told by watches
    #[arg(
        long,
        env = "WATCHPOLICY_RESYNC",
        value_name = "DURATION",
        default_value = "0",
        value_parser = parse,
        help_heading = "Watching"
    )]
    pub resync: Duration,

    /// How often the right to watch a resource, or to fix it, is asked again
    #[arg(
        long,
        env = "WATCHPOLICY_ACCESS_CHECK",
        value_name = "DURATION",
        default_value = "60s",
        value_parser = parse,
        help_heading = "Watching"
    )]
    pub access_check: Duration,

    /// Longest wait between two tries of a list or watch that fails
    #[arg(
        long,
        env = "WATCHPOLICY_RELIST_BACKOFF_MAX",
        value_name = "DURATION",
        default_value = "60s",
        value_parser = parse,
        help_heading = "Watching"
    )]
    pub relist_backoff_max: Duration,

    /// How long the server may take for one page of a list
    #[arg(
        long,
        env = "WATCHPOLICY_LIST_TIMEOUT",
        value_name = "DURATION",
        default_value = "60s",
        value_parser = parse,
        help_heading = "Watching"
    )]
    pub list_timeout: Duration,

    /// A watch on which nothing comes for so long, not even a bookmark, is opened anew
    #[arg(
        long,
        env = "WATCHPOLICY_WATCH_LIVENESS",
        value_name = "DURATION",
        default_value = "120s",
        value_parser = parse,
        help_heading = "Watching"
    )]
    pub watch_liveness: Duration,

    /// Objects of one watch; more are not judged, and the targets are Degraded with the reason LimitExceeded
    #[arg(
        long,
        env = "WATCHPOLICY_MAX_OBJECTS_PER_TARGET",
        value_name = "N",
        default_value_t = 150_000,
        help_heading = "Limits"
    )]
    pub max_objects_per_target: usize,

    /// What is kept of the objects of one watch
    #[arg(
        long,
        env = "WATCHPOLICY_MAX_BYTES_PER_TARGET",
        value_name = "SIZE",
        default_value = "96Mi",
        value_parser = size,
        help_heading = "Limits"
    )]
    pub max_bytes_per_target: usize,

    /// What is kept of all objects together; the memory of the operator must be about 256Mi more
    #[arg(
        long,
        env = "WATCHPOLICY_MAX_CACHED_BYTES",
        value_name = "SIZE",
        default_value = "192Mi",
        value_parser = size,
        help_heading = "Limits"
    )]
    pub max_cached_bytes: usize,

    /// What is kept of one object; a larger one cannot be judged, which is an Error
    #[arg(
        long,
        env = "WATCHPOLICY_MAX_DOCUMENT_BYTES",
        value_name = "SIZE",
        default_value = "256Ki",
        value_parser = size,
        help_heading = "Limits"
    )]
    pub max_document_bytes: usize,

    /// What is kept of violations; past it the least severe of the policy with the most are counted and not listed
    #[arg(
        long,
        env = "WATCHPOLICY_MAX_VERDICT_BYTES",
        value_name = "SIZE",
        default_value = "64Mi",
        value_parser = size,
        help_heading = "Limits"
    )]
    pub max_verdict_bytes: usize,

    /// Resources that are watched
    #[arg(
        long,
        env = "WATCHPOLICY_MAX_TARGETS",
        value_name = "N",
        default_value_t = 200,
        help_heading = "Limits"
    )]
    pub max_targets: usize,

    /// Single namespaces of resources that are watched, for targets that name namespaces
    #[arg(
        long,
        env = "WATCHPOLICY_MAX_NAMESPACED_WATCHES",
        value_name = "N",
        default_value_t = 256,
        help_heading = "Limits"
    )]
    pub max_namespaced_watches: usize,

    /// Write only while holding a Lease, so that several replicas can run; false for a single one without the right to it
    #[arg(
        long,
        env = "WATCHPOLICY_LEADER_ELECT",
        value_name = SWITCH,
        default_value_t = true,
        action = ArgAction::Set,
        help_heading = "Leader election"
    )]
    pub leader_elect: bool,

    /// Name of the Lease, in the operator's own namespace
    #[arg(
        long,
        env = "WATCHPOLICY_LEASE_NAME",
        value_name = "NAME",
        default_value = "watchpolicy",
        help_heading = "Leader election"
    )]
    pub lease_name: String,

    /// How long other replicas wait after the last renewal that they saw
    #[arg(
        long,
        env = "WATCHPOLICY_LEASE_DURATION",
        value_name = "DURATION",
        default_value = "15s",
        value_parser = parse,
        help_heading = "Leader election"
    )]
    pub lease_duration: Duration,

    /// How long a leader may be unable to renew before it stops writing
    #[arg(
        long,
        env = "WATCHPOLICY_RENEW_DEADLINE",
        value_name = "DURATION",
        default_value = "10s",
        value_parser = parse,
        help_heading = "Leader election"
    )]
    pub renew_deadline: Duration,

    /// How often the Lease is renewed, or looked at
    #[arg(
        long,
        env = "WATCHPOLICY_RETRY_PERIOD",
        value_name = "DURATION",
        default_value = "2s",
        value_parser = parse,
        help_heading = "Leader election"
    )]
    pub retry_period: Duration,

    /// Name of this replica in the Lease and to the API server, another one for each; without it $POD_NAME or the host's
    /// name, and a random suffix
    #[arg(long, env = "WATCHPOLICY_IDENTITY", value_name = "NAME", help_heading = "Leader election")]
    pub identity: Option<String>,

    /// How log lines look, on stderr
    #[arg(
        long,
        env = "WATCHPOLICY_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "json",
        value_enum,
        help_heading = "Logging"
    )]
    pub log_format: LogFormat,

    /// error, warn, info, debug, trace, or directives such as info,watchpolicy::observe=debug; $RUST_LOG goes first
    #[arg(
        long,
        env = "WATCHPOLICY_LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "info",
        help_heading = "Logging"
    )]
    pub log_level: String,

    /// Write a line, at the level info, for each rule that begins or ends to fail or err on an object
    #[arg(long, env = "WATCHPOLICY_LOG_VERDICTS", help_heading = "Logging")]
    pub log_verdicts: bool,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_invalid: std::net::AddrParseError| {
        "an address has an IP and a port; write it as 0.0.0.0:8080 or [::]:8080".to_owned()
    })
}
