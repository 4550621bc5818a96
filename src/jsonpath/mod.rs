//! Room `jsonpath`.
