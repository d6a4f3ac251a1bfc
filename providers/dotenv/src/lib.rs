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
//! | `document` | a file's text and bindings |
//! | `excerpt` | errors with their place, values masked |
//! | `resolve` | bindings to items: what each value stands for |
//! | `write` | how a value is written so that its readers agree |
//! | `compare` | one file as several readers read it |
//! | `edit` | changes that leave every other byte as it was |
//! | `provider`, `marks` | a file as a store |

mod compare;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod corpus;
mod dialect;
mod document;
mod edit;
mod excerpt;
mod grammar;
mod marks;
mod provider;
mod resolve;
mod text;
mod write;

use std::borrow::Cow;

use secrets_api::{Name, Result, SecretValue};

pub use compare::{Comparison, Difference, Mended, agree, compare};
pub use dialect::{Dialect, Interpolation, Reading};
pub use excerpt::may_be_shown;
pub use provider::{SCHEME, open, reading};

/// One item of a file. What stands in the file as it is meant is borrowed from it.
#[derive(Debug)]
pub struct Entry<'a> {
    /// The key, which need not be the name of a secret.
    pub name: Cow<'a, str>,
    /// The value, interpolated from the file alone; `None` for a key without `=`.
    pub value: Option<Value<'a>>,
    /// Whether the value is put together from others.
    pub derived: bool,
    /// Where its key ends, in bytes of the file as it was read.
    pub at: u32,
}

impl Entry<'_> {
    /// Whether its key is surely one, and no part of a value that lacks its quotes: only such a key
    /// belongs in a message.
    pub fn may_be_shown(&self) -> bool {
        let value = self.value.as_ref().map_or(&[][..], |v| v.expose());
        excerpt::may_be_shown(&self.name, value)
    }

    /// The same, borrowing nothing.
    pub fn into_owned(self) -> Entry<'static> {
        Entry {
            name: self.name.into_owned().into(),
            value: self.value.map(|value| Value::Made(value.into_secret())),
            derived: self.derived,
            at: self.at,
        }
    }
}

/// Line numbers of ascending places in a file, counted on.
#[derive(Debug)]
pub struct LineCounter<'a> {
    file: &'a [u8],
    at: usize,
    line: usize,
}

impl<'a> LineCounter<'a> {
    /// Starts at the first line.
    pub fn new(file: &'a [u8]) -> Self {
        Self {
            file,
            at: 0,
            line: 1,
        }
    }

    /// The line of this place, from 1; no earlier one than before.
    pub fn of(&mut self, at: u32) -> usize {
        let at = usize::try_from(at).map_or(self.file.len(), |at| at.min(self.file.len()));
        if at > self.at {
            self.line += memchr::memchr_iter(b'\n', &self.file[self.at..at]).count();
            self.at = at;
        }
        self.line
    }
}

/// A value: a part of the file, or made from one.
pub enum Value<'a> {
    /// As it stands in the file.
    Plain(&'a [u8]),
    /// Quotes, escapes or variables undone.
    Made(SecretValue),
}

impl Value<'_> {
    /// The bytes.
    pub fn expose(&self) -> &[u8] {
        match self {
            Self::Plain(bytes) => bytes,
            Self::Made(value) => value.expose(),
        }
    }

    /// A value of its own.
    pub fn into_secret(self) -> SecretValue {
        match self {
            Self::Plain(bytes) => SecretValue::from_slice(bytes),
            Self::Made(value) => value,
        }
    }
}

impl std::fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Value(…)")
    }
}

/// Reads a whole file; every item in its order, so that of several with one name the last counts.
///
/// # Errors
/// `InvalidData`: with line and column for what is not UTF-8, a NUL byte, a line the dialect's
/// reader would leave out, or values put together from others beyond 16 MiB in all; without for
/// more than 100,000 items and comments. What a line holds is not repeated.
pub fn parse(reading: impl Into<Reading>, bytes: &[u8]) -> Result<Vec<Entry<'_>>> {
    document::read(reading.into(), bytes)
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
