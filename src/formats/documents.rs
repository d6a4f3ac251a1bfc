//! Documents: YAML, TOML, a Kubernetes Secret, an Ansible variables file.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrets_api::{Error, ErrorKind, Name, Result, SecretValue, Zeroizing};

use super::{Context, text_only};

/// The most bytes of a Kubernetes Secret (kubernetes.io, "Secrets": 1 MiB).
const MOST_K8S: usize = 1024 * 1024;

/// Text as it grows, in a block that is large enough from the start.
fn block(items: &BTreeMap<Name, SecretValue>, head: usize) -> Zeroizing<String> {
    // At most ten bytes for one (`\U0010ffff` in YAML for four, `\u0000` for one).
    let most = |(name, value): (&Name, &SecretValue)| name.as_str().len() + value.len() * 6 + 64;
    Zeroizing::new(String::with_capacity(
        head + items.iter().map(most).sum::<usize>(),
    ))
}

fn finished(text: Zeroizing<String>) -> SecretValue {
    let mut text = text;
    SecretValue::from_vec(std::mem::take(&mut *text).into_bytes())
}

/// `"NAME": "value"`, double-quoted scalars (YAML 1.2, 7.3.1); bytes that are no text as `!!binary`.
pub(super) fn yaml(items: &BTreeMap<Name, SecretValue>) -> SecretValue {
    let mut out = block(items, 0);
    for (name, value) in items {
        // In quotes: `NO` and `NULL` are no strings to YAML 1.1.
        out.push('"');
        out.push_str(name.as_str());
        out.push_str("\": ");
        match value.expose_text() {
            Some(text) => yaml_string(text, &mut out),
            None => {
                out.push_str("!!binary \"");
                STANDARD.encode_string(value.expose(), &mut out);
                out.push('"');
            }
        }
        out.push('\n');
    }
    finished(out)
}

/// Adds a character that YAML (5.7) and TOML (1.0, "String") escape by a letter alike; no if it is none.
fn push_escape(c: char, out: &mut String) -> bool {
    out.push_str(match c {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        _ => return false,
    });
    true
}

/// What YAML does not print as it is, is escaped (5.7), so that every reader, of 1.1 or 1.2, takes it.
fn yaml_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        if push_escape(c, out) {
            continue;
        }
        match c {
            ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' => out.push(c),
            '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}' => out.push(c),
            c if u32::from(c) <= 0xffff => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
        }
    }
    out.push('"');
}

/// `NAME = "value"`, a basic string (TOML 1.0, "String").
pub(super) fn toml(items: &BTreeMap<Name, SecretValue>) -> Result<SecretValue> {
    text_only(items, "toml")?;
    let mut out = block(items, 0);
    for (name, value) in items {
        out.push_str(name.as_str());
        out.push_str(" = \"");
        for c in value.expose_text().unwrap_or_default().chars() {
            if push_escape(c, &mut out) {
                continue;
            }
            match c {
                c if c.is_control() => {
                    let _ = write!(out, "\\u{:04X}", u32::from(c));
                }
                c => out.push(c),
            }
        }
        out.push_str("\"\n");
    }
    Ok(finished(out))
}

/// A Kubernetes Secret, values in base64 under `data`.
pub(super) fn k8s(items: &BTreeMap<Name, SecretValue>, context: &Context) -> Result<SecretValue> {
    let bytes: usize = items.values().map(SecretValue::len).sum();
    if bytes > MOST_K8S {
        return Err(Error::unsupported(format!(
            "the values have {bytes} bytes together; a Kubernetes Secret holds at most {MOST_K8S}"
        ))
        .with_hint("export fewer with --only"));
    }
    let head = format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {}\ntype: Opaque\ndata:{}\n",
        context.dns_label(),
        if items.is_empty() { " {}" } else { "" }
    );
    let mut out = block(items, head.len());
    out.push_str(&head);
    for (name, value) in items {
        out.push_str("  \"");
        out.push_str(name.as_str());
        out.push_str("\": \"");
        STANDARD.encode_string(value.expose(), &mut out);
        out.push_str("\"\n");
    }
    Ok(finished(out))
}

/// JSON for `ansible-playbook -e @FILE`: wrapped, so that `{{ … }}` in a value is not run as a template.
pub(super) fn ansible(items: &BTreeMap<Name, SecretValue>) -> Result<SecretValue> {
    text_only(items, "ansible")?;
    let mut out = block(items, 8);
    out.push('{');
    for (index, (name, value)) in items.iter().enumerate() {
        out.push_str(if index > 0 { ",\n  \"" } else { "\n  \"" });
        out.push_str(name.as_str());
        out.push_str("\": {\"__ansible_unsafe\": ");
        let text = value.expose_text().unwrap_or_default();
        let mut quoted = Zeroizing::new(Vec::with_capacity(text.len() * 6 + 2));
        serde_json::to_writer(&mut *quoted, text)
            .map_err(|e| Error::new(ErrorKind::Unexpected, "cannot write JSON").with_source(e))?;
        out.push_str(std::str::from_utf8(&quoted).unwrap_or_default());
        out.push('}');
    }
    out.push_str(if items.is_empty() { "}\n" } else { "\n}\n" });
    Ok(finished(out))
}
