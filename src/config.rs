//! The configuration of `watchpolicy run`: raw flags in, a checked [`Config`] out.
//!
//! [`RunFlags`] is what was written on the command line or in the environment; [`Config`] is what the rest of the
//! process may rely on. A value that cannot work is refused at the start, with the flag, the value and what to do.

mod duration;
mod election;
mod enforcement;
mod flags;
mod limits;
mod reporting;
mod serving;
mod size;
mod switch;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use election::ElectionConfig;
pub use enforcement::EnforcementConfig;
pub use flags::{LogFormat, RunFlags};
pub use limits::LimitsConfig;
pub use reporting::{Events, ReportingConfig, Reports};
pub use serving::{ServingConfig, ServingFlags};

/// Where a pod finds the namespace that it runs in.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
/// Where Linux tells the host's name.
const HOST_FILE: &str = "/proc/sys/kernel/hostname";
/// The system namespaces when nothing says otherwise, as the flag takes them.
pub const SYSTEM_NAMESPACES: &str = "kube-system,kube-public,kube-node-lease";
/// The operator's namespace when nothing says otherwise.
pub const DEFAULT_NAMESPACE: &str = "watchpolicy-system";

/// The checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The kubeconfig file; `None` infers as kubectl does, in-cluster configuration included.
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig; `None` takes its current one.
    pub context: Option<String>,
    /// Where `/metrics`, `/violations`, `/livez` and `/readyz` are served.
    pub listen: SocketAddr,
    /// What is served, to whom, and how securely.
    pub serving: ServingConfig,
    /// The operator's own namespace.
    pub namespace: Arc<str>,
    /// How many keys are judged at a time.
    pub workers: NonZeroUsize,
    /// Failures in a row after which a key is tried again only at the longest delay.
    pub max_retries: u32,
    /// How targets are followed.
    pub watch: WatchConfig,
    /// How much is watched and kept.
    pub limits: LimitsConfig,
    /// The shortest time between two status writes of one policy that changes without pause.
    pub status_interval: Duration,
    /// Namespaces that policies leave out unless they ask for them, the operator's own among them.
    pub system_namespaces: Box<[Arc<str>]>,
    /// Whether a policy may ask for them.
    pub allow_system_namespaces: bool,
    /// What policies may do beyond judging.
    pub enforcement: EnforcementConfig,
    /// What is told beside the status of policies.
    pub reporting: ReportingConfig,
    /// The name of this replica, which no other running one has.
    pub identity: Arc<str>,
    /// How a leader is elected; `None` for a replica that is alone.
    pub election: Option<ElectionConfig>,
    /// Whether each verdict that changes gets a line in the log.
    pub log_verdicts: bool,
    /// How logs are written.
    pub log: LogConfig,
}

/// How targets are listed and watched.
#[derive(Clone, Copy, Debug)]
pub struct WatchConfig {
    /// Objects in one page of a LIST.
    pub page_size: u32,
    /// How long a watch that no policy wants any more stays open.
    pub linger: Duration,
    /// How often every object is judged again; `None` for never.
    pub resync: Option<Duration>,
    /// How often the right to watch is asked again; a revoked one does not end a watch.
    pub access_check: Duration,
    /// The longest wait between two tries of a list or a watch.
    pub backoff_max: Duration,
    /// How long one page of a LIST may take.
    pub list_timeout: Duration,
    /// A watch that is silent for so long is taken for dead; bookmarks come about every minute.
    pub liveness: Duration,
}

/// How logs are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// JSON for machines, text for people.
    pub format: LogFormat,
    /// A level, or directives such as `info,watchpolicy::observe=debug`; `RUST_LOG` goes before it.
    pub level: String,
}

/// What the process finds around it; passed in so that tests can say it.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// How many CPUs the process may use.
    pub cores: Option<NonZeroUsize>,
    /// `POD_NAMESPACE`, as the chart sets it.
    pub pod_namespace: Option<String>,
    /// The content of the ServiceAccount's namespace file.
    pub account_namespace: Option<String>,
    /// `POD_NAME`, as the chart sets it, or the host's name.
    pub host: Option<String>,
    /// What makes the name of this process unlike that of the one before it.
    pub suffix: u32,
}

impl Surroundings {
    /// Looks around.
    pub fn look() -> Self {
        Self {
            cores: std::thread::available_parallelism().ok(),
            pod_namespace: std::env::var("POD_NAMESPACE").ok(),
            account_namespace: std::fs::read_to_string(NAMESPACE_FILE).ok(),
            host: std::env::var("POD_NAME").or_else(|_unset| std::fs::read_to_string(HOST_FILE)).ok(),
            suffix: rand::random(),
        }
    }

