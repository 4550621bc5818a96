//! From a WatchPolicy to a program, or to everything that is wrong with it.
//!
//! [`policy`] takes the spec apart, [`target`] its targets, [`rule`] its rules and their checks, [`exception`] who is
//! excepted, [`mod@assert`] operators, [`operand`] the values they hold, [`fix`] how failures are mended. The structs of the
//! contract are destructured whole: a field that nobody looks at does not compile, and one that this version does not have
//! is refused.

mod assert;
mod exception;
mod fix;
mod operand;
mod policy;
mod rule;
mod target;

pub use policy::{Settings, compile};
