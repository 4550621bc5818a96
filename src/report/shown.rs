//! Texts as a status shows them: of bounded length, and harmless on a terminal.
//!
//! Names of some kinds may hold any character, and be of any length. People read a status with `kubectl get` and
//! `describe`, which print it as it is.

use std::borrow::Cow;

/// The text in at most so many bytes, with what could change more than itself on a terminal escaped.
pub(super) fn shown(text: &str, bytes: usize) -> String {
    // Escaping makes a text longer, never shorter: what is cut now would be cut anyway.
    match printable(&cut(text, bytes)) {
        Cow::Borrowed(text) => text.to_owned(),
        Cow::Owned(escaped) => cut(&escaped, bytes),
    }
}

/// The text with what could change more than itself on a terminal escaped, ends of lines among it.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, acts, |letter, out| out.extend(letter.escape_default()))
}

/// Like [`printable`], but lines and columns stay what they are.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escaped(text, acts_in_line, |letter, out| out.extend(letter.escape_default()))
}

/// Like [`printable_lines`], for JSON, which stays the same JSON: such characters stand in strings alone.
pub fn printable_json(text: &str) -> Cow<'_, str> {
    escaped(text, acts_in_line, |letter, out| {
        let units =
            letter.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect::<String>();
        out.push_str(&units);
    })
}

fn escaped(text: &str, acts: impl Fn(char) -> bool, escape: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !text.contains(&acts) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() * 2);
    for letter in text.chars() {
        match acts(letter) {
            true => escape(letter, &mut escaped),
            false => escaped.push(letter),
        }
    }
    Cow::Owned(escaped)
}

/// Like [`shown`], but lines stay lines.
pub(super) fn shown_lines(text: &str, bytes: usize) -> String {
    let text = cut(text, bytes);
    let lines: Vec<_> = text.split('\n').map(|line| shown(line, bytes)).collect();
    cut(&lines.join("\n"), bytes)
}

/// Control characters (C0, DEL, C1), separators of lines, and what turns the direction of the text that follows.
fn acts(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn acts_in_line(letter: char) -> bool {
    acts(letter) && !matches!(letter, '\n' | '\t')
}

/// The text in at most so many bytes, with an ellipsis where it was cut.
fn cut(text: &str, bytes: usize) -> String {
    const ELLIPSIS: &str = "…";
    if text.len() <= bytes {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(bytes.saturating_sub(ELLIPSIS.len()));
    let kept = text.get(..end).unwrap_or_default();
    format!("{kept}{ELLIPSIS}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        for (text, bytes, expected) in
            [("short", 5, "short"), ("longer", 5, "lo…"), ("ééé", 5, "é…"), ("ééé", 2, "…")]
        {
            assert_eq!(cut(text, bytes), expected);
        }
    }

    #[test]
    fn what_acts_on_a_terminal_is_escaped_and_all_else_is_not() {
        for (text, expected) in [
            ("x\n\u{1b}[31mINJECT", "x\\n\\u{1b}[31mINJECT"),
            ("\u{9b}31m\u{7f}\0", "\\u{9b}31m\\u{7f}\\u{0}"),
            ("user\u{202e}nimda\u{2066}\u{2028}", "user\\u{202e}nimda\\u{2066}\\u{2028}"),
            ("spec.args['a\\'b'] — größer 🦀", "spec.args['a\\'b'] — größer 🦀"),
        ] {
            assert_eq!(shown(text, 100), expected);
        }
    }

    #[test]
    fn an_escaped_text_is_not_longer_than_it_may_be() {
        for bytes in [3, 10, 253] {
            assert!(shown(&"\u{1b}".repeat(300), bytes).len() <= bytes);
            assert!(shown_lines(&"\u{1b}\n".repeat(300), bytes).len() <= bytes);
        }
    }

    #[test]
    fn lines_stay_lines_where_a_text_has_several() {
        assert_eq!(shown_lines("one\ntwo\r\u{1b}", 100), "one\ntwo\\r\\u{1b}");
    }
}
