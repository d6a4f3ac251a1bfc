//! Formats that secrets are exported to and imported from. Pure: bytes in, bytes out. A format
//! refuses what its reader cannot hold; what it writes it also reads, and nothing is lost between.

mod json;
mod null;
mod shell;

use std::collections::BTreeMap;

use secrets_api::{Error, ErrorKind, Name, Result, SecretValue, Zeroizing};

/// A format of `export` and of `import -`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One object, `{"NAME": "value"}`; bytes that are no text as `{"base64": "…"}`
    Json,
    /// `NAME=value` lines that .env readers read alike, python-dotenv's form where there is none
    Dotenv,
    /// `export NAME='value'` lines for a POSIX shell
    Shell,
    /// `NAME=value`, each ended by a NUL byte, as `env -0` prints and `xargs -0` reads
    Null,
}

/// What was read: names and values in the order given, each name once.
pub type Items = Vec<(Name, SecretValue)>;

impl Format {
    /// Writes all of `items`.
    ///
    /// # Errors
    /// `Unsupported`, naming the secret the format cannot hold.
    pub fn render(self, items: &BTreeMap<Name, SecretValue>) -> Result<SecretValue> {
        match self {
            Self::Json => json::render(items),
            Self::Dotenv => dotenv_render(items),
            Self::Shell => shell::render(items),
            Self::Null => null::render(items),
        }
    }

    /// Reads what [`Format::render`], or another tool, wrote.
    ///
    /// # Errors
    /// `InvalidData`, with the place and never the content.
    pub fn parse(self, bytes: &[u8]) -> Result<Items> {
        let items = match self {
            Self::Json => json::parse(bytes)?,
            Self::Dotenv => dotenv_parse(bytes)?,
            Self::Shell => shell::parse(bytes)?,
            Self::Null => null::parse(bytes)?,
        };
        let mut seen = std::collections::BTreeSet::new();
        for (name, _) in &items {
            if !seen.insert(name) {
                return Err(broken(format!("{name} is given twice")));
            }
        }
        Ok(items)
    }
}

/// What was given is not of the format.
fn broken(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}

/// A name as a file gives it. The text is not repeated: in a broken file it may be a value.
fn name(text: &[u8], place: &str) -> Result<Name> {
    let parsed = std::str::from_utf8(text)
        .ok()
        .and_then(|text| Name::new(text).ok());
    parsed.ok_or_else(|| {
        broken(format!("{place} is no name of a secret"))
            .with_hint("a name holds letters, digits and `_`, and does not start with a digit")
    })
}

/// Bytes put together without leaving copies behind: the size is known before the first is written.
fn gather(parts: &[&[u8]]) -> SecretValue {
    let mut all = Zeroizing::new(Vec::with_capacity(parts.iter().map(|p| p.len()).sum()));
    for part in parts {
        all.extend_from_slice(part);
    }
    SecretValue::from(all)
}

#[cfg(feature = "dotenv")]
fn dotenv_render(items: &BTreeMap<Name, SecretValue>) -> Result<SecretValue> {
    let dialect = secrets_dotenv::Dialect::default();
    let lines: Vec<SecretValue> = items
        .iter()
        .map(|(name, value)| secrets_dotenv::render_line(dialect, name, value))
        .collect::<Result<_>>()?;
    Ok(gather(
        &lines.iter().map(SecretValue::expose).collect::<Vec<_>>(),
    ))
}

#[cfg(feature = "dotenv")]
fn dotenv_parse(bytes: &[u8]) -> Result<Items> {
    // A name without `=` has no value; of several lines for one name the last counts.
    let mut last = BTreeMap::new();
    for entry in secrets_dotenv::parse(secrets_dotenv::Dialect::default(), bytes)? {
        let place = format!("what stands before `=` in line {}", entry.line(bytes));
        let value = entry.value.map(secrets_dotenv::Value::into_secret);
        last.insert(name(entry.name.as_bytes(), &place)?, value);
    }
    Ok(last
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect())
}

