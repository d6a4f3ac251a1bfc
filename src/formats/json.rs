//! One JSON object (RFC 8259), names to strings. Bytes that are no text are `{"base64": "…"}`.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrets_api::{Error, ErrorKind, Name, Result, SecretValue, Zeroizing};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use super::{Items, broken};

pub(super) fn render(items: &BTreeMap<Name, SecretValue>) -> Result<SecretValue> {
    // At most six bytes for one (`\u0000`): the buffer never grows and leaves no copy behind.
    let most = items
        .iter()
        .map(|(n, v)| n.as_str().len() + v.len() * 6 + 32)
        .sum::<usize>()
        + 8;
    let mut text = Zeroizing::new(Vec::with_capacity(most));
    serde_json::to_writer_pretty(&mut *text, &Document(items))
        .map_err(|e| Error::new(ErrorKind::Unexpected, "cannot write JSON").with_source(e))?;
    text.push(b'\n');
    Ok(SecretValue::from(text))
}

struct Document<'a>(&'a BTreeMap<Name, SecretValue>);

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            match value.expose_text() {
                Some(text) => map.serialize_entry(name.as_str(), text)?,
                None => {
                    let encoded = Zeroizing::new(STANDARD.encode(value.expose()));
                    map.serialize_entry(
                        name.as_str(),
                        &BTreeMap::from([("base64", encoded.as_str())]),
                    )?;
                }
            }
        }
        map.end()
    }
}

pub(super) fn parse(bytes: &[u8]) -> Result<Items> {
    let parsed: Pairs = serde_json::from_slice(bytes).map_err(|e| {
        // serde's own words may quote what it met.
        let why = match e.classify() {
            serde_json::error::Category::Data => "not an object of names and strings",
            _ => "not JSON",
        };
        // serde gives the place where it stopped: behind what it met.
        let column = e.column().max(1);
        broken(format!("before line {}, column {column}: {why}", e.line())).with_hint(
            "what is wanted: {\"NAME\": \"value\", …}, names of letters, digits and `_`, values as strings, each name once",
        )
    })?;
    Ok(parsed.0)
}

struct Pairs(Items);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor)
    }
}

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Pairs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of names and strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
        let mut items = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            let name = Name::new(&key).map_err(|_| serde::de::Error::custom("no name"))?;
            items.push((name, map.next_value::<Text>()?.0));
        }
        Ok(Pairs(items))
    }
}

/// A string, or `{"base64": "…"}`.
struct Text(SecretValue);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, text: &str) -> Result<Text, E> {
        Ok(Text(SecretValue::from_slice(text.as_bytes())))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text, A::Error> {
        use serde::de::Error as _;
        let Some(key) = map.next_key::<String>()? else {
            return Err(A::Error::custom("an empty object"));
        };
        let value = Zeroizing::new(map.next_value::<String>()?);
        if key != "base64" || map.next_key::<String>()?.is_some() {
            return Err(A::Error::custom("an object that is not `base64`"));
        }
        let bytes = STANDARD
            .decode(value.as_bytes())
            .map_err(|_| A::Error::custom("not base64"))?;
        Ok(Text(SecretValue::from_vec(bytes)))
    }
}
