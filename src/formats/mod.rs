//! Formats that secrets are exported to and imported from. Pure: bytes in, bytes out. A format
//! refuses what its reader cannot hold; what it writes it also reads, where it is read at all, and
//! nothing is lost between.

mod documents;
mod example;
mod json;
mod null;
mod quoted;
mod services;

use std::collections::BTreeMap;
use std::str::FromStr;

use secrets_api::{Error, ErrorKind, Name, Result, SecretValue, Zeroizing};

pub use example::{Line as ExampleLine, example};

#[cfg(feature = "dotenv")]
use secrets_dotenv::Dialect;

/// A format of `export`, and of `import -` as far as it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One object, `{"NAME": "value"}`; bytes that are no text as `{"base64": "…"}`.
    Json,
    /// A `.env` file, for the reader of this dialect.
    #[cfg(feature = "dotenv")]
    Dotenv(Dialect),
    /// `export NAME='value'` lines for a POSIX shell.
    Shell,
    /// `set -gx NAME 'value'` lines.
    Fish,
    /// `$env:NAME = 'value'` lines.
    Powershell,
    /// A mapping of strings.
    Yaml,
    /// A table of strings.
    Toml,
    /// A line `environment=…` of supervisor.
    Supervisor,
    /// What is appended to `$GITHUB_ENV`.
    GithubActions,
    /// What a step prints so that the log hides the values.
    GithubMask,
    /// A Kubernetes Secret.
    K8s,
    /// Variables for `ansible-playbook -e @FILE`.
    Ansible,
    /// `NAME=value`, each ended by a NUL byte, as `env -0` prints and `xargs -0` reads.
    Null,
}

/// The names of formats, each with what it is.
pub const FORMATS: &[(&str, &str)] = &[
    ("json", "one object, {\"NAME\": \"value\"}"),
    (
        "dotenv",
        "a .env file, read alike by as many readers as can be",
    ),
    ("dotenv:DIALECT", "a .env file for one reader"),
    ("shell", "export NAME='value', for a POSIX shell"),
    ("fish", "set -gx NAME 'value'"),
    ("powershell", "$env:NAME = 'value'"),
    ("yaml", "a mapping of strings"),
    ("toml", "a table of strings"),
    ("docker", "for docker run --env-file"),
    ("compose", "for env_file: of Docker Compose"),
    ("systemd", "for EnvironmentFile="),
    ("supervisor", "a line environment=…"),
    (
        "github-actions",
        "to be appended to $GITHUB_ENV; print github-mask first",
    ),
    (
        "github-mask",
        "::add-mask:: lines, for the log to hide the values",
    ),
    ("k8s", "a Secret manifest"),
    ("ansible", "variables for -e @FILE, never run as templates"),
    ("null", "NAME=value, each ended by a NUL byte"),
];

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = FORMATS.iter().map(|(name, _)| *name);
        Ok(match text {
            "json" => Self::Json,
            "shell" => Self::Shell,
            "fish" => Self::Fish,
            "powershell" => Self::Powershell,
            "yaml" => Self::Yaml,
            "toml" => Self::Toml,
            "supervisor" => Self::Supervisor,
            "github-actions" => Self::GithubActions,
            "github-mask" => Self::GithubMask,
            "k8s" => Self::K8s,
            "ansible" => Self::Ansible,
            "null" => Self::Null,
            #[cfg(feature = "dotenv")]
            "dotenv" => Self::Dotenv(Dialect::default()),
            #[cfg(feature = "dotenv")]
            "docker" => Self::Dotenv(Dialect::Docker),
            #[cfg(feature = "dotenv")]
            "compose" => Self::Dotenv(Dialect::Compose),
            #[cfg(feature = "dotenv")]
            "systemd" => Self::Dotenv(Dialect::Systemd),
            #[cfg(feature = "dotenv")]
            other if other.starts_with("dotenv:") => {
                let name = &other["dotenv:".len()..];
                let dialect = name.parse().map_err(|()| {
                    let hint = crate::suggest::hint(name, Dialect::names());
                    format!("there is no such dialect; {}", hint.unwrap_or_default())
                })?;
                Self::Dotenv(dialect)
            }
            other => {
                let hint = crate::suggest::hint(other, known);
                return Err(format!(
                    "there is no such format; {}",
                    hint.unwrap_or_default()
                ));
            }
        })
    }
}

/// Reads a format's name on the command line.
pub fn parser() -> impl clap::builder::TypedValueParser<Value = Format> {
    use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser as _};
    let known = FORMATS.iter().filter(|(name, _)| *name != "dotenv:DIALECT");
    let names = known.map(|(name, about)| PossibleValue::new(*name).help(*about));
    #[cfg(feature = "dotenv")]
    let names =
        names.chain(Dialect::names().map(|name| PossibleValue::new(format!("dotenv:{name}"))));
    PossibleValuesParser::new(names).try_map(|name| name.parse::<Format>())
}

/// What a format may say of where the secrets come from.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// The project's name.
    pub project: Option<String>,
    /// The environment's name.
    pub environment: String,
}

