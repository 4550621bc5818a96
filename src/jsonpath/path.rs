//! A compiled path: a root and a short list of segments.

use std::fmt::{self, Write};
use std::sync::Arc;

use super::filter::Filter;

/// What is known of a Namespace.
pub(super) const METADATA: &str = "metadata";

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
    /// `$appContainers`: those of them that run for the pod's life.
    AppContainers,
    /// `$namespace`: the metadata of the object's Namespace.
    Namespace,
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
            Self::AppContainers => "$appContainers",
            Self::Namespace => "$namespace",
        }
    }

    /// Whether it can only be found where the resource's pod is known.
    pub fn needs_pod(self) -> bool {
        matches!(self, Self::Pod | Self::PodSpec) || self.joins_containers()
    }

    /// Whether it is an array joined of lists of containers.
    pub(super) fn joins_containers(self) -> bool {
        matches!(self, Self::Containers | Self::AppContainers)
    }
}

/// One selection (RFC 9535, 2.5): of children, or of descendants.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Segment {
    /// The member of this name.
    Name(Arc<str>),
    /// The element at this index, from the end when negative.
    Index(i64),
    /// Every member or element.
    Wildcard,
    /// The elements that a slice names.
    Slice(Slice),
    /// The members or elements for which a filter holds.
    Filter(Box<Filter>),
    /// What each of two or more selectors of the kinds above finds, one after the other.
    Union(Box<[Segment]>),
    /// What a selection of the kinds above finds in the node and in all below it.
    Descendants(Box<Segment>),
}

impl Segment {
    /// Whether it finds one node at most.
    pub(super) fn is_singular(&self) -> bool {
        matches!(self, Self::Name(_) | Self::Index(_))
    }

    /// Whether it selects the member of this name and nothing else.
    pub(super) fn is_name(&self, wanted: &str) -> bool {
        matches!(self, Self::Name(name) if **name == *wanted)
    }

    /// The selectors of a union or below `..`; the segment itself where it is one.
    pub(super) fn selectors(&self) -> &[Self] {
        match self {
            Self::Union(selectors) => selectors,
            Self::Descendants(inner) => inner.selectors(),
            one => std::slice::from_ref(one),
        }
    }
}

/// Bytes that the patterns of filters in these segments take.
pub(super) fn pattern_bytes(segments: &[Segment]) -> usize {
    let of_selector = |selector: &Segment| match selector {
        Segment::Filter(filter) => filter.pattern_bytes(),
        _ => 0,
    };
    segments.iter().flat_map(Segment::selectors).map(of_selector).sum()
}

/// `start:end:step` (RFC 9535, 2.3.4), as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) start: Option<i64>,
    pub(super) end: Option<i64>,
    pub(super) step: Option<i64>,
}

impl Slice {
    /// The indexes that it names in an array of this length, in its order (RFC 9535, 2.3.4.2.2).
    pub(super) fn indexes(self, length: usize) -> impl Iterator<Item = usize> {
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        let step = self.step.unwrap_or(1);
        let from_front = |index: i64| if index < 0 { index.saturating_add(length) } else { index };
        let (lowest, highest) = if step < 0 { (-1, length - 1) } else { (0, length) };
        let bound = |given: Option<i64>, default: i64| {
            given.map_or(default, |index| from_front(index).clamp(lowest, highest))
        };
        let (start, end) = match step < 0 {
            true => (bound(self.start, highest), bound(self.end, lowest)),
            false => (bound(self.start, lowest), bound(self.end, highest)),
        };
        let goes_on = move |at: &i64| match step {
            0 => false,
            step if step < 0 => *at > end,
            _ => *at < end,
        };
        let first = Some(start).filter(goes_on);
        let indexes = std::iter::successors(first, move |at| at.checked_add(step).filter(goes_on));
        indexes.filter_map(|at| usize::try_from(at).ok())
    }
}

