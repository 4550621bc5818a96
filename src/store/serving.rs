//! Who is judged by the documents of a shelf.

use std::ops::Deref;
use std::sync::Arc;

use crate::jsonpath::Roots;
use crate::metrics::PolicySeries;
use crate::policy::{CompiledPolicy, SharedPaths};

/// A policy that a shelf serves, with where `$pod` is for it on this resource.
#[derive(Clone)]
pub struct Served {
    /// The policy as it was compiled.
    pub policy: Arc<CompiledPolicy>,
    /// Its roots on the shelf's resource.
    pub roots: Arc<Roots>,
    /// Counts its evaluations.
    pub series: PolicySeries,
}

/// All policies that a shelf serves, and what they find together.
pub struct Serving {
    policies: Vec<Served>,
    /// Their paths, in the same order.
    pub shared: SharedPaths,
}

impl Default for Serving {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl From<Vec<Served>> for Serving {
    fn from(policies: Vec<Served>) -> Self {
        let shared = SharedPaths::of(policies.iter().map(|served| (&*served.policy, &*served.roots)));
        Self { policies, shared }
    }
}

impl Deref for Serving {
    type Target = [Served];

    fn deref(&self) -> &Self::Target {
        &self.policies
    }
}
