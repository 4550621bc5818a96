//! The real place of a node in its object.

use std::fmt;

use super::node::Node;
use super::path;

/// How a place is reached from the one above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'t> {
    /// The object itself.
    Root,
    /// The object's Namespace.
    Namespace,
    /// A member of an object.
    Member(&'t str),
    /// An element of an array. Negative only where there is no such element.
    Element(i64),
}

/// A place in an object, as frames that live on the stack of the evaluation: nothing is allocated or written until
/// somebody asks for the text. Shown as `spec.template.spec.initContainers[0].image` and
/// `metadata.annotations['corp.io/owner']`; the object itself as `$`.
#[derive(Clone, Copy, Debug)]
pub struct Trail<'t> {
    parent: Option<&'t Trail<'t>>,
    step: Step<'t>,
    node: Option<Node<'t>>,
}

impl<'t> Trail<'t> {
    /// The place of the object itself.
    pub fn root(object: Node<'t>) -> Self {
        Self { parent: None, step: Step::Root, node: Some(object) }
    }

    /// The place of the object's Namespace; `node` is what is known of it.
    pub fn namespace(node: Option<Node<'t>>) -> Self {
        Self { parent: None, step: Step::Namespace, node }
    }

    /// The place of a member; `node` is what is there.
    pub fn member<'a>(&'a self, name: &'a str, node: Option<Node<'a>>) -> Trail<'a> {
        Trail { parent: Some(self), step: Step::Member(name), node }
    }

    /// The place of an element; `node` is what is there.
    pub fn element<'a>(&'a self, index: i64, node: Option<Node<'a>>) -> Trail<'a> {
        Trail { parent: Some(self), step: Step::Element(index), node }
    }

    /// The place above this one.
    pub fn parent(&self) -> Option<&'t Trail<'t>> {
        self.parent
    }

    /// The last step to this place.
    pub fn step(&self) -> Step<'t> {
        self.step
    }

    /// What is at this place, as far as the document keeps it.
    pub fn node(&self) -> Option<Node<'t>> {
        self.node
    }

    /// The normalized path of RFC 9535 (2.7) to this place: `$['spec']['containers'][0]`.
    pub fn normalized(&self) -> impl fmt::Display {
        Normalized(self)
    }

    /// Whether the place is in the object's Namespace and not in the object.
    pub fn is_in_namespace(&self) -> bool {
        self.parent.map_or(self.step == Step::Namespace, Trail::is_in_namespace)
    }

    /// Whether the place is a member of an object, where `null` counts as absent.
    pub fn is_member(&self) -> bool {
        matches!(self.step, Step::Member(_))
    }
}

impl fmt::Display for Trail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(parent) = self.parent else {
            return f.write_str(if self.step == Step::Namespace { "$namespace" } else { "$" });
        };
        let first = parent.step == Step::Root;
        if !first {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Root | Step::Namespace => Ok(()),
            Step::Member(name) if first && path::is_shorthand(name) => f.write_str(name),
            Step::Member(name) => path::write_name(f, name),
            Step::Element(index) => write!(f, "[{index}]"),
        }
    }
}

struct Normalized<'t>(&'t Trail<'t>);

impl fmt::Display for Normalized<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.0.parent {
            Normalized(parent).fmt(f)?;
        }
        match self.0.step {
            Step::Root => f.write_str("$"),
            Step::Namespace => f.write_str("$namespace"),
            Step::Member(name) => write!(f, "[{}]", path::Quoted(name)),
            Step::Element(index) => write!(f, "[{index}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_as_people_write_it() {
        let object = Node::Null;
        let root = Trail::root(object);
        let metadata = root.member("metadata", None);
        let annotations = metadata.member("annotations", None);
        assert_eq!(root.to_string(), "$");
        assert_eq!(
            annotations.member("corp.io/owner", None).to_string(),
            "metadata.annotations['corp.io/owner']"
        );
        assert_eq!(root.member("a b", None).to_string(), "['a b']");
        assert_eq!(root.element(0, None).to_string(), "[0]");
        assert_eq!(metadata.element(-1, None).member("it's", None).to_string(), r"metadata[-1]['it\'s']");
    }

    #[test]
    fn a_place_in_the_namespace_of_an_object_says_so() {
        let namespace = Trail::namespace(None);
        let metadata = namespace.member("metadata", None);
        let team = metadata.member("team", None);
        assert_eq!(team.to_string(), "$namespace.metadata.team");
        assert_eq!(team.normalized().to_string(), "$namespace['metadata']['team']");
        assert!(team.is_in_namespace() && !Trail::root(Node::Null).is_in_namespace());
    }

    #[test]
    fn a_normalized_path_quotes_every_name() {
        let object = Node::Null;
        let root = Trail::root(object);
        let a = root.member("a", None);
        assert_eq!(root.normalized().to_string(), "$");
        assert_eq!(
            a.element(2, None).member("it's\n\u{1}", None).normalized().to_string(),
            r"$['a'][2]['it\'s\n\u0001']"
        );
    }

    #[test]
    fn a_place_knows_whether_it_is_a_member() {
        let object = Node::Null;
        let root = Trail::root(object);
        assert!(root.member("a", None).is_member());
        assert!(!root.element(0, None).is_member());
        assert!(!root.is_member());
    }
}
