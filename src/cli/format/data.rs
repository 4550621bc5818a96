//! JSON and YAML: the same shape.

use anyhow::Context;
use serde::Serialize;

use crate::report::printable_json;

/// As JSON, with a newline at the end.
///
/// # Errors
/// Never for what the commands print.
pub(in crate::cli) fn json(value: &impl Serialize) -> anyhow::Result<String> {
    let text = serde_json::to_string_pretty(value).context("cannot print as JSON")?;
    Ok(printable_json(&text).into_owned() + "\n")
}

/// As YAML.
///
/// # Errors
/// Never for what the commands print.
pub(in crate::cli) fn yaml(value: &impl Serialize) -> anyhow::Result<String> {
    serde_saphyr::to_string(value).context("cannot print as YAML")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_escaped_as_json_and_read_back_as_it_was() {
        let odd = "\u{1b}[2J \u{7f} \u{2028} \u{202e} \n \u{85} é 😀";
        let text = json(&[odd]).unwrap();
        assert!(text.contains(r"\u001b[2J \u007f \u2028 \u202e \n \u0085 é 😀"), "{text}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&text).unwrap(), [odd]);
    }
}
