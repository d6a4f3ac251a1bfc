//! The scanners of compose-go and godotenv, which have one ancestor.

use super::{
    Binding, DEEPEST, LineStarts, MOST_BINDINGS, Otherwise, Piece, Problem, Quote, Unreadable,
    Variable, line_end, rest_is_idle,
};
use crate::dialect::Go;

const TEMPLATE: &str = "compose gives the file up: this is no variable, write `$$` for a `$`";

pub(super) fn bindings(reader: Go, text: &str, start: usize) -> Vec<Binding> {
    let mut found = Vec::new();
    let mut at = start;
    let mut lines = LineStarts::from(start);
    // Where the item before ended: on the same line it is the first.
    let mut last = start;
    while found.len() <= MOST_BINDINGS {
        at = skip(text, at, char::is_whitespace);
        if at == text.len() {
            break;
        }
        if text[at..].starts_with('#') {
            at = line_end(text, at);
            continue;
        }
        let mut binding = Binding {
            line: lines.of(text, at)..at,
            key: None,
            key_end: at,
            value: None,
            quote: Quote::None,
            problem: None,
        };
        if binding.line.start < last {
            // The second item of a line.
            binding.line.start = at;
        }
        match item(reader, text, at, &mut binding) {
            Ok(next) => at = next,
            Err((place, why)) => {
                binding.problem = Some(Problem {
                    at: place,
                    why,
                    fatal: true,
                });
                binding.key = None;
                binding.value = None;
                at = text.len();
            }
        }
        binding.line.end = at.max(binding.line.end);
        last = at;
        found.push(binding);
    }
    found
}

fn skip(text: &str, at: usize, wanted: impl Fn(char) -> bool) -> usize {
    let rest = &text[at..];
    at + rest.find(|c| !wanted(c)).unwrap_or(rest.len())
}

/// Blanks, but no line end.
fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\x0b' | '\x0c' | '\r' | ' ' | '\u{85}' | '\u{a0}')
}

fn item(reader: Go, text: &str, at: usize, binding: &mut Binding) -> Result<usize, Unreadable> {
    let mut start = at;
    if let Some(rest) = text[at..].strip_prefix("export") {
        let spaced = match reader {
            Go::Compose => rest.starts_with(['\t', '\n', '\x0c', '\r', ' ']),
            Go::Godotenv => rest.starts_with(is_blank),
        };
        if spaced {
            start = skip(text, at + "export".len(), is_blank);
        }
    }
    let mut end = None;
    for (offset, c) in text[start..].char_indices() {
        let allowed = match reader {
            _ if is_blank(c) => true,
            _ if matches!(c, '=' | ':') || (c == '\n' && reader == Go::Compose) => {
                end = Some((start + offset, c));
                break;
            }
            Go::Compose => c.is_alphanumeric() || "_.-[]".contains(c),
            // Byte by byte, as if it were Latin-1.
            Go::Godotenv => {
                let mut bytes = [0; 4];
                let bytes = c.encode_utf8(&mut bytes).bytes();
                bytes.into_iter().all(|b| char::from(b).is_alphanumeric()) || "_.-".contains(c)
            }
        };
        if !allowed {
            return Err((
                start + offset,
                "its reader gives the file up: this character is in no name",
            ));
        }
    }
    // At the end of the text without any of these the key is empty, and all of it the value.
    let (key_end, found) = end.unwrap_or((start, '='));
    let key = text[start..key_end].trim_end();
    let key = start..start + key.len();
    if reader == Go::Compose && text[key.clone()].contains(' ') {
        return Err((
            key.start,
            "compose gives the file up: a name holds no blanks",
        ));
    }
    binding.key_end = key.end;
    binding.key = Some(key);
    if found == '\n' {
        binding.line.end = key_end + 1;
        return Ok(key_end + 1);
    }
    let after = if end.is_some() { key_end + 1 } else { key_end };
    let from = skip(text, after, is_blank);
    let quote = match text[from..].chars().next() {
        Some('\'') => Quote::Single,
        Some('"') => Quote::Double,
        _ => Quote::None,
    };
    binding.quote = quote;
    let span = match quote {
        Quote::None => bare(reader, text, from)?,
        Quote::Single => from..closing(reader, text, from, b'\'')?,
        Quote::Double => from..closing(reader, text, from, b'"')?,
    };
    // An empty value stands right behind its `=`.
    let span = if span.is_empty() { after..after } else { span };
    let end = span.end;
    binding.value = Some(span);
    Ok(match quote {
        // A carriage return alone ends godotenv's line, and is white space before the next.
        Quote::None if reader == Go::Godotenv => {
            let rest = &text[end..];
            let stop = end + rest.find(['\n', '\r']).unwrap_or(rest.len());
            stop + text[stop..].chars().next().map_or(0, char::len_utf8)
        }
        _ if quote == Quote::None || rest_is_idle(text, end) => line_end(text, end),
        _ => end,
    })
}

