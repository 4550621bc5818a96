//! The lexer before the parser: roots, kubectl's spellings, white space, bounds and positions.
//!
//! It cuts a path into its segments, each in RFC 9535's own spelling, for the parser to read one by one. What nests
//! too deep never reaches the parser, which would recurse (and, in nested functions, try the same text again and again).

use super::brackets::{self, Brackets, Marks};
use super::parse::{MAX_CHARACTERS, MAX_SEGMENTS, PathError};
use super::path::{self, Root};
use super::unreadable::quoted;

/// RFC 9535's white space.
pub(super) const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];

/// A path's characters, of which there are few enough.
pub(super) struct Text {
    characters: Vec<char>,
    /// Where the path proper begins and ends: inside kubectl's braces.
    start: usize,
    end: usize,
    /// Whether it is in kubectl's spelling, where names after dots may have other characters.
    kubectl: bool,
}

/// One segment of a path.
pub(super) struct Piece {
    /// Its first character.
    pub(super) at: usize,
    /// The character after it.
    pub(super) end: usize,
    /// The segment in RFC 9535's spelling; where it is in brackets, each character is where it is written.
    pub(super) query: String,
    /// What its filters hold.
    pub(super) marks: Marks,
}

impl Text {
    /// Checks the length and takes off kubectl's braces.
    pub(super) fn new(text: &str) -> Result<Self, PathError> {
        let characters: Vec<char> = text.chars().take(MAX_CHARACTERS + 1).collect();
        if characters.len() > MAX_CHARACTERS {
            let reason = format!("the path is longer than {MAX_CHARACTERS} characters");
            return Err(PathError::new(MAX_CHARACTERS, reason));
        }
        let trimmed = text.trim_matches(BLANKS);
        if trimmed.is_empty() {
            return Err(PathError::new(0, "the path is empty; it starts at a root, such as `$`"));
        }
        if trimmed.len() < text.len() {
            let front = characters.iter().take_while(|character| BLANKS.contains(character)).count();
            let position = if front > 0 { 0 } else { trimmed.chars().count() };
            return Err(PathError::new(position, "white space around the path").suggest(trimmed));
        }
        Self::within_braces(characters)
    }

    fn within_braces(characters: Vec<char>) -> Result<Self, PathError> {
        let length = characters.len();
        match (characters.first(), characters.last()) {
            (Some('{'), Some('}')) => Ok(Self { characters, start: 1, end: length - 1, kubectl: true }),
            (Some('{'), _) => Err(PathError::new(0, "`{` without its `}` at the end")),
            (first, _) => {
                let kubectl = first == Some(&'.');
                Ok(Self { characters, start: 0, end: length, kubectl })
            }
        }
    }

    pub(super) fn get(&self, at: usize) -> Option<char> {
        self.characters.get(at).copied().filter(|_| at < self.end)
    }

    pub(super) fn slice(&self, from: usize, to: usize) -> String {
        self.characters.iter().take(to).skip(from).collect()
    }

    /// Where the path ends.
    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// The path with the characters from `from` to `to` replaced, its braces off, from a root.
    pub(super) fn splice(&self, from: usize, to: usize, replacement: &str) -> String {
        let root = if matches!(self.get(self.start), Some('.' | '[')) { "$" } else { "" };
        format!("{root}{}{replacement}{}", self.slice(self.start, from), self.slice(to, self.end))
    }

    /// The first place from `at` on where the test fails.
    pub(super) fn skip(&self, at: usize, test: impl Fn(char) -> bool) -> usize {
        (at..self.end).find(|at| !self.get(*at).is_some_and(&test)).unwrap_or(self.end)
    }

    /// Where the bracket or parenthesis closes that opens here.
    pub(super) fn closing(&self, open: usize) -> Option<usize> {
        let (mut depth, mut at) = (0_usize, open);
        while let Some(character) = self.get(at) {
            match character {
                '[' | '(' => depth += 1,
                ']' | ')' if depth == 1 => return Some(at),
                ']' | ')' => depth = depth.checked_sub(1)?,
                '\'' | '"' => at = closing_quote(self, at, character).ok()?,
                _ => {}
            }
            at += 1;
        }
        None
    }
}

