//! JUnit XML, which build servers read.

use anyhow::Context;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::cli::input::Trouble;

/// What became of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Status {
    Success,
    Failure,
    Error,
    Skipped,
}

/// One case in a group.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Case {
    pub(in crate::cli) group: String,
    pub(in crate::cli) name: String,
    pub(in crate::cli) status: Status,
    /// What is wrong, a line each.
    pub(in crate::cli) messages: Vec<String>,
}

impl Case {
    /// For an input that cannot be used.
    pub(in crate::cli) fn of_trouble(trouble: &Trouble) -> Self {
        Self {
            group: "input".to_owned(),
            name: trouble.file.as_deref().unwrap_or("cluster").to_owned(),
            status: Status::Error,
            messages: vec![trouble.to_string()],
        }
    }
}

/// The cases; those of one group stand together.
///
/// # Errors
/// Never: it is written to memory.
pub(in crate::cli) fn junit(cases: Vec<Case>) -> anyhow::Result<String> {
    let mut suites: Vec<TestSuite> = Vec::new();
    for case in cases {
        let at = suites.iter().position(|suite| suite.name.as_str() == case.group);
        match at.and_then(|at| suites.get_mut(at)) {
            Some(suite) => drop(suite.add_test_case(of_case(case))),
            None => {
                let mut suite = TestSuite::new(case.group.as_str());
                suite.add_test_case(of_case(case));
                suites.push(suite);
            }
        }
    }
    let mut report = Report::new("watchpolicy");
    // It sums up what a suite holds when it is added.
    report.add_test_suites(suites);
    report.to_string().context("cannot print as JUnit")
}

fn of_case(case: Case) -> TestCase {
    let Case { group, name, status, messages } = case;
    let mut status = match status {
        Status::Success => TestCaseStatus::success(),
        Status::Failure => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Status::Error => TestCaseStatus::non_success(NonSuccessKind::Error),
        Status::Skipped => TestCaseStatus::skipped(),
    };
    if let Some(first) = messages.first() {
        status.set_message(first.as_str());
        status.set_description(messages.join("\n"));
    }
    let mut case = TestCase::new(name, status);
    case.set_classname(group);
    case
}
