//! Edits that leave every other byte as it was: comments, order, quoting, line ends, indentation.

use secrets_api::{Name, Result, SecretValue, Zeroizing};

use crate::dialect::Dialect;
use crate::document::{BOM, Document};
use crate::write;

/// What is to become of one name.
pub(crate) enum Wish<'a> {
    Set(&'a SecretValue),
    Remove,
}

/// The text with the wishes granted. Of several lines for one name the last, which counts, is set;
/// all are removed, lest an earlier one come into effect.
pub(crate) fn apply(
    dialect: Dialect,
    document: &Document<'_>,
    wishes: &[(&Name, Wish<'_>)],
) -> Result<Zeroizing<Vec<u8>>> {
    let text = document.text;
    let crlf = text.find('\n').is_some_and(|at| text[..at].ends_with('\r'));
    let line_end = if crlf { "\r\n" } else { "\n" };
    let mut cuts: Vec<(std::ops::Range<usize>, Zeroizing<String>)> = Vec::new();
    let mut added = Zeroizing::new(String::new());
    for (name, wish) in wishes {
        let all = || {
            document
                .bindings
                .iter()
                .filter(|b| document.key(b) == Some(name.as_str()))
        };
        match wish {
            Wish::Remove => cuts.extend(all().map(|b| (b.line.clone(), Zeroizing::default()))),
            Wish::Set(value) => {
                let token = write::token(dialect, name, value)?;
                match all().next_back() {
                    Some(binding) => {
                        let (span, mut new) = match &binding.value {
                            Some(span) => (span.clone(), token),
                            None => (binding.key_end..binding.key_end, joined("=", &token)),
                        };
                        // A comment right behind a quote would become a part of a bare value.
                        if text[span.end..].starts_with('#') {
                            new = joined(&new, " ");
                        }
                        cuts.push((span, new));
                    }
                    None => {
                        let line = [name.as_str(), "=", &token, line_end]
                            .map(str::len)
                            .iter()
                            .sum::<usize>();
                        let mut longer = Zeroizing::new(String::with_capacity(added.len() + line));
                        for part in [&added, name.as_str(), "=", &token, line_end] {
                            longer.push_str(part);
                        }
                        added = longer;
                    }
                }
            }
        }
    }
    cuts.sort_by_key(|(span, _)| span.start);
    Ok(spliced(text, &cuts, &added, line_end))
}

fn joined(one: &str, other: &str) -> Zeroizing<String> {
    let mut both = Zeroizing::new(String::with_capacity(one.len() + other.len()));
    both.push_str(one);
    both.push_str(other);
    both
}

fn spliced(
    text: &str,
    cuts: &[(std::ops::Range<usize>, Zeroizing<String>)],
    added: &str,
    line_end: &str,
) -> Zeroizing<Vec<u8>> {
    let most = text.len()
        + added.len()
        + line_end.len()
        + cuts.iter().map(|(_, new)| new.len()).sum::<usize>();
    let mut out = Zeroizing::new(Vec::with_capacity(most));
    let mut at = 0;
    for (span, new) in cuts {
        out.extend_from_slice(&text.as_bytes()[at..span.start]);
        out.extend_from_slice(new.as_bytes());
        at = span.end;
    }
    out.extend_from_slice(&text.as_bytes()[at..]);
    if !added.is_empty() {
        let open_end = !out.is_empty() && !out.ends_with(b"\n") && *out != *BOM.as_bytes();
        if open_end {
            out.extend_from_slice(line_end.as_bytes());
            // The file had no final line end: it keeps to that.
            out.extend_from_slice(added.strip_suffix(line_end).unwrap_or(added).as_bytes());
        } else {
            out.extend_from_slice(added.as_bytes());
        }
    }
    out
}
