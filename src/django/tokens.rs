//! Python's tokens, as far as finding an assignment takes: names, strings, operators, logical
//! lines (docs.python.org/3/reference/lexical_analysis.html). A whole Python parser is larger than
//! the rest of this program; a text this cannot take apart is left alone.

use std::ops::Range;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Name,
    Number,
    /// A string literal; `plain` if it is text without anything computed in it.
    String {
        plain: bool,
    },
    /// One character of punctuation.
    Mark(char),
    /// The end of a logical line.
    LineEnd,
}

/// A token and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) span: Range<usize>,
}

/// Takes a text apart; `None` where a string or a bracket is not closed.
pub(super) fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut at = if text.starts_with('\u{feff}') { 3 } else { 0 };
    while let Some(c) = text[at..].chars().next() {
        let start = at;
        match c {
            '\n' => {
                at += 1;
                if depth == 0 {
                    found.push(Token {
                        kind: Kind::LineEnd,
                        span: start..at,
                    });
                }
            }
            '\\' if text[at + 1..].starts_with(['\n', '\r']) => {
                at += if text[at + 1..].starts_with("\r\n") {
                    3
                } else {
                    2
                };
            }
            '#' => at += text[at..].find('\n').unwrap_or(text.len() - at),
            c if c.is_whitespace() => at += c.len_utf8(),
            '"' | '\'' => {
                at = string_end(text, at)?;
                found.push(Token {
                    kind: Kind::String { plain: true },
                    span: start..at,
                });
            }
            c if c.is_alphabetic() || c == '_' => {
                let rest = &text[at..];
                let end = at
                    + rest
                        .find(|c: char| !c.is_alphanumeric() && c != '_')
                        .unwrap_or(rest.len());
                match prefix(&text[at..end]).filter(|_| text[end..].starts_with(['"', '\''])) {
                    Some(plain) => {
                        at = string_end(text, end)?;
                        found.push(Token {
                            kind: Kind::String { plain },
                            span: start..at,
                        });
                    }
                    None => {
                        at = end;
                        found.push(Token {
                            kind: Kind::Name,
                            span: start..at,
                        });
                    }
                }
            }
            c if c.is_ascii_digit() => {
                let rest = &text[at..];
                at += rest
                    .find(|c: char| !c.is_alphanumeric() && c != '_' && c != '.')
                    .unwrap_or(rest.len());
                found.push(Token {
                    kind: Kind::Number,
                    span: start..at,
                });
            }
            c => {
                match c {
                    '(' | '[' | '{' => depth += 1,
                    ')' | ']' | '}' => depth = depth.checked_sub(1)?,
                    _ => {}
                }
                at += c.len_utf8();
                found.push(Token {
                    kind: Kind::Mark(c),
                    span: start..at,
                });
            }
        }
    }
    if depth > 0 {
        return None;
    }
    found.push(Token {
        kind: Kind::LineEnd,
        span: at..at,
    });
    Some(found)
}

/// What stands before a string's quote: `r`, `u`, `b`, `f`, `t` and their combinations. Whether
/// the string is text without anything computed in it; `None` if it is no such prefix.
fn prefix(word: &str) -> Option<bool> {
    let lower = word.to_ascii_lowercase();
    let known =
        ["r", "u", "b", "f", "t", "br", "rb", "fr", "rf", "tr", "rt"].contains(&lower.as_str());
    known.then(|| !lower.contains(['b', 'f', 't']))
}

/// The end of a string whose quote is at `at`. A backslash takes the next character along, also in
/// a raw string.
fn string_end(text: &str, at: usize) -> Option<usize> {
    let quote = &text[at..=at];
    let triple = text[at..].starts_with(&quote.repeat(3));
    let end = if triple {
        quote.repeat(3)
    } else {
        quote.to_owned()
    };
    let mut at = at + end.len();
    loop {
        let rest = &text[at..];
        if rest.starts_with(&end) {
            return Some(at + end.len());
        }
        let c = rest.chars().next()?;
        if c == '\n' && !triple {
            return None;
        }
        at += c.len_utf8();
        if c == '\\' {
            at += text[at..].chars().next()?.len_utf8();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        tokens(text)
            .unwrap()
            .iter()
            .map(|t| &text[t.span.clone()])
            .filter(|t| !t.trim().is_empty())
            .collect()
    }

    #[test]
    fn strings_comments_and_joined_lines_are_told_apart() {
        assert_eq!(
            words("A = 'x' # 'y'\nB = \"a\\\"b\""),
            ["A", "=", "'x'", "B", "=", "\"a\\\"b\""]
        );
        assert_eq!(
            words("\"\"\"doc\n# no\n\"\"\"\nX=rb'\\''"),
            ["\"\"\"doc\n# no\n\"\"\"", "X", "=", "rb'\\''"]
        );
        let ends = |text: &str| {
            tokens(text)
                .unwrap()
                .iter()
                .filter(|t| t.kind == Kind::LineEnd)
                .count()
        };
        assert_eq!((ends("a = (1,\n2)\n"), ends("a = \\\n 1\n")), (2, 2));
    }

    #[test]
    fn what_is_not_closed_is_no_python() {
        for text in ["'a", "\"\"\"a", "(a", "a)"] {
            assert!(tokens(text).is_none(), "{text}");
        }
    }
}
