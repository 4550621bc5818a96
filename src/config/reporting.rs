//! What is told beside the status of policies.

use std::num::NonZeroU32;

use clap::{ArgAction, Args, ValueEnum};

use super::switch::SWITCH;
use super::{ConfigError, fault};

/// What reports on objects say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Reports {
    /// None are written.
    #[value(name = "None")]
    None,
    /// Rules that fail or err.
    #[value(name = "Failures")]
    Failures,
    /// And policies that pass the object, or do not apply to it.
    #[value(name = "All")]
    All,
}

/// Flags of what is told.
#[derive(Args, Clone, Debug)]
pub struct ReportingFlags {
    /// Write Events on WatchPolicies when they become invalid, lose a target, or a fix rests
    #[arg(
        long,
        env = "WATCHPOLICY_EVENTS",
        value_name = SWITCH,
        default_value_t = true,
        action = ArgAction::Set,
        help_heading = "Reporting"
    )]
    pub events: bool,

    /// Write Events on the objects too, when a violation begins, ends or is fixed
    #[arg(long, env = "WATCHPOLICY_EVENTS_ON_RESOURCES", help_heading = "Reporting")]
    pub events_on_resources: bool,

    /// Results in the Reports and ClusterReports of openreports.io, one for each object, where the cluster serves them:
    /// None, Failures, or All, which adds the policies that an object passes
    #[arg(
        long,
        env = "WATCHPOLICY_REPORTS",
        value_name = "RESULTS",
        default_value = "Failures",
        value_enum,
        ignore_case = true,
        hide_possible_values = true,
        help_heading = "Reporting"
    )]
    pub reports: Reports,

    /// Reports that are written or deleted in a second
    #[arg(
        long,
        env = "WATCHPOLICY_REPORT_QPS",
        value_name = "N",
        default_value = "20",
        help_heading = "Reporting"
    )]
    pub report_qps: NonZeroU32,
}

/// What is told beside the status of policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportingConfig {
    /// Whether events are written, and whether on objects too.
    pub events: Events,
    /// What reports say.
    pub reports: Reports,
    /// How many of them are written in a second.
    pub report_qps: NonZeroU32,
}

/// On what events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Events {
    /// On nothing.
    Off,
    /// On WatchPolicies.
    OnPolicies,
    /// On WatchPolicies and on the objects that they judge.
    OnResources,
}

/// Checks the flags.
pub(super) fn checked(flags: &ReportingFlags) -> Result<ReportingConfig, ConfigError> {
    let ReportingFlags { events, events_on_resources, reports, report_qps } = *flags;
    let events = match (events, events_on_resources) {
        (true, true) => Events::OnResources,
        (true, false) => Events::OnPolicies,
        (false, false) => Events::Off,
        (false, true) => {
            let rule = "no events are written with --events=false; leave one of the two out";
            return Err(fault("events-on-resources", events_on_resources, rule));
        }
    };
    Ok(ReportingConfig { events, reports, report_qps })
}
