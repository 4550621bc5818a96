//! Documents by key, as the informers fill them. Its reader is what client-go calls the lister.
//!
//! One [`Shelf`] belongs to one watch, and only that watch's informer writes it. A resource can have several shelves:
//! one a namespace where namespaces are watched one by one, and for a while two of the same scope, when a policy needs
//! more fields and the wider watch is being synced beside the old one. A shelf says which policies it serves: those
//! whose fields its documents carry, so that nobody is ever judged by a document that lacks what he reads.

mod room;
mod serving;
mod shelf;
mod shelves;

pub use room::{Exceeded, Limits, Room};
pub use serving::{Served, Serving};
pub use shelf::{Change, Put, Shelf};
pub use shelves::{Store, View};

#[cfg(test)]
mod tests;