/// A value without quotes, less a comment, less white space at the end.
fn bare(reader: Go, text: &str, from: usize) -> Result<std::ops::Range<usize>, Unreadable> {
    let rest = &text[from..];
    let line = match reader {
        Go::Compose => &rest[..rest.find('\n').unwrap_or(rest.len())],
        Go::Godotenv => &rest[..rest.find(['\n', '\r']).unwrap_or(rest.len())],
    };
    let (kept, trimmed): (&str, fn(char) -> bool) = match reader {
        Go::Compose => (
            line.split_once(" #").map_or(line, |(kept, _)| kept),
            char::is_whitespace,
        ),
        Go::Godotenv => {
            if line.starts_with('#') {
                return Err((from, "godotenv crashes on a value that starts with `#`"));
            }
            let comment = line
                .match_indices('#')
                .find(|(at, _)| line[..*at].ends_with(is_blank));
            (comment.map_or(line, |(at, _)| &line[..at]), is_blank)
        }
    };
    Ok(from..from + kept.trim_end_matches(trimmed).len())
}

/// After the quote that closes the one at `from`.
fn closing(reader: Go, text: &str, from: usize, quote: u8) -> Result<usize, Unreadable> {
    let bytes = text.as_bytes();
    let mut escaped = false;
    for (at, byte) in bytes.iter().enumerate().skip(from + 1) {
        if *byte == quote && !escaped {
            return Ok(at + 1);
        }
        escaped = match reader {
            _ if *byte != b'\\' => false,
            // An even row of backslashes escapes nothing.
            _ => !escaped,
        };
    }
    Err((from, "this quote is never closed"))
}

/// What a value means.
pub(super) fn pieces(
    reader: Go,
    written: &str,
    quote: Quote,
) -> Result<Vec<Piece<'_>>, Unreadable> {
    match (reader, quote) {
        (Go::Compose, Quote::None) => template(written, 0),
        (Go::Godotenv, Quote::None) => Ok(upper_case(written)),
        (Go::Godotenv, _) => {
            // All quotes of the kind go from both ends.
            let mark = if quote == Quote::Single { '\'' } else { '"' };
            let inner = written[..written.len() - 1]
                .trim_end_matches(mark)
                .trim_start_matches(mark);
            if quote == Quote::Single || !inner.contains(['\\', '$']) {
                return Ok(vec![Piece::Text(inner)]);
            }
            Ok(godotenv_double(inner))
        }
        (Go::Compose, _) => {
            let inner = &written[1..written.len() - 1];
            if !inner.contains(['\\', '$']) || (quote == Quote::Single && !inner.contains('\\')) {
                return Ok(vec![Piece::Text(inner)]);
            }
            let mark = if quote == Quote::Single { '\'' } else { '"' };
            let mut text = secrets_api::Zeroizing::new(String::with_capacity(inner.len()));
            let mut rest = inner.chars();
            while let Some(c) = rest.next() {
                match (c, rest.clone().next()) {
                    ('\\', Some(after)) => {
                        rest.next();
                        if after != mark {
                            text.push('\\');
                        }
                        text.push(after);
                    }
                    _ => text.push(c),
                }
            }
            if quote == Quote::Single {
                return Ok(vec![Piece::Made(text)]);
            }
            let text = expand_escapes(&text);
            Ok(owned(template(&text, 0)?))
        }
    }
}

