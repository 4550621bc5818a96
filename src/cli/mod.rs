//! Room `cli`.

pub mod crd;
