//! What of a found value is judged: the contract's `measure`.

use std::borrow::Cow;

use crate::crd::Measure;
use crate::jsonpath::{Node, Number};

use super::assertion::Complaint;
use super::image::Image;
use super::order;

/// What a value measures.
#[derive(Debug)]
pub(super) enum Measured<'n> {
    /// One value.
    One(Node<'n>),
    /// One string.
    Text(Cow<'n, str>),
    /// Nothing, as the digest of an image that has none.
    Nothing,
    /// It cannot be measured so.
    Wrong(Complaint),
}

/// Measures one value. `Count` is of no single value, the `Keys` of an object are many: both are measured where a check
/// walks. `Age` and `Until` judge the time itself.
pub(super) fn measure(measure: Measure, node: Node<'_>) -> Measured<'_> {
    match measure {
        Measure::Value | Measure::Count | Measure::Age | Measure::Until => Measured::One(node),
        Measure::Keys => {
            Measured::Wrong(Complaint::WrongType(node.kind(), "only objects have keys; guard with `type`"))
        }
        Measure::Length => length(node),
        Measure::ImageRegistry | Measure::ImageRepository | Measure::ImageTag | Measure::ImageDigest => {
            image(measure, node)
        }
    }
}

fn length(node: Node<'_>) -> Measured<'_> {
    let length = match node {
        Node::String(text) => text.chars().count(),
        Node::Array(elements) => elements.len(),
        Node::Object(members) => order::members(members).count(),
        Node::Null | Node::Bool(_) | Node::Number(_) => {
            let needs = "only strings, arrays and objects have a length; guard with `type`";
            return Measured::Wrong(Complaint::WrongType(node.kind(), needs));
        }
    };
    Measured::One(number(length))
}

/// A count as a value.
pub(super) fn number(count: usize) -> Node<'static> {
    Node::Number(Number::from(u64::try_from(count).unwrap_or(u64::MAX)))
}

fn image(measure: Measure, node: Node<'_>) -> Measured<'_> {
    let Some(text) = node.as_str() else {
        let needs = "only strings can name an image; guard with `type`";
        return Measured::Wrong(Complaint::WrongType(node.kind(), needs));
    };
    let Some(Image { registry, repository, tag, digest }) = Image::parse(text) else {
        return Measured::Wrong(Complaint::Unreadable(
            "a reference to an image, such as ghcr.io/corp/web:v1",
        ));
    };
    let part = match measure {
        Measure::ImageRegistry => Some(registry.into()),
        Measure::ImageRepository => Some(repository),
        Measure::ImageTag => tag.map(Cow::from),
        _ => digest.map(Cow::from),
    };
    part.map_or(Measured::Nothing, Measured::Text)
}