impl Context {
    /// `PROJECT-ENVIRONMENT` as a DNS label (RFC 1123), which names a Kubernetes object.
    fn dns_label(&self) -> String {
        let all = format!(
            "{}-{}",
            self.project.as_deref().unwrap_or("secrets"),
            self.environment
        );
        let plain: String = all
            .to_ascii_lowercase()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .take(63)
            .collect();
        plain.trim_matches('-').to_owned()
    }
}

/// What was read: names and values in the order given, each name once.
pub type Items = Vec<(Name, SecretValue)>;

impl Format {
    /// Writes all of `items`.
    ///
    /// # Errors
    /// `Unsupported`, naming the secret the format cannot hold.
    pub fn render(
        self,
        items: &BTreeMap<Name, SecretValue>,
        context: &Context,
    ) -> Result<SecretValue> {
        match self {
            Self::Json => json::render(items),
            #[cfg(feature = "dotenv")]
            Self::Dotenv(dialect) => dotenv_render(items, dialect),
            Self::Shell => quoted::shell(items),
            Self::Fish => quoted::fish(items),
            Self::Powershell => quoted::powershell(items),
            Self::Yaml => Ok(documents::yaml(items)),
            Self::Toml => documents::toml(items),
            Self::Supervisor => services::supervisor(items),
            Self::GithubActions => services::github_env(items),
            Self::GithubMask => services::github_mask(items),
            Self::K8s => documents::k8s(items, context),
            Self::Ansible => documents::ansible(items),
            Self::Null => null::render(items),
        }
    }

