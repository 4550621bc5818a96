//! Room `enforce`.
