//! Numbers of things, in sentences.

/// Such as `1 policy` and `2 policies`.
pub(super) fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