    /// Reads what [`Format::render`], or another tool, wrote.
    ///
    /// # Errors
    /// `InvalidData`, with the place and never the content; `Unsupported` for a format that is
    /// only written.
    pub fn parse(self, bytes: &[u8]) -> Result<Items> {
        let items = match self {
            Self::Json => json::parse(bytes)?,
            #[cfg(feature = "dotenv")]
            Self::Dotenv(dialect) => dotenv_parse(bytes, dialect)?,
            #[cfg(feature = "dotenv")]
            Self::Shell => dotenv_parse(bytes, Dialect::Shell)?,
            Self::Null => null::parse(bytes)?,
            _ => {
                return Err(Error::unsupported("this format is written, and not read")
                    .with_hint("import reads json, dotenv[:DIALECT], docker, compose, systemd, shell and null"));
            }
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

/// Refuses a value with NUL, which no environment can hold.
fn refuse_nul(name: &Name, value: &SecretValue) -> Result<()> {
    if !value.has_nul() {
        return Ok(());
    }
    Err(Error::unsupported(format!(
        "{name} holds a NUL byte, which its reader cannot hold"
    ))
    .about(name)
    .with_hint("use `--format json`"))
}

/// Refuses values that are no text.
fn text_only(items: &BTreeMap<Name, SecretValue>, format: &str) -> Result<()> {
    match items
        .iter()
        .find(|(_, value)| value.expose_text().is_none())
    {
        None => Ok(()),
        Some((name, _)) => Err(Error::unsupported(format!(
            "{name} is not UTF-8 text, and {format} holds nothing else"
        ))
        .about(name)
        .with_hint("use `--format json`, yaml or k8s")),
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
fn dotenv_render(items: &BTreeMap<Name, SecretValue>, dialect: Dialect) -> Result<SecretValue> {
    let lines: Vec<SecretValue> = items
        .iter()
        .map(|(name, value)| secrets_dotenv::render_line(dialect, name, value))
        .collect::<Result<_>>()?;
    Ok(gather(
        &lines.iter().map(SecretValue::expose).collect::<Vec<_>>(),
    ))
}

#[cfg(feature = "dotenv")]
fn dotenv_parse(bytes: &[u8], dialect: Dialect) -> Result<Items> {
    // A name without `=` has no value; of several lines for one name the last counts.
    let mut last = BTreeMap::new();
    let line_of = |at: u32| {
        let before = bytes.iter().take(usize::try_from(at).unwrap_or(usize::MAX));
        before.filter(|b| **b == b'\n').count() + 1
    };
    for entry in secrets_dotenv::parse(dialect, bytes)? {
        if dialect == Dialect::Shell && entry.derived {
            return Err(broken(format!(
                "line {}: a shell would expand this value",
                line_of(entry.at)
            )));
        }
        let at = entry.at;
        let value = entry.value.map(secrets_dotenv::Value::into_secret);
        // The place is counted for the one that is wrong, not for all.
        let name = Name::new(&entry.name).or_else(|_| {
            let place = format!("what stands before `=` in line {line}", line = line_of(at));
            name(entry.name.as_bytes(), &place)
        })?;
        last.insert(name, value);
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

#[cfg(test)]
mod tests {
    use super::*;
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
            for format in read_and_written() {
                let Ok(text) = format.render(&items, &Context::default()) else { continue };
                let back = format.parse(text.expose()).unwrap();
                prop_assert_eq!(back.len(), items.len(), "{:?}", format);
                for (name, value) in &back {
                    prop_assert!(items[name].same_as(value), "{:?} {}", format, name);
                }
            }
        }
    }

    fn read_and_written() -> Vec<Format> {
        let dialects = Dialect::all().map(Format::Dotenv);
        [Format::Json, Format::Shell, Format::Null]
            .into_iter()
            .chain(dialects)
            .collect()
    }

    fn text(format: &str, list: &[(&str, &str)]) -> Result<String> {
        let list: Vec<_> = list
            .iter()
            .map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec()))
            .collect();
        let context = Context {
            project: Some("My Shop".into()),
            environment: "prod".into(),
        };
        let format: Format = format.parse().unwrap();
        let rendered = format.render(&given(&list), &context)?;
        Ok(rendered.expose_text().unwrap().to_owned())
    }

    #[test]
    fn text_without_nul_is_held_by_most_formats() {
        for (format, _) in FORMATS.iter().filter(|(name, _)| *name != "dotenv:DIALECT") {
            assert!(
                text(format, &[("A", "plain-value"), ("B", "two words")]).is_ok(),
                "{format}"
            );
        }
        let odd = [("A", "it's \"$HOME\" `x` \\ #é\t "), ("B", "")];
        for format in [
            "json",
            "dotenv",
            "shell",
            "fish",
            "powershell",
            "yaml",
            "toml",
            "k8s",
            "ansible",
            "null",
            "compose",
            "systemd",
            "github-actions",
        ] {
            assert!(text(format, &odd).is_ok(), "{format}");
        }
    }

    #[test]
    fn each_format_is_written_as_its_reader_wants_it() {
        for (format, value, wanted) in [
            ("fish", "it's \\", "set -gx N 'it\\'s \\\\'\n"),
            (
                "powershell",
                "it's \u{2019}",
                "$env:N = 'it''s \u{2019}\u{2019}'\n",
            ),
            (
                "yaml",
                "a: \"b\"\u{7}\u{1f600}",
                "\"N\": \"a: \\\"b\\\"\\u0007\\U0001f600\"\n",
            ),
            ("toml", "a\"b\u{7}", "N = \"a\\\"b\\u0007\"\n"),
            ("docker", "'as it is' ", "N='as it is' \n"),
            (
                "supervisor",
                "50% \"off\" now",
                "environment=N='50%% \"off\" now'\n",
            ),
            (
                "github-actions",
                "a\nb",
                "N<<END_OF_SECRET_0\na\nb\nEND_OF_SECRET_0\n",
            ),
            (
                "github-actions",
                "END_OF_SECRET_0",
                "N<<END_OF_SECRET_1\nEND_OF_SECRET_0\nEND_OF_SECRET_1\n",
            ),
            ("github-mask", "50%\nx", "::add-mask::50%25%0Ax\n"),
            (
                "k8s",
                "x",
                "apiVersion: v1\nkind: Secret\nmetadata:\n  name: my-shop-prod\ntype: Opaque\ndata:\n  \"N\": \"eA==\"\n",
            ),
            (
                "ansible",
                "{{ x }}",
                "{\n  \"N\": {\"__ansible_unsafe\": \"{{ x }}\"}\n}\n",
            ),
        ] {
            assert_eq!(text(format, &[("N", value)]).unwrap(), wanted, "{format}");
        }
    }

    #[test]
    fn what_a_format_cannot_hold_is_refused_by_name() {
        for (format, value) in [
            ("dotenv", "a\0b"),
            ("shell", "a\0b"),
            ("fish", "a\0b"),
            ("null", "a\0b"),
            ("docker", "a\nb"),
            ("dotenv:node", "a\rb"),
            ("dotenv:decouple", "a\nb"),
            ("dotenv:django-environ", "$NAME"),
            ("supervisor", "a\nb"),
            ("supervisor", "\"a\""),
            ("supervisor", "a ;b"),
            ("supervisor", "a'b\"c"),
            ("github-actions", "a\rb"),
        ] {
            let error = text(format, &[("BIN", value)]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{format}");
            assert!(error.message().contains("BIN"), "{error}");
            assert!(!format!("{error:?}").contains(value), "{error:?}");
        }
        let bytes = given(&[("BIN".into(), vec![0, 255])]);
        for format in ["json", "yaml", "k8s"] {
            let format: Format = format.parse().unwrap();
            assert!(format.render(&bytes, &Context::default()).is_ok());
        }
        for format in [
            "toml",
            "powershell",
            "ansible",
            "supervisor",
            "github-actions",
        ] {
            let format: Format = format.parse().unwrap();
            assert!(format.render(&bytes, &Context::default()).is_err());
        }
    }

    #[test]
    fn a_wrong_format_or_dialect_names_the_nearest() {
        assert!("jsno".parse::<Format>().unwrap_err().contains("json"));
        assert!("dotenv:nod".parse::<Format>().unwrap_err().contains("node"));
        let error = Format::Yaml.parse(b"A: x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
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
            (Format::Shell, "A=canary canary"),
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
