//! Why the parser could not read a segment, in words of what is written there.

use super::foreign;
use super::lexer::{BLANKS, Piece, Text};
use super::parse::PathError;
use super::path;

/// The refusal of a segment; `failed` is the character where the parser stopped.
pub(super) fn refusal(text: &Text, piece: &Piece, failed: Option<usize>) -> PathError {
    let brackets = piece.query.trim_start_matches('.');
    let dots = if brackets.len() < piece.query.len() { ".." } else { "" };
    let inner = brackets.trim_start_matches('[').trim_end_matches(']').trim_matches(BLANKS);
    let is_word = |word: &str| {
        word.chars().all(|character| path::is_name_character(character) || "-/.".contains(character))
    };
    let digits = inner.trim_start_matches('-');
    let number = !digits.is_empty() && digits.chars().all(|character| character.is_ascii_digit());
    let zeros = digits.trim_start_matches('0');
    let (reason, spelling) = match inner.chars().next() {
        None => ("brackets without a selector; `[*]` is every element", Some("[*]".to_owned())),
        _ if inner.contains('?') => return of_filter(text, piece, failed),
        Some('\'' | '"') => ("the quoted name has an escape or a character that JSON does not allow", None),
        _ if number && zeros.len() < digits.len() => (
            "an index has no leading zeros",
            Some(format!("[{}]", if zeros.is_empty() { "0" } else { zeros })),
        ),
        _ if number => ("the index is too large", None),
        _ if is_word(inner) => ("a name in brackets is quoted", Some(quoted(inner))),
        _ => ("not a selector; wanted a quoted name, an index, a slice, `*` or a filter", None),
    };
    let error = PathError::new(piece.at, reason);
    match spelling {
        Some(spelling) => error.suggest(text.splice(piece.at, piece.end, &format!("{dots}{spelling}"))),
        None => error,
    }
}

fn of_filter(text: &Text, piece: &Piece, failed: Option<usize>) -> PathError {
    // Where the text is right and its meaning is not, the parser tells no place.
    if let (None, Some(function)) = (failed, piece.marks.functions.first()) {
        let reason = "a function that cannot stand here or take this: match() and search() give no value to compare, count() and value() take a query";
        return PathError::new(*function, reason);
    }
    let Some(at) = failed.filter(|at| (piece.at + 1..piece.end).contains(at)) else {
        return PathError::new(piece.at, "the filter cannot be read");
    };
    // Behind a group the parser stops at its end.
    let operator = text.skip(at, |character| character == ')' || BLANKS.contains(&character));
    foreign::refuse(text, operator).or_else(|| unquoted(text, at)).unwrap_or_else(|| {
        let next = text.slice(at, at + 2);
        let is_comparison = ["==", "!=", "<", ">"].iter().any(|operator| next.starts_with(operator));
        PathError::new(
            at,
            match is_comparison {
                true => "what is compared is a literal, a query that names one place, or length(), count() or value()",
                false => "the filter cannot be read from here on",
            },
        )
    })
}

/// A text without its quotes, behind a comparison.
fn unquoted(text: &Text, at: usize) -> Option<PathError> {
    let is_compared = text.slice(0, at).trim_end_matches(BLANKS).ends_with(['=', '<', '>']);
    let begins = |character: char| path::is_name_character(character) && !character.is_ascii_digit();
    let end = text.skip(at, |character| path::is_name_character(character) || "-./".contains(character));
    (is_compared && text.get(at).is_some_and(begins)).then(|| {
        let spelling = text.splice(at, end, &foreign::literal(&text.slice(at, end)));
        PathError::new(at, "a text that is compared is quoted").suggest(spelling)
    })
}

/// A name in brackets.
pub(super) fn quoted(name: &str) -> String {
    format!("[{}]", path::Quoted(name))
}
