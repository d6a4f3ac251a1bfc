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

/// A line as it can be shown: its name, `=` and an opening quote as they are, every other character
/// as a dot, since it may be of a value. `None` for one that is no assignment, or too long.
fn masked(line: &str) -> Option<String> {
    let (key, value) = line.split_once('=')?;
    let name = key.strip_prefix("export ").unwrap_or(key).trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let is_key = !name.is_empty() && name.len() <= 64 && name.chars().all(plain);
    if !is_key || line.chars().count() > WIDEST || key.chars().any(char::is_control) {
        return None;
    }
    let blanks = value.len() - value.trim_start_matches(' ').len();
    let quote = value[blanks..]
        .chars()
        .next()
        .filter(|c| matches!(c, '\'' | '"' | '`'));
    let hidden = value[blanks..].chars().count() - usize::from(quote.is_some());
    let mut out = format!("{key}={}", " ".repeat(blanks));
    out.extend(quote);
    out.extend(std::iter::repeat_n('·', hidden));
    Some(out)
}
