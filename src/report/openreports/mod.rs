//! Reports (`openreports.io/v1alpha1`): what policies find on an object, beside the object, for tools that show the
//! findings of many engines.
//!
//! One Report for each namespaced object and one ClusterReport for each other, owned by the object, so that it goes with
//! it. Its name follows from the object's uid, and an annotation holds the digest of what it says: so a new leader knows
//! by a list of names and annotations what is there already, and writes what differs.

mod content;
mod memory;
mod model;
mod requests;
mod writer;

pub use content::Identity;
pub use writer::{Identify, Mode, ReportWriter, Settings, Sources};
