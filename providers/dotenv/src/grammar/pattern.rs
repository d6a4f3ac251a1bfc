//! Readers that search one regular expression over the whole text. It is matched by hand, with what
//! its backtracking comes to; what does not match is passed over by them without a word.
//!
//! node: `^\s*(?:export\s+)?([\w.-]+)(?:\s*=\s*?|:\s+?)(\s*'(?:\\'|[^'])*'|\s*"(?:\\"|[^"])*"|`
//! `` \s*`(?:\\`|[^`])*`|[^#\r\n]+)?\s*(?:#.*)?$ ``. ruby: the same without backticks and `-` in keys, and with
//! the part from `=` on optional.

use std::collections::HashSet;

use secrets_api::Zeroizing;

use super::{Binding, MOST_BINDINGS, Piece, Pieces, Problem, Quote, Unreadable, Variable};
use crate::dialect::Pattern;

const RUNS: &str =
    "this value would run a command when ruby's dotenv reads it: nothing is run here";

pub(super) fn bindings(reader: Pattern, text: &str, start: usize) -> Vec<Binding> {
    let mut found = Vec::new();
    let mut set = HashSet::new();
    let mut at = start;
    while at < text.len() && found.len() <= MOST_BINDINGS {
        // Blank lines are skipped at once: from each of them the same would be found.
        let first = skip(reader, text, at);
        if first == text.len() {
            break;
        }
        at = line_start(reader, text, first).max(at);
        match matched(reader, text, at) {
            Some((mut binding, next)) => {
                at = next;
                // ruby: `export NAME` without a value is a fault only if no earlier line has set it.
                let key = binding.key.clone().map(|key| &text[key]);
                if key.is_some_and(|key| !set.insert(key)) {
                    binding.problem = None;
                }
                found.push(binding);
            }
            None => {
                let next = line_end(reader, text, at);
                let line = &text[at..next];
                let content = line.trim_matches(|c| is_space(reader, c));
                if !content.is_empty() && !content.starts_with('#') {
                    found.push(Binding {
                        line: at..next,
                        key: None,
                        key_end: at,
                        value: None,
                        quote: Quote::None,
                        problem: Some(Problem {
                            at: at + (line.len() - line.trim_start().len()),
                            why: "its reader leaves this line out: write NAME=value",
                            fatal: false,
                        }),
                    });
                }
                at = next;
            }
        }
    }
    found
}

/// White space as the regular expression engine has it.
fn is_space(reader: Pattern, c: char) -> bool {
    match reader {
        // ECMAScript: WhiteSpace and LineTerminator.
        Pattern::Node => {
            matches!(c, '\t'..='\r' | ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}')
                || matches!(
                    c,
                    '\u{2028}' | '\u{2029}' | '\u{202f}' | '\u{205f}' | '\u{3000}' | '\u{feff}'
                )
        }
        Pattern::Ruby => matches!(c, '\t'..='\r' | ' '),
    }
}

/// After the white space at this place.
fn skip(reader: Pattern, text: &str, at: usize) -> usize {
    let rest = &text[at..];
    at + rest.find(|c| !is_space(reader, c)).unwrap_or(rest.len())
}

/// Both readers turn `\r\n` and `\r` into `\n` first.
fn ends_line(c: char) -> bool {
    c == '\n' || c == '\r'
}

/// A line terminator of ECMAScript, where `^` and `$` match and `.` does not.
fn terminates(reader: Pattern, c: char) -> bool {
    ends_line(c) || (reader == Pattern::Node && matches!(c, '\u{2028}' | '\u{2029}'))
}

/// Where the line of this place begins.
fn line_start(reader: Pattern, text: &str, at: usize) -> usize {
    let before = &text[..at];
    let end = before.char_indices().rfind(|(_, c)| terminates(reader, *c));
    end.map_or(0, |(end, c)| end + c.len_utf8())
}

/// After the line of this place, its end included.
fn line_end(reader: Pattern, text: &str, at: usize) -> usize {
    let mut rest = text[at..].char_indices();
    let Some((end, c)) = rest.find(|(_, c)| terminates(reader, *c)) else {
        return text.len();
    };
    let crlf = text[at + end..].starts_with("\r\n");
    at + end + if crlf { 2 } else { c.len_utf8() }
}

/// Whether nothing but blanks and a comment is left of the line.
fn rest_is_idle(reader: Pattern, text: &str, at: usize) -> bool {
    let ends = |c: char| terminates(reader, c);
    let rest = text[at..].trim_start_matches(|c: char| !ends(c) && c.is_whitespace());
    rest.is_empty() || rest.starts_with(|c| ends(c) || c == '#')
}

