//! From text to a [`Path`], or to the reason why not.

use std::fmt;

use jsonpath_rust::parser::model;
use jsonpath_rust::parser::parse_json_path;

use super::lexer::{self, Piece, Text};
use super::path::{Path, Root, Segment};

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
    /// Whether it is right by the contract and only not there yet in this version.
    pub unsupported: bool,
}

impl PathError {
    pub(super) fn new(position: usize, reason: impl Into<String>) -> Self {
        Self { position, reason: reason.into(), suggestion: None, unsupported: false }
    }

    pub(super) fn unsupported(position: usize, what: &str) -> Self {
        let reason = format!("{what} not supported by this version");
        Self { position, reason, suggestion: None, unsupported: true }
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
    /// The first thing that is wrong or not supported, with its position and, where there is one, the spelling that
    /// would do.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let text = Text::new(text)?;
        let (root, pieces) = lexer::split(&text)?;
        let segments = pieces.iter().map(|piece| segment(&text, piece)).collect::<Result<Vec<_>, _>>()?;
        refuse_member_of_containers(&text, root, &segments, &pieces)?;
        Ok(Self::new(root, segments))
    }
}

/// Segments are parsed one by one: the parser's tree has no positions, the pieces have.
fn segment(text: &Text, piece: &Piece) -> Result<Segment, PathError> {
    let query = parse_json_path(&format!("${}", piece.query)).or(Err(()));
    let selector = match query.as_ref().map(|query| query.segments.as_slice()) {
        Ok([model::Segment::Selector(selector)]) => selector,
        Ok([model::Segment::Selectors(_)]) => {
            return Err(PathError::unsupported(piece.at, "several selectors in one pair of brackets are"));
        }
        Ok([model::Segment::Descendant(_)]) => {
            return Err(PathError::unsupported(piece.at, "descendants (`..`) are"));
        }
        _ => return Err(lexer::unreadable(text, piece)),
    };
    match selector {
        model::Selector::Name(name) => Ok(Segment::Name(name.as_str().into())),
        model::Selector::Index(index) => Ok(Segment::Index(*index)),
        model::Selector::Wildcard => Ok(Segment::Wildcard),
        model::Selector::Slice(..) => Err(PathError::unsupported(piece.at, "slices are")),
        model::Selector::Filter(_) => Err(PathError::unsupported(piece.at, "filters are")),
    }
}

fn refuse_member_of_containers(
    text: &Text,
    root: Root,
    segments: &[Segment],
    pieces: &[Piece],
) -> Result<(), PathError> {
    match (root, segments.first(), pieces.first()) {
        (Root::Containers, Some(Segment::Name(_)), Some(piece)) => {
            let reason = "`$containers` is an array and has no members";
            Err(PathError::new(piece.at, reason).suggest(text.splice(piece.at, piece.at, "[*]")))
        }
        _ => Ok(()),
    }
}