    fn namespace(self) -> String {
        let said =
            |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        said(self.pod_namespace)
            .or_else(|| said(self.account_namespace))
            .unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned())
    }
}

/// A value that cannot work.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("--{flag} is {value}: {fault}")]
pub struct ConfigError {
    /// The flag, without dashes.
    pub flag: &'static str,
    /// What it was set to.
    pub value: String,
    /// What is wrong with it and what to do.
    pub fault: String,
}

impl Config {
    /// Checks flags.
    ///
    /// # Errors
    /// The first value that cannot work.
    pub fn new(flags: RunFlags, surroundings: Surroundings) -> Result<Self, ConfigError> {
        let watch = watch(&flags)?;
        let limits = limits::checked(&flags)?;
        at_least("status-interval", flags.status_interval, Duration::from_millis(100))?;
        let enforcement = enforcement::checked(&flags)?;
        let election = election::checked(&flags)?;
        let identity = election::identity(flags.identity.as_deref(), &surroundings)?;
        let cores = surroundings.cores.unwrap_or(NonZeroUsize::MIN);
        let namespace = flags.namespace.unwrap_or_else(|| surroundings.namespace());
        let namespace: Arc<str> = namespace_name("namespace", &namespace)?;
        let system_namespaces = system_namespaces(&flags.system_namespaces, &namespace)?;
        Ok(Self {
            kubeconfig: flags.kubeconfig,
            context: flags.context,
            listen: flags.listen,
            serving: serving::checked(flags.serving)?,
            namespace,
            workers: flags.workers.unwrap_or(cores),
            max_retries: flags.max_retries,
            watch,
            limits,
            status_interval: flags.status_interval,
            system_namespaces,
            allow_system_namespaces: flags.allow_system_namespaces,
            enforcement,
            reporting: reporting::checked(&flags.reporting)?,
            identity,
            election,
            log_verdicts: flags.log_verdicts,
            log: LogConfig { format: flags.log_format, level: flags.log_level },
        })
    }
}

fn watch(flags: &RunFlags) -> Result<WatchConfig, ConfigError> {
    if !(1..=10_000).contains(&flags.page_size) {
        return Err(fault(
            "page-size",
            flags.page_size,
            "a page has 1 to 10000 objects; 500 is what kubectl asks for",
        ));
    }
    let shortest = Duration::from_secs(1);
    for (flag, value) in [
        ("access-check", flags.access_check),
        ("relist-backoff-max", flags.relist_backoff_max),
        ("list-timeout", flags.list_timeout),
    ] {
        at_least(flag, value, shortest)?;
    }
    let resync = (!flags.resync.is_zero()).then_some(flags.resync);
    if let Some(resync) = resync {
        at_least("resync", resync, shortest)?;
    }
    // Bookmarks come about once a minute; less patience would open every quiet watch again and again.
    at_least("watch-liveness", flags.watch_liveness, Duration::from_secs(90))?;
    Ok(WatchConfig {
        page_size: flags.page_size,
        linger: flags.watch_linger,
        resync,
        access_check: flags.access_check,
        backoff_max: flags.relist_backoff_max,
        list_timeout: flags.list_timeout,
        liveness: flags.watch_liveness,
    })
}

fn system_namespaces(written: &[String], own: &Arc<str>) -> Result<Box<[Arc<str>]>, ConfigError> {
    let mut namespaces = written
        .iter()
        .filter(|name| !name.is_empty())
        .map(|name| namespace_name("system-namespaces", name))
        .collect::<Result<Vec<_>, _>>()?;
    namespaces.push(Arc::clone(own));
    namespaces.sort_unstable();
    namespaces.dedup();
    Ok(namespaces.into())
}

/// RFC 1123 labels: what the API server takes as the name of a namespace.
fn namespace_name(flag: &'static str, name: &str) -> Result<Arc<str>, ConfigError> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let fits = (1..=63).contains(&name.len()) && name.bytes().all(inner);
    if fits && !name.starts_with('-') && !name.ends_with('-') {
        return Ok(name.into());
    }
    let rule = "a namespace has 1 to 63 of a-z, 0-9 and -, with no - at either end; give its name";
    Err(fault(flag, format_args!("{name:?}"), rule))
}

fn at_least(flag: &'static str, value: Duration, least: Duration) -> Result<(), ConfigError> {
    if value >= least {
        return Ok(());
    }
    Err(fault(flag, format_args!("{value:?}"), &format!("too short to work with; give at least {least:?}")))
}

fn fault(flag: &'static str, value: impl std::fmt::Display, fault: &str) -> ConfigError {
    ConfigError { flag, value: value.to_string(), fault: fault.to_owned() }
}

#[cfg(test)]
mod tests;
