//! `watchpolicy eval`: files of policies × files of objects.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use crate::policy::Outcome;

use super::answer::{Answer, FINE, UNSURE, WRONG};
use super::finding::Finding;
use super::format;
use super::format::junit::{Case, Status};
use super::input::{Trouble, documents, files, objects, policies};
use super::judge::World;
use super::kinds::Kinds;
use super::results::{Entry, Results, RuleResult};
use super::severity::SeverityFlag;

/// What findings about the inputs themselves are filed under.
const INPUT: &str = "input";

/// What can be written after `watchpolicy eval`.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// Files or folders of policies; - for standard input
    #[arg(short, long, required = true, value_name = "PATH")]
    pub policies: Vec<PathBuf>,
    /// Files or folders of objects, of any kind; - for standard input
    #[arg(short, long, required = true, value_name = "PATH")]
    pub resources: Vec<PathBuf>,
    /// A file of what `kubectl api-resources` prints, to know the resources of kinds
    #[arg(long, value_name = "FILE")]
    pub api_resources: Option<PathBuf>,
    /// The time by which ages and ends are judged, in RFC 3339; without it the present
    #[arg(long, value_name = "TIME")]
    pub now: Option<Timestamp>,
    /// The mildest severity of a violation that makes the exit status 1
    #[arg(long, value_enum, value_name = "SEVERITY", default_value = "info")]
    pub fail_on: SeverityFlag,
    /// How results are printed
    #[arg(long, value_enum, default_value_t = EvalFormat::Table)]
    pub format: EvalFormat,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EvalFormat {
    /// A row for each place that is wrong
    Table,
    /// {"results": [...], "summary": {...}}
    Json,
    /// The same as YAML
    Yaml,
    /// JUnit XML: a case for each rule and object
    Junit,
    /// SARIF 2.1.0: a result for each place that is wrong
    Sarif,
    /// Annotations of GitHub Actions
    Github,
}

/// Judges.
///
/// # Errors
/// What makes the whole of it useless. What cannot be read or judged in part is told in the answer.
pub fn run(args: &EvalArgs) -> anyhow::Result<Answer> {
    let mut troubles = Vec::new();
    let drafts = policies::drafts(&files::read(&args.policies, &mut troubles), &mut troubles);
    let compiled = policies::compiled(&drafts, &mut troubles);
    let mut kinds = Kinds::default();
    if let Some(path) = &args.api_resources {
        learn(&mut kinds, path, &mut troubles);
    }
    let texts = files::read(&args.resources, &mut troubles);
    let found = objects::unpack(&documents::split(&texts, &mut troubles), &mut troubles);
    let world = World::new(found, &mut kinds, &mut troubles);
    if drafts.is_empty() && troubles.is_empty() {
        anyhow::bail!("there is no policy in {}", shown(&args.policies));
    }
    if world.len() == 0 && troubles.is_empty() {
        anyhow::bail!("there is no object in {}", shown(&args.resources));
    }
    let results = Results::of(world.judge(&compiled, args.now.unwrap_or_else(Timestamp::now))?);
    let exit = if !troubles.is_empty() || results.summary.error > 0 {
        UNSURE
    } else if results.has_violation(args.fail_on.0) {
        WRONG
    } else {
        FINE
    };
    let mut notes: Vec<String> = troubles.iter().map(ToString::to_string).collect();
    notes.extend(kinds.guesses());
    notes.extend(world.unknown_namespaces(&compiled));
    notes.extend(compiled.iter().filter(|policy| policy.program.suspend).map(|policy| {
        format!("{}: policy {} is suspended, and judges nothing", policy.origin, policy.program.name)
    }));
    Ok(Answer { text: print(&results, &troubles, args.format)?, notes, exit })
}

fn learn(kinds: &mut Kinds, path: &std::path::Path, troubles: &mut Vec<Trouble>) {
    let file = files::name(path);
    match files::text(path) {
        Ok(text) => kinds.learn_listing(&file, &text, troubles),
        Err(error) => troubles.push(Trouble::of_file(file, format!("cannot be read: {error}"))),
    }
}

fn shown(paths: &[PathBuf]) -> String {
    let names: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    names.join(", ")
}

fn print(results: &Results, troubles: &[Trouble], format: EvalFormat) -> anyhow::Result<String> {
    let findings = || {
        let unreadable = troubles.iter().map(|trouble| Finding::of_trouble(INPUT, trouble));
        unreadable.chain(Finding::of_results(results)).collect::<Vec<_>>()
    };
    match format {
        EvalFormat::Table => Ok(format::table(results)),
        EvalFormat::Json => format::json(results),
        EvalFormat::Yaml => format::yaml(results),
        EvalFormat::Junit => format::junit(cases(results, troubles)),
        EvalFormat::Sarif => format::sarif(&findings(), troubles.is_empty() && results.summary.error == 0),
        EvalFormat::Github => Ok(format::github(&findings())),
    }
}

/// A case for each rule and object, and one for each input that cannot be used.
fn cases(results: &Results, troubles: &[Trouble]) -> Vec<Case> {
    let unreadable = troubles.iter().map(|trouble| Case {
        group: INPUT.to_owned(),
        name: trouble.file.to_string(),
        status: Status::Error,
        messages: vec![trouble.to_string()],
    });
    let of_rule = |entry: &Entry, rule: &RuleResult| Case {
        group: entry.policy.to_string(),
        name: format!("{} on {} ({}:{})", rule.rule, entry.object, entry.file, entry.line),
        status: match rule.result {
            Outcome::Pass => Status::Success,
            Outcome::Fail => Status::Failure,
            Outcome::Error => Status::Error,
            Outcome::Skip => Status::Skipped,
        },
        messages: rule.nodes.iter().map(|node| format!("{}: {}", node.path, node.message)).collect(),
    };
    let judged =
        results.results.iter().flat_map(|entry| entry.rules.iter().map(move |rule| of_rule(entry, rule)));
    unreadable.chain(judged).collect()
}
