//! A file as text and bindings: what it says, item by item.

use std::borrow::Cow;
use std::collections::HashMap;

use secrets_api::{Error, ErrorKind, Result, SecretValue, Zeroizing};

use crate::dialect::{Bytes, Dialect, Given, Grammar, LineEnds, Rules};
use crate::grammar::{self, Binding, MOST_BINDINGS, Otherwise, Piece, Problem, Variable, pieces};
use crate::{Entry, text};

/// The byte order mark some editors put first; to most readers no part of the first key.
pub(crate) const BOM: &str = "\u{feff}";

/// Most bytes of all values together that are put together from others: 16 MiB. No file that a
/// person writes comes near.
const MOST_DERIVED: usize = 16 * 1024 * 1024;
const TOO_MUCH_DERIVED: &str =
    "the values put together from others have more than 16 MiB with this one";

/// Whether `$` in a value stands for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interpolation {
    /// As the dialect has it.
    #[default]
    AsRead,
    /// Never: a value is what is written, quotes and escapes undone.
    Off,
}

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// Whose reading counts.
    pub dialect: Dialect,
    /// Whether `$` stands for something.
    pub interpolation: Interpolation,
}

impl From<Dialect> for Reading {
    fn from(dialect: Dialect) -> Self {
        Self {
            dialect,
            interpolation: Interpolation::AsRead,
        }
    }
}

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
        let text = text::decoded(bytes, rules.bytes != Bytes::Refused).map_err(|valid| {
            let before = std::str::from_utf8(&bytes[..valid]).unwrap_or_default();
            broken(before, before.len(), "not UTF-8").with_hint("save the file as UTF-8")
        })?;
        if let Some(at) = text.find('\0') {
            return Err(broken(
                &text,
                at,
                "a NUL byte, which no process environment can hold",
            )
            .with_hint("keep binary values as base64 text"));
        }
        let start = if rules.skips_bom && text.starts_with(BOM) {
            BOM.len()
        } else {
            0
        };
        let bindings = grammar::bindings(rules, &text, start);
        if bindings.len() > MOST_BINDINGS {
            return Err(Error::new(
                ErrorKind::InvalidData,
                format!("more than {MOST_BINDINGS} items and comments"),
            )
            .with_hint("is this the right file? a .env file holds settings"));
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
        // ruby: `export NAME` without a value is a fault only if no earlier line has set it.
        let set_before = |index: usize| {
            let key = self.key(&self.bindings[index]);
            key.is_some() && self.bindings[..index].iter().any(|b| self.key(b) == key)
        };
        (0..self.bindings.len()).find_map(|index| {
            let problem = self.bindings[index].problem.filter(|p| p.fatal)?;
            (!set_before(index)).then_some(problem)
        })
    }

    /// The key of a binding, as the reader has it.
    pub(crate) fn key(&self, binding: &Binding) -> Option<Cow<'_, str>> {
        let key = &self.text[binding.key.clone()?];
        Some(match self.rules.grammar {
            Grammar::Python if key.contains('\r') => Cow::Owned(LineEnds::Universal.of(key)),
            _ => Cow::Borrowed(key),
        })
    }

    /// The value of a binding, as it is written.
    pub(crate) fn written(&self, binding: &Binding) -> Option<&str> {
        Some(&self.text[binding.value.clone()?])
    }

    /// Every item with its value; names the file does not have are looked up in `given`.
    ///
    /// # Errors
    /// `InvalidData` where a value cannot be read, and where the values that are put together from
    /// others grow beyond [`MOST_DERIVED`]: a few lines that each name the one before twice would
    /// fill any memory.
    pub(crate) fn resolve(&self, given: &[(&str, &str)]) -> Result<Vec<Entry>> {
        let mut entries: Vec<Entry> = Vec::with_capacity(self.bindings.len());
        let mut known = Known::default();
        let mut line = Lines::new(&self.text);
        let mut left = MOST_DERIVED;
        let interpolates =
            self.rules.interpolates && self.reading.interpolation == Interpolation::AsRead;
        for binding in &self.bindings {
            let Some(key) = self.key(binding) else {
                continue;
            };
            let instead = (self.rules.given == Given::Instead)
                .then(|| given.iter().find(|(name, _)| *name == key))
                .flatten();
            let (value, derived) = match (instead, &binding.value) {
                (Some((_, value)), _) => (Some(SecretValue::from_slice(value.as_bytes())), false),
                (None, None) => (self.without_equals(binding), false),
                (None, Some(span)) => {
                    let normal;
                    let mut written = &self.text[span.clone()];
                    if self.rules.line_ends != LineEnds::Kept && written.contains('\r') {
                        normal = Zeroizing::new(self.rules.line_ends.of(written));
                        written = normal.as_str();
                    }
                    let pieces = pieces(self.rules, written, binding.quote, interpolates).map_err(
                        |(at, why)| self.broken(span.start + at.min(written.len()), why),
                    )?;
                    let mut fill = Filling {
                        rules: self.rules,
                        known: &mut known,
                        entries: &entries,
                        given,
                        parts: Vec::new(),
                        derived: false,
                    };
                    fill.all(&pieces)
                        .map_err(|why| self.broken(binding.key_end, why))?;
                    let most = if fill.derived { left } else { usize::MAX };
                    let value = gathered(&fill.parts, most)
                        .ok_or_else(|| self.broken(binding.key_end, TOO_MUCH_DERIVED))?;
                    let derived = fill.derived;
                    if derived {
                        left -= value.len();
                    }
                    (Some(self.as_bytes(value)), derived)
                }
            };
            entries.push(Entry {
                name: key.into_owned(),
                value,
                derived,
                line: line.of(binding.key_end),
            });
        }
        Ok(entries)
    }

    /// The value of a key without `=`: ruby's is empty, all others have none.
    fn without_equals(&self, binding: &Binding) -> Option<SecretValue> {
        let ruby = self.rules.dialect == Dialect::Ruby && binding.problem.is_none();
        ruby.then(|| SecretValue::from_slice(b""))
    }

    /// The value as its reader has it, where the file was not UTF-8.
    fn as_bytes(&self, value: SecretValue) -> SecretValue {
        if matches!(self.text, Cow::Borrowed(_)) {
            return value;
        }
        let bytes = text::encoded(value.expose_text().unwrap_or_default());
        match self.rules.bytes {
            Bytes::Replaced => SecretValue::from_slice(String::from_utf8_lossy(&bytes).as_bytes()),
            _ => SecretValue::from(bytes),
        }
    }

    /// An error at a place of this file.
    pub(crate) fn broken(&self, at: usize, why: &str) -> Error {
        broken(&self.text, at, why)
    }
}

