//! The command: which policies are looked at, and what is printed of them.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use crate::cli::answer::{Answer, FINE, UNSURE, WRONG};
use crate::cli::counted::counted;
use crate::cli::finding::{Finding, named};
use crate::cli::format::junit::{Case, Status};
use crate::cli::format::{self, Format};
use crate::cli::input::Trouble;
use crate::cli::input::policies::{self, Draft};
use crate::report::printable;

use super::remarks::{self, Remark};

/// What can be written after `watchpolicy lint`.
#[derive(Debug, Args)]
pub struct LintArgs {
    /// Files or folders of policies; - for standard input
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// How faults and warnings are printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// Looks at policies.
///
/// # Errors
/// There is no policy.
pub fn run(args: &LintArgs) -> anyhow::Result<Answer> {
    let mut troubles = Vec::new();
    let (texts, drafts) = policies::open(&args.paths, &mut troubles)?;
    let mut remarks = remarks::all(&drafts, remarks::schema()?, Timestamp::now());
    remarks::locate(&mut remarks, &texts);
    let exit = match (troubles.is_empty(), remarks.iter().any(Remark::is_fault)) {
        (false, _) => UNSURE,
        (true, true) => WRONG,
        (true, false) => FINE,
    };
    let notes = troubles.iter().map(ToString::to_string).collect();
    Ok(Answer { text: print(&drafts, &remarks, &troubles, args.format)?, notes, exit })
}

fn print(
    drafts: &[Draft],
    remarks: &[Remark],
    troubles: &[Trouble],
    format: Format,
) -> anyhow::Result<String> {
    let findings = || {
        let unreadable = troubles.iter().map(|trouble| Finding::of_trouble("input", trouble));
        unreadable.chain(remarks.iter().map(finding)).collect::<Vec<_>>()
    };
    match format {
        Format::Table => Ok(table(drafts, remarks, troubles)),
        Format::Json => format::json(&Report::of(drafts, remarks, troubles)),
        Format::Yaml => format::yaml(&Report::of(drafts, remarks, troubles)),
        Format::Junit => {
            let unreadable = troubles.iter().map(Case::of_trouble);
            format::junit(unreadable.chain(drafts.iter().map(|draft| case(draft, remarks))).collect())
        }
        Format::Sarif => format::sarif(&findings(), troubles.is_empty()),
        Format::Github => Ok(format::github(&findings())),
    }
}

fn table(drafts: &[Draft], remarks: &[Remark], troubles: &[Trouble]) -> String {
    let mut text: String =
        remarks.iter().map(|remark| printable(&remark.to_string()).into_owned() + "\n").collect();
    if !remarks.is_empty() {
        text.push('\n');
    }
    let faults = remarks.iter().filter(|remark| remark.is_fault()).count();
    let summary = Summary { policies: drafts.len(), faults, warnings: remarks.len() - faults };
    text + &summary.sentence(troubles.len()) + "\n"
}

/// Shown as `owner.yaml:7: owner: spec.rules[0].path: what is wrong`, a warning as `owner.yaml:7: warning: owner: …`.
impl std::fmt::Display for Remark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { level: _, origin, line, policy, within: _, field, message } = self;
        let warning = if self.is_fault() { "" } else { "warning: " };
        write!(f, "{}:{line}: {warning}", origin.file)?;
        if !policy.is_empty() {
            write!(f, "{policy}: ")?;
        }
        if !field.is_empty() {
            write!(f, "{field}: ")?;
        }
        f.write_str(message)
    }
}

fn finding(remark: &Remark) -> Finding {
    let Remark { level, origin, line, policy, within: _, field, message } = remark;
    Finding {
        rule: "lint".into(),
        level: *level,
        file: named(&origin.file),
        line: Some(*line),
        about: Some(format!("{policy} {field}")),
        message: message.clone(),
    }
}

fn case(draft: &Draft, remarks: &[Remark]) -> Case {
    let messages: Vec<String> = remarks
        .iter()
        .filter(|remark| remark.is_fault() && remark.origin == draft.origin && remark.policy == draft.name())
        .map(ToString::to_string)
        .collect();
    let status = if messages.is_empty() { Status::Success } else { Status::Failure };
    Case { group: draft.origin.file.to_string(), name: draft.name().to_owned(), status, messages }
}

/// What JSON and YAML show.
#[derive(Serialize)]
struct Report<'r> {
    faults: Vec<RemarkReport<'r>>,
    warnings: Vec<RemarkReport<'r>>,
    summary: Summary,
    /// What could not be read.
    troubles: &'r [Trouble],
}

#[derive(Serialize)]
struct RemarkReport<'r> {
    policy: &'r str,
    file: &'r str,
    document: usize,
    line: u64,
    field: &'r str,
    message: &'r str,
}

#[derive(Serialize)]
struct Summary {
    policies: usize,
    faults: usize,
    warnings: usize,
}

impl Summary {
    /// What cannot be read has no faults, and is not well for that.
    fn sentence(&self, unread: usize) -> String {
        let Self { policies, faults, warnings } = *self;
        let unread = match unread {
            0 => String::new(),
            unread => counted(unread, "input that cannot be used", "inputs that cannot be used"),
        };
        if policies == 0 {
            return format!("no policy was looked at: {unread}");
        }
        let faults = match faults {
            0 => "no fault".to_owned(),
            faults => counted(faults, "fault", "faults"),
        };
        let mut sentence = format!("{}, {faults}", counted(policies, "policy", "policies"));
        if warnings > 0 {
            sentence += &format!(", {}", counted(warnings, "warning", "warnings"));
        }
        if !unread.is_empty() {
            sentence += &format!("; not looked at: {unread}");
        }
        sentence
    }
}

impl<'r> Report<'r> {
    fn of(drafts: &[Draft], remarks: &'r [Remark], troubles: &'r [Trouble]) -> Self {
        let report = |remark: &'r Remark| RemarkReport {
            policy: &remark.policy,
            file: &remark.origin.file,
            document: remark.origin.document,
            line: remark.line,
            field: &remark.field,
            message: &remark.message,
        };
        let (faults, warnings): (Vec<_>, Vec<_>) = remarks.iter().partition(|remark| remark.is_fault());
        let summary = Summary { policies: drafts.len(), faults: faults.len(), warnings: warnings.len() };
        let all = |remarks: Vec<&'r Remark>| remarks.into_iter().map(report).collect();
        Self { faults: all(faults), warnings: all(warnings), summary, troubles }
    }
}
