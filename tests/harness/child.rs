//! Child processes that cannot outlive the process that started them.
//!
//! A destructor does not run when a process is killed, nor for a static. So each child stands under a shell that
//! reads a pipe from us: a word on the pipe is a signal to send to the child, and the end of the pipe, which the
//! kernel sees to when we are gone, kills it.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// The shell's standard input is handed over explicitly, since background commands get none. The child's pid goes
/// to a file: it is the child's own, not the shell's.
const GUARD: &str = r#"
exec 3<&0 </dev/null
pidfile=$1; shift
"$@" 3<&- &
child=$!
echo $child >"$pidfile"
(while read -r signal <&3; do kill -s "$signal" $child; done; kill -s KILL $child) 2>/dev/null &
guard=$!
exec 3<&-
wait $child
code=$?
kill $guard
exit $code
"#;

/// Removes a folder when the pipe ends without a word. The children are being killed at that moment, and one that
/// still writes makes the removal fail: hence the tries.
const SWEEP: &str =
    r#"read -r word && exit; for n in 1 2 3 4 5 6; do rm -rf -- "$1" && exit; sleep 0.5; done"#;

/// How often a child is asked whether it has ended.
const POLL: Duration = Duration::from_millis(10);

/// A guarded child process; dropping it kills it and waits for its end.
#[derive(Debug)]
pub(crate) struct Guarded {
    name: String,
    shell: Child,
    orders: Option<ChildStdin>,
    log: PathBuf,
    pidfile: PathBuf,
}

impl Guarded {
    /// Starts `program`; its output goes to `<folder>/<name>.log`, at the end of what is there.
    pub(crate) fn start(name: &str, folder: &Path, program: &Command) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let pidfile = folder.join(format!("{name}.pid"));
        let output = File::options().create(true).append(true).open(&log)?;
        if pidfile.exists() {
            std::fs::remove_file(&pidfile)?;
        }
        let mut shell = Command::new("sh");
        shell.args(["-c", GUARD, "sh"]).arg(&pidfile).arg(program.get_program()).args(program.get_args());
        for (key, value) in program.get_envs() {
            match value {
                Some(value) => shell.env(key, value),
                None => shell.env_remove(key),
            };
        }
        // A group of its own: Ctrl-C at the terminal is ours to handle, in order.
        shell.stdin(Stdio::piped()).stdout(output.try_clone()?).stderr(output).process_group(0);
        let mut shell = shell.spawn().with_context(|| format!("cannot start {name}"))?;
        let orders = shell.stdin.take();
        Ok(Self { name: name.to_owned(), shell, orders, log, pidfile })
    }

    /// The pid of the program itself.
    pub(crate) async fn pid(&self) -> Result<u32> {
        for _ in 0..500 {
            if let Ok(text) = std::fs::read_to_string(&self.pidfile)
                && let Ok(pid) = text.trim().parse()
            {
                return Ok(pid);
            }
            tokio::time::sleep(POLL).await;
        }
        bail!("{} did not start: {}", self.name, self.last_words())
    }

    /// Sends a signal by its name without `SIG`: `TERM`, `STOP`, `CONT`.
    pub(crate) fn signal(&mut self, name: &str) -> io::Result<()> {
        match &mut self.orders {
            Some(orders) => writeln!(orders, "{name}"),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// How it ended, when it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.shell.try_wait()?)
    }

    /// Waits for its end; the exit code is 128 + n for a program that signal n has ended.
    pub(crate) async fn wait(&mut self, deadline: Duration) -> Result<i32> {
        let waiting = async {
            loop {
                if let Some(status) = self.shell.try_wait()? {
                    return status.code().context("the guarding shell was killed");
                }
                tokio::time::sleep(POLL).await;
            }
        };
        match tokio::time::timeout(deadline, waiting).await {
            Ok(code) => code,
            Err(_) => bail!("{} still runs after {deadline:?}: {}", self.name, self.last_words()),
        }
    }

    /// Where its output goes.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// The end of its log, for an error message.
    pub(crate) fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(15)..).unwrap_or_default().join("\n");
        format!("the last lines of {} are:\n{tail}", self.log.display())
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.orders = None;
        // The shell ends at once after the child that it has killed; an error means that it is gone already.
        drop(self.shell.wait());
    }
}

/// A folder that is removed when it is dropped or when this process ends, unless it is kept.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    sweeper: Child,
    kept: bool,
}

impl Folder {
    /// Makes a new folder with a name that starts with `prefix` in the folder for temporary files.
    pub(crate) fn new(prefix: &str) -> Result<Self> {
        let path = (0..1000)
            .map(|n| std::env::temp_dir().join(format!("{prefix}-{}-{n}", std::process::id())))
            .find(|path| std::fs::create_dir(path).is_ok())
            .with_context(|| format!("cannot make a folder in {}", std::env::temp_dir().display()))?;
        let sweeper = Command::new("sh")
            .args(["-c", SWEEP, "sh"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Self { path, sweeper, kept: false })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the folder in place for somebody to read.
    pub(crate) fn keep(&mut self) {
        self.kept = true;
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(mut orders) = self.sweeper.stdin.take()
            && self.kept
        {
            // An error means that the sweeper is gone, and with it the danger.
            drop(writeln!(orders, "leave it"));
        }
        drop(self.sweeper.wait());
    }
}
