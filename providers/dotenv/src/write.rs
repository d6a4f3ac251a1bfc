//! How a value is written: in the form that every known reader takes alike where there is one,
//! else in the dialect's own. The forms, and that 29 readers agree on the portable ones, were
//! measured over thousands of random values; every one written is read back before it is used.

use secrets_api::{Error, Name, Result, SecretValue, Zeroizing};

use crate::dialect::Dialect;
use crate::document::Document;
use crate::grammar::{is_noncharacter, splits_lines};

/// The value as it stands after `NAME=`.
///
/// # Errors
/// `Unsupported`, naming what stands in the way and the dialects that could hold it.
pub(crate) fn token(
    dialect: Dialect,
    name: &Name,
    value: &SecretValue,
) -> Result<Zeroizing<String>> {
    let Some(text) = text_of(value) else {
        return Err(Error::unsupported(format!(
            "{name} is not UTF-8 text without NUL: a .env file cannot hold it"
        ))
        .about(name)
        .with_hint(format!(
            "keep it as text: `encoding = \"base64\"` below [secrets.{name}] in secrets.toml; `--format json` holds it as it is"
        )));
    };
    if let Some(token) = agreed(&[dialect], text, value) {
        return Ok(token);
    }
    let others: Vec<_> = Dialect::all()
        .filter(|other| *other != dialect && agreed(&[*other], text, value).is_some())
        .map(Dialect::name)
        .collect();
    let error = Error::unsupported(format!(
        "no form of the {} dialect holds the value of {name}: it has {}",
        dialect.name(),
        obstacles(text)
    ))
    .about(name);
    Err(match others.as_slice() {
        [] => error,
        others => error.with_hint(format!("dialects that could: {}", others.join(", "))),
    })
}

/// A form that every one of these readers takes for the value; the most portable one.
pub(crate) fn agreed(
    readers: &[Dialect],
    text: &str,
    value: &SecretValue,
) -> Option<Zeroizing<String>> {
    let forms = portable(text)
        .into_iter()
        .chain(readers.iter().flat_map(|reader| own(*reader, text)));
    let holds = |form: &Zeroizing<String>| readers.iter().all(|r| reads_as(*r, form, value));
    forms.into_iter().find(holds)
}

/// The value as text that a `.env` file may hold.
pub(crate) fn text_of(value: &SecretValue) -> Option<&str> {
    value.expose_text().filter(|text| !text.contains('\0'))
}

/// What in a value some dialect cannot hold, in words.
fn obstacles(text: &str) -> String {
    let kinds: &[(&str, &dyn Fn(char) -> bool)] = &[
        ("a line feed", &|c| c == '\n'),
        ("a carriage return", &|c| c == '\r'),
        ("a single quote", &|c| c == '\''),
        ("a double quote", &|c| c == '"'),
        ("a backtick", &|c| c == '`'),
        ("a backslash", &|c| c == '\\'),
        ("a dollar sign", &|c| c == '$'),
        ("a character that ends a line in Python", &|c| {
            splits_lines(c) && c != '\n' && c != '\r'
        }),
        ("a code point that is no character", &is_noncharacter),
        ("a blank at an end", &|_| {
            text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace)
        }),
    ];
    let found: Vec<_> = kinds
        .iter()
        .filter(|(_, is)| text.chars().any(is))
        .map(|(name, _)| *name)
        .collect();
    if found.is_empty() {
        "characters it gives a meaning to".to_owned()
    } else {
        found.join(", ")
    }
}

/// Whether the token reads as the value, alone and with lines after it.
fn reads_as(dialect: Dialect, token: &str, value: &SecretValue) -> bool {
    // `env()` of django-environ takes a `$` at the start for the name of another variable.
    if dialect == Dialect::DjangoEnviron && value.expose().starts_with(b"$") {
        return false;
    }
    // Whatever quotes come in later lines, the value ends where it does.
    let after = match dialect {
        // These go on to any later quote that a line end or a comment follows.
        Dialect::Node => "\nM=m '#\nM=m \"#\nM=m `#\n",
        Dialect::Ruby => "\nM=m '#\nM=m \"#\n",
        _ => "\nM='m'\nM=\"m\"\n",
    };
    let mut line = Zeroizing::new(String::with_capacity(token.len() + after.len() + 2));
    line.push_str("N=");
    line.push_str(token);
    line.push_str(after);
    let Ok(document) = Document::parse(dialect.into(), line.as_bytes()) else {
        return false;
    };
    let Ok(entries) = document.resolve(&[]) else {
        return false;
    };
    let Some((first, rest)) = entries.split_first() else {
        return false;
    };
    let read = first
        .value
        .as_ref()
        .is_some_and(|read| read.expose() == value.expose());
    read && !first.derived
        && first.name == "N"
        && rest.len() == after.matches('=').count()
        && rest.iter().all(|entry| entry.name == "M" && !entry.derived)
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

/// The dialect's own forms, the best first; whether one holds is for the reader to say.
fn own(dialect: Dialect, text: &str) -> Vec<Zeroizing<String>> {
    match dialect {
        Dialect::PythonDotenv => vec![python_dotenv(text)],
        Dialect::DjangoEnviron => {
            let inner = escaped(text, &['\\', '"'], "");
            vec![wrapped('\'', &wrapped('"', &inner))]
        }
        Dialect::Decouple => vec![wrapped('\'', text)],
        Dialect::Docker => vec![Zeroizing::new(text.to_owned())],
        Dialect::Node => ['\'', '"', '`']
            .into_iter()
            .filter(|quote| !text.contains(*quote))
            .map(|quote| wrapped(quote, text))
            .collect(),
        Dialect::Compose => vec![wrapped('"', &escaped(text, &['"', '\\', '$'], ""))],
        Dialect::Systemd => vec![wrapped('"', &escaped(text, &['"', '\\', '$', '`'], ""))],
        Dialect::Shell => {
            let mut out = Zeroizing::new(String::with_capacity(text.len() * 4 + 2));
            out.push('\'');
            for c in text.chars() {
                match c {
                    '\'' => out.push_str("'\\''"),
                    c => out.push(c),
                }
            }
            out.push('\'');
            vec![out]
        }
        Dialect::Ruby | Dialect::Godotenv => vec![
            wrapped('\'', text),
            wrapped('"', &escaped(text, &['"', '\\', '$'], "")),
        ],
        Dialect::Dotenvy => vec![wrapped('"', &escaped(text, &['"', '\\', '$'], "\n"))],
    }
}

/// The text with a backslash before each of `special`; line feeds as `\n` where `line_feeds` has one.
fn escaped(text: &str, special: &[char], line_feeds: &str) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(text.len() * 2));
    for c in text.chars() {
        match c {
            '\n' if line_feeds.contains('\n') => out.push_str("\\n"),
            c if special.contains(&c) => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

fn python_dotenv(text: &str) -> Zeroizing<String> {
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

fn wrapped(quote: char, text: &str) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(text.len() + 2));
    out.push(quote);
    out.push_str(text);
    out.push(quote);
    out
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