/// The binding whose line begins here, and where the search goes on.
fn matched(reader: Pattern, text: &str, line: usize) -> Option<(Binding, usize)> {
    let start = skip(reader, text, line);
    let exported = text[start..].strip_prefix("export").and_then(|rest| {
        let after = skip(reader, text, start + "export".len());
        (after > text.len() - rest.len()).then_some(after)
    });
    exported
        .and_then(|key| item(reader, text, key, true))
        .or_else(|| item(reader, text, start, false))
        .map(|(mut binding, next)| {
            let first = line_start(reader, text, start);
            binding.line.start = first.max(line);
            (binding, next)
        })
}

fn item(reader: Pattern, text: &str, at: usize, exported: bool) -> Option<(Binding, usize)> {
    let word = |c: char| {
        c.is_ascii_alphanumeric() || c == '_' || c == '.' || (reader == Pattern::Node && c == '-')
    };
    let rest = &text[at..];
    let key = at..at + rest.find(|c| !word(c)).unwrap_or(rest.len());
    if key.is_empty() {
        return None;
    }
    let equals = skip(reader, text, key.end);
    let value = if text[equals..].starts_with('=') {
        Some(equals + 1)
    } else {
        // One white space belongs to the colon.
        let after = text[key.end..]
            .strip_prefix(':')
            .and_then(|r| r.chars().next());
        after.filter(|c| is_space(reader, *c)).map(|c| {
            // `\r\n` has become one of them.
            let crlf = text[key.end + 1..].starts_with("\r\n");
            key.end + 1 + if crlf { 2 } else { c.len_utf8() }
        })
    };
    let mut binding = Binding {
        line: at..at,
        key_end: key.end,
        key: Some(key.clone()),
        value: None,
        quote: Quote::None,
        problem: None,
    };
    let Some(from) = value else {
        if reader == Pattern::Node {
            return None;
        }
        let end = tail(reader, text, key.end)?;
        binding.line.end = line_end(reader, text, key.end);
        if exported {
            binding.problem = Some(Problem {
                at: key.start,
                why: "ruby's dotenv gives the file up: what is exported has no value",
                fatal: true,
            });
        }
        return Some((binding, next(reader, text, end)));
    };
    let (span, end) = value_at(reader, text, from);
    let trimmed = {
        let written = &text[span.clone()];
        let blank = |c: char| is_space(reader, c) || (reader == Pattern::Ruby && c == '\0');
        let left = written.len() - written.trim_start_matches(blank).len();
        let right = written.trim_end_matches(blank).len();
        if left >= right {
            // An empty value stands right behind its `=`.
            from..from
        } else {
            span.start + left..span.start + right
        }
    };
    binding.line.end = if rest_is_idle(reader, text, trimmed.end) {
        line_end(reader, text, trimmed.end)
    } else {
        trimmed.end
    };
    binding.value = Some(trimmed);
    Some((binding, next(reader, text, end)))
}

/// Where the search goes on after a match that ended here: at the next line.
fn next(reader: Pattern, text: &str, end: usize) -> usize {
    if end >= text.len() {
        text.len()
    } else {
        line_end(reader, text, end)
    }
}

/// The value and where the match ends; the first alternative whose tail matches.
fn value_at(reader: Pattern, text: &str, from: usize) -> (std::ops::Range<usize>, usize) {
    let open = skip(reader, text, from);
    let quotes: &[char] = match reader {
        Pattern::Node => &['\'', '"', '`'],
        Pattern::Ruby => &['\'', '"'],
    };
    if let Some(quote) = text[open..].chars().next().filter(|c| quotes.contains(c)) {
        // The star is greedy: up to a quote without a backslash, and if that has no tail, back over
        // those with one.
        let mut candidates = Vec::new();
        let bytes = text.as_bytes();
        let mut at = open + 1;
        while let Some(length) = bytes[at..].iter().position(|b| *b == quote as u8) {
            let close = at + length;
            let escaped = close > open + 1 && bytes[close - 1] == b'\\';
            candidates.push(close);
            if !escaped || candidates.len() > 1000 {
                break;
            }
            at = close + 1;
        }
        for close in candidates.into_iter().rev() {
            if let Some(end) = tail(reader, text, close + 1) {
                return (from..close + 1, end);
            }
        }
    }
    let rest = &text[from..];
    let stop = from
        + rest
            .find(|c| c == '#' || ends_line(c))
            .unwrap_or(rest.len());
    let end = tail(reader, text, stop).unwrap_or(stop);
    (from..stop, end)
}

/// `\s*(?:#.*)?$`: where it ends, if it matches here.
fn tail(reader: Pattern, text: &str, at: usize) -> Option<usize> {
    let ends = |c: char| terminates(reader, c);
    let after = skip(reader, text, at);
    let rest = &text[after..];
    if rest.is_empty() {
        return Some(after);
    }
    if rest.starts_with('#') {
        return Some(after + rest.find(ends).unwrap_or(rest.len()));
    }
    // The last line end of the white space.
    text[at..after].rfind(ends).map(|end| at + end)
}

