//! The reasons of conditions: a closed set, each explained in `docs/troubleshooting.md`.

use crate::policy::FaultReason;

/// An enum whose variants are written as they are named.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl $name {
            /// Every one of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// As a condition writes it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant)),+ }
            }
        }
    };
}

words! {
    /// Why a condition is what it is, in one word.
    Reason {
        /// A resource is not served.
        Absent,
        /// The rights to list and watch are there.
        Allowed,
        /// The mode writes nothing.
        Audit,
        /// Requests for a target fail.
        Degraded,
        /// The policy is being deleted.
        Deleting,
        /// Fixes are written.
        Enforcing,
        /// A fix would write what no fix may.
        FixNotAllowed,
        /// A right is missing.
        Forbidden,
        /// The policy cannot be compiled.
        Invalid,
        /// A limit of the operator keeps it from seeing everything.
        LimitExceeded,
        /// Objects are being listed.
        Listing,
        /// No rule has a fix.
        NoFix,
        /// The operator does not consent to writes.
        NotAllowed,
        /// There is no policy of the name that was asked for.
        NotFound,
        /// Nothing more is known of a policy that is not valid.
        NotValidated,
        /// Nothing is served yet that a right could be asked for.
        NothingToAsk,
        /// The mode works fixes out and writes none.
        Plan,
        /// What the policy wrote is being taken back.
        Releasing,
        /// Every target is served.
        Resolved,
        /// What the cluster serves is being looked up.
        Resolving,
        /// Some targets are not served, and the others are followed.
        SomeTargetsAbsent,
        /// Writes are stopped for the whole operator.
        Stopped,
        /// The policy rests.
        Suspended,
        /// Every target is followed.
        Synced,
        /// A target is served, and not as the policy asks for it.
        TargetMismatch,
        /// A target that no policy may have, or not without consent.
        TargetNotAllowed,
        /// No target is served.
        TargetsAbsent,
        /// The policy is stored in a form that this operator cannot read.
        Unreadable,
        /// The policy is understood as a whole.
        Valid,
    }
}

impl From<FaultReason> for Reason {
    fn from(reason: FaultReason) -> Self {
        match reason {
            FaultReason::Invalid => Self::Invalid,
            FaultReason::TargetNotAllowed => Self::TargetNotAllowed,
            FaultReason::FixNotAllowed => Self::FixNotAllowed,
        }
    }
}
