//! JSON numbers, with integers of 64 bits kept exactly.

use std::cmp::Ordering;
use std::fmt;

use serde::{Serialize, Serializer};

/// A JSON number. Two are equal when they are the same number: `1` equals `1.0`,
/// `9007199254740993` does not equal `9007199254740992.0`.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    /// An integer that an `i64` holds.
    I64(i64),
    /// An integer over `i64::MAX`.
    U64(u64),
    /// Everything else. Never infinite nor NaN where it comes from JSON text.
    F64(f64),
}

impl Number {
    /// The number as an integer, when it is one and not beyond what 64 bits (signed or not) can hold.
    fn integer(self) -> Option<i128> {
        match self {
            Self::I64(value) => Some(value.into()),
            Self::U64(value) => Some(value.into()),
            Self::F64(value) => whole(value),
        }
    }
}

const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;

/// Every double in this range that has no fraction is an integer that an `i128` holds exactly.
#[allow(clippy::cast_possible_truncation, reason = "the range and the fraction are checked before")]
fn whole(value: f64) -> Option<i128> {
    (value.fract() == 0.0 && value.abs() < TWO_TO_64).then_some(value as i128)
}

/// An integer of 64 bits against a double that is none. Where the double has a fraction it is below 2^53, and rounding
/// the integer to a double does not take it past; where it has none it is beyond all integers of 64 bits.
#[allow(clippy::cast_precision_loss, reason = "see above")]
fn integer_to_double(integer: i128, double: f64) -> Option<Ordering> {
    if double.abs() < TWO_TO_64 { (integer as f64).partial_cmp(&double) } else { 0.0.partial_cmp(&double) }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (*self, *other, self.integer(), other.integer()) {
            (_, _, Some(left), Some(right)) => Some(left.cmp(&right)),
            (_, Self::F64(right), Some(left), None) => integer_to_double(left, right),
            (Self::F64(left), _, None, Some(right)) => integer_to_double(right, left).map(Ordering::reverse),
            (Self::F64(left), Self::F64(right), ..) => left.partial_cmp(&right),
            _ => None,
        }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self::I64(value)
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        i64::try_from(value).map_or(Self::U64(value), Self::I64)
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::F64(value)
    }
}

impl From<&serde_json::Number> for Number {
    fn from(value: &serde_json::Number) -> Self {
        let integer = value.as_i64().map(Self::I64).or_else(|| value.as_u64().map(Self::U64));
        integer.unwrap_or_else(|| Self::F64(value.as_f64().unwrap_or(f64::NAN)))
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::I64(value) => serializer.serialize_i64(value),
            Self::U64(value) => serializer.serialize_u64(value),
            Self::F64(value) => serializer.serialize_f64(value),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).or(Err(fmt::Error))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_equal_by_value_and_not_by_spelling() {
        assert_eq!(Number::I64(1), Number::F64(1.0));
        assert_eq!(Number::U64(7), Number::I64(7));
        assert_eq!(Number::F64(-0.0), Number::I64(0));
        assert_ne!(Number::F64(1.5), Number::I64(1));
    }

    #[test]
    fn integers_beyond_a_doubles_precision_stay_apart() {
        assert_ne!(Number::I64(9_007_199_254_740_993), Number::F64(9_007_199_254_740_992.0));
        assert_eq!(Number::I64(9_007_199_254_740_992), Number::F64(9_007_199_254_740_992.0));
        assert_ne!(Number::U64(u64::MAX), Number::F64(18_446_744_073_709_551_616.0));
        assert_ne!(Number::I64(-1), Number::U64(u64::MAX));
    }

    #[test]
    fn numbers_are_ordered_by_value_to_the_last_digit() {
        let rising = [
            Number::F64(-1e300),
            Number::I64(i64::MIN),
            Number::F64(-1.5),
            Number::I64(-1),
            Number::F64(0.5),
            Number::I64(1),
            Number::F64(9_007_199_254_740_992.0),
            Number::I64(9_007_199_254_740_993),
            Number::U64(u64::MAX),
            Number::F64(18_446_744_073_709_551_616.0),
            Number::F64(1e300),
        ];
        for (at, left) in rising.iter().enumerate() {
            for (to, right) in rising.iter().enumerate() {
                assert_eq!(left.partial_cmp(right), Some(at.cmp(&to)), "{left} and {right}");
            }
        }
        assert_eq!(Number::F64(f64::NAN).partial_cmp(&Number::I64(0)), None);
    }

    #[test]
    fn numbers_read_as_json_writes_them() {
        assert_eq!(Number::from(u64::MAX).to_string(), "18446744073709551615");
        assert_eq!(Number::from(1.0).to_string(), "1.0");
        assert_eq!(Number::from(-3i64).to_string(), "-3");
    }
}
