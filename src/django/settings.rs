//! What the settings do about SECRET_KEY.

use std::ops::Range;
use std::path::{Path, PathBuf};

use secrets_api::{Error, ErrorKind, Name, Result, SecretValue, Zeroizing};
use secrets_platform::files;

use super::project::Project;
use super::tokens::{Kind, Token, tokens};

/// The setting.
pub(super) const SETTING: &str = "SECRET_KEY";
/// Settings are not larger, in bytes.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// Words by which an expression reads its environment: `os.environ`, `os.getenv`, django-environ,
/// environs, python-decouple, django-configurations.
const READERS: &[&str] = &[
    "environ",
    "getenv",
    "env",
    "config",
    "values",
    "decouple",
    "get_env",
    "environ_get",
];

/// One assignment to SECRET_KEY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretKey {
    /// The key itself stands in the code.
    Literal {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Where the expression is, in bytes.
        span: Range<usize>,
    },
    /// It is read from the environment.
    Environment {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Whether the code also holds a value for when there is none.
        default_literal: bool,
        /// The variable it is read from, as far as that can be seen.
        variable: Option<Name>,
    },
    /// It is computed in some other way.
    Computed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
}

/// Every assignment to SECRET_KEY in the project's settings.
///
/// # Errors
/// If a settings file cannot be read. One that is no text, or no Python, is passed over.
pub fn secret_keys(project: &Project) -> Result<Vec<SecretKey>> {
    let mut found = Vec::new();
    for path in &project.settings {
        if let Some(text) = read(path)? {
            found.extend(keys_in(&text, path));
        }
    }
    Ok(found)
}

/// The text of a settings file; `None` if it is none, or too large to be one.
fn read(path: &Path) -> Result<Option<Zeroizing<String>>> {
    let Some(contents) = files::read(path)? else {
        return Ok(None);
    };
    if contents.bytes.len() > MOST_BYTES {
        return Ok(None);
    }
    Ok(std::str::from_utf8(&contents.bytes)
        .ok()
        .map(|text| Zeroizing::new(text.to_owned())))
}

pub(super) fn keys_in(text: &str, path: &Path) -> Vec<SecretKey> {
    let Some(tokens) = tokens(text) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for index in 0..tokens.len() {
        if let Some(value) = assignment(text, &tokens, index)
            && let (Some(first), Some(last)) = (value.first(), value.last())
        {
            let line = text[..tokens[index].span.start].matches('\n').count() + 1;
            found.push(classify(
                text,
                value,
                first.span.start..last.span.end,
                path,
                line,
            ));
        }
    }
    found
}

/// The value's tokens, if an assignment to SECRET_KEY begins with this token.
fn assignment<'a>(text: &str, tokens: &'a [Token], index: usize) -> Option<&'a [Token]> {
    let word = |token: &Token| &text[token.span.clone()];
    let begins = index == 0
        || matches!(
            tokens[index - 1].kind,
            Kind::LineEnd | Kind::Mark(';' | ':')
        );
    if tokens[index].kind != Kind::Name || word(&tokens[index]) != SETTING || !begins {
        return None;
    }
    let rest = &tokens[index + 1..];
    let end = rest
        .iter()
        .position(|t| matches!(t.kind, Kind::LineEnd | Kind::Mark(';')))?;
    let statement = &rest[..end];
    let equals = match statement.first()?.kind {
        Kind::Mark('=') => 0,
        // An annotation: `SECRET_KEY: str = …`.
        Kind::Mark(':') => statement.iter().position(|t| t.kind == Kind::Mark('='))?,
        _ => return None,
    };
    let value = &statement[equals + 1..];
    // `==` is a comparison, of an expression statement nobody writes.
    (!value.is_empty() && value[0].kind != Kind::Mark('=')).then_some(value)
}

fn classify(
    text: &str,
    value: &[Token],
    span: Range<usize>,
    path: &Path,
    line: usize,
) -> SecretKey {
    let path = path.to_owned();
    let strings = || {
        value
            .iter()
            .filter(|t| matches!(t.kind, Kind::String { .. }))
    };
    let literal = value
        .iter()
        .all(|t| matches!(t.kind, Kind::String { plain: true } | Kind::Mark('(' | ')')));
    if literal && strings().count() > 0 && pieces(text, value).is_some() {
        return SecretKey::Literal { path, line, span };
    }
    let reads = value
        .iter()
        .any(|t| t.kind == Kind::Name && READERS.contains(&&text[t.span.clone()]));
    if reads {
        // The first string names the variable; another one that is not empty is a value.
        let default_literal = strings()
            .skip(1)
            .any(|t| text[t.span.clone()].trim_matches(['"', '\'']).len() > 1);
        let first = strings().next().map(|t| &text[t.span.clone()]);
        let variable = first
            .and_then(super::literal::decode)
            .and_then(|name| Name::new(&name).ok());
        return SecretKey::Environment {
            path,
            line,
            default_literal,
            variable,
        };
    }
    SecretKey::Computed { path, line }
}