/// The pieces in one block of the right size: a vector that grows leaves copies behind. `None`
/// where it has more than `most` bytes.
fn gathered(parts: &[&[u8]], most: usize) -> Option<SecretValue> {
    if let [one] = parts {
        return (one.len() <= most).then(|| SecretValue::from_slice(one));
    }
    let length = parts.iter().map(|part| part.len()).sum();
    if length > most {
        return None;
    }
    let mut whole = Zeroizing::new(Vec::with_capacity(length));
    parts.iter().for_each(|part| whole.extend_from_slice(part));
    Some(SecretValue::from(whole))
}

/// Where the last item of each name is; put together when it is first needed.
#[derive(Default)]
struct Known {
    places: HashMap<String, usize>,
    upto: usize,
}

impl Known {
    fn find(&mut self, entries: &[Entry], name: &str) -> Option<usize> {
        for (index, entry) in entries.iter().enumerate().skip(self.upto) {
            self.places.insert(entry.name.clone(), index);
        }
        self.upto = entries.len();
        self.places.get(name).copied()
    }
}

/// Pieces becoming bytes.
struct Filling<'v, 'k> {
    rules: &'static Rules,
    known: &'k mut Known,
    entries: &'v [Entry],
    given: &'v [(&'v str, &'v str)],
    parts: Vec<&'v [u8]>,
    derived: bool,
}

