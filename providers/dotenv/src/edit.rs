//! Edits that leave every other byte as it was: comments, order, quoting, line ends, indentation.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use secrets_api::{Name, Result, SecretValue, Zeroizing};

use crate::dialect::Dialect;
use crate::document::{BOM, Document};
use crate::grammar::{Binding, shell};
use crate::text;
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
    let text = &*document.text;
    // Where a carriage return would be a part of the value, lines end without one.
    let crlf =
        !document.rules.keeps_cr && text.find('\n').is_some_and(|at| text[..at].ends_with('\r'));
    let line_end = if crlf { "\r\n" } else { "\n" };
    // One pass over the file, however many names there are.
    let mut lines: HashMap<&str, Vec<&Binding>> = wishes
        .iter()
        .map(|(name, _)| (name.as_str(), Vec::new()))
        .collect();
    for binding in &document.bindings {
        if let Some(of_name) = document
            .key(binding)
            .and_then(|key| lines.get_mut(key.as_ref()))
        {
            of_name.push(binding);
        }
    }
    let mut cuts: Vec<Cut> = Vec::new();
    let mut added: Vec<(&Name, Zeroizing<String>)> = Vec::new();
    for (name, wish) in wishes {
        let all = lines.get(name.as_str()).map_or(&[][..], Vec::as_slice);
        match (wish, all.last()) {
            (Wish::Remove, _) => {
                cuts.extend(all.iter().map(|b| (b.line.clone(), Zeroizing::default())));
            }
            (Wish::Set(value), None) => added.push((name, write::token(dialect, name, value)?)),
            (Wish::Set(value), Some(binding)) => {
                let token = write::token(dialect, name, value)?;
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
        }
    }
    cuts.sort_by_key(|(span, _)| span.start);
    if dialect == Dialect::Shell {
        cuts = statements(text, cuts);
    }
    let edited = spliced(text, &cuts, &added, line_end);
    if matches!(document.text, Cow::Borrowed(_)) {
        return Ok(edited);
    }
    Ok(std::str::from_utf8(&edited).map_or_else(|_| edited.clone(), text::encoded))
}

/// A span of the text, and what takes its place.
pub(crate) type Cut = (Range<usize>, Zeroizing<String>);

/// With removals that stand side by side made one, and whole statements where nothing else is left
/// of them.
fn statements(text: &str, cuts: Vec<Cut>) -> Vec<Cut> {
    let mut merged: Vec<Cut> = Vec::with_capacity(cuts.len());
    for (span, new) in cuts {
        match merged.last_mut() {
            Some((last, before))
                if new.is_empty() && before.is_empty() && last.end == span.start =>
            {
                last.end = span.end;
            }
            _ => merged.push((span, new)),
        }
    }
    for (span, new) in &mut merged {
        if new.is_empty() && span.start < span.end {
            *span = shell::whole(text, span.clone());
        }
    }
    merged
}

fn joined(one: &str, other: &str) -> Zeroizing<String> {
    let mut both = Zeroizing::new(String::with_capacity(one.len() + other.len()));
    both.push_str(one);
    both.push_str(other);
    both
}

/// The text with the cuts made, and lines for what is added at its end.
pub(crate) fn spliced(
    text: &str,
    cuts: &[Cut],
    added: &[(&Name, Zeroizing<String>)],
    line_end: &str,
) -> Zeroizing<Vec<u8>> {
    let new_lines = added
        .iter()
        .map(|(name, token)| name.as_str().len() + "=".len() + token.len() + line_end.len());
    let most = text.len()
        + cuts.iter().map(|(_, new)| new.len()).sum::<usize>()
        + new_lines.sum::<usize>();
    let mut out = Zeroizing::new(Vec::with_capacity(most));
    let mut at = 0;
    for (span, new) in cuts {
        out.extend_from_slice(&text.as_bytes()[at..span.start]);
        out.extend_from_slice(new.as_bytes());
        at = span.end;
    }
    out.extend_from_slice(&text.as_bytes()[at..]);
    // A file without a final line end keeps to that.
    let open_end = !out.is_empty() && !out.ends_with(b"\n") && *out != *BOM.as_bytes();
    let (before, after) = if open_end {
        (line_end, "")
    } else {
        ("", line_end)
    };
    for (name, token) in added {
        for part in [before, name.as_str(), "=", token, after] {
            out.extend_from_slice(part.as_bytes());
        }
    }
    out
}