/// Cuts a path into its root and its segments.
pub(super) fn split(text: &Text) -> Result<(Root, Vec<Piece>), PathError> {
    let (root, mut at) = root(text)?;
    let mut pieces = Vec::new();
    while at < text.end {
        let start = text.skip(at, |character| BLANKS.contains(&character));
        if start > at && !matches!(text.get(start), Some('.' | '[')) {
            return Err(white_space(text, pieces.last(), at));
        }
        if pieces.len() == MAX_SEGMENTS {
            return Err(PathError::new(start, format!("the path has more than {MAX_SEGMENTS} segments")));
        }
        let piece = piece(text, start)?;
        at = piece.end;
        pieces.push(piece);
    }
    Ok((root, pieces))
}

fn root(text: &Text) -> Result<(Root, usize), PathError> {
    let start = text.start;
    match text.get(start) {
        Some('$') => {}
        Some('.' | '[') if text.kubectl => return Ok((Root::Current, start)),
        Some('@') => {
            let error = PathError::new(start, "`@` is known inside a filter only");
            return Err(error.suggest(text.splice(start, start + 1, "$")));
        }
        Some(first) if path::is_name_character(first) => {
            let error = PathError::new(start, "a path starts at a root, such as `$`");
            let after = text.get(text.skip(start, path::is_name_character));
            let is_name = matches!(after, None | Some('.' | '['));
            return Err(error.suggest_if(is_name, || text.splice(start, start, "$.")));
        }
        _ => return Err(PathError::new(start, "a path starts at a root, such as `$`")),
    }
    let end = text.skip(start + 1, |character| character.is_ascii_alphanumeric() || character == '_');
    named_root(text, &text.slice(start, end), end)
}

const ROOTS: [Root; 7] = [
    Root::Current,
    Root::Object,
    Root::Pod,
    Root::PodSpec,
    Root::Containers,
    Root::AppContainers,
    Root::Namespace,
];
/// How many letters of a root's name may be wrong for it to be meant.
const ROOT_SLIP: usize = 2;

fn named_root(text: &Text, name: &str, end: usize) -> Result<(Root, usize), PathError> {
    if let Some(root) = ROOTS.into_iter().find(|root| root.text() == name) {
        return Ok((root, end));
    }
    let distance = |known: &str| strsim::damerau_levenshtein(&known.to_lowercase(), &name.to_lowercase());
    let known = ROOTS.iter().map(|root| root.text());
    let near = known.filter(|known| known.len() > 1).map(|known| (distance(known), known)).min();
    let spelling = match near.filter(|(distance, _)| *distance <= ROOT_SLIP) {
        Some((_, known)) => text.splice(text.start, end, known),
        None => text.splice(text.start + 1, text.start + 1, "."),
    };
    let reason = format!(
        "`{name}` is no root; the roots are $, $object, $pod, $podSpec, $containers, $appContainers and $namespace"
    );
    Err(PathError::new(text.start, reason).suggest(spelling))
}

fn white_space(text: &Text, before: Option<&Piece>, at: usize) -> PathError {
    let error = PathError::new(at, "white space in a path; a name with white space is quoted in brackets");
    match before {
        Some(piece) if text.get(piece.at) == Some('.') && text.get(piece.at + 1) != Some('.') => {
            let end = text.skip(at, |character| !matches!(character, '.' | '['));
            error.suggest(text.splice(piece.at, end, &quoted(text.slice(piece.at + 1, end).trim_end())))
        }
        _ => error,
    }
}

fn piece(text: &Text, at: usize) -> Result<Piece, PathError> {
    match (text.get(at), text.get(at + 1)) {
        (Some('['), _) => bracketed(text, at, at),
        (Some('.'), Some('.')) => match text.get(at + 2) {
            Some('[') => bracketed(text, at, at + 2),
            _ => dotted(text, at, at + 2),
        },
        (Some('.'), Some('[')) => {
            let error = PathError::new(at, "a dot before brackets");
            Err(error.suggest(text.splice(at, at + 1, "")))
        }
        (Some('.'), _) => dotted(text, at, at + 1),
        (Some(other), _) => {
            Err(PathError::new(at, format!("`{other}` where `.` or `[` goes on or the path ends")))
        }
        (None, _) => Err(PathError::new(at, "the path ends too early")),
    }
}

/// A segment in brackets. `open` is where the bracket is, behind `..` perhaps.
fn bracketed(text: &Text, at: usize, open: usize) -> Result<Piece, PathError> {
    let Brackets { end, query, marks } = brackets::read(text, open)?;
    Ok(Piece { at, end, query: format!("{}{query}", text.slice(at, open)), marks })
}

