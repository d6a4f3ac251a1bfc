//! python-dotenv, byte for byte: a file is a row of bindings; what cannot be read ends with its line.

use std::ops::Range;

use secrets_api::Zeroizing;

use super::braces::{self, Part};
use super::{
    Binding, MOST_BINDINGS, Otherwise, Piece, Problem, Quote, Variable, is_python_space as is_space,
};

fn is_line_end(c: char) -> bool {
    c == '\n' || c == '\r'
}

pub(super) fn bindings(text: &str, start: usize) -> Vec<Binding> {
    let mut reader = Reader {
        text,
        start,
        at: start,
    };
    let mut found = Vec::new();
    while reader.at < text.len() && found.len() <= MOST_BINDINGS {
        if let Some(binding) = reader.binding() {
            found.push(binding);
        }
    }
    found
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

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Goes on while `wanted`; says how far it went.
    fn skip(&mut self, wanted: impl Fn(char) -> bool) -> Range<usize> {
        let start = self.at;
        let rest = self.rest();
        self.at += rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        start..self.at
    }

    fn skip_blanks(&mut self) {
        self.skip(|c| is_space(c) && !is_line_end(c));
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
            self.skip(|c| !is_line_end(c));
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
        if self.peek() == Some('=') {
            self.at += 1;
            let blanks = self.skip(|c| is_space(c) && !is_line_end(c));
            let comment = !blanks.is_empty() && self.peek() == Some('#');
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
        let ended = self.at == self.text.len() || self.peek().is_some_and(is_line_end);
        self.line_end();
        ended.then_some(())
    }

    /// `None`: cannot be read. `Some(None)`: there is no key, but a comment.
    fn key(&mut self) -> Option<Option<Range<usize>>> {
        let key = match self.peek() {
            Some('#') => return Some(None),
            Some('\'') => {
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
            Some('\'') => self.quoted('\'').map(|span| (span, Quote::Single)),
            Some('"') => self.quoted('"').map(|span| (span, Quote::Double)),
            _ => Some((self.bare(), Quote::None)),
        }
    }

    /// `'(?:\\.|[^'\\])*'`, over line ends too: a backslash takes the character after it along.
    fn quoted(&mut self, quote: char) -> Option<Range<usize>> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut at = start + 1;
        loop {
            // Neither is a part of a longer UTF-8 sequence.
            at += bytes
                .get(at..)?
                .iter()
                .position(|b| *b == quote as u8 || *b == b'\\')?;
            if bytes[at] == quote as u8 {
                self.at = at + 1;
                return Some(start..self.at);
            }
            at += 1 + self.text[at + 1..].chars().next()?.len_utf8();
        }
    }

    /// To the end of the line, less a comment after white space, less white space at the end.
    fn bare(&mut self) -> Range<usize> {
        let line = self.skip(|c| !is_line_end(c));
        let text = &self.text[line.clone()];
        let mut end = text.len();
        let mut before = None;
        for (at, c) in text.char_indices() {
            if c == '#' && before.is_some() {
                end = before.unwrap_or(end);
                break;
            }
            before = is_space(c).then(|| before.unwrap_or(at));
        }
        let kept = text[..end].trim_end_matches(is_space);
        line.start..line.start + kept.len()
    }

    fn comment(&mut self) {
        let mark = self.at;
        self.skip_blanks();
        if self.peek() == Some('#') {
            self.skip(|c| !is_line_end(c));
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
    if !interpolates {
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
    let mut out = Zeroizing::new(String::with_capacity(text.len()));
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