/// The same pieces, borrowing nothing.
fn owned(pieces: Vec<Piece<'_>>) -> Vec<Piece<'static>> {
    let own = |piece| match piece {
        Piece::Text(text) => Piece::Made(secrets_api::Zeroizing::new(String::from(text))),
        Piece::Made(text) => Piece::Made(text),
        Piece::Variable(Variable { name, otherwise }) => {
            let otherwise = match otherwise {
                Otherwise::Nothing => Otherwise::Nothing,
                Otherwise::Required { empty } => Otherwise::Required { empty },
                Otherwise::Default { empty, word } => {
                    let word = owned(word);
                    Otherwise::Default { empty, word }
                }
                Otherwise::Instead { empty, word } => {
                    let word = owned(word);
                    Otherwise::Instead { empty, word }
                }
            };
            Piece::Variable(Variable {
                name: name.into_owned().into(),
                otherwise,
            })
        }
    };
    pieces.into_iter().map(own).collect()
}

/// `(\\(?:[abcfnrtv$"\\]|0\d{0,3}))`, by Go's `strconv.UnquoteChar`; `\$` becomes `$$`.
fn expand_escapes(text: &str) -> secrets_api::Zeroizing<String> {
    let mut out = secrets_api::Zeroizing::new(String::with_capacity(text.len() * 2));
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(c) = rest.chars().next() else {
            out.push('\\');
            break;
        };
        let made = match c {
            'a' => Some('\x07'),
            'b' => Some('\x08'),
            'f' => Some('\x0c'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\x0b'),
            '"' | '\\' => Some(c),
            _ => None,
        };
        if let Some(made) = made {
            out.push(made);
            rest = &rest[1..];
        } else if c == '$' {
            out.push_str("$$");
            rest = &rest[1..];
        } else if c == '0' {
            let digits = rest[1..]
                .bytes()
                .take(3)
                .take_while(u8::is_ascii_digit)
                .count();
            let octal = &rest[1..1 + digits];
            // Go takes three octal digits up to \377, and else leaves it as it is.
            match u8::from_str_radix(octal, 8).ok().filter(|_| digits == 3) {
                Some(byte) => out.push(char::from(byte)),
                None => {
                    out.push('\\');
                    out.push_str(&rest[..=digits]);
                }
            }
            rest = &rest[1 + digits..];
        } else {
            out.push('\\');
        }
    }
    out.push_str(rest);
    out
}

fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn name_at(text: &str) -> &str {
    if !text.starts_with(is_name_start) {
        return "";
    }
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    &text[..end.unwrap_or(text.len())]
}

/// compose-go's template: `$$`, `$NAME`, `${NAME}` and `${NAME:-word}` with `- + ?`, `:` or not.
fn template(text: &str, depth: usize) -> Result<Vec<Piece<'_>>, Unreadable> {
    if depth > DEEPEST {
        return Err((0, "variables are nested too deeply"));
    }
    let mut out = Vec::new();
    let mut rest = text;
    let push = |out: &mut Vec<_>, text| {
        if !str::is_empty(text) {
            out.push(Piece::Text(text));
        }
    };
    while let Some(at) = rest.find('$') {
        let after = &rest[at + 1..];
        if let Some(beyond) = after.strip_prefix('$') {
            push(&mut out, &rest[..=at]);
            rest = beyond;
            continue;
        }
        let name = name_at(after);
        if !name.is_empty() {
            push(&mut out, &rest[..at]);
            out.push(Piece::Variable(Variable::plain(name)));
            rest = &after[name.len()..];
            continue;
        }
        let Some(braced) = after.strip_prefix('{') else {
            push(&mut out, &rest[..=at]);
            rest = after;
            continue;
        };
        push(&mut out, &rest[..at]);
        let (variable, length) = substitution(braced, depth)?;
        out.push(Piece::Variable(variable));
        rest = &braced[length..];
    }
    push(&mut out, rest);
    Ok(out)
}

