//! Room `access`: who asks the operator for something, and whether they may.
//!
//! The API server answers both questions: a `TokenReview` says whose token it is, a `SubjectAccessReview` whether they
//! may. [`Guard`] keeps the answers for a short while and asks no more often than is good for the API server. Where it
//! cannot be asked, nobody is let in.

mod guard;
mod repeats;
mod review;

pub use guard::{Guard, Refusal};
pub use review::{AUDIENCE, Caller, ReviewFault, Reviews, Right, TOKEN_HEADER};
