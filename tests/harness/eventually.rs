//! Waiting for what a cluster will do sooner or later.

use std::fmt::Display;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

/// How often is looked.
const POLL: Duration = Duration::from_millis(50);

/// What one look gives: an `Option`, or a `Result` whose error says what was seen instead.
pub(crate) trait Look {
    /// What is looked for.
    type Found;
    /// The thing, or what to report if this was the last look.
    fn seen(self) -> Result<Self::Found, String>;
}

impl<T> Look for Option<T> {
    type Found = T;
    fn seen(self) -> Result<T, String> {
        self.ok_or_else(|| "nothing".to_owned())
    }
}

impl<T, E: Display> Look for Result<T, E> {
    type Found = T;
    fn seen(self) -> Result<T, String> {
        self.map_err(|error| format!("{error:#}"))
    }
}

/// Looks until `look` finds something, at most for `deadline`, which should be generous: it is a limit for a busy
/// machine, not a measurement. `what` is the sentence that should have become true.
pub(crate) async fn eventually<L: Look>(
    deadline: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> L,
) -> Result<L::Found> {
    let start = Instant::now();
    let mut last = "nothing".to_owned();
    while let Some(left) = deadline.checked_sub(start.elapsed()) {
        // A look that hangs is cut off too.
        match tokio::time::timeout(left, look()).await.map(Look::seen) {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(seen)) => last = seen,
            Err(_) => break,
        }
        tokio::time::sleep(POLL).await;
    }
    bail!("not within {deadline:?}: {what}; seen at last: {last}")
}
