//! Decimal numbers of any size, kept exactly: what is compared is what was written.

use std::cmp::Ordering;

use crate::jsonpath::Number;

/// An exact decimal number: `0.d1d2d3...` times ten to the power of `exponent`. Zero has no digits; others have no zero
/// at either end, so that equal numbers are kept alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    negative: bool,
    digits: Box<[u8]>,
    exponent: i64,
}

impl Decimal {
    /// The integer that the digits write, times ten to the power of `scale`.
    fn new(negative: bool, digits: &[u8], scale: i64) -> Self {
        let exponent = scale.saturating_add(length(digits));
        let leading = digits.iter().take_while(|digit| **digit == 0).count();
        let significant = digits.get(leading..).unwrap_or_default();
        let trailing = significant.iter().rev().take_while(|digit| **digit == 0).count();
        let digits: Box<[u8]> = significant.get(..significant.len() - trailing).unwrap_or_default().into();
        if digits.is_empty() {
            return Self { negative: false, digits, exponent: 0 };
        }
        let leading = i64::try_from(leading).unwrap_or(i64::MAX);
        Self { negative, digits, exponent: exponent.saturating_sub(leading) }
    }

    /// Reads `[+-]digits[.digits]` at the start of a text, with digits on one side of the point at least, and gives
    /// what stands after it.
    pub(super) fn split(text: &str) -> Option<(Self, &str)> {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (whole, rest) = split_digits(unsigned);
        let (fraction, rest) = match rest.strip_prefix('.') {
            Some(rest) => split_digits(rest),
            None => ("", rest),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|digit| digit - b'0').collect();
        let scale = i64::try_from(fraction.len()).ok()?;
        Some((Self::new(text.starts_with('-'), &digits, -scale), rest))
    }

    /// Reads a whole text, with an exponent as JSON writes it or without.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (mantissa, rest) = Self::split(text)?;
        match rest.strip_prefix(['e', 'E']) {
            Some(exponent) => mantissa.scaled(exponent.parse::<i32>().ok()?.into()),
            None => rest.is_empty().then_some(mantissa),
        }
    }

    /// Times ten to the power of `exponent`.
    pub(super) fn scaled(self, exponent: i64) -> Option<Self> {
        if self.digits.is_empty() {
            return Some(self);
        }
        let exponent = self.exponent.checked_add(exponent)?;
        Some(Self { exponent, ..self })
    }

    /// Times an integer.
    pub(super) fn times(&self, factor: u64) -> Self {
        let mut product = Vec::with_capacity(self.digits.len() + 20);
        let mut carry = 0_u128;
        for digit in self.digits.iter().rev() {
            carry += u128::from(*digit) * u128::from(factor);
            push_last_digit(&mut product, &mut carry);
        }
        while carry > 0 {
            push_last_digit(&mut product, &mut carry);
        }
        product.reverse();
        Self::new(self.negative, &product, self.scale())
    }

    /// Without digits after the given number of decimal places; away from zero where there were some.
    pub(super) fn rounded_away(self, places: i64) -> Self {
        let surplus = (-places).saturating_sub(self.scale());
        if self.digits.is_empty() || surplus <= 0 {
            return self;
        }
        let surplus = usize::try_from(surplus).unwrap_or(usize::MAX);
        let kept = self.digits.len().saturating_sub(surplus);
        let mut digits = self.digits.get(..kept).unwrap_or_default().to_vec();
        let nines = digits.iter().rev().take_while(|digit| **digit == 9).count();
        digits.truncate(kept - nines);
        match digits.last_mut() {
            Some(last) => *last += 1,
            None => digits.push(1),
        }
        Self::new(self.negative, &digits, -places + i64::try_from(nines).unwrap_or(i64::MAX))
    }

    /// The number or the bound, whichever is nearer to zero; with the number's sign.
    pub(super) fn capped(self, bound: &Self) -> Self {
        if self.magnitude(bound).is_gt() { Self { negative: self.negative, ..bound.clone() } } else { self }
    }

    /// The power of ten that the last digit counts.
    fn scale(&self) -> i64 {
        self.exponent.saturating_sub(length(&self.digits))
    }

    fn magnitude(&self, other: &Self) -> Ordering {
        let is_zero = |number: &Self| number.digits.is_empty();
        match (is_zero(self), is_zero(other)) {
            (false, false) => self.exponent.cmp(&other.exponent).then_with(|| self.digits.cmp(&other.digits)),
            (left, right) => right.cmp(&left),
        }
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, false) => self.magnitude(other),
            (true, true) => other.magnitude(self),
            (left, right) => right.cmp(&left),
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<i128> for Decimal {
    fn from(value: i128) -> Self {
        let digits: Vec<u8> = value.unsigned_abs().to_string().bytes().map(|digit| digit - b'0').collect();
        Self::new(value < 0, &digits, 0)
    }
}

