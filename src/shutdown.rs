//! Room `shutdown`.
