//! Numbers of bytes, as people write them for Kubernetes.

/// Reads `96Mi`, `1Gi`, `512Ki` or a number of bytes.
pub(super) fn parse(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let shift = match text.get(digits.len()..).unwrap_or_default() {
        "" => 0,
        "Ki" => 10,
        "Mi" => 20,
        "Gi" => 30,
        other => return Err(format!("`{other}` is no unit of bytes; write Ki, Mi, Gi or nothing")),
    };
    let number: usize =
        digits.parse().map_err(|_invalid| "a size is a whole number and a unit, such as 96Mi")?;
    number.checked_mul(1 << shift).ok_or_else(|| "larger than any memory".to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn sizes_are_read_with_and_without_a_unit() {
        for (text, bytes) in [("0", 0), ("1000", 1000), ("3Ki", 3072), ("96Mi", 96 << 20), ("1Gi", 1 << 30)] {
            assert_eq!(parse(text), Ok(bytes));
        }
        for text in ["", "Mi", "1.5Gi", "-1", "5M", "99999999999999Gi", "1 Mi"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