impl From<Number> for Decimal {
    /// Exactly, but for floating-point numbers with a fraction or over 64 bits: those are what their shortest text says.
    #[allow(clippy::cast_possible_truncation, reason = "the range and the fraction are checked before")]
    fn from(number: Number) -> Self {
        const LIMIT: f64 = 18_446_744_073_709_551_616.0; // 2^64
        match number {
            Number::I64(value) => i128::from(value).into(),
            Number::U64(value) => i128::from(value).into(),
            Number::F64(value) if value.fract() == 0.0 && value.abs() < LIMIT => (value as i128).into(),
            Number::F64(value) => Self::parse(&format!("{value:e}")).unwrap_or_else(|| 0_i128.into()),
        }
    }
}

fn push_last_digit(digits: &mut Vec<u8>, number: &mut u128) {
    digits.push(u8::try_from(*number % 10).unwrap_or_default());
    *number /= 10;
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

fn length(digits: &[u8]) -> i64 {
    i64::try_from(digits.len()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).expect(text)
    }

    #[test]
    fn numbers_are_equal_however_they_are_written() {
        for (left, right) in
            [("1", "1.000"), ("100", "1e2"), ("0.05", "5E-2"), ("-0", "0.0"), ("+.5", "0.5"), ("007", "7.")]
        {
            assert_eq!(decimal(left), decimal(right), "{left} and {right}");
        }
    }

    #[test]
    fn numbers_are_ordered_exactly() {
        let ordered = [
            "-1e30",
            "-9007199254740993",
            "-9007199254740992.5",
            "-1",
            "-0.1",
            "0",
            "1e-30",
            "0.09",
            "0.1",
            "9",
            "10",
            "9007199254740992",
            "9007199254740993",
            "18446744073709551616",
            "1e400",
        ];
        for pair in ordered.windows(2) {
            assert!(decimal(pair[0]) < decimal(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn what_is_no_number_is_not_read() {
        for text in ["", "+", ".", "-.", "1e", "1e1.5", "1x", " 1", "1 ", "0x1", "e5", "1e99999999999", "--1"]
        {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn products_and_roundings_are_exact() {
        assert_eq!(decimal("1.5").times(1 << 30), decimal("1610612736"));
        assert_eq!(decimal("0").times(1024), decimal("0"));
        assert_eq!(decimal("12345678901234567890.5").times(1 << 60).times(0), decimal("0"));
        for (text, rounded) in [
            ("0.1234567890", "0.123456789"),
            ("0.1234567891", "0.123456790"),
            ("-0.9999999999", "-1"),
            ("9.9999999991", "10"),
            ("1e-20", "0.000000001"),
            ("12", "12"),
        ] {
            assert_eq!(decimal(text).rounded_away(9), decimal(rounded), "{text}");
        }
    }

    #[test]
    fn json_numbers_keep_their_digits() {
        assert_eq!(Decimal::from(Number::U64(u64::MAX)), decimal("18446744073709551615"));
        assert_eq!(Decimal::from(Number::F64(9_007_199_254_740_992.0)), decimal("9007199254740992"));
        assert_eq!(Decimal::from(Number::F64(0.1)), decimal("0.1"));
        assert_eq!(Decimal::from(Number::F64(-2.5e-7)), decimal("-0.00000025"));
    }
}
