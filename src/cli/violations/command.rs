//! The flags, and the pages one after the other.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::ask::{Door, Place};
use super::print::print;
use crate::cli::answer::{Answer, FINE, UNSURE};
use crate::cli::severity::{SeverityFlag, text};
use crate::report::{Listing, NotReady, Reason};

/// What can be written after `watchpolicy violations`.
#[derive(Debug, Args)]
pub struct ViolationsArgs {
    /// Only of this policy
    #[arg(long, value_name = "NAME")]
    pub policy: Option<String>,
    /// Only of objects in this namespace
    #[arg(long, short, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Only of this rule
    #[arg(long, value_name = "NAME")]
    pub rule: Option<String>,
    /// Only of this severity
    #[arg(long, value_enum)]
    pub severity: Option<SeverityFlag>,
    /// How they are printed
    #[arg(long, value_enum, default_value_t = ViolationsFormat::Table)]
    pub format: ViolationsFormat,
    /// Kubeconfig file; without it $KUBECONFIG, ~/.kube/config or the pod's ServiceAccount is used
    #[arg(long, value_name = "PATH", help_heading = "Cluster")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig; without it the current one
    #[arg(long, value_name = "NAME", help_heading = "Cluster")]
    pub context: Option<String>,
    /// Where the operator is and whom it trusts
    #[command(flatten)]
    pub place: Place,
}

/// How violations are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ViolationsFormat {
    /// A row for each violation
    Table,
    /// {"violations": [...]}, each as in the status of its policy
    Json,
    /// The same as YAML
    Yaml,
}

/// Asks for all pages. Violations are no failure: the exit status is that of the question, and whether its policy is there.
///
/// # Errors
/// When there is no usable kubeconfig, or the operator cannot be asked or refuses.
pub async fn run(args: &ViolationsArgs) -> anyhow::Result<Answer> {
    let config = crate::cluster::find(args.kubeconfig.as_deref(), args.context.as_deref()).await?;
    let door = Door::open(kube::Client::try_from(config)?, &args.place).await?;
    let mut all = Listing::default();
    let mut next = Some(String::new());
    while let Some(begin) = next {
        let page = door.page(&query(args, &begin)).await?;
        all.violations.extend(page.violations);
        all.not_ready.extend(page.not_ready);
        next = page.next;
    }
    let notes = all.not_ready.iter().map(note).collect();
    // A misspelt name has no violations either.
    let is_known = all.not_ready.iter().all(|one| one.reason != Reason::NotFound.as_str());
    let exit = if is_known { FINE } else { UNSURE };
    Ok(Answer { text: print(&all, args.format)?, notes, exit })
}

/// Why there may be more violations of a policy.
fn note(NotReady { policy, reason, message }: &NotReady) -> String {
    if reason == Reason::NotFound.as_str() {
        return format!("policy {policy}: {message}");
    }
    format!("policy {policy}: there may be more violations ({reason}): {message}")
}

fn query(args: &ViolationsArgs, begin: &str) -> String {
    let severity = args.severity.map(|SeverityFlag(severity)| text(severity).to_owned());
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in [
        ("policy", &args.policy),
        ("namespace", &args.namespace),
        ("rule", &args.rule),
        ("severity", &severity),
        ("continue", &Some(begin.to_owned()).filter(|begin| !begin.is_empty())),
    ] {
        query.extend_pairs(value.as_deref().map(|value| (name, value)));
    }
    query.finish()
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches};

    use super::*;
    use crate::report::Question;

    fn args(written: &[&str]) -> ViolationsArgs {
        let command = ViolationsArgs::augment_args(Command::new("violations").no_binary_name(true));
        ViolationsArgs::from_arg_matches(&command.get_matches_from(written)).unwrap()
    }

    #[test]
    fn a_policy_that_is_not_there_is_told_otherwise_than_one_that_is_not_ready() {
        let told = |reason: Reason, message: &str| {
            let (policy, reason) = ("p".to_owned(), reason.as_str().to_owned());
            note(&NotReady { policy, reason, message: message.to_owned() })
        };
        assert_eq!(told(Reason::NotFound, "there is no such"), "policy p: there is no such");
        let listing = told(Reason::Listing, "objects are being listed");
        assert_eq!(listing, "policy p: there may be more violations (Listing): objects are being listed");
    }

    #[test]
    fn what_the_flags_say_is_what_the_operator_reads() {
        assert_eq!(query(&args(&[]), ""), "");
        let written = ["--policy", "a.b", "-n", "shop", "--rule", "odd & rare", "--severity", "high"];
        let question = Question::read(&query(&args(&written), "")).unwrap();
        assert_eq!(question.policy.as_deref(), Some("a.b"));
        assert_eq!(question.namespace.as_deref(), Some("shop"));
        assert_eq!(question.rule.as_deref(), Some("odd & rare"));
        assert_eq!(question.severity, Some(crate::crd::Severity::High));
        assert_eq!(question.after, None);
    }
}
