//! A client as a process of its own, and what it takes of the machine.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::sleep;

use crate::child::Guarded;

/// `USER_HZ`, in which Linux tells processor time on every architecture that this runs on.
const TICKS_PER_SECOND: f64 = 100.0;
/// A process that took no more than this share of one core meanwhile has nothing to do.
const QUIET: (Duration, f64) = (Duration::from_millis(1500), 0.02);

/// What a process has taken up to now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Seconds of the processor.
    pub cpu: f64,
    /// Resident bytes.
    pub memory: f64,
    /// The most of them since the last [`Process::forget_peak`].
    pub peak: f64,
}

/// A running client. Dropping it kills it.
pub(crate) struct Process(Guarded);

impl Process {
    pub(crate) fn start(name: &str, folder: &Path, command: &Command) -> Result<Self> {
        Ok(Self(Guarded::start(name, folder, command)?))
    }

    /// Everything that it has said.
    pub(crate) fn said(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.0.log())?)
    }

    pub(crate) async fn sample(&self) -> Result<Sample> {
        let folder = format!("/proc/{}", self.0.pid().await?);
        let stat = std::fs::read_to_string(format!("{folder}/stat"))?;
        // The program's name may have spaces; what follows its parenthesis begins with field 3.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |field: usize| fields.get(field - 3).and_then(|text| text.parse::<f64>().ok());
        let [user, system] = [14, 15].map(|field| ticks(field).context("no times in stat"));
        let status = std::fs::read_to_string(format!("{folder}/status"))?;
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no such line")?;
            anyhow::Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0)
        };
        Ok(Sample {
            cpu: (user? + system?) / TICKS_PER_SECOND,
            memory: bytes("VmRSS:")?,
            peak: bytes("VmHWM:")?,
        })
    }

    /// Counts the peak from here on (`clear_refs` of proc(5)).
    pub(crate) async fn forget_peak(&self) -> Result<()> {
        Ok(std::fs::write(format!("/proc/{}/clear_refs", self.0.pid().await?), "5")?)
    }

    /// Waits until it has nothing to do, and gives what it has taken by then.
    pub(crate) async fn settle(&self) -> Result<Sample> {
        let (while_long, share) = QUIET;
        let mut before = self.sample().await?;
        loop {
            sleep(while_long).await;
            let now = self.sample().await?;
            if now.cpu - before.cpu <= share * while_long.as_secs_f64() {
                return Ok(now);
            }
            before = now;
        }
    }
}
