//! Namespaces in which nothing is written for a while, since the server refused it there: for want of a right, by a quota, or
//! by an admission policy. What is refused in one holds up no other.
//!
//! What bounds it: one entry for each namespace that refused lately.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;

/// The rests after refusals in a row.
const RESTS: Backoff = Backoff { first: Duration::from_secs(60), longest: Duration::from_secs(600) };

/// All of them, by namespace; `None` is for what has none.
#[derive(Debug, Default)]
pub(super) struct Rests(BTreeMap<Option<Arc<str>>, Rest>);

#[derive(Debug)]
struct Rest {
    until: Instant,
    refusals: u32,
}

impl Rests {
    /// Until when nothing is written in a namespace.
    pub(super) fn of(&self, namespace: Option<&Arc<str>>, now: Instant) -> Option<Instant> {
        let rest = self.0.get(&namespace.cloned())?;
        Some(rest.until).filter(|until| now < *until)
    }

    /// Something was refused in a namespace; until when nothing is written there.
    pub(super) fn begin(&mut self, namespace: Option<&Arc<str>>, now: Instant) -> Instant {
        self.0.retain(|_, rest| now < rest.until + RESTS.longest);
        let rest = self.0.entry(namespace.cloned()).or_insert(Rest { until: now, refusals: 0 });
        rest.refusals = rest.refusals.saturating_add(1);
        rest.until = now + RESTS.wait(rest.refusals);
        rest.until
    }

    /// Something was written in a namespace.
    pub(super) fn end(&mut self, namespace: Option<&Arc<str>>) {
        if !self.0.is_empty() {
            self.0.remove(&namespace.cloned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_rests_longer_each_time_and_no_other_does() {
        let (mut rests, start) = (Rests::default(), Instant::now());
        let (evil, good): (Arc<str>, Arc<str>) = ("evil".into(), "good".into());
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(rests.begin(Some(&evil), start), after(60));
        assert_eq!(
            (rests.of(Some(&evil), after(59)), rests.of(Some(&evil), after(60))),
            (Some(after(60)), None)
        );
        assert_eq!((rests.of(Some(&good), start), rests.of(None, start)), (None, None));
        assert_eq!(rests.begin(Some(&evil), after(60)), after(180));
        rests.end(Some(&evil));
        assert_eq!(rests.begin(Some(&evil), after(200)), after(260));
        rests.begin(Some(&good), after(5000));
        assert_eq!(rests.0.len(), 1, "what refused long ago is forgotten");
    }
}