pub(super) fn closing_quote(text: &Text, open: usize, quote: char) -> Result<usize, PathError> {
    let mut position = open + 1;
    while let Some(character) = text.get(position) {
        match character {
            '\\' => position += 1,
            _ if character == quote => return Ok(position),
            _ => {}
        }
        position += 1;
    }
    Err(PathError::new(open, format!("the quote {quote} is not closed")))
}

/// A name or `*` after a dot, from `from` on.
fn dotted(text: &Text, at: usize, from: usize) -> Result<Piece, PathError> {
    let mut end = from;
    let mut escaped = false;
    while let Some(character) = text.get(end).filter(|character| !ends_name(*character)) {
        escaped |= character == '\\';
        end += if character == '\\' { 2 } else { 1 };
    }
    let end = end.min(text.end);
    let dots = if from > at + 1 { ".." } else { "" };
    let raw = text.slice(from, end);
    let segment = match raw.as_str() {
        "" => return Err(PathError::new(from, "a name is missing after the dot")),
        "*" => "[*]".to_owned(),
        _ if escaped || text.kubectl => quoted(&unescape(text, &raw, from)?),
        _ => {
            check_name(text, &raw, from)?;
            quoted(&raw)
        }
    };
    Ok(Piece { at, end, query: format!("{dots}{segment}"), marks: Marks::default() })
}

/// What ends a name after a dot, in either spelling.
fn ends_name(character: char) -> bool {
    BLANKS.contains(&character) || matches!(character, '.' | '[' | ']' | '{' | '}' | '$' | '@' | ',')
}

/// kubectl's `a\.b`.
fn unescape(text: &Text, raw: &str, from: usize) -> Result<String, PathError> {
    let mut name = String::with_capacity(raw.len());
    let mut characters = raw.chars().zip(from..);
    while let Some((character, at)) = characters.next() {
        match (character, characters.clone().next()) {
            ('\\', Some(('.', _))) => {
                characters.next();
                name.push('.');
            }
            ('\\', _) => {
                let error = PathError::new(at, r"outside of quotes only a dot is escaped, as `\.`");
                let end = from + raw.chars().count();
                return Err(error.suggest(text.splice(from - 1, end, &quoted(&raw.replace('\\', "")))));
            }
            _ => name.push(character),
        }
    }
    Ok(name)
}

/// A name after a dot, in RFC 9535's spelling.
fn check_name(text: &Text, raw: &str, from: usize) -> Result<(), PathError> {
    if path::is_shorthand(raw) {
        return Ok(());
    }
    let wrong = raw.chars().position(|character| !path::is_name_character(character)).unwrap_or(0);
    let spelling = match raw.chars().all(|character| character.is_ascii_digit()) {
        true => format!("[{raw}]"),
        false => quoted(raw.trim_matches(['\'', '"'])),
    };
    let reason = "a name after a dot has letters, digits and `_` and starts with no digit; others are quoted in brackets";
    if let Some((start, end)) = key_of_map(text, from) {
        let key = quoted(&text.slice(start + 1, end));
        return Err(PathError::new(from + wrong, reason).suggest(text.splice(start, end, &key)));
    }
    let callable = raw.contains(['(', ')']);
    Err(PathError::new(from + wrong, reason)
        .suggest_if(!callable, || text.splice(from - 1, from + raw.chars().count(), &spelling)))
}

/// Maps whose keys are names with a DNS prefix, such as `corp.io/owner`.
const KEYED: [&str; 4] = ["labels", "annotations", "matchLabels", "nodeSelector"];

/// Where the unquoted key of such a map is, from its dot to its end, when the name at `from` is part of one.
fn key_of_map(text: &Text, from: usize) -> Option<(usize, usize)> {
    let end = text.skip(from, |character| character != '[' && !BLANKS.contains(&character));
    let is_dot = |at: &usize| text.get(*at) == Some('.');
    let follows_map = |at: &usize| KEYED.iter().any(|map| text.slice(0, *at).ends_with(&format!(".{map}")));
    let start = (text.start..from).rev().filter(is_dot).find(follows_map)?;
    let key = text.slice(start + 1, end);
    (key.contains('/') && !key.contains([']', '\'', '"'])).then_some((start, end))
}
