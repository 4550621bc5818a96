//! What a command answers: text for stdout, words for stderr, an exit status.

/// Success: nothing is wrong.
pub(super) const FINE: u8 = 0;
/// Violations, a failed suite, a fault.
pub(super) const WRONG: u8 = 1;
/// Something could not be read or judged.
pub(super) const UNSURE: u8 = 2;

/// What a command answers.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// For stdout.
    pub text: String,
    /// For stderr, a line each.
    pub notes: Vec<String>,
    /// The exit status of the process.
    pub exit: u8,
}

impl Answer {
    /// Success.
    pub fn fine(text: String) -> Self {
        Self { text, notes: Vec::new(), exit: FINE }
    }
}
