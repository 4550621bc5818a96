//! What can be written after `watchpolicy`.

use std::env::consts::{ARCH, OS};
use std::ffi::OsString;
use std::fmt::Display;
use std::path::Path;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::config::RunFlags;

use super::completion::CompletionArgs;
use super::eval::EvalArgs;
use super::lint::LintArgs;
use super::query::QueryArgs;
use super::rbac::RbacArgs;
use super::scan::ScanArgs;
use super::suite::TestArgs;
use super::violations::ViolationsArgs;

/// The version of this build.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How kubectl calls its plugins.
const PLUGIN: &str = "kubectl-watchpolicy";

/// What the exit status of judging means.
const JUDGED: &str = "Exit status: 0 no violation at or over --fail-on, 1 some, 2 an input that cannot be used or a \
    result that is an Error.";

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "watchpolicy",
    version,
    about = "Watches what policies name in a Kubernetes cluster, and reports what breaks their rules",
    after_help = "Exit status: 0 success, 1 violations, a failed suite, a fault or a failure at run time, 2 a wrong flag, value or input.",
    max_term_width = 100
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the operator until SIGTERM or SIGINT
    #[command(
        after_help = "Durations are written as 60s, 1m30s or 250ms. $RUST_LOG goes before --log-level."
    )]
    Run(Box<RunFlags>),
    /// Print the CustomResourceDefinition of WatchPolicy, for kubectl apply --server-side -f -
    Crd,
    /// Judge files of objects by files of policies
    #[command(after_help = JUDGED)]
    Eval(EvalArgs),
    /// Judge what a cluster holds, once and without changing anything
    #[command(after_help = JUDGED)]
    Scan(ScanArgs),
    /// Run suites of policies, objects and what is expected of them
    #[command(
        after_help = "Exit status: 0 all is as expected, 1 a suite failed, 2 no suite found or a wrong flag."
    )]
    Test(TestArgs),
    /// Print what a path finds in YAML or JSON documents, to try paths out
    #[command(after_help = "Exit status: 0 also when nothing is found, 2 for a wrong path or file.")]
    Query(QueryArgs),
    /// Tell everything that is wrong with policies, before a server sees them
    #[command(after_help = "Exit status: 0 no fault, 1 some, 2 an input that cannot be read.")]
    Lint(LintArgs),
    /// Print the least rights that the operator needs to watch what policies target
    #[command(after_help = "Exit status: 0 success, 2 a policy that cannot be used.")]
    Rbac(RbacArgs),
    /// Print all violations that the operator in a cluster knows
    #[command(
        after_help = "Exit status: 0 however many there are, 2 when there is no such policy, or the operator cannot be asked or refuses."
    )]
    Violations(ViolationsArgs),
    /// Print a completion script for a shell
    Completion(CompletionArgs),
    /// Print the version and how it was built
    Version,
}

/// Reads the command line, or ends the process with what is wrong with it. Called as a plugin of kubectl, it speaks of
/// itself as kubectl's users write it.
pub fn parse(written: impl Iterator<Item = OsString>) -> Cli {
    let written: Vec<OsString> = written.collect();
    let matches = named(written.first()).get_matches_from(written);
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

fn named(called: Option<&OsString>) -> clap::Command {
    let name = called.and_then(|called| Path::new(called).file_stem());
    if name.is_some_and(|name| name == PLUGIN) {
        Cli::command().bin_name("kubectl watchpolicy")
    } else {
        Cli::command()
    }
}

/// The refusal of a value of `watchpolicy run` that clap itself cannot judge: the fault, the usage of `run` and how to
/// get help, with exit status 2.
pub fn refusal(fault: &dyn Display) -> clap::Error {
    let mut command = Cli::command();
    // Only a built command knows the name by which its subcommands are called.
    command.build();
    let mut run = command.find_subcommand("run").cloned().unwrap_or(command);
    run.error(ErrorKind::ValueValidation, fault)
}

/// What `watchpolicy version` prints: the version, and the revision, profile and platform of the build.
pub fn version() -> String {
    let revision = option_env!("WATCHPOLICY_REVISION").unwrap_or("unknown");
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    format!("watchpolicy {VERSION}\nrevision: {revision}\nprofile: {profile}\nplatform: {OS}/{ARCH}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_wrong_command_or_flag_exits_with_2() {
        for written in [&["watchpolicy"][..], &["watchpolicy", "rum"], &["watchpolicy", "run", "--flag"]] {
            assert_eq!(Cli::try_parse_from(written).unwrap_err().exit_code(), 2, "{written:?}");
        }
    }

    #[test]
    fn a_refused_value_of_run_shows_the_usage_of_run_and_exits_with_2() {
        let refused = refusal(&"--page-size is 0: a page has 1 to 10000 objects");
        let text = refused.to_string();
        assert!(text.starts_with("error: --page-size is 0"), "{text}");
        assert!(text.contains("Usage: watchpolicy run [OPTIONS]"), "{text}");
        assert_eq!(refused.exit_code(), 2);
    }

    #[test]
    fn every_command_and_flag_is_described_in_the_help() {
        for command in Cli::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for flag in command.get_arguments() {
                assert!(flag.get_help().is_some(), "{} --{}", command.get_name(), flag.get_id());
            }
        }
        let help = Cli::try_parse_from(["watchpolicy", "run", "--help"]).unwrap_err();
        assert_eq!((help.kind(), help.exit_code()), (ErrorKind::DisplayHelp, 0));
    }

    #[test]
    fn a_plugin_of_kubectl_speaks_as_one() {
        for (called, usage) in [
            ("/usr/local/bin/kubectl-watchpolicy", "Usage: kubectl watchpolicy <COMMAND>"),
            ("./watchpolicy", "Usage: watchpolicy <COMMAND>"),
        ] {
            let refused = named(Some(&called.into())).try_get_matches_from([called]).unwrap_err();
            assert!(refused.to_string().contains(usage), "{called}: {refused}");
        }
    }

    #[test]
    fn the_version_names_the_build() {
        assert!(version().starts_with(concat!("watchpolicy ", env!("CARGO_PKG_VERSION"), "\n")));
        assert!(version().contains("platform: "));
    }
}
