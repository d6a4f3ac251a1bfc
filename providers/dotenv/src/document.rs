//! A file as text and bindings: what it says, item by item.

use std::borrow::Cow;
use std::collections::HashMap;

use secrets_api::{Error, ErrorKind, Result, SecretValue, Zeroizing};

use crate::Entry;
use crate::dialect::{Dialect, Rules};
use crate::grammar::{Binding, MOST_BINDINGS, Quote, bindings};
use crate::interpolate::{Part, is_derived, parts};

/// The byte order mark some editors put first; no part of the first key.
pub(crate) const BOM: &str = "\u{feff}";

/// Most bytes of all values together that are put together from others: 16 MiB. No file that a
/// person writes comes near.
const MOST_DERIVED: usize = 16 * 1024 * 1024;
const TOO_MUCH_DERIVED: &str =
    "the values put together from others have more than 16 MiB with this one";

/// A file's text, taken apart. Positions are those of the text as it is, byte order mark included.
pub(crate) struct Document<'a> {
    pub(crate) text: &'a str,
    pub(crate) bindings: Vec<Binding>,
    rules: &'static Rules,
}

impl<'a> Document<'a> {
    /// Takes a file apart.
    pub(crate) fn parse(dialect: Dialect, bytes: &'a [u8]) -> Result<Self> {
        let document = Self::parse_leniently(dialect, bytes)?;
        match document.bindings.iter().find_map(|b| b.error) {
            None => Ok(document),
            Some(at) => Err(broken(
                document.text,
                at,
                "this line cannot be read: its reader would leave it out",
            )
            .with_hint("write NAME=value, with quotes that are closed")),
        }
    }

    /// The same, with lines that cannot be read left in, as the reader skips them.
    pub(crate) fn parse_leniently(dialect: Dialect, bytes: &'a [u8]) -> Result<Self> {
        let text = std::str::from_utf8(bytes).map_err(|e| {
            let (before, _) = bytes.split_at(e.valid_up_to());
            let before = std::str::from_utf8(before).unwrap_or_default();
            broken(before, before.len(), "not UTF-8").with_hint("save the file as UTF-8")
        })?;
        if let Some(at) = text.find('\0') {
            return Err(broken(
                text,
                at,
                "a NUL byte, which no process environment can hold",
            )
            .with_hint("keep binary values as base64 text"));
        }
        let start = if text.starts_with(BOM) { BOM.len() } else { 0 };
        let mut bindings = bindings(&text[start..]);
        if bindings.len() > MOST_BINDINGS {
            return Err(Error::new(
                ErrorKind::InvalidData,
                format!("more than {MOST_BINDINGS} items and comments"),
            )
            .with_hint("is this the right file? a .env file holds settings"));
        }
        if start > 0 {
            bindings
                .iter_mut()
                .for_each(|binding| shift(binding, start));
        }
        Ok(Self {
            text,
            bindings,
            rules: dialect.rules(),
        })
    }

