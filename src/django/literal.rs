//! Python's string literals, decoded (docs.python.org/3/reference, "Escape sequences").

use secrets_api::Zeroizing;

/// The text of one literal without `b`, `f` or `t`; `None` for `\N{…}` and broken escapes.
pub(super) fn decode(source: &str) -> Option<Zeroizing<String>> {
    let at = source.find(['"', '\''])?;
    let raw = source[..at].to_ascii_lowercase().contains('r');
    let quote = &source[at..=at];
    let marks = if source[at..].starts_with(&quote.repeat(3)) {
        3
    } else {
        1
    };
    let inner = source.get(at + marks..source.len().checked_sub(marks)?)?;
    let mut out = Zeroizing::new(String::with_capacity(inner.len()));
    if raw {
        out.push_str(inner);
        return Some(out);
    }
    let mut rest = inner.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let c = match rest.peek().copied()? {
            '\n' => {
                rest.next();
                continue;
            }
            'x' | 'u' | 'U' | 'N' => match rest.next()? {
                'x' => number_of(&mut rest, 2)?,
                'u' => number_of(&mut rest, 4)?,
                'U' => number_of(&mut rest, 8)?,
                _ => return None,
            },
            '0'..='7' => {
                let mut value = 0;
                for _ in 0..3 {
                    let Some(digit) = rest.peek().and_then(|c| c.to_digit(8)) else {
                        break;
                    };
                    value = value * 8 + digit;
                    rest.next();
                }
                char::from_u32(value)?
            }
            known => {
                rest.next();
                match known {
                    '\\' | '\'' | '"' => known,
                    'a' => '\x07',
                    'b' => '\x08',
                    'f' => '\x0c',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'v' => '\x0b',
                    other => {
                        out.push('\\');
                        other
                    }
                }
            }
        };
        out.push(c);
    }
    Some(out)
}

fn number_of(rest: &mut impl Iterator<Item = char>, digits: usize) -> Option<char> {
    let mut value = 0;
    for _ in 0..digits {
        value = value * 16 + rest.next()?.to_digit(16)?;
    }
    char::from_u32(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_mean_what_python_says() {
        for (source, text) in [
            ("'a\"b'", "a\"b"),
            ("\"a\\'b\\\\\"", "a'b\\"),
            ("r'a\\n'", "a\\n"),
            ("u'\\u00e9\\x41\\101'", "éAA"),
            ("'''x\ny'''", "x\ny"),
            ("'\\d\\\n'", "\\d"),
            ("''", ""),
        ] {
            assert_eq!(
                decode(source).as_deref().map(String::as_str),
                Some(text),
                "{source}"
            );
        }
        assert!(decode("'\\N{BULLET}'").is_none());
        assert!(decode("'\\xg1'").is_none());
    }
}
