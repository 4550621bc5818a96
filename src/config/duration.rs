//! Durations in flags, as Go writes them: `60s`, `1m30s`, `250ms`, `1.5h`.

use std::time::Duration;

/// Units and their seconds; longer names first, so that `ms` is not read as `m`.
const UNITS: [(&str, f64); 7] =
    [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];

/// Reads a duration; never negative.
///
/// # Errors
/// What is wrong, with an example of what is right.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let faulty = || format!("{text:?} is not a duration; write it as 60s, 1m30s or 250ms");
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() || text.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(faulty)?;
        let (number, tail) = rest.split_at_checked(digits).ok_or_else(faulty)?;
        let number: f64 = number.parse().map_err(|_refused| faulty())?;
        let (tail, unit) = UNITS
            .iter()
            .find_map(|(name, unit)| tail.strip_prefix(name).map(|tail| (tail, unit)))
            .ok_or_else(faulty)?;
        seconds += number * unit;
        rest = tail;
    }
    Duration::try_from_secs_f64(seconds).map_err(|_refused| faulty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_go_writes_them() {
        for (text, millis) in [
            ("60s", 60_000),
            ("2m", 120_000),
            ("1m30s", 90_000),
            ("250ms", 250),
            ("1.5h", 5_400_000),
            ("0", 0),
            ("0s", 0),
            ("1000us", 1),
            ("1h2m3s4ms", 3_723_004),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_duration_is_refused_with_an_example() {
        for text in
            ["", "60", "s", "-5s", "5 s", "1d", "1.2.3s", ".s", "1e3s", "99999999999999999999h", "5sx"]
        {
            let fault = parse(text).unwrap_err();
            assert!(fault.contains("write it as 60s"), "{text}: {fault}");
        }
    }
}
