//! The place of a value in a whole object, as JSON Pointers (RFC 6901) write it.

use std::fmt;
use std::sync::Arc;

use crate::jsonpath::{Node, Step, Trail};

/// One step of a pointer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Token {
    /// A member of an object.
    Name(Arc<str>),
    /// An element of an array.
    Index(usize),
}

/// A place in an object. Shown as `/metadata/annotations/corp.io~1owner`. In order, what is nearer to the end of an
/// array comes later, and what is inside comes after what it is in.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pointer(Box<[Token]>);

impl Pointer {
    /// The place that a trail leads to; nothing where an element on the way is not there: a place that only a count
    /// from the other end of an array names, or one behind its end, is none that can be written, and neither is one in the Namespace.
    pub(super) fn of(trail: &Trail<'_>) -> Option<Self> {
        let mut tokens = Vec::new();
        let mut at = Some(trail);
        while let Some(place) = at {
            match place.step() {
                Step::Root => {}
                // Another object.
                Step::Namespace => return None,
                Step::Member(name) => tokens.push(Token::Name(name.into())),
                Step::Element(index) => {
                    place.node()?;
                    tokens.push(Token::Index(usize::try_from(index).ok()?));
                }
            }
            at = place.parent();
        }
        tokens.reverse();
        Some(Self(tokens.into()))
    }

    /// The steps from the object to the place.
    pub fn tokens(&self) -> &[Token] {
        &self.0
    }

    /// The place of a member of what is here.
    pub(super) fn member(&self, name: &str) -> Self {
        self.0.iter().cloned().chain([Token::Name(name.into())]).collect()
    }

    /// The places on the way to this one, the object itself first and this one last.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = Self> {
        (0..=self.0.len()).filter_map(|length| Some(Self(self.0.get(..length)?.into())))
    }

    /// Whether the other place is this one or inside it.
    pub fn holds(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// What is at the place; `null` as a member of an object counts as absent.
    pub fn find<'n>(&self, object: Node<'n>) -> Option<Node<'n>> {
        self.0.iter().try_fold(object, |node, token| match token {
            Token::Name(name) => node.get(name).filter(|node| !matches!(node, Node::Null)),
            Token::Index(index) => node.as_array()?.get(*index),
        })
    }
}

impl FromIterator<Token> for Pointer {
    fn from_iter<I: IntoIterator<Item = Token>>(tokens: I) -> Self {
        Self(tokens.into_iter().collect())
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|token| match token {
            Token::Name(name) => write!(f, "/{}", name.replace('~', "~0").replace('/', "~1")),
            Token::Index(index) => write!(f, "/{index}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::jsonpath::Tree;

    use super::*;

    #[test]
    fn a_pointer_escapes_what_rfc_6901_says_and_points_at_what_is_there() {
        let object: Tree = r#"{"a":{"x/y~z":[1,{"b":2}],"n":null}}"#.parse().unwrap();
        let object = object.node();
        let root = Trail::root(object);
        let a = root.member("a", object.get("a"));
        let list = a.member("x/y~z", object.get("a").unwrap().get("x/y~z"));
        let element = list.element(1, list.node().unwrap().element(1));
        let pointer = Pointer::of(&element.member("b", None)).unwrap();
        assert_eq!(pointer.to_string(), "/a/x~1y~0z/1/b");
        assert_eq!(pointer.find(object).unwrap().to_string(), "2");
        assert_eq!(Pointer::of(&a.member("n", None)).unwrap().find(object), None, "null counts as absent");
        for missing in [list.element(2, None), list.element(-3, None)] {
            assert_eq!(Pointer::of(&missing.member("b", None)), None, "no element is made in the middle");
        }
    }
}
