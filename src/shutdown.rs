//! The end of the process: signals, and stages that each have a deadline.
//!
//! The order is the caller's: stop taking, drain the queue, write the last status, and serve HTTP until the end, so that
//! the last scrape sees it. The stages share one limit that is shorter than the grace period of a pod.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// What all stages together may take; a pod's default grace period is 30 s.
pub const LIMIT: Duration = Duration::from_secs(20);

/// The signals that end the process.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Starts to listen for SIGTERM and SIGINT.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Cancels the token at the first signal. At the second the process exits at once, with 128 and the signal's
    /// number as shells count it: somebody is waiting.
    pub async fn follow(mut self, token: CancellationToken) {
        let first = self.next().await;
        info!(signal = first.as_raw_value(), "shutting down; a second signal exits at once");
        token.cancel();
        let second = self.next().await;
        warn!(signal = second.as_raw_value(), "exiting at once");
        std::process::exit(128 + second.as_raw_value());
    }

    async fn next(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.interrupt.recv() => SignalKind::interrupt(),
        }
    }
}

/// Runs the stages of an end, one after the other.
#[derive(Debug)]
pub struct Stages {
    end: Instant,
}

impl Stages {
    /// The limit of all stages together starts to run.
    pub fn begin(limit: Duration) -> Self {
        Self { end: Instant::now() + limit }
    }

    /// Runs one stage, for no longer than its own limit and what is left of the limit of all. Tells whether it ended by
    /// itself; one that did not is dropped, and the next still runs.
    pub async fn run(&self, stage: &'static str, limit: Duration, work: impl Future<Output = ()>) -> bool {
        let started = Instant::now();
        let end = self.end.min(started + limit);
        let done = timeout_at(end, work).await.is_ok();
        let took_ms = started.elapsed().as_millis();
        if done {
            info!(stage, took_ms, "shutdown stage done");
        } else {
            warn!(stage, took_ms, "shutdown stage cut off at its deadline");
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_stage_that_hangs_is_cut_off_and_the_next_one_runs() {
        let stages = Stages::begin(LIMIT);
        let start = Instant::now();
        assert!(!stages.run("hangs", SECOND * 3, pending()).await);
        assert_eq!(start.elapsed(), SECOND * 3);
        assert!(stages.run("works", SECOND * 3, tokio::time::sleep(SECOND)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn all_stages_together_stay_under_the_limit() {
        let stages = Stages::begin(SECOND * 10);
        let start = Instant::now();
        for _ in 0..5 {
            stages.run("hangs", SECOND * 4, pending()).await;
        }
        assert_eq!(start.elapsed(), SECOND * 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stage_that_is_ready_counts_as_done_even_when_no_time_is_left() {
        let stages = Stages::begin(Duration::ZERO);
        assert!(stages.run("instant", SECOND, std::future::ready(())).await);
    }

    #[tokio::test]
    async fn the_first_signal_cancels() {
        let signals = Signals::listen().unwrap();
        let token = CancellationToken::new();
        let mut own = signal(SignalKind::interrupt()).unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(signals.follow(token.clone()));
        let pid = std::process::id().to_string();
        let sent = tokio::process::Command::new("kill").args(["-INT", &pid]).status().await.unwrap();
        assert!(sent.success());
        own.recv().await;
        token.cancelled().await;
    }
}
