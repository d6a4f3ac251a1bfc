//! `.env` files: read as their reader reads them, edited without touching what was not asked.
//!
//! [`parse`] and [`render_line`] work on bytes alone; [`open`] gives the store. Nothing here runs
//! a command, asks the process environment, or writes a file but through
//! [`secrets_platform::files`].
//!
//! | module | what |
//! | --- | --- |
//! | `dialect` | the readers, in one table: which grammar, and what differs |
//! | `grammar` | six grammars: text to bindings, a written value to its pieces |
//! | `text` | bytes that are no UTF-8, carried through |
//! | `document` | a file's bindings, resolved against each other |
//! | `write` | how a value is written so that its readers agree |
//! | `edit` | changes that leave every other byte as it was |
//! | `provider`, `marks` | a file as a store |

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod corpus;
mod dialect;
mod document;
mod edit;
mod grammar;
mod marks;
mod provider;
mod text;
mod write;

use secrets_api::{Name, Result, SecretValue};

pub use dialect::Dialect;
pub use document::{Interpolation, Reading};
pub use provider::{SCHEME, open};

/// One item of a file.
#[derive(Debug)]
pub struct Entry {
    /// The key, which need not be the name of a secret.
    pub name: String,
    /// The value, interpolated from the file alone; `None` for a key without `=`.
    pub value: Option<SecretValue>,
    /// Whether the value is put together from others.
    pub derived: bool,
    /// The line it begins in, from 1.
    pub line: usize,
}

/// Reads a whole file; every item in its order, so that of several with one name the last counts.
///
/// # Errors
/// `InvalidData`: with line and column for what is not UTF-8, a NUL byte, a line the dialect's
/// reader would leave out, or values put together from others beyond 16 MiB in all; without for
/// more than 100,000 items and comments. What a line holds is not repeated.
pub fn parse(reading: impl Into<Reading>, bytes: &[u8]) -> Result<Vec<Entry>> {
    document::Document::parse(reading.into(), bytes)?.resolve(&[])
}

/// One line `NAME=value`, with its line end, in the form that most readers agree on, else in the
/// dialect's own (see `write.rs`).
///
/// # Errors
/// `Unsupported` for a value that no form of the dialect can hold.
pub fn render_line(dialect: Dialect, name: &Name, value: &SecretValue) -> Result<SecretValue> {
    let token = write::token(dialect, name, value)?;
    let mut line =
        secrets_api::Zeroizing::new(Vec::with_capacity(name.as_str().len() + token.len() + 2));
    line.extend_from_slice(name.as_str().as_bytes());
    line.push(b'=');
    line.extend_from_slice(token.as_bytes());
    line.push(b'\n');
    Ok(SecretValue::from(line))
}
