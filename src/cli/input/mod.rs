//! What the offline commands read: files, folders and standard input; YAML and JSON; policies and objects.
//!
//! [`files`] finds and reads the texts, [`documents`] takes them apart, by [`yaml`] where it is no JSON, [`policies`] and [`objects`] make of the
//! documents what can be judged, and [`lines`] tells where in a text a field stands. What cannot be read is a
//! [`Trouble`] that names the file and the line; the rest goes on.

pub(super) mod documents;
pub(super) mod files;
pub(super) mod lines;
pub(super) mod objects;
pub(super) mod policies;
mod trouble;
mod yaml;

pub(super) use objects::Object;
pub(super) use policies::Policy;
pub(super) use trouble::{Origin, Trouble};
pub(super) use yaml::Yaml;
