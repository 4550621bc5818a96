//! Room `http`: `/metrics`, `/violations`, `/livez` and `/readyz`, plain or over TLS.
//!
//! Everything is bounded: the number of connections, the time that a client may take for its handshake and its headers,
//! the size of a body (none is read), the time of an answer and the pages that are held for slow readers. A probe that
//! is not answered gets the operator killed, so a new connection is always taken: in place of the oldest one, if need
//! be.

mod pages;
mod readiness;
mod server;
mod tls;

pub use pages::{Lister, Pages};
pub use readiness::Readiness;
pub use server::serve;
pub use tls::Tls;
