//! The settings with the literal key replaced by a look into the environment; every other byte
//! stays as it was.

use secrets_api::{Error, ErrorKind, Result, Zeroizing};
use similar::TextDiff;

use super::settings::{SecretKey, keys_in, literal_in};
use super::tokens::{Kind, Token, tokens};

/// An edit, ready to be shown and made.
#[derive(Debug)]
pub struct Edit {
    /// The text after it.
    pub new_text: String,
    /// What changes, as a unified difference without its head; the key is shown as `…`.
    pub diff: String,
}

/// What stands for the key where it is shown.
const MASK: &str = "'…'";

/// Replaces the literal by `os.environ["NAME"]` and imports `os` where that is not done yet.
///
/// # Errors
/// `InvalidConfig` for an assignment that is no literal or text that is no Python; `Conflict` if
/// the text is not the one the key was found in.
pub fn edited(text: &str, key: &SecretKey, name: &str) -> Result<Edit> {
    let SecretKey::Literal { path, span, .. } = key else {
        return Err(Error::new(
            ErrorKind::InvalidConfig,
            "SECRET_KEY is no literal",
        ));
    };
    let found = keys_in(text, path)
        .iter()
        .any(|k| matches!(k, SecretKey::Literal { span: s, .. } if s == span));
    if !found || literal_in(text, span).is_none() {
        return Err(Error::new(
            ErrorKind::Conflict,
            format!("{} has just been changed", path.display()),
        )
        .with_hint("run `secrets init` again"));
    }
    let look = format!("os.environ[\"{name}\"]");
    let replaced = |with: &str| {
        let mut out = String::with_capacity(text.len() + with.len());
        out.push_str(&text[..span.start]);
        out.push_str(with);
        out.push_str(&text[span.end..]);
        out
    };
    let new_text = with_import(&replaced(&look), span.start).ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidConfig,
            format!("{} is no Python we can read", path.display()),
        )
    })?;
    let (old, new) = (masked(&replaced(MASK), name), masked(&new_text, name));
    let shown = TextDiff::from_lines(old.as_str(), new.as_str())
        .unified_diff()
        .context_radius(1)
        .to_string();
    let diff = shown
        .lines()
        .filter(|line| !line.starts_with("@@"))
        .map(|line| format!("{}\n", line.trim_end_matches('\r')))
        .collect();
    Ok(Edit { new_text, diff })
}

/// The text with every string masked but `name`, and every comment: other keys may stand beside the
/// one that moves.
fn masked(text: &str, name: &str) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(text.len()));
    let mut at = 0;
    for token in tokens(text).unwrap_or_default() {
        without_comments(&text[at..token.span.start], &mut out);
        let written = &text[token.span.clone()];
        let is_string = matches!(token.kind, Kind::String { .. });
        if is_string && written.trim_matches(['"', '\'']) != name {
            out.push_str(MASK);
            // As many lines as before: the difference is shown by line.
            out.extend(written.matches('\n'));
        } else {
            out.push_str(written);
        }
        at = token.span.end;
    }
    without_comments(&text[at..], &mut out);
    out
}

/// What stands between tokens: blanks, line ends, comments.
fn without_comments(between: &str, out: &mut String) {
    for line in between.split_inclusive('\n') {
        match line.split_once('#') {
            None => out.push_str(line),
            Some((blanks, comment)) => {
                out.push_str(blanks);
                out.push_str("# …");
                out.push_str(&comment[comment.trim_end_matches(['\r', '\n']).len()..]);
            }
        }
    }
}

/// The text with `import os` in force at this place: one that stands inside a block or a function, or
/// further down, does not count.
fn with_import(text: &str, place: usize) -> Option<String> {
    let tokens = tokens(text)?;
    let lines: Vec<&[Token]> = tokens
        .split(|t| t.kind == Kind::LineEnd)
        .filter(|line| !line.is_empty())
        .collect();
    let words = |line: &[Token]| {
        line.iter()
            .map(|t| &text[t.span.clone()])
            .collect::<Vec<_>>()
    };
    let top_level = |line: &&&[Token]| {
        line.first().is_some_and(|t| {
            t.span.start == 0 || text[..t.span.start].ends_with(['\n', '\u{feff}'])
        })
    };
    let before = |line: &&&[Token]| line.first().is_some_and(|t| t.span.start < place);
    let in_force = |line: &&&[Token]| top_level(line) && before(line);
    if lines
        .iter()
        .filter(in_force)
        .any(|line| imports_os(&words(line)))
    {
        return Some(text.to_owned());
    }
    // Before the first import that is not from `__future__`; else before the first statement that
    // is no docstring.
    let is_import =
        |line: &&&[Token]| matches!(words(line).as_slice(), ["import", ..] | ["from", ..]);
    let is_head = |line: &&&[Token]| {
        let words = words(line);
        words.get(1) == Some(&"__future__")
            || line.iter().all(|t| matches!(t.kind, Kind::String { .. }))
    };
    let first = lines
        .iter()
        .filter(|l| !is_head(l))
        .find(|l| is_import(l) && in_force(l));
    let first = first.or_else(|| lines.iter().find(|l| !is_head(l)))?;
    let at = first.first()?.span.start;
    let line_end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let blank = if is_import(&first) { "" } else { line_end };
    Some(format!(
        "{}import os{line_end}{blank}{}",
        &text[..at],
        &text[at..]
    ))
}

