//! Errors at a place of a text, with the line they are in. A line may hold a value: what is shown of
//! it is masked.

use secrets_api::{Error, ErrorKind};

/// The widest excerpt, in characters.
const WIDEST: usize = 72;

/// An error at a position of the text: line and column, from 1, the column in characters; and the
/// line with a caret below the place, what may be a value masked.
pub(crate) fn broken(text: &str, at: usize, why: &str) -> Error {
    let at = text.floor_char_boundary(at.min(text.len()));
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    let column = text[start..at].chars().count() + 1;
    let error = Error::new(
        ErrorKind::InvalidData,
        format!("line {line}, column {column}: {why}"),
    );
    let end = text[start..].find('\n').map_or(text.len(), |n| start + n);
    match masked(&text[start..end]) {
        Some(shown) if column <= shown.chars().count() + 1 => error.with_excerpt(format!(
            "{line} | {shown}\n{} | {}^",
            " ".repeat(line.to_string().len()),
            " ".repeat(column - 1)
        )),
        _ => error,
    }
}

/// The longest key that is shown, in characters.
const LONGEST: usize = 64;

/// Whether what stands before `=` is surely a key, and can be shown. A line of a value that lacks its
/// quotes reads as a key too: a URL with its password, base64 with its padding. So a key is shown if it
/// is made like one, of one case, and has a value that is none of padding.
pub fn may_be_shown(key: &str, value: &[u8]) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let of_one_case = !key.contains(|c: char| c.is_ascii_lowercase())
        || !key.contains(|c: char| c.is_ascii_uppercase());
    let padding = value
        .iter()
        .all(|b| matches!(b, b'=' | b'"' | b'\'' | b' '));
    !key.is_empty() && key.len() <= LONGEST && key.chars().all(plain) && of_one_case && !padding
}

/// A line as it can be shown: its name, `=` and an opening quote as they are, every other character
/// as a dot, since it may be of a value. `None` for one that is no assignment, or too long.
fn masked(line: &str) -> Option<String> {
    let (key, value) = line.split_once('=')?;
    let name = key.strip_prefix("export ").unwrap_or(key).trim();
    if line.chars().count() > WIDEST || key.chars().any(char::is_control) {
        return None;
    }
    let mut out = if may_be_shown(name, value.trim().as_bytes()) {
        key.to_owned()
    } else {
        key.chars()
            .map(|c| if c == ' ' { ' ' } else { '·' })
            .collect()
    };
    let blanks = value.len() - value.trim_start_matches(' ').len();
    let quote = value[blanks..]
        .chars()
        .next()
        .filter(|c| matches!(c, '\'' | '"' | '`'));
    let hidden = value[blanks..].chars().count() - usize::from(quote.is_some());
    out.push('=');
    out.push_str(&" ".repeat(blanks));
    out.extend(quote);
    out.extend(std::iter::repeat_n('·', hidden));
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_its_name_and_nothing_that_may_be_of_a_value() {
        for (line, shown) in [
            ("KEY='abc", "KEY='···"),
            ("export A = x", "export A = ·"),
            ("c2VjcmV0MTIz=\"", "············=\""),
            ("QUJDREVG==", "········=·"),
            ("postgres://u:p@h/?a=b", "···················=·"),
        ] {
            assert_eq!(masked(line).as_deref(), Some(shown), "{line}");
        }
        assert_eq!(masked("no assignment"), None);
    }
}
