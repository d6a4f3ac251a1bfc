//! Which keyring this platform has. Every platform answers the same four questions, blocking for
//! as long as it is told at most; the rest of the crate knows no platform.

use secrets_api::{Result, SecretValue, Timestamp};

#[cfg(all(unix, not(target_os = "macos")))]
#[path = "secret_service.rs"]
mod platform;

#[cfg(any(target_os = "macos", windows))]
#[path = "credentials.rs"]
mod platform;

pub(crate) use platform::{DESCRIPTION, VALUE_BYTES, inspect, list, read, read_all, write};

/// An item as far as it is known without its value.
#[derive(Debug)]
pub(crate) struct Listed {
    /// Its `username`; `None` where it has none.
    pub(crate) user: Option<String>,
    /// When it was last written.
    pub(crate) modified: Option<Timestamp>,
}

/// An item and its value.
#[derive(Debug)]
pub(crate) struct Held {
    /// The value.
    pub(crate) value: SecretValue,
    /// When it was last written.
    pub(crate) modified: Option<Timestamp>,
}

/// All items of a service: those whose name was asked for with their values, and what the others
/// are called.
#[derive(Debug, Default)]
pub(crate) struct Everything {
    /// One entry a name.
    pub(crate) items: Vec<(String, Result<Held>)>,
    /// Users that were not asked for, and the labels of items without one.
    pub(crate) others: Vec<String>,
}

/// One change: a new value, or a removal.
#[derive(Debug)]
pub(crate) struct Edit {
    /// The item's `username`.
    pub(crate) user: String,
    /// What it is to hold; `None` removes it.
    pub(crate) value: Option<SecretValue>,
}
