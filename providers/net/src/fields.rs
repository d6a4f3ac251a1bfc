//! A JSON object taken apart so that what is not touched stays byte for byte: the text between the
//! fields is ours, the text of each field is its author's.

use secrets_api::Zeroizing;
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The object's fields in their order: each name decoded, each value as its JSON text.
pub(crate) type Fields = Vec<(String, Zeroizing<String>)>;

/// Takes the object apart; `None` for what is no object, or names a field twice (which of them
/// counts differs from one reader to the next).
pub(crate) fn parse(text: &[u8]) -> Option<Fields> {
    struct Object;

    impl<'de> Visitor<'de> for Object {
        type Value = Fields;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
            let mut fields = Fields::new();
            while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                fields.push((name, Zeroizing::new(value.get().to_owned())));
            }
            Ok(fields)
        }
    }

    let mut json = serde_json::Deserializer::from_slice(text);
    let fields = json.deserialize_map(Object).ok()?;
    json.end().ok()?;
    let mut names: Vec<_> = fields.iter().map(|(name, _)| name).collect();
    names.sort();
    let twice = names.windows(2).any(|pair| pair[0] == pair[1]);
    (!twice).then_some(fields)
}

/// Puts it together again.
pub(crate) fn to_json(fields: &[(String, Zeroizing<String>)]) -> Zeroizing<Vec<u8>> {
    // Room for all at once: what a growing buffer leaves behind would not be wiped.
    let room = fields
        .iter()
        .map(|(name, value)| 6 * name.len() + value.len() + 4);
    let mut text = Zeroizing::new(Vec::with_capacity(room.sum::<usize>() + 2));
    text.push(b'{');
    for (n, (name, value)) in fields.iter().enumerate() {
        if n > 0 {
            text.push(b',');
        }
        text.extend_from_slice(&string(name));
        text.push(b':');
        text.extend_from_slice(value.as_bytes());
    }
    text.push(b'}');
    text
}

/// A text as a JSON string.
pub(crate) fn string(text: &str) -> Zeroizing<Vec<u8>> {
    let mut json = Zeroizing::new(Vec::with_capacity(6 * text.len() + 2));
    serde_json::to_writer(&mut *json, text).expect("a text is a JSON string");
    json
}

/// The text of a JSON string; `None` for another kind of value.
pub(crate) fn text(json: &str) -> Option<Zeroizing<String>> {
    serde_json::from_str(json).ok().map(Zeroizing::new)
}
