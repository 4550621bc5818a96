//! How comparisons read both sides: the contract's `as`.

use std::cmp::Ordering;
use std::sync::LazyLock;

use jiff::Timestamp;
use semver::Version;

use crate::crd::As;
use crate::jsonpath::Node;

use super::assertion::Complaint;
use super::decimal::Decimal;

/// How both sides of a comparison are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// As they are. Only numbers have an order: that of texts would say that `1Gi` is less than `512Mi`.
    Json,
    /// As the contract's `as` says.
    As(As),
}

/// A value as it was read. Two are only compared when they were read alike.
#[derive(Clone, Debug)]
pub(super) enum Reading {
    /// A number, quantity or percentage.
    Number(Decimal),
    /// Nanoseconds.
    Duration(i128),
    /// A semantic version; its build metadata does not count.
    Version(Box<Version>),
    /// An instant.
    Time(Timestamp),
}

impl Reading {
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(left), Self::Number(right)) => left.cmp(right),
            (Self::Duration(left), Self::Duration(right)) => left.cmp(right),
            (Self::Version(left), Self::Version(right)) => left.cmp_precedence(right),
            (Self::Time(left), Self::Time(right)) => left.cmp(right),
            // One scale never gives two kinds.
            (left, right) => left.kind().cmp(&right.kind()),
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Number(_) => 0,
            Self::Duration(_) => 1,
            Self::Version(_) => 2,
            Self::Time(_) => 3,
        }
    }
}

impl Scale {
    /// Reads a value.
    ///
    /// # Errors
    /// Why it cannot be read so.
    pub(super) fn read(self, node: Node<'_>) -> Result<Reading, Complaint> {
        match (self, node) {
            (Self::Json | Self::As(As::Number | As::Quantity), Node::Number(number)) => {
                Ok(Reading::Number(number.into()))
            }
            (Self::As(_), Node::String(text)) => {
                self.read_text(text).ok_or(Complaint::Unreadable(self.wants()))
            }
            (_, node) => Err(Complaint::WrongType(node.kind(), self.needs())),
        }
    }

    /// Reads a text, as ranges hold them.
    pub(super) fn read_text(self, text: &str) -> Option<Reading> {
        match self {
            Self::Json | Self::As(As::Number) => Decimal::parse(text).map(Reading::Number),
            Self::As(As::Quantity) => quantity(text).map(Reading::Number),
            Self::As(As::Percent) => percent(text).map(Reading::Number),
            Self::As(As::Duration) => nanoseconds(text).map(Reading::Duration),
            Self::As(As::Version) => version(text).map(|version| Reading::Version(Box::new(version))),
            Self::As(As::Time) => time(text).map(Reading::Time),
        }
    }

    /// What a value must be to be read so.
    pub(super) fn wants(self) -> &'static str {
        match self {
            Self::Json | Self::As(As::Number) => "a number",
            Self::As(As::Quantity) => "a Kubernetes quantity, such as 500m or 1Gi",
            Self::As(As::Duration) => "a duration, such as 90s, 1h30m or 30d",
            Self::As(As::Version) => "a version of three numbers, such as 1.2.3",
            Self::As(As::Time) => "a time in RFC 3339, such as 2027-03-31T00:00:00Z",
            Self::As(As::Percent) => "a percentage, such as 25%",
        }
    }

    fn needs(self) -> &'static str {
        match self {
            Self::Json => {
                "only numbers have an order; say how to read it with `as`, or guard with `type` where a field may be of two types"
            }
            Self::As(As::Number) => {
                "`as: Number` is for numbers and strings that hold one; guard with `type`"
            }
            Self::As(As::Quantity) => "`as: Quantity` is for numbers and strings; guard with `type`",
            Self::As(As::Duration) => "`as: Duration` is for strings; guard with `type`",
            Self::As(As::Version) => "`as: Version` is for strings; guard with `type`",
            Self::As(As::Time) => "`as: Time` is for strings; guard with `type`",
            Self::As(As::Percent) => "`as: Percent` is for strings such as 25%; guard with `type`",
        }
    }
}

/// A quantity as `resource.Quantity` of k8s.io/apimachinery means it: exact, rounded away from zero to whole nanos, and
/// with a binary suffix at most 2^63 - 1.
fn quantity(text: &str) -> Option<Decimal> {
    static MOST: LazyLock<Decimal> = LazyLock::new(|| i128::from(i64::MAX).into());
    let (number, suffix) = Decimal::split(text)?;
    let binary = |power: u32| Some(number.times(1_u64 << (10 * power)).rounded_away(9).capped(&MOST));
    let decimal = |power: i64| Some(number.clone().scaled(power)?.rounded_away(9));
    match suffix {
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        exponent => decimal(exponent.strip_prefix(['e', 'E'])?.parse::<i32>().ok()?.into()),
    }
}

fn percent(text: &str) -> Option<Decimal> {
    let (number, rest) = Decimal::split(text)?;
    (rest == "%").then_some(number)
}

fn version(text: &str) -> Option<Version> {
    Version::parse(text.strip_prefix('v').unwrap_or(text)).ok()
}

/// An instant in RFC 3339; of the wider ISO 8601 nothing more.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let marks = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    let is_shaped = marks.iter().all(|(at, mark)| bytes.get(*at) == Some(mark))
        && matches!(bytes.get(10), Some(b'T' | b't' | b' '))
        && matches!(bytes.get(19), Some(b'Z' | b'z' | b'.' | b'+' | b'-'))
        && ends_in_offset(bytes);
    if is_shaped { text.parse().ok() } else { None }
}

