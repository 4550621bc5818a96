//! What comparing may cost. The steps of a path pay for finding a value; a value that is large, or is compared with
//! much, is paid for here.

use std::cell::Cell;

use crate::jsonpath::{EvalError, Node};

/// Units that the comparisons of one rule may take together; a unit is a few nanoseconds.
const UNITS: usize = 1 << 20;
/// Bytes of text that cost one unit.
const BYTES_PER_UNIT: usize = 64;
/// What a value costs that is sorted, or looked up, among others: the depth of a search in many.
pub(super) const SORTED: usize = 8;

/// How much may still be compared.
#[derive(Debug)]
pub(super) struct Meter(Cell<usize>);

impl Default for Meter {
    fn default() -> Self {
        Self(Cell::new(UNITS))
    }
}

impl Meter {
    /// Pays for comparing a value so many times.
    ///
    /// # Errors
    /// That nothing is left.
    pub(super) fn charge(&self, value: Node<'_>, times: usize) -> Result<(), EvalError> {
        let Some(others) = times.checked_sub(1) else { return Ok(()) };
        let before = self.0.get();
        self.weigh(value)?;
        let weight = before - self.0.get();
        self.spend(weight.saturating_mul(others))
    }

    fn weigh(&self, value: Node<'_>) -> Result<(), EvalError> {
        self.spend(1)?;
        match value {
            Node::String(text) => self.spend(text.len() / BYTES_PER_UNIT),
            Node::Array(elements) => elements.iter().try_for_each(|element| self.weigh(element)),
            Node::Object(members) => members.iter().try_for_each(|(_, member)| self.weigh(member)),
            Node::Null | Node::Bool(_) | Node::Number(_) => Ok(()),
        }
    }

    fn spend(&self, units: usize) -> Result<(), EvalError> {
        let left = self.0.get().checked_sub(units);
        // What is empty stays empty, so that nothing small slips through after something large did not.
        self.0.set(left.unwrap_or_default());
        left.map(drop).ok_or(EvalError::OverBudget)
    }
}
