//! Instructions, counted by valgrind in processes that run one workload a few times or many: what setting up takes
//! cancels out.

use std::env;
use std::process::Command;
use std::time::{Duration, Instant};

/// The argument that makes a process run one workload, by its name and so many times.
const RUN: &str = "--run-workload";
/// How long a workload runs outside of valgrind, which takes some fifty times as long.
const LONG_ENOUGH: Duration = Duration::from_millis(20);

/// One thing that is measured.
pub(crate) struct Workload {
    /// What is done, and to what.
    pub(crate) group: &'static str,
    /// Who does it.
    pub(crate) name: &'static str,
    /// For how many rules or keys.
    pub(crate) size: usize,
    /// Makes what each run needs; that is not measured.
    pub(crate) prepare: Box<dyn Fn() -> Run>,
}

/// One run, again and again.
pub(crate) type Run = Box<dyn FnMut()>;

impl Workload {
    /// Tells it from all others.
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}/{}", self.group, self.name, self.size)
    }
}

/// The workload that this process is to run, and how often.
pub(crate) fn wanted(arguments: impl Iterator<Item = String>) -> Option<(String, u32)> {
    let mut arguments = arguments.skip_while(|argument| argument != RUN).skip(1);
    Some((arguments.next()?, arguments.next()?.parse().ok()?))
}

/// Prints the instructions of one run of each workload, or of one of so many operations that a run has.
pub(crate) fn count(workloads: &[Workload], operations: u64) {
    if Command::new("valgrind").arg("--version").output().is_err() {
        return println!("instructions: not counted, since valgrind is not installed");
    }
    println!("instructions of one run, or operation:");
    for workload in workloads {
        let (name, runs) = (workload.full_name(), runs(workload));
        let (once, more) = (collected(&name, 1), collected(&name, 1 + runs));
        println!("{name:<48} {:>12}", more.saturating_sub(once) / u64::from(runs) / operations);
    }
}

/// How many runs are enough for what differs from one setting up to the next not to matter.
fn runs(workload: &Workload) -> u32 {
    let mut run = (workload.prepare)();
    run();
    let (start, mut runs) = (Instant::now(), 0);
    while start.elapsed() < LONG_ENOUGH && runs < 2_000 {
        run();
        runs += 1;
    }
    runs
}

fn collected(name: &str, runs: u32) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe().unwrap())
        .args([RUN, name, &runs.to_string()])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let collected = told.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    collected.unwrap_or_else(|| panic!("valgrind counted nothing:\n{told}"))
}
