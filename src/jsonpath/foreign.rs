//! Operators of other languages in a filter, and what RFC 9535 has in their place.

use super::lexer::{BLANKS, Text, closing_quote};
use super::parse::PathError;
use super::path::{self, Quoted};

/// What is written in place of an operator.
#[derive(Clone, Copy)]
enum Instead {
    /// Another operator; what it means.
    Operator(&'static str, &'static str),
    /// A comparison with each value of a list; of all of them where it is one with none.
    Each { negated: bool },
    /// A function that takes a pattern.
    Pattern { negated: bool },
    /// What depends on what is meant, in words.
    Depends(&'static str),
}

/// As Jayway, Goessner, JavaScript, SQL and CEL have them.
const OPERATORS: [(&str, Instead); 16] = [
    ("=", Instead::Operator("==", "`==` compares")),
    ("===", Instead::Operator("==", "`==` compares")),
    ("!==", Instead::Operator("!=", "`!=` compares")),
    ("<>", Instead::Operator("!=", "`!=` compares")),
    ("&", Instead::Operator("&&", "`&&` means and")),
    ("and", Instead::Operator("&&", "`&&` means and")),
    ("|", Instead::Operator("||", "`||` means or")),
    ("or", Instead::Operator("||", "`||` means or")),
    ("not", Instead::Operator("!", "`!` means not")),
    ("in", Instead::Each { negated: false }),
    ("nin", Instead::Each { negated: true }),
    ("not in", Instead::Each { negated: true }),
    ("=~", Instead::Pattern { negated: false }),
    ("matches", Instead::Pattern { negated: false }),
    ("!~", Instead::Pattern { negated: true }),
    (
        "contains",
        Instead::Depends(
            "`search(@.a, 'b')` finds a part of a string, and `@.a[?@ == 'b']` an element of an array",
        ),
    ),
];

/// The refusal of what stands here, if it is such an operator.
pub(super) fn refuse(text: &Text, at: usize) -> Option<PathError> {
    let (start, end) = token(text, at)?;
    let written = text.slice(start, end);
    let (_, instead) = OPERATORS.iter().find(|(operator, _)| operator.eq_ignore_ascii_case(&written))?;
    let reason = format!("`{written}` is no operator; {}", instead.words());
    let error = PathError::new(start, reason);
    Some(match instead.spelling(text, (start, end)) {
        Some(spelling) => error.suggest(spelling),
        None => error,
    })
}

impl Instead {
    fn words(self) -> &'static str {
        match self {
            Self::Operator(_, words) | Self::Depends(words) => words,
            Self::Each { negated: false } => "each value of a list is compared by itself, with `==`",
            Self::Each { negated: true } => "each value of a list is compared by itself, with `!=`",
            Self::Pattern { .. } => {
                "`match(@.a, 'b.*')` is of a whole string, and `search(@.a, 'b')` of a part of one"
            }
        }
    }

    /// The whole path with it in place of the operator, where its operands can be told.
    fn spelling(self, text: &Text, (start, end): (usize, usize)) -> Option<String> {
        match self {
            Self::Operator("!", _) => Some(text.splice(start, after_blanks(text, end), "!")),
            Self::Operator(operator, _) => Some(text.splice(start, end, operator)),
            Self::Each { negated } => {
                let (from, query) = query_before(text, start)?;
                let (to, values) = list(text, after_blanks(text, end))?;
                let (comparison, and) = if negated { ("!=", " && ") } else { ("==", " || ") };
                let each: Vec<_> =
                    values.iter().map(|value| format!("{query} {comparison} {value}")).collect();
                let all = each.join(and);
                let stands_alone = values.len() == 1 || is_whole_filter(text, (from, to));
                Some(text.splice(from, to, &if stands_alone { all } else { format!("({all})") }))
            }
            Self::Pattern { negated } => {
                let (from, query) = query_before(text, start)?;
                let (to, pattern) = pattern(text, after_blanks(text, end))?;
                let not = if negated { "!" } else { "" };
                Some(text.splice(from, to, &format!("{not}match({query}, {pattern})")))
            }
            Self::Depends(_) => None,
        }
    }
}

/// Where the word, or the run of signs, begins and ends that has a character here.
fn token(text: &Text, at: usize) -> Option<(usize, usize)> {
    let is_sign = |character: char| "=!<>~&|".contains(character);
    let is_word = path::is_name_character(text.get(at)?);
    let goes_on =
        |character: char| if is_word { path::is_name_character(character) } else { is_sign(character) };
    let before = (0..at).rev().take_while(|at| text.get(*at).is_some_and(goes_on)).count();
    let (start, end) = (at - before, text.skip(at, goes_on));
    let next = after_blanks(text, end);
    let is_not_in = text.slice(start, end) == "not" && text.slice(next, text.skip(next, goes_on)) == "in";
    Some((start, if is_not_in && next == end + 1 { next + 2 } else { end }))
}

