//! A compiled path: a root and a short list of segments.

use std::fmt::{self, Write};
use std::sync::Arc;

/// Where a path starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Root {
    /// `$`: inside `forEach` the element, else the object.
    Current,
    /// `$object`: the whole object.
    Object,
    /// `$pod`: the pod or pod template of a workload.
    Pod,
    /// `$podSpec`: `$pod.spec`.
    PodSpec,
    /// `$containers`: one array of all containers of `$podSpec`.
    Containers,
}

impl Root {
    /// As it is written.
    pub fn text(self) -> &'static str {
        match self {
            Self::Current => "$",
            Self::Object => "$object",
            Self::Pod => "$pod",
            Self::PodSpec => "$podSpec",
            Self::Containers => "$containers",
        }
    }

    /// Whether it can only be found where the resource's pod is known.
    pub fn needs_pod(self) -> bool {
        matches!(self, Self::Pod | Self::PodSpec | Self::Containers)
    }
}

/// One selection of children (RFC 9535, 2.5.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Segment {
    /// The member of this name.
    Name(Arc<str>),
    /// The element at this index, from the end when negative.
    Index(i64),
    /// Every member or element.
    Wildcard,
}

impl Segment {
    /// Whether it finds one node at most.
    fn is_singular(&self) -> bool {
        match self {
            Self::Name(_) | Self::Index(_) => true,
            Self::Wildcard => false,
        }
    }
}

/// A path, parsed and within its bounds. Shown in one normal spelling: `{.a['b']}` as `$.a.b`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    root: Root,
    segments: Box<[Segment]>,
}

impl Path {
    pub(super) fn new(root: Root, segments: Vec<Segment>) -> Self {
        Self { root, segments: segments.into_boxed_slice() }
    }

    /// Where it starts.
    pub fn root(&self) -> Root {
        self.root
    }

    /// Whether it names one place, and so finds one node at most.
    pub fn is_singular(&self) -> bool {
        self.segments.iter().all(Segment::is_singular)
    }

    /// Whether something is due after the part that can find many: `$.a[*].b` and every singular path have a tail,
    /// `$.a[*]` has none.
    pub fn has_tail(&self) -> bool {
        self.segments.last().is_none_or(Segment::is_singular)
    }

    /// The names of a singular path that has nothing but names; how the contract's `pod:` says where the pod is.
    pub fn names(&self) -> Option<Box<[Arc<str>]>> {
        let name = |segment: &Segment| match segment {
            Segment::Name(name) => Some(Arc::clone(name)),
            Segment::Index(_) | Segment::Wildcard => None,
        };
        self.segments.iter().map(name).collect()
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The part up to the last segment that can find many, and the tail that names one place in each.
    pub(super) fn head_and_tail(&self) -> (&[Segment], &[Segment]) {
        let tail = self.segments.iter().rev().take_while(|segment| segment.is_singular()).count();
        self.segments.split_at(self.segments.len() - tail)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.root.text())?;
        self.segments.iter().try_for_each(|segment| match segment {
            Segment::Name(name) => write_name(f, name),
            Segment::Index(index) => write!(f, "[{index}]"),
            Segment::Wildcard => f.write_str("[*]"),
        })
    }
}

/// Whether a name can be written after a dot (RFC 9535, member-name-shorthand).
pub(super) fn is_shorthand(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(is_name_character)
}

/// Whether a character may stand in a name after a dot; a digit not as its first.
pub(super) fn is_name_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_' || !character.is_ascii()
}

/// A name as a segment: after a dot where that will do, else quoted in brackets.
pub(super) fn write_name(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    if is_shorthand(name) { write!(f, ".{name}") } else { write!(f, "{}", Quoted(name)) }
}

/// A name in brackets and single quotes, escaped as normalized paths are (RFC 9535, 2.7).
pub(super) struct Quoted<'n>(pub(super) &'n str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("['")?;
        self.0.chars().try_for_each(|character| match character {
            '\'' => f.write_str(r"\'"),
            '\\' => f.write_str(r"\\"),
            '\u{8}' => f.write_str(r"\b"),
            '\t' => f.write_str(r"\t"),
            '\n' => f.write_str(r"\n"),
            '\u{c}' => f.write_str(r"\f"),
            '\r' => f.write_str(r"\r"),
            '\0'..='\x1f' => write!(f, r"\u{:04x}", u32::from(character)),
            _ => f.write_char(character),
        })?;
        f.write_str("']")
    }
}
