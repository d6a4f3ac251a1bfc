//! `NAME=value` ended by NUL: what `env -0` prints, `xargs -0` reads and `/proc/PID/environ` holds.

use std::collections::BTreeMap;

use secrets_api::{Error, Name, Result, SecretValue};

use super::{Items, broken, gather, name};

pub(super) fn render(items: &BTreeMap<Name, SecretValue>) -> Result<SecretValue> {
    let mut parts: Vec<&[u8]> = Vec::with_capacity(items.len() * 4);
    for (name, value) in items {
        if value.has_nul() {
            return Err(Error::unsupported(format!(
                "{name} holds a NUL byte, which ends a value in this format"
            ))
            .about(name)
            .with_hint("use `--format json`"));
        }
        parts.extend([name.as_str().as_bytes(), b"=", value.expose(), b"\0"]);
    }
    Ok(gather(&parts))
}

pub(super) fn parse(bytes: &[u8]) -> Result<Items> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let Some(all) = bytes.strip_suffix(b"\0") else {
        return Err(broken("the last entry is not ended by a NUL byte").with_hint("is it whole?"));
    };
    let entry = |(index, entry): (usize, &[u8])| {
        let at = entry
            .iter()
            .position(|b| *b == b'=')
            .ok_or_else(|| broken(format!("entry {} has no `=`", index + 1)))?;
        let name = name(
            &entry[..at],
            &format!("what stands before `=` in entry {}", index + 1),
        )?;
        Ok((name, SecretValue::from_slice(&entry[at + 1..])))
    };
    all.split(|b| *b == 0).enumerate().map(entry).collect()
}