/// The decoded text of adjacent literals.
fn pieces(text: &str, value: &[Token]) -> Option<Zeroizing<Vec<u8>>> {
    let strings = value
        .iter()
        .filter(|t| matches!(t.kind, Kind::String { .. }));
    let decoded = strings
        .map(|t| super::literal::decode(&text[t.span.clone()]))
        .collect::<Option<Vec<_>>>()?;
    let mut whole = Zeroizing::new(Vec::with_capacity(decoded.iter().map(|d| d.len()).sum()));
    decoded
        .iter()
        .for_each(|piece| whole.extend_from_slice(piece.as_bytes()));
    Some(whole)
}

pub(super) fn literal_in(text: &str, span: &Range<usize>) -> Option<SecretValue> {
    let expression = text.get(span.clone())?;
    pieces(expression, &tokens(expression)?).map(SecretValue::from)
}

/// The key that stands in the code.
///
/// # Errors
/// `InvalidConfig` for an assignment that is no literal; `Conflict` if the file has changed since
/// it was looked at.
pub fn literal(key: &SecretKey) -> Result<SecretValue> {
    let SecretKey::Literal { path, span, .. } = key else {
        return Err(Error::new(
            ErrorKind::InvalidConfig,
            "SECRET_KEY is no literal",
        ));
    };
    let text = read(path)?;
    text.and_then(|text| literal_in(&text, span))
        .ok_or_else(|| {
            Error::new(
                ErrorKind::Conflict,
                format!("{} has just been changed", path.display()),
            )
            .with_hint("run `secrets init` again")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> SecretKey {
        let mut keys = keys_in(text, Path::new("s.py"));
        assert_eq!(keys.len(), 1, "{text}: {keys:?}");
        keys.remove(0)
    }

    fn value(text: &str) -> Option<String> {
        match one(text) {
            SecretKey::Literal { span, .. } => {
                literal_in(text, &span).map(|v| v.expose_text().unwrap_or_default().to_owned())
            }
            _ => None,
        }
    }

    #[test]
    fn literals_are_found_however_they_are_written() {
        for text in [
            "import os\n\n# SECURITY WARNING\nSECRET_KEY = 'ab#c'\n",
            "SECRET_KEY = \"ab#c\"  # keep it secret\n",
            "SECRET_KEY: str = 'ab#c'",
            "SECRET_KEY = ('ab'\n    '#c')\n",
            "if DEBUG:\n    SECRET_KEY = r'ab#c'\r\n",
            "if DEBUG: SECRET_KEY = 'ab#c'\n",
            "\u{feff}SECRET_KEY='ab' \\\n '#c'\n",
        ] {
            let found = value(text);
            assert_eq!(found.as_deref(), Some("ab#c"), "{text:?}");
        }
    }

    #[test]
    fn reading_the_environment_is_told_from_a_literal() {
        for (text, default) in [
            ("SECRET_KEY = os.environ['SECRET_KEY']", false),
            (
                "SECRET_KEY = os.environ.get('SECRET_KEY', 'django-insecure-x')",
                true,
            ),
            ("SECRET_KEY = env('DJANGO_SECRET_KEY')", false),
            ("SECRET_KEY = env.str('KEY', default=\"xyz\")", true),
            ("SECRET_KEY = config('SECRET_KEY', default='')", false),
            ("SECRET_KEY = os.getenv(\"SECRET_KEY\") or 'dev-key'", true),
        ] {
            match one(text) {
                SecretKey::Environment {
                    default_literal,
                    variable,
                    ..
                } => {
                    assert_eq!(default_literal, default, "{text}");
                    assert!(
                        variable.is_some_and(|v| text.contains(v.as_str())),
                        "{text}"
                    );
                }
                other => panic!("{text}: {other:?}"),
            }
        }
        for text in [
            "SECRET_KEY = open('k').read()",
            "SECRET_KEY = f'{x}'",
            "SECRET_KEY = b'x'",
            "SECRET_KEY = '\\N{BULLET}'",
        ] {
            assert!(matches!(one(text), SecretKey::Computed { .. }), "{text}");
        }
    }

    #[test]
    fn what_is_no_assignment_is_passed_over() {
        for text in [
            "x.SECRET_KEY = 'a'",
            "f(SECRET_KEY='a')",
            "SECRET_KEY == 'a'",
            "# SECRET_KEY = 'a'",
            "'''\nSECRET_KEY = 'a'\n'''",
            "SECRET_KEY_FALLBACKS = ['a']",
            "SECRET_KEY = 'not closed",
        ] {
            assert!(keys_in(text, Path::new("s.py")).is_empty(), "{text}");
        }
    }
}