/// `Z`, or hours and minutes; seconds of an offset, and one without a colon, are ISO 8601 alone.
fn ends_in_offset(text: &[u8]) -> bool {
    match text {
        [.., b'Z' | b'z'] => true,
        [.., b'+' | b'-', h, hh, b':', m, mm] => {
            let two = |tens: &u8, ones: &u8| {
                let digits = tens.is_ascii_digit() && ones.is_ascii_digit();
                digits.then(|| (tens - b'0') * 10 + (ones - b'0'))
            };
            two(h, hh).is_some_and(|hours| hours < 24) && two(m, mm).is_some_and(|minutes| minutes < 60)
        }
        _ => false,
    }
}

/// A duration as Go's `time.ParseDuration` reads it, with days of 24 hours besides: in nanoseconds, what is finer is
/// cut off.
pub(super) fn nanoseconds(text: &str) -> Option<i128> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut total = 0_i128;
    let mut rest = unsigned;
    while !rest.is_empty() && unsigned != "0" {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(number);
        let unit = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        total = total.checked_add(units(number, unit)?)?;
        rest = after;
    }
    if unsigned.is_empty() {
        return None;
    }
    Some(if text.starts_with('-') { -total } else { total })
}

fn units(number: &str, unit: &str) -> Option<i128> {
    let unit: i128 = match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || whole.len() > 18 {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let digits = fraction.get(..fraction.len().min(18))?;
    let part: i128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    let places = u32::try_from(digits.len()).ok()?;
    Some(whole * unit + part * unit / 10_i128.pow(places))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_mean_what_kubernetes_means_by_them() {
        for (left, order, right) in [
            ("1Gi", Ordering::Equal, "1024Mi"),
            ("1G", Ordering::Less, "1Gi"),
            ("500m", Ordering::Equal, "0.5"),
            ("1", Ordering::Equal, "1000m"),
            ("0.1m", Ordering::Equal, "100u"),
            ("1e3", Ordering::Equal, "1k"),
            ("1E3", Ordering::Equal, "1k"),
            ("1E", Ordering::Equal, "1000P"),
            ("1e-3", Ordering::Equal, "1m"),
            ("0.1n", Ordering::Equal, "1n"),
            ("1.1n", Ordering::Equal, "2n"),
            ("-0.1n", Ordering::Equal, "-1n"),
            ("8Ei", Ordering::Equal, "9223372036854775807"),
            ("100E", Ordering::Greater, "8Ei"),
            ("1.5Gi", Ordering::Equal, "1536Mi"),
            (".5Gi", Ordering::Equal, "512Mi"),
            ("+1.", Ordering::Equal, "1"),
            ("9007199254740993", Ordering::Greater, "9007199254740992"),
            ("-1Ki", Ordering::Less, "0"),
        ] {
            let read = |text| quantity(text).expect(text);
            assert_eq!(read(left).cmp(&read(right)), order, "{left} and {right}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_not_read() {
        for text in [
            "", "lots", "1.1.M", "1+1.0M", "0.1mi", "0.1am", ".5i", "1i", "-3.01e-", "1K", "1 Gi", "1gi",
            "Gi", ".", "1e1.5", "1KiB", "0x10",
        ] {
            assert_eq!(quantity(text), None, "{text}");
        }
    }

    #[test]
    fn durations_read_as_go_writes_them_and_in_days() {
        for (text, nanos) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("5s", Some(5_000_000_000)),
            ("1h30m", Some(5_400_000_000_000)),
            ("1.5h", Some(5_400_000_000_000)),
            (".5s", Some(500_000_000)),
            ("5.s", Some(5_000_000_000)),
            ("-1m", Some(-60_000_000_000)),
            ("100ms", Some(100_000_000)),
            ("1us1\u{b5}s1\u{3bc}s1ns", Some(3001)),
            ("30d", Some(2_592_000_000_000_000)),
            ("0.3333333333333333333h", Some(1_199_999_999_999)),
            ("", None),
            ("5", None),
            ("s", None),
            (".s", None),
            ("1.2.3s", None),
            ("1w", None),
            ("1 s", None),
            ("--1s", None),
            ("1000000000000000000000s", None),
        ] {
            assert_eq!(nanoseconds(text), nanos, "{text}");
        }
    }

    #[test]
    fn versions_have_three_numbers_and_the_precedence_of_semver() {
        let ordered = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-beta", "v1.0.0", "1.2.0", "v1.10.0"];
        for pair in ordered.windows(2) {
            let [left, right] = [pair[0], pair[1]].map(|text| version(text).expect(text));
            assert!(left.cmp_precedence(&right).is_lt(), "{pair:?}");
        }
        for text in ["1.2", "1", "vv1.2.3", "1.2.3.4", "01.2.3", "latest", ""] {
            assert_eq!(version(text), None, "{text}");
        }
    }

    #[test]
    fn times_are_rfc_3339_and_nothing_wider() {
        let read = |text| time(text).map(|time| time.as_second());
        assert_eq!(read("2027-03-31T00:00:00Z"), read("2027-03-31t02:00:00.000+02:00"));
        assert!(read("2027-03-31T00:00:00Z").is_some());
        for text in
            ["2027-03-31", "20270331T000000Z", "2027-03-31T00:00:00", "2027-03-31T00:00:00Z[UTC]", "now", ""]
        {
            assert_eq!(time(text), None, "{text}");
        }
        for offset in ["+25:00", "+01:60", "+0100", "+01", "-00:00:30", "+01:00[UTC]"] {
            assert_eq!(time(&format!("2027-03-31T00:00:00{offset}")), None, "{offset}");
        }
    }

    #[test]
    fn percentages_have_their_sign() {
        assert_eq!(percent("25%"), percent("25.0%"));
        assert!(percent("25%") > percent("9%"));
        assert_eq!(percent("25"), None);
        assert_eq!(percent("%"), None);
    }
}
