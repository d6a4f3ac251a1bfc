//! Readers that go line by line: a value has no line ends, and what stands after it is its own.

use std::ops::Range;

use secrets_api::Zeroizing;

use super::{Binding, MOST_BINDINGS, Piece, Problem, Quote, is_python_space, splits_lines};
use crate::dialect::Lines;

pub(super) fn bindings(reader: Lines, text: &str, start: usize) -> Vec<Binding> {
    let mut found = Vec::new();
    let mut at = start;
    while at < text.len() && found.len() <= MOST_BINDINGS {
        let (line, next) = line(reader, text, at);
        let parsed = match reader {
            Lines::DjangoEnviron => django_environ(&text[line.clone()]),
            Lines::Decouple => decouple(&text[line.clone()]),
            Lines::Docker => docker(&text[line.clone()]),
        };
        if let Some(parsed) = parsed {
            found.push(binding(parsed, line.start, at..next));
        }
        at = next;
    }
    found
}

/// A line without its end, and where the next begins.
fn line(reader: Lines, text: &str, at: usize) -> (Range<usize>, usize) {
    let rest = &text[at..];
    let ends = |c: char| match reader {
        Lines::DjangoEnviron => splits_lines(c),
        // Python's universal newlines.
        Lines::Decouple => c == '\n' || c == '\r',
        Lines::Docker => c == '\n',
    };
    let Some(length) = rest.find(ends) else {
        return (at..text.len(), text.len());
    };
    let end = if rest[length..].starts_with("\r\n") {
        2
    } else {
        rest[length..].chars().next().map_or(0, char::len_utf8)
    };
    let content = match reader {
        // Go's bufio.ScanLines takes one carriage return off.
        Lines::Docker => rest[..length].strip_suffix('\r').unwrap_or(&rest[..length]),
        _ => &rest[..length],
    };
    (at..at + content.len(), at + length + end)
}

/// A line with something in it; places are those in the line.
enum Line {
    Item {
        key: Range<usize>,
        value: Option<Range<usize>>,
    },
    Wrong(Problem),
}

fn binding(parsed: Line, offset: usize, line: Range<usize>) -> Binding {
    let moved = |span: Range<usize>| span.start + offset..span.end + offset;
    let mut binding = Binding {
        line,
        key: None,
        key_end: offset,
        value: None,
        quote: Quote::None,
        problem: None,
    };
    match parsed {
        Line::Item { key, value } => {
            let key = moved(key);
            binding.key_end = key.end;
            binding.key = Some(key);
            binding.value = value.map(moved);
        }
        Line::Wrong(problem) => {
            binding.problem = Some(Problem {
                at: problem.at + offset,
                ..problem
            });
        }
    }
    binding
}

fn wrong(at: usize, why: &'static str, fatal: bool) -> Option<Line> {
    Some(Line::Wrong(Problem { at, why, fatal }))
}

/// `\A(?:export )?([A-Za-z_0-9]+)=(.*)\Z`; a comment has its `#` in the first column.
fn django_environ(line: &str) -> Option<Line> {
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let start = if line.starts_with("export ") { 7 } else { 0 };
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let length = line[start..]
        .find(|c| !word(c))
        .unwrap_or(line.len() - start);
    let end = start + length;
    if length == 0 || !line[end..].starts_with('=') {
        return wrong(
            end,
            "django-environ leaves this line out: NAME=value, with nothing before NAME but `export `",
            false,
        );
    }
    Some(Line::Item {
        key: start..end,
        value: Some(end + 1..line.len()),
    })
}

/// `line.strip()`, parted at the first `=`, both sides stripped.
fn decouple(line: &str) -> Option<Line> {
    let stripped = line.trim_matches(is_python_space);
    if stripped.is_empty() || stripped.starts_with('#') {
        return None;
    }
    let start = line.len() - line.trim_start_matches(is_python_space).len();
    let Some(equals) = stripped.find('=') else {
        return wrong(
            start,
            "decouple leaves this line out: there is no `=`",
            false,
        );
    };
    let key = stripped[..equals].trim_end_matches(is_python_space);
    let after = &stripped[equals + 1..];
    let blanks = after.len() - after.trim_start_matches(is_python_space).len();
    Some(Line::Item {
        key: start..start + key.len(),
        value: Some(start + equals + 1 + blanks..start + stripped.len()),
    })
}

/// Trimmed on the left, parted at the first `=`; the value is what is left, as it is.
fn docker(line: &str) -> Option<Line> {
    let trimmed = line.trim_start();
    if trimmed.is_empty() || trimmed.starts_with('#') {
        return None;
    }
    let start = line.len() - trimmed.len();
    let (key, value) = match trimmed.split_once('=') {
        Some((key, _)) => (key, Some(start + key.len() + 1..line.len())),
        None => (trimmed, None),
    };
    if key.is_empty() {
        return wrong(start, "docker gives the file up: there is no name", true);
    }
    if key.contains([' ', '\t']) {
        return wrong(
            start,
            "docker gives the file up: a name holds no blanks, and `export` is none of its words",
            true,
        );
    }
    Some(Line::Item {
        key: start..start + key.len(),
        value,
    })
}

/// What a value means.
pub(super) fn value(reader: Lines, written: &str) -> Piece<'_> {
    let inner = |text: &'_ str, quote: char| {
        let wrapped = text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
        wrapped.then(|| text.len() - 1)
    };
    match reader {
        Lines::Docker => Piece::Text(written),
        Lines::Decouple => {
            let end = inner(written, '\'').or_else(|| inner(written, '"'));
            Piece::Text(end.map_or(written, |end| &written[1..end]))
        }
        Lines::DjangoEnviron => {
            // `'…'` first, then `"…"`, also within it.
            let text = inner(written, '\'').map_or(written, |end| &written[1..end]);
            let Some(end) = inner(text, '"') else {
                return Piece::Text(text);
            };
            let text = &text[1..end];
            if !text.contains('\\') {
                return Piece::Text(text);
            }
            // `re.sub(r'\\(.)', …)`: `\n`, `\r` and `\t` stay, all else loses its backslash.
            let mut out = Zeroizing::new(String::with_capacity(text.len()));
            let mut rest = text.chars();
            while let Some(c) = rest.next() {
                match (c, rest.clone().next()) {
                    ('\\', Some(after)) => {
                        if matches!(after, 'n' | 'r' | 't') {
                            out.push('\\');
                        }
                        out.push(after);
                        rest.next();
                    }
                    _ => out.push(c),
                }
            }
            Piece::Made(out)
        }
    }
}
