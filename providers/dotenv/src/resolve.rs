//! Bindings becoming items: what a value stands for, with the items before it and, where it is given
//! one, an environment.

use std::borrow::Cow;
use std::collections::HashMap;

use secrets_api::{Error, Result, SecretValue, Zeroizing};

use crate::dialect::{Bytes, Dialect, Given, Grammar, Interpolation, LineEnds, Reading, Rules};
use crate::excerpt::broken;
use crate::grammar::{Binding, MOST_BINDINGS, Otherwise, Piece, Variable, pieces, plain};
use crate::{Entry, Value, text};

/// Most bytes of all values together that are put together from others: 16 MiB. No file that a
/// person writes comes near.
const MOST_DERIVED: usize = 16 * 1024 * 1024;
/// How many bytes of a file there are to an item, as a rule.
const BYTES_PER_ITEM: usize = 40;
const TOO_MUCH_DERIVED: &str =
    "the values put together from others have more than 16 MiB with this one";

/// Items as they are put together, one after another.
pub(crate) struct Resolver<'t> {
    rules: &'static Rules,
    interpolates: bool,
    text: &'t str,
    /// Whether line ends in it have to be looked after.
    has_cr: bool,
    given: &'t [(&'t str, &'t str)],
    entries: Vec<Entry<'t>>,
    known: Known,
    left: usize,
}

/// The key of a binding, as the reader has it.
pub(crate) fn key_of<'t>(rules: &Rules, text: &'t str, binding: &Binding) -> Option<Cow<'t, str>> {
    let key = &text[binding.key.clone()?];
    Some(match rules.grammar {
        // Only in quotes.
        Grammar::Python if memchr::memchr(b'\r', key.as_bytes()).is_some() => {
            Cow::Owned(LineEnds::Universal.of(key).to_string())
        }
        _ => Cow::Borrowed(key),
    })
}

/// The names that a value is put together from, also those in what stands for a name without a value.
pub(crate) fn references(reading: Reading, text: &str, binding: &Binding) -> Vec<String> {
    let rules = reading.dialect.rules();
    let interpolates = rules.interpolates && reading.interpolation == Interpolation::AsRead;
    let Some(written) = binding.value.clone().map(|span| &text[span]) else {
        return Vec::new();
    };
    // What cannot be read has been refused before.
    let mut names = Vec::new();
    if let Ok(pieces) = pieces(rules, written, binding.quote, interpolates) {
        named(&pieces, &mut names);
    }
    names
}