/// What stands after `${`, and how long it is with its brace.
fn substitution(braced: &str, depth: usize) -> Result<(Variable<'_>, usize), Unreadable> {
    let name = name_at(braced);
    let after = &braced[name.len()..];
    if name.is_empty() {
        return Err((0, TEMPLATE));
    }
    if after.starts_with('}') {
        return Ok((Variable::plain(name), name.len() + 1));
    }
    let (empty, operator) = match after.strip_prefix(':') {
        Some(operator) => (true, operator),
        None => (false, after),
    };
    let Some(kind @ ('-' | '+' | '?')) = operator.chars().next() else {
        return Err((0, TEMPLATE));
    };
    // The brace that closes; where none does, the last of the line.
    let close = first_closing(braced).or_else(|| {
        let line = &braced[..braced.find('\n').unwrap_or(braced.len())];
        line.rfind('}').filter(|last| *last >= name.len())
    });
    let Some(close) = close else {
        return Err((0, TEMPLATE));
    };
    let word = braced
        .get(name.len() + usize::from(empty) + 1..close)
        .ok_or((0, TEMPLATE))?;
    let otherwise = match kind {
        '-' => Otherwise::Default {
            empty,
            word: template(word, depth + 1)?,
        },
        '+' => Otherwise::Instead {
            empty,
            word: template(word, depth + 1)?,
        },
        _ => Otherwise::Required { empty },
    };
    let name = name.into();
    Ok((Variable { name, otherwise }, close + 1))
}

/// The brace that closes the one already open. The character after an open brace is passed over, as
/// compose-go does.
fn first_closing(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut open = 1;
    // The one after `${`.
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            // The pattern ends with its line.
            b'\n' => return None,
            b'}' => {
                open -= 1;
                if open == 0 {
                    return Some(at);
                }
            }
            b'{' => {
                open += 1;
                at += 1;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// godotenv's `"…"`: `\n` and `\r`, then every backslash but one before `$` goes, then variables.
fn godotenv_double(inner: &str) -> Vec<Piece<'_>> {
    let mut first = secrets_api::Zeroizing::new(String::with_capacity(inner.len()));
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        match (c, rest.clone().next()) {
            ('\\', Some(after)) if after != '\n' => {
                rest.next();
                match after {
                    'n' => first.push('\n'),
                    'r' => first.push('\r'),
                    other => {
                        first.push('\\');
                        first.push(other);
                    }
                }
            }
            _ => first.push(c),
        }
    }
    let mut second = secrets_api::Zeroizing::new(String::with_capacity(first.len()));
    let mut rest = first.chars();
    while let Some(c) = rest.next() {
        match (c, rest.clone().next()) {
            ('\\', Some(after)) if after != '$' => {
                rest.next();
                second.push(after);
            }
            _ => second.push(c),
        }
    }
    owned(upper_case(&second))
}

/// `(\\)?(\$)(\()?\{?([A-Z0-9_]+)?\}?`: upper-case names only.
fn upper_case(text: &str) -> Vec<Piece<'_>> {
    let mut out = Vec::new();
    let mut rest = text;
    let mut kept = 0;
    // What is text so far is `rest[..kept]`.
    while let Some(offset) = rest[kept..].find('$') {
        let at = kept + offset;
        let after = &rest[at + 1..];
        let paren = usize::from(after.starts_with('('));
        let open = paren + usize::from(after[paren..].starts_with('{'));
        let name = after[open..]
            .find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
            .map_or(&after[open..], |end| &after[open..open + end]);
        let close = open + name.len() + usize::from(after[open + name.len()..].starts_with('}'));
        if rest[..at].ends_with('\\') {
            if at > 1 {
                out.push(Piece::Text(&rest[..at - 1]));
            }
            rest = &rest[at..];
            kept = 1 + close;
        } else if name.is_empty() {
            kept = at + 1 + close;
        } else {
            if at > 0 {
                out.push(Piece::Text(&rest[..at]));
            }
            out.push(Piece::Variable(Variable::plain(name)));
            rest = &after[close..];
            kept = 0;
        }
    }
    if !rest.is_empty() {
        out.push(Piece::Text(rest));
    }
    out
}
