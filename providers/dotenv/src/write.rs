//! How a value is written: in the form that every known reader takes alike where there is one,
//! else in the dialect's own. The forms, and that 29 readers agree on the portable ones, were
//! measured over thousands of random values; every one written is read back before it is used.

use secrets_api::{Error, Name, Result, SecretValue, Zeroizing};

use crate::dialect::Dialect;
use crate::document::Document;

/// The value as it stands after `NAME=`.
pub(crate) fn token(
    dialect: Dialect,
    name: &Name,
    value: &SecretValue,
) -> Result<Zeroizing<String>> {
    let Some(text) = value.expose_text().filter(|text| !text.contains('\0')) else {
        return Err(Error::unsupported(format!(
            "{name} is not UTF-8 text without NUL: a .env file cannot hold it"
        ))
        .about(name)
        .with_hint(format!(
            "keep it as text: `encoding = \"base64\"` below [secrets.{name}] in secrets.toml"
        )));
    };
    let token = portable(text).unwrap_or_else(|| own(dialect, text));
    if reads_as(dialect, &token, value) {
        return Ok(token);
    }
    Err(Error::unsupported(format!(
        "no form of the {} dialect holds the value of {name}",
        dialect.name()
    ))
    .about(name))
}

/// Whether the token alone reads as the value.
fn reads_as(dialect: Dialect, token: &str, value: &SecretValue) -> bool {
    let mut line = Zeroizing::new(String::with_capacity(token.len() + 2));
    line.push_str("N=");
    line.push_str(token);
    let Ok(document) = Document::parse(dialect, line.as_bytes()) else {
        return false;
    };
    let Ok(entries) = document.resolve(&[]) else {
        return false;
    };
    matches!(entries.as_slice(), [one] if !one.derived && one.value.as_ref().is_some_and(|read| read.same_as(value)))
}

/// The form that all readers agree on.
fn portable(text: &str) -> Option<Zeroizing<String>> {
    let bare = |c: char| c.is_ascii_alphanumeric() || "_./:@%+,=^!*?[]{}-".contains(c);
    if !text.is_empty() && text.chars().all(bare) {
        return Some(Zeroizing::new(text.to_owned()));
    }
    // A line end is written as it is: some readers have no values of several lines, but none
    // that has them reads it otherwise.
    if text
        .chars()
        .any(|c| splits_lines(c) && c != '\n' || is_noncharacter(c) || c == '\u{feff}')
    {
        return None;
    }
    let wrapped_in_quotes = text.len() > 1 && text.starts_with('"') && text.ends_with('"');
    let single = !text.contains('\'')
        && harmless_backslashes(text)
        && !text.starts_with('$')
        && !text.contains("${")
        && !wrapped_in_quotes;
    if single {
        return Some(wrapped('\'', text));
    }
    let double = text.contains('\'') && !text.contains(['"', '\\', '$', '`', '#']);
    double.then(|| wrapped('"', text))
}

/// The dialect's own form, for any text.
fn own(dialect: Dialect, text: &str) -> Zeroizing<String> {
    match dialect {
        Dialect::PythonDotenv => {
            let mut out = Zeroizing::new(String::with_capacity(text.len() * 7 + 8));
            out.push('"');
            let mut rest = text.chars().peekable();
            while let Some(c) = rest.next() {
                match c {
                    '\\' => out.push_str("\\\\"),
                    '"' => out.push_str("\\\""),
                    '\r' => out.push_str("\\r"),
                    // An expansion without a name stands for its default: a `$` that starts nothing.
                    '$' if rest.peek() == Some(&'{') => out.push_str("${:-$}"),
                    c => out.push(c),
                }
            }
            if text.ends_with('\\') {
                // The reader takes a backslash before the closing quote for an escaped quote.
                out.push_str("${:-}");
            }
            out.push('"');
            out
        }
    }
}

fn wrapped(quote: char, text: &str) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(text.len() + 2));
    out.push(quote);
    out.push_str(text);
    out.push(quote);
    out
}

/// Characters at which Python's `str.splitlines` ends a line.
fn splits_lines(c: char) -> bool {
    matches!(
        c,
        '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

/// Code points that are no characters (Unicode 17, 23.7); systemd rejects a file that holds one.
fn is_noncharacter(c: char) -> bool {
    matches!(u32::from(c), 0xfdd0..=0xfdef) || u32::from(c) & 0xfffe == 0xfffe
}

/// A backslash that no reader takes for the start of something.
fn harmless_backslashes(text: &str) -> bool {
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c == '\\' && matches!(rest.next(), None | Some('\\' | 'n' | 't')) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn written(text: &str) -> String {
        let name = Name::new("N").unwrap();
        token(
            Dialect::PythonDotenv,
            &name,
            &SecretValue::from_slice(text.as_bytes()),
        )
        .unwrap()
        .to_string()
    }

    #[test]
    fn the_most_portable_form_is_taken() {
        for (value, form) in [
            ("abc-1.2:3@x", "abc-1.2:3@x"),
            ("", "''"),
            ("two words", "'two words'"),
            ("a$b#c", "'a$b#c'"),
            ("it's", "\"it's\""),
            ("C:\\dir", "'C:\\dir'"),
            ("line\nline", "'line\nline'"),
            ("$HOME", "\"$HOME\""),
            ("a${B}", "\"a${:-$}{B}\""),
            ("it's \"x\"", "\"it's \\\"x\\\"\""),
            ("end'\\", "\"end'\\\\${:-}\""),
            ("\"quoted\"", "\"\\\"quoted\\\"\""),
            ("a\rb", "\"a\\rb\""),
        ] {
            assert_eq!(written(value), form, "{value:?}");
        }
    }
}
