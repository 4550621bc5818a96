//! How far a scan has come, for people who wait: on a terminal, and nowhere else.

use std::cell::Cell;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// One line on stderr, which goes when the scan ends.
pub(super) struct Progress {
    bar: ProgressBar,
    objects: Cell<usize>,
}

impl Progress {
    /// Of so many lists. Nothing is drawn where stderr is no terminal.
    pub(super) fn of(lists: usize) -> anyhow::Result<Self> {
        let bar = ProgressBar::with_draw_target(Some(lists as u64), ProgressDrawTarget::stderr());
        bar.set_style(ProgressStyle::with_template("{spinner} {pos} of {len} lists, {msg}")?);
        bar.enable_steady_tick(Duration::from_millis(120));
        Ok(Self { bar, objects: Cell::new(0) })
    }

    /// So many more objects were judged.
    pub(super) fn seen(&self, objects: usize, resource: &impl std::fmt::Display) {
        self.objects.set(self.objects.get() + objects);
        self.bar.set_message(format!("{} objects: {resource}", self.objects.get()));
    }

    /// One more list has ended.
    pub(super) fn listed(&self) {
        self.bar.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
