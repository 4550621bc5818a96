//! `watchpolicy eval`: files of policies × files of objects.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use super::answer::Answer;
use super::format::Format;
use super::input::{Trouble, documents, files, objects, policies};
use super::judge::World;
use super::kinds::Kinds;
use super::results::Results;
use super::severity::SeverityFlag;
use super::show::Shown;

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
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// Judges.
///
/// # Errors
/// What makes the whole of it useless. What cannot be read or judged in part is told in the answer.
pub fn run(args: &EvalArgs) -> anyhow::Result<Answer> {
    let inputs = args.policies.iter().chain(&args.resources).chain(&args.api_resources);
    files::check_once(inputs)?;
    let mut troubles = Vec::new();
    let (_, drafts) = policies::open(&args.policies, &mut troubles)?;
    let compiled = policies::compiled(&drafts, &mut troubles);
    let mut kinds = Kinds::default();
    if let Some(path) = &args.api_resources {
        learn(&mut kinds, path, &mut troubles);
    }
    let texts = files::read(&args.resources, &mut troubles);
    let found = objects::unpack(&documents::split(&texts, &mut troubles), &mut troubles);
    let world = World::new(found, &mut kinds, &mut troubles);
    if world.len() == 0 && troubles.is_empty() {
        anyhow::bail!("there is no object in {}", files::names(&args.resources));
    }
    let results = Results::of(world.judge(&compiled, args.now.unwrap_or_else(Timestamp::now))?);
    let shown = Shown { results: &results, troubles: &troubles };
    let mut notes: Vec<String> = troubles.iter().map(ToString::to_string).collect();
    notes.extend(kinds.guesses());
    notes.extend(world.unknown_namespaces(&compiled));
    notes.extend(compiled.iter().filter(|policy| policy.program.suspend).map(|policy| {
        format!("{}: policy {} is suspended, and judges nothing", policy.origin, policy.program.name)
    }));
    if troubles.is_empty() {
        notes.extend(results.summary.note(&format!("of the objects ({} in all)", world.len())));
    }
    Ok(Answer { text: shown.print(args.format)?, notes, exit: shown.exit(args.fail_on.0) })
}

fn learn(kinds: &mut Kinds, path: &std::path::Path, troubles: &mut Vec<Trouble>) {
    let file = files::name(path);
    match files::text(path) {
        Ok(text) => kinds.learn_listing(&file, &text, troubles),
        Err(error) => troubles.push(Trouble::of_file(file, format!("cannot be read: {error}"))),
    }
}
