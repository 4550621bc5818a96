//! The part of the configuration that is about leader election.

use std::sync::Arc;
use std::time::Duration;

use super::{ConfigError, RunFlags, Surroundings, at_least, fault};

/// A lease of one second is how a released Lease looks.
const SHORTEST_LEASE: Duration = Duration::from_secs(2);
/// Replicas believe no Lease that says more.
const LONGEST_LEASE: Duration = Duration::from_secs(300);
/// Looks come at most a fifth later than the retry period; two of them should fit.
const RETRIES: u32 = 2;
/// What the API server takes as an identity, and an HTTP header as a part of the user agent.
const LONGEST_IDENTITY: usize = 200;

/// How a leader is elected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectionConfig {
    /// The name of the Lease.
    pub lease_name: Arc<str>,
    /// How long others wait after the last renewal that they saw; whole seconds.
    pub lease_duration: Duration,
    /// How long a leader may be unable to renew.
    pub renew_deadline: Duration,
    /// How often is renewed, or looked.
    pub retry_period: Duration,
}

pub(super) fn checked(flags: &RunFlags) -> Result<Option<ElectionConfig>, ConfigError> {
    let RunFlags { lease_duration, renew_deadline, retry_period, .. } = *flags;
    at_least("retry-period", retry_period, Duration::from_millis(100))?;
    let whole = lease_duration.subsec_nanos() == 0;
    if !whole || !(SHORTEST_LEASE..=LONGEST_LEASE).contains(&lease_duration) {
        let rule = format!("a lease has whole seconds, {SHORTEST_LEASE:?} to {LONGEST_LEASE:?}");
        return Err(fault("lease-duration", format_args!("{lease_duration:?}"), &rule));
    }
    if renew_deadline >= lease_duration {
        let rule = format!(
            "a leader must stop before others begin; give less than --lease-duration, which is {lease_duration:?}"
        );
        return Err(fault("renew-deadline", format_args!("{renew_deadline:?}"), &rule));
    }
    if retry_period.saturating_mul(RETRIES) > renew_deadline {
        let rule = format!(
            "a failed renewal must be tried again in time; give at most half of --renew-deadline, which is {renew_deadline:?}"
        );
        return Err(fault("retry-period", format_args!("{retry_period:?}"), &rule));
    }
    let lease_name = lease_name(&flags.lease_name)?;
    Ok(flags.leader_elect.then_some(ElectionConfig {
        lease_name,
        lease_duration,
        renew_deadline,
        retry_period,
    }))
}

/// RFC 1123 subdomains: what the API server takes as the name of a Lease.
fn lease_name(name: &str) -> Result<Arc<str>, ConfigError> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let part = |part: &str| {
        !part.is_empty() && part.bytes().all(inner) && !part.starts_with('-') && !part.ends_with('-')
    };
    if name.len() <= 253 && name.split('.').all(part) {
        return Ok(name.into());
    }
    let rule =
        "a Lease's name has 1 to 253 of a-z, 0-9, - and ., and begins and ends with one of the first two";
    Err(fault("lease-name", format_args!("{name:?}"), rule))
}

/// A name that nobody chose gets a suffix: a container that is started again in its pod is not its predecessor.
pub(super) fn identity(written: Option<&str>, around: &Surroundings) -> Result<Arc<str>, ConfigError> {
    let Some(written) = written else {
        let host: String = around.host.as_deref().unwrap_or_default().trim().chars().take(150).collect();
        let host = if fits(&host) { &host } else { "watchpolicy" };
        return Ok(format!("{host}_{:08x}", around.suffix).into());
    };
    if fits(written) {
        return Ok(written.into());
    }
    let rule = format!(
        "a name has 1 to {LONGEST_IDENTITY} of the visible ASCII characters; give one to each replica"
    );
    Err(fault("identity", format_args!("{written:?}"), &rule))
}

fn fits(identity: &str) -> bool {
    (1..=LONGEST_IDENTITY).contains(&identity.len()) && identity.bytes().all(|byte| byte.is_ascii_graphic())
}