impl<'v> Filling<'v, '_> {
    fn all(&mut self, pieces: &'v [Piece<'_>]) -> Result<(), &'static str> {
        pieces.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => {
                self.parts.push(text.as_bytes());
                Ok(())
            }
            Piece::Made(text) => {
                self.parts.push(text.as_bytes());
                Ok(())
            }
            Piece::Variable(variable) => self.variable(variable),
        })
    }

    fn variable(&mut self, variable: &'v Variable<'_>) -> Result<(), &'static str> {
        // `${:-text}` has no name: it stands for its text.
        self.derived |= !variable.name.is_empty();
        let value = self.value(&variable.name);
        let set = |empty: bool| value.is_some_and(|v| !(empty && v.is_empty()));
        match &variable.otherwise {
            Otherwise::Nothing => self.parts.extend(value),
            Otherwise::Default { empty, word } if !set(*empty) => self.all(word)?,
            Otherwise::Instead { empty, word } if set(*empty) => self.all(word)?,
            Otherwise::Instead { .. } => {}
            Otherwise::Required { empty } if !set(*empty) => {
                return Err("its reader gives the file up: a variable it requires has no value");
            }
            Otherwise::Default { .. } | Otherwise::Required { .. } => self.parts.extend(value),
        }
        Ok(())
    }

    fn value(&mut self, name: &str) -> Option<&'v [u8]> {
        let given = self
            .given
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, value)| value.as_bytes());
        if self.rules.given == Given::BeforeFile && given.is_some() {
            return given;
        }
        match self.known.find(self.entries, name) {
            // A key without `=` is known, and empty.
            Some(index) => Some(
                self.entries[index]
                    .value
                    .as_ref()
                    .map_or(&[][..], |v| v.expose()),
            ),
            None => given,
        }
    }
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
        if position >= self.at {
            let between = &self.text.as_bytes()[self.at..position];
            self.line += between.iter().filter(|b| **b == b'\n').count();
            self.at = position;
        }
        self.line
    }
}

/// The widest excerpt, in characters.
const WIDEST: usize = 72;

/// An error at a position of the text: line and column, from 1, the column in characters; and the
/// line with a caret below the place, what may be a value masked.
pub(crate) fn broken(text: &str, at: usize, why: &str) -> Error {
    let at = text.floor_char_boundary(at.min(text.len()));
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    let column = text[start..at].chars().count() + 1;
    let error = Error::new(
        ErrorKind::InvalidData,
        format!("line {line}, column {column}: {why}"),
    );
    let end = text[start..].find('\n').map_or(text.len(), |n| start + n);
    match masked(&text[start..end]) {
        Some(shown) if column <= shown.chars().count() + 1 => error.with_excerpt(format!(
            "{line} | {shown}\n{} | {}^",
            " ".repeat(line.to_string().len()),
            " ".repeat(column - 1)
        )),
        _ => error,
    }
}

/// A line as it can be shown: its name, `=` and an opening quote as they are, every other character
/// as a dot, since it may be of a value. `None` for one that is no assignment, or too long.
fn masked(line: &str) -> Option<String> {
    let (key, value) = line.split_once('=')?;
    let name = key.strip_prefix("export ").unwrap_or(key).trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let is_key = !name.is_empty() && name.len() <= 64 && name.chars().all(plain);
    if !is_key || line.chars().count() > WIDEST || key.chars().any(char::is_control) {
        return None;
    }
    let blanks = value.len() - value.trim_start_matches(' ').len();
    let quote = value[blanks..]
        .chars()
        .next()
        .filter(|c| matches!(c, '\'' | '"' | '`'));
    let hidden = value[blanks..].chars().count() - usize::from(quote.is_some());
    let mut out = format!("{key}={}", " ".repeat(blanks));
    out.extend(quote);
    out.extend(std::iter::repeat_n('·', hidden));
    Some(out)
}
