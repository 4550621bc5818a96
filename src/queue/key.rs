//! What a queue holds.

use std::fmt::Debug;
use std::hash::Hash;

use crate::resource::{GroupResource, ObjectKey};

/// A key to be processed. Cloning it should be cheap.
pub trait Key: Clone + Eq + Hash + Debug {
    /// Those who take turns: however many keys one of them has, another one's next key is as near.
    type Target: Clone + Eq + Hash;

    /// Whose turn is used up by this key.
    fn target(&self) -> &Self::Target;
}

impl Key for ObjectKey {
    type Target = GroupResource;

    fn target(&self) -> &GroupResource {
        &self.resource
    }
}