fn after_blanks(text: &Text, at: usize) -> usize {
    text.skip(at, |character| BLANKS.contains(&character))
}

/// Where the last character before this one stands that is no blank, and which it is.
fn before_blanks(text: &Text, at: usize) -> Option<(usize, char)> {
    let mut characters = (0..at).rev().filter_map(|at| Some((at, text.get(at)?)));
    characters.find(|(_, character)| !BLANKS.contains(character))
}

/// The plain query before an operator, from its `@` or `$` on.
fn query_before(text: &Text, operator: usize) -> Option<(usize, String)> {
    let end = before_blanks(text, operator)?.0 + 1;
    let start = (0..end).rev().find(|at| matches!(text.get(*at), Some('@' | '$')))?;
    let query = text.slice(start, end);
    let is_plain = |character: char| path::is_name_character(character) || "@$.[]'\"-/*".contains(character);
    let is_closed = query.matches('[').count() == query.matches(']').count();
    (is_closed && query.chars().all(is_plain)).then_some((start, query))
}

/// Whether a filter holds this and nothing else.
fn is_whole_filter(text: &Text, (from, to): (usize, usize)) -> bool {
    let begins = before_blanks(text, from).is_some_and(|(_, character)| character == '?');
    begins && matches!(text.get(after_blanks(text, to)), Some(']' | ','))
}

/// Where a list in brackets or parentheses ends, and its values as literals.
fn list(text: &Text, open: usize) -> Option<(usize, Vec<String>)> {
    matches!(text.get(open), Some('[' | '(')).then_some(())?;
    let close = text.closing(open)?;
    let mut values = Vec::new();
    let mut at = open + 1;
    while at < close {
        at = after_blanks(text, at);
        let end = match text.get(at)? {
            quote @ ('\'' | '"') => closing_quote(text, at, quote).ok()? + 1,
            _ => text
                .skip(at, |character| !BLANKS.contains(&character) && !matches!(character, ',' | ']' | ')')),
        };
        values.push(literal(&text.slice(at, end)));
        at = after_blanks(text, end);
        matches!(text.get(at), Some(',' | ']' | ')')).then_some(())?;
        at += 1;
    }
    (!values.is_empty()).then_some((close + 1, values))
}

/// A word as it is compared: what is no number, `true`, `false`, `null` or in quotes gets quotes.
pub(super) fn literal(word: &str) -> String {
    let keyword = ["true", "false", "null"].into_iter().find(|keyword| keyword.eq_ignore_ascii_case(word));
    let is_quoted = word.starts_with(['\'', '"']);
    match keyword {
        Some(keyword) => keyword.to_owned(),
        None if is_quoted || serde_json::from_str::<serde_json::Number>(word).is_ok() => word.to_owned(),
        None => Quoted(word).to_string(),
    }
}

/// Where a pattern in quotes or slashes ends, and what matches whole strings as it does, in quotes.
fn pattern(text: &Text, open: usize) -> Option<(usize, String)> {
    match text.get(open)? {
        quote @ ('\'' | '"') => {
            let close = closing_quote(text, open, quote).ok()?;
            Some((close + 1, format!("{quote}{}{quote}", whole(&text.slice(open + 1, close)))))
        }
        '/' => {
            let close = closing_quote(text, open, '/').ok()?;
            let has_flags = text.get(close + 1).is_some_and(path::is_name_character);
            let source = text.slice(open + 1, close).replace(r"\/", "/");
            (!has_flags).then(|| (close + 1, Quoted(&whole(&source)).to_string()))
        }
        _ => None,
    }
}

/// What matches whole strings as a pattern with or without anchors does.
fn whole(pattern: &str) -> String {
    let (front, rest) = pattern.strip_prefix('^').map_or((false, pattern), |rest| (true, rest));
    let is_anchor = |before: &&str| !before.ends_with('\\');
    let (back, rest) = rest.strip_suffix('$').filter(is_anchor).map_or((false, rest), |rest| (true, rest));
    match (front, back) {
        (true, false) => format!("{rest}.*"),
        (false, true) => format!(".*{rest}"),
        (true, true) | (false, false) => rest.to_owned(),
    }
}
