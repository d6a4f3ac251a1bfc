//! systemd's state machine (`src/basic/env-file.c`, `parse_env_file_internal`).

use secrets_api::Zeroizing;

use super::{Binding, MOST_BINDINGS, Piece, Problem, Quote, is_noncharacter};

/// White space, line ends among it.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

fn ends_line(c: char) -> bool {
    matches!(c, '\n' | '\r')
}

pub(super) fn bindings(text: &str, start: usize) -> Vec<Binding> {
    let mut found = Vec::new();
    let mut at = start;
    while found.len() <= MOST_BINDINGS {
        at += text[at..].find(|c| !is_space(c)).unwrap_or(text.len() - at);
        let Some(first) = text[at..].chars().next() else {
            break;
        };
        if matches!(first, '#' | ';') {
            at = after_comment(text, at);
            continue;
        }
        let line = text[at..]
            .find(ends_line)
            .map_or(text.len(), |end| at + end);
        let begin = text[..at]
            .rfind(ends_line)
            .map_or(0, |end| end + 1)
            .max(start);
        let Some(equals) = text[at..line].find('=').map(|n| at + n) else {
            found.push(broken(
                begin..next_line(text, line),
                at,
                "systemd leaves this line out: there is no `=`",
                false,
            ));
            at = next_line(text, line);
            continue;
        };
        let key = at..at + text[at..equals].trim_end_matches(is_space).len();
        let (value, end) = value_span(text, equals + 1);
        let mut binding = Binding {
            line: begin..next_line(text, end),
            key_end: key.end,
            key: Some(key.clone()),
            value: Some(value.clone()),
            quote: Quote::None,
            problem: None,
        };
        let name = &text[key.clone()];
        let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let odd = |c: char| is_noncharacter(c) || crate::text::is_byte(c);
        if let Some((offset, _)) = text[key.start..value.end]
            .char_indices()
            .find(|(_, c)| odd(*c))
        {
            let why = "systemd gives the file up: this is no character of UTF-8";
            binding = broken(binding.line, key.start + offset, why, true);
        } else if !plain {
            let why = "systemd leaves this line out: a name holds letters, digits and `_`";
            binding = broken(binding.line, key.start, why, false);
        }
        found.push(binding);
        at = next_line(text, end);
    }
    found
}

fn broken(line: std::ops::Range<usize>, at: usize, why: &'static str, fatal: bool) -> Binding {
    Binding {
        line,
        key: None,
        key_end: at,
        value: None,
        quote: Quote::None,
        problem: Some(Problem { at, why, fatal }),
    }
}

/// After the line end at `end`, if there is one.
fn next_line(text: &str, end: usize) -> usize {
    let rest = &text[end..];
    end + if rest.starts_with("\r\n") {
        2
    } else {
        usize::from(rest.starts_with(ends_line))
    }
}

/// A backslash takes the character after it along, a line end too.
fn after_comment(text: &str, at: usize) -> usize {
    let mut rest = text[at..].char_indices();
    while let Some((offset, c)) = rest.next() {
        match c {
            '\\' => {
                rest.next();
            }
            c if ends_line(c) => return at + offset + 1,
            _ => {}
        }
    }
    text.len()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Before,
    Bare,
    Single,
    Double,
}

/// A value from behind its `=`: what is written, without white space around it, and where its line
/// ends.
fn value_span(text: &str, from: usize) -> (std::ops::Range<usize>, usize) {
    let mut first = None;
    let mut last = from;
    let mut end = text.len();
    walk(&text[from..], |at, c, state, escaped| {
        let here = from + at;
        if !escaped && ends_line(c) && matches!(state, State::Before | State::Bare) {
            end = here;
            return false;
        }
        let quiet = matches!(state, State::Before | State::Bare) && is_space(c) && !escaped;
        if !quiet {
            first.get_or_insert(here);
            last = here + c.len_utf8();
        }
        true
    });
    let start = first.map_or(from, |first| first.min(last));
    (start..last.max(start), end)
}

/// Goes over a value: each character with the state it is met in, and whether a backslash stands
/// before it. Ends where `each` says no.
fn walk(text: &str, mut each: impl FnMut(usize, char, State, bool) -> bool) {
    let mut state = State::Before;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if !each(at, c, state, escaped) {
            return;
        }
        if std::mem::take(&mut escaped) {
            continue;
        }
        state = match (state, c) {
            (State::Before, '\'') => State::Single,
            (State::Before, '"') => State::Double,
            (State::Single, '\'') | (State::Double, '"') => State::Before,
            (State::Before | State::Bare, '\\') => {
                escaped = true;
                State::Bare
            }
            (State::Double, '\\') => {
                escaped = true;
                State::Double
            }
            (State::Before, c) if !is_space(c) => State::Bare,
            (state, _) => state,
        };
    }
}

/// What a value means.
pub(super) fn value(written: &str) -> Piece<'_> {
    if !written.contains(['\\', '\'', '"']) {
        return Piece::Text(written);
    }
    let mut out = Zeroizing::new(String::with_capacity(written.len()));
    walk(written, |_, c, state, escaped| {
        match (state, escaped) {
            (State::Bare, true) if ends_line(c) => {}
            (State::Bare, true) => out.push(c),
            (State::Double, true) if c == '\n' => {}
            (State::Double, true) => {
                if !matches!(c, '"' | '\\' | '`' | '$') {
                    out.push('\\');
                }
                out.push(c);
            }
            (State::Before, _) if is_space(c) || matches!(c, '\'' | '"' | '\\') => {}
            (State::Single, _) if c == '\'' => {}
            (State::Double, _) if c == '"' || c == '\\' => {}
            (State::Bare, _) if c == '\\' => {}
            _ => out.push(c),
        }
        true
    });
    Piece::Made(out)
}
