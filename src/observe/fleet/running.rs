//! One running watch: what it was started for, how it stands, and why it runs.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::observe::informer::Phase;
use crate::policy::demand::WatchSpec;
use crate::store::Shelf;

/// What an informer last said, and since when it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::observe) struct Stand {
    pub(in crate::observe) phase: Phase,
    pub(in crate::observe) since: jiff::Timestamp,
}

/// Why a watch runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::observe) enum Role {
    /// Policies want it.
    Wanted,
    /// It serves those who name its namespace until the watch of everything is synced.
    Spare,
    /// It serves until those that are wanted in its place can judge.
    Superseded,
    /// Nobody wants it; it waits for somebody until then, or while its place is looked through.
    Lingering { until: Instant },
}

impl Role {
    /// Whether it is what the newest policies ask for.
    pub(in crate::observe) fn is_current(&self) -> bool {
        matches!(self, Self::Wanted | Self::Spare)
    }
}

/// One running watch.
pub(in crate::observe) struct Running {
    pub(in crate::observe) spec: WatchSpec,
    pub(in crate::observe) stand: watch::Receiver<Stand>,
    pub(in crate::observe) role: Role,
    pub(in crate::observe) shelf: Arc<Shelf>,
    pub(in crate::observe) stop: CancellationToken,
}

impl Running {
    pub(in crate::observe) fn is_synced(&self) -> bool {
        self.stand.borrow().phase == Phase::Synced
    }

    /// Whether it ever showed all that it was started for. One that has no room for all of it has shown what there is.
    pub(in crate::observe) fn has_shown(&self) -> bool {
        self.shelf.is_synced()
    }

    /// Whether it has nothing to serve with, and does not look as if it soon had.
    pub(in crate::observe) fn is_in_vain(&self) -> bool {
        !self.has_shown() && self.stand.borrow().phase != Phase::Listing
    }

    pub(in crate::observe) fn is_refused(&self) -> bool {
        matches!(self.stand.borrow().phase, Phase::Forbidden { .. })
    }

    /// Whether it is the watch of everything, beside which a spare stands by.
    pub(in crate::observe) fn is_wide_of(&self, spare: &WatchSpec) -> bool {
        self.role == Role::Wanted && self.spec.namespace.is_none() && self.spec.resource == spare.resource
    }
}
