//! Severities as flags and formats write them.

use clap::builder::PossibleValue;

use crate::crd::Severity;

/// All severities, from the mildest.
const ALL: [Severity; 5] =
    [Severity::Info, Severity::Low, Severity::Medium, Severity::High, Severity::Critical];

/// The severity as policies write it.
pub(super) const fn text(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

/// A severity as a flag's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeverityFlag(pub Severity);

impl clap::ValueEnum for SeverityFlag {
    fn value_variants<'a>() -> &'a [Self] {
        const { &[Self(ALL[0]), Self(ALL[1]), Self(ALL[2]), Self(ALL[3]), Self(ALL[4])] }
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(text(self.0)))
    }
}
