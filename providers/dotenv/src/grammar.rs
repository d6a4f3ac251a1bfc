//! The grammar, byte for byte as python-dotenv's: a file is a row of bindings; what cannot be read
//! ends with its line. Nothing is resolved or copied here: a binding is spans into the text.

use std::ops::Range;

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quote {
    None,
    Single,
    Double,
}

/// One binding: a comment, blank lines, an item, or what cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binding {
    /// From the first character of its own line (white space before it belongs to nobody) to after
    /// its line end.
    pub(crate) line: Range<usize>,
    /// The key, without quotes.
    pub(crate) key: Option<Range<usize>>,
    /// After the key, with the quotes it may have.
    pub(crate) key_end: usize,
    /// The value as it is written, quotes included; `None` without `=`.
    pub(crate) value: Option<Range<usize>>,
    pub(crate) quote: Quote,
    /// Where it cannot be read.
    pub(crate) error: Option<usize>,
}

/// White space as Python's `str.isspace` has it.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

fn is_line_end(c: char) -> bool {
    c == '\n' || c == '\r'
}

/// Most bindings of one file; what each costs in memory is many times the two bytes of a hostile
/// line.
pub(crate) const MOST_BINDINGS: usize = 100_000;

/// Takes the text apart, up to one more than [`MOST_BINDINGS`].
pub(crate) fn bindings(text: &str) -> Vec<Binding> {
    let mut reader = Reader { text, at: 0 };
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
            .map_or(0, |end| end + 1);
        let mut binding = Binding {
            line: start..start,
            key: None,
            key_end: self.at,
            value: None,
            quote: Quote::None,
            error: None,
        };
        if self.item(&mut binding).is_none() {
            binding.error = Some(self.at);
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
