//! The law, from a policy's text to its verdicts.

mod cases;
mod faults;
mod globs;
mod law;
mod messages;
mod objects;
mod projection;