/// What a value means.
pub(super) fn pieces(reader: Pattern, written: &str) -> Result<Vec<Piece<'_>>, Unreadable> {
    let quote = written.chars().next().filter(|c| match reader {
        Pattern::Node => matches!(c, '\'' | '"' | '`'),
        Pattern::Ruby => matches!(c, '\'' | '"'),
    });
    let closed = quote.filter(|q| written.len() > 1 && written.ends_with(*q));
    let inner = match closed {
        Some(_) => &written[1..written.len() - 1],
        None => written,
    };
    match reader {
        Pattern::Node => {
            // By the first character, whether or not the quote is closed.
            if quote != Some('"') || !inner.contains('\\') {
                return Ok(vec![Piece::Text(inner)]);
            }
            let mut out = Zeroizing::new(String::with_capacity(inner.len()));
            replaced(inner, &mut out);
            Ok(vec![Piece::Made(out)])
        }
        Pattern::Ruby if closed == Some('\'') => Ok(vec![Piece::Text(inner)]),
        Pattern::Ruby => ruby(inner, closed == Some('"')),
    }
}

/// `\n` and `\r` as two passes over the text make them.
fn replaced(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let (made, length) = match rest.as_bytes().get(at + 1) {
            Some(b'n') => ('\n', 2),
            Some(b'r') => ('\r', 2),
            _ => ('\\', 1),
        };
        out.push(made);
        rest = &rest[at + length..];
    }
    out.push_str(rest);
}

/// `unescape_characters`, then commands, then variables.
fn ruby(text: &str, double: bool) -> Result<Vec<Piece<'_>>, Unreadable> {
    if !text.contains(['\\', '$']) {
        return Ok(vec![Piece::Text(text)]);
    }
    // In "…" `\n` and `\r` are doubled first, and so come out as they went in.
    let mut plain = Zeroizing::new(String::with_capacity(text.len() * 2));
    let mut doubled = Zeroizing::new(String::with_capacity(text.len() * 2));
    if double {
        let mut rest = text;
        while let Some(at) = rest.find('\\') {
            doubled.push_str(&rest[..at]);
            doubled.push('\\');
            if matches!(rest.as_bytes().get(at + 1), Some(b'n' | b'r')) {
                doubled.push('\\');
                doubled.push_str(&rest[at + 1..at + 2]);
                rest = &rest[at + 2..];
            } else {
                rest = &rest[at + 1..];
            }
        }
        doubled.push_str(rest);
    } else {
        doubled.push_str(text);
    }
    let mut rest = doubled.chars();
    while let Some(c) = rest.next() {
        match (c, rest.clone().next()) {
            ('\\', Some(after)) if after != '$' => {
                plain.push(after);
                rest.next();
            }
            _ => plain.push(c),
        }
    }
    variables(&plain)
}

/// `(\\)?(\$)(?!\()\{?([A-Z0-9_]+)?\}?`, without regard to case.
fn variables(text: &str) -> Result<Vec<Piece<'static>>, Unreadable> {
    let mut out = Pieces::default();
    let mut rest = text;
    let commands = commands(text);
    while let Some(at) = rest.find('$') {
        let escaped = rest[..at].ends_with('\\');
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        if after.starts_with('(') {
            let is_command = commands.contains(&(text.len() - after.len()));
            if !escaped && is_command {
                return Err((0, RUNS));
            }
            // `\$(…)` loses its backslash, where it is one of a command.
            let before = if escaped && is_command {
                &before[..at - 1]
            } else {
                before
            };
            out.push_str(before);
            out.push('$');
            rest = after;
            continue;
        }
        let open = usize::from(after.starts_with('{'));
        let name = after[open..]
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .map_or(&after[open..], |end| &after[open..open + end]);
        let close = usize::from(after[open + name.len()..].starts_with('}'));
        let length = open + name.len() + close;
        if escaped {
            out.push_str(&before[..at - 1]);
            out.push('$');
            out.push_str(&after[..length]);
        } else if name.is_empty() {
            out.push_str(before);
            out.push('$');
            out.push_str(&after[..length]);
        } else {
            out.push_str(before);
            out.variable(Variable::plain(name.to_owned()));
        }
        rest = &after[length..];
    }
    out.push_str(rest);
    Ok(out.finish())
}

/// Where `\((?:[^()]|\g<cmd>)+\)` matches: the parentheses that are closed and hold something.
fn commands(text: &str) -> HashSet<usize> {
    let mut found = HashSet::new();
    // What is open: where, whether there is anything in it, and whether all of that fits.
    let mut open: Vec<(usize, bool, bool)> = Vec::new();
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => open.push((at, false, true)),
            b')' => {
                let Some((start, filled, fits)) = open.pop() else {
                    continue;
                };
                if filled && fits {
                    found.insert(start);
                }
                if let Some((_, outer, outer_fits)) = open.last_mut() {
                    *outer = true;
                    *outer_fits &= filled && fits;
                }
            }
            _ => {
                if let Some((_, filled, _)) = open.last_mut() {
                    *filled = true;
                }
            }
        }
    }
    found
}
