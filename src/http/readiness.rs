//! What `/readyz` says.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::StatusCode;
use parking_lot::Mutex;

/// What must be true before the process is ready, and what of it is not yet.
#[derive(Debug)]
pub struct Readiness {
    missing: Mutex<BTreeSet<&'static str>>,
}

impl Readiness {
    /// Not ready until each of these is met, such as `policies read`.
    pub fn until(conditions: impl IntoIterator<Item = &'static str>) -> Arc<Self> {
        Arc::new(Self { missing: Mutex::new(conditions.into_iter().collect()) })
    }

    /// A condition is met; saying it again does nothing.
    pub fn met(&self, condition: &str) {
        self.missing.lock().remove(condition);
    }

    /// Not ready any more, and why: during shutdown.
    pub fn lost(&self, condition: &'static str) {
        self.missing.lock().insert(condition);
    }

    pub(super) fn answer(&self) -> (StatusCode, String) {
        let missing = self.missing.lock();
        if missing.is_empty() {
            return (StatusCode::OK, "ok\n".to_owned());
        }
        let lines: String = missing.iter().map(|condition| format!("not yet: {condition}\n")).collect();
        (StatusCode::SERVICE_UNAVAILABLE, lines)
    }
}
