//! From text to a [`Path`], or to the reason why not.

use std::fmt;

use jsonpath_rust::parser::errors::JsonPathError;
use jsonpath_rust::parser::parse_json_path;

use super::convert::Converter;
use super::lexer::{self, Piece, Text};
use super::path::{self, Path, Root, Segment};
use super::unreadable;

/// Characters that a path may have.
pub const MAX_CHARACTERS: usize = 1024;

/// Segments that a path may have.
pub const MAX_SEGMENTS: usize = 64;

/// Why a path was refused. Shown as ``at character 7: …; write `…` ``.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathError {
    /// Where, in characters from 0.
    pub position: usize,
    /// What is wrong there.
    pub reason: String,
    /// The whole path in a spelling that would do, where there is an obvious one.
    pub suggestion: Option<String>,
}

impl PathError {
    pub(super) fn new(position: usize, reason: impl Into<String>) -> Self {
        Self { position, reason: reason.into(), suggestion: None }
    }

    pub(super) fn suggest(mut self, spelling: impl Into<String>) -> Self {
        self.suggestion = Some(spelling.into());
        self
    }

    pub(super) fn suggest_if(self, known: bool, spelling: impl FnOnce() -> String) -> Self {
        if known { self.suggest(spelling()) } else { self }
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at character {}: {}", self.position, self.reason)?;
        match &self.suggestion {
            Some(spelling) => write!(f, "; write `{spelling}`"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for PathError {}

impl Path {
    /// Reads RFC 9535 JSONPath from one of the contract's roots, and kubectl's spellings `{.a.b}`, `.a.b`, `a\.b`.
    ///
    /// # Errors
    /// The first thing that is wrong, with its position and, where there is one, the spelling that
    /// would do.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        Self::read(text).map_err(|error| PathError { suggestion: error.suggestion.and_then(mend), ..error })
    }

    fn read(text: &str) -> Result<Self, PathError> {
        let text = Text::new(text)?;
        let (root, pieces) = lexer::split(&text)?;
        let mut segments = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let at = piece.at;
            let segment = segment(&text, piece)?;
            refuse(&text, (root, &segments), &segment, at)?;
            segments.push(segment);
        }
        if root == Root::Namespace && segments.is_empty() {
            return Err(metadata_only(&text, text.end(), &[]));
        }
        Ok(Self::new(root, segments))
    }
}

/// How many things may be wrong with a path that is mended for somebody.
const MOST_MENDED: usize = 8;

/// The spelling that a suggestion comes to when it is followed itself; nothing where that is no path after all.
fn mend(mut spelling: String) -> Option<String> {
    for _ in 0..MOST_MENDED {
        match Path::read(&spelling) {
            Ok(_) => return Some(spelling),
            Err(error) => spelling = error.suggestion?,
        }
    }
    None
}

/// Segments are parsed one by one: the parser's tree has no positions, the pieces have.
fn segment(text: &Text, piece: Piece) -> Result<Segment, PathError> {
    let query = match parse_json_path(&format!("${}", piece.query)) {
        Ok(query) => query,
        Err(error) => {
            // The `$` is ours, and columns count from 1.
            let failed = column(&error).and_then(|column| (piece.at + column).checked_sub(2));
            return Err(unreadable::refusal(text, &piece, failed));
        }
    };
    match query.segments.as_slice() {
        [segment] => Converter::new(text, piece.at, piece.marks).segment(segment),
        _ => Err(unreadable::refusal(text, &piece, None)),
    }
}

/// Where the parser stopped, which its error tells in words only.
fn column(error: &JsonPathError) -> Option<usize> {
    let words = error.to_string();
    let (_, place) = words.split_once("--> 1:")?;
    place.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

fn refuse(
    text: &Text,
    (root, before): (Root, &[Segment]),
    segment: &Segment,
    at: usize,
) -> Result<(), PathError> {
    let is_member = |selector: &Segment| matches!(selector, Segment::Name(_));
    match segment {
        Segment::Descendants(_)
            if before.iter().any(|segment| matches!(segment, Segment::Descendants(_))) =>
        {
            Err(PathError::new(at, "a second `..`; a path has one at most"))
        }
        Segment::Descendants(_) if root != Root::Namespace || !before.is_empty() => Ok(()),
        segment
            if root.joins_containers() && before.is_empty() && segment.selectors().iter().any(is_member) =>
        {
            let reason = format!("`{}` is an array and has no members", root.text());
            Err(PathError::new(at, reason).suggest(text.splice(at, at, "[*]")))
        }
        segment if root == Root::Namespace && before.is_empty() && !segment.is_name(path::METADATA) => {
            Err(metadata_only(text, at, segment.selectors()))
        }
        _ => Ok(()),
    }
}

/// What the metadata of a Namespace may hold.
const METADATA: [&str; 9] = [
    "annotations",
    "creationTimestamp",
    "deletionTimestamp",
    "finalizers",
    "generation",
    "labels",
    "name",
    "resourceVersion",
    "uid",
];

/// A path from `$namespace` has to say that it is metadata that it wants, since nothing else is known.
fn metadata_only(text: &Text, at: usize, wanted: &[Segment]) -> PathError {
    let may_be = |selector: &Segment| match selector {
        Segment::Name(name) => METADATA.contains(&&**name),
        _ => true,
    };
    let root = Root::Namespace.text();
    let reason = format!("of the Namespace only its metadata is known, such as `{root}.metadata.labels`");
    PathError::new(at, reason).suggest_if(wanted.iter().all(may_be), || text.splice(at, at, ".metadata"))
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
