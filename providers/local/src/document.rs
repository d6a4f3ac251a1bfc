//! What a document says: values with their versions, times and authors; its generation, and the
//! digest of the document it came from. Pure data.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrets_api::{
    Error, ErrorKind, Meta, Name, Result, SecretValue, Timestamp, Version, Zeroizing,
};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap as _, Serializer};
use serde::{Deserialize, Serialize};

/// How many operations are remembered, so that one sent again takes effect once.
pub(crate) const OPERATIONS: usize = 64;

/// What is wrong where one reader would see another value than the next.
const TWICE: &str = "a name stands twice in the opened document";

/// The states of each secret, newest first.
pub(crate) type Secrets = BTreeMap<String, Vec<State>>;

/// A document.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    /// The environment it is for: a file under another name is not it.
    pub(crate) environment: String,
    /// The id of the store it is in, as `recipients.toml` says it: the same people may have another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) store: Option<String>,
    /// 1, and one more with each write.
    pub(crate) generation: u64,
    /// The digest of the sealed file it was made from.
    pub(crate) parent: Option<String>,
    /// The digest of the people it is sealed to.
    pub(crate) recipients: String,
    /// Their public keys, sorted: a merge compares them.
    #[serde(default)]
    pub(crate) sealed_to: Vec<String>,
    /// The public keys of those it was sealed to once and is no more: a merge does not bring them back.
    #[serde(default)]
    pub(crate) removed: Vec<String>,
    /// The digest of the whole list when somebody who had confirmed it wrote: at first sight it vouches for
    /// the list.
    #[serde(default)]
    pub(crate) team: String,
    /// When.
    pub(crate) written: Timestamp,
    /// By whom, as `recipients.toml` calls them.
    pub(crate) author: String,
    /// The last operations, newest first.
    #[serde(default)]
    pub(crate) operations: Vec<Operation>,
    #[serde(deserialize_with = "each_name_once")]
    pub(crate) secrets: Secrets,
}

/// One operation that was carried out.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Operation {
    pub(crate) id: String,
    /// The versions it made, in the order of its changes.
    pub(crate) versions: Vec<(String, Option<String>)>,
}

/// One state of a secret.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    pub(crate) id: String,
    pub(crate) at: Timestamp,
    pub(crate) by: String,
    pub(crate) value: Kept,
}

/// What a state holds.
#[derive(Debug)]
pub(crate) enum Kept {
    Value(SecretValue),
    Deleted,
}

impl State {
    pub(crate) fn new(by: &str, value: Kept) -> Result<Self> {
        Ok(Self {
            id: crate::hex::random_id()?,
            at: Timestamp::now(),
            by: by.to_owned(),
            value,
        })
    }

    pub(crate) fn version(&self) -> Version {
        Version::new(self.id.as_str())
    }

    pub(crate) fn meta(&self) -> Meta {
        Meta {
            version: Some(self.version()),
            modified: Some(self.at),
            author: Some(self.by.clone()),
            deleted: matches!(self.value, Kept::Deleted),
            ..Meta::default()
        }
    }
}

impl Document {
    /// The first of an environment.
    pub(crate) fn new(environment: &str) -> Self {
        Self {
            environment: environment.to_owned(),
            store: None,
            generation: 0,
            parent: None,
            recipients: String::new(),
            sealed_to: Vec::new(),
            removed: Vec::new(),
            team: String::new(),
            written: Timestamp::now(),
            author: String::new(),
            operations: Vec::new(),
            secrets: Secrets::new(),
        }
    }

