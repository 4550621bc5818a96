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

impl Token {
    fn find<'n>(&self, node: Node<'n>) -> Option<Node<'n>> {
        match self {
            Self::Name(name) => node.get(name).filter(|node| !matches!(node, Node::Null)),
            Self::Index(index) => node.as_array()?.get(*index),
        }
    }
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

    /// The `name` of the element that is here, which the API's lists are kept by, where no other element of its array has
    /// the same.
    pub(super) fn element_name<'n>(&self, object: Node<'n>) -> Option<&'n str> {
        let (Token::Index(index), list) = self.0.split_last()? else { return None };
        let list = list.iter().try_fold(object, |node, token| token.find(node))?;
        let name = |element: Node<'n>| match element.get("name") {
            Some(Node::String(name)) => Some(name),
            _ => None,
        };
        let own = name(list.as_array()?.get(*index)?)?;
        let is_alone = list.elements().filter(|element| name(*element) == Some(own)).nth(1).is_none();
        is_alone.then_some(own)
    }

    /// The place with elements told apart by their names where they can be, so that it stays the same when others come
    /// or go. It is good for being compared, and not for being looked up.
    pub fn by_names(&self, object: Node<'_>) -> Self {
        let tokens =
            self.prefixes().skip(1).zip(&self.0).map(|(place, token)| match place.element_name(object) {
                Some(name) => Token::Name(format!("name={name}").into()),
                None => token.clone(),
            });
        tokens.collect()
    }

    /// Whether the other place is this one or inside it.
    pub fn holds(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// What is at the place; `null` as a member of an object counts as absent.
    pub fn find<'n>(&self, object: Node<'n>) -> Option<Node<'n>> {
        self.0.iter().try_fold(object, |node, token| token.find(node))
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

    #[test]
    fn an_element_is_told_by_its_name_wherever_it_stands_if_no_other_has_it() {
        let place = |index| -> Pointer {
            [Token::Name("a".into()), Token::Index(index), Token::Name("b".into())].into_iter().collect()
        };
        let named = |list: &str, index| {
            let object: Tree = format!(r#"{{"a":{list}}}"#).parse().unwrap();
            place(index).by_names(object.node()).to_string()
        };
        assert_eq!(named(r#"[{"name":"x"},{"name":"y"}]"#, 1), "/a/name=y/b");
        assert_eq!(named(r#"[{"name":"y"}]"#, 0), "/a/name=y/b");
        assert_eq!(named(r#"[{"name":"y"},{"name":"y"}]"#, 1), "/a/1/b");
        assert_eq!(named(r#"[{},{"name":7}]"#, 1), "/a/1/b");
        assert_eq!(named("[]", 0), "/a/0/b");
    }
}
