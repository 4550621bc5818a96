//! The binary: sets up what is global to a process and hands over to the library.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use watchpolicy::cli::{self, Answer, Command};
use watchpolicy::config::{Config, RunFlags, Surroundings};
use watchpolicy::report::{printable, printable_lines};
use watchpolicy::{app, logging};

/// Many small allocations of many lifetimes: the system's allocator keeps twice the memory of this one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let outcome = match cli::parse(std::env::args_os()).command {
        Command::Run(flags) => run(*flags),
        Command::Crd => cli::crd::yaml().and_then(|yaml| print(&yaml)),
        Command::Eval(args) => return answer(cli::eval::run(&args)),
        Command::Test(args) => return answer(cli::suite::run(&args)),
        Command::Lint(args) => return answer(cli::lint::run(&args)),
        Command::Rbac(args) => return answer(cli::rbac::run(&args)),
        Command::Scan(args) => return answer(asynchronously(cli::scan::run(&args))),
        Command::Violations(args) => return answer(asynchronously(cli::violations::run(&args))),
        Command::Completion(args) => print(&cli::completion::run(&args)),
        Command::Query(args) => return answer(cli::query::run(&args)),
        Command::Version => print(&cli::version()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(flags: RunFlags) -> anyhow::Result<()> {
    let config = Config::new(flags, Surroundings::look()).unwrap_or_else(|error| refuse(&error));
    logging::start(&config.log).unwrap_or_else(|error| refuse(&error));
    asynchronously(app::run(config))
}

/// Does what needs a runtime and TLS.
fn asynchronously<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        anyhow::bail!("another TLS provider is already installed");
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

/// Ends the process as clap does for a flag that it refuses: the fault, the usage, how to get help, exit code 2.
fn refuse(error: &dyn Display) -> ! {
    cli::refusal(error).exit()
}

/// Ends the process for input that cannot be used: exit code 2.
fn fail(error: &anyhow::Error) -> ! {
    complain(&format!("{error:#}"));
    std::process::exit(2)
}

/// Says what an offline command has to say. What stops it whole is input that cannot be used.
fn answer(answer: anyhow::Result<Answer>) -> ExitCode {
    let Answer { text, notes, exit } = answer.unwrap_or_else(|error| fail(&error));
    notes.iter().for_each(|note| complain(note));
    match print(&text) {
        Ok(()) => ExitCode::from(exit),
        Err(error) => fail(&error.context("cannot write the results")),
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    // Names and values may hold what acts on a terminal, whatever the format.
    match io::stdout().lock().write_all(printable_lines(text).as_bytes()) {
        // Whoever reads has read enough, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

fn complain(error: &str) {
    // There is nowhere left to say that stderr is closed.
    writeln!(io::stderr().lock(), "watchpolicy: {}", printable(error)).unwrap_or_default();
}
