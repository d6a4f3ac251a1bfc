//! A file as text and bindings: what it says, and where each item of it stands.

use std::borrow::Cow;

use secrets_api::{Error, ErrorKind, Result, Zeroizing};

use crate::dialect::{Bytes, Reading, Rules};
use crate::excerpt::broken;
use crate::grammar::{self, Binding, MOST_BINDINGS, Problem};
use crate::resolve::{Resolver, key_of, references};
use crate::{Entry, text};

/// The byte order mark some editors put first; to most readers no part of the first key.
pub(crate) const BOM: &str = "\u{feff}";

/// A file's text, taken apart. Positions are those of the text as it is, byte order mark included.
pub(crate) struct Document<'a> {
    pub(crate) text: Cow<'a, str>,
    pub(crate) bindings: Vec<Binding>,
    pub(crate) rules: &'static Rules,
    reading: Reading,
}

impl<'a> Document<'a> {
    /// Takes a file apart.
    pub(crate) fn parse(reading: Reading, bytes: &'a [u8]) -> Result<Self> {
        let document = Self::parse_leniently(reading, bytes)?;
        match document.bindings.iter().find_map(|b| b.problem) {
            None => Ok(document),
            Some(problem) => Err(document.broken(problem.at, problem.why)),
        }
    }

    /// The same, with lines that cannot be read left in, as the reader skips them. A reader that
    /// gives the whole file up over one has no reading of it.
    pub(crate) fn parse_leniently(reading: Reading, bytes: &'a [u8]) -> Result<Self> {
        let rules = reading.dialect.rules();
        let text = text_of(rules, bytes)?;
        let bindings: Vec<Binding> =
            grammar::bindings(rules, &text, start_of(rules, &text)).collect();
        if bindings.len() > MOST_BINDINGS {
            return Err(too_many());
        }
        let document = Self {
            text,
            bindings,
            rules,
            reading,
        };
        match document.fatal() {
            None => Ok(document),
            Some(problem) => Err(document.broken(problem.at, problem.why)),
        }
    }

    /// What makes the reader give the whole file up.
    fn fatal(&self) -> Option<Problem> {
        let problems = self.bindings.iter().filter_map(|b| b.problem);
        problems.into_iter().find(|problem| problem.fatal)
    }

    /// The key of a binding, as the reader has it.
    pub(crate) fn key(&self, binding: &Binding) -> Option<Cow<'_, str>> {
        key_of(self.rules, &self.text, binding)
    }

    /// The value of a binding, as it is written.
    pub(crate) fn written(&self, binding: &Binding) -> Option<&str> {
        Some(&self.text[binding.value.clone()?])
    }

    /// Every item with its value; names the file does not have are looked up in `given`.
    ///
    /// # Errors
    /// As [`Resolver::add`].
    pub(crate) fn resolve<'s>(&'s self, given: &'s [(&'s str, &'s str)]) -> Result<Vec<Entry<'s>>> {
        let mut resolver = Resolver::new(self.reading, &self.text, given);
        for binding in &self.bindings {
            resolver.add(binding)?;
        }
        let carried = matches!(self.text, Cow::Owned(_));
        Ok(resolver.finish(carried))
    }

    /// Every item that is put together from others, with their names: its key, where that ends, the names.
    pub(crate) fn references(&self) -> impl Iterator<Item = (Cow<'_, str>, usize, Vec<String>)> {
        self.bindings.iter().filter_map(|binding| {
            let key = self.key(binding)?;
            // Whatever the dialect, a variable begins with it.
            self.written(binding)?.contains('$').then_some(())?;
            let names = references(self.reading, &self.text, binding);
            (!names.is_empty()).then_some((key, binding.key_end, names))
        })
    }

    fn broken(&self, at: usize, why: &str) -> Error {
        broken(&self.text, at, why)
    }
}
/// The file's bytes as text, if its reader can have them.
fn text_of<'a>(rules: &Rules, bytes: &'a [u8]) -> Result<Cow<'a, str>> {
    let text = text::decoded(bytes, rules.bytes != Bytes::Refused).map_err(|valid| {
        let before = std::str::from_utf8(&bytes[..valid]).unwrap_or_default();
        broken(before, before.len(), "not UTF-8").with_hint("save the file as UTF-8")
    })?;
    match memchr::memchr(0, text.as_bytes()) {
        None => Ok(text),
        Some(at) => Err(broken(
            &text,
            at,
            "a NUL byte, which no process environment can hold",
        )
        .with_hint("keep binary values as base64 text")),
    }
}

/// After the byte order mark, where its reader passes over one.
fn start_of(rules: &Rules, text: &str) -> usize {
    if rules.skips_bom && text.starts_with(BOM) {
        BOM.len()
    } else {
        0
    }
}

fn too_many() -> Error {
    Error::new(
        ErrorKind::InvalidData,
        format!("more than {MOST_BINDINGS} items"),
    )
    .with_hint("is this the right file? a .env file holds settings")
}

/// Reads a whole file item by item, keeping nothing but the items.
///
/// # Errors
/// As [`Document::parse`] and [`Document::resolve`].
pub(crate) fn read(reading: Reading, bytes: &[u8]) -> Result<Vec<Entry<'_>>> {
    let rules = reading.dialect.rules();
    match text_of(rules, bytes)? {
        Cow::Borrowed(text) => read_text(reading, text).map(|resolver| resolver.finish(false)),
        Cow::Owned(text) => {
            let text = Zeroizing::new(text);
            let entries = read_text(reading, &text)?.finish(true);
            Ok(entries.into_iter().map(Entry::into_owned).collect())
        }
    }
}

fn read_text(reading: Reading, text: &str) -> Result<Resolver<'_>> {
    let rules = reading.dialect.rules();
    let mut resolver = Resolver::new(reading, text, &[]);
    for (count, binding) in grammar::bindings(rules, text, start_of(rules, text)).enumerate() {
        if let Some(problem) = binding.problem {
            return Err(broken(text, problem.at, problem.why));
        }
        if count >= MOST_BINDINGS {
            return Err(too_many());
        }
        resolver.add(&binding)?;
    }
    Ok(resolver)
}
