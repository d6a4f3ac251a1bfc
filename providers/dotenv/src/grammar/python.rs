//! python-dotenv, byte for byte: a file is a row of bindings; what cannot be read ends with its line.

use std::ops::Range;

use secrets_api::Zeroizing;

use super::braces::{self, Part};
use super::{Binding, Otherwise, Piece, Problem, Quote, Variable, is_python_space as is_space};

fn is_line_end(c: char) -> bool {
    c == '\n' || c == '\r'
}

pub(super) fn bindings(text: &str, start: usize) -> impl Iterator<Item = Binding> {
    let mut reader = Reader {
        text,
        start,
        at: start,
    };
    std::iter::from_fn(move || {
        loop {
            if let Some(binding) = reader.plain_line() {
                return Some(binding);
            }
            let binding = reader.binding()?;
            // Comments are none.
            if binding.key.is_some() || binding.problem.is_some() {
                return Some(binding);
            }
        }
    })
}

struct Reader<'a> {
    text: &'a str,
    /// After the byte order mark.
    start: usize,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// The next byte; all that has a meaning here is one.
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Goes on while `wanted`. ASCII is judged byte by byte.
    fn skip(&mut self, wanted: impl Fn(char) -> bool) -> Range<usize> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            let c = if byte.is_ascii() {
                char::from(*byte)
            } else {
                self.rest().chars().next().unwrap_or_default()
            };
            if !wanted(c) {
                break;
            }
            self.at += c.len_utf8();
        }
        start..self.at
    }

    fn skip_blanks(&mut self) {
        self.skip(|c| is_space(c) && !is_line_end(c));
    }

    /// To the end of the line.
    fn skip_line(&mut self) -> Range<usize> {
        let start = self.at;
        let rest = &self.text.as_bytes()[start..];
        self.at += memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        start..self.at
    }

    /// The next binding, if it is a line of the plainest sort, as most are: `NAME=value` with a value
    /// of printable ASCII or in quotes, and at most a comment behind it; comments before it are passed. It says what [`Reader::binding`] would.
    fn plain_line(&mut self) -> Option<Binding> {
        let bytes = self.text.as_bytes();
        while bytes.get(self.at) == Some(&b'#') {
            self.at += memchr::memchr2(b'\n', b'\r', &bytes[self.at..])? + 1;
        }
        let start = self.at;
        let exported = bytes[start..].starts_with(b"export ");
        let key = start + if exported { "export ".len() } else { 0 };
        let mut at = key;
        while bytes.get(at).is_some_and(|b| NAME[usize::from(*b)]) {
            at += 1;
        }
        let key = key..at;
        if key.is_empty() || bytes.get(at) != Some(&b'=') || !self.begins_line(start) {
            return None;
        }
        let from = at + 1;
        let (end, quote) = match bytes.get(from)? {
            quote @ (b'\'' | b'"') => {
                let mut at = from + 1;
                loop {
                    at += memchr::memchr2(*quote, b'\\', &bytes[at..])?;
                    if bytes[at] == *quote {
                        break;
                    }
                    // What it takes along is no part of a longer character if it is ASCII.
                    at += if bytes.get(at + 1)?.is_ascii() {
                        2
                    } else {
                        return None;
                    };
                }
                let kind = if *quote == b'"' {
                    Quote::Double
                } else {
                    Quote::Single
                };
                (at + 1, kind)
            }
            _ => {
                let mut at = from;
                while bytes
                    .get(at)
                    .is_some_and(|b| b.is_ascii_graphic() && *b != b'#')
                {
                    at += 1;
                }
                (at, Quote::None)
            }
        };
        let mut next = end;
        if quote != Quote::None && bytes[end..].starts_with(b" #") {
            next += memchr::memchr2(b'\n', b'\r', &bytes[end..])?;
        }
        if bytes.get(next) != Some(&b'\n') {
            return None;
        }
        self.at = next + 1;
        Some(Binding {
            line: start..next + 1,
            key_end: key.end,
            key: Some(key),
            value: Some(from..end),
            quote,
            problem: None,
        })
    }

    /// Whether a line begins here.
    fn begins_line(&self, at: usize) -> bool {
        at == self.start || is_line_end(self.text.as_bytes()[at - 1].into())
    }

    /// The next binding; `None` for white space at the end.
    fn binding(&mut self) -> Option<Binding> {
        self.skip(is_space);
        if self.at == self.text.len() {
            return None;
        }
        // What stands before it in its line is indentation of the line itself.
        let start = self.text[..self.at]
            .rfind(is_line_end)
            .map_or(self.start, |end| end + 1);
        let mut binding = Binding {
            line: start..start,
            key: None,
            key_end: self.at,
            value: None,
            quote: Quote::None,
            problem: None,
        };
        if self.item(&mut binding).is_none() {
            binding.problem = Some(Problem {
                at: self.at,
                why: "python-dotenv leaves this line out: write NAME=value, with quotes that are closed",
                fatal: false,
            });
            binding.key = None;
            binding.value = None;
            self.skip_line();
            self.line_end();
        }
        binding.line.end = self.at;
        Some(binding)
    }

    fn item(&mut self, binding: &mut Binding) -> Option<()> {
        let after = self.rest().strip_prefix("export").unwrap_or_default();
        if after.starts_with(|c| is_space(c) && !is_line_end(c)) {
            self.at += "export".len();
            self.skip_blanks();
        }
        binding.key = self.key()?;
        binding.key_end = self.at;
        self.skip_blanks();
        if self.peek() == Some(b'=') {
            self.at += 1;
            let blanks = self.skip(|c| is_space(c) && !is_line_end(c));
            let comment = !blanks.is_empty() && self.peek() == Some(b'#');
            let (value, quote) = if comment {
                // `KEY= # why`: the value is empty and stands right behind the `=`.
                self.at = blanks.start;
                (blanks.start..blanks.start, Quote::None)
            } else {
                self.value()?
            };
            binding.value = Some(value);
            binding.quote = quote;
        }
        self.comment();
        self.skip_blanks();
        let ended =
            self.at == self.text.len() || self.peek().is_some_and(|b| is_line_end(b.into()));
        self.line_end();
        ended.then_some(())
    }

    /// `None`: cannot be read. `Some(None)`: there is no key, but a comment.
    fn key(&mut self) -> Option<Option<Range<usize>>> {
        let key = match self.peek() {
            Some(b'#') => return Some(None),
            Some(b'\'') => {
                let inner = self.rest()[1..].find('\'').filter(|length| *length > 0)?;
                let start = self.at + 1;
                self.at = start + inner + 1;
                start..start + inner
            }
            _ => self.skip(|c| c != '=' && c != '#' && !is_space(c)),
        };
        (!key.is_empty()).then_some(Some(key))
    }

    fn value(&mut self) -> Option<(Range<usize>, Quote)> {
        match self.peek() {
            Some(b'\'') => self.quoted(b'\'').map(|span| (span, Quote::Single)),
            Some(b'"') => self.quoted(b'"').map(|span| (span, Quote::Double)),
            _ => Some((self.bare(), Quote::None)),
        }
    }

    /// `'(?:\\.|[^'\\])*'`, over line ends too: a backslash takes the character after it along.
    fn quoted(&mut self, quote: u8) -> Option<Range<usize>> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut at = start + 1;
        loop {
            // Neither is a part of a longer UTF-8 sequence.
            at += memchr::memchr2(quote, b'\\', bytes.get(at..)?)?;
            if bytes[at] == quote {
                self.at = at + 1;
                return Some(start..self.at);
            }
            at += 1 + self.text[at + 1..].chars().next()?.len_utf8();
        }
    }

    /// To the end of the line, less a comment after white space, less white space at the end.
    fn bare(&mut self) -> Range<usize> {
        let line = self.skip_line();
        let text = &self.text[line.clone()];
        // A comment has white space before it.
        let comment =
            memchr::memchr_iter(b'#', text.as_bytes()).find(|at| text[..*at].ends_with(is_space));
        let kept = text[..comment.unwrap_or(text.len())].trim_end_matches(is_space);
        line.start..line.start + kept.len()
    }

    fn comment(&mut self) {
        let mark = self.at;
        self.skip_blanks();
        if self.peek() == Some(b'#') {
            self.skip_line();
        } else {
            self.at = mark;
        }
    }

    fn line_end(&mut self) {
        let rest = self.rest();
        self.at += if rest.starts_with("\r\n") {
            2
        } else {
            usize::from(rest.starts_with(is_line_end))
        };
    }
}

