//! The values that labels can have, where these are the operator's own words.

/// Declares label values as an enum: what is not in the list can never become a series.
macro_rules! label_values {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The label value.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}

label_values! {
    /// What an evaluation of one policy on one object gave.
    VerdictResult {
        /// Every rule that applied held.
        Pass = "Pass",
        /// A rule failed.
        Fail = "Fail",
        /// A rule could not be judged.
        Error = "Error",
        /// No rule applied.
        Skip = "Skip",
    }
}

label_values! {
    /// The kinds of watch events, as on the wire.
    EventType {
        /// An object appeared.
        Added = "ADDED",
        /// An object changed.
        Modified = "MODIFIED",
        /// An object went.
        Deleted = "DELETED",
        /// The version advanced.
        Bookmark = "BOOKMARK",
        /// The server ended the watch with a Status.
        Error = "ERROR",
    }
}

label_values! {
    /// Why a LIST or a watch did not go on.
    WatchFailure {
        /// 410: the version is too old, a new list is needed.
        Expired = "expired",
        /// 401 or 403.
        Forbidden = "forbidden",
        /// 404: the resource is not served.
        NotFound = "not_found",
        /// 429.
        Throttled = "throttled",
        /// Another status code from 500 on.
        Server = "server",
        /// Another status code below 500.
        Refused = "refused",
        /// A deadline of ours ran out.
        Timeout = "timeout",
        /// The connection could not be made, or broke.
        Connection = "connection",
        /// The answer, or one item of it, could not be read.
        Undecodable = "undecodable",
    }
}

label_values! {
    /// What became of a fix.
    Remediation {
        /// It was written, and the rule holds.
        Fixed = "Fixed",
        /// The server would take it, and the rule would hold.
        Planned = "Planned",
        /// It was worked out, and the server could not be asked: the right to patch is missing.
        NotVerified = "NotVerified",
        /// The server took it, and the rule fails all the same.
        Ineffective = "Ineffective",
        /// The server refused it.
        Refused = "Refused",
        /// No fix may write there.
        NotAllowed = "NotAllowed",
        /// There is nothing that could be written.
        Impossible = "Impossible",
        /// Another manager owns the field, and the policy yields.
        Yielded = "Yielded",
        /// Somebody else writes the field again and again.
        Contested = "Contested",
        /// Another rule or policy wants something else there.
        Conflict = "Conflict",
        /// Writes are stopped for the whole operator.
        Stopped = "Stopped",
        /// The budget of writes is used up for now.
        Throttled = "Throttled",
        /// The server could not be reached, or changed the object meanwhile; it is tried again.
        Waiting = "Waiting",
        /// The object is being deleted.
        Deleting = "Deleting",
    }
}

impl Remediation {
    /// Those that somebody should look at: the alerts are about them.
    pub const TROUBLES: [Self; 6] = [
        Self::Ineffective,
        Self::Refused,
        Self::NotAllowed,
        Self::Impossible,
        Self::Contested,
        Self::Conflict,
    ];
}

label_values! {
    /// How the write of a status or report ended.
    ReportWrite {
        /// It was stored.
        Written = "written",
        /// What it is about is no longer there, or another one has its name.
        Gone = "gone",
        /// The server refused it, or could not be reached in time; it is tried again.
        Failed = "failed",
    }
}
