//! dotenvy: lines joined while a quote is open, then words of a shell in its own reading of them.

use std::ops::Range;

use super::{Binding, MOST_BINDINGS, Piece, Pieces, Problem, Quote, Unreadable, Variable};

const BROKEN: &str = "dotenvy gives the file up here: write NAME=value, with quotes around blanks";

pub(super) fn bindings(text: &str, start: usize) -> Vec<Binding> {
    let mut found = Vec::new();
    let mut at = start;
    while at < text.len() && found.len() <= MOST_BINDINGS {
        let broken = |place: usize| Binding {
            line: at..text.len(),
            key: None,
            key_end: place,
            value: None,
            quote: Quote::None,
            problem: Some(Problem {
                at: place,
                why: BROKEN,
                fatal: true,
            }),
        };
        let Some((content, next)) = logical_line(text, at) else {
            found.push(broken(at));
            break;
        };
        match item(text, content) {
            Ok(None) => {}
            Ok(Some((key, value))) => found.push(Binding {
                line: at..next,
                key_end: key.end,
                key: Some(key),
                value: Some(value),
                quote: Quote::None,
                problem: None,
            }),
            Err(place) => {
                found.push(broken(place));
                break;
            }
        }
        at = next;
    }
    found
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Complete,
    Escape,
    Strong,
    StrongEscape,
    Weak,
    WeakEscape,
    Blank,
}

/// `QuotedLines`: a line and where the next begins; lines are joined while a quote is open. `None`
/// where the file ends within.
fn logical_line(text: &str, start: usize) -> Option<(Range<usize>, usize)> {
    let mut state = State::Complete;
    let mut at = start;
    // Lines are joined in quotes and after a backslash alone: what stands first is in the first.
    if text[start..super::line_end(text, start)]
        .trim_start()
        .starts_with('#')
    {
        return Some((start..start, super::line_end(text, start)));
    }
    loop {
        let next = super::line_end(text, at);
        if at == next {
            return None;
        }
        for (offset, c) in text[at..next].char_indices() {
            state = match (state, c) {
                (State::Blank, '#') => return Some((start..at + offset, next)),
                (State::Blank | State::Complete, '\\') => State::Escape,
                (State::Blank | State::Complete, '"') => State::Weak,
                (State::Blank | State::Complete, '\'') => State::Strong,
                (State::Complete, c) if c.is_whitespace() && c != '\n' && c != '\r' => State::Blank,
                (State::Blank | State::Complete | State::Escape, _) => State::Complete,
                (State::Weak, '\\') => State::WeakEscape,
                (State::Weak, '"') | (State::Strong, '\'') => State::Complete,
                (State::Weak | State::WeakEscape, _) => State::Weak,
                (State::Strong, '\\') => State::StrongEscape,
                (State::Strong | State::StrongEscape, _) => State::Strong,
            };
        }
        if state == State::Complete {
            let line = &text[start..next];
            let line = line
                .strip_suffix('\n')
                .map_or(line, |l| l.strip_suffix('\r').unwrap_or(l));
            return Some((start..start + line.len(), next));
        }
        at = next;
    }
}

/// A key and a value.
type Item = (Range<usize>, Range<usize>);

/// `LineParser::parse_line`: the key and the value of a line, or where it breaks.
fn item(text: &str, line: Range<usize>) -> Result<Option<Item>, usize> {
    let end = line.start + text[line.clone()].trim_end().len();
    let skip = |at: usize| {
        let rest = &text[at..end];
        end - rest.trim_start().len()
    };
    let start = skip(line.start.min(end));
    if start == end || text[start..end].starts_with('#') {
        return Ok(None);
    }
    let mut key = key(&text[..end], start)?;
    let mut at = skip(key.end);
    if &text[key.clone()] == "export" && !text[at..end].starts_with('=') {
        key = self::key(&text[..end], at)?;
        at = skip(key.end);
    }
    if !text[at..end].starts_with('=') {
        return Err(at);
    }
    let equals = at + 1;
    let from = skip(equals);
    if from == end || text[from..end].starts_with('#') {
        // An empty value stands right behind its `=`.
        return Ok(Some((key, equals..equals)));
    }
    let (_, stop) = value(&text[from..end]).map_err(|(at, _)| from + at)?;
    Ok(Some((key, from..from + stop)))
}

fn key(text: &str, at: usize) -> Result<Range<usize>, usize> {
    let rest = &text[at..];
    if !rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        return Err(at);
    }
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'));
    Ok(at..at + end.unwrap_or(rest.len()))
}

/// What a value means.
pub(super) fn pieces(written: &str) -> Result<Vec<Piece<'_>>, Unreadable> {
    value(written).map(|(pieces, _)| pieces)
}

/// `parse_value`: the value, and where it stops (before blanks and a comment).
fn value(input: &str) -> Result<(Vec<Piece<'_>>, usize), Unreadable> {
    #[derive(PartialEq)]
    enum Substitution {
        None,
        Named(usize),
        Braced(usize),
    }
    let mut out = Pieces::default();
    let (mut strong, mut weak, mut escaped) = (false, false, false);
    let mut substitution = Substitution::None;
    let mut stop = input.len();
    let mut ending = false;
    let mut chars = input.char_indices();
    for (at, c) in chars.by_ref() {
        if ending {
            match c {
                ' ' | '\t' => continue,
                '#' => break,
                _ => return Err((at, BROKEN)),
            }
        }
        if escaped {
            match c {
                '\\' | '\'' | '"' | '$' | ' ' => out.push(c),
                'n' => out.push('\n'),
                _ => {
                    return Err((
                        at,
                        "dotenvy knows no such escape: \\\\ \\' \\\" \\$ \\n and `\\ `",
                    ));
                }
            }
            escaped = false;
            continue;
        }
        if strong {
            match c {
                '\'' => strong = false,
                c => out.push(c),
            }
            continue;
        }
        match substitution {
            Substitution::Named(from) if c.is_alphanumeric() => {
                substitution = Substitution::Named(from);
                continue;
            }
            Substitution::Named(from) if c == '{' && from == at => {
                substitution = Substitution::Braced(at + 1);
                continue;
            }
            Substitution::Named(from) => {
                named(&mut out, &input[from..at]);
                // The character that ends a name is taken as it is, whatever it is.
                substitution = if c == '$' {
                    Substitution::Named(at + 1)
                } else {
                    out.push(c);
                    Substitution::None
                };
                continue;
            }
            Substitution::Braced(from) if c == '}' => {
                named(&mut out, &input[from..at]);
                substitution = Substitution::None;
                continue;
            }
            Substitution::Braced(_) => continue,
            Substitution::None => {}
        }
        match c {
            '$' => substitution = Substitution::Named(at + 1),
            '"' => weak = !weak,
            '\\' => escaped = true,
            c if weak => out.push(c),
            '\'' => strong = true,
            ' ' | '\t' => {
                ending = true;
                stop = at;
            }
            c => out.push(c),
        }
    }
    if strong || weak || matches!(substitution, Substitution::Braced(_)) {
        return Err((input.len(), "this quote or brace is never closed"));
    }
    if let Substitution::Named(from) = substitution {
        named(&mut out, &input[from..]);
    }
    Ok((out.finish(), stop))
}

fn named<'a>(out: &mut Pieces<'a>, name: &'a str) {
    out.variable(Variable::plain(name));
}