/// Characters after a backslash that have a meaning in `'…'`, each beside what it becomes.
const SINGLE: &[(char, char)] = &[('\\', '\\'), ('\'', '\'')];
/// The same in `"…"`.
const DOUBLE: &[(char, char)] = &[
    ('\\', '\\'),
    ('\'', '\''),
    ('"', '"'),
    ('a', '\x07'),
    ('b', '\x08'),
    ('f', '\x0c'),
    ('n', '\n'),
    ('r', '\r'),
    ('t', '\t'),
    ('v', '\x0b'),
];

/// A value without variables.
pub(super) fn plain(written: &str, quote: Quote) -> Option<Piece<'_>> {
    let escapes = match quote {
        Quote::None => {
            let variable = memchr::memchr(b'$', written.as_bytes());
            return variable.is_none().then_some(Piece::Text(written));
        }
        Quote::Single => SINGLE,
        Quote::Double => DOUBLE,
    };
    let inner = &written[1..written.len() - 1];
    match memchr::memchr2(b'$', b'\\', inner.as_bytes()) {
        None => Some(Piece::Text(inner)),
        Some(_) if memchr::memchr(b'$', inner.as_bytes()).is_some() => None,
        Some(_) => Some(Piece::Made(unescape(inner, escapes))),
    }
}

