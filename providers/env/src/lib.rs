//! The process environment, read-only.
