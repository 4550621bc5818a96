//! From path text to a bounded program, and what programs run on.
//!
//! [`Path`] is parsed once and refuses what it cannot do; [`Projection`] gathers what a set of paths reads on one
//! resource; [`Document`] is the raw item with only that kept; [`Path::places`], [`Path::each`] and
//! [`Path::elements`] evaluate in a [`Scope`] under a [`Budget`], and report real places as [`Trail`]s; what the paths
//! of a [`Plan`] find in one object is found together by a [`Survey`].
//! Everything here is pure.

mod brackets;
mod containers;
mod convert;
mod decode;
#[cfg(test)]
mod differential;
mod document;
mod eval;
mod filter;
mod foreign;
mod iregexp;
mod judge;
#[cfg(test)]
mod language;
#[cfg(test)]
mod laws;
mod lexer;
mod metadata;
mod node;
mod number;
mod parse;
mod path;
mod pattern;
mod plan;
mod projection;
mod roots;
mod routes;
mod scan;
mod survey;
#[cfg(test)]
mod text;
mod trail;
mod tree;
mod trie;
mod unreadable;
mod walk;

pub use document::{DecodeError, Document, Identity, TypeMeta};
pub use eval::{Budget, DEFAULT_STEPS, Due, EvalError, NamespaceRoot, Scope, Visit, VisitDue};
pub(crate) use iregexp::{Reach, translate_iregexp};
pub use metadata::{FIELD_MANAGER_PREFIX, Owned};
pub use node::{Elements, Members, Node};
pub use number::Number;
pub use parse::{MAX_CHARACTERS, MAX_SEGMENTS, PathError};
pub use path::{Path, Root};
pub(crate) use pattern::build_within;
pub use plan::{Plan, Planned, Planner};
pub use projection::{Level, Projection};
pub use roots::{Part, Roots};
pub use scan::{Raw, Scanner};
pub use survey::Survey;
pub use trail::{Step, Trail};
pub use tree::Tree;