/// What names are made of as a rule.
const NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        let c = byte as u8;
        table[byte] = c.is_ascii_alphanumeric() || c == b'_' || c == b'.' || c == b'-';
        byte += 1;
    }
    table
};

/// What a value means.
pub(super) fn pieces(written: &str, quote: Quote, interpolates: bool) -> Vec<Piece<'_>> {
    let (inner, escapes) = match quote {
        Quote::None => (written, &[][..]),
        Quote::Single => (&written[1..written.len() - 1], SINGLE),
        Quote::Double => (&written[1..written.len() - 1], DOUBLE),
    };
    let plain = escapes.is_empty() || !inner.contains('\\');
    if plain && (!interpolates || !inner.contains("${")) {
        return vec![Piece::Text(inner)];
    }
    if plain {
        return braces::parts(inner).map(borrowed).collect();
    }
    let text = unescape(inner, escapes);
    if !interpolates || memchr::memchr(b'$', text.as_bytes()).is_none() {
        return vec![Piece::Made(text)];
    }
    let made = |text: &str| Piece::Made(Zeroizing::new(text.to_owned()));
    let parts = braces::parts(&text).map(|part| match part {
        Part::Text(text) => made(text),
        Part::Variable { name, default } => Piece::Variable(Variable {
            name: name.to_owned().into(),
            otherwise: default_of(made(default)),
        }),
    });
    parts.collect()
}

fn borrowed(part: Part<'_>) -> Piece<'_> {
    match part {
        Part::Text(text) => Piece::Text(text),
        Part::Variable { name, default } => Piece::Variable(Variable {
            name: name.into(),
            otherwise: default_of(Piece::Text(default)),
        }),
    }
}

fn default_of(piece: Piece<'_>) -> Otherwise<'_> {
    Otherwise::Default {
        empty: false,
        word: vec![piece],
    }
}

fn unescape(text: &str, escapes: &[(char, char)]) -> Zeroizing<String> {
    let meaning = |after: u8| escapes.iter().find(|(from, _)| *from == char::from(after));
    let bytes = text.as_bytes();
    // Each escape with a meaning makes one byte of two: known before, the text has its very size.
    let mut length = text.len();
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr(b'\\', rest)) {
        at += found + 1;
        if bytes.get(at).is_some_and(|b| meaning(*b).is_some()) {
            length -= 1;
            at += 1;
        }
    }
    let mut out = Zeroizing::new(String::with_capacity(length));
    let mut rest = text;
    while let Some(found) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..found]);
        match rest.as_bytes().get(found + 1).and_then(|b| meaning(*b)) {
            Some((_, to)) => {
                out.push(*to);
                rest = &rest[found + 2..];
            }
            None => {
                out.push('\\');
                rest = &rest[found + 1..];
            }
        }
    }
    out.push_str(rest);
    out
}