fn named(pieces: &[Piece<'_>], names: &mut Vec<String>) {
    for piece in pieces {
        let Piece::Variable(Variable { name, otherwise }) = piece else {
            continue;
        };
        if !name.is_empty() {
            names.push(name.clone().into_owned());
        }
        if let Otherwise::Default { word, .. } | Otherwise::Instead { word, .. } = otherwise {
            named(word, names);
        }
    }
}

impl<'t> Resolver<'t> {
    /// Names that the file does not have are looked up in `given`.
    pub(crate) fn new(reading: Reading, text: &'t str, given: &'t [(&'t str, &'t str)]) -> Self {
        let rules = reading.dialect.rules();
        Self {
            rules,
            interpolates: rules.interpolates && reading.interpolation == Interpolation::AsRead,
            text,
            has_cr: memchr::memchr(b'\r', text.as_bytes()).is_some(),
            given,
            // As files have them: a vector that grows is copied, one that is too large is wasted.
            entries: Vec::with_capacity((text.len() / BYTES_PER_ITEM).min(MOST_BINDINGS)),
            known: Known::default(),
            left: MOST_DERIVED,
        }
    }

    /// Adds one item; what is none is passed over.
    ///
    /// # Errors
    /// `InvalidData` where a value cannot be read, and where the values that are put together from
    /// others grow beyond [`MOST_DERIVED`]: a few lines that each name the one before twice would
    /// fill any memory.
    pub(crate) fn add(&mut self, binding: &Binding) -> Result<()> {
        let Some(key) = &binding.key else {
            return Ok(());
        };
        let name = if self.has_cr {
            key_of(self.rules, self.text, binding).unwrap_or_default()
        } else {
            Cow::Borrowed(&self.text[key.clone()])
        };
        let instead = (self.rules.given == Given::Instead)
            .then(|| self.given.iter().find(|(given, _)| *given == name))
            .flatten();
        let (value, derived) = match (instead, &binding.value) {
            (Some((_, value)), _) => (Some(Value::Plain(value.as_bytes())), false),
            // ruby's is empty, all others have none.
            (None, None) => {
                let ruby = self.rules.dialect == Dialect::Ruby;
                let before = &self.text[binding.line.start.min(key.start)..key.start];
                if ruby && before.trim_end().ends_with("export") {
                    // What an earlier line has set stays.
                    return Ok(());
                }
                (ruby.then_some(Value::Plain(b"")), false)
            }
            (None, Some(span)) => {
                let (value, derived) = self.value(binding, span.clone())?;
                (Some(value), derived)
            }
        };
        self.entries.push(Entry {
            name,
            value,
            derived,
            // A file has at most 64 MiB.
            at: u32::try_from(binding.key_end).unwrap_or(u32::MAX),
        });
        Ok(())
    }

    fn value(
        &mut self,
        binding: &Binding,
        span: std::ops::Range<usize>,
    ) -> Result<(Value<'t>, bool)> {
        let written = &self.text[span.clone()];
        if self.has_cr && self.rules.line_ends != LineEnds::Kept && written.contains('\r') {
            let normal = self.rules.line_ends.of(written);
            let (value, derived) = self.filled(binding, &span, &normal)?;
            let value = match value {
                Value::Plain(bytes) => SecretValue::from_slice(bytes),
                Value::Made(value) => value,
            };
            return Ok((Value::Made(value), derived));
        }
        self.filled(binding, &span, written)
    }

    fn filled<'w>(
        &mut self,
        binding: &Binding,
        span: &std::ops::Range<usize>,
        written: &'w str,
    ) -> Result<(Value<'w>, bool)> {
        if let Some(one) = plain(self.rules, written, binding.quote) {
            return Ok((single(one), false));
        }
        let mut pieces = pieces(self.rules, written, binding.quote, self.interpolates)
            .map_err(|(at, why)| self.broken(span.start + at.min(span.len()), why))?;
        if let [Piece::Text(_) | Piece::Made(_)] = pieces.as_slice()
            && let Some(one) = pieces.pop()
        {
            return Ok((single(one), false));
        }
        let mut fill = Filling {
            rules: self.rules,
            known: &mut self.known,
            entries: &self.entries,
            given: self.given,
            parts: Vec::new(),
            derived: false,
        };
        let filled = fill.all(&pieces);
        let (parts, derived) = (std::mem::take(&mut fill.parts), fill.derived);
        filled.map_err(|why| broken(self.text, binding.key_end, why))?;
        let most = if derived { self.left } else { usize::MAX };
        let value = gathered(&parts, most)
            .ok_or_else(|| broken(self.text, binding.key_end, TOO_MUCH_DERIVED))?;
        if derived {
            self.left -= value.len();
        }
        Ok((Value::Made(value), derived))
    }

    fn broken(&self, at: usize, why: &str) -> Error {
        broken(self.text, at, why)
    }

    /// The items. `carried` says that the text holds characters that stand for bytes.
    pub(crate) fn finish(mut self, carried: bool) -> Vec<Entry<'t>> {
        if carried {
            for value in self.entries.iter_mut().filter_map(|e| e.value.as_mut()) {
                *value = Value::Made(as_bytes(self.rules, value.expose()));
            }
        }
        self.entries
    }
}

/// The value of one piece that names no variable.
fn single(piece: Piece<'_>) -> Value<'_> {
    match piece {
        Piece::Text(text) => Value::Plain(text.as_bytes()),
        Piece::Made(mut text) => {
            let bytes = std::mem::take(&mut *text).into_bytes();
            Value::Made(SecretValue::from_vec(bytes))
        }
        Piece::Variable(_) => Value::Plain(b""),
    }
}

/// A value as its reader has it, where the file was not UTF-8.
fn as_bytes(rules: &Rules, value: &[u8]) -> SecretValue {
    let bytes = text::encoded(std::str::from_utf8(value).unwrap_or_default());
    match rules.bytes {
        Bytes::Replaced => SecretValue::from_slice(String::from_utf8_lossy(&bytes).as_bytes()),
        _ => SecretValue::from(bytes),
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
    fn find(&mut self, entries: &[Entry<'_>], name: &str) -> Option<usize> {
        for (index, entry) in entries.iter().enumerate().skip(self.upto) {
            self.places.insert(entry.name.clone().into_owned(), index);
        }
        self.upto = entries.len();
        self.places.get(name).copied()
    }
}

/// Pieces becoming bytes.
struct Filling<'v, 'k> {
    rules: &'static Rules,
    known: &'k mut Known,
    entries: &'v [Entry<'v>],
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