/// The names of a `.env` text whose values are put together from others.
///
/// # Errors
/// As [`Format::parse`].
#[cfg(feature = "dotenv")]
pub fn derived(bytes: &[u8]) -> Result<Vec<Name>> {
    let entries = secrets_dotenv::parse(secrets_dotenv::Dialect::default(), bytes)?;
    let derived = entries.into_iter().filter(|entry| entry.derived);
    Ok(derived
        .filter_map(|entry| Name::new(&entry.name).ok())
        .collect())
}

/// The same without the provider: there is nothing to read.
#[cfg(not(feature = "dotenv"))]
pub fn derived(_: &[u8]) -> Result<Vec<Name>> {
    Ok(Vec::new())
}

#[cfg(not(feature = "dotenv"))]
fn dotenv_render(_: &BTreeMap<Name, SecretValue>) -> Result<SecretValue> {
    Err(Error::unsupported(
        "this program was built without the dotenv provider",
    ))
}

#[cfg(not(feature = "dotenv"))]
fn dotenv_parse(_: &[u8]) -> Result<Items> {
    Err(Error::unsupported(
        "this program was built without the dotenv provider",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;
    use proptest::prelude::*;

    fn given(list: &[(String, Vec<u8>)]) -> BTreeMap<Name, SecretValue> {
        list.iter()
            .map(|(n, v)| (Name::new(n).unwrap(), SecretValue::from_slice(v)))
            .collect()
    }

    proptest! {
        #[test]
        fn what_a_format_accepts_comes_back_unchanged(
            list in prop::collection::vec(("[A-Z_][A-Z0-9_]{0,8}", prop_oneof![
                any::<String>().prop_map(String::into_bytes),
                "[ '\"\\\\$`#\n\r\t{}=;!a-z-]{0,24}".prop_map(String::into_bytes),
                prop::collection::vec(any::<u8>(), 0..32),
            ]), 0..6)
        ) {
            let items = given(&list);
            for format in Format::value_variants() {
                let Ok(text) = format.render(&items) else { continue };
                let back = format.parse(text.expose()).unwrap();
                prop_assert_eq!(back.len(), items.len(), "{:?}", format);
                for (name, value) in &back {
                    prop_assert!(items[name].same_as(value), "{:?} {}", format, name);
                }
            }
        }
    }

    #[test]
    fn text_without_nul_is_held_by_every_format() {
        let items = given(&[
            ("A".into(), "it's \"$HOME\" `x` \\ #é\n\t ".into()),
            ("B".into(), vec![]),
        ]);
        for format in Format::value_variants() {
            assert!(format.render(&items).is_ok(), "{format:?}");
        }
    }

    #[test]
    fn what_a_format_cannot_hold_is_refused_by_name() {
        let nul = given(&[("BIN".into(), b"a\0b".to_vec())]);
        for format in [Format::Dotenv, Format::Shell, Format::Null] {
            let error = format.render(&nul).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.message().contains("BIN"), "{error}");
        }
        assert!(
            Format::Json
                .render(&given(&[("BIN".into(), vec![0, 255])]))
                .is_ok()
        );
    }

    #[test]
    fn errors_name_the_place_and_never_the_content() {
        for (format, text) in [
            (Format::Json, "{\"A\": canary}"),
            (Format::Json, "[\"canary\"]"),
            (Format::Json, "{\"A B canary\": \"canary\"}"),
            (Format::Json, "{\"A\": {\"base64\": \"canary!\"}}"),
            (Format::Json, "{\"A\": \"canary\", \"A\": \"canary\"}"),
            (Format::Json, "{\"A\": 17, \"B\": \"canary\"}"),
            (Format::Shell, "export A=$canary"),
            (Format::Shell, "export A='canary"),
            (Format::Shell, "canary"),
            (Format::Shell, "A=canary B=canary"),
            (Format::Null, "canary\0"),
            (Format::Null, "A=canary"),
        ] {
            let error = format.parse(text.as_bytes()).unwrap_err();
            assert!(
                !format!("{error} {error:?}").contains("canary"),
                "{format:?}: {error:?}"
            );
        }
    }
}