    /// The key of a binding, as the reader has it, who opens the file with universal newlines: in
    /// quotes it may hold line ends.
    pub(crate) fn key(&self, binding: &Binding) -> Option<Cow<'a, str>> {
        binding.key.clone().map(|span| newlines(&self.text[span]))
    }

    /// The value of a binding with its quotes and escapes undone, before interpolation.
    pub(crate) fn raw(&self, binding: &Binding) -> Option<Zeroizing<String>> {
        let span = binding.value.clone()?;
        let written = &self.text[span];
        let escapes = match binding.quote {
            Quote::None => return Some(Zeroizing::new(written.to_owned())),
            Quote::Single => self.rules.single_escapes,
            Quote::Double => self.rules.double_escapes,
        };
        let inner = newlines(&written[1..written.len() - 1]);
        let value = Zeroizing::new(unescape(&inner, escapes));
        if let Cow::Owned(copy) = inner {
            drop(Zeroizing::new(copy));
        }
        Some(value)
    }

    /// Every item with its value; names the file does not have are looked up in `given`.
    ///
    /// # Errors
    /// `InvalidData` where the values that are put together from others grow beyond
    /// [`MOST_DERIVED`]: a few lines that each name the one before twice would fill any memory.
    pub(crate) fn resolve(&self, given: &[(&str, &str)]) -> Result<Vec<Entry>> {
        let mut entries: Vec<Entry> = Vec::with_capacity(self.bindings.len());
        let mut known: HashMap<Cow<'_, str>, usize> = HashMap::with_capacity(self.bindings.len());
        let mut line = Lines::new(self.text);
        let mut left = MOST_DERIVED;
        for binding in &self.bindings {
            let Some(key) = self.key(binding) else {
                continue;
            };
            let raw = self.raw(binding);
            let expands = |raw: &str| self.rules.interpolates && raw.contains("${");
            let (value, derived) = match raw {
                Some(raw) if expands(&raw) => {
                    let lookup = |name: &str| match known.get(name) {
                        // A key without `=` is known, and empty.
                        Some(index) => Some(
                            entries[*index]
                                .value
                                .as_ref()
                                .map_or(&[][..], |v| v.expose()),
                        ),
                        None => given
                            .iter()
                            .find(|(n, _)| *n == name)
                            .map(|(_, v)| v.as_bytes()),
                    };
                    let Some(value) = interpolated(&raw, &lookup, left) else {
                        return Err(broken(self.text, binding.key_end, TOO_MUCH_DERIVED)
                            .with_hint("write the value itself instead of `${…}`"));
                    };
                    left -= value.len();
                    (Some(value), is_derived(&raw))
                }
                Some(raw) => (Some(SecretValue::from_slice(raw.as_bytes())), false),
                None => (None, false),
            };
            entries.push(Entry {
                name: key.as_ref().to_owned(),
                value,
                derived,
                line: line.of(binding.key_end),
            });
            known.insert(key, entries.len() - 1);
        }
        Ok(entries)
    }
}

fn shift(binding: &mut Binding, by: usize) {
    let move_span = |span: &mut std::ops::Range<usize>| *span = span.start + by..span.end + by;
    move_span(&mut binding.line);
    binding.key.iter_mut().for_each(move_span);
    binding.value.iter_mut().for_each(move_span);
    binding.key_end += by;
    binding.error = binding.error.map(|at| at + by);
}

/// The value put together; `None` where it has more than `most` bytes. `lookup` says what a
/// variable stands for.
fn interpolated<'v>(
    raw: &'v str,
    lookup: &dyn Fn(&str) -> Option<&'v [u8]>,
    most: usize,
) -> Option<SecretValue> {
    let pieces = parts(raw).map(|part| match part {
        Part::Text(text) => text.as_bytes(),
        Part::Variable { name, default } => lookup(name).unwrap_or(default.as_bytes()),
    });
    // Measured first: a vector that grows leaves copies behind.
    let mut length = 0;
    for piece in pieces.clone() {
        length += piece.len();
        if length > most {
            return None;
        }
    }
    let mut whole = Zeroizing::new(Vec::with_capacity(length));
    pieces.for_each(|piece| whole.extend_from_slice(piece));
    Some(SecretValue::from(whole))
}

fn newlines(text: &str) -> Cow<'_, str> {
    if !text.contains('\r') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\r') {
        out.push_str(&rest[..at]);
        out.push('\n');
        rest = rest[at + 1..].strip_prefix('\n').unwrap_or(&rest[at + 1..]);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn unescape(text: &str, escapes: &[(char, char)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let mut ahead = rest.clone();
        let meaning = (c == '\\')
            .then(|| ahead.next())
            .flatten()
            .and_then(|after| escapes.iter().find(|(from, _)| *from == after));
        match meaning {
            Some((_, to)) => {
                out.push(*to);
                rest = ahead;
            }
            None => out.push(c),
        }
    }
    out
}

/// Line numbers of ascending positions.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            line: 1,
        }
    }

    fn of(&mut self, position: usize) -> usize {
        let between = &self.text.as_bytes()[self.at..position];
        self.line += between.iter().filter(|b| **b == b'\n').count();
        self.at = position;
        self.line
    }
}

/// An error at a position of the text: line and column, from 1, the column in characters.
pub(crate) fn broken(text: &str, at: usize, why: &str) -> Error {
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
    Error::new(
        ErrorKind::InvalidData,
        format!("line {line}, column {column}: {why}"),
    )
}
