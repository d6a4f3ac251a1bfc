//! Lines of `NAME` and a quoted value, one quoting for each reader.

use std::collections::BTreeMap;

use secrets_api::{Name, Result, SecretValue};

use super::{gather, refuse_nul};

/// One value's bytes are parted at `special`, and each of them becomes what the function says.
struct Quoting {
    before: &'static [u8],
    between: &'static [u8],
    after: &'static [u8],
    /// Sequences that are written otherwise within the quotes, the longest first.
    replaced: &'static [(&'static [u8], &'static [u8])],
}

fn lines(items: &BTreeMap<Name, SecretValue>, how: &Quoting) -> Result<SecretValue> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for (name, value) in items {
        refuse_nul(name, value)?;
        parts.extend([how.before, name.as_str().as_bytes(), how.between]);
        let mut rest = value.expose();
        let mut at = 0;
        while at < rest.len() {
            let found = how
                .replaced
                .iter()
                .find(|(from, _)| rest[at..].starts_with(from));
            match found {
                Some((from, to)) => {
                    parts.extend([&rest[..at], *to]);
                    rest = &rest[at + from.len()..];
                    at = 0;
                }
                None => at += 1,
            }
        }
        parts.extend([rest, how.after]);
    }
    Ok(gather(&parts))
}

/// `export NAME='value'` for a POSIX shell (POSIX.1-2024, XCU 2.2 Quoting).
pub(super) fn shell(items: &BTreeMap<Name, SecretValue>) -> Result<SecretValue> {
    lines(
        items,
        &Quoting {
            before: b"export ",
            between: b"='",
            after: b"'\n",
            replaced: &[(b"'", br"'\''")],
        },
    )
}

/// `set -gx NAME 'value'` for fish (fishshell.com, "Quotes": only `\'` and `\\` are escapes).
pub(super) fn fish(items: &BTreeMap<Name, SecretValue>) -> Result<SecretValue> {
    lines(
        items,
        &Quoting {
            before: b"set -gx ",
            between: b" '",
            after: b"'\n",
            replaced: &[(b"\\", br"\\"), (b"'", br"\'")],
        },
    )
}

/// Everything PowerShell takes for a single quote, doubled.
const POWERSHELL: &[(&[u8], &[u8])] = &[
    (b"'", b"''"),
    ("\u{2018}".as_bytes(), "\u{2018}\u{2018}".as_bytes()),
    ("\u{2019}".as_bytes(), "\u{2019}\u{2019}".as_bytes()),
    ("\u{201a}".as_bytes(), "\u{201a}\u{201a}".as_bytes()),
    ("\u{201b}".as_bytes(), "\u{201b}\u{201b}".as_bytes()),
];

/// `$env:NAME = 'value'` for PowerShell (about_Quoting_Rules: a doubled quote stands for one; it
/// takes typographic single quotes for quotes too).
pub(super) fn powershell(items: &BTreeMap<Name, SecretValue>) -> Result<SecretValue> {
    super::text_only(items, "powershell")?;
    lines(
        items,
        &Quoting {
            before: b"$env:",
            between: b" = '",
            after: b"'\n",
            replaced: POWERSHELL,
        },
    )
}
