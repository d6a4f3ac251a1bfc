//! What a process manager or a CI service reads: supervisor's `environment=`, GitHub Actions' files.

use std::collections::BTreeMap;

use secrets_api::{Error, Name, Result, SecretValue};

use super::{gather, refuse_nul, text_only};

/// supervisor's `environment=K="v",…` (supervisord.org, "[program:x] Section Values"). Its reader is
/// Python's shlex after a ConfigParser: no escapes, `%` doubled, quotes stripped from both ends.
pub(super) fn supervisor(items: &BTreeMap<Name, SecretValue>) -> Result<SecretValue> {
    text_only(items, "supervisor")?;
    let mut out: Vec<u8> = b"environment=".to_vec();
    out.reserve(
        items
            .iter()
            .map(|(n, v)| n.as_str().len() + v.len() * 2 + 4)
            .sum(),
    );
    let mut out = secrets_api::Zeroizing::new(out);
    for (index, (name, value)) in items.iter().enumerate() {
        refuse_nul(name, value)?;
        let text = value.expose_text().unwrap_or_default();
        if let Some(why) = beyond_supervisor(text) {
            return Err(Error::unsupported(format!(
                "{name} cannot be held by supervisor's environment=: {why}"
            ))
            .about(name)
            .with_hint("start the program with `secrets exec` instead, as its command"));
        }
        let quote = if text.contains('"') { b'\'' } else { b'"' };
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(&[b'=', quote]);
        for byte in text.bytes() {
            out.push(byte);
            if byte == b'%' {
                out.push(b'%');
            }
        }
        out.push(quote);
    }
    out.push(b'\n');
    Ok(SecretValue::from(out))
}

/// Why a value is none that supervisor reads back.
fn beyond_supervisor(text: &str) -> Option<&'static str> {
    let edge = |c: char| c == '"' || c == '\'';
    if text.chars().any(char::is_control) {
        return Some("it has a line end or another control character");
    }
    if text.contains('"') && text.contains('\'') {
        return Some("it has both kinds of quotes");
    }
    if text.starts_with(edge) || text.ends_with(edge) {
        return Some("it has a quote at one of its ends");
    }
    let comment = |mark: char| {
        text.char_indices()
            .any(|(at, c)| c == mark && text[..at].ends_with(char::is_whitespace))
    };
    if comment(';') || comment('#') {
        return Some("it has a blank before `;` or `#`, which begins a comment");
    }
    None
}

/// What is appended to `$GITHUB_ENV`: `NAME<<DELIMITER`, the value, the delimiter (docs.github.com,
/// "Workflow commands": multiline strings). The delimiter is one that no value holds.
pub(super) fn github_env(items: &BTreeMap<Name, SecretValue>) -> Result<SecretValue> {
    text_only(items, "github-actions")?;
    let texts = || items.values().filter_map(SecretValue::expose_text);
    let delimiter = (0_u32..)
        .map(|n| format!("END_OF_SECRET_{n}"))
        .find(|delimiter| texts().all(|text| !text.contains(delimiter.as_str())))
        .unwrap_or_default();
    let mut parts: Vec<&[u8]> = Vec::new();
    for (name, value) in items {
        refuse_nul(name, value)?;
        if value.expose().contains(&b'\r') {
            return Err(Error::unsupported(format!(
                "{name} holds a carriage return, which GitHub's reader takes for a line end"
            ))
            .about(name));
        }
        parts.extend([name.as_str().as_bytes(), b"<<", delimiter.as_bytes(), b"\n"]);
        parts.extend([value.expose(), b"\n", delimiter.as_bytes(), b"\n"]);
    }
    Ok(gather(&parts))
}

/// `::add-mask::` for each value: printed by a step, it hides them in the log from there on. `%` and line
/// ends are escaped as workflow commands have it.
pub(super) fn github_mask(items: &BTreeMap<Name, SecretValue>) -> Result<SecretValue> {
    text_only(items, "github-mask")?;
    let mut parts: Vec<&[u8]> = Vec::new();
    for value in items.values().filter(|value| !value.is_empty()) {
        parts.push(b"::add-mask::");
        let mut rest = value.expose();
        while let Some(at) = rest.iter().position(|b| matches!(b, b'%' | b'\r' | b'\n')) {
            let escaped: &[u8] = match rest[at] {
                b'%' => b"%25",
                b'\r' => b"%0D",
                _ => b"%0A",
            };
            parts.extend([&rest[..at], escaped]);
            rest = &rest[at + 1..];
        }
        parts.extend([rest, b"\n"]);
    }
    Ok(gather(&parts))
}