fn imports_os(words: &[&str]) -> bool {
    let ["import", names @ ..] = words else {
        return false;
    };
    let mut parts = names.split(|word| *word == ",");
    parts.any(|part| part == ["os"] || part.starts_with(&["os", "."]) && !part.contains(&"as"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn edit(text: &str) -> Edit {
        let keys = keys_in(text, Path::new("s.py"));
        edited(text, &keys[0], "SECRET_KEY").unwrap()
    }

    #[test]
    fn the_settings_of_a_new_project_read_the_environment() {
        let before = "\"\"\"\nDjango settings.\n\"\"\"\n\nfrom pathlib import Path\n\n# keep it secret!\nSECRET_KEY = 'django-insecure-canary'\n\nDEBUG = True\n";
        let edit = edit(before);
        assert_eq!(
            edit.new_text,
            "\"\"\"\nDjango settings.\n\"\"\"\n\nimport os\nfrom pathlib import Path\n\n# keep it secret!\nSECRET_KEY = os.environ[\"SECRET_KEY\"]\n\nDEBUG = True\n"
        );
        assert!(!edit.diff.contains("canary"), "{}", edit.diff);
        assert!(
            edit.diff
                .contains("-SECRET_KEY = '…'\n+SECRET_KEY = os.environ[\"SECRET_KEY\"]\n"),
            "{}",
            edit.diff
        );
        assert!(edit.diff.contains("+import os\n"));
    }

    #[test]
    fn an_import_is_added_where_python_wants_it_and_only_once() {
        for (before, after) in [
            (
                "import os\nSECRET_KEY = 'a'\n",
                "import os\nSECRET_KEY = os.environ[\"SECRET_KEY\"]\n",
            ),
            (
                "import sys, os\nSECRET_KEY = 'a'\n",
                "import sys, os\nSECRET_KEY = os.environ[\"SECRET_KEY\"]\n",
            ),
            (
                "import os as o\nSECRET_KEY = 'a'\n",
                "import os\nimport os as o\nSECRET_KEY = os.environ[\"SECRET_KEY\"]\n",
            ),
            (
                "from __future__ import annotations\r\nX = 1\r\nSECRET_KEY = 'a' # c\r\n",
                "from __future__ import annotations\r\nimport os\r\n\r\nX = 1\r\nSECRET_KEY = os.environ[\"SECRET_KEY\"] # c\r\n",
            ),
            (
                "#!/usr/bin/python\nSECRET_KEY = ('a'\n 'b')\n",
                "#!/usr/bin/python\nimport os\n\nSECRET_KEY = os.environ[\"SECRET_KEY\"]\n",
            ),
            (
                "\u{feff}SECRET_KEY = 'a'\n",
                "\u{feff}import os\n\nSECRET_KEY = os.environ[\"SECRET_KEY\"]\n",
            ),
            (
                "if 1:\n    import sys\n    SECRET_KEY = 'a'\n",
                "import os\n\nif 1:\n    import sys\n    SECRET_KEY = os.environ[\"SECRET_KEY\"]\n",
            ),
        ] {
            assert_eq!(edit(before).new_text, after);
        }
    }

    #[test]
    fn a_key_that_stands_twice_is_shown_nowhere() {
        let edit = edit("# was: canary-key\nSECRET_KEY = 'canary-key'\n");
        assert!(!edit.diff.contains("canary"), "{}", edit.diff);
        assert!(
            edit.new_text.contains("# was: canary-key"),
            "the file's own text is not touched"
        );
    }

    #[test]
    fn other_keys_beside_it_are_not_shown_either() {
        for beside in [
            "SECRET_KEY_FALLBACKS = ['canary-old']",
            "SECRET_KEY += 'canary-tail'",
            "X = r'canary'  # canary",
        ] {
            let edit = edit(&format!("SECRET_KEY = 'canary-key'\n{beside}\n"));
            assert!(!edit.diff.contains("canary"), "{}", edit.diff);
            assert!(edit.new_text.contains(beside));
        }
    }

    #[test]
    fn an_import_that_is_not_in_force_there_does_not_count() {
        for (before, after) in [
            (
                "SECRET_KEY = 'a'\nimport os\n",
                "import os\n\nSECRET_KEY = os.environ[\"SECRET_KEY\"]\nimport os\n",
            ),
            (
                "def f():\n    import os\nSECRET_KEY = 'a'\n",
                "import os\n\ndef f():\n    import os\nSECRET_KEY = os.environ[\"SECRET_KEY\"]\n",
            ),
        ] {
            assert_eq!(edit(before).new_text, after);
        }
    }
}