    /// Reads a document.
    ///
    /// # Errors
    /// `InvalidData`, with the place and never the content.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        let document: Self = serde_json::from_slice(bytes).map_err(|e| {
            // Of serde's texts only our own is shown: the others may repeat a value.
            if e.to_string().starts_with(TWICE) {
                return Error::new(ErrorKind::InvalidData, TWICE)
                    .with_hint("restore it from source control: `git checkout FILE`");
            }
            let what = format!("the opened document is not what this version writes (line {}, column {})", e.line(), e.column());
            Error::new(ErrorKind::InvalidData, what).with_hint("a newer `secrets` may have written it: upgrade; else restore it from source control")
        })?;
        if let Some(name) = document
            .secrets
            .keys()
            .find(|name| Name::new(name).is_err())
        {
            let shown: String = name.chars().take(40).flat_map(char::escape_debug).collect();
            return Err(Error::new(
                ErrorKind::InvalidData,
                format!("the opened document holds `{shown}`, which is no name of a secret"),
            ));
        }
        Ok(document)
    }

    pub(crate) fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>> {
        // At most six bytes for one (`\u0000`): the buffer never grows and leaves no copy behind.
        let states = self.secrets.values().flatten();
        let values: usize = states
            .map(|state| match &state.value {
                Kept::Value(value) => value.len() * 6 + 256,
                Kept::Deleted => 256,
            })
            .sum();
        let names: usize = self.secrets.keys().map(|name| name.len() + 16).sum();
        let operations: usize = self
            .operations
            .iter()
            .map(|o| 64 + o.versions.len() * 320)
            .sum();
        let keys = self.sealed_to.iter().chain(&self.removed);
        let people: usize = keys.map(|key| key.len() + 4).sum();
        let mut bytes = Zeroizing::new(Vec::with_capacity(
            values + names + operations + people + 1024,
        ));
        serde_json::to_writer(&mut *bytes, self).map_err(|e| {
            Error::new(ErrorKind::Unexpected, "the document cannot be written").with_source(e)
        })?;
        Ok(bytes)
    }

    /// The present state of a name.
    pub(crate) fn present(&self, name: &Name) -> Option<&State> {
        self.secrets.get(name.as_str())?.first()
    }

    /// Adds a state, and forgets those beyond the newest `keep`.
    pub(crate) fn push(&mut self, name: &Name, state: State, keep: usize) {
        let states = self.secrets.entry(name.to_string()).or_default();
        states.insert(0, state);
        states.truncate(keep.max(1));
    }

    /// Forgets all states of a name but the newest `keep`, at least one; says how many went.
    pub(crate) fn prune(&mut self, name: &Name, keep: usize) -> usize {
        let Some(states) = self.secrets.get_mut(name.as_str()) else {
            return 0;
        };
        let before = states.len();
        states.truncate(keep.max(1));
        before - states.len()
    }

    /// What an operation of this id did to exactly these names, if it was carried out.
    pub(crate) fn done<'a>(
        &self,
        id: &str,
        names: impl Iterator<Item = &'a Name> + Clone,
    ) -> Option<&Operation> {
        self.operations.iter().find(|operation| {
            let made = operation.versions.iter().map(|(name, _)| name.as_str());
            operation.id == id && made.eq(names.clone().map(Name::as_str))
        })
    }

    pub(crate) fn remember(&mut self, operation: Operation) {
        self.operations.insert(0, operation);
        self.operations.truncate(OPERATIONS);
    }
}

/// A map in which a second entry of a name is an error, not the one that counts.
fn each_name_once<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secrets, D::Error> {
    struct SecretsVisitor;
    impl<'de> Visitor<'de> for SecretsVisitor {
        type Value = Secrets;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("names with their states")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Secrets, A::Error> {
            let mut secrets = Secrets::new();
            while let Some((name, states)) = map.next_entry::<String, Vec<State>>()? {
                if secrets.insert(name, states).is_some() {
                    return Err(serde::de::Error::custom(TWICE));
                }
            }
            Ok(secrets)
        }
    }
    deserializer.deserialize_map(SecretsVisitor)
}

impl Serialize for Kept {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Self::Deleted => map.serialize_entry("deleted", &true)?,
            Self::Value(value) => match value.expose_text() {
                Some(text) => map.serialize_entry("text", text)?,
                None => {
                    let encoded = Zeroizing::new(STANDARD.encode(value.expose()));
                    map.serialize_entry("base64", encoded.as_str())?;
                }
            },
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Kept {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(KeptVisitor)
    }
}

struct KeptVisitor;

/// A string that goes straight into a value.
struct Text(SecretValue);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl Visitor<'_> for TextVisitor {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text(SecretValue::from_slice(text.as_bytes())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

impl<'de> Visitor<'de> for KeptVisitor {
    type Value = Kept;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, base64 or deleted")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kept, A::Error> {
        use serde::de::Error as _;
        let Some(key) = map.next_key::<String>()? else {
            return Err(A::Error::custom("no value"));
        };
        let kept = match key.as_str() {
            "text" => Kept::Value(map.next_value::<Text>()?.0),
            "base64" => {
                let encoded = map.next_value::<Text>()?.0;
                let bytes = STANDARD
                    .decode(encoded.expose())
                    .map_err(|_| A::Error::custom("not base64"))?;
                Kept::Value(SecretValue::from_vec(bytes))
            }
            "deleted" if map.next_value::<bool>()? => Kept::Deleted,
            _ => return Err(A::Error::custom("an unknown kind of value")),
        };
        if map.next_key::<String>()?.is_some() {
            return Err(A::Error::custom("more than one value"));
        }
        Ok(kept)
    }
}