/// A path, parsed and within its bounds. Shown in one normal spelling: `{.a['b']}` as `$.a.b`.
#[derive(Clone, Debug, PartialEq)]
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

    /// Bytes that its patterns take at most, once compiled.
    pub fn pattern_bytes(&self) -> usize {
        pattern_bytes(&self.segments)
    }

    /// Whether it names one place, and so finds one node at most.
    pub fn is_singular(&self) -> bool {
        self.segments.iter().all(Segment::is_singular)
    }

    /// Whether something is due after the part that can find many: `$.a[?@.x].b` and every singular path have a
    /// tail, `$.a[*]` and `$..a` have none.
    pub fn has_tail(&self) -> bool {
        self.segments.last().is_none_or(Segment::is_singular)
    }

    /// The names of a singular path that has nothing but names; how the contract's `pod:` says where the pod is.
    pub fn names(&self) -> Option<Box<[Arc<str>]>> {
        let name = |segment: &Segment| match segment {
            Segment::Name(name) => Some(Arc::clone(name)),
            _ => None,
        };
        self.segments.iter().map(name).collect()
    }

    /// The names that it begins with, up to the first segment that is none.
    pub fn leading_names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().map_while(|segment| match segment {
            Segment::Name(name) => Some(&**name),
            _ => None,
        })
    }

    /// The path to each place on its way: its root first, itself last.
    pub fn prefixes(&self) -> impl Iterator<Item = Self> {
        (0..=self.segments.len())
            .filter_map(|length| self.segments.get(..length))
            .map(|segments| Self { root: self.root, segments: segments.into() })
    }

    /// The name that it ends with, where it ends with one.
    pub fn last_name(&self) -> Option<&str> {
        match self.segments.last()? {
            Segment::Name(name) => Some(name),
            _ => None,
        }
    }

    /// The member of this name of what it finds; nothing where the root can have none: an array, or a Namespace, of which
    /// only `metadata` is known.
    pub fn member(&self, name: &str) -> Option<Self> {
        let has_none = self.root.joins_containers() || (self.root == Root::Namespace && name != METADATA);
        let segments = self.segments.iter().cloned().chain([Segment::Name(name.into())]);
        (!has_none || !self.segments.is_empty())
            .then(|| Self { root: self.root, segments: segments.collect() })
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
        write_segments(f, &self.segments)
    }
}

/// Segments in their normal spelling.
pub(super) fn write_segments(f: &mut fmt::Formatter<'_>, segments: &[Segment]) -> fmt::Result {
    segments.iter().try_for_each(|segment| match segment {
        Segment::Name(name) => write_name(f, name),
        Segment::Descendants(inner) => match &**inner {
            Segment::Name(name) if is_shorthand(name) => write!(f, "..{name}"),
            inner => {
                f.write_str("..")?;
                write_brackets(f, inner.selectors())
            }
        },
        segment => write_brackets(f, segment.selectors()),
    })
}

fn write_brackets(f: &mut fmt::Formatter<'_>, selectors: &[Segment]) -> fmt::Result {
    for (at, selector) in selectors.iter().enumerate() {
        f.write_str(if at == 0 { "[" } else { ", " })?;
        match selector {
            Segment::Name(name) => write!(f, "{}", Quoted(name))?,
            Segment::Index(index) => write!(f, "{index}")?,
            Segment::Slice(slice) => write!(f, "{slice}")?,
            Segment::Filter(filter) => write!(f, "?{filter}")?,
            // Unions and descendants are not selectors.
            Segment::Wildcard | Segment::Union(_) | Segment::Descendants(_) => f.write_char('*')?,
        }
    }
    f.write_char(']')
}

impl fmt::Display for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut part = |colon: &str, number: Option<i64>| match number {
            Some(number) => write!(f, "{colon}{number}"),
            None => f.write_str(colon),
        };
        part("", self.start)?;
        part(":", self.end)?;
        self.step.map_or(Ok(()), |step| part(":", Some(step)))
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
    if is_shorthand(name) { write!(f, ".{name}") } else { write!(f, "[{}]", Quoted(name)) }
}

/// A string in single quotes, escaped as normalized paths are (RFC 9535, 2.7).
pub(super) struct Quoted<'n>(pub(super) &'n str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('\'')?;
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
        f.write_char('\'')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_gives_its_prefixes_whatever_its_names_and_filters_hold() {
        let path = Path::parse("$containers[?@['a].b'] == '[.'].env['x.y'][0]").unwrap();
        let prefixes: Vec<_> = path.prefixes().map(|prefix| prefix.to_string()).collect();
        assert_eq!(
            prefixes,
            [
                "$containers",
                "$containers[?@['a].b'] == '[.']",
                "$containers[?@['a].b'] == '[.'].env",
                "$containers[?@['a].b'] == '[.'].env['x.y']",
                "$containers[?@['a].b'] == '[.'].env['x.y'][0]",
            ]
        );
        let names: Vec<_> = path.prefixes().map(|prefix| prefix.last_name().map(str::to_owned)).collect();
        assert_eq!(names, [None, None, Some("env".to_owned()), Some("x.y".to_owned()), None]);
    }

    #[test]
    fn a_member_of_a_path_is_a_path_but_of_what_is_an_array_in_any_case() {
        let member = |text: &str| Path::parse(text).unwrap().member("a b").map(|path| path.to_string());
        assert_eq!(member("$").as_deref(), Some("$['a b']"));
        assert_eq!(member("$containers[0]").as_deref(), Some("$containers[0]['a b']"));
        assert_eq!(member("$containers"), None);
        assert_eq!(Path::new(Root::Namespace, Vec::new()).member("a"), None);
        assert_eq!(member("$namespace.metadata").as_deref(), Some("$namespace.metadata['a b']"));
    }
}
