//! From text to bindings, and from a value as it is written to what it means. Six grammars; what
//! differs between the readers that share one is in `dialect.rs`.
//!
//! Nothing here is resolved against other values: a binding is spans into the text, a value is
//! pieces, some of which name variables.

pub(crate) mod braces;
mod go;
mod lines;
mod pattern;
mod python;
pub(crate) mod shell;
mod systemd;
mod words;

use std::borrow::Cow;
use std::ops::Range;

use secrets_api::Zeroizing;

use crate::dialect::{Grammar, Rules, Words};

/// Most bindings of one file; what each costs in memory is many times the two bytes of a hostile
/// line.
pub(crate) const MOST_BINDINGS: usize = 100_000;
/// How deep a default may hold another variable.
pub(crate) const DEEPEST: usize = 16;

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quote {
    None,
    Single,
    Double,
}

/// What is wrong at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Where, in bytes.
    pub(crate) at: usize,
    pub(crate) why: &'static str,
    /// Whether its reader gives the whole file up, rather than pass this line over.
    pub(crate) fatal: bool,
}

/// One binding: an item, or what cannot be read. Comments and blank lines are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binding {
    /// What goes when the item is removed: as a rule its lines, line end included; where several
    /// items share a line, its part of it.
    pub(crate) line: Range<usize>,
    /// The key, without quotes.
    pub(crate) key: Option<Range<usize>>,
    /// After the key, with the quotes it may have.
    pub(crate) key_end: usize,
    /// The value as it is written, quotes included; `None` without `=`.
    pub(crate) value: Option<Range<usize>>,
    pub(crate) quote: Quote,
    pub(crate) problem: Option<Problem>,
}

/// Why a value cannot be read, and where in what is written.
pub(crate) type Unreadable = (usize, &'static str);

/// A part of a value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Text(&'a str),
    Made(Zeroizing<String>),
    Variable(Variable<'a>),
}

/// `$NAME` in one of its forms.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Variable<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) otherwise: Otherwise<'a>,
}

/// What stands for a variable. `empty` says whether an empty value counts as none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Otherwise<'a> {
    /// Nothing, where there is none.
    Nothing,
    /// This, where there is none.
    Default { empty: bool, word: Vec<Piece<'a>> },
    /// This, where there is one.
    Instead { empty: bool, word: Vec<Piece<'a>> },
    /// Without one the file cannot be read.
    Required { empty: bool },
}

impl<'a> Variable<'a> {
    pub(crate) fn plain(name: impl Into<Cow<'a, str>>) -> Self {
        Self {
            name: name.into(),
            otherwise: Otherwise::Nothing,
        }
    }
}

/// Takes the text apart from `start` on, up to one more than [`MOST_BINDINGS`].
pub(crate) fn bindings<'t>(
    rules: &Rules,
    text: &'t str,
    start: usize,
) -> Box<dyn Iterator<Item = Binding> + 't> {
    let all = match rules.grammar {
        // The dialect of most files is taken apart as it is read.
        Grammar::Python => return Box::new(python::bindings(text, start).take(MOST_BINDINGS + 1)),
        Grammar::Lines(reader) => lines::bindings(reader, text, start),
        Grammar::Pattern(reader) => pattern::bindings(reader, text, start),
        Grammar::Go(reader) => go::bindings(reader, text, start),
        Grammar::Systemd => systemd::bindings(text, start),
        Grammar::Words(Words::Shell) => shell::bindings(text, start),
        Grammar::Words(Words::Dotenvy) => words::bindings(text, start),
    };
    Box::new(all.into_iter())
}

/// What a value means. `interpolates` counts only where a reader has a switch for it.
pub(crate) fn pieces<'a>(
    rules: &Rules,
    written: &'a str,
    quote: Quote,
    interpolates: bool,
) -> Result<Vec<Piece<'a>>, Unreadable> {
    match rules.grammar {
        Grammar::Python => Ok(python::pieces(written, quote, interpolates)),
        Grammar::Lines(reader) => Ok(vec![lines::value(reader, written)]),
        Grammar::Pattern(reader) => pattern::pieces(reader, written),
        Grammar::Go(reader) => go::pieces(reader, written, quote),
        Grammar::Systemd => Ok(vec![systemd::value(written)]),
        Grammar::Words(Words::Shell) => shell::pieces(written),
        Grammar::Words(Words::Dotenvy) => words::pieces(written),
    }
}

/// A value that is one text, as most are; `None` where it takes a closer look.
pub(crate) fn plain<'a>(rules: &Rules, written: &'a str, quote: Quote) -> Option<Piece<'a>> {
    match rules.grammar {
        Grammar::Python => python::plain(written, quote),
        _ => None,
    }
}

/// A text of pieces, as it grows. A block that is too small is wiped when a larger one takes its
/// place: no copies are left behind.
#[derive(Default)]
pub(crate) struct Pieces<'a> {
    done: Vec<Piece<'a>>,
    text: Zeroizing<String>,
}

impl<'a> Pieces<'a> {
    fn reserve(&mut self, more: usize) {
        let needed = self.text.len() + more;
        if needed > self.text.capacity() {
            let room = needed.max(self.text.capacity() * 2).max(32);
            let mut larger = Zeroizing::new(String::with_capacity(room));
            larger.push_str(&self.text);
            self.text = larger;
        }
    }

    pub(crate) fn push(&mut self, c: char) {
        self.reserve(c.len_utf8());
        self.text.push(c);
    }

    pub(crate) fn push_str(&mut self, text: &str) {
        self.reserve(text.len());
        self.text.push_str(text);
    }

    pub(crate) fn variable(&mut self, variable: Variable<'a>) {
        self.flush();
        self.done.push(Piece::Variable(variable));
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            let text = std::mem::take(&mut self.text);
            self.done.push(Piece::Made(text));
        }
    }

    pub(crate) fn finish(mut self) -> Vec<Piece<'a>> {
        self.flush();
        self.done
    }
}

/// White space as Python's `str.isspace` has it.
pub(crate) fn is_python_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// Characters at which Python's `str.splitlines` ends a line.
pub(crate) fn splits_lines(c: char) -> bool {
    matches!(
        c,
        '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

/// Code points that are no characters (Unicode 17, 23.7).
pub(crate) fn is_noncharacter(c: char) -> bool {
    matches!(u32::from(c), 0xfdd0..=0xfdef) || u32::from(c) & 0xfffe == 0xfffe
}

/// Where the line of this position begins.
pub(crate) fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |end| end + 1)
}

/// After the line of this position, its end included.
pub(crate) fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |end| at + end + 1)
}

/// Whether nothing but blanks, or a comment where there are any, is left of the line.
pub(crate) fn rest_is_idle(text: &str, at: usize) -> bool {
    let rest = text[at..].trim_start_matches(|c: char| c != '\n' && c.is_whitespace());
    rest.is_empty() || rest.starts_with(['\n', '#'])
}

/// Where the line of an ascending row of places begins, looking at each byte once.
#[derive(Debug, Default)]
pub(crate) struct LineStarts {
    scanned: usize,
    start: usize,
}

impl LineStarts {
    /// From this place on.
    pub(crate) fn from(start: usize) -> Self {
        Self {
            scanned: start,
            start,
        }
    }

    pub(crate) fn of(&mut self, text: &str, at: usize) -> usize {
        if let Some(end) = memchr::memrchr(
            b'\n',
            text.get(self.scanned..at).unwrap_or_default().as_bytes(),
        ) {
            self.start = self.scanned + end + 1;
        }
        self.scanned = self.scanned.max(at);
        self.start
    }
}
